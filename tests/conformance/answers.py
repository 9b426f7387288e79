"""The table ``answers.json``: requests, and what the server, the edge and the exchange answer to each.

A row says what the server answers; the other two answer the same unless the row says otherwise, and ``why``:

* ``"edge"``: nginx straight from the store (``infra/edge/store.conf``), with no server of ours behind it;
* ``"exchange"``: the simulator, which is written apart and stands for Binance.

An exception without a ``status`` means that this one is not asked. Of the exchange's headers only those are
compared that any client has to understand.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.conformance.world import GONE, Got, World

TABLE: Final = Path(__file__).with_name("answers.json")

_JSON: Final = "application/json;charset=UTF-8"
_SERVER_TIME: Final = re.compile(rb'(?<="serverTime":)[0-9]+')
_FAR_S: Final = 600
_ALIKE: Final = ("content-type", "allow")
"""Headers of ours that the exchange's own have to be like."""


class Row(NamedTuple):
    """A request and the answers to it. ``sent``: headers of the answer, by their names in lower case."""

    shows: str
    request: str
    headers: Mapping[str, str]
    sent: Mapping[str, str]
    server: Mapping[str, Any]
    edge: Mapping[str, Any]
    exchange: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.request} {dict(self.headers) or ''}".rstrip()[:90]


def rows() -> list[Row]:
    """The whole table."""
    return [
        Row(
            row["shows"],
            row["request"],
            row.get("headers", {}),
            row.get("sent", {}),
            row,
            row.get("edge", row),
            row.get("exchange", row),
        )
        for row in json.loads(TABLE.read_text("utf-8"))
    ]


def faults(row: Row, wanted: Mapping[str, Any], got: Got, world: World, theirs: Got | None) -> list[str]:
    """What is wrong with an answer, in words; empty where nothing is. ``theirs`` is the exchange's answer to
    the same request, where this one is not it."""
    found = []
    if got.status != wanted["status"]:
        found.append(f"status {got.status}, not {wanted['status']}")
    body = _body(wanted, world)
    if body is not None and got.body != body:
        found.append(f"body {got.body[:160]!r}, not {body[:160]!r}")
    if "time" in wanted:
        found += _time_faults(got.body, wanted["time"], world)
    if "symbols" in wanted:
        found += _list_faults(got.body, wanted["symbols"], theirs)
    if got.body.startswith((b"{", b"[")) and got.headers["content-type"] != _JSON:
        found.append(f"content-type {got.headers['content-type']}, not {_JSON}")
    if not row.request.startswith("HEAD") and got.headers["content-length"] not in (None, str(len(got.body))):
        found.append(f"content-length {got.headers['content-length']}, but {len(got.body)} bytes")
    for name, value in wanted.get("sent", row.sent).items():
        if theirs is None and name not in _ALIKE:
            continue
        said = got.headers[name]
        if said != value and (name != "content-type" or (said or "").partition(";")[0] != value):
            found.append(f"{name}: {said}, not {value}")
    return found


def _body(wanted: Mapping[str, Any], world: World) -> bytes | None:
    """The exact bytes, where the row tells them."""
    match wanted:
        case {"code": code, "msg": msg}:
            return json.dumps({"code": code, "msg": msg}, separators=(",", ":"), ensure_ascii=False).encode()
        case {"text": text}:
            return str(text).encode()
        case {"book": [symbol, limit]}:
            return world.book(symbol, limit)
        case {"ticker": symbol}:
            return _ticker(world, symbol)
        case {"tickers": symbols}:
            return b"[" + b",".join(_ticker(world, symbol) for symbol in symbols) + b"]"
    return None


def _ticker(world: World, symbol: str) -> bytes:
    book = json.loads(world.book("THINUSDT" if symbol == GONE else symbol, 1))
    # Every symbol of this world has eight digits.
    bid, ask = ((book[side] or [["0.00000000", "0.00000000"]])[0] for side in ("bids", "asks"))
    members = {"symbol": symbol, "bidPrice": bid[0], "bidQty": bid[1], "askPrice": ask[0], "askQty": ask[1]}
    return json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()


def _time_faults(body: bytes, unit: str, world: World) -> list[str]:
    said = re.fullmatch(rb'\{"serverTime":([0-9]+)\}', body)
    if said is None:
        return [f"body {body[:80]!r} is not a time"]
    off_s = abs(int(said[1]) / (1e6 if unit == "us" else 1e3) - world.simulator.exchange.wall_ms() / 1000)
    return [] if off_s < _FAR_S else [f"serverTime {said[1]!r} is {off_s:.0f} s from the time, in {unit}"]


def _list_faults(body: bytes, symbols: list[str], theirs: Got | None) -> list[str]:
    listed = [each["symbol"] for each in json.loads(body)["symbols"]]
    found = [] if listed == symbols else [f"lists {listed}, not {symbols}"]
    if theirs is not None and _SERVER_TIME.sub(b"0", body) != _SERVER_TIME.sub(b"0", theirs.body):
        found.append("not the exchange's list, byte for byte")
    return found
