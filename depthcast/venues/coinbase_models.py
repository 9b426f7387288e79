"""Coinbase Exchange's products as typed values. As :mod:`depthcast.metadata.models`, and pure.

>>> body = b'[{"id":"BTC-USD","quote_increment":"0.01","status":"online","post_only":true}]'
>>> btc = products_of(body)["BTC-USD"]
>>> btc.status, btc.quote_increment, btc.post_only, btc.trading_disabled
(<ProductStatus.ONLINE: 'online'>, Decimal('0.01'), True, None)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from types import MappingProxyType

from depthcast.metadata.kinds import exchange_info
from depthcast.metadata.models import Value, known
from depthcast.venues.coinbase_files import COINBASE


class ProductStatus(Enum):
    """What a product does; its flags say what is restricted."""

    ONLINE = "online"
    OFFLINE = "offline"
    INTERNAL = "internal"
    DELISTED = "delisted"


@dataclass(frozen=True, slots=True)
class Product(Value):
    """One product and its rules."""

    @property
    def id(self) -> str:
        return str(self.raw["id"])

    @property
    def base_currency(self) -> str | None:
        return self._text("base_currency")

    @property
    def quote_currency(self) -> str | None:
        return self._text("quote_currency")

    @property
    def base_increment(self) -> Decimal | None:
        """The step of sizes."""
        return self._size("base_increment")

    @property
    def quote_increment(self) -> Decimal | None:
        """*"the min order price as well as the price increment"*"""
        return self._size("quote_increment")

    @property
    def min_market_funds(self) -> Decimal | None:
        """*"the notional minimum size for limit orders"*, too."""
        return self._size("min_market_funds")

    @property
    def status(self) -> ProductStatus | str | None:
        return known(ProductStatus, self._text("status"))

    @property
    def status_message(self) -> str | None:
        return self._text("status_message")

    @property
    def trading_disabled(self) -> bool | None:
        """*"both new orders and order cancellations are restricted"*"""
        return self._flag("trading_disabled")

    @property
    def cancel_only(self) -> bool | None:
        """*"only accepts cancel requests for orders"*"""
        return self._flag("cancel_only")

    @property
    def post_only(self) -> bool | None:
        """*"only maker orders can be placed. No orders will be matched"*"""
        return self._flag("post_only")

    @property
    def limit_only(self) -> bool | None:
        """*"only accepts limit orders"*"""
        return self._flag("limit_only")

    @property
    def auction_mode(self) -> bool | None:
        return self._flag("auction_mode")

    @property
    def max_slippage_percentage(self) -> Decimal | None:
        return self._size("max_slippage_percentage")


def products_of(body: bytes) -> Mapping[str, Product]:
    """``GET /products`` by id, in the exchange's order. Raises :class:`~depthcast.errors.MalformedAnswer`."""
    entries = exchange_info(COINBASE).parse(body)["symbols"]
    return {str(each["id"]): Product(MappingProxyType(each)) for each in entries}
