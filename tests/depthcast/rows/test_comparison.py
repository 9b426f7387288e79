"""A snapshot beside a stream: what moves is passed over, what stood still and differs is found."""

from collections import deque
from random import Random
from typing import Any

import pytest

from depthcast.book import Audit
from depthcast.rows import Row, RowBook, RowSnapshot, comparison
from depthcast.rows.comparison import MARGIN_MS, Comparison
from depthcast.sync import State, Verdict
from depthcast.unsequenced import BITS_OF_MS, StreamSync
from depthcast.venues import TOLD
from depthcast.venues.bitmex import BitMEX
from depthcast.venues.bitmex_files import WHOLE
from simulator.bitmex.market import Market
from simulator.bitmex.rest import Rest
from tests.simulator.bitmex.conftest import XBT, Bench, taken

ROWS: list[Row] = [(1, True, 5, "2.5", "a"), (2, True, 6, "2.4", "b"), (2, False, 7, "2.6", "c")]


def book() -> RowBook:
    return RowBook.of(RowSnapshot("X", 7, ROWS, 1000))


def shown(*rows: Row, time_ms: int = 1000, complete: bool = True) -> RowSnapshot:
    return RowSnapshot("X", 0, rows, time_ms, complete)


def test_the_same_rows_match() -> None:
    compared = Comparison(1000)
    assert compared.hear(shown(*ROWS))
    assert compared.result(book()) == Audit(3, 0, 0, 0)


def test_rows_that_differ_are_counted_by_kind() -> None:
    compared = Comparison(1000)
    assert compared.hear(shown((1, True, 6, "2.5", "a"), (1, False, 7, "2.7", "c"), ROWS[2]))
    assert compared.result(book()) == Audit(matching=1, different=1, ghost=1, missing=1)


@pytest.mark.parametrize(
    "other", [(1, True, 5, "2.55", "a"), (1, True, 5, "2.5", "z"), (1, True, 5, None, "a")]
)
def test_another_price_and_another_time_are_differences(other: Row) -> None:
    compared = Comparison(1000)
    assert compared.hear(shown(other, *ROWS[1:]))
    assert compared.result(book()) == Audit(2, 1, 0, 0)


def test_another_spelling_and_a_time_that_is_not_told_are_none() -> None:
    compared = Comparison(1000)
    assert compared.hear(shown((1, True, 5, "2.50", ""), *ROWS[1:]))
    assert compared.result(book()) == Audit(3, 0, 0, 0)


def test_what_changes_meanwhile_is_passed_over_whatever_became_of_it() -> None:
    compared = Comparison(1000)
    compared.changed([ROWS[0], (9, True, 1, "2.3", ""), (8, False, 1, "2.8", "")])
    assert compared.moved
    # One of another size, one that is gone here, one that is gone there.
    assert compared.hear(shown((1, True, 9, "2.5", "a"), (9, True, 1, "2.3", ""), *ROWS[1:]))
    assert compared.result(book()) == Audit(2, 0, 0, 0)
    compared.check()


def test_the_side_belongs_to_what_a_row_is_known_by() -> None:
    compared = Comparison(1000)
    compared.changed([ROWS[1]])
    assert compared.hear(shown(ROWS[0], (2, False, 8, "2.6", "c")))
    assert compared.result(book()) == Audit(1, 1, 0, 0)


def test_a_snapshot_of_before_and_one_of_the_best_rows_alone_prove_nothing() -> None:
    compared = Comparison(1000)
    assert not compared.hear(shown(time_ms=999))
    assert not compared.hear(shown(complete=False))
    assert compared.result(book()) is None
    assert not compared.passed(10**9)


def test_the_stream_has_to_pass_the_snapshot() -> None:
    compared = Comparison(1000)
    compared.hear(shown(time_ms=5000))
    assert [compared.passed(5000 + MARGIN_MS + more) for more in (0, 1)] == [False, True]


def test_where_too_much_changes_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "MOST_CHANGED", 2)
    compared = Comparison(1000)
    compared.hear(shown())
    for row_id in range(5):
        compared.changed([(row_id, True, 1, "1", "")])
    assert compared.result(book()) is None


# Beside the exchange


class Reader:
    """A book whose messages come late by a number of ticks that changes, in their order; one may be lost."""

    def __init__(self, bench: Bench, rng: Random) -> None:
        self._bench = bench
        self._rng = rng
        self._venue = BitMEX()
        self._session = bench.session(f"subscribe=orderBookL2:{XBT},orderBook10:{XBT}", outbox=10**6)
        self._way: deque[tuple[int, str]] = deque()
        self._now = 0
        self._due = 0
        self.sync: Any = StreamSync(XBT, bits=BITS_OF_MS, witness=10, compared=True, book_of=RowBook.of)
        self.lose = False

    def tick(self) -> None:
        """A tick of the exchange, and what has arrived by now."""
        self._bench.tick()
        self._now += 1
        # A stream that stands still for up to two seconds, and comes at once then.
        if self._rng.random() < 0.05:
            self._due = self._now + self._rng.randrange(20)
        for frame in taken(self._session):
            if self.lose and '"orderBookL2","action":"update"' in frame:
                self.lose = False
                continue
            self._way.append((max(self._due, self._now), frame))
        while self._way and self._way[0][0] <= self._now:
            event = self._venue.parse_frame(self._way.popleft()[1])
            if type(event) in TOLD:
                self.sync.diff(event)
        if self.sync.state is State.WAITING and self.sync.ready:
            assert self.sync.begin() is Verdict.SYNCED

    def settle(self) -> None:
        """Wait until nothing is on its way."""
        while self._way:
            self.tick()

    def comparison(self, rest: Rest) -> Audit | None:
        """A comparison with an answer that is on its way for a while; ``None`` where it proves nothing."""
        compared: Comparison | None = self.sync.compare()
        assert compared is not None
        for _ in range(20):
            self.tick()
        answer = rest.answer("GET", "/api/v1/orderBook/L2", f"symbol={XBT}&depth=0", headers={}, address="")
        assert answer.status == 200
        for _ in range(self._rng.randrange(30)):
            self.tick()
        if not compared.hear(self._venue.parse_snapshot(answer.body, WHOLE)):
            return None
        for _ in range(100):
            if compared.passed(self.sync.time_ms):
                break
            self.tick()
        self.sync.check()
        kept = self.sync.book
        assert isinstance(kept, RowBook)
        assert self.sync.comparison is compared
        found: Audit | None = compared.result(kept)
        return found


def truth(market: Market) -> set[tuple[int, str, int]]:
    return {(row.id, row.side, row.size) for row in market.book.rows()}


def kept(reader: Reader) -> set[tuple[int, str, int]]:
    held = reader.sync.book
    assert isinstance(held, RowBook)
    return {(row[0], "Buy" if row[1] else "Sell", row[2] or 0) for row in held.rows()}


@pytest.mark.parametrize("seed", range(4))
def test_a_busy_market_with_late_messages_and_answers_never_looks_wrong(seed: int) -> None:
    bench = Bench(seed=seed)
    bench.exchange.requests.limit = 10**6
    reader, rest = Reader(bench, Random(seed)), Rest(bench.exchange)
    while reader.sync.state is State.WAITING:
        reader.tick()
    audits = [reader.comparison(rest) for _ in range(15)]
    assert all(audit is None or audit.clean for audit in audits), audits
    assert sum(audit.matching for audit in audits if audit is not None) > 100
    reader.settle()
    assert kept(reader) == truth(bench.market())


@pytest.mark.parametrize("seed", range(4))
def test_a_lost_change_of_a_row_that_stands_still_is_found(seed: int) -> None:
    bench = Bench(seed=seed)
    bench.exchange.requests.limit = 10**6
    reader, rest = Reader(bench, Random(seed)), Rest(bench.exchange)
    while reader.sync.state is State.WAITING:
        reader.tick()
    found = 0
    for _ in range(40):
        reader.lose = True
        while reader.lose:
            reader.tick()
        reader.settle()
        wrong = kept(reader) ^ truth(bench.market())
        audit = reader.comparison(rest)
        if reader.sync.state is State.WAITING:
            break
        assert audit is None or audit.clean or wrong, "a book that is right was called wrong"
        reader.settle()
        still = {row[:2] for row in wrong & (kept(reader) ^ truth(bench.market()))}
        if audit is not None and still:
            # What was wrong before and is wrong still was touched by nothing in between.
            assert not audit.clean
            assert audit.different + audit.ghost + audit.missing >= len(still)
            found += 1
            break
    assert found
