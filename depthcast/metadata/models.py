"""The documents as typed values: sizes as :class:`~decimal.Decimal`, times as UTC, words as enums.

Each value is a view of the members that the exchange sent, ``raw``, and loses none of them: what has no
property of its own is in ``raw`` under the exchange's name, a word that is not known yet is told as the text
it is, and :meth:`Document.to_json` writes the document as it came, byte for byte where it was compact. A
property of a member that was not sent is ``None``. Pure.

>>> info = ExchangeInfo.of(b'{"serverTime":1723161253000,"symbols":[{"symbol":"ETHUSDT","status":"HALT",'
...     b'"filters":[{"filterType":"PRICE_FILTER","tickSize":"0.01000000"}],"new":1}]}')
>>> eth = info.symbols["ETHUSDT"]
>>> eth.status, eth.price.tick_size, eth.raw["new"]
(<SymbolStatus.HALT: 'HALT'>, Decimal('0.01000000'), 1)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Any, Final, Self, TypeVar

from depthcast.errors import MalformedAnswer
from depthcast.metadata.document import read_json, write_json
from depthcast.metadata.kinds import EXCHANGE_INFO, SYSTEM_STATUS, Kind

ACCOUNT_PATH: Final = "/api/v3/account"
COMMISSION_PATH: Final = "/api/v3/account/commission"

T = TypeVar("T", bound=Enum)
U = TypeVar("U")


class SymbolStatus(Enum):
    """What a symbol does. Binance's words of 2026."""

    TRADING = "TRADING"
    END_OF_DAY = "END_OF_DAY"
    HALT = "HALT"
    BREAK = "BREAK"
    CANCEL_ONLY = "CANCEL_ONLY"


class RateLimitType(Enum):
    """What is counted."""

    REQUEST_WEIGHT = "REQUEST_WEIGHT"
    ORDERS = "ORDERS"
    RAW_REQUESTS = "RAW_REQUESTS"


class Interval(Enum):
    """How long it is counted."""

    SECOND = "SECOND"
    MINUTE = "MINUTE"
    DAY = "DAY"


class System(IntEnum):
    """What the exchange as a whole does."""

    NORMAL = 0
    MAINTENANCE = 1


@dataclass(frozen=True, slots=True)
class Value:
    """A part of a document; ``raw`` is as it was sent."""

    raw: Mapping[str, Any]

    def _text(self, name: str) -> str | None:
        return self._of(name, str)

    def _flag(self, name: str) -> bool | None:
        return self._of(name, bool)

    def _whole(self, name: str) -> int | None:
        held = self._of(name, int)
        if isinstance(held, bool):
            raise MalformedAnswer(name, "it is no number")
        return held

    def _size(self, name: str) -> Decimal | None:
        held = self.raw.get(name)
        if held is None:
            return None
        try:
            told = isinstance(held, str | int | Decimal) and not isinstance(held, bool)
            size = Decimal(held) if told else Decimal("NaN")
        except InvalidOperation:
            size = Decimal("NaN")
        if not size.is_finite():
            raise MalformedAnswer(name, "it is no decimal number")
        return size

    def _time(self, name: str) -> datetime | None:
        milliseconds = self._whole(name)
        if milliseconds is None:
            return None
        try:
            return datetime.fromtimestamp(milliseconds // 1000, UTC).replace(
                microsecond=milliseconds % 1000 * 1000
            )
        except (ValueError, OverflowError, OSError):
            raise MalformedAnswer(name, "it is no time in milliseconds") from None

    def _texts(self, name: str) -> Sequence[str]:
        return tuple(self._of(name, list) or ())

    def _parts(self, name: str) -> Sequence[Mapping[str, Any]]:
        held = self._of(name, list) or []
        if not all(isinstance(each, dict) for each in held):
            raise MalformedAnswer(name, "it is no list of objects")
        return held

    def _of(self, name: str, kind: type[U]) -> U | None:
        held = self.raw.get(name)
        if held is None or isinstance(held, kind):
            return held
        raise MalformedAnswer(name, f"it is no {kind.__name__}")


@dataclass(frozen=True, slots=True)
class Document(Value):
    """A whole document, and the bytes it was read from."""

    body: bytes = field(repr=False, compare=False)

    def to_json(self) -> bytes:
        """The document written from its members, compact."""
        return write_json(dict(self.raw))

    @classmethod
    def _read(cls, path: str, body: bytes) -> Self:
        try:
            members = read_json(body)
        except ValueError as error:
            raise MalformedAnswer(path, f"it is no JSON: {error!s:.100}") from None
        if not isinstance(members, dict):
            raise MalformedAnswer(path, "it is no JSON object")
        return cls(MappingProxyType(members), body)


@dataclass(frozen=True, slots=True)
class RateLimit(Value):
    """So many of something in so long."""

    @property
    def type(self) -> RateLimitType | str | None:
        return known(RateLimitType, self._text("rateLimitType"))

    @property
    def interval(self) -> Interval | str | None:
        return known(Interval, self._text("interval"))

    @property
    def interval_num(self) -> int | None:
        """How many intervals make the time."""
        return self._whole("intervalNum")

    @property
    def limit(self) -> int | None:
        return self._whole("limit")


@dataclass(frozen=True, slots=True)
class PriceFilter(Value):
    """``PRICE_FILTER``: bounds and steps of prices, in the quote asset. Zero: no such rule."""

    @property
    def min_price(self) -> Decimal | None:
        return self._size("minPrice")

    @property
    def max_price(self) -> Decimal | None:
        return self._size("maxPrice")

    @property
    def tick_size(self) -> Decimal | None:
        return self._size("tickSize")


@dataclass(frozen=True, slots=True)
class LotSize(Value):
    """``LOT_SIZE`` and ``MARKET_LOT_SIZE``: bounds and steps of quantities, in the base asset."""

    @property
    def min_qty(self) -> Decimal | None:
        return self._size("minQty")

    @property
    def max_qty(self) -> Decimal | None:
        return self._size("maxQty")

    @property
    def step_size(self) -> Decimal | None:
        return self._size("stepSize")


@dataclass(frozen=True, slots=True)
class Notional(Value):
    """``NOTIONAL``, or its predecessor ``MIN_NOTIONAL``: bounds of price times quantity."""

    @property
    def min_notional(self) -> Decimal | None:
        return self._size("minNotional")

    @property
    def max_notional(self) -> Decimal | None:
        return self._size("maxNotional")


@dataclass(frozen=True, slots=True)
class Filtered(Value):
    """What has Binance's filters."""

    @property
    def filters(self) -> Mapping[str, Mapping[str, Any]]:
        """All filters by their type, as they were sent."""
        return {str(each.get("filterType")): each for each in self._parts("filters")}

    @property
    def price(self) -> PriceFilter | None:
        held = self.filters.get("PRICE_FILTER")
        return None if held is None else PriceFilter(held)

    @property
    def lot(self) -> LotSize | None:
        held = self.filters.get("LOT_SIZE")
        return None if held is None else LotSize(held)

    @property
    def market_lot(self) -> LotSize | None:
        held = self.filters.get("MARKET_LOT_SIZE")
        return None if held is None else LotSize(held)


class Symbol(Filtered):
    """One symbol and its rules."""

    @property
    def symbol(self) -> str:
        return str(self.raw["symbol"])

    @property
    def status(self) -> SymbolStatus | str | None:
        return known(SymbolStatus, self._text("status"))

    @property
    def base_asset(self) -> str | None:
        return self._text("baseAsset")

    @property
    def quote_asset(self) -> str | None:
        return self._text("quoteAsset")

    @property
    def base_asset_precision(self) -> int | None:
        return self._whole("baseAssetPrecision")

    @property
    def quote_asset_precision(self) -> int | None:
        return self._whole("quoteAssetPrecision")

    @property
    def order_types(self) -> Sequence[str]:
        return self._texts("orderTypes")

    @property
    def is_spot_trading_allowed(self) -> bool | None:
        return self._flag("isSpotTradingAllowed")

    @property
    def is_margin_trading_allowed(self) -> bool | None:
        return self._flag("isMarginTradingAllowed")

    @property
    def permissions(self) -> frozenset[str]:
        """Those of all its sets, and those told without sets."""
        sets = self._of("permissionSets", list) or []
        return frozenset(self._texts("permissions")).union(*map(frozenset, sets))

    @property
    def notional(self) -> Notional | None:
        filters = self.filters
        held = filters.get("NOTIONAL", filters.get("MIN_NOTIONAL"))
        return None if held is None else Notional(held)


@dataclass(frozen=True, slots=True)
class ExchangeInfo(Document):
    """``GET /api/v3/exchangeInfo``."""

    @classmethod
    def of(cls, body: bytes, kind: Kind = EXCHANGE_INFO) -> Self:
        """Read one. Raises :class:`~depthcast.errors.MalformedAnswer`, as :meth:`Kind.parse` does."""
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
    def symbols(self) -> Mapping[str, Symbol]:
        """By name, in the exchange's order. Made anew each time: keep it."""
        return {str(each["symbol"]): Symbol(each) for each in self._parts("symbols")}


@dataclass(frozen=True, slots=True)
class SystemStatus(Document):
    """``GET /sapi/v1/system/status``."""

    @classmethod
    def of(cls, body: bytes) -> Self:
        """Read one. Raises :class:`~depthcast.errors.MalformedAnswer`."""
        return cls._read(SYSTEM_STATUS.path, body)

    @property
    def status(self) -> System | int | None:
        return known(System, self._whole("status"))

    @property
    def msg(self) -> str | None:
        return self._text("msg")


@dataclass(frozen=True, slots=True)
class Rates(Value):
    """Commissions, as shares of what is traded: ``0.001`` is a tenth of a percent."""

    @property
    def maker(self) -> Decimal | None:
        return self._size("maker")

    @property
    def taker(self) -> Decimal | None:
        return self._size("taker")

    @property
    def buyer(self) -> Decimal | None:
        return self._size("buyer")

    @property
    def seller(self) -> Decimal | None:
        return self._size("seller")


@dataclass(frozen=True, slots=True, repr=False)
class Balance(Value):
    """What an account has of one asset. Its ``repr`` tells no amount, so that none gets into a log."""

    @property
    def asset(self) -> str | None:
        return self._text("asset")

    @property
    def free(self) -> Decimal | None:
        return self._size("free")

    @property
    def locked(self) -> Decimal | None:
        return self._size("locked")

    def __repr__(self) -> str:
        return f"Balance({self.asset!r})"


@dataclass(frozen=True, slots=True, repr=False)
class Account(Document):
    """``GET /api/v3/account``. Its ``repr`` tells nothing of what is in it."""

    @classmethod
    def of(cls, body: bytes) -> Self:
        """Read one. Raises :class:`~depthcast.errors.MalformedAnswer`."""
        return cls._read(ACCOUNT_PATH, body)

    @property
    def commission_rates(self) -> Rates | None:
        held = self._of("commissionRates", dict)
        return None if held is None else Rates(held)

    @property
    def can_trade(self) -> bool | None:
        return self._flag("canTrade")

    @property
    def can_withdraw(self) -> bool | None:
        return self._flag("canWithdraw")

    @property
    def can_deposit(self) -> bool | None:
        return self._flag("canDeposit")

    @property
    def account_type(self) -> str | None:
        return self._text("accountType")

    @property
    def update_time(self) -> datetime | None:
        return self._time("updateTime")

    @property
    def permissions(self) -> Sequence[str]:
        return self._texts("permissions")

    @property
    def balances(self) -> Mapping[str, Balance]:
        """By asset."""
        return {str(each.get("asset")): Balance(each) for each in self._parts("balances")}

    def __repr__(self) -> str:
        return "Account(…)"


@dataclass(frozen=True, slots=True)
class Commission(Document):
    """``GET /api/v3/account/commission`` of one symbol."""

    @classmethod
    def of(cls, body: bytes) -> Self:
        """Read one. Raises :class:`~depthcast.errors.MalformedAnswer`."""
        return cls._read(COMMISSION_PATH, body)

    @property
    def symbol(self) -> str | None:
        return self._text("symbol")

    @property
    def standard(self) -> Rates | None:
        return self._rates("standardCommission")

    @property
    def special(self) -> Rates | None:
        return self._rates("specialCommission")

    @property
    def tax(self) -> Rates | None:
        return self._rates("taxCommission")

    def _rates(self, name: str) -> Rates | None:
        held = self._of(name, dict)
        return None if held is None else Rates(held)


def known(words: type[T], value: U) -> T | U:
    """The member of an enum, or the value itself where it has none.

    >>> known(SymbolStatus, "BREAK"), known(SymbolStatus, "ON_THE_MOON"), known(System, 1)
    (<SymbolStatus.BREAK: 'BREAK'>, 'ON_THE_MOON', <System.MAINTENANCE: 1>)
    """
    try:
        return words(value)
    except ValueError:
        return value
