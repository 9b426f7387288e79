"""Depth updates as the streams send them.

A :class:`DepthUpdate` spans consecutive ids of one symbol. Updates can be joined (the 1000 ms stream sends
ten of the 100 ms ones as one) and, where each of their changes has an id of its own, cut at any id, so that
two connections can see the same changes in different pieces.
"""

from collections.abc import Sequence
from itertools import pairwise

from simulator.scale import Scale
from simulator.truth import ASK, BID, Change


class DepthUpdate:
    """The changes with ids ``first`` to ``last``, in the order they happened; none in some that are recorded.

    ``divisible``: ``changes[k]`` is the change with id ``first + k``. ``generation`` is the one of the
    symbol's journal (:mod:`simulator.truth`). Futures updates have the id ``previous`` to them, and when
    their last change was made; those of COIN-M name the ``pair``.
    """

    __slots__ = (
        "_data",
        "changes",
        "divisible",
        "first",
        "generation",
        "last",
        "pair",
        "previous",
        "scale",
        "symbol",
        "time_ms",
        "transaction_ms",
    )

    def __init__(
        self,
        symbol: str,
        scale: Scale,
        generation: int,
        first: int,
        last: int,
        time_ms: int,
        changes: Sequence[Change],
        *,
        divisible: bool,
        previous: int | None = None,
        transaction_ms: int = 0,
        pair: str | None = None,
    ) -> None:
        if not first <= last or (divisible and len(changes) != last - first + 1):
            raise ValueError(f"{symbol}: {len(changes)} changes cannot be the ids {first} to {last}")
        self.symbol = symbol
        self.scale = scale
        self.generation = generation
        self.first = first
        self.last = last
        self.time_ms = time_ms
        self.changes = changes
        self.divisible = divisible
        self.previous = previous
        self.transaction_ms = transaction_ms
        self.pair = pair
        self._data: str | None = None

    def data(self, *, microseconds: bool = False) -> str:
        """The payload: the last quantity of each changed level, bids descending on spot, asks ascending."""
        if microseconds:
            return self._render(self.time_ms * 1000)
        if self._data is None:
            self._data = self._render(self.time_ms)
        return self._data

    def _render(self, event_time: int) -> str:
        levels: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for side, price, quantity in self.changes:
            levels[side][price] = quantity
        # Futures were seen to write both sides ascending.
        bids = self.scale.levels(sorted(levels[BID].items(), reverse=self.previous is None))
        asks = self.scale.levels(sorted(levels[ASK].items()))
        if self.previous is not None:
            pair = "" if self.pair is None else f'"ps":"{self.pair}",'
            return (
                f'{{"e":"depthUpdate","E":{event_time},"T":{self.transaction_ms},"s":"{self.symbol}",{pair}'
                f'"U":{self.first},"u":{self.last},"pu":{self.previous},"b":{bids},"a":{asks}}}'
            )
        return (
            f'{{"e":"depthUpdate","E":{event_time},"s":"{self.symbol}",'
            f'"U":{self.first},"u":{self.last},"b":{bids},"a":{asks}}}'
        )

    def cut(self, last: int) -> tuple["DepthUpdate", "DepthUpdate"]:
        """The ids up to and including ``last``, and the rest. Raises ValueError where nothing can be cut."""
        if not self.divisible or not self.first <= last < self.last:
            raise ValueError(f"{self.symbol}: cannot cut {self.first}…{self.last} after {last}")
        count = last - self.first + 1
        return (
            self._piece(self.first, last, self.changes[:count]),
            self._piece(last + 1, self.last, self.changes[count:]),
        )

    def _piece(self, first: int, last: int, changes: Sequence[Change]) -> "DepthUpdate":
        return DepthUpdate(
            self.symbol, self.scale, self.generation, first, last, self.time_ms, changes, divisible=True
        )


def joined(updates: Sequence[DepthUpdate]) -> DepthUpdate:
    """Consecutive updates of one generation as one, with the time of the last.

    Raises ValueError where they do not follow each other.
    """
    if len(updates) == 1:
        return updates[0]
    for update, following in pairwise(updates):
        begins = following.first - 1 if following.previous is None else following.previous
        if (update.symbol, update.generation, update.last) != (
            following.symbol,
            following.generation,
            begins,
        ):
            raise ValueError(f"{update.symbol}: {following.first} does not follow {update.last}")
    opening, closing = updates[0], updates[-1]
    return DepthUpdate(
        opening.symbol,
        opening.scale,
        opening.generation,
        opening.first,
        closing.last,
        closing.time_ms,
        [change for update in updates for change in update.changes],
        divisible=all(update.divisible for update in updates),
        previous=opening.previous,
        transaction_ms=closing.transaction_ms,
        pair=opening.pair,
    )
