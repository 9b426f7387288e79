"""BitMEX's instruments: how their list is written, and which members count. Pure.

``GET /api/v1/instrument/active`` answers a list of some hundred instruments of about a hundred members each,
of which half move with the market: prices, volumes, open interest, funding, the hours of the session. A list
of them would be news at every look. So what is kept is the list without :data:`VOLATILE`, and every other
member counts: ``state``, ``typ``, ``tickSize``, ``lotSize``, ``maxOrderQty``, ``expiry``, ``settle``,
``settlCurrency``, ``multiplier``, margins, ``riskLimit``, ``makerFee``, ``takerFee``, …; and one that is new,
for a rule that is not known yet is news. Members are those of the API explorer's ``Instrument`` and of
answers recorded in 2021 and 2024.

``GET /api/v1`` tells the time.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from depthcast.errors import MalformedAnswer
from depthcast.symbol_list import Layout
from depthcast.venues.shown import Shown, size_of, text_of

LIST_PATH: Final = "/api/v1/instrument/active"
TIME_PATH: Final = "/api/v1"

_PRICES: Final = (
    "prevClosePrice",
    "limitDownPrice",
    "limitUpPrice",
    "bankruptLimitDownPrice",
    "bankruptLimitUpPrice",
    "prevPrice24h",
    "vwap",
    "highPrice",
    "lowPrice",
    "lastPrice",
    "lastPriceProtected",
    "lastTickDirection",
    "lastChangePcnt",
    "bidPrice",
    "midPrice",
    "askPrice",
    "impactBidPrice",
    "impactMidPrice",
    "impactAskPrice",
    "hasLiquidity",
    "fairBasisRate",
    "fairBasis",
    "fairPrice",
    "markPrice",
    "indicativeTaxRate",
    "indicativeSettlePrice",
    "optionUnderlyingPrice",
)
_VOLUMES: Final = (
    "prevTotalVolume",
    "totalVolume",
    "volume",
    "volume24h",
    "prevTotalTurnover",
    "totalTurnover",
    "turnover",
    "turnover24h",
    "homeNotional24h",
    "foreignNotional24h",
    "openInterest",
    "openValue",
)
_FUNDING: Final = (
    "fundingTimestamp",
    "fundingRate",
    "indicativeFundingRate",
    "fundingBaseRate",
    "fundingQuoteRate",
    "rebalanceTimestamp",
)
_HOURS: Final = ("openingTimestamp", "closingTimestamp", "timestamp")
_CONVERSIONS: Final = ("quoteToSettleMultiplier",)
"""Of a quanto contract it is the price of its quote currency in the currency that it settles in."""

VOLATILE: Final = frozenset((*_PRICES, *_VOLUMES, *_FUNDING, *_HOURS, *_CONVERSIONS))
"""What moves with the market."""

LAYOUT: Final = Layout(bare=True, status="state", timed=False, volatile=VOLATILE)

_LATEST_MS: Final = 10**13


def parse_time(body: bytes) -> int:
    """``{"name":"BitMEX API","version":"2.0.0","timestamp":1732027140137}``.

    Raises :class:`~depthcast.errors.MalformedAnswer`.

    >>> parse_time(b'{"name":"BitMEX API","version":"2.0.0","timestamp":1732027140137}')
    1732027140137
    """
    try:
        time_ms = orjson.loads(body)["timestamp"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise MalformedAnswer(TIME_PATH, "no timestamp in it") from None
    if isinstance(time_ms, bool) or not isinstance(time_ms, int) or not 0 < time_ms < _LATEST_MS:
        raise MalformedAnswer(TIME_PATH, "its timestamp is no time in milliseconds")
    return time_ms


def row(entry: Mapping[str, Any]) -> Shown:
    """An instrument; its note is its type, its currency and when it expires. Quantities are contracts.

    >>> row({"symbol": "XBTZ26", "state": "Open", "typ": "FFCCSX", "settlCurrency": "XBt", "lotSize": 100,
    ...      "expiry": "2026-12-25T12:00:00.000Z"}).note
    'FFCCSX XBt until 2026-12-25'
    """
    expiry = text_of(entry, "expiry")[:10]
    note = (text_of(entry, "typ"), text_of(entry, "settlCurrency"), f"until {expiry}" if expiry else "")
    return Shown(
        text_of(entry, "symbol"),
        text_of(entry, "state"),
        " ".join(filter(None, note)),
        size_of(entry, "tickSize"),
        size_of(entry, "minPrice"),
        size_of(entry, "maxPrice"),
        size_of(entry, "lotSize"),
        size_of(entry, "lotSize"),
        size_of(entry, "maxOrderQty"),
        None,
    )
