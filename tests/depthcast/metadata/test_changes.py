"""What changed between two documents."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthcast.metadata.changes import Change, What, changes
from depthcast.metadata.kinds import EXCHANGE_INFO
from tests.depthcast.metadata.documents import listing, symbol, told

ETH, BTC = symbol("ETHUSDT"), symbol("BTCUSDT", baseAsset="BTC", step="0.00001000")


def between(before: bytes, after: bytes) -> list[tuple[str, str, Any, Any]]:
    return told(changes(EXCHANGE_INFO.parse(before), EXCHANGE_INFO.parse(after)))


def test_a_change_is_told_at_the_smallest_member_that_differs() -> None:
    finer = symbol("ETHUSDT", "HALT", step="0.00001000")
    assert between(listing(1, ETH, BTC), listing(2, finer, BTC)) == [
        ("symbols/ETHUSDT/status", "changed", "TRADING", "HALT"),
        ("symbols/ETHUSDT/filters/LOT_SIZE/minQty", "changed", "0.00010000", "0.00001000"),
        ("symbols/ETHUSDT/filters/LOT_SIZE/stepSize", "changed", "0.00010000", "0.00001000"),
    ]


def test_neither_the_time_nor_the_order_of_a_list_is_news() -> None:
    turned = {**ETH, "filters": ETH["filters"][::-1], "orderTypes": ETH["orderTypes"][::-1]}
    turned["permissionSets"] = ETH["permissionSets"][::-1]
    assert between(listing(1, ETH, BTC), listing(99, BTC, turned)) == []


def test_symbols_are_listed_and_delisted_with_all_that_is_said_of_them() -> None:
    new = symbol("NEWUSDT", step="1.00000000")
    assert between(listing(1, ETH, BTC), listing(2, ETH, new)) == [
        ("symbols/BTCUSDT", "delisted", BTC, None),
        ("symbols/NEWUSDT", "listed", None, new),
    ]


def test_one_that_is_gone_and_one_that_is_new_and_like_it_are_one_renamed() -> None:
    again = symbol("XYZUSDT", "BREAK", baseAsset="XYZ")
    assert between(listing(1, ETH, BTC), listing(2, BTC, again)) == [
        ("symbols/XYZUSDT", "renamed", "ETHUSDT", "XYZUSDT"),
        ("symbols/XYZUSDT/status", "changed", "TRADING", "BREAK"),
        ("symbols/XYZUSDT/baseAsset", "changed", "ETH", "XYZ"),
    ]
    [renamed, *_] = changes(
        EXCHANGE_INFO.parse(listing(1, ETH, BTC)), EXCHANGE_INFO.parse(listing(2, BTC, again))
    )
    assert renamed.symbols == ("XYZUSDT", "ETHUSDT")


def test_where_it_is_not_certain_nothing_is_taken_for_renamed() -> None:
    two = [symbol("AAAUSDT"), symbol("BBBUSDT")]
    assert {what for _, what, _, _ in between(listing(1, ETH, BTC), listing(2, BTC, *two))} == {
        "delisted",
        "listed",
    }
    bare = [{"symbol": name, "status": "TRADING"} for name in ("A", "B")]
    assert [what for _, what, _, _ in between(listing(1, bare[0]), listing(2, bare[1]))] == [
        "delisted",
        "listed",
    ]


def test_rate_limits_and_balances_are_told_by_their_names() -> None:
    fewer = json.loads(listing(2, ETH))
    fewer["rateLimits"][0]["limit"] = 3000
    fewer["rateLimits"].pop()
    found = changes(EXCHANGE_INFO.parse(listing(1, ETH)), fewer | {"serverTime": None})
    assert told(found)[:2] == [
        ("rateLimits/REQUEST_WEIGHT:MINUTE:1/limit", "changed", 6000, 3000),
        (
            "rateLimits/ORDERS:SECOND:10",
            "removed",
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
            None,
        ),
    ]
    assert all(change.symbols == () for change in found)
    before = {"balances": [{"asset": "BTC", "free": "1.0"}, {"asset": "ETH", "free": "2.0"}]}
    after = {"balances": [{"asset": "ETH", "free": "2.5"}, {"asset": "BTC", "free": "1.0"}]}
    assert told(changes(before, after)) == [("balances/ETH/free", "changed", "2.0", "2.5")]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (1, True),
        (0, False),
        (1, Decimal("1.0")),
        ("1", 1),
        (None, False),
        ([1], [True]),
        ({}, []),
        ([], None),
    ],
)
def test_values_that_python_takes_for_equal_and_json_does_not_differ(before: Any, after: Any) -> None:
    assert told(changes({"a": before}, {"a": after})) == [("a", "changed", before, after)]


def test_a_name_with_a_slash_stays_one_part_of_the_path() -> None:
    [change] = changes({}, {"a/b~c": 1})
    assert change.path == "a~1b~0c"
    [listed] = changes({"symbols": []}, {"symbols": [{"symbol": "A/B", "status": "X"}]})
    assert (listed.path, listed.symbols) == ("symbols/A~1B", ("A/B",))


@pytest.mark.parametrize("members", [{}, {"path": 1, "what": "added", "from": 1, "to": 2}])
def test_what_is_no_change_is_refused(members: Mapping[str, Any]) -> None:
    with pytest.raises((KeyError, ValueError)):
        Change.from_json(members)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["a", "b/", "TRADING"]),
    lambda held: st.lists(held, max_size=3) | st.dictionaries(st.sampled_from(["x", "y/z", "symbol"]), held),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.sampled_from(["symbols", "filters", "a"]), VALUES)


def without_order(value: Any) -> Any:
    """The same for documents that say the same: written anew, lists by what is in them."""
    if isinstance(value, dict):
        return {name: without_order(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return sorted((without_order(each) for each in value), key=lambda each: json.dumps(each))
    return value


@given(DOCUMENTS, DOCUMENTS)
def test_documents_without_a_change_between_them_say_the_same(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    found = changes(before, after)
    if not found:
        assert json.dumps(without_order(before)) == json.dumps(without_order(after))
    assert changes(before, before) == ()
    assert len({change.path for change in found}) == len(found)
    assert [Change.from_json(change.to_json()) for change in found] == list(found)
    assert all(isinstance(change.what, What) for change in found)
