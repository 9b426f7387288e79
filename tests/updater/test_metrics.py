"""Metrics: what is counted, what is logged and how often, and that the page describes all of it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from depthcast.book import Audit
from depthcast.errors import BadFile, MalformedFrame, StoreUnavailable, VenueUnavailable
from depthcast.store import Outcome, PutResult
from depthcast.store.memory import MemoryStore
from depthcast.sync import Verdict
from updater.claims import ClaimEvent
from updater.metrics import Metrics
from updater.replica import Replica
from updater.settings import UpdaterSettings

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


def value(metrics: Metrics, name: str, **labels: str) -> float:
    found = metrics.registry.get_sample_value(name, labels)
    assert found is not None, f"{name} {labels}"
    return found


def test_what_happens_to_diffs_and_books_is_counted() -> None:
    metrics = Metrics()
    metrics.took("X", Verdict.APPLIED)
    metrics.took("X", Verdict.GAP)
    metrics.broke("X", "gap")
    metrics.synced("X", "file", 1500.0)
    metrics.failed("X", VenueUnavailable("away"))
    assert value(metrics, "depthcast_diffs_total", verdict="applied") == 1
    assert value(metrics, "depthcast_gaps_total") == 1
    assert value(metrics, "depthcast_resyncs_total", reason="gap") == 1
    assert value(metrics, "depthcast_snapshots_total", source="file") == 1
    assert value(metrics, "depthcast_sync_seconds_sum") == 1.5
    assert value(metrics, "depthcast_snapshot_failures_total") == 1


def test_audits_are_counted_in_levels_and_logged_if_they_differ(logged: list[Any]) -> None:
    metrics = Metrics()
    metrics.audited("X", Audit(matching=10, different=0, ghost=0, missing=0))
    assert not logged
    metrics.audited("X", Audit(matching=10, different=1, ghost=2, missing=3))
    assert [line["ghost"] for line in logged] == [2]
    for result, levels in (("matching", 20), ("different", 1), ("ghost", 2), ("missing", 3)):
        assert value(metrics, "depthcast_audit_levels_total", result=result) == levels


def test_writes_are_counted_by_outcome_and_limit_and_summed_by_symbol() -> None:
    metrics = Metrics(clock=lambda: 0.0)
    metrics.wrote("X", 5, PutResult(Outcome.WON, '"e"'), 0.010)
    metrics.wrote("X", 5, PutResult(Outcome.LOST), 0.020)
    metrics.wrote("Y", 20, PutResult(Outcome.UNKNOWN, reason="cut"), 0.030)
    assert value(metrics, "depthcast_writes_total", outcome="won", limit="5") == 1
    assert value(metrics, "depthcast_writes_total", outcome="lost", limit="5") == 1
    assert value(metrics, "depthcast_writes_total", outcome="unknown", limit="20") == 1
    assert value(metrics, "depthcast_write_seconds_count") == 3
    assert (metrics.written, metrics.lost) == ({"X": 1}, {"X": 1})
    assert metrics.write_seconds.quantiles(0.0, 0.5) == [0.010]


def test_files_and_epochs_are_counted() -> None:
    metrics = Metrics()
    metrics.looked("X", 5)
    metrics.look_failed("X", 5, StoreUnavailable("away"))
    metrics.damaged("X", 5, BadFile("k", "it is not"))
    metrics.newer_epoch("X", 0, 1)
    metrics.claim("X", 1, ClaimEvent.WON)
    metrics.took_over("X", 1, 0.6)
    metrics.yielded("X")
    assert value(metrics, "depthcast_looks_total", result="read") == 1
    assert value(metrics, "depthcast_looks_total", result="failed") == 1
    assert value(metrics, "depthcast_damaged_files_total") == 1
    assert value(metrics, "depthcast_newer_epochs_total") == 1
    assert value(metrics, "depthcast_epoch_claims_total", event="won") == 1
    assert value(metrics, "depthcast_takeovers_total") == metrics.takeovers == 1


def test_malformed_frames_are_told_from_other_faults_of_the_feed() -> None:
    metrics = Metrics()
    metrics.feed_error("X", MalformedFrame("{", "not JSON"))
    metrics.feed_error(None, VenueUnavailable("cut"))
    metrics.silenced(30_000)
    assert value(metrics, "depthcast_malformed_frames_total") == 1
    assert value(metrics, "depthcast_feed_errors_total") == 1
    assert value(metrics, "depthcast_silences_total") == 1


def test_a_fault_that_repeats_is_counted_each_time_and_logged_seldom(logged: list[Any]) -> None:
    now = 0.0
    metrics = Metrics(clock=lambda: now)
    for _ in range(100):
        metrics.feed_error("X", MalformedFrame("{", "not JSON"))
    assert len(logged) == 1
    now = 60.0
    metrics.feed_error("X", MalformedFrame("{", "not JSON"))
    assert logged[1]["repeats_not_shown"] == 99
    assert value(metrics, "depthcast_malformed_frames_total") == 101


def test_an_exchange_that_is_away_is_one_line_for_all_symbols(logged: list[Any]) -> None:
    metrics = Metrics(clock=lambda: 0.0)
    for symbol in ("A", "B", "C"):
        metrics.failed(symbol, VenueUnavailable("away"))
    assert len(logged) == 1
    for symbol in ("A", "B", "C"):
        metrics.failed(symbol, ValueError("of this symbol"))
    assert len(logged) == 4


def test_the_loops_lag_is_the_worst_since_it_was_last_read() -> None:
    metrics = Metrics()
    metrics.loop_was_late(0.5)
    metrics.loop_was_late(0.1)
    assert value(metrics, "depthcast_event_loop_lag_seconds") == 0.5
    assert value(metrics, "depthcast_event_loop_lag_seconds") == 0.0


async def test_the_page_describes_every_metric_with_its_labels_and_no_other() -> None:
    async def prove(_store: object) -> None: ...

    settings = UpdaterSettings(symbols=("X",), limits=(5,))
    replica = Replica(settings, MemoryStore(), prove=prove)
    metrics = replica.metrics
    # What carries labels is known by its samples: let there be one of each.
    metrics.broke("X", "gap")
    metrics.looked("X", 5)
    metrics.wrote("X", 5, PutResult(Outcome.WON, '"e"'), 0.01)
    exported = {}
    for family in metrics.registry.collect():
        name = family.name + "_total" * (family.type == "counter")
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        exported[name] = (family.type, labels)
    written = {}
    for name, kind, labels in re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \|", PAGE.read_text("utf-8"), re.M):
        written[name] = (kind, set(re.findall(r"`(\w+)`", labels)))
    assert written == exported
