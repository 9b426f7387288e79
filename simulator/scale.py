"""Prices and quantities as whole numbers, and the one way the exchange writes them.

A price is counted in units of its last decimal place (with 8 places ``"0.00000168"`` is 168), and so is a
quantity. Everything inside the simulator is exact integer arithmetic; text appears at its edges only.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

MAX_UNITS: Final = 2**63 - 1
"""The largest number of units: with 8 decimals 92233720368.54775807, the quantity at which Binance caps."""


class Scale(NamedTuple):
    """How many decimals a symbol's prices and quantities are padded to, in every message.

    Binance pads prices to the quote asset's precision and quantities to the base asset's.
    """

    price_digits: int = 8
    quantity_digits: int = 8

    def price(self, units: int) -> str:
        """
        >>> Scale(4, 8).price(588231000), Scale(0, 0).price(7)
        ('58823.1000', '7')
        """
        return _text(units, self.price_digits)

    def quantity(self, units: int) -> str:
        """
        >>> Scale().quantity(0), Scale().quantity(378826000)
        ('0.00000000', '3.78826000')
        """
        return _text(units, self.quantity_digits)

    def price_units(self, text: str) -> int:
        """The reverse of :meth:`price`; raises ValueError for text that :meth:`price` does not write."""
        return _units(text, self.price_digits)

    def quantity_units(self, text: str) -> int:
        """The reverse of :meth:`quantity`; raises ValueError as :meth:`price_units` does."""
        return _units(text, self.quantity_digits)

    def levels(self, levels: Iterable[tuple[int, int]]) -> str:
        """A JSON array of ``["price","quantity"]`` pairs, compact.

        >>> Scale(2, 1).levels([(1005, 12), (1004, 0)])
        '[["10.05","1.2"],["10.04","0.0"]]'
        """
        price_unit, quantity_unit = 10**self.price_digits, 10**self.quantity_digits
        if not self.price_digits or not self.quantity_digits:
            pairs = [f'["{self.price(p)}","{self.quantity(q)}"]' for p, q in levels]
        else:
            template = f'["%d.%0{self.price_digits}d","%d.%0{self.quantity_digits}d"]'
            pairs = [template % (*divmod(p, price_unit), *divmod(q, quantity_unit)) for p, q in levels]
        return f"[{','.join(pairs)}]"


def scale_of(price: str, quantity: str) -> Scale:
    """The scale in which ``price`` and ``quantity`` are written.

    >>> scale_of("58823.1000", "0.00671500")
    Scale(price_digits=4, quantity_digits=8)
    """
    return Scale(len(price.partition(".")[2]), len(quantity.partition(".")[2]))


def _text(units: int, digits: int) -> str:
    if not digits:
        return str(units)
    whole, fraction = divmod(units, 10**digits)
    return f"{whole}.{fraction:0{digits}d}"


def _units(text: str, digits: int) -> int:
    whole, point, fraction = text.partition(".")
    number = whole + fraction
    plain = number.isascii() and number.isdecimal() and (whole == "0" or whole[:1] not in ("", "0"))
    if not plain or len(fraction) != digits or bool(point) != bool(digits) or int(number) > MAX_UNITS:
        raise ValueError(f"{text!r:.60} is not a number with {digits} decimals")
    return int(number)
