"""The streams of Binance's own websocket that can be made of published files, and their limits. Pure.

Of spot: ``<symbol>@depth5|10|20`` once a second, the same with ``@100ms`` ten times, and
``<symbol>@bookTicker`` at each change. Of futures ``<symbol>@bookTicker`` alone: a partial book has there the
first id of its last diff and the one before it (``U``, ``pu``), and a file tells neither. Any other name is
acknowledged by the exchange, and stays silent.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import orjson

from depthcast.errors import BadFile
from depthcast.scheme import Level, valid_symbol
from depthcast.venues.binance_files import names_in

MAX_NAME_LENGTH: Final = 100
"""No longer name is remembered; the longest that says something has 50 characters of symbol and 15 more."""

_NAME: Final = re.compile(
    r"(?P<symbol>[^@]+)@(?:(?P<ticker>bookTicker)|depth(?P<levels>5|10|20)(?P<fast>@100ms)?)"
)
_UPPER: Final = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_TIMES: Final = re.compile(rb'"E":([0-9]{1,19}),"T":([0-9]{1,19}),"bids"')
_PAIR: Final = re.compile(rb'"pair":"([^"]{1,50})"')
_HEAD_BYTES: Final = 256


class StreamName(NamedTuple):
    """A stream that can be delivered: the best ``levels`` a side at most once in ``interval_ms``, or
    with 0 levels the best prices, at each change."""

    symbol: str
    levels: int
    interval_ms: int


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one connection; those of spot."""

    streams: int = 1024
    messages_a_second: int = 5
    ping_every_s: float = 20.0
    pong_within_s: float = 60.0
    life_s: float = 24 * 3600.0


class Streams(NamedTuple):
    """What a venue's websocket delivers. ``parse`` reads a name, ``ticker`` makes the best prices of symbol,
    update id, best bid, best ask and the file's body (raises :class:`~depthcast.errors.BadFile`). ``route``
    may stand before the venue's paths."""

    parse: Callable[[str], StreamName | None]
    ticker: Callable[[str, int, Level, Level, bytes], bytes]
    limits: Limits
    route: str = ""


def parse_name(name: str) -> StreamName | None:
    """The stream of spot called ``name``; ``None`` where nothing is to be delivered. Symbols are in lower
    case.

    >>> parse_name("ethusdt@depth20@100ms")
    StreamName(symbol='ETHUSDT', levels=20, interval_ms=100)
    >>> parse_name("ethusdt@bookTicker").levels, parse_name("ETHUSDT@depth5"), parse_name("ethusdt@trade")
    (0, None, None)
    """
    match = _NAME.fullmatch(name) if len(name) <= MAX_NAME_LENGTH else None
    if match is None:
        return None
    lower = match["symbol"]
    # Only these letters have another case to the exchange; symbols may be of any alphabet.
    symbol = lower.translate(_UPPER)
    if any("A" <= letter <= "Z" for letter in lower) or not valid_symbol(symbol):
        return None
    if match["ticker"]:
        return StreamName(symbol, 0, 0)
    return StreamName(symbol, int(match["levels"]), 100 if match["fast"] else 1000)


def parse_futures_name(name: str) -> StreamName | None:
    """The same of futures.

    >>> parse_futures_name("btcusd_perp@bookTicker"), parse_futures_name("btcusdt@depth5")
    (StreamName(symbol='BTCUSD_PERP', levels=0, interval_ms=0), None)
    """
    stream = parse_name(name)
    return stream if stream is not None and not stream.levels else None


def ticker(symbol: str, update_id: int, bid: Level, ask: Level, body: bytes) -> bytes:
    """``<symbol>@bookTicker`` of spot.

    >>> ticker("A", 1, ("3.10", "2.0"), ("3.20", "1.0"), b"")
    b'{"u":1,"s":"A","b":"3.10","B":"2.0","a":"3.20","A":"1.0"}'
    """
    return orjson.dumps({"u": update_id, "s": symbol, "b": bid[0], "B": bid[1], "a": ask[0], "A": ask[1]})


def futures_ticker(symbol: str, update_id: int, bid: Level, ask: Level, body: bytes) -> bytes:
    """The same of futures, with the times of the book: when it was put out, and when it changed last.

    >>> body = b'{"lastUpdateId":1,"E":9,"T":8,"bids":[["3.1","2"]],"asks":[["3.2","1"]]}'
    >>> futures_ticker("A", 1, ("3.1", "2"), ("3.2", "1"), body)
    b'{"e":"bookTicker","u":1,"s":"A","b":"3.1","B":"2","a":"3.2","A":"1","T":8,"E":9}'
    """
    times = _TIMES.search(body, 0, _HEAD_BYTES)
    if times is None:
        raise BadFile(symbol, "it does not tell its times")
    pair = _PAIR.search(names_in(body))
    return orjson.dumps(
        {
            "e": "bookTicker",
            "u": update_id,
            "s": symbol,
            **({} if pair is None else {"ps": pair[1].decode()}),
            "b": bid[0],
            "B": bid[1],
            "a": ask[0],
            "A": ask[1],
            "T": int(times[2]),
            "E": int(times[1]),
        }
    )


SPOT_STREAMS: Final = Streams(parse_name, ticker, Limits())

FUTURES_STREAMS: Final = Streams(
    parse_futures_name,
    futures_ticker,
    Limits(messages_a_second=10, ping_every_s=180.0, pong_within_s=600.0),
    route="/public",
)
"""*"10 incoming messages per second … a ping frame every 3 minutes … a pong frame back … within a 10 minute
period"*; *"Public (high-frequency public market data)"* is where they have books."""
