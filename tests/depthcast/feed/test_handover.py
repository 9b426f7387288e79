"""A connection is retired only when its successor has delivered."""

import pytest

from depthcast.feed.handover import Verdict, judge
from depthcast.feed.limits import FeedLimits
from depthcast.feed.subscriptions import Subscriptions
from depthcast.venues.binance import Binance


def ledger(heard: dict[str, float | None], acked_at: float | None) -> Subscriptions:
    streams = Subscriptions(Binance(), FeedLimits(), heard)
    streams.next_message(0.0)
    if acked_at is not None:
        streams.acked(1, acked_at)
    for symbol, at in heard.items():
        streams.streams[symbol].heard_at = at
    return streams


@pytest.mark.parametrize(
    ("case", "old", "new", "now", "verdict"),
    [
        ("everything came over the new one", {"A": 11, "B": 5}, {"A": 11, "B": 12}, 12, Verdict.RETIRE_OLD),
        ("nothing came over either yet", {"A": 5}, {"A": None}, 12, Verdict.WAIT),
        ("some came over the new one", {"A": 11, "B": 5}, {"A": 11, "B": None}, 24.9, Verdict.WAIT),
        ("what was quiet on the old may be quiet on the new", {"B": 5}, {"B": None}, 25, Verdict.RETIRE_OLD),
        ("what never came at all", {"B": None}, {"B": None}, 25, Verdict.RETIRE_OLD),
        ("the old one delivers, the new one does not", {"A": 11}, {"A": None}, 25, Verdict.WAIT),
        ("and still does not", {"A": 11}, {"A": None}, 39.9, Verdict.WAIT),
        ("and the overlap ends", {"A": 11}, {"A": None}, 40, Verdict.DISCARD_NEW),
        ("one of two is owed", {"A": 11, "B": 11}, {"A": 11, "B": None}, 40, Verdict.DISCARD_NEW),
        ("a symbol only the new one has", {"A": 11}, {"A": 11, "B": None}, 25, Verdict.RETIRE_OLD),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_verdict_on_a_successor_acknowledged_at_10_with_30_s_of_overlap(
    case: str, old: dict[str, float | None], new: dict[str, float | None], now: float, verdict: Verdict
) -> None:
    given = judge(ledger(old, 0.0), ledger(new, 10.0), now, opened_at=9.0, overlap_s=30.0)
    assert given is verdict, case


def test_a_successor_that_is_never_acknowledged_is_discarded_in_the_end() -> None:
    old, new = ledger({"A": 11.0}, 0.0), ledger({"A": None}, None)
    assert judge(old, new, 38.9, opened_at=9.0, overlap_s=30.0) is Verdict.WAIT
    assert judge(old, new, 39.0, opened_at=9.0, overlap_s=30.0) is Verdict.DISCARD_NEW
