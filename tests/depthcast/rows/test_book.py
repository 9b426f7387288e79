"""The book of rows: what each message does to it, what it refuses, what it shows."""

import json
from random import Random
from typing import Any

import pytest

from depthcast.book import Audit
from depthcast.errors import BadLevel, BookSpoiled
from depthcast.rows import Action, Row, RowBook, RowsChanged, RowSnapshot
from depthcast.rows.book import GONE, TOP, WHOLE
from tests.depthcast.rows.naive import NaiveRows

ROWS: list[Row] = [
    (11, True, 5, "2.5", "a"),
    (3, False, 7, "2.7", "b"),
    (12, True, 6, "2.40", "c"),
    (11, False, 8, "2.6", "d"),
]


def book(rows: list[Row] = ROWS) -> RowBook:
    return RowBook.of(RowSnapshot("XBTUSD", 7, rows, 1_684_486_303_911))


def change(action: Action, *rows: Row) -> RowsChanged:
    return RowsChanged("XBTUSD", 8, 8, 1_684_486_304_000, action, rows)


def test_rows_are_shown_as_the_exchange_shows_them() -> None:
    shown = json.loads(book().body(WHOLE), parse_float=str)
    assert [(row["side"], row["price"], row["id"]) for row in shown] == [
        ("Sell", "2.7", 3),
        ("Sell", "2.6", 11),
        ("Buy", "2.5", 11),
        ("Buy", "2.40", 12),
    ]
    assert list(shown[0]) == ["symbol", "id", "side", "size", "price", "timestamp", "transactTime"]
    assert {row["timestamp"] for row in shown} == {"2023-05-19T08:51:43.911Z"}
    assert [row["transactTime"] for row in shown] == ["b", "d", "a", "c"]


def test_a_depth_is_so_many_rows_of_each_side() -> None:
    one, whole = book().bodies((1, WHOLE))
    assert [row["id"] for row in json.loads(one)] == [11, 11]
    assert len(json.loads(whole)) == 4
    assert book().body(9) == whole


def test_levels_are_also_given_as_arrays() -> None:
    (bid_prices, bid_sizes), (ask_prices, ask_sizes) = book().columns(1)
    assert (list(bid_prices), list(bid_sizes)) == ([-2.5], [5.0])
    assert (list(ask_prices), list(ask_sizes)) == ([2.6], [8.0])


def test_an_empty_book_is_an_empty_array() -> None:
    assert book([]).body(WHOLE) == b"[]"
    assert book([]).best_bid is None
    assert not book([]).crossed


def test_rows_without_a_time_of_their_own_tell_none() -> None:
    assert b"transactTime" not in book([(1, True, 5, "2.5", "")]).body(WHOLE)


@pytest.mark.parametrize("price", ["8e-7", "1e-8", "0.0001267", "98459.90", "2", "1E2", "9.5e+1"])
def test_a_price_goes_out_as_it_came_in(price: str) -> None:
    assert b'"price":%b,' % price.encode() in book([(1, True, 5, price, "")]).body(1)


def test_prices_with_exponents_have_their_place() -> None:
    texts = ["9e-7", "1e-8", "0.0000011", "2.1e-7"]
    shown = book([(number, True, 1, text, "") for number, text in enumerate(texts)]).strings()[0]
    assert [price for price, _ in shown] == ["0.0000011", "9e-7", "2.1e-7", "1e-8"]


def test_older_rows_tell_no_price_with_a_change() -> None:
    mine = book()
    mine.apply(change(Action.UPDATE, (12, True, 9, None, "")))
    mine.apply(change(Action.DELETE, (11, True, None, None, "")))
    assert mine.strings() == ([["2.40", "9"]], [["2.6", "8"], ["2.7", "7"]])
    mine.check()


def test_an_update_with_another_price_moves_the_row() -> None:
    mine = book()
    mine.apply(change(Action.UPDATE, (12, True, 9, "2.55", "e")))
    assert mine.best_bid == ("2.55", "9")
    mine.apply(change(Action.UPDATE, (12, True, None, "2.550", "f")))
    assert mine.best_bid == ("2.550", "9")
    mine.check()


def test_an_id_is_its_sides_own() -> None:
    mine = book()
    mine.apply(change(Action.DELETE, (11, False, None, "2.6", "")))
    assert mine.best_bid == ("2.5", "5")
    assert mine.best_ask == ("2.7", "7")


def test_rows_of_one_price_are_one_level() -> None:
    mine = book([*ROWS, (10, True, 100, "2.50", "z")])
    assert mine.strings(1)[0] == [["2.50", "105"]]
    assert mine.top(1)[0] == [(2.5, 105)]
    assert mine.numbers(1)[0] == ([2.5], [105.0])
    # In the order of their ids, on whatever way they came.
    assert [row[0] for row in mine.rows() if row[1]] == [10, 11, 12]
    mine.apply(change(Action.DELETE, (10, True, None, None, "")))
    assert mine.strings(1)[0] == [["2.5", "5"]]
    mine.apply(change(Action.INSERT, (10, True, 1, "2.50", "")))
    assert [row[0] for row in mine.rows() if row[1]] == [10, 11, 12]
    mine.check()


@pytest.mark.parametrize(
    ("action", "rows"),
    [
        (Action.UPDATE, [(12, True, 9, None, ""), (99, True, 1, None, "")]),
        (Action.DELETE, [(12, True, None, None, ""), (12, False, None, None, "")]),
        (Action.INSERT, [(50, True, 1, "2.1", ""), (11, True, 1, "2.2", "")]),
    ],
)
def test_what_is_not_there_or_there_already_spoils_the_book(action: Action, rows: list[Row]) -> None:
    mine = book()
    before = mine.body(WHOLE)
    with pytest.raises(BookSpoiled, match="XBTUSD"):
        mine.apply(change(action, *rows))
    assert mine.body(WHOLE) == before
    assert mine.update_id == 7
    mine.check()


T1, T2, T3 = (f"2024-11-11T00:00:00.00{ms}Z" for ms in (1, 2, 3))


@pytest.mark.parametrize(
    ("action", "row"),
    [
        (Action.UPDATE, (60, True, 9, None, T1)),
        (Action.DELETE, (60, True, None, None, T1)),
        (Action.INSERT, (61, True, 1, "2.1", T2)),
    ],
)
def test_what_is_told_too_late_spoils_the_book(action: Action, row: Row) -> None:
    mine = book()
    mine.apply(change(Action.INSERT, (60, True, 1, "2.2", T2), (61, True, 1, "2.1", T2)))
    mine.apply(change(Action.DELETE, (61, True, None, None, T3)))
    before = mine.body(WHOLE)
    with pytest.raises(BookSpoiled):
        mine.apply(change(action, row))
    assert mine.body(WHOLE) == before
    # At the same time, or without one, it is none of that.
    mine.apply(change(action, (*row[:4], "")))
    mine.check()


def test_a_deletion_without_a_time_forgets_nothing_of_its_row() -> None:
    mine = book()
    mine.apply(change(Action.INSERT, (60, True, 1, "2.2", T2)))
    mine.apply(change(Action.DELETE, (60, True, None, None, "")))
    with pytest.raises(BookSpoiled, match="older than the deletion"):
        mine.apply(change(Action.INSERT, (60, True, 1, "2.2", T1)))
    mine.apply(change(Action.INSERT, (60, True, 1, "2.2", T2)))


def test_a_row_inserted_without_a_time_is_of_any_time() -> None:
    mine = book()
    mine.apply(change(Action.INSERT, (60, True, 1, "2.2", T3)))
    mine.apply(change(Action.DELETE, (60, True, None, None, T3)))
    mine.apply(change(Action.INSERT, (60, True, 1, "2.2", "")))
    mine.apply(change(Action.DELETE, (60, True, None, None, "")))
    mine.apply(change(Action.INSERT, (60, True, 1, "2.2", T1)))
    mine.check()


def test_rows_of_a_time_to_come_are_no_measure_of_what_is_late() -> None:
    """The venue's clock was set back, and the whole book, dated by it, has rows from before."""
    mine = book([(60, True, 1, "2.2", "2023-05-19T08:52:00.000Z")])
    mine.apply(change(Action.UPDATE, (60, True, 9, None, "2023-05-19T08:51:44.000Z")))
    with pytest.raises(BookSpoiled):
        mine.apply(change(Action.UPDATE, (60, True, 9, None, "2023-05-19T08:51:43.999Z")))


def test_only_so_many_deleted_rows_are_remembered() -> None:
    mine = book()
    for row_id in range(100, 101 + GONE):
        mine.apply(change(Action.INSERT, (row_id, True, 1, "2.2", T2)))
        mine.apply(change(Action.DELETE, (row_id, True, None, None, T2)))
    mine.apply(change(Action.INSERT, (100, True, 1, "2.2", T1)))
    with pytest.raises(BookSpoiled):
        mine.apply(change(Action.INSERT, (101, True, 1, "2.1", T1)))


BAD: list[Row] = [
    (50, True, 0, "2", ""),
    (50, True, -1, "2", ""),
    (50, True, True, "2", ""),
    (50, True, None, "2", ""),
    (50, True, 2**63, "2", ""),
    (50, True, 1, None, ""),
    (50, True, 1, "0", ""),
    (50, True, 1, "-2", ""),
    (50, True, 1, "1_0", ""),
    (50, True, 1, "nan", ""),
    (50, True, 1, " 2", ""),
    (50, True, 1, "٣", ""),
    (50, True, 1, "1e999", ""),
    (50, True, 1, "1e-999", ""),
    (50, True, 1, "0." + "1" * 70, ""),
    (50, True, 1, "1234567.890123456", ""),
    (-1, True, 1, "2", ""),
    (50, True, 1, "2", "t" * 65),
]


@pytest.mark.parametrize("row", BAD)
def test_a_bad_row_is_refused_and_changes_nothing(row: Row) -> None:
    mine = book()
    with pytest.raises(BadLevel):
        mine.apply(change(Action.INSERT, (60, True, 1, "1", ""), row))
    with pytest.raises(BadLevel):
        book([*ROWS, row])
    assert mine.body(WHOLE) == book().body(WHOLE)


def test_a_bad_update_is_refused() -> None:
    mine = book()
    for row in ((12, True, 0, None, ""), (12, True, 1, "x", "")):
        with pytest.raises(BadLevel):
            mine.apply(change(Action.UPDATE, (11, True, 1, None, ""), row))
    with pytest.raises(BadLevel):
        mine.apply(change(Action.UPDATE, (11, True, 1, None, ""), (11, True, 2, None, "")))
    assert mine.body(WHOLE) == book().body(WHOLE)


def test_an_id_that_is_there_twice_is_no_book() -> None:
    with pytest.raises(BadLevel):
        book([*ROWS, (11, True, 1, "2.1", "")])


def test_sides_that_meet_are_crossed() -> None:
    mine = book()
    assert mine.fault is None
    mine.apply(change(Action.INSERT, (20, True, 1, "2.6", "")))
    assert mine.fault == "crossed"


def test_rows_share_a_price_for_a_moment_at_most() -> None:
    mine = book()
    mine.apply(change(Action.INSERT, (50, True, 1, "2.5", "")))
    assert mine.fault is None
    mine.apply(change(Action.DELETE, (11, True, None, None, "")))
    later = 1_684_486_304_001
    mine.apply(change(Action.UPDATE, (50, True, 2, None, ""))._replace(event_time_ms=later))
    assert mine.fault is None
    mine.apply(change(Action.INSERT, (51, True, 1, "2.50", ""))._replace(event_time_ms=later))
    assert mine.fault is None
    mine.apply(change(Action.UPDATE, (3, False, 1, None, ""))._replace(event_time_ms=later + 1))
    fault: str | None = mine.fault
    assert fault == "doubled"
    mine.check()


def test_of_a_table_of_the_best_rows_nobody_knows_what_is_beyond() -> None:
    shown = RowBook.of(RowSnapshot("X", 7, ROWS, complete=False))
    assert shown.certainty == (2, 2, False, False)


def test_two_books_of_one_id_are_compared_row_by_row() -> None:
    other = book([*ROWS[:2], (12, True, 7, "2.40", "c"), (99, False, 1, "3", "")])
    assert book().audit(other) == Audit(matching=2, different=1, ghost=1, missing=1)
    assert not book().audit(book([*ROWS[:3], (11, False, 8, "2.60", "d")])).clean
    mine = book()
    mine.refill(other)
    assert mine.audit(other).clean
    other.update_id = 8
    with pytest.raises(ValueError, match="different ids"):
        mine.audit(other)
    with pytest.raises(ValueError, match="different ids"):
        mine.refill(other)


def test_it_is_told_when_the_best_rows_change_and_only_then() -> None:
    deep: list[Row] = [(number, True, 5, f"{100 - number}", "") for number in range(TOP + 5)]
    mine = book(deep)
    for action, number, price, touched in (
        (Action.UPDATE, TOP - 1, None, True),
        (Action.UPDATE, TOP, None, False),
        (Action.DELETE, TOP + 1, None, False),
        (Action.INSERT, 70, "89.5", False),
        (Action.INSERT, 71, "91.5", True),
        (Action.DELETE, 0, None, True),
        (Action.UPDATE, TOP + 4, "101", True),
        (Action.UPDATE, TOP + 4, "86", True),
    ):
        before = mine.top()
        mine.touched = False
        mine.apply(change(action, (number, True, None if action is Action.DELETE else 9, price, "")))
        assert mine.touched is touched, (action, number)
        assert touched or mine.top() == before


def test_it_shows_what_a_dictionary_sorted_at_read_shows() -> None:
    mine, model = book(), NaiveRows(ROWS)
    for each in (
        change(Action.INSERT, (1, True, 1, "2.51", "x"), (2, False, 2, "2.59", "y")),
        change(Action.UPDATE, (3, False, 70, None, "z")),
        change(Action.DELETE, (11, True, None, None, "")),
    ):
        mine.apply(each)
        model.apply(each)
        for depth in (1, 2, WHOLE):
            assert mine.body(depth) == model.body("XBTUSD", depth, 1_684_486_304_000)
    assert mine.certainty == (2, 3, True, True)
    assert len(mine) == 5


def test_a_book_tells_what_stands_at_the_prices_that_the_last_message_changed() -> None:
    rng = Random(7)
    book = RowBook.of(RowSnapshot("X", 1, [(1, True, 5, "2.5", ""), (2, False, 3, "2.6", "")]))
    assert book.take_moved() == ([], [])
    kept = {True: {"2.5": "5"}, False: {"2.6": "3"}}
    ids = {1: True, 2: False}
    for number in range(2, 400):
        row_id, price = rng.randrange(1, 30), f"2.{rng.randrange(1, 9)}"
        buy = ids.get(row_id, rng.random() < 0.5)
        row: Any
        if row_id not in ids:
            action, row = Action.INSERT, (row_id, buy, rng.randrange(1, 9), price, "")
            ids[row_id] = buy
        elif rng.random() < 0.3:
            action, row = Action.DELETE, (row_id, ids.pop(row_id), None, None, "")
        else:
            action, row = Action.UPDATE, (row_id, buy, rng.randrange(1, 9), rng.choice([None, price]), "")
        book.apply(RowsChanged("X", number, number, 0, action, [row]))
        for side, levels in zip((True, False), book.take_moved(), strict=True):
            kept[side].update((price, size) for price, size in levels)
        for side, levels in zip((True, False), book.strings(), strict=True):
            standing = {price: size for price, size in kept[side].items() if size != "0"}
            assert sorted(standing.items()) == sorted((price, size) for price, size in levels)
    assert len(ids) > 5
    book.check()


def test_what_stands_at_the_prices_of_the_last_message_is_told() -> None:
    book = RowBook.of(RowSnapshot("X", 7, [(1, True, 5, "2.5", ""), (2, False, 3, "2.6", "t")]))
    assert book.told_levels() == ([], [])
    book.apply(RowsChanged("X", 8, 8, 0, Action.UPDATE, [(1, True, 6, "2.4", "u")]))
    assert book.told_levels() == ([("2.5", 0, 0, ""), ("2.4", 6, 1, "u")], [])
    book.apply(RowsChanged("X", 9, 9, 0, Action.UPDATE, [(1, True, 7, None, "v")]))
    assert book.told_levels() == ([("2.4", 7, 1, "v")], [])
    book.apply(RowsChanged("X", 10, 10, 0, Action.DELETE, [(2, False, None, None, "w")]))
    assert book.told_levels() == ([], [("2.6", 0, 0, "")])
    book.apply(
        RowsChanged("X", 11, 11, 0, Action.INSERT, [(3, False, 1, "2.7", "x"), (4, True, 2, "2.3", "x")])
    )
    assert book.told_levels() == ([("2.3", 2, 4, "x")], [("2.7", 1, 3, "x")])


def test_rows_are_compared_with_a_snapshot_besides_some() -> None:
    told: list[Row] = [(11, True, 5, "2.5", "a"), (3, False, 9, "2.7", "b"), (13, True, 1, "2.3", "e")]
    assert book().compare(told, besides=set()) == Audit(matching=1, different=1, ghost=2, missing=1)
    besides = {(3, False), (13, True), (12, True), (99, False)}
    assert book().compare(told, besides=besides) == Audit(matching=1, different=0, ghost=1, missing=0)
