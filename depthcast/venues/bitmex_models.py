"""BitMEX's instruments as typed values. As :mod:`depthcast.metadata.models`, and pure.

What moves with the market has no property, for it is not kept
(:data:`depthcast.venues.bitmex_lists.VOLATILE`).

>>> [xbt] = instruments_of(b'[{"symbol":"XBTUSD","state":"Open","tickSize":0.5,"makerFee":-0.0001}]').values()
>>> xbt.state, xbt.tick_size, xbt.maker_fee, xbt.expiry
(<InstrumentState.OPEN: 'Open'>, Decimal('0.5'), Decimal('-0.0001'), None)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from types import MappingProxyType

from depthcast.errors import MalformedAnswer
from depthcast.metadata.kinds import exchange_info
from depthcast.metadata.models import Value, known
from depthcast.venues.bitmex_files import BITMEX


class InstrumentState(Enum):
    """What an instrument does: *"Open, Closed, Unlisted, Expired, Cleared"*; *Settled* was seen, too."""

    OPEN = "Open"
    CLOSED = "Closed"
    UNLISTED = "Unlisted"
    EXPIRED = "Expired"
    CLEARED = "Cleared"
    SETTLED = "Settled"


@dataclass(frozen=True, slots=True)
class Instrument(Value):
    """One instrument and its rules. Sizes are contracts, fees shares of what is traded."""

    @property
    def symbol(self) -> str:
        return str(self.raw["symbol"])

    @property
    def state(self) -> InstrumentState | str | None:
        return known(InstrumentState, self._text("state"))

    @property
    def typ(self) -> str | None:
        """The CFI code: ``FFWCSX`` a perpetual contract, ``FFCCSX`` a future, ``IFXXXP`` spot."""
        return self._text("typ")

    @property
    def underlying(self) -> str | None:
        return self._text("underlying")

    @property
    def quote_currency(self) -> str | None:
        return self._text("quoteCurrency")

    @property
    def settlement_currency(self) -> str | None:
        return self._text("settlCurrency")

    @property
    def tick_size(self) -> Decimal | None:
        return self._size("tickSize")

    @property
    def lot_size(self) -> Decimal | None:
        return self._size("lotSize")

    @property
    def max_order_qty(self) -> Decimal | None:
        return self._size("maxOrderQty")

    @property
    def max_price(self) -> Decimal | None:
        return self._size("maxPrice")

    @property
    def multiplier(self) -> int | None:
        """What a contract is worth, in the smallest unit of the settlement currency."""
        return self._whole("multiplier")

    @property
    def is_inverse(self) -> bool | None:
        return self._flag("isInverse")

    @property
    def is_quanto(self) -> bool | None:
        return self._flag("isQuanto")

    @property
    def initial_margin(self) -> Decimal | None:
        return self._size("initMargin")

    @property
    def maintenance_margin(self) -> Decimal | None:
        return self._size("maintMargin")

    @property
    def maker_fee(self) -> Decimal | None:
        return self._size("makerFee")

    @property
    def taker_fee(self) -> Decimal | None:
        return self._size("takerFee")

    @property
    def settlement_fee(self) -> Decimal | None:
        return self._size("settlementFee")

    @property
    def listing(self) -> datetime | None:
        return self._moment("listing")

    @property
    def expiry(self) -> datetime | None:
        """``None`` for a perpetual contract."""
        return self._moment("expiry")

    @property
    def settle(self) -> datetime | None:
        return self._moment("settle")

    def _moment(self, name: str) -> datetime | None:
        text = self._text(name)
        if not text:
            return None
        try:
            return datetime.fromisoformat(text).astimezone(UTC)
        except ValueError:
            raise MalformedAnswer(name, "it is no time") from None


def instruments_of(body: bytes) -> Mapping[str, Instrument]:
    """``GET /api/v1/instrument/active`` by symbol, in the exchange's order. Raises MalformedAnswer."""
    entries = exchange_info(BITMEX).parse(body)["symbols"]
    return {str(each["symbol"]): Instrument(MappingProxyType(each)) for each in entries}
