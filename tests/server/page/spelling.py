"""How each venue writes the stage's books: their bodies, and what its tape holds of a level.

Written with the simulators' own writers, apart from the code that is tested. What a level has beside its
price and its quantity (how many orders, the id of a row) is made of these two.
"""

import json
from collections.abc import Mapping
from typing import Final

from depthcast.files import BINANCE, BINANCE_USDM, Scheme
from depthcast.venues.bitmex_files import BITMEX, WHOLE
from depthcast.venues.coinbase_files import BEST, COINBASE, PRICES
from simulator.bitmex.instruments import instrument_of
from simulator.bitmex.rows import SIDES, Row, RowBook, Writer
from simulator.coinbase.journal import rfc3339
from simulator.coinbase.products import product_of
from simulator.listing import Listing
from simulator.market import listing_of
from simulator.scale import Scale
from simulator.truth import ASK, BID, Times, TrueBook

LEVELS: Final = 20
"""As many levels a side as the ladder shows."""

CHANGED_MS: Final = 5
"""So long before a futures message its last change was made."""

Levels = list[tuple[str, str]]


class Spelling:
    """Binance spot's, from which the others differ. ``symbol`` is what is written of."""

    scheme: Scheme = BINANCE
    limits: tuple[int, ...] = (LEVELS, 1000)
    first_id = 99_700_000_000

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.listing = self._listing()

    def _listing(self) -> Listing:
        return listing_of(self.symbol)

    def price(self, units: int) -> str:
        """A price as messages and bodies have it."""
        return self.listing.scale.price(units)

    def quantity(self, units: int) -> str:
        """A quantity as messages and bodies have it."""
        return self.listing.scale.quantity(units)

    def levels(self, book: TrueBook, limit: int | None = LEVELS) -> tuple[Levels, Levels]:
        """The best bids and asks, as text."""
        bids, asks = (
            [(self.price(price), self.quantity(quantity)) for price, quantity in book.levels(side, limit)]
            for side in (BID, ASK)
        )
        return bids, asks

    def id_after(self, update_id: int, changes: int, time_ms: int) -> int:
        """The update id once so many changes more were made."""
        return update_id + changes

    def taped(self, side: int, price: int, quantity: int, time_ms: int) -> tuple[str, ...]:
        """A level as the tape holds it."""
        return (self.price(price), self.quantity(quantity))

    def transaction_ms(self, time_ms: int) -> int:
        """When a message's last change was made; 0 where that is not told."""
        return 0

    def time(self, time_ms: int) -> str:
        """A message's time in the venue's own spelling, where bodies show it."""
        return ""

    def body(self, book: TrueBook, update_id: int, limit: int, time_ms: int) -> bytes:
        """The file of a limit."""
        return book.body(update_id, limit, self.listing.scale)


class Futures(Spelling):
    """USD-M: with the times of the last change."""

    scheme = BINANCE_USDM

    def transaction_ms(self, time_ms: int) -> int:
        return time_ms - CHANGED_MS

    def body(self, book: TrueBook, update_id: int, limit: int, time_ms: int) -> bytes:
        times = Times(time_ms, self.transaction_ms(time_ms))
        return book.body(update_id, limit, self.listing.scale, times)


class Coinbase(Spelling):
    """Prices with the digits of their step, sizes as short as can be, and how many orders there are."""

    scheme = COINBASE
    limits = (BEST, PRICES)

    def _listing(self) -> Listing:
        self._product = product = product_of(self.symbol)
        scale = Scale(product.price_digits, product.size_digits)
        lot = 10 ** max(0, product.size_digits - 4)
        return Listing(self.symbol.replace("-", ""), product.base, product.quote, scale, 1, lot)

    def quantity(self, units: int) -> str:
        return self._product.size(units)

    def taped(self, side: int, price: int, quantity: int, time_ms: int) -> tuple[str, ...]:
        return (self.price(price), self.quantity(quantity), str(_orders(quantity)))

    def time(self, time_ms: int) -> str:
        return rfc3339(time_ms * 1000)

    def body(self, book: TrueBook, update_id: int, limit: int, time_ms: int) -> bytes:
        bids, asks = (
            [
                [self.price(price), self.quantity(quantity), _orders(quantity)]
                for price, quantity in book.levels(side, 1 if limit == BEST else None)
            ]
            for side in (BID, ASK)
        )
        told = {"bids": bids, "asks": asks, "sequence": update_id, "auction_mode": False, "auction": None}
        return json.dumps({**told, "time": self.time(time_ms)}, separators=(",", ":")).encode()


class Bitmex(Spelling):
    """Rows of contracts; ids are made of times, and so have more digits than a browser's numbers hold."""

    scheme = BITMEX
    limits = (25, WHOLE)
    first_id = 1_790_000_000_000 << 20

    def _listing(self) -> Listing:
        self._instrument = each = instrument_of(self.symbol)
        return Listing(self.symbol, self.symbol, each.quote, Scale(each.digits, 0), each.tick, each.lot)

    def price(self, units: int) -> str:
        return self._instrument.price(units)

    def id_after(self, update_id: int, changes: int, time_ms: int) -> int:
        return max(update_id, time_ms << 20) + changes

    def taped(self, side: int, price: int, quantity: int, time_ms: int) -> tuple[str, ...]:
        return (self.price(price), self.quantity(quantity), str(_row_id(side, price)), str(time_ms))

    def body(self, book: TrueBook, update_id: int, limit: int, time_ms: int) -> bytes:
        rows = RowBook(
            Row(_row_id(side, price), SIDES[side], quantity, price, time_ms, time_ms)
            for side in (BID, ASK)
            for price, quantity in book.levels(side, limit or None)
        )
        return Writer(self._instrument).whole(rows.rows(), time_ms).encode()


SPELLINGS: Final[Mapping[str, type[Spelling]]] = {
    each.scheme.venue: each for each in (Spelling, Futures, Coinbase, Bitmex)
}
"""By the venue's name."""


def _orders(quantity: int) -> int:
    return (1 + quantity % 9) if quantity else 0


def _row_id(side: int, price: int) -> int:
    return 10**10 + (2 * price + side) * 7919 % 10**9
