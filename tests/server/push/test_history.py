"""Versions of a file, and the changes between them, against a book that is kept by the exchange's rules."""

import json
import random
from collections.abc import Mapping
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthcast.files import Version, cut
from depthcast.venues.bitmex_files import BITMEX
from server.push.history import FIRST_EPOCH, History, Shown, changes

Side = Mapping[str, str]


def body(update_id: int, bids: Side, asks: Side) -> bytes:
    """A file as the exchange writes a book: each side best first."""
    members = {
        "lastUpdateId": update_id,
        "bids": [[p, q] for p, q in sorted(bids.items(), key=lambda level: -Decimal(level[0]))],
        "asks": [[p, q] for p, q in sorted(asks.items(), key=lambda level: Decimal(level[0]))],
    }
    return json.dumps(members, separators=(",", ":")).encode()


class Reader:
    """A client that keeps its book by the exchange's procedure: absolute quantities, zero removes."""

    def __init__(self, snapshot: bytes) -> None:
        book = json.loads(snapshot)
        self.update_id = book["lastUpdateId"]
        self.bids, self.asks = dict(book["bids"]), dict(book["asks"])

    def apply(self, diff: bytes) -> None:
        event = json.loads(diff)
        assert list(event) == ["U", "u", "b", "a"]
        assert event["U"] == self.update_id + 1
        assert event["u"] >= event["U"]
        for side, levels in ((self.bids, event["b"]), (self.asks, event["a"])):
            for price, quantity in levels:
                if Decimal(quantity) == 0:
                    # A level that is told to go was there, and its zero has as many digits as it had.
                    assert len(quantity.partition(".")[2]) == len(side.pop(price).partition(".")[2])
                else:
                    assert side.get(price) != quantity, "a level that did not change"
                    side[price] = quantity
        self.update_id = event["u"]

    def body(self) -> bytes:
        return body(self.update_id, self.bids, self.asks)


def shown(update_id: int, bids: Side, asks: Side, *, epoch: int = FIRST_EPOCH) -> Shown:
    return Shown(Version(epoch, update_id), body(update_id, bids, asks), update_id)


prices = st.integers(1, 60).map(lambda n: f"{n // 10}.{n % 10}0000000")
quantities = st.integers(1, 4).map(lambda n: f"{n}.50000000")
sides = st.dictionaries(prices, quantities, max_size=25)
books = st.tuples(sides, sides)


@given(st.lists(books, min_size=2, max_size=6), st.integers(1, 30), st.randoms(use_true_random=False))
def test_changes_applied_to_a_version_give_any_later_one_byte_for_byte(
    versions: list[tuple[dict[str, str], dict[str, str]]], limit: int, draw: random.Random
) -> None:
    ids, last = [], 0
    for _ in versions:
        last += draw.randrange(1, 50)
        ids.append(last)
    all_shown = [shown(id_, bids, asks) for id_, (bids, asks) in zip(ids, versions, strict=True)]
    first = all_shown[0]
    assert first.body is not None
    for chosen in ([*all_shown[1:]], [all_shown[-1]]):
        reader, has = Reader(cut(first.body, limit)), first
        for newer in chosen:
            diff = changes(has, newer, limit)
            assert diff is not None
            reader.apply(diff)
            has = newer
            assert newer.body is not None
            assert reader.body() == cut(newer.body, limit)


def test_a_level_that_left_the_top_goes_and_comes_back() -> None:
    deep = {"3.0": "1.0", "2.0": "1.0"}
    before = shown(1, deep, {})
    after = shown(2, {"4.0": "7.0"} | deep, {})
    assert changes(before, after, 2) == b'{"U":2,"u":2,"b":[["4.0","7.0"],["2.0","0.0"]],"a":[]}'
    assert changes(after, shown(3, deep, {}), 2) == (
        b'{"U":3,"u":3,"b":[["2.0","1.0"],["4.0","0.0"]],"a":[]}'
    )


def test_nothing_changed_among_the_levels_asked_for() -> None:
    before, after = shown(1, {"3.0": "1.0", "2.0": "1.0"}, {}), shown(9, {"3.0": "1.0", "2.0": "5.0"}, {})
    assert changes(before, after, 1) == b'{"U":2,"u":9,"b":[],"a":[]}'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (shown(7, {"3.0": "1.0"}, {}), shown(9, {"3.0": "1.0"}, {}, epoch=1)),
        (shown(9, {"3.0": "1.0"}, {}), shown(7, {"3.0": "2.0"}, {})),
        (shown(9, {"3.0": "1.0"}, {}), shown(9, {"3.0": "1.0", "2.0": "1.0"}, {})),
        (shown(7, {"3.0": "1.0"}, {}), shown(9, {"3.00": "1.0"}, {})),
        (shown(7, {}, {"3.0": "1.0"}), shown(9, {}, {"3.0": "1.00"})),
    ],
    ids=["another epoch", "a lower id", "the same id", "longer prices", "longer quantities"],
)
def test_where_there_is_doubt_there_are_no_changes(before: Shown, after: Shown) -> None:
    assert changes(before, after, 5) is None


def rows(*asks_and_bids: tuple[str, str, int]) -> bytes:
    """BitMEX's body: side, price, size, from the highest price on."""
    told = (
        f'{{"symbol":"XBTUSD","id":{n},"side":"{side}","size":{size},"price":{price},"timestamp":""}}'
        for n, (side, price, size) in enumerate(asks_and_bids)
    )
    return f"[{','.join(told)}]".encode()


def test_a_venue_that_writes_numbers_as_short_as_can_be_has_changes_across_a_round_price() -> None:
    before = Shown(Version(0, 7), rows(("Sell", "98460.5", 100), ("Buy", "98460", 200)), 1)
    after = Shown(Version(0, 9), rows(("Sell", "98460", 50), ("Buy", "98459.5", 200)), 2)
    told = changes(before, after, 10, BITMEX.layout(10))
    assert told is not None
    assert json.loads(told) == {
        "U": 8,
        "u": 9,
        "b": [["98459.5", "200"], ["98460", "0"]],
        "a": [["98460", "50"], ["98460.5", "0"]],
    }


def test_what_is_forgotten_cannot_be_compared() -> None:
    history = History(max_versions=1)
    first = history.take(Version(0, 1), body(1, {}, {}))
    second = history.take(Version(0, 2), body(2, {}, {}))
    assert first is not None
    assert second is not None
    assert changes(first, second, 5) is None
    assert changes(second, first, 5) is None


def test_the_newest_version_is_what_is_shown() -> None:
    history = History()
    assert len(history) == 0
    for update_id, news in ((5, True), (7, True), (7, False), (6, False), (5, False), (8, True)):
        taken = history.take(Version(1, update_id), body(update_id, {}, {}))
        assert (taken is not None) is news
        history.check()
    assert history.newest is not None
    assert history.newest.version == Version(1, 8)
    assert len(history) == 3


def test_the_same_version_with_another_body_is_news_and_its_id_is_in_doubt() -> None:
    history = History()
    history.take(Version(FIRST_EPOCH, 5), body(5, {"1.0": "1.0"}, {}))
    assert history.find(5) is history.newest
    again = history.take(Version(FIRST_EPOCH, 5), body(5, {"1.0": "1.0", "0.5": "1.0"}, {}))
    assert history.newest is again
    assert history.find(5) is None


def test_an_epoch_forgets_the_one_before_and_its_ids_are_in_doubt() -> None:
    history = History()
    history.take(Version(FIRST_EPOCH, 500), body(500, {}, {}))
    history.take(Version(FIRST_EPOCH + 1, 5), body(5, {}, {}))
    history.check()
    assert history.find(500) is None
    assert history.find(5) is None


def test_only_so_many_versions_and_bytes_are_kept_and_the_newest_always() -> None:
    history = History(max_versions=10)
    for update_id in range(1, 30):
        history.take(Version(FIRST_EPOCH, update_id), body(update_id, {"1.0": f"{update_id}.0"}, {}))
        history.check()
    assert len(history) == 10
    assert history.find(19) is None
    assert history.find(20) is not None
    size = len(body(29, {"1.0": "29.0"}, {}))
    history.trim(size * 3)
    history.check()
    assert len(history) == 3
    history.trim(0)
    assert [history.newest is not None, len(history), history.held_bytes] == [True, 1, size]


def test_a_history_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="one version"):
        History(0)
