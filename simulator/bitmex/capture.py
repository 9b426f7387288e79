"""Recorded messages of BitMEX, read and played again.

A session with time in seconds, a message a line (other lines tell of the connection)::

    1618677663.0541499: {"table":"orderBookL2","action":"update","data":[{"symbol":"LTCUSD",…}]}

Files are one capture, merged by time. The world of it is each instrument's first recorded partial of
*orderBookL2* and the later changes. *quote* and *trade* are sent as they were recorded; *orderBook10* and
*orderBookL2_25* are made of the rows. Rows that tell no time have that of the message.
"""

import gzip
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

from simulator.bitmex.exchange import BitmexExchange
from simulator.bitmex.instruments import Instrument, instrument_of
from simulator.bitmex.market import Market
from simulator.bitmex.rows import SIDES, Action, Row
from simulator.capture import CaptureError

_RECORD: Final = re.compile(r'(\d+\.\d+): (\{"table":.*)')
_AS_RECORDED: Final = ("quote", "trade")
_CHANGES: Final[Mapping[str, Action]] = {"insert": "insert", "update": "update", "delete": "delete"}


class Message(NamedTuple):
    """One message at ``at_s`` (local clock, seconds since 1970); numbers are exact."""

    at_s: float
    table: str
    action: str
    rows: Sequence[Mapping[str, Any]]
    data: str
    """The JSON array of its rows, as it was recorded."""


@dataclass(slots=True)
class Capture:
    """What was recorded of each instrument: its opening rows, and all later messages in their order."""

    opening: dict[str, Sequence[Mapping[str, Any]]]
    flow: list[Message]
    digits: dict[str, int] = field(default_factory=dict)

    @property
    def old(self) -> bool:
        """Whether rows are as before July 2023: an update tells no price."""
        updates = (row for each in self.flow if each.action == "update" for row in each.rows)
        return any("price" not in row for row in updates)


def load(paths: Iterable[Path]) -> Capture:
    """The capture in these files. Raises CaptureError for what cannot be played, OSError."""
    paths = list(paths)
    messages = sorted((each for path in paths for each in _read(path)), key=lambda each: each.at_s)
    capture = Capture({}, [])
    for each in messages:
        for row in each.rows if each.table == "orderBookL2" else ():
            if "price" in row:
                exponent = Decimal(row["price"]).normalize().as_tuple().exponent
                assert isinstance(exponent, int)
                known = capture.digits.get(row["symbol"], 0)
                capture.digits[row["symbol"]] = max(known, -exponent)
        if each.table == "orderBookL2" and each.action == "partial":
            for symbol in {row["symbol"] for row in each.rows}:
                capture.opening.setdefault(symbol, [r for r in each.rows if r["symbol"] == symbol])
        elif each.action != "partial":
            capture.flow.append(each)
    capture.flow = [each for each in capture.flow if each.rows[0]["symbol"] in capture.opening]
    if not capture.flow:
        raise CaptureError(f"no book with changes is recorded in {', '.join(map(str, paths))}")
    return capture


class Player:
    """Plays a capture on an exchange, whose instruments it lists. Times are seconds since its beginning."""

    def __init__(self, capture: Capture, exchange: BitmexExchange) -> None:
        self._flow = capture.flow
        self._played = 0
        self._start_s = capture.flow[0].at_s
        self.position_s = 0.0
        self.markets: dict[str, Market] = {}
        for symbol, rows in capture.opening.items():
            known, digits = instrument_of(symbol), capture.digits[symbol]
            instrument = Instrument(symbol, digits, 1, 1, known.index)
            opening = [_row(row, digits, int(self._start_s * 1000)) for row in rows]
            self.markets[symbol] = exchange.add_recorded(
                instrument, opening, now_ms=int(self._start_s * 1000), old=capture.old
            )

    @property
    def done(self) -> bool:
        """Whether all was played to the end."""
        return self._played == len(self._flow)

    @property
    def next_s(self) -> float:
        """When the next message is due. Not to be asked when all is done."""
        return self._flow[self._played].at_s - self._start_s

    @property
    def heard(self) -> bool:
        """Whether somebody listens to any of the instruments."""
        return any(market.listeners for market in self.markets.values())

    @property
    def heard_by_all(self) -> bool:
        """Whether somebody listens to each of the instruments."""
        return all(market.listeners for market in self.markets.values())

    def play_until(self, at_s: float) -> None:
        """Play every message up to a time."""
        while not self.done and self.next_s <= at_s:
            self.play_next()
        self.position_s = max(self.position_s, at_s)

    def play_next(self) -> None:
        """Play the next message. Raises CaptureError for a change of a row that is not there."""
        message = self._flow[self._played]
        self._played += 1
        for symbol in dict.fromkeys(row["symbol"] for row in message.rows):
            market = self.markets.get(symbol)
            if market is None:
                continue
            if message.table in _AS_RECORDED:
                market.pass_on(message.table, message.data)
                continue
            rows = [self._changed(market, row, message) for row in message.rows if row["symbol"] == symbol]
            action = _CHANGES.get(message.action)
            if action is not None:
                market.play(action, rows, int(message.at_s * 1000))

    @staticmethod
    def _changed(market: Market, told: Mapping[str, Any], message: Message) -> Row:
        """A row as it is after a message, which may tell a part of it."""
        at_ms = int(message.at_s * 1000)
        if message.action == "insert":
            return _row(told, market.instrument.digits, at_ms)
        held = market.history.head.get(int(told["id"]))
        if held is None:
            raise CaptureError(f"{market.instrument.symbol}: {message.action} of an unknown id {told['id']}")
        return held._replace(size=int(told.get("size", held.size)), time_ms=at_ms, transact_ms=at_ms)


def _row(told: Mapping[str, Any], digits: int, at_ms: int) -> Row:
    side = SIDES[told["side"] == "Sell"]
    time_ms, transact_ms = (
        _ms(told[name]) if name in told else at_ms for name in ("timestamp", "transactTime")
    )
    price = int(Decimal(told["price"]).scaleb(digits))
    return Row(int(told["id"]), side, int(told["size"]), price, time_ms, transact_ms)


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _read(path: Path) -> Iterator[Message]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            match = _RECORD.fullmatch(line.decode().rstrip("\n"))
            if match is None:
                continue
            try:
                frame = json.loads(match[2], parse_float=Decimal)
                rows = frame["data"]
                if frame["table"] in ("orderBookL2", *_AS_RECORDED) and rows:
                    data = match[2][match[2].index('"data":') + len('"data":') : -1]
                    yield Message(float(match[1]), frame["table"], frame["action"], rows, data)
            except (ValueError, KeyError, TypeError) as error:
                raise CaptureError(f"{path}, line {number}: {type(error).__name__} {error}") from None
