"""``Span``: what the tape tells about an unbroken stretch of a symbol's time, as flat arrays. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depthcast.tape.columns import Columns, PieceRows


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """A book from ``from_ms`` to before ``to_ms``, without a gap.

    The arrays have one element for each level told, in the order told: first the book to begin with, whose
    times are ``from_ms`` or earlier, then the changes. A quantity is absolute, 0 takes the level away, and it
    holds from its time on. All prices from ``low`` to ``high`` are certain, on both sides; of others nothing
    is known.
    """

    from_ms: int
    to_ms: int
    low: float
    high: float
    times_ms: NDArray[np.int64]
    is_bid: NDArray[np.bool_]
    prices: NDArray[np.float64]
    amounts: NDArray[np.float64]

    def within(self, from_ms: int, to_ms: int) -> "Span | None":
        """The part of it between two times; ``None`` where there is none."""
        from_ms, to_ms = max(from_ms, self.from_ms), min(to_ms, self.to_ms)
        if from_ms >= to_ms:
            return None
        return Span(
            from_ms, to_ms, self.low, self.high, self.times_ms, self.is_bid, self.prices, self.amounts
        )

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken. O(levels)."""
        assert self.from_ms < self.to_ms, "no time in it"
        assert len({len(each) for each in (self.times_ms, self.is_bid, self.prices, self.amounts)}) == 1
        assert np.all(self.prices > 0), "a price that is none"
        assert np.all(self.amounts >= 0), "a quantity that is none"


def spans_of(held: Columns) -> list[Span]:
    """The spans of a segment, one for each piece that was known for a time, in order.

    A piece is known from the hole before it (else the interval's beginning) to the hole behind it (else its
    end).
    """
    holes = list(held.holes)
    first_ms, end_ms = held.start_ms, held.end_ms
    if holes and holes[0].after_id is None:
        first_ms = holes.pop(0).to_ms
    if holes and holes[-1].before_id is None:
        end_ms = holes.pop().from_ms
    bounds = [first_ms, *(time_ms for hole in holes for time_ms in (hole.from_ms, hole.to_ms)), end_ms]
    spans = []
    past_ms = held.start_ms
    for piece, from_ms, to_ms in zip(held.pieces, bounds[::2], bounds[1::2], strict=False):
        # Pieces of two epochs may overlap in time; what is known later is a later book.
        from_ms = max(from_ms, past_ms)
        if from_ms < to_ms:
            spans.append(_span(held, piece, from_ms, to_ms))
            past_ms = to_ms
    return spans


def _span(held: Columns, piece: PieceRows, from_ms: int, to_ms: int) -> Span:
    rows = slice(piece.start, piece.stop)
    times_ms = held.event_time_ms[rows].copy()
    frame = piece.diffs - piece.start
    times_ms[:frame] = from_ms
    is_bid, prices = ~held.ask[rows], held.price[rows]
    bids, asks = prices[:frame][is_bid[:frame]], prices[:frame][~is_bid[:frame]]
    # The book to begin with is certain down to the last level that it shows, and of a side without any of
    # nothing but what the other side shows.
    low = 0.0 if piece.bids_complete else _least(bids, asks)
    high = np.inf if piece.asks_complete else -_least(-asks, -bids)
    return Span(from_ms, to_ms, low, float(high), times_ms, is_bid, prices, held.amount[rows])


def _least(own: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    return float(own.min() if len(own) else others.min(initial=np.inf))
