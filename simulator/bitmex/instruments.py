"""What is listed: an instrument's tick and lot, its entry in the lists, and how numbers are written. Pure.

Prices are counted in units of their last decimal place. Numbers are written as JavaScript writes them, which
is how they were recorded: no zeros at their end, and below a millionth with an exponent (``8e-7``).
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

OPEN: Final = "Open"
STATES: Final = (OPEN, "Closed", "Unlisted", "Settled", "Cleared")
"""*"state"* of an instrument; only the first has a moving book here."""


@dataclass(slots=True)
class Instrument:
    """One instrument. ``tick`` is in units of ``digits`` decimals, ``lot`` in contracts.

    ``index`` is its place in the exchange's list, from which ids were made before July 2023.
    """

    symbol: str
    digits: int = 1
    tick: int = 5
    lot: int = 100
    index: int = 0
    state: str = OPEN

    def __post_init__(self) -> None:
        if not self.symbol or not all(part.isalnum() for part in self.symbol.split("_")):
            raise ValueError(f"{self.symbol!r:.60} is not spelled like an instrument of BitMEX")
        if self.state not in STATES:
            raise ValueError(f"{self.state!r:.40} is no state, only {', '.join(STATES)}")

    @property
    def quote(self) -> str:
        """The currency of its prices, guessed from the name."""
        name = self.symbol.replace("_", "")
        return next((each for each in ("USDT", "USD", "EUR") if name.endswith(each)), "XBT")

    def price(self, units: int) -> str:
        """A price as it is written."""
        return number(units, self.digits)

    def old_id(self, price: int) -> int:
        """The id of a level before July 2023: 100,000,000 · index - price / tick."""
        return 100_000_000 * self.index - price // self.tick

    def listed(self, *, last: int | None, bid: int | None, ask: int | None, time_ms: int) -> str:
        """Its entry in ``instrument``: the members that concern a book, under their documented names."""
        root = self.symbol.partition("_")[0].removesuffix(self.quote) or self.symbol
        told: dict[str, str] = {
            **_texts(symbol=self.symbol, rootSymbol=root, state=self.state, typ="FFWCSX"),
            **_texts(listing="2016-05-13T12:00:00.000Z", front="2016-05-13T12:00:00.000Z", expiry=None),
            **_texts(positionCurrency=self.quote, underlying=root, quoteCurrency=self.quote),
            **_texts(underlyingSymbol=f"{root}=", reference="BMEX", referenceSymbol=f".B{root}"),
            "maxOrderQty": "10000000",
            "maxPrice": number(2 * 10**6 * self.tick, self.digits),
            "lotSize": str(self.lot),
            "tickSize": number(self.tick, self.digits),
            "multiplier": "-100000000",
            "settlCurrency": '"XBt"',
            "isQuanto": "false",
            "isInverse": "true",
            "initMargin": "0.01",
            "maintMargin": "0.0035",
            "makerFee": "-0.00025",
            "takerFee": "0.00075",
            **{name: self._or_null(price) for name, price in (("lastPrice", last), ("bidPrice", bid))},
            "midPrice": "null" if bid is None or ask is None else number(5 * (bid + ask), self.digits + 1),
            "askPrice": self._or_null(ask),
            "hasLiquidity": json.dumps(bid is not None and ask is not None),
            "markMethod": '"LastPrice"',
            "markPrice": self._or_null(last),
            "timestamp": f'"{moment(time_ms)}"',
        }
        return "{" + ",".join(f'"{name}":{text}' for name, text in told.items()) + "}"

    def _or_null(self, price: int | None) -> str:
        return "null" if price is None else self.price(price)


INSTRUMENTS: Final = (
    Instrument("XBTUSD", 1, 5, 100, 88),
    Instrument("ETHUSD", 2, 5, 1, 297),
    Instrument("XBTUSDT", 1, 1, 1000, 465),
    # A price of some ten-millionths, which is written with an exponent.
    Instrument("TRXZ26", 11, 1, 1, 540),
    Instrument("XRPUSD", 4, 1, 1, 377),
    Instrument("BMEX_USDT", 4, 1, 10, 611),
    Instrument("LTCUSD", 2, 1, 1, 407),
    Instrument("DOGEUSDT", 5, 1, 1, 476),
)
"""Those of a simulator that is told of none; more of them are called ``COIN8USD`` and so on."""


def instruments(count: int) -> list[Instrument]:
    """The first ``count``, each a new value.

    >>> [each.symbol for each in instruments(9)][-2:]
    ['DOGEUSDT', 'COIN8USD']
    """
    names = [each.symbol for each in INSTRUMENTS[:count]]
    return [
        instrument_of(name)
        for name in names + [f"COIN{place}USD" for place in range(len(INSTRUMENTS), count)]
    ]


def instrument_of(symbol: str) -> Instrument:
    """An instrument of any name, with the tick and lot of its namesake above where there is one."""
    for each in INSTRUMENTS:
        if each.symbol == symbol:
            return Instrument(symbol, each.digits, each.tick, each.lot, each.index)
    # Far from the indexes above, and the same for a name whatever else is listed.
    return Instrument(symbol, 2, 1, 1, 1000 + sum(symbol.encode()) * 7919 % 100_000)


def number(units: int, digits: int) -> str:
    """``units`` of so many decimals, as JavaScript writes the number.

    >>> [number(units, 1) for units in (984599, 984600, 5)], number(0, 3)
    (['98459.9', '98460', '0.5'], '0')
    >>> [number(units, 11) for units in (100_000, 99_999, 80_000)]
    ['0.000001', '9.9999e-7', '8e-7']
    """
    if units * 10**6 >= 10**digits or not units:
        if not digits:
            return str(units)
        whole, fraction = divmod(units, 10**digits)
        return f"{whole}.{fraction:0{digits}d}".rstrip("0").rstrip(".")
    text = str(units)
    mantissa = text.rstrip("0")
    point = f".{mantissa[1:]}" if len(mantissa) > 1 else ""
    return f"{mantissa[0]}{point}e{len(text) - 1 - digits}"


def moment(time_ms: int) -> str:
    """A time as it is written.

    >>> moment(1_618_677_660_033)
    '2021-04-17T16:41:00.033Z'
    """
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z"


def _texts(**members: Any) -> dict[str, str]:
    return {name: json.dumps(value) for name, value in members.items()}
