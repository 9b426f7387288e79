"""Coinbase's files: three levels of detail of one book, read, cut and added up."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthcast.errors import BadFile
from depthcast.files import FileInfo, check_body
from depthcast.scheme import ALL
from depthcast.venues.coinbase_files import BEST, COINBASE, DETAILS, ORDERS, PRICES

INFO = FileInfo(0, 2, 1, True, True, 1, 2, "a", update_id=160)
TIME = "2026-11-21T10:00:00.123456Z"


def body_of(bids: list[list[Any]], asks: list[list[Any]], **changed: Any) -> bytes:
    """Written the plain way, to compare with."""
    told = {
        "bids": bids,
        "asks": asks,
        "sequence": 160,
        "auction_mode": False,
        "auction": None,
        "time": TIME,
    }
    return json.dumps(told | changed, separators=(",", ":")).encode()


def key(level: int) -> str:
    return COINBASE.key("BTC-USD", level)


orders = st.lists(
    st.tuples(st.integers(1, 5).map(str), st.integers(1, 99).map(lambda n: f"{n / 10}"), st.uuids().map(str)),
    max_size=12,
    unique_by=lambda order: order[2],
).map(lambda rows: [list(row) for row in sorted(rows, key=lambda row: int(row[0]))])


def by_price(rows: list[list[str]]) -> list[list[Any]]:
    """The same by price: in tenths, which are exact."""
    sums: dict[str, list[int]] = {}
    for price, size, _ in rows:
        sums.setdefault(price, []).append(round(float(size) * 10))
    return [[price, f"{sum(sizes) / 10}", len(sizes)] for price, sizes in sums.items()]


@given(orders, orders)
def test_levels_of_all_three_details_are_those_of_one_book(
    bids: list[list[str]], asks: list[list[str]]
) -> None:
    whole = body_of(by_price(bids), by_price(asks))
    best = body_of(by_price(bids)[:1], by_price(asks)[:1])
    said = [[(price, float(size)) for price, size, _ in by_price(rows)] for rows in (bids, asks)]
    for level, body in ((PRICES, whole), (ORDERS, body_of(bids, asks))):
        for depth in (1, 2, ALL):
            read = COINBASE.layout(level).levels(key(level), body, depth)
            assert [[(price, float(size)) for price, size in side] for side in read] == [
                side[:depth] for side in said
            ]
    assert COINBASE.layout(PRICES).cut(whole, BEST) == best
    assert COINBASE.layout(PRICES).cut(best, BEST) is best
    for level, body in ((BEST, best), (PRICES, whole), (ORDERS, body_of(bids, asks))):
        assert check_body(key(level), body) == 160
        assert COINBASE.layout(level).cut(body, level) is body


def test_a_book_by_order_begins_from_the_file_of_all_orders_alone() -> None:
    body = body_of([["2.0", "5", "a"]], [["2.1", "3", "b"]])
    snapshot = COINBASE.layout(ORDERS).snapshot(key(ORDERS), body, INFO)
    assert snapshot == (160, [["2.0", "5", "a"]], [["2.1", "3", "b"]], TIME, False)
    with pytest.raises(BadFile, match="no orders"):
        COINBASE.layout(PRICES).snapshot(key(PRICES), body, INFO)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"[]", "end with a sequence"),
        (b'{"bids":[nil' + body_of([], [])[9:], "JSON of a book"),
        (body_of([], []).replace(b'"asks":', b'"asks":{},"x":'), "other types"),
        (body_of([], []).replace(b"asks", b"acks"), "other types"),
        (body_of([], [], sequence="160"), "end with a sequence"),
        (body_of([], [], sequence=2**63), "as large"),
    ],
)
def test_what_is_no_book_is_no_snapshot(body: bytes, why: str) -> None:
    with pytest.raises(BadFile, match=why):
        COINBASE.layout(ORDERS).snapshot(key(ORDERS), body, INFO)


def test_of_two_sequences_the_last_one_is_the_body_s() -> None:
    body = body_of([], []).replace(b'"asks"', b'"sequence":7,"asks"')
    assert COINBASE.layout(ORDERS).snapshot(key(ORDERS), body, INFO).update_id == 160


@pytest.mark.parametrize(
    "body", [b"{}", b'{"bids":[', body_of([["2.0", "5", 1]], [])[:-1], body_of([], [])[1:]]
)
def test_what_is_not_whole_is_no_file(body: bytes) -> None:
    layout = COINBASE.layout(PRICES)
    for use in (layout.update_id, layout.check):
        with pytest.raises(BadFile, match="does not begin with bids"):
            use(key(PRICES), body)
    with pytest.raises(BadFile):
        layout.cut(body, BEST)


def test_only_the_canonical_spelling_of_a_product_and_a_level_is_a_key() -> None:
    assert COINBASE.parse(key(PRICES)) == ("BTC-USD", PRICES)
    for other in (key(4), key(PRICES) + "0", "products/btc-usd/book?level=2", "products//book?level=2"):
        assert COINBASE.parse(other) is None


def test_marks_in_disorder_are_no_file() -> None:
    body = body_of([["2.0", "5", 1]], []).replace(b'"asks"', b'"acks"')
    with pytest.raises(BadFile, match="asks"):
        check_body(key(PRICES), body)
    with pytest.raises(BadFile, match="asks"):
        COINBASE.layout(PRICES).cut(body, BEST)
    with pytest.raises(BadFile, match="as large"):
        check_body(key(PRICES), body_of([], [], sequence=2**63))


@pytest.mark.parametrize("row", [["2.0"], [2.0, "5", 1], ["2.0", 5, 1], ["2.0", "x", "a"], "2.0"])
def test_rows_that_are_none_are_a_bad_file(row: Any) -> None:
    body = body_of([row, ["2.0", "1", "b"]], [])
    with pytest.raises(BadFile, match="cannot be read"):
        COINBASE.layout(ORDERS).levels(key(ORDERS), body)


def test_what_stays_of_a_body_whose_levels_do() -> None:
    layout = COINBASE.layout(PRICES)
    before, later = (body_of([["2.0", "5", 1]], [], sequence=n, time=f"{TIME}{n}") for n in (160, 170))
    assert layout.unnumbered(before) == layout.unnumbered(later) == b'{"bids":[["2.0","5",1]],"asks":['


def test_which_file_answers_which_level() -> None:
    assert [COINBASE.covering(level, DETAILS) for level in DETAILS] == [1, 2, 3]
    assert [COINBASE.covering(level, (PRICES, ORDERS)) for level in DETAILS] == [2, 2, 3]
    assert COINBASE.covering(BEST, (ORDERS,)) is COINBASE.covering(PRICES, (BEST, ORDERS)) is None
    assert [COINBASE.depth(level) for level in DETAILS] == [1, ALL, ALL]
    assert COINBASE.ordered([3, 1, 2, 1]) == DETAILS


def test_a_product_is_a_part_of_a_path_that_leads_nowhere_else() -> None:
    assert COINBASE.valid_symbol("BTC-USD")
    assert not COINBASE.valid_symbol("..")
    assert COINBASE.parse("products/../book?level=2") is None


def test_rows_have_what_is_told_beside_price_and_size() -> None:
    body = body_of([["2.0", "5", 2]], [])
    assert COINBASE.layout(PRICES).rows(key(PRICES), body) == (
        [{"price": "2.0", "amount": "5", "orders": 2}],
        [],
    )
    body = body_of([["2.0", "5", "a"]], [])
    assert COINBASE.layout(ORDERS).rows(key(ORDERS), body)[0] == [
        {"price": "2.0", "amount": "5", "order_id": "a"}
    ]
    for row in (["2.0"], ["2.0", "5", 2], ["2.0", 5, "a"]):
        with pytest.raises(BadFile, match="rows cannot be read"):
            COINBASE.layout(ORDERS).rows(key(ORDERS), body_of([row], []))


def test_keys_lie_below_what_is_public_and_the_list_beside_them() -> None:
    for level in DETAILS:
        assert key(level).startswith(COINBASE.depth_prefixes)
        assert key(level).startswith(COINBASE.prefixes_of("BTC-USD"))
        assert not key(level).startswith(COINBASE.prefixes_of("BTC"))
        assert key(level).startswith(COINBASE.public_prefixes)
        assert COINBASE.layout(level).begins_books is (level == ORDERS)
        assert COINBASE.cache_control(level) in (None, "max-age=2", "max-age=1")
        assert COINBASE.refusal(level) is None
    assert COINBASE.exchange_info_key.startswith(COINBASE.public_prefixes)
    assert not COINBASE.exchange_info_key.startswith(COINBASE.depth_prefixes)
    assert COINBASE.refusal(4) == "the level is none of 1, 2, 3"
