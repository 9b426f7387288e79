"""The book by order, message by message."""

import json
from array import array
from typing import Any
from unittest.mock import patch

import pytest

from depthcast.book import Audit, Certainty
from depthcast.building import step, whole
from depthcast.errors import BadLevel, BookError, BookSpoiled
from depthcast.orders.anomalies import Anomaly, Tolerance
from depthcast.orders.book import PIECE, OrderBook, books_of
from depthcast.orders.messages import Changed, Done, Matched, Message, Opened, OrderSnapshot, Passed

TIME = "2026-11-21T10:00:00.123456Z"
BIDS = [["10.00", "5", "b1"], ["10.00", "2", "b2"], ["9.99", "1", "b3"]]
ASKS = [["10.01", "4", "a1"], ["10.02", "0.50", "a2"]]


def book(bids: Any = BIDS, asks: Any = ASKS, tolerance: Tolerance | None = None) -> OrderBook:
    made = OrderBook.of(OrderSnapshot(100, bids, asks, TIME), tolerance)
    made.check()
    return made


def told(of: OrderBook, message: Message) -> tuple[Anomaly, ...]:
    anomalies = of.take(message)
    of.check()
    return tuple(anomalies)


def opened(order_id: str, price: str, size: str, *, buy: bool = True, sequence: int = 101) -> Opened:
    return Opened("X", sequence, TIME, order_id, buy, price, size)


def matched(order_id: str, price: str, size: str, *, buy: bool = True) -> Matched:
    return Matched("X", 101, TIME, order_id, buy, price, size)


def changed(order_id: str, size: str | None, old: str | None = None, price: str | None = None) -> Changed:
    return Changed("X", 101, TIME, order_id, True, price, size, old)


def done(order_id: str, *, filled: bool = False, remaining: str | None = None) -> Done:
    return Done("X", 101, TIME, order_id, filled, remaining)


# What a snapshot gives


def test_a_large_book_is_built_in_pieces_and_is_the_one_built_at_once() -> None:
    asks = [[f"{20 + number}", "1", f"o{number}"] for number in range(3 * PIECE)]
    snapshot = OrderSnapshot(100, BIDS, asks, TIME)
    building, pieces = OrderBook.building(snapshot), 1
    while (built := step(building)) is None:
        pieces += 1
    built.check()
    assert pieces == 4
    assert built.body(3) == OrderBook.of(snapshot).body(3)


def test_its_levels_may_be_rendered_in_pieces_too() -> None:
    asks = [[f"{20 + number}", "1", f"o{number}"] for number in range(3 * PIECE)]
    snapshot = OrderSnapshot(100, BIDS, asks, TIME)
    building, pieces = OrderBook.building(snapshot, rendered=True), 1
    while (built := step(building)) is None:
        pieces += 1
    built.check()
    assert pieces == 7
    with patch("depthcast.orders.book._by_order", side_effect=AssertionError("it is rendered already")):
        bodies = built.bodies((1, 2, 3))
    assert bodies == OrderBook.of(snapshot).bodies((1, 2, 3))
    built.take(opened("new", "20", "1"))
    plain = OrderBook.of(snapshot)
    plain.take(opened("new", "20", "1"))
    assert built.bodies((1, 2, 3)) == plain.bodies((1, 2, 3))


def test_a_bad_row_is_found_in_whatever_piece_it_is() -> None:
    asks = [[f"{20 + number}", "1", f"o{number}"] for number in range(PIECE)]
    building = OrderBook.building(OrderSnapshot(100, [], [*asks, ["1000000", "0", "none"]], TIME))
    assert step(building) is None
    with pytest.raises(BadLevel):
        step(building)


def test_a_snapshot_is_shown_in_price_time_priority() -> None:
    assert book().orders() == (
        [["10.00", "5", "b1"], ["10.00", "2", "b2"], ["9.99", "1", "b3"]],
        [["10.01", "4", "a1"], ["10.02", "0.5", "a2"]],
    )
    assert book().levels() == ([["10.00", "7"], ["9.99", "1"]], [["10.01", "4"], ["10.02", "0.5"]])
    assert book().levels(1) == ([["10.00", "7"]], [["10.01", "4"]])


def test_levels_are_told_as_numbers_too() -> None:
    bids, asks = book().numbers()
    assert bids == ([10.0, 9.99], [7.0, 1.0])
    assert asks == ([10.01, 10.02], [4.0, 0.5])
    assert book().numbers(1) == (([10.0], [7.0]), ([10.01], [4.0]))
    assert book([], []).numbers() == (([], []), ([], []))


def test_as_columns_the_prices_of_bids_are_negative() -> None:
    bids, asks = book().columns()
    assert bids == (array("d", [-10.0, -9.99]), array("d", [7.0, 1.0]))
    assert asks == (array("d", [10.01, 10.02]), array("d", [4.0, 0.5]))
    assert [len(column) for side in book().columns(1) for column in side] == [1, 1, 1, 1]


def test_the_files_are_those_of_the_venue() -> None:
    one, two, three = (json.loads(body) for body in book().bodies((1, 2, 3)))
    rest = {"sequence": 100, "auction_mode": False, "auction": None, "time": TIME}
    assert one == {"bids": [["10.00", "7", 2]], "asks": [["10.01", "4", 1]], **rest}
    assert two["bids"] == [["10.00", "7", 2], ["9.99", "1", 1]]
    assert three["asks"] == [["10.01", "4", "a1"], ["10.02", "0.5", "a2"]]
    assert list(two) == ["bids", "asks", "sequence", "auction_mode", "auction", "time"]
    assert b" " not in book().body(3)


def test_an_empty_book_has_files_too() -> None:
    empty = book([], [])
    assert [json.loads(body)["bids"] for body in empty.bodies((1, 2, 3))] == [[], [], []]
    assert empty.best_bid is None
    assert empty.certainty == Certainty(0, 0, True, True)
    assert not empty.crossed


def test_a_file_of_another_level_there_is_not() -> None:
    with pytest.raises(ValueError, match="level 4"):
        book().body(4)


@pytest.mark.parametrize(
    "row",
    [
        ["9", "1"],
        ["9", "0", "x"],
        ["9", "-1", "x"],
        ["9", "1e5", "x"],
        ["nine", "1", "x"],
        ["9", "1", "b1"],
        ["9", "1", 'x"'],
        ["9", "1", "x" * 65],
        ["9" * 65, "1", "x"],
        ["", "1", "x"],
        [".", "1", "x"],
        ["9", ".", "x"],
        ["9", 1, "x"],
        ["9", "1", None],
        None,
    ],
    ids=repr,
)
def test_a_row_that_is_none_is_refused(row: Any) -> None:
    with pytest.raises(BadLevel):
        book([*BIDS, row])


def test_a_snapshot_whose_sides_cross_is_refused() -> None:
    with pytest.raises(BadLevel, match="cross"):
        book(BIDS, [["10.00", "1", "a1"]])


# What messages do


def test_an_order_opens_behind_those_at_its_price() -> None:
    kept = book()
    assert told(kept, opened("b4", "10.00", "0.10")) == ()
    assert [row[2] for row in kept.orders()[0]] == ["b1", "b2", "b4", "b3"]
    assert kept.best_bid == ("10.00", "7.1")
    assert kept.update_id == 101


def test_the_same_price_in_another_spelling_is_the_same_level() -> None:
    kept = book()
    assert told(kept, opened("b4", "10.0", "1")) == ()
    assert kept.best_bid == ("10.00", "8")
    assert told(kept, matched("b4", "10.000", "1")) == ()
    assert kept.best_bid == ("10.00", "7")


def test_a_match_takes_its_size_from_the_resting_order() -> None:
    kept = book()
    assert told(kept, matched("b1", "10.00", "4.99999999")) == ()
    assert kept.orders()[0][0] == ["10.00", "0.00000001", "b1"]
    assert told(kept, matched("b1", "10.00", "0.00000001")) == ()
    assert kept.orders()[0][0] == ["10.00", "2", "b2"]
    assert told(kept, done("b1", filled=True, remaining="0")) == ()


def test_the_last_order_takes_its_level_with_it() -> None:
    kept = book()
    assert told(kept, done("a1", remaining="4")) == ()
    assert kept.levels()[1] == [["10.02", "0.5"]]
    assert told(kept, done("a2", remaining="0.5")) == ()
    assert kept.levels()[1] == []
    assert told(kept, opened("a3", "11.00", "1", buy=False)) == ()
    assert kept.best_ask == ("11.00", "1")


def test_self_trade_prevention_takes_size_and_keeps_the_place() -> None:
    kept = book()
    assert told(kept, changed("b1", "3", "5", "10.00")) == ()
    assert kept.orders()[0][:2] == [["10.00", "3", "b1"], ["10.00", "2", "b2"]]
    assert told(kept, changed("b1", "0", "3")) == ()
    assert kept.orders()[0][0] == ["10.00", "2", "b2"]


def test_more_size_costs_the_place() -> None:
    kept = book()
    assert told(kept, changed("b1", "6", "5")) == ()
    assert kept.orders()[0][:2] == [["10.00", "2", "b2"], ["10.00", "6", "b1"]]


def test_another_price_costs_the_place() -> None:
    kept = book()
    assert told(kept, changed("b1", "5", "5", "9.99")) == ()
    assert kept.levels()[0] == [["10.00", "2"], ["9.99", "6"]]
    assert [row[2] for row in kept.orders()[0]] == ["b2", "b3", "b1"]
    assert told(kept, changed("b3", "1", "1", "9.98")) == ()
    assert kept.orders()[0][-1] == ["9.98", "1", "b3"]


def test_a_price_in_another_spelling_does_not_move_an_order() -> None:
    kept = book()
    assert told(kept, changed("b1", "5", "5", "10.0")) == ()
    assert kept.orders()[0][0] == ["10.00", "5", "b1"]


@pytest.mark.parametrize(
    "message",
    [
        Passed("X", 101, TIME),
        changed("taker", "1", "2"),
        changed("b1", None),
        done("taker", filled=True, remaining="0"),
        done("taker", remaining="1"),
    ],
    ids=repr,
)
def test_what_is_not_on_the_book_is_ignored(message: Message) -> None:
    kept = book()
    before = kept.orders()
    assert told(kept, message) == ()
    assert kept.orders() == before
    assert kept.update_id == 101


def test_an_order_may_end_at_another_price_than_it_has() -> None:
    # A done message has the price that was asked for at first, whatever became of it.
    assert told(book(), done("b1", remaining="5.0")) == ()


# What contradicts the book


@pytest.mark.parametrize(
    ("message", "anomaly", "left"),
    [
        (matched("x", "10.00", "1"), Anomaly.UNKNOWN_MAKER, [["10.00", "7"], ["9.99", "1"]]),
        (matched("b1", "10.00", "6"), Anomaly.OVERMATCHED, [["10.00", "2"], ["9.99", "1"]]),
        (matched("b1", "9.99", "1"), Anomaly.WRONG_PRICE, [["10.00", "6"], ["9.99", "1"]]),
        (matched("b1", "10.00", "1", buy=False), Anomaly.WRONG_PRICE, [["10.00", "6"], ["9.99", "1"]]),
        (opened("b1", "9.99", "3"), Anomaly.REOPENED, [["10.00", "2"], ["9.99", "4"]]),
        (opened("b3", "9.99", "3"), Anomaly.REOPENED, [["10.00", "7"], ["9.99", "3"]]),
        (done("b1", remaining="4"), Anomaly.WRONG_SIZE, [["10.00", "2"], ["9.99", "1"]]),
        (done("b1", filled=True, remaining="0"), Anomaly.LEFT_OVER, [["10.00", "2"], ["9.99", "1"]]),
        (changed("b1", "3", "4"), Anomaly.WRONG_SIZE, [["10.00", "5"], ["9.99", "1"]]),
        (opened("x", "10.01", "1"), Anomaly.CROSSED, [["10.01", "1"], ["10.00", "7"], ["9.99", "1"]]),
        (changed("b3", "1", "1", "10.02"), Anomaly.CROSSED, [["10.02", "1"], ["10.00", "7"]]),
    ],
)
def test_a_contradiction_is_carried_out_and_told(
    message: Message, anomaly: Anomaly, left: list[list[str]]
) -> None:
    kept = book()
    assert told(kept, message) == (anomaly,)
    assert kept.levels()[0] == left


def test_a_book_that_suffered_too_much_is_given_up() -> None:
    tolerance = Tolerance(bears=5)
    kept = book(tolerance=tolerance)
    kept.apply(matched("x", "10.00", "1"))
    with pytest.raises(BookSpoiled, match="wrong size") as spoiled:
        kept.apply(done("b1", remaining="4"))
    assert isinstance(spoiled.value, BookError)
    assert spoiled.value.symbol == "X"
    assert tolerance.counts == {Anomaly.UNKNOWN_MAKER: 1, Anomaly.WRONG_SIZE: 1}
    # The one that is built anew begins without guilt.
    book(tolerance=tolerance).apply(matched("x", "10.00", "1"))


@pytest.mark.parametrize(
    "message",
    [
        opened("x", "nine", "1"),
        opened("x", "9", "0"),
        opened("x", "9", "nan"),
        opened("x", "9", "1_0"),
        opened('x"', "9", "1"),
        opened("b1", "+9", "1"),
        matched("b1", "10.00", "1e1"),
        matched("b1", "ten", "1"),
        matched("b1", ".", "1"),
        changed("b1", "-1", "5"),
        changed("b1", "1", "five"),
        changed("b1", "1", "5", "ten"),
        done("b1", remaining="\u0661"),
        opened("x", "9" * 65, "1"),
    ],
    ids=repr,
)
def test_a_message_with_a_number_that_is_none_changes_nothing(message: Message) -> None:
    kept = book()
    before = kept.bodies((1, 2, 3))
    with pytest.raises(BadLevel):
        kept.apply(message)
    kept.check()
    assert kept.bodies((1, 2, 3)) == before


def test_what_is_rendered_is_rendered_anew_after_a_change_alone() -> None:
    kept = book()
    first = kept.bodies((2, 3))
    assert kept.bodies((2, 3)) == first
    kept.take(matched("b2", "10.00", "1.5"))
    by_price, by_order = (json.loads(body)["bids"] for body in kept.bodies((2, 3)))
    assert by_price == [["10.00", "5.5", 2], ["9.99", "1", 1]]
    assert by_order[1] == ["10.00", "0.5", "b2"]
    kept.check()


def test_a_time_that_came_with_quotes_stays_within_its_string() -> None:
    kept = book()
    kept.take(Passed("X", 101, 'now","x":"'))
    assert json.loads(kept.body(1))["time"] == 'now","x":"'
    assert kept.event_time_ms == 0


# Two books


def test_an_audit_compares_order_by_order() -> None:
    other = book([["10.00", "5.0", "b1"], ["10.00", "3", "b2"], ["9.98", "1", "b9"]], ASKS)
    assert book().audit(other) == Audit(matching=3, different=1, ghost=1, missing=1)
    elsewhere = book([["9.98", "1", "b3"], *BIDS[:2]], ASKS)
    assert book().audit(elsewhere) == Audit(matching=4, different=1, ghost=0, missing=0)
    assert book([], [["11", "1", "z"]]).audit(book([["11", "1", "z"]], [])).different == 1


def test_a_refill_takes_the_orders_over() -> None:
    kept = book()
    fresh = book([["9.00", "1", "z"]], [])
    kept.refill(fresh)
    kept.check()
    assert kept.orders() == ([["9.00", "1", "z"]], [])
    assert kept.fault is None
    assert len(kept) == 1


def test_the_books_of_a_symbol_count_together() -> None:
    tolerance = Tolerance(bears=100)
    make = books_of(tolerance)
    for _ in range(2):
        made = whole(make(OrderSnapshot(100, BIDS, ASKS, TIME)))
        made.defer(matched("x", "10.00", "1"))
        made.settle()
    assert tolerance.counts == {Anomaly.UNKNOWN_MAKER: 2}


def test_books_of_different_ids_are_not_compared() -> None:
    ahead = book()
    ahead.take(Passed("X", 101, TIME))
    for meet in (book().audit, book().refill):
        with pytest.raises(ValueError, match="different ids"):
            meet(ahead)


def test_the_levels_that_a_message_touched_are_told_as_they_are_then() -> None:
    book = OrderBook.of(OrderSnapshot(7, [["2.0", "5", "a"], ["1.9", "1", "b"]], [["2.1", "3", "c"]]))
    assert book.touched == ([], [])
    book.take(Opened("X", 8, "", "d", True, "2.0", "0.50"))
    assert book.touched == ([["2.0", "5.5", "2"]], [])
    # Of a modification both levels, of which one is gone.
    book.take(Changed("X", 9, "", "b", True, "1.8", "2", "1"))
    assert book.touched == ([["1.9", "0", "0"], ["1.8", "2", "1"]], [])
    book.take(Matched("X", 10, "", "c", False, "2.1", "1"))
    assert book.touched == ([], [["2.1", "2", "1"]])
    book.take(Passed("X", 11, ""))
    assert book.touched == ([], [])


# What is watched


def test_levels_that_moved_are_told_once_and_as_they_are_now() -> None:
    kept = book()
    kept.watch(True)
    assert kept.take_moved() == ([], [])
    kept.take(opened("b4", "10.00", "0.10"))
    assert kept.take_moved() == ([["10.00", "7.1"]], [])
    assert kept.take_moved() == ([], [])
    # Partly matched, wholly matched, and moved to a price that is new.
    kept.take(matched("b1", "10.00", "1"))
    kept.take(matched("a1", "10.01", "4", buy=False))
    kept.take(changed("b3", "2", "1", "9.98"))
    assert kept.take_moved() == ([["10.00", "6.1"], ["9.99", "0"], ["9.98", "2"]], [["10.01", "0"]])


def test_of_a_price_in_two_spellings_the_one_that_stands_is_told_last() -> None:
    kept = book()
    kept.watch(True)
    kept.take(done("a1", remaining="4"))
    kept.take(opened("a3", "10.010", "1", buy=False))
    kept.take(done("a3", remaining="1"))
    kept.take(opened("a4", "10.01", "3", buy=False))
    assert kept.take_moved() == ([], [["10.010", "0"], ["10.01", "3"]])


def test_what_moves_unwatched_is_not_told() -> None:
    kept = book()
    kept.take(matched("b1", "10.00", "1"))
    assert kept.take_moved() == ([], [])
    kept.watch(True)
    kept.take(matched("b1", "10.00", "1"))
    # Watched twice, nothing is lost; no longer watched, all is.
    kept.watch(True)
    assert kept.take_moved() == ([["10.00", "5"]], [])
    kept.take(matched("b1", "10.00", "1"))
    kept.watch(False)
    assert kept.take_moved() == ([], [])
    kept.watch(True)
    assert kept.take_moved() == ([], [])
