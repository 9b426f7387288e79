"""The parameters of Binance spot's REST requests, each with its own refusals. Sans-I/O.

As in :mod:`simulator.rest`: what is documented, then what was seen; what neither tells is marked *chosen*.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

from simulator.listing import PERMISSIONS, REQUESTABLE_STATUSES, well_formed
from simulator.truth import MAX_DEPTH

DEFAULT_LIMIT: Final = 100

_SYMBOL_RANGE: Final = r"[\w\-._&&[^a-z]]{1,50}"
# '^\[("…"(,"…"){0,}){0,1}\]$': no blanks. As seen in 2026.
_SYMBOLS: Final = re.compile(r'\[("[^"\s]+"(,"[^"\s]+")*)?\]')
_PERMISSION: Final = re.compile(r"[A-Z0-9_]{1,50}")
LIMIT: Final = re.compile(r"[0-9]{1,20}")
_INT_MAX: Final = 2**31 - 1
_TIME_UNITS: Final = {"MICROSECOND": 1000, "microsecond": 1000, "MILLISECOND": 1, "millisecond": 1}


class ApiError(Exception):
    """A refusal: HTTP 400, or another ``status``, with ``{"code":…,"msg":…}``."""

    def __init__(self, code: int, msg: str, status: int = 400) -> None:
        super().__init__(f"{code} {msg}")
        self.code = code
        self.msg = msg
        self.status = status


def checked(sent: Sequence[tuple[str, str]], known: Sequence[str]) -> dict[str, str]:
    """Duplicates are refused before too many parameters are, and both before any value is looked at."""
    parameters: dict[str, str] = {}
    for name, value in sent:
        if name in parameters:
            raise ApiError(-1101, f"Duplicate values for parameter '{name}'.")
        parameters[name] = value
    if len(parameters) > len(known):
        raise ApiError(
            -1101, f"Too many parameters; expected '{len(known)}' and received '{len(parameters)}'."
        )
    return parameters


def all_read(sent: Mapping[str, str], known: Sequence[str]) -> None:
    """Refuses a parameter that the endpoint does not know."""
    read = sum(name in known for name in sent)
    if read < len(sent):
        raise ApiError(
            -1104,
            f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{len(sent)}'.",
        )


def symbol_of(sent: Mapping[str, str]) -> str:
    """The parameter ``symbol``, which has to be there."""
    if "symbol" not in sent:
        raise ApiError(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
    symbol = sent["symbol"]
    if not symbol:
        raise ApiError(-1105, "Parameter 'symbol' was empty.")
    if not well_formed(symbol):
        raise _illegal("symbol", f"^{_SYMBOL_RANGE}$")
    return symbol


def _symbols(text: str) -> Sequence[str]:
    """``["BTCUSDT","BNBUSDT"]``"""
    if not text:
        raise ApiError(-1105, "Parameter 'symbols' was empty.")
    symbols = json.loads(text) if _SYMBOLS.fullmatch(text) and "\\" not in text else [""]
    if not all(map(well_formed, symbols)):
        one = f'"{_SYMBOL_RANGE}"'
        raise _illegal("symbols", rf"^\[({one}(,{one}){{0,}}){{0,1}}\]$")
    return list(symbols)


def symbol_or_symbols(sent: Mapping[str, str]) -> Sequence[str]:
    """Each is looked at by itself first (chosen); empty where neither was sent."""
    one = [symbol_of(sent)] if "symbol" in sent else []
    return _symbols(sent["symbols"]) if "symbols" in sent else one


def either(sent: Mapping[str, str]) -> None:
    """Refuses ``symbol`` together with ``symbols``."""
    if "symbol" in sent and "symbols" in sent:
        raise ApiError(
            -1128,
            "Combination of optional parameters invalid. "
            "Recommendation: 'symbol' and 'symbols' cannot both be sent.",
        )


def once_each(symbols: Sequence[str]) -> None:
    """Refuses a symbol that is listed twice."""
    if len(set(symbols)) < len(symbols):
        raise ApiError(-1151, "Symbol is present multiple times in the list.")


def limit_of(sent: Mapping[str, str]) -> int:
    """Levels a side."""
    text = sent.get("limit")
    if text is None:
        return DEFAULT_LIMIT
    if not text:
        raise ApiError(-1105, "Parameter 'limit' was empty.")
    if LIMIT.fullmatch(text) is None:
        raise _illegal("limit", "^[0-9]{1,20}$")
    if int(text) > _INT_MAX:
        raise ApiError(-1108, "Parameter 'limit' overflowed.")
    if int(text) == 0:
        raise ApiError(-1130, "Data sent for parameter 'limit' is not valid.")  # chosen
    return min(int(text), MAX_DEPTH)


def status_of(sent: Mapping[str, str]) -> str | None:
    """The parameter ``symbolStatus``."""
    status = sent.get("symbolStatus")
    if status == "":
        raise ApiError(-1105, "Parameter 'symbolStatus' was empty.")
    if status is not None and status not in REQUESTABLE_STATUSES:
        raise ApiError(-1122, "Invalid symbolStatus.")
    return status


def permissions_of(sent: Mapping[str, str]) -> set[str]:
    """One name, or a JSON array of names."""
    text = sent.get("permissions")
    if text is None:
        return set(PERMISSIONS)
    if not text:
        raise ApiError(-1105, "Parameter 'permissions' was empty.")
    names = [text]
    if text.startswith("["):
        names = json.loads(text) if _SYMBOLS.fullmatch(text) and "\\" not in text else []
    if not names or not all(map(_PERMISSION.fullmatch, names)):
        raise ApiError(-1130, "Data sent for parameter 'permissions' is not valid.")  # chosen
    return set(names)


def boolean_of(sent: Mapping[str, str], name: str, *, default: bool) -> bool:
    """``true`` or ``false`` (chosen: in any case)."""
    text = sent.get(name)
    if text is None:
        return default
    if not text:
        raise ApiError(-1105, f"Parameter '{name}' was empty.")
    if text.lower() not in ("true", "false"):
        raise ApiError(-1130, f"Data sent for parameter '{name}' is not valid.")
    return text.lower() == "true"


def time_unit_of(headers: Mapping[str, str]) -> int:
    """Units a millisecond, as ``X-MBX-TIME-UNIT`` asks for."""
    unit = headers.get("x-mbx-time-unit", "MILLISECOND")
    if unit not in _TIME_UNITS:
        raise ApiError(-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")
    return _TIME_UNITS[unit]


def _illegal(name: str, legal: str) -> ApiError:
    return ApiError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")
