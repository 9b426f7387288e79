"""The list of symbols as a file, and its parts."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthcast.errors import BadFile
from depthcast.symbol_list import LAYOUT, Layout, Parts, SymbolList, without_permission_sets

BOTH = {"isSpotTradingAllowed": True, "isMarginTradingAllowed": True}


def symbol(name: str, **members: Any) -> dict[str, Any]:
    return {
        "symbol": name,
        "status": "TRADING",
        "baseAsset": name[:3],
        "filters": [{"filterType": "PRICE_FILTER", "tickSize": "0.01000000"}],
        "permissions": [],
        "permissionSets": [["SPOT", "MARGIN"], ["TRD_GRP_004"]],
        **members,
    }


def body_of(*symbols: dict[str, Any], server_time: int = 1_723_161_253_000, **members: Any) -> bytes:
    whole = {
        "timezone": "UTC",
        "serverTime": server_time,
        "rateLimits": [{"rateLimitType": "REQUEST_WEIGHT", "limit": 6000}],
        "exchangeFilters": [],
        "symbols": list(symbols),
        **members,
    }
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode()


BODY = body_of(symbol("ETHUSDT"), symbol("币安人生USDT", status="HALT"), sors=[{"symbols": ["A"]}])


def test_the_server_time_is_told_and_the_rest_is_the_bytes() -> None:
    cut = SymbolList.of(BODY)
    assert cut.server_time_ms == 1_723_161_253_000
    assert b"%s%d%s" % (cut.before, cut.server_time_ms, cut.after) == BODY


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b'{"serverTime":}', BODY[1:], BODY[:-1], b'{"x":"' + b" " * 5000 + BODY[1:]],
)
def test_what_is_no_list_is_refused(body: bytes) -> None:
    with pytest.raises(BadFile):
        SymbolList.of(body)


def test_the_entries_are_the_list_s_own_bytes() -> None:
    cut = SymbolList.of(BODY)
    between, entries, behind = cut.divide()
    assert [entry.symbol for entry in entries] == ["ETHUSDT", "币安人生USDT"]
    assert [entry.status for entry in entries] == ["TRADING", "HALT"]
    joined = b",".join(entry.body for entry in entries)
    assert cut.before + str(cut.server_time_ms).encode() + between + joined + behind == BODY


def test_a_list_may_be_empty() -> None:
    assert SymbolList.of(body_of()).divide().entries == ()


@pytest.mark.parametrize(
    ("members", "permissions"),
    [
        ({}, {"SPOT", "MARGIN", "TRD_GRP_004"}),
        ({"permissionSets": [], "permissions": ["SPOT"]}, {"SPOT"}),
        ({"permissionSets": [], **BOTH}, {"SPOT", "MARGIN"}),
        ({"permissionSets": [], **BOTH, "isSpotTradingAllowed": False}, {"MARGIN"}),
        ({"permissionSets": []}, set()),
    ],
)
def test_permissions_are_those_of_all_sets_or_what_the_flags_tell(
    members: dict[str, Any], permissions: set[str]
) -> None:
    (entry,) = SymbolList.of(body_of(symbol("ETHUSDT", **members))).divide().entries
    assert entry.permissions == permissions


@pytest.mark.parametrize(
    "damage",
    [
        (b'"symbols"', b'"others"'),
        (b'},{"symbol":"', b'} {"symbol":"'),
        (b'"symbol":"ETHUSDT"', b'"symbol":5'),
        (b'"status":"HALT",', b""),
        ("币".encode(), b"\xff"),
        (b'"TRD_GRP_004"]]}],', b'"TRD_GRP_004"]]},'),
        (b'"sors"', b'"sors'),
    ],
)
def test_a_list_that_cannot_be_read_is_refused(damage: tuple[bytes, bytes]) -> None:
    broken = BODY.replace(*damage)
    assert broken != BODY
    with pytest.raises(BadFile):
        SymbolList.of(broken).divide()


@given(st.integers(0, len(BODY) - 1), st.binary(min_size=1, max_size=3))
def test_damage_is_refused_or_read_but_nothing_else(at: int, junk: bytes) -> None:
    with contextlib.suppress(BadFile):
        SymbolList.of(BODY[:at] + junk + BODY[at + len(junk) :]).divide()


def test_permission_sets_are_left_out_as_binance_leaves_them_out() -> None:
    full, bare = body_of(symbol("A"), symbol("B")), body_of(*(symbol(n, permissionSets=[]) for n in "AB"))
    assert without_permission_sets(full) == bare
    assert without_permission_sets(bare) == bare


BARE = Layout(bare=True, name="id", timed=False, volatile=frozenset({"price"}))


def test_a_bare_list_is_kept_compact_and_without_what_moves() -> None:
    body = b'[ {"id":"A","status":"x","price":1.50,"step":1.10}, {"id":"B","status":"y"}, 5 ]'
    kept = BARE.kept(body)
    assert kept == b'[{"id":"A","status":"x","step":1.10},{"id":"B","status":"y"},5]'
    assert BARE.kept(kept) == kept
    assert BARE.kept(b"<html>") == b"<html>"
    assert BARE.kept(b'{"a":1}') == b'{"a":1}'
    assert LAYOUT.kept(b" as it is ") == b" as it is "
    assert LAYOUT.entries({"symbols": [5]}) == [5]
    assert LAYOUT.entries([5]) == []


def test_a_bare_list_is_divided_and_put_together_again() -> None:
    body = b'[{"id":"A","status":"x"},{"id":"B","status":"y"}]'
    whole = SymbolList.of(body, BARE)
    assert (whole.server_time_ms, whole.beginning(), whole.after) == (None, b"", body)
    between, entries, behind = whole.divide()
    assert [(entry.symbol, entry.status) for entry in entries] == [("A", "x"), ("B", "y")]
    parts = Parts(whole.after, between, {entry.symbol: entry for entry in entries}, behind)
    assert parts.only(entries) == body
    assert parts.only(entries[1:]) == b'[{"id":"B","status":"y"}]'
    for damaged in (b"{}", b"[", b'[{"id":"A"'):
        with pytest.raises(BadFile):
            SymbolList.of(damaged, BARE)


def test_a_list_begins_with_its_time_in_either_unit() -> None:
    whole = SymbolList.of(b'{"serverTime":17,"symbols":[]}')
    assert whole.beginning() == b'{"serverTime":17'
    assert whole.beginning(in_us=True) == b'{"serverTime":17000'
    with pytest.raises(BadFile, match="serverTime"):
        SymbolList.of(b'{"symbols":[]}')
