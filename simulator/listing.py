"""What the exchange lists: names, precisions, filters and status, as ``exchangeInfo`` tells them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from simulator.scale import Scale

STATUSES: Final = ("TRADING", "END_OF_DAY", "HALT", "BREAK", "CANCEL_ONLY")
"""Every status a symbol can have. Only the first has a moving book here."""

REQUESTABLE_STATUSES: Final = ("TRADING", "HALT", "BREAK")
"""The values of the parameter ``symbolStatus``."""

PERMISSIONS: Final = ("SPOT", "MARGIN", "LEVERAGED")
"""What ``exchangeInfo`` shows where no ``permissions`` are asked for."""

# Longest first, so that "ETHFDUSD" ends in FDUSD and not in USD.
_QUOTES: Final = (
    "FDUSD",
    "USDT",
    "USDC",
    "BUSD",
    "TUSD",
    "IDRT",
    "BTC",
    "ETH",
    "BNB",
    "TRY",
    "EUR",
    "RUB",
    "USD",
)

# '^[\w\-._&&[^a-z]]{1,50}$', the exchange's own words for a symbol since Unicode ones exist.
_SYMBOL: Final = re.compile(r"(?:(?![a-z])[\w\-.]){1,50}")


def well_formed(symbol: str) -> bool:
    """Whether the exchange could list a symbol of this spelling.

    >>> [well_formed(s) for s in ("BTCUSDT", "币安人生USDT", "btcusdt", "A/B", "")]
    [True, True, False, False, False]
    """
    return _SYMBOL.fullmatch(symbol) is not None


def split_assets(symbol: str) -> tuple[str, str]:
    """Base and quote asset, guessed from the name.

    >>> split_assets("ETHUSDT"), split_assets("ODD")
    (('ETH', 'USDT'), ('ODD', 'ODD'))
    """
    for quote in _QUOTES:
        if symbol.endswith(quote) and symbol != quote:
            return symbol.removesuffix(quote), quote
    return symbol, symbol


@dataclass(slots=True)
class Listing:
    """One symbol. ``tick`` and ``lot``, the steps of prices and quantities, are in units of ``scale``."""

    symbol: str
    base: str
    quote: str
    scale: Scale
    tick: int = 1
    lot: int = 1
    status: str = "TRADING"
    permissions: tuple[str, ...] = ("SPOT",)
    pair: str | None = None
    """Of COIN-M futures: what the contract is about."""
    filter_members: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the filters are said to be, in place of what they are: by type and member. The market goes on."""

    def __post_init__(self) -> None:
        if not well_formed(self.symbol):
            raise ValueError(f"{self.symbol!r:.80} is not spelled like a symbol")
        if self.status not in STATUSES:
            raise ValueError(
                f"{self.symbol} cannot be {self.status!r:.40}: a status is one of {', '.join(STATUSES)}"
            )

    def info(self, *, permission_sets: bool) -> dict[str, Any]:
        """This symbol's entry in ``exchangeInfo``."""
        return {
            "symbol": self.symbol,
            "status": self.status,
            "baseAsset": self.base,
            "baseAssetPrecision": self.scale.quantity_digits,
            "quoteAsset": self.quote,
            "quotePrecision": self.scale.price_digits,
            "quoteAssetPrecision": self.scale.price_digits,
            "baseCommissionPrecision": 8,
            "quoteCommissionPrecision": 8,
            "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"],
            "icebergAllowed": True,
            "ocoAllowed": True,
            "otoAllowed": True,
            "opoAllowed": True,
            "quoteOrderQtyMarketAllowed": True,
            "allowTrailingStop": True,
            "cancelReplaceAllowed": True,
            "amendAllowed": True,
            "pegInstructionsAllowed": True,
            "isSpotTradingAllowed": "SPOT" in self.permissions,
            "isMarginTradingAllowed": "MARGIN" in self.permissions,
            "filters": self._filters(),
            "permissions": [],
            "permissionSets": [list(self.permissions)] if permission_sets else [],
            "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
            "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT"],
        }

    def futures_info(self) -> dict[str, Any]:
        """This symbol's entry in the ``exchangeInfo`` of futures: a perpetual contract."""
        # COIN-M calls the status otherwise, and trades contracts of some dollars.
        status = "status" if self.pair is None else "contractStatus"
        contract = {} if self.pair is None else {"contractSize": 100 if self.base == "BTC" else 10}
        return {
            "symbol": self.symbol,
            "pair": self.pair or self.symbol,
            "contractType": "PERPETUAL",
            "deliveryDate": 4_133_404_800_000,
            "onboardDate": 1_569_398_400_000,
            status: self.status,
            **contract,
            "baseAsset": self.base,
            "quoteAsset": self.quote,
            "marginAsset": self.quote if self.pair is None else self.base,
            "pricePrecision": self.scale.price_digits,
            "quantityPrecision": self.scale.quantity_digits,
            "baseAssetPrecision": 8,
            "quotePrecision": 8,
            "underlyingType": "COIN",
            "filters": [
                {**each, **{name: self._stepped(name, value) for name, value in each.items()}}
                for each in self._filters()
                if each["filterType"] in ("PRICE_FILTER", "LOT_SIZE")
            ],
            "orderTypes": ["LIMIT", "MARKET", "STOP", "TAKE_PROFIT"],
            "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
        }

    def _stepped(self, name: str, value: Any) -> Any:
        """Futures write a step with the digits that prices and quantities have."""
        digits = {"tickSize": self.scale.price_digits, "stepSize": self.scale.quantity_digits}.get(name)
        return value if digits is None else f"{float(value):.{digits}f}"

    def set_filter(self, kind: str, members: Mapping[str, Any]) -> None:
        """Say something else of a filter from now on. Raises ValueError for a filter or member it has not."""
        known = {each["filterType"]: each for each in self._filters()}.get(kind)
        if known is None or not members.keys() <= known.keys() - {"filterType"}:
            raise ValueError(
                f"{self.symbol} has no filter {kind!r:.40} with {', '.join(members) or 'nothing'}"
            )
        self.filter_members.setdefault(kind, {}).update(members)

    def _filters(self) -> list[dict[str, Any]]:
        # Filter numbers are 8-decimal strings whatever the symbol's own precision is.
        tick, lot = (
            f"{step / 10**digits:.8f}"
            for step, digits in ((self.tick, self.scale.price_digits), (self.lot, self.scale.quantity_digits))
        )
        most = "92233720368.00000000"
        filters: list[dict[str, Any]] = [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": most, "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": most, "stepSize": lot},
            {"filterType": "ICEBERG_PARTS", "limit": 100},
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
        ]
        return [{**each, **self.filter_members.get(each["filterType"], {})} for each in filters]
