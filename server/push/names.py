"""The names of the exchange's streams, and what the path of a websocket asks for. Pure.

Answered are ``<symbol>@depth5|10|20`` once a second, the same with ``@100ms`` ten times, and
``<symbol>@bookTicker`` at each change. Any other name is acknowledged by the exchange, and stays silent.
"""

import re
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from depthcast.files import valid_symbol

WEBSOCKET_PATH: Final = "/ws"
COMBINED_PATH: Final = "/stream"

MAX_NAME_LENGTH: Final = 100
"""No longer name is remembered; the longest that says something has 50 characters of symbol and 15 more."""

_NAME: Final = re.compile(
    r"(?P<symbol>[^@]+)@(?:(?P<ticker>bookTicker)|depth(?P<levels>5|10|20)(?P<fast>@100ms)?)"
)
_UPPER: Final = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_TIME_UNITS: Final = {"MICROSECOND": True, "microsecond": True, "MILLISECOND": False, "millisecond": False}


class StreamName(NamedTuple):
    """A stream that can be delivered: the best ``levels`` a side at most once in ``interval_ms``, or
    with 0 levels the best prices, at each change."""

    symbol: str
    levels: int
    interval_ms: int


class Target(NamedTuple):
    """What a websocket is opened for: these streams, ``combined`` or raw."""

    names: tuple[str, ...]
    combined: bool
    microseconds: bool


def parse_name(name: str) -> StreamName | None:
    """The stream called ``name``; ``None`` where nothing is to be delivered. Symbols are in lower case.

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


def parse_target(path: str, query: str) -> Target | None:
    """What a path (percent-decoded) and a raw query ask for; ``None``: there is no such path.

    >>> parse_target("/stream", "streams=btcusdt@depth5/ethusdt@depth20@100ms&timeUnit=MICROSECOND")
    Target(names=('btcusdt@depth5', 'ethusdt@depth20@100ms'), combined=True, microseconds=True)
    >>> parse_target("/ws/btcusdt@depth5", "").names
    ('btcusdt@depth5',)
    """
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    microseconds = _TIME_UNITS.get(parameters.get("timeUnit", "MILLISECOND"), False)
    if path == COMBINED_PATH:
        listed, combined = parameters.get("streams", ""), True
    elif path == WEBSOCKET_PATH or path.startswith(WEBSOCKET_PATH + "/"):
        listed, combined = path.removeprefix(WEBSOCKET_PATH), False
    else:
        return None
    return Target(tuple(name for name in listed.split("/") if name), combined, microseconds)
