"""``RowBook`` against a dictionary that is sorted when it is read, through whatever a venue can say."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from depthcast.book import Audit
from depthcast.errors import BookSpoiled
from depthcast.rows import Action, Row, RowBook, RowsChanged, RowSnapshot
from tests.depthcast.rows.naive import Contradiction, NaiveRows
from tests.properties.effort import LONG, examples

PRICES = ("9.98", "9.99", "9.990", "9e-7", "10", "1e1", "10.00", "10.01", "0.0000009", "10.02")

rows = st.tuples(
    st.integers(0, 12),
    st.booleans(),
    st.integers(1, 10**12),
    st.sampled_from(PRICES),
    st.sampled_from(("", "2024-11-11T00:00:00.001Z", "2024-11-11T00:00:00.002Z")),
)
actions = st.sampled_from(Action)


class Rows(RuleBasedStateMachine):
    """One book and its model. There are few ids and prices, so that they meet."""

    def __init__(self) -> None:
        super().__init__()
        self.model = NaiveRows()
        self.book = RowBook.of(RowSnapshot("X", 0, []))

    @initialize(first=st.lists(rows, max_size=12, unique_by=lambda row: row[:2]))
    def begin(self, first: list[Row]) -> None:
        self.model = NaiveRows(first)
        self.book = RowBook.of(RowSnapshot("X", 5, first))

    @rule(
        action=actions,
        changed=st.lists(rows, min_size=1, max_size=4, unique_by=lambda row: row[:2]),
        old=st.booleans(),
    )
    def change(self, action: Action, changed: list[Row], old: bool) -> None:
        told: list[Row] = []
        for row_id, buy, size, price, time in changed:
            without = old and action is not Action.INSERT
            told.append(
                (row_id, buy, None if action is Action.DELETE else size, None if without else price, time)
            )
        message = RowsChanged("X", self.book.update_id + 1, self.book.update_id + 1, 7, action, told)
        try:
            self.model.apply(message)
        except Contradiction:
            with pytest.raises(BookSpoiled):
                self.book.apply(message)
        else:
            self.book.apply(message)

    @rule(
        told=st.lists(rows, max_size=8, unique_by=lambda row: row[:2]),
        besides=st.sets(st.tuples(st.integers(0, 12), st.booleans()), max_size=6),
    )
    def compare(self, told: list[Row], besides: set[tuple[int, bool]]) -> None:
        mine = {key: value for key, value in self.model.rows.items() if key not in besides}
        theirs = {row[:2]: row[2:] for row in told if row[:2] not in besides}
        alike = 0
        for key in mine.keys() & theirs.keys():
            (size, price, time), (size_told, price_told, time_told) = mine[key], theirs[key]
            same = size == size_told and float(str(price)) == float(str(price_told))
            alike += same and (time == time_told or not time or not time_told)
        both, ghost = len(mine.keys() & theirs.keys()), len(mine.keys() - theirs.keys())
        found = self.book.compare(told, besides=besides)
        assert found == Audit(alike, both - alike, ghost, len(theirs.keys() - mine.keys()))

    @invariant()
    def shows_the_same(self) -> None:
        time_ms = self.book.event_time_ms
        for depth in (0, 1, 3):
            assert self.book.body(depth) == self.model.body("X", depth, time_ms)
        bids, asks = self.book.strings()
        assert (bids, asks) == (self.model.levels(True), self.model.levels(False))
        for side, levels in zip(self.book.top(2), (bids, asks), strict=True):
            assert side == [(float(price), int(size)) for price, size in levels[:2]]
        assert self.book.crossed == self.model.crossed()
        self.book.check()


TestRows = Rows.TestCase
TestRows.settings = settings(
    max_examples=examples(60), stateful_step_count=200 if LONG else 30, deadline=None
)
