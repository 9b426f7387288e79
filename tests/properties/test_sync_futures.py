"""``Sync`` on ids with holes, beside a follower that keeps to the letter of the futures' documents.

The exchange is a list of changes whose ids jump, since other symbols have those in between. One connection
tells it in diffs that name the one before (``pu``); they are lost, doubled and put behind others. Snapshots
are asked for now and then, by both followers at once. Where the letter's follower has a book, so has
``Sync``, at the same id at least; and whatever ``Sync`` shows was true.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from depthcast.events import Diff, Snapshot
from depthcast.sync import State, Sync
from tests.properties.effort import examples

PRICES: Final = [f"{n}.0" for n in range(1, 6)]

Levels = dict[str, str]


@dataclass
class Truth:
    """What was true at each id; only bids, since sides do not meet each other here."""

    rng: Random
    ids: list[int] = field(default_factory=lambda: [10**12])
    books: dict[int, Levels] = field(default_factory=lambda: {10**12: {"1.0": "1.0"}})
    names: dict[int, str] = field(default_factory=dict)

    def change(self) -> None:
        book = dict(self.books[self.ids[-1]])
        price = self.rng.choice(PRICES)
        book.pop(price, None)
        if self.rng.random() < 0.7:
            book[price] = f"{self.rng.randrange(1, 9)}.0"
        self.ids.append(self.ids[-1] + self.rng.choice((1, 1, 2, 7, 300)))
        self.books[self.ids[-1]] = book
        self.names[self.ids[-1]] = price

    def diff(self, told: int) -> Diff:
        """All behind the id with number ``told``, as one diff."""
        changed, last = self.ids[told + 1 :], self.ids[-1]
        prices = sorted({self.names[each] for each in changed})
        bids = [[price, self.books[last].get(price, "0.0")] for price in prices]
        return Diff("X", changed[0], last, last, bids, [], self.ids[told], last)

    def snapshot(self, update_id: int) -> Snapshot:
        book = self.books[update_id]
        bids = [[price, book[price]] for price in sorted(book, reverse=True)]
        return Snapshot(update_id, bids, [], True, True, update_id, update_id)


class Letter:
    """*"Drop any event where u is < lastUpdateId … The first processed event should have U <= lastUpdateId
    AND u >= lastUpdateId … each new event's pu should be equal to the previous event's u"*."""

    def __init__(self) -> None:
        self.buffer: list[Diff] = []
        self.book: Levels | None = None
        self.last: int | None = None
        self.opened: int | None = None

    def diff(self, diff: Diff) -> None:
        if self.book is None:
            self.buffer.append(diff)
            return
        if self.last is None:
            assert self.opened is not None
            if diff.last < self.opened:
                return
            if not diff.first <= self.opened <= diff.last:
                self.restart(diff)
                return
        elif diff.previous != self.last:
            self.restart(diff)
            return
        for price, quantity in diff.bids:
            self.book.pop(price, None)
            if float(quantity):
                self.book[price] = quantity
        self.last = diff.last

    def restart(self, diff: Diff) -> None:
        self.book, self.last, self.buffer = None, None, [diff]

    def snapshot(self, update_id: int, book: Levels) -> None:
        self.book, self.last, self.opened = dict(book), None, update_id
        waiting, self.buffer = self.buffer, []
        for diff in waiting:
            self.diff(diff)


@given(st.integers(0, 2**32), st.lists(st.sampled_from("ccccccddddlx2so"), min_size=20, max_size=150))
@settings(max_examples=examples(60), deadline=None)
def test_what_is_shown_was_true_and_no_less_is_shown_than_by_the_letter(seed: int, steps: list[str]) -> None:
    truth, sync, letter = Truth(Random(seed)), Sync("X"), Letter()
    told, late = 0, list[Diff]()
    for step in steps:
        if step == "c":
            truth.change()
            continue
        if step == "s":
            # A snapshot is the book of now; one of a while ago (o) comes late.
            at = truth.ids[-1] if not late else truth.rng.choice(truth.ids[-3:])
            if sync.state is State.WAITING:
                sync.snapshot(truth.snapshot(at))
            if letter.book is None:
                letter.snapshot(at, truth.books[at])
        elif step == "o":
            for diff in late:
                sync.diff(diff)
            late.clear()
        elif told < len(truth.ids) - 1:
            diff = truth.diff(told)
            told = len(truth.ids) - 1
            if step == "l":
                continue
            for _ in range(2 if step == "2" else 1):
                sync.diff(diff)
            letter.diff(diff)
            if step == "x":
                late.append(diff)
        sync.check()
        if sync.state is State.LIVE:
            assert sync.book is not None
            shown = {level[0]: level[1] for level in sync.book.strings()[0]}
            assert shown == truth.books[sync.book.update_id]
        if letter.last is not None:
            assert sync.state is State.LIVE
            assert sync.book is not None
            assert sync.book.update_id >= letter.last
