"""BitMEX's time and its instruments."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from depthcast.errors import MalformedAnswer
from depthcast.symbol_list import Entry, Parts
from depthcast.venues.bitmex_lists import (
    LAYOUT,
    InstrumentRequest,
    parse_active,
    parse_instrument,
    parse_time,
    row,
    select,
    worded,
)
from depthcast.venues.requests import ApiError


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"{}",
        b'{"timestamp":"5"}',
        b'{"timestamp":true}',
        b'{"timestamp":0}',
        b'{"timestamp":1.5}',
    ],
)
def test_what_is_no_time_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedAnswer, match="/api/v1"):
        parse_time(body)


def test_a_perpetual_contract_has_no_end() -> None:
    entry = {"symbol": "XBTUSD", "state": "Open", "typ": "FFWCSX", "settlCurrency": "XBt", "expiry": None}
    assert row(entry)[:3] == ("XBTUSD", "Open", "FFWCSX XBt")


ENTRIES = [
    {"symbol": f"S{n}", "state": "Closed" if n % 7 == 3 else "Open", "rootSymbol": "XBT", "tickSize": n / 2}
    for n in range(150)
]
BODIES = {str(each["symbol"]): json.dumps(each, separators=(",", ":")).encode() for each in ENTRIES}
PARTS = Parts(
    b"[" + b",".join(BODIES.values()) + b"]",
    b"[",
    {name: Entry(name, "Open", frozenset(), body) for name, body in BODIES.items()},
    b"]",
)


def chosen(query: str) -> Any:
    request = parse_instrument(query.encode())
    assert isinstance(request, InstrumentRequest)
    given = select(PARTS, request)
    assert isinstance(given, bytes)
    return json.loads(given)


def test_the_active_ones_are_the_list_as_it_stands() -> None:
    assert select(PARTS, parse_active(b"symbol=S3")) == PARTS.whole
    assert LAYOUT.bare


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ENTRIES[:100]),
        ("symbol=S7", ENTRIES[7:8]),
        ("symbol=NONE", []),
        ("symbol=", ENTRIES[:100]),
        ("count=3&start=148", ENTRIES[148:]),
        ("count=2&reverse=true", ENTRIES[:-3:-1]),
        ("count=500&reverse=false", ENTRIES),
        (
            "filter=" + quote('{"state":"Closed"}') + "&count=500",
            [e for e in ENTRIES if e["state"] == "Closed"],
        ),
        ("filter=" + quote('{"state":"Open","tickSize":0.5}'), ENTRIES[1:2]),
        ("symbol=S3&columns=tickSize,state", [{n: ENTRIES[3][n] for n in ("symbol", "state", "tickSize")}]),
        ("symbol=S3&columns=" + quote('["state"]'), [{n: ENTRIES[3][n] for n in ("symbol", "state")}]),
        ("symbol=S3&startTime=2026-01-01", ENTRIES[3:4]),
    ],
)
def test_instruments_are_chosen_as_documented(query: str, expected: list[dict[str, Any]]) -> None:
    assert chosen(query) == expected


@pytest.mark.parametrize(
    "query",
    [
        "count=0",
        "count=501",
        "count=x",
        "start=-1",
        "reverse=maybe",
        "filter=5",
        "filter={",
        "filter=%7B%22a%22:[1]%7D",
        "columns=[5]",
        "columns=[",
    ],
)
def test_what_makes_no_sense_is_refused(query: str) -> None:
    given = parse_instrument(query.encode())
    assert isinstance(given, ApiError)
    assert given.status == 400
    assert json.loads(given.body())["error"]["message"].startswith(f"'{query.partition('=')[0]}' must be")


def test_the_time_is_read_and_a_refusal_of_ours_is_in_the_exchange_s_form() -> None:
    assert parse_time(b'{"timestamp":1732027140137}') == 1_732_027_140_137
    error = json.loads(worded(ApiError(400, -1100, "No.")).body())["error"]
    assert error == {"message": "No.", "name": "HTTPError"}
