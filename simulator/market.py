"""A seeded synthetic market: the opening book of one symbol, and its changes tick by tick.

The flow is shaped after recorded Binance data: about 46 changes a diff on average with a heavy tail to 1,000,
bursts, ticks without any change, 70/15/15 of updates, inserts and deletes at ranks that are about
log-uniform, a mid price that wanders by trades eating the best level, and now and then the deletion of a
level that nobody ever saw. A :class:`Profile` says how deep and how lively one symbol is; thin, one-sided
and empty books exist too.

Promises: the same seed gives the same changes; the book is never crossed. Leaves to others: ids and time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import log
from random import Random
from typing import Final

from simulator.listing import Listing, split_assets
from simulator.scale import Scale
from simulator.truth import ASK, BID, Change, TrueBook

MAX_CHANGES: Final = 1000
"""The most changes in one tick."""

_SPREAD: Final = 1.0
"""Sigma of the log-normal number of changes a tick: at a mean of 46 one tick in 5,000 reaches 1,000."""

_BURST_TICKS: Final = 5
_BURST_FACTOR: Final = 6
_HUGE: Final = 1_000_000
_NEARBY: Final = 16


@dataclass(frozen=True, slots=True)
class Profile:
    """How one symbol trades.

    ``bids`` and ``asks``: the number of levels each side keeps returning to (0: an empty side).
    ``changes``: their mean number a tick that has any; ``quiet``: the share of ticks that have none;
    ``burst``: the chance that a tick opens a burst; ``wander``: the share of ticks that move the mid price.
    """

    bids: int = 6000
    asks: int = 6000
    changes: float = 46
    quiet: float = 0.02
    burst: float = 0.003
    wander: float = 0.3


DEEP: Final = Profile()


def profile_of(index: int, depth: int = 6000, changes: float = 46) -> Profile:
    """How symbol number ``index`` of a varied exchange trades: most ``depth`` deep, a few peculiar."""
    normal = Profile(bids=depth, asks=depth, changes=changes)
    thin = max(2, depth // 200)
    return {
        3: Profile(bids=depth, asks=depth, changes=max(1.0, changes / 8), quiet=0.9),
        9: Profile(bids=thin, asks=thin, changes=max(1.0, changes / 10), quiet=0.3),
        13: Profile(bids=0, asks=thin, changes=max(1.0, changes / 10), quiet=0.3),
        17: Profile(bids=1, asks=1, changes=1.5, quiet=0.6),
    }.get(index % 20, normal)


# Quote asset -> (scale, tick, lot): eight decimals is the rule, and others exist.
_GRIDS: Final = {
    "USDT": (Scale(8, 8), 1_000_000, 1_000),
    "FDUSD": (Scale(8, 8), 10_000, 10_000_000),
    "BTC": (Scale(8, 8), 1, 1_000_000),
    "USD": (Scale(4, 8), 1, 1_000_000),
    "IDRT": (Scale(2, 8), 100, 10_000),
    "TRY": (Scale(8, 2), 100_000, 1),
}

# fmt: off
_NAMES: Final = [
    "BTCUSDT", "ETHUSDT", "SOLUSDT", "ETHBTC", "BNBUSDT", "XRPFDUSD", "币安人生USDT", "BTCIDRT", "XLMUSD",
    "ADATRY", "DOGEUSDT", "TRXUSDT", "LINKUSDT", "SUIUSDT", "SOLBTC", "AVAXUSDT", "LTCUSDT", "DOTUSDT",
    "BCHUSDT", "UNIUSDT",
]
# fmt: on


_COIN_BASES: Final = ("BTC", "ETH", "BNB", "SOL", "XRP", "ADA", "DOGE", "LTC", "LINK", "DOT")

# Futures write prices and quantities with the digits of their steps: ("61800.20", "0.008").
_FUTURES_GRID: Final = (Scale(2, 3), 10, 1)


# Contracts of COIN-M are counted whole: ("61800.2", "1403").
_COIN_GRID: Final = Scale(1, 0), 1, 1


def listing_of(symbol: str, *, futures: bool = False, coin_margined: bool = False) -> Listing:
    """A listing for any name; the quote asset settles precision, tick and lot."""
    if coin_margined:
        pair = symbol.partition("_")[0]
        scale, tick, lot = _COIN_GRID
        return Listing(symbol, *split_assets(pair), scale, tick, lot, pair=pair)
    base, quote = split_assets(symbol)
    scale, tick, lot = _FUTURES_GRID if futures else _GRIDS.get(quote, _GRIDS["USDT"])
    return Listing(symbol, base, quote, scale, tick, lot)


def names(count: int, *, coin_margined: bool = False) -> list[str]:
    """The first ``count`` symbols of the synthetic exchange.

    >>> names(22)[-3:]
    ['UNIUSDT', 'COIN20USDT', 'COIN21USDT']
    >>> names(3, coin_margined=True)
    ['BTCUSD_PERP', 'BTCUSD_261225', 'ETHUSD_PERP']
    """
    if coin_margined:
        kinds = ("PERP", "261225")
        bases = [*_COIN_BASES, *(f"COIN{index}" for index in range(len(_COIN_BASES), count))]
        return [f"{base}USD_{kind}" for base in bases for kind in kinds][:count]
    return [*_NAMES[:count], *(f"COIN{index}USDT" for index in range(len(_NAMES), count))]


class Market:
    """One symbol's participants. ``rng`` is its own: no other symbol's flow depends on it."""

    def __init__(self, listing: Listing, profile: Profile, rng: Random) -> None:
        self._tick = listing.tick
        self._lot = listing.lot
        self._depth = (profile.bids, profile.asks)
        self._profile = profile
        self._rng = rng
        # Far enough from zero that the deepest bid stays above it while the mid price wanders.
        self._anchor = (10_000 + rng.randint(4, 12) * max(self._depth)) * self._tick
        in_bursts = profile.burst * _BURST_TICKS * (_BURST_FACTOR - 1)
        self._location = log(profile.changes / (1 + in_bursts)) - _SPREAD**2 / 2
        self._burst_ticks = 0

    def opening(self) -> TrueBook:
        """The book at the beginning. O(levels)."""
        bids = list(self._ladder(-1, self._depth[BID]))
        asks = list(self._ladder(1, self._depth[ASK]))
        return TrueBook(bids, asks)

    def tick(self, book: TrueBook) -> Iterator[Change]:
        """The changes of the next tick, none where it is quiet.

        Each is drawn from ``book`` as the ones before it left it: the caller applies them one by one.
        """
        rng, profile = self._rng, self._profile
        if rng.random() < profile.quiet:
            return
        if rng.random() < profile.burst:
            self._burst_ticks = _BURST_TICKS
        count = rng.lognormvariate(self._location, _SPREAD)
        if self._burst_ticks:
            self._burst_ticks -= 1
            count *= _BURST_FACTOR
        left = max(1, min(MAX_CHANGES, round(count)))
        if left > 2 and rng.random() < profile.wander:
            for change in self._move(book):
                yield change
                left -= 1
        for _ in range(left):
            yield self._change(book)

    def _ladder(self, step: int, depth: int) -> Iterator[tuple[int, int]]:
        price = self._anchor
        for _ in range(depth):
            price += step * self._tick * (1 + int(self._rng.expovariate(1.2)))
            yield price, self._quantity()

    def _quantity(self) -> int:
        lots = 1 + int(self._rng.expovariate(0.0002))
        if lots % 1000 == 0:
            lots *= _HUGE
        return lots * self._lot

    def _move(self, book: TrueBook) -> Iterator[Change]:
        """A trade eats the best level of one side and the other side follows to its price."""
        eaten = self._rng.randrange(2)
        best, opposite = book.best(eaten), book.best(1 - eaten)
        if best is None or opposite is None or len(book.sides[eaten]) < 2:
            return
        yield Change(eaten, best[0], 0)
        yield Change(1 - eaten, best[0], self._quantity())

    def _change(self, book: TrueBook) -> Change:
        rng = self._rng
        side = BID if rng.random() < 0.5 else ASK
        if not self._depth[side]:
            side = 1 - side
        levels = book.sides[side]
        if not levels:
            # An empty side stays empty for a while; what is then deleted nobody ever saw.
            quantity = self._quantity() if rng.random() < 0.5 else 0
            return Change(side, self._first_price(book, side), quantity)
        # Log-uniform rank: most changes are near the best price, some are anywhere.
        rank = int(len(levels) ** rng.random()) - 1
        price: int = levels.peekitem(rank if side == ASK else -1 - rank)[0]
        roll = rng.random()
        insert = self._insert_share(len(levels), self._depth[side])
        if roll < insert:
            return Change(side, self._price_beside(book, side, price), self._quantity())
        if roll < 0.3:
            return Change(side, price, 0)
        if roll < 0.305:
            unseen = self._price_beside(book, side, price)
            return Change(side, unseen, 0)
        return Change(side, price, self._quantity())

    @staticmethod
    def _insert_share(levels: int, depth: int) -> float:
        """Of the 30 % of changes that insert or delete, how many insert: a thinned side fills up again."""
        if levels < 0.99 * depth:
            return 0.22
        return 0.08 if levels > 1.01 * depth else 0.15

    def _first_price(self, book: TrueBook, side: int) -> int:
        opposite = book.best(1 - side)
        anchor = self._anchor if opposite is None else opposite[0]
        away = self._rng.randint(1, 5) * self._tick
        return anchor - away if side == BID else anchor + away

    def _price_beside(self, book: TrueBook, side: int, price: int) -> int:
        """A free price near ``price``, not crossing the other side; ``price`` itself where there is none."""
        levels, opposite = book.sides[side], book.best(1 - side)
        step = self._tick if self._rng.random() < 0.5 else -self._tick
        beside = price + step
        for _ in range(_NEARBY):
            if beside not in levels:
                break
            beside += step
        crosses = opposite is not None and (beside >= opposite[0] if side == BID else beside <= opposite[0])
        return price if crosses or beside <= 0 or beside in levels else beside
