"""What the path of a websocket asks for. Pure."""

from typing import Final, NamedTuple
from urllib.parse import parse_qsl

WEBSOCKET_PATH: Final = "/ws"
COMBINED_PATH: Final = "/stream"

_TIME_UNITS: Final = {"MICROSECOND": True, "microsecond": True, "MILLISECOND": False, "millisecond": False}


class Target(NamedTuple):
    """What a websocket is opened for: these streams, ``combined`` or raw."""

    names: tuple[str, ...]
    combined: bool
    microseconds: bool


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
