"""What a venue's tape holds: bodies as the venue writes them."""

import json

from depthcast.book import Book
from depthcast.events import Diff, Snapshot
from depthcast.orders import Opened, OrderSnapshot
from depthcast.rows import Action, RowsChanged, RowSnapshot
from depthcast.scheme import ALL
from depthcast.tape.keys import segment_key
from depthcast.venues.registry import VENUES
from depthcast.venues.taping import PAIR, TAPINGS, Told, spelled, taping_of


def test_every_venue_that_is_published_says_what_its_tape_holds() -> None:
    assert TAPINGS.keys() >= VENUES.keys()
    for venue in TAPINGS:
        assert segment_key(venue, "X", 0)
    assert taping_of("another") == taping_of("binance")


def test_a_body_is_what_a_book_writes() -> None:
    book = Book.of(Snapshot(7, [["2.0", "5"]], [["2.1", "3"]], True, True, 9, 8))
    for changed_ms in (0, 8):
        book.apply(Diff("X", 8, book.update_id + 1, 12, [["2.0", "6.5"]], [], transaction_time_ms=changed_ms))
        bids, asks = (",".join(PAIR.format(*level) for level in side) for side in book.strings())
        made = taping_of("binanceusdm").body(Told(book.update_id, 12, changed_ms), bids, asks)
        assert made.encode() == book.body(5)


def test_a_body_of_coin_margined_futures_names_the_contract_and_its_pair() -> None:
    taping, names = taping_of("binancecoinm"), b'"symbol":"BTCUSD_PERP","pair":"BTCUSD",'
    book = taping.book_of(Snapshot(7, [["2.0", "5"]], [["2.1", "3"]], True, True, 9, 8, names))
    bids, asks = (",".join(PAIR.format(*level) for level in side) for side in book.strings())
    made = taping.body(Told(7, 9, 8, names=names.decode()), bids, asks)
    assert made.encode() == book.body(5)
    assert names in made.encode()
    assert (taping.named, taping.plain, taping_of("binanceusdm").named) == (True, False, False)


def levels_of(body: bytes) -> dict[str, list[list[object]]]:
    told: dict[str, list[list[object]]] = json.loads(body)
    return told


def test_a_book_by_price_is_taped_as_it_is_and_as_deep_as_it_is_certain() -> None:
    taping = taping_of("binance")
    book = taping.book_of(Snapshot(7, [["2.0", "5"], ["1.9", "1"]], [], False, True))
    diff = Diff("X", 8, 8, 12, [["1.8", "3"]], [])
    book.apply(diff)
    assert levels_of(taping.frame(book))["bids"] == [["2.0", "5"], ["1.9", "1"]]
    assert taping.changes(book, diff) == ([["1.8", "3"]], [])
    assert (taping.shown(20), taping.plain, taping_of("binanceusdm").plain) == (20, True, False)


def test_a_book_by_order_is_taped_by_price() -> None:
    taping = taping_of("coinbaseexchange")
    book = taping.book_of(OrderSnapshot(7, [["2.0", "5", "a"], ["2.0", "1", "b"]], [["2.1", "3", "c"]]))
    message = Opened("X", 8, "a time", "d", False, "2.2", "0.50")
    book.apply(message)
    assert taping.changes(book, message) == ([], [["2.2", "0.5", "1"]])
    assert levels_of(taping.frame(book))["bids"] == [["2.0", "6", 2]]
    asks = ",".join(taping.level.format(*level) for level in (["2.1", "3", "1"], ["2.2", "0.5", "1"]))
    made = taping.body(Told(8, 0, 0, "a time"), taping.level.format("2.0", "6", "2"), asks)
    assert made.encode() == book.body(2)
    assert [taping.shown(level) for level in (1, 2, 3)] == [1, ALL, None]


def test_rows_are_taped_as_they_stand_at_the_prices_of_a_message() -> None:
    taping = taping_of("bitmex")
    time = "2023-05-19T08:51:43.911Z"
    table = [(1, True, 5, "2.5", time), (2, False, 3, "2.6", ""), (3, False, 4, "2.7", time)]
    book = taping.book_of(RowSnapshot("X", 7, table, 1_684_486_303_999))
    assert levels_of(taping.frame(book)) == {
        "bids": [["2.5", "5", "1", "1684486303911"]],
        "asks": [["2.6", "3", "2", "0"], ["2.7", "4", "3", "1684486303911"]],
    }
    change = RowsChanged("X", 8, 8, 1_684_486_304_000, Action.DELETE, [(2, False, None, None, "")])
    book.apply(change)
    assert taping.changes(book, change) == ([], [["2.6", "0", "0", "0"]])
    book.apply(RowsChanged("X", 9, 9, 1_684_486_304_001, Action.INSERT, [(4, False, 6, "2.8", "")]))
    told = Told(9, book.event_time_ms)
    assert taping.rows is not None
    bids = taping.rows("X", False, told, [("2.5", "5", "1", "1684486303911")])
    asks = taping.rows("X", True, told, [("2.8", "6", "4", "0"), ("2.7", "4", "3", "1684486303911")])
    assert taping.body(told, bids, asks).encode() == book.body(0)
    assert taping.body(told, "", "") == "[]"
    assert (taping.shown(25), taping.shown(0)) == (25, ALL)


def test_a_time_is_spelled_to_the_microsecond() -> None:
    assert spelled(1_415_348_367_028_459) == "2014-11-07T08:19:27.028459Z"
