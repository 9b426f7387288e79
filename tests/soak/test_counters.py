import os

from soak.counters import Counters, cpu_s, parse, rss_mb

TEXT = """\
# HELP depthcast_writes_total Conditional writes
# TYPE depthcast_writes_total counter
depthcast_writes_total{limit="5",outcome="won"} 7.0
depthcast_writes_total{limit="100",outcome="won"} 3.0
depthcast_writes_total{limit="5",outcome="lost"} 1.0
# TYPE depthcast_writes_created gauge
depthcast_writes_created{limit="5",outcome="won"} 1.7e9
# TYPE depthcast_ready gauge
depthcast_ready 1.0
"""


def won(limit: str = "5") -> tuple[str, tuple[tuple[str, str], ...]]:
    return ("depthcast_writes_total", (("limit", limit), ("outcome", "won")))


def test_only_counters_are_read() -> None:
    values = parse(TEXT)
    assert values[won()] == 7
    assert len(values) == 3


def test_sums_are_by_labels() -> None:
    counters = Counters()
    counters.saw("a", 1, parse(TEXT))
    assert counters.total("depthcast_writes_total") == 11
    assert counters.total("depthcast_writes_total", outcome="won") == 10
    assert counters.by("depthcast_writes_total", "outcome") == {"won": 10, "lost": 1}


def test_a_counter_that_begins_anew_after_a_restart_adds_to_what_was() -> None:
    counters = Counters()
    for start, value in ((1, 5.0), (1, 8.0), (2, 2.0), (2, 3.0), (3, 9.0)):
        counters.saw("a", start, {won(): value})
    counters.saw("b", 1, {won(): 1.0})
    assert counters.total("depthcast_writes_total") == 8 + 3 + 9 + 1


def test_the_processor_time_of_a_process_is_read_and_a_missing_one_has_none() -> None:
    assert cpu_s(os.getpid()) > 0
    assert rss_mb(os.getpid()) > 1
    assert cpu_s(0) == 0
    assert rss_mb(0) == 0
