"""What is traded: a product's increments, how its numbers are written, and how it is listed. Pure.

Prices are counted in quote increments and written with the increment's decimals; sizes are counted in base
increments and written without zeros at their end.
"""

from dataclasses import dataclass
from typing import Any, Final

STATUSES: Final = ("online", "offline", "internal", "delisted")
"""Only the first has a moving book here."""


@dataclass(slots=True)
class Product:
    """One product. ``price_digits`` and ``size_digits``: decimals of its quote and base increments."""

    id: str
    price_digits: int = 2
    size_digits: int = 8
    status: str = "online"

    @property
    def base(self) -> str:
        """The currency that is traded."""
        return self.id.partition("-")[0]

    @property
    def quote(self) -> str:
        """The currency that it is paid in."""
        return self.id.partition("-")[2]

    def price(self, ticks: int) -> str:
        """A price as it is written.

        >>> Product("BTC-USD").price(5_000_050), Product("X-Y", price_digits=0).price(7)
        ('50000.50', '7')
        """
        return _padded(ticks, self.price_digits)

    def size(self, units: int) -> str:
        """A size as it is written.

        >>> [Product("BTC-USD").size(units) for units in (150_000_000, 100_000_000, 1, 0)]
        ['1.5', '1', '0.00000001', '0']
        """
        text = _padded(units, self.size_digits)
        return text.rstrip("0").rstrip(".") if "." in text else text

    def funds(self, amount: int) -> str:
        """Ticks times units as they are written."""
        text = _padded(amount, self.price_digits + self.size_digits)
        return text.rstrip("0").rstrip(".") if "." in text else text

    def listed(self) -> dict[str, Any]:
        """Its entry in ``/products``."""
        return {
            "id": self.id,
            "base_currency": self.base,
            "quote_currency": self.quote,
            "quote_increment": _increment(self.price_digits),
            "base_increment": _increment(self.size_digits),
            "display_name": f"{self.base}-{self.quote}",
            "min_market_funds": "1",
            "margin_enabled": False,
            "post_only": False,
            "limit_only": False,
            "cancel_only": False,
            "status": self.status,
            "status_message": "",
            "trading_disabled": self.status != "online",
            "fx_stablecoin": False,
            "max_slippage_percentage": "0.02000000",
            "auction_mode": False,
            "high_bid_limit_percentage": "",
        }


PRODUCTS: Final = (
    Product("BTC-USD"),
    Product("ETH-USD"),
    Product("ETH-BTC", 5, 8),
    Product("SHIB-USD", 8, 0),
    Product("SKL-BTC", 8, 1),
    Product("ADA-EUR", 4, 2),
)
"""Those of a simulator that is told of none; more of them are called ``COIN6-USD`` and so on."""


def products(count: int) -> list[Product]:
    """The first ``count`` products, each a new value.

    >>> [each.id for each in products(7)][-2:]
    ['ADA-EUR', 'COIN6-USD']
    """
    made = [Product(each.id, each.price_digits, each.size_digits) for each in PRODUCTS[:count]]
    return made + [Product(f"COIN{number}-USD", 4, 4) for number in range(len(PRODUCTS), count)]


def product_of(name: str) -> Product:
    """The product called ``name``, with the increments of its namesake above where there is one."""
    known = next((each for each in PRODUCTS if each.id == name), Product(name, 4, 4))
    return Product(name, known.price_digits, known.size_digits)


def _padded(number: int, digits: int) -> str:
    text = f"{number:0{digits + 1}d}"
    return f"{text[:-digits]}.{text[-digits:]}" if digits else text


def _increment(digits: int) -> str:
    return _padded(1, digits)
