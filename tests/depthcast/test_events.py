"""Levels as they came over the wire, and diffs merged into one."""

from decimal import Decimal

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthcast.book import Book
from depthcast.errors import BadLevel
from depthcast.events import Diff, Snapshot, WireLevels, merge

Levels = list[list[str]]


def wire(levels: Levels) -> WireLevels:
    return WireLevels(orjson.dumps(levels)[2:-2])


def test_levels_of_the_wire_are_a_sequence_of_levels() -> None:
    levels = wire([["2.0", "1.5"], ["1.0", "0.0"]])
    assert len(levels) == 2
    assert list(levels) == [["2.0", "1.5"], ["1.0", "0.0"]]
    assert levels[0] == ["2.0", "1.5"]
    assert levels[:1] == [["2.0", "1.5"]]
    assert levels == [["2.0", "1.5"], ["1.0", "0.0"]]
    assert levels == wire([["2.0", "1.5"], ["1.0", "0.0"]])
    assert levels != [["2.0", "1.5"]]
    assert levels != "2.0"
    assert repr(levels) == """WireLevels(b'"2.0","1.5"],["1.0","0.0"')"""
    with pytest.raises(TypeError):
        hash(levels)


def test_no_levels_are_none() -> None:
    assert list(WireLevels(b"")) == []
    assert WireLevels(b"") == []
    assert not WireLevels(b"")


numbers = st.one_of(
    st.integers(0, 10**9).map(lambda n: f"{n / 10**4:.8f}"),
    st.integers(0, 30).map(str),
    st.sampled_from(
        ["0", "0.000", ".5", "5.", "00.1", "1e5", "", "-1", "nan", "1.2.3", "9" * 70, '"', "\\", "é"]
    ),
)
sides = st.lists(st.tuples(numbers, numbers).map(list), max_size=6)


@given(sides)
@settings(max_examples=200, deadline=None)
def test_a_book_takes_them_as_it_takes_lists(levels: Levels) -> None:
    outcomes = []
    for side in (levels, wire(levels)):
        book = Book.of(Snapshot(1, [["7.5", "1"]], [], True, True))
        try:
            book.apply(Diff("X", 2, 2, 0, side, []))
            book.check()
            outcomes.append(book.body(50))
        except BadLevel:
            outcomes.append(b"bad")
    assert outcomes[0] == outcomes[1]


@given(sides, st.data())
@settings(max_examples=200, deadline=None)
def test_bytes_that_were_damaged_are_never_taken_for_other_levels(
    levels: Levels, data: st.DataObject
) -> None:
    text = bytearray(wire(levels).text or b'"1","2"')
    at = data.draw(st.integers(0, len(text) - 1))
    text[at] = data.draw(st.integers(0, 255))
    try:
        meant = orjson.loads(b"[[%b]]" % bytes(text))
    except ValueError:
        meant = None
    taken, expected = (Book.of(Snapshot(1, [], [], True, True)) for _ in range(2))
    try:
        taken.apply(Diff("X", 2, 2, 0, WireLevels(bytes(text)), []))
    except BadLevel:
        if meant is not None:
            with pytest.raises(BadLevel):
                expected.apply(Diff("X", 2, 2, 0, meant, []))
        return
    assert meant is not None
    expected.apply(Diff("X", 2, 2, 0, meant, []))
    assert taken.body(50) == expected.body(50)


prices = st.sampled_from(["1.0", "2.0", "2.5", "3.0", "10.0"])
quantities = st.sampled_from(["0", "0.00", "1.5", "2.5"])
some = st.lists(st.tuples(prices, quantities).map(list), max_size=5)


@given(st.lists(st.tuples(some, some), min_size=1, max_size=8), st.booleans())
@settings(max_examples=200, deadline=None)
def test_merged_diffs_lead_where_they_lead_one_by_one(
    told: list[tuple[Levels, Levels]], by_wire: bool
) -> None:
    form = wire if by_wire else list
    diffs = [
        Diff("X", 10 * n, 10 * n + 9, n, form(bids), form(asks)) for n, (bids, asks) in enumerate(told, 1)
    ]
    start = Snapshot(9, [["2.0", "9"]], [["3.0", "9"]], True, True)
    one_by_one, at_once = Book.of(start), Book.of(start)
    for diff in diffs:
        one_by_one.apply(diff)
    merged = merge(diffs)
    assert merged[:4] == ("X", 10, diffs[-1].last, len(diffs))
    assert len({Decimal(price) for price, _ in merged.bids}) == len(merged.bids)
    at_once.apply(merged)
    at_once.check()
    assert at_once.body(50) == one_by_one.body(50)


@pytest.mark.parametrize(
    "levels",
    [
        [["1.0", "1"], ["1.00", "0"]],
        [["1", "1"], "x"],
        [["1", "1", "1"]],
        [["x", "1"]],
        [[1, "1"], [["1"], "1"]],
        [None],
    ],
)
def test_what_cannot_be_merged_is_refused(levels: Levels) -> None:
    for side in (levels, wire(levels)):
        with pytest.raises(ValueError):  # noqa: PT011 - of whatever was found first
            merge([Diff("X", 1, 1, 0, side, []), Diff("X", 2, 2, 0, side, [])])
