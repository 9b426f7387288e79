"""``Sync`` against the exchange's own history, through any interleaving of what two connections deliver.

The exchange here is a list of changes, one an update id. Each connection cuts them into diffs of its own, as
the exchange does: a diff tells the quantities at its last id. What is delivered, doubled, lost, late, damaged
or asked for is Hypothesis' choice. Ids may begin anew far below: each count of ids has a range of its own, so
an id says which book it is of.
"""

from contextlib import suppress
from decimal import Decimal
from random import Random
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from depthcast.errors import BadLevel
from depthcast.events import Diff, PlainLevels, Snapshot
from depthcast.sync import REBASED_AFTER, State, Sync, Verdict
from tests.properties.effort import examples

BIDS: Final = tuple(f"{n}.0" for n in range(1, 7))
ASKS: Final = tuple(f"{n}.0" for n in range(11, 17))
FIRST_COUNT: Final = 10**9
"""Where the first count of ids begins; each later one begins a million lower."""

QUANTITIES: Final = ("0.00", "0", "1", "1.50", "2", "3")
TICK_MS: Final = 10
BUFFER: Final = 12

LAST_VERDICTS: Final = (Verdict.SYNCED, Verdict.TOO_OLD)

Sides = tuple[dict[str, str], dict[str, str]]


class Exchange:
    """What was true at each id of each count, and the changes that led there."""

    def __init__(self) -> None:
        self.books: dict[int, Sides] = {}
        self.changed: dict[int, tuple[int, str]] = {}
        self.times: dict[int, int] = {}
        self.now_ms = 1_700_000_000_000
        self.id = FIRST_COUNT
        self.begun: list[int] = [self.id]
        self._keep({}, dict.fromkeys(ASKS[:2], "1"))

    def _keep(self, bids: dict[str, str], asks: dict[str, str]) -> None:
        self.books[self.id] = (bids, asks)
        self.times[self.id] = self.now_ms

    def change(self, side: int, price: str, quantity: str) -> None:
        self.now_ms += TICK_MS
        sides = tuple(dict(each) for each in self.books[self.id])
        if Decimal(quantity):
            sides[side][price] = quantity
        else:
            sides[side].pop(price, None)
        self.id += 1
        self.changed[self.id] = (side, price)
        self._keep(sides[0], sides[1])

    def rebase(self) -> None:
        """Count anew from far below; the book may be another one, too."""
        self.now_ms += 60_000
        bids, asks = self.books[self.id]
        self.id = FIRST_COUNT - 1_000_000 * len(self.begun)
        self.begun.append(self.id)
        self._keep(dict(list(bids.items())[1:]), dict(asks))

    def diff(self, first: int, last: int) -> Diff:
        """What a connection tells of ``first`` to ``last``: what has changed, as it is at the end."""
        sides: list[list[list[str]]] = [[], []]
        for side, price in sorted({self.changed[each] for each in range(first, last + 1)}):
            sides[side].append([price, self.books[last][side].get(price, "0.00")])
        return Diff("X", first, last, self.times[last], sides[0], sides[1])

    def shown(self, update_id: int) -> tuple[list[list[str]], list[list[str]]]:
        """The book at an id, best first."""
        bids, asks = self.books[update_id]
        return (
            [[p, bids[p]] for p in sorted(bids, key=Decimal, reverse=True)],
            [[p, asks[p]] for p in sorted(asks, key=Decimal)],
        )

    def snapshot(self, update_id: int, limit: int) -> Snapshot:
        bids, asks = self.shown(update_id)
        return Snapshot(update_id, bids[:limit], asks[:limit], len(bids) < limit, len(asks) < limit)


class Connection:
    """Changes from where it was opened on, cut into diffs as they are read."""

    def __init__(self, exchange: Exchange, at: int) -> None:
        self.exchange = exchange
        self.at = at
        """Up to here it was told."""
        self.said: list[Diff] = []

    def next(self, most: int) -> Diff | None:
        """The next diff, of at most so many changes; ``None`` where nothing has happened since."""
        exchange = self.exchange
        if self.at not in exchange.books or self.at + 1 not in exchange.books:
            # The end of a count of ids: what comes next is of the one after it.
            later = [begun for begun in exchange.begun if begun < self.at]
            if self.at == exchange.id or not later:
                return None
            self.at = later[0]
            return self.next(most)
        last = self.at + 1
        while last - self.at < most and last + 1 in exchange.books:
            last += 1
        diff = exchange.diff(self.at + 1, last)
        self.at = last
        self.said.append(diff)
        return diff


class Streams(RuleBasedStateMachine):
    """One symbol's machine under two connections, with snapshots, files, refills and faults in any order."""

    @initialize()
    def begin(self) -> None:
        self.exchange = Exchange()
        self.sync = Sync("X", buffer=BUFFER)
        self.connections = [Connection(self.exchange, self.exchange.id) for _ in range(2)]
        self.unreadable = False

    # The exchange

    @rule(seed=st.integers(0, 2**32), count=st.integers(1, 25))
    def trade(self, seed: int, count: int) -> None:
        rng = Random(seed)
        for _ in range(count):
            side = rng.randrange(2)
            self.exchange.change(side, rng.choice((BIDS, ASKS)[side]), rng.choice(QUANTITIES))

    @precondition(lambda self: len(self.exchange.begun) < 4)
    @rule()
    def count_ids_anew(self) -> None:
        self.exchange.rebase()

    # What connections deliver

    @rule(which=st.integers(0, 1), most=st.integers(1, 6), count=st.integers(1, 4), proven=st.booleans())
    def deliver(self, which: int, most: int, count: int, proven: bool) -> None:
        for _ in range(count):
            diff = self.connections[which].next(most)
            if diff is not None:
                self.take(diff, proven)

    @rule(deferring=st.booleans())
    def defer(self, deferring: bool) -> None:
        self.sync.deferring = deferring

    @rule(which=st.integers(0, 1), most=st.integers(1, 6), follow=st.booleans())
    def deliver_unreadable(self, which: int, most: int, follow: bool) -> None:
        """What looks plain and is no number shows only when it is written."""
        diff = self.connections[which].next(most)
        if diff is not None:
            bad = diff._replace(bids=PlainLevels([*diff.bids, ["1.0", "."]]), asks=PlainLevels(diff.asks))
            self.unreadable = True
            self.sync.diff(bad)
            if follow:
                self.deliver(which, 1, 1, proven=True)

    @rule(which=st.integers(0, 1), most=st.integers(1, 6))
    def lose(self, which: int, most: int) -> None:
        self.connections[which].next(most)

    @rule(which=st.integers(0, 1), at=st.integers(0, 30), count=st.integers(1, 4))
    def deliver_again(self, which: int, at: int, count: int) -> None:
        said = self.connections[which].said
        for diff in said[-1 - at :][:count]:
            self.take(diff, proven=False)

    @rule(which=st.integers(0, 1), most=st.integers(1, 6), bad=st.sampled_from(("x", "", "-1", "1e3")))
    def deliver_damaged(self, which: int, most: int, bad: str) -> None:
        diff = self.connections[which].next(most)
        if diff is not None:
            verdict = self.sync.diff(diff._replace(bids=[*diff.bids, ["1.0", bad]]))
            assert verdict is not Verdict.APPLIED

    @rule(which=st.integers(0, 1))
    def reconnect(self, which: int) -> None:
        self.connections[which] = Connection(self.exchange, self.exchange.id)

    def take(self, diff: Diff, proven: bool) -> None:
        if proven:
            diff = diff._replace(bids=PlainLevels(diff.bids), asks=PlainLevels(diff.asks))
        before = self.sync.state
        verdict = self.sync.diff(diff)
        if verdict is Verdict.APPLIED:
            assert self.sync.book is not None
            assert (before, self.sync.book.update_id) == (State.LIVE, diff.last)
        # What waited to be written may turn out bad with the next one that is.
        assert verdict is not Verdict.BAD or self.unreadable
        assert verdict.broken <= (self.sync.state is State.WAITING)

    # What is asked for

    def some_id(self, back: int) -> int:
        """An id of the past: so many changes ago, in whichever count that was."""
        ids = list(self.exchange.books)
        return ids[max(0, len(ids) - 1 - back)]

    @precondition(lambda self: self.sync.state is State.WAITING)
    @rule(back=st.integers(0, 12), beside=st.none() | st.integers(-2, 2), limit=st.integers(1, 8))
    def snapshot(self, back: int, beside: int | None, limit: int) -> None:
        # The venue's own snapshot is of the present count, however long it was under way.
        wanted = self.sync.wanted_id
        update_id = self.some_id(back) if beside is None else wanted + beside
        if not self.exchange.begun[-1] <= update_id <= self.exchange.id:
            update_id = self.exchange.id
        try:
            verdict = self.sync.snapshot(self.exchange.snapshot(update_id, limit))
        except BadLevel:
            assert self.sync.state is State.WAITING, "a damaged diff was in the buffer"
        else:
            assert verdict is (Verdict.TOO_OLD if update_id < wanted else Verdict.SYNCED)

    @precondition(lambda self: self.sync.state is State.WAITING)
    @rule(back=st.integers(0, 60), limit=st.integers(1, 8))
    def file(self, back: int, limit: int) -> None:
        update_id = self.some_id(back)
        shown = self.exchange.snapshot(update_id, limit)
        buffered = self.sync.buffered
        try:
            verdict = self.sync.snapshot(
                shown._replace(event_time_ms=self.exchange.times[update_id]), proven=False
            )
        except BadLevel:
            assert self.sync.state is State.WAITING
        else:
            assert buffered or verdict is Verdict.UNPROVEN

    @precondition(lambda self: self.sync.state is State.LIVE)
    @rule()
    def begin_refill(self) -> None:
        self.sync.begin_refill()

    @rule(back=st.integers(0, 12), limit=st.integers(1, 8))
    def refill(self, back: int, limit: int) -> None:
        self.sync.refill(self.exchange.snapshot(self.some_id(back), limit))

    @precondition(lambda self: self.sync.state is State.LIVE)
    @rule(ahead=st.integers(-6, 6), limit=st.integers(1, 8), which=st.integers(0, 1))
    def refill_about_now(self, ahead: int, limit: int, which: int) -> None:
        """As a refill goes: diffs come while the second snapshot is under way, and after it."""
        sync, connection = self.sync, self.connections[which]
        self.trade(ahead, 12)
        sync.begin_refill()
        self.deliver(which, 2, 3, proven=False)
        if sync.book is not None and sync.book.update_id + ahead in self.exchange.books:
            sync.refill(self.exchange.snapshot(sync.book.update_id + ahead, limit))
        self.the_book_is_the_truth_at_its_id()
        if connection.next(1) is not None:
            self.deliver(which, 3, 2, proven=True)

    @rule()
    def restart(self) -> None:
        self.sync.restart()

    # What must be so

    @precondition(lambda self: hasattr(self, "sync"))
    @invariant()
    def the_book_is_the_truth_at_its_id(self) -> None:
        sync, exchange = self.sync, self.exchange
        sync.check()
        assert sync.buffered <= BUFFER
        audit = sync.take_audit()
        assert audit is None or audit.clean, "two true books at one id differ"
        book = sync.book
        if book is None:
            return
        if not sync.settle():
            # Its keeper shows no such book, and has it built anew.
            self.unreadable = True
            sync.restart()
            assert sync.state is State.WAITING
            return
        self.unreadable = False
        bids, asks = exchange.shown(book.update_id)
        certainty = book.certainty
        shown = bids[: certainty.bids], asks[: certainty.asks]
        assert book.strings() == shown, "the book is not the exchange's at its id"
        assert not certainty.bids_complete or len(bids) == certainty.bids
        assert not certainty.asks_complete or len(asks) == certainty.asks

    def teardown(self) -> None:
        """Once the faults end, the book is live and the present one, within a bounded number of diffs."""
        if not hasattr(self, "sync"):
            return
        exchange, sync = self.exchange, self.sync
        healthy = Connection(exchange, exchange.id)
        for step in range(REBASED_AFTER + 3):
            exchange.change(0, BIDS[step % 6], f"{step + 1}")
            diff = healthy.next(1)
            assert diff is not None
            self.take(diff, proven=False)
            if sync.state is State.WAITING:
                # Too old while diffs of the earlier ids wait; a damaged one among them goes with the attempt.
                with suppress(BadLevel):
                    assert sync.snapshot(exchange.snapshot(exchange.id, 8)) in LAST_VERDICTS
            self.the_book_is_the_truth_at_its_id()
        assert sync.state is State.LIVE
        assert sync.book is not None
        assert sync.book.update_id == exchange.id


TestStreams = Streams.TestCase
TestStreams.settings = settings(max_examples=examples(400), stateful_step_count=40)
