"""Coinbase's books by price, from ``level2_batch``: what is to be had without an account's key. Pure.

That stream numbers nothing: it begins with the whole book, and each update tells its time. So versions come
from time (:mod:`depthcast.unsequenced`), and the ``sequence`` of a file is such a version: microseconds since
1970, shifted. How many orders there are at a price is not told: a row's count is 0.

Files of both kinds have the same keys and other numbers, so all replicas of a bucket keep books in one way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import orjson

from depthcast.book import Book
from depthcast.orders.messages import OrderSnapshot, time_us
from depthcast.scheme import ALL
from depthcast.unsequenced import BITS_OF_US, stream_syncs
from depthcast.venues.coinbase import Coinbase
from depthcast.venues.coinbase_files import BEST, PRICES
from depthcast.venues.keeping import Keeping

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BIDS: Final = b'"bids":['
_ASKS: Final = b'],"asks":['


class PriceBook(Book):
    """One product's prices; ``update_id`` is a version from time.

    >>> from depthcast.events import Snapshot
    >>> number = 1_415_348_367_028_459 << BITS_OF_US
    >>> PriceBook.of(Snapshot(number, [["2.0", "5"], ["1.9", "1"]], [], True, True)).body(1)[:39]
    b'{"bids":[["2.0","5",0]],"asks":[],"sequ'
    """

    __slots__ = ()

    def bodies(self, limits: Sequence[int]) -> list[bytes]:
        """The files of levels 1 and 2, in the order asked for. O(levels)."""
        told = datetime.isoformat(_EPOCH + timedelta(microseconds=self.update_id >> BITS_OF_US))
        end = b'],"sequence":%d,"auction_mode":false,"auction":null,"time":%b}' % (
            self.update_id,
            orjson.dumps(told.replace("+00:00", "Z")),
        )
        plain = super().bodies([1 if limit == BEST else ALL for limit in limits])
        return [_counted(body, end) for body in plain]


def _counted(body: bytes, end: bytes) -> bytes:
    """A body of Binance's as one of Coinbase's, with counts of 0."""
    bids, _, asks = body[body.index(_BIDS) + len(_BIDS) : -2].partition(_ASKS)
    sides = [side.replace(b'"],["', b'",0],["')[:-1] + b",0]" if side else b"" for side in (bids, asks)]
    return b"".join((b'{"bids":[', sides[0], _ASKS, sides[1], end))


@dataclass(frozen=True, slots=True)
class CoinbaseByPrice(Coinbase):
    """Coinbase Exchange without a key: snapshots, too, are numbered by time."""

    def parse_snapshot(self, body: bytes, limit: int) -> OrderSnapshot:
        """As :meth:`depthcast.venues.coinbase.Coinbase.parse_snapshot`; no book begins from it."""
        found = Coinbase.parse_snapshot(self, body, limit)
        return found._replace(update_id=time_us(found.time) << BITS_OF_US)


BY_PRICE: Final = Keeping(
    book_of=lambda _: PriceBook.of,
    sync_of=stream_syncs(BITS_OF_US),
    refills=False,
    limits=(BEST, PRICES),
    # It tells what changed 20 times a second.
    steps_ms=((BEST, 0), (PRICES, 250)),
)
"""How books are kept without a key."""
