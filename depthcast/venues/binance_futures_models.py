"""Binance's USD-M futures list as typed values: contracts, their statuses, filters and dates.

As :mod:`depthcast.metadata.models`: views of what the exchange sent, that lose nothing of it. Words are those
of the exchange's *Common definition* as of 2026; one that is not known yet is told as the text it is. Pure.

>>> info = ContractInfo.of(b'{"serverTime":1723161253000,"symbols":[{"symbol":"BTCUSDT","pair":"BTCUSDT",'
...     b'"contractType":"PERPETUAL","status":"TRADING","deliveryDate":4133404800000,"marginAsset":"USDT",'
...     b'"filters":[{"filterType":"MIN_NOTIONAL","notional":"100"}]}]}')
>>> btc = info.contracts["BTCUSDT"]
>>> btc.contract_type, btc.status, btc.min_notional, btc.delivery_date.year
(<ContractType.PERPETUAL: 'PERPETUAL'>, <ContractStatus.TRADING: 'TRADING'>, Decimal('100'), 2100)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Self

from depthcast.metadata.kinds import Kind, exchange_info
from depthcast.metadata.models import Document, Filtered, RateLimit, Value, known
from depthcast.venues.binance_files import BINANCE_USDM


class ContractStatus(Enum):
    """What a contract does. Only :attr:`TRADING` has a moving book."""

    PENDING_TRADING = "PENDING_TRADING"
    TRADING = "TRADING"
    TRADING_HALT = "TRADING_HALT"
    TRADING_CANCEL_ONLY = "TRADING_CANCEL_ONLY"
    PRE_DELIVERING = "PRE_DELIVERING"
    DELIVERING = "DELIVERING"
    DELIVERED = "DELIVERED"
    PRE_SETTLE = "PRE_SETTLE"
    SETTLING = "SETTLING"
    CLOSE = "CLOSE"


class ContractType(Enum):
    """How long a contract lasts."""

    PERPETUAL = "PERPETUAL"
    CURRENT_MONTH = "CURRENT_MONTH"
    NEXT_MONTH = "NEXT_MONTH"
    CURRENT_QUARTER = "CURRENT_QUARTER"
    NEXT_QUARTER = "NEXT_QUARTER"
    PERPETUAL_DELIVERING = "PERPETUAL_DELIVERING"
    TRADIFI_PERPETUAL = "TRADIFI_PERPETUAL"


@dataclass(frozen=True, slots=True)
class Contract(Filtered):
    """One contract and its rules."""

    @property
    def symbol(self) -> str:
        return str(self.raw["symbol"])

    @property
    def pair(self) -> str | None:
        return self._text("pair")

    @property
    def contract_type(self) -> ContractType | str | None:
        return known(ContractType, self._text("contractType"))

    @property
    def status(self) -> ContractStatus | str | None:
        return known(ContractStatus, self._text("status"))

    @property
    def onboard_date(self) -> datetime | None:
        """Since when it is listed."""
        return self._time("onboardDate")

    @property
    def delivery_date(self) -> datetime | None:
        """When it is delivered; of a perpetual one in the year 2100."""
        return self._time("deliveryDate")

    @property
    def base_asset(self) -> str | None:
        return self._text("baseAsset")

    @property
    def quote_asset(self) -> str | None:
        return self._text("quoteAsset")

    @property
    def margin_asset(self) -> str | None:
        return self._text("marginAsset")

    @property
    def underlying_type(self) -> str | None:
        return self._text("underlyingType")

    @property
    def underlying_sub_types(self) -> Sequence[str]:
        return self._texts("underlyingSubType")

    @property
    def price_precision(self) -> int | None:
        """*"please do not use it as tickSize"*"""
        return self._whole("pricePrecision")

    @property
    def quantity_precision(self) -> int | None:
        """*"please do not use it as stepSize"*"""
        return self._whole("quantityPrecision")

    @property
    def trigger_protect(self) -> Decimal | None:
        return self._size("triggerProtect")

    @property
    def liquidation_fee(self) -> Decimal | None:
        return self._size("liquidationFee")

    @property
    def market_take_bound(self) -> Decimal | None:
        """*"the max price difference rate (from mark price) a market order can make"*"""
        return self._size("marketTakeBound")

    @property
    def order_types(self) -> Sequence[str]:
        return self._texts("orderTypes")

    @property
    def times_in_force(self) -> Sequence[str]:
        return self._texts("timeInForce")

    @property
    def min_notional(self) -> Decimal | None:
        """The least price times quantity of an order."""
        held = self.filters.get("MIN_NOTIONAL")
        return None if held is None else Value(held)._size("notional")


@dataclass(frozen=True, slots=True)
class ContractInfo(Document):
    """``GET /fapi/v1/exchangeInfo``."""

    @classmethod
    def of(cls, body: bytes, kind: Kind | None = None) -> Self:
        """Read one; ``kind`` is that of USD-M futures unless another is given.

        Raises :class:`~depthcast.errors.MalformedAnswer`, as :meth:`Kind.parse` does.
        """
        kind = kind or exchange_info(BINANCE_USDM)
        kind.parse(body)
        return cls._read(kind.path, body)

    @property
    def server_time(self) -> datetime | None:
        """The exchange's clock when it answered."""
        return self._time("serverTime")

    @property
    def rate_limits(self) -> Sequence[RateLimit]:
        return tuple(map(RateLimit, self._parts("rateLimits")))

    @property
    def contracts(self) -> Mapping[str, Contract]:
        """By symbol, in the exchange's order. Made anew each time: keep it."""
        return {str(each["symbol"]): Contract(each) for each in self._parts("symbols")}
