"""``Book`` against the obvious book, through whatever a stream, a snapshot and a refill can bring."""

from collections.abc import Sequence
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from depthcast.book import Audit, Book
from depthcast.errors import BadLevel
from depthcast.events import Diff, Level, PlainLevels, Snapshot
from depthcast.side import CHUNK
from tests.properties.effort import LONG, examples
from tests.properties.levels import (
    ZEROS,
    Levels,
    NaiveBook,
    plain,
    pools,
    prices,
    quantities,
    quantities_or_none,
    spelled,
)

LIMITS = (5, 10, 20, 50, 100, 500, 1000, 5000)
BAD = ("", "-1", "1e5", "nan", "inf", "1_0", " 1", "1.2.3", ".", "\u0661", "1,2", "9" * 65, '1","2')


def plainly(levels: Sequence[Level]) -> Sequence[Level]:
    """The levels as whoever reads a frame proves them to be plain, where they are."""
    plain_ones = all(
        text.count(".") == 1 and text.replace(".", "").isdecimal() for each in levels for text in each
    )
    return PlainLevels(levels) if plain_ones else levels


class Books(RuleBasedStateMachine):
    """One book and its model, from one snapshot on. Prices come from a small pool, so levels come back."""

    book: Book
    model: NaiveBook
    pool: list[Decimal]

    @initialize(pool=pools, data=st.data())
    def begin(self, pool: list[Decimal], data: st.DataObject) -> None:
        self.pool = pool
        first = self.snapshot(data, update_id=data.draw(st.integers(0, 2**62)))
        self.book, self.model = Book.of(first), NaiveBook(first)

    # What comes in

    def snapshot(self, data: st.DataObject, *, update_id: int) -> Snapshot:
        sides: list[Levels] = []
        for descending in (True, False):
            chosen = data.draw(st.lists(st.sampled_from(self.pool), unique=True))
            sides.append(
                [
                    [data.draw(spelled(price)), data.draw(quantities)]
                    for price in sorted(chosen, reverse=descending)
                ]
            )
        bids, asks = sides
        return Snapshot(update_id, bids, asks, data.draw(st.booleans()), data.draw(st.booleans()))

    def levels(self, data: st.DataObject) -> Levels:
        chosen = data.draw(st.lists(st.sampled_from(self.pool), max_size=6))
        return [[data.draw(spelled(price)), data.draw(quantities_or_none)] for price in chosen]

    def told(self, diff: Diff, proven: bool) -> Diff:
        return diff._replace(bids=plainly(diff.bids), asks=plainly(diff.asks)) if proven else diff

    @rule(data=st.data(), proven=st.booleans(), time=st.integers(0, 10**13))
    def diff(self, data: st.DataObject, proven: bool, time: int) -> None:
        last = self.book.update_id + data.draw(st.integers(1, 9))
        change = Diff("X", last, last, time, self.levels(data), self.levels(data))
        self.book.apply(self.told(change, proven))
        self.model.apply(change)
        assert self.book.event_time_ms == time

    @rule(data=st.data(), count=st.integers(1, 5), respelled=st.booleans())
    def deferred_diffs(self, data: st.DataObject, count: int, respelled: bool) -> None:
        """They wait to be written until somebody looks; what waits then is left for the next step to meet."""
        self.book.settle()
        standing: list[set[str]] = [set(), set()]
        for _ in range(count):
            last = self.book.update_id + 1
            sides = self.levels(data), self.levels(data)
            if not respelled:
                sides = tuple([[f"{Decimal(p):.20f}", q] for p, q in side] for side in sides)  # type: ignore[assignment]
            change = self.told(Diff("X", last, last, last, *sides), proven=True)
            if not all(type(side) is PlainLevels for side in (change.bids, change.asks)):
                self.book.apply(change)
                standing = [set(), set()]
            else:
                self.book.defer(change)
                for spellings, side in zip(standing, (change.bids, change.asks), strict=True):
                    spellings |= {price for price, _ in side}
            self.model.apply(change)
            assert (self.book.update_id, self.book.event_time_ms) == (last, last)
            respelled_now = any(len(set(map(Decimal, each))) < len(each) for each in standing)
            if self.book.unsettled > 1 and respelled_now:
                # Nobody knows any more which spelling came last: that is told until the book is built anew.
                for _ in range(2):
                    with pytest.raises(BadLevel, match="two spellings"):
                        self.book.body(5)
                self.another_snapshot(data)
                return

    @rule(seed=st.integers(0, 2**32), share=st.sampled_from((0.0, 0.1, 0.5, 0.95)), proven=st.booleans())
    def many_levels(self, seed: int, share: float, proven: bool) -> None:
        """So many that chunks are split, joined and emptied; around one power of ten and the pool's first."""
        rng = Random(seed)
        last = self.book.update_id + 1
        sides: list[Levels] = []
        for sign in (-1, 1):
            span = rng.randrange(1, 6 * CHUNK)
            start = rng.choice((Decimal(1000), self.pool[0]))
            sides.append(
                [
                    [
                        plain(abs(start + sign * Decimal(rng.randrange(span)) / 100)),
                        rng.choice(ZEROS) if rng.random() < share else f"{rng.randrange(1, 10**6)}.50",
                    ]
                    for _ in range(rng.randrange(4 * CHUNK))
                ]
            )
        change = Diff("X", last, last, 0, sides[0], sides[1])
        self.book.defer(self.told(change, proven))
        self.book.settle()
        self.model.apply(change)

    @rule(data=st.data(), bad=st.sampled_from(BAD), on_price=st.booleans(), proven=st.booleans())
    def a_bad_level(self, data: st.DataObject, bad: str, on_price: bool, proven: bool) -> None:
        level = [bad, "1"] if on_price else ["1", bad]
        sides: list[Sequence[Level]] = [[*self.levels(data), level, *self.levels(data)], self.levels(data)]
        if data.draw(st.booleans()):
            sides.reverse()
        last = self.book.update_id + 1
        before = self.book.event_time_ms
        with pytest.raises(BadLevel):
            self.book.apply(self.told(Diff("X", last, last, 77, sides[0], sides[1]), proven))
        assert self.book.event_time_ms == before

    @rule(data=st.data())
    def another_snapshot(self, data: st.DataObject) -> None:
        first = self.snapshot(data, update_id=self.book.update_id)
        self.book, self.model = Book.of(first), NaiveBook(first)

    @rule(data=st.data())
    def refill(self, data: st.DataObject) -> None:
        shown = self.snapshot(data, update_id=self.book.update_id)
        fresh, fresh_model = Book.of(shown), NaiveBook(shown)
        counts = zip(
            self.model.bids.audit(fresh_model.bids), self.model.asks.audit(fresh_model.asks), strict=True
        )
        assert self.book.audit(fresh) == Audit(*map(sum, counts))
        self.book.refill(fresh)
        self.model.refill(fresh_model)
        fresh.check()
        # What was taken over is not shared: the snapshot's book may go on by itself.
        fresh.apply(Diff("X", 1, 1, 0, [[plain(price), "0"] for price in self.pool], []))

    # What goes out

    @rule(
        limits=st.lists(st.integers(1, 5000) | st.sampled_from((1, 2, 63, 64, 65, 127, 128, 129)), min_size=1)
    )
    def some_limits(self, limits: list[int]) -> None:
        assert self.book.bodies(limits) == [self.model.body(limit) for limit in limits]

    @rule(limit=st.none() | st.integers(1, 300))
    def values(self, limit: int | None) -> None:
        shown = self.model.bids.certain()[:limit], self.model.asks.certain()[:limit]
        assert self.book.strings(limit) == shown
        numbers = [([float(p) for p, _ in side], [float(q) for _, q in side]) for side in shown]
        assert list(self.book.numbers(limit)) == numbers
        columns = [([abs(p) for p in keys], list(amounts)) for keys, amounts in self.book.columns(limit)]
        assert columns == numbers

    @precondition(lambda self: hasattr(self, "book"))
    @invariant()
    def is_the_obvious_book(self) -> None:
        book, model = self.book, self.model
        book.check()
        assert book.update_id == model.update_id
        if book.unsettled:
            return
        bids, asks = model.bids.certain(), model.asks.certain()
        assert book.body(7) == model.body(7)
        self.values(9)
        assert book.certainty == (
            len(bids),
            len(asks),
            model.bids.certain_to is None,
            model.asks.certain_to is None,
        )
        assert len(book) == len(model.bids.levels) + len(model.asks.levels)
        assert book.best_bid == (tuple(bids[0]) if bids else None)
        assert book.best_ask == (tuple(asks[0]) if asks else None)
        assert book.crossed == bool(bids and asks and Decimal(bids[0][0]) >= Decimal(asks[0][0]))
        assert book.exhausted == any(
            side.certain_to is not None and not side.certain() for side in (model.bids, model.asks)
        )

    def teardown(self) -> None:
        if hasattr(self, "book"):
            assert self.book.bodies(LIMITS) == [self.model.body(limit) for limit in LIMITS]


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=examples(100), stateful_step_count=25)


@pytest.mark.parametrize(("bids", "asks"), [(5200, 5000), (5001, 64), (0, 128), (1, 0)])
def test_every_limit_there_is(bids: int, asks: int) -> None:
    """Each of the 5,000 by itself and with others, by nothing but the pieces that a file is made of."""
    up = [[f"{n}.5", f"{n + 1}"] for n in range(max(bids, asks))]
    first = Snapshot(7, up[:bids][::-1], up[:asks], True, True)
    pieces = [[f'["{price}","{quantity}"]' for price, quantity in side] for side in (first.bids, first.asks)]

    def expected(limit: int) -> bytes:
        shown = (",".join(side[:limit]) for side in pieces)
        return '{{"lastUpdateId":7,"bids":[{}],"asks":[{}]}}'.format(*shown).encode()

    book = Book.of(first)
    every = range(1, 5001) if LONG else [*range(1, 400), *range(400, 5000, 7), *range(4900, 5001)]
    for limit in every:
        assert book.body(limit) == expected(limit)
    for at in range(0, len(every), 50):
        assert book.bodies(every[at : at + 50]) == [expected(limit) for limit in every[at : at + 50]]
    book.check()


@given(st.lists(prices, min_size=1, max_size=40, unique=True), st.data())
@settings(max_examples=examples(60))
def test_levels_may_come_in_any_order_and_one_by_one_or_together(
    numbers: list[Decimal], data: st.DataObject
) -> None:
    levels = [[data.draw(spelled(number)), data.draw(quantities)] for number in numbers]
    shuffled = data.draw(st.permutations(levels))
    together, alone = (Book.of(Snapshot(1, [], [], True, True)) for _ in range(2))
    together.apply(Diff("X", 2, 2, 0, levels, levels))
    for level in shuffled:
        alone.apply(Diff("X", 2, 2, 0, [level], [level]))
    assert together.bodies(LIMITS) == alone.bodies(LIMITS)
    # And they may all leave again.
    together.apply(Diff("X", 3, 3, 0, [[price, "0.0"] for price, _ in shuffled], []))
    together.check()
    assert together.certainty.bids == 0
    assert together.certainty.asks == len(levels)
