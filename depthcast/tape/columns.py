"""``Columns``: a segment's rows as arrays, for whoever needs one moment of it. Needs the extra ``tape``."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from depthcast.errors import ExtraMissing
from depthcast.events import CONSECUTIVE
from depthcast.tape.segment import Hole
from depthcast.venues.taping import spelled

try:
    import numpy as np
    from numpy.typing import NDArray
except ModuleNotFoundError as missing:
    raise ExtraMissing("the tape", "tape", missing.name or "numpy") from None


SHORTEST: Final = -1
"""In place of a number of decimals: numbers are spelled as short as can be."""


class Empty(NamedTuple):
    """A diff without a level, which has no row."""

    first: int
    last: int
    event_time_ms: int
    local_time_us: int
    previous: int = CONSECUTIVE
    transaction_time_ms: int = 0
    time: str = ""


@dataclass(frozen=True, slots=True)
class PieceRows:
    """Where a piece is among the rows: its keyframe at ``[start, diffs)``, its diffs at ``[diffs, stop)``.

    ``update_id``, the times and ``names`` are the keyframe's, as in
    :class:`~depthcast.tape.segment.Keyframe`.
    """

    epoch: int
    start: int
    diffs: int
    stop: int
    update_id: int
    event_time_ms: int
    local_time_us: int
    bids_complete: bool
    asks_complete: bool
    empty: tuple[Empty, ...] = ()
    transaction_time_ms: int = 0
    time: str = ""
    names: str = ""


@dataclass(frozen=True, slots=True)
class Columns:
    """A segment's rows as arrays, for whoever needs one moment of it. Times as in the API: ms, local µs.

    ``price_texts`` and ``amount_texts`` hold the exact strings of the rows whose float does not tell them.
    ``transaction_time_ms`` is ``None`` where the venue does not tell when changes were made. ``members`` are
    what levels have behind their amounts, by name, and ``time_texts`` the times of rows whose microseconds,
    ``event_time_us``, do not tell their spelling.
    """

    venue: str
    symbol: str
    start_ms: int
    length_s: int
    pieces: tuple[PieceRows, ...]
    holes: tuple[Hole, ...]
    event_time_ms: NDArray[np.int64]
    local_time_us: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    previous: NDArray[np.int64]
    ask: NDArray[np.bool_]
    price: NDArray[np.float64]
    amount: NDArray[np.float64]
    price_decimals: int
    amount_decimals: int
    price_texts: Mapping[int, str]
    amount_texts: Mapping[int, str]
    transaction_time_ms: NDArray[np.int64] | None = None
    event_time_us: NDArray[np.int64] | None = None
    time_texts: Mapping[int, str] = field(default_factory=dict)
    members: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    @property
    def end_ms(self) -> int:
        """The beginning of the interval that follows."""
        return self.start_ms + self.length_s * 1000

    @property
    def whole(self) -> bool:
        """Whether nothing is missing."""
        return not self.holes

    def prices(self, rows: Iterable[int]) -> list[str]:
        """The exact prices of these rows."""
        return _strings(self.price, rows, self.price_decimals, self.price_texts)

    def amounts(self, rows: Iterable[int]) -> list[str]:
        """The exact amounts of these rows."""
        return _strings(self.amount, rows, self.amount_decimals, self.amount_texts)

    def levels(self, rows: Sequence[int]) -> Iterable[tuple[str, ...]]:
        """The exact strings of these rows: price, amount, and the members."""
        at = np.fromiter(rows, np.int64)
        more = [map(str, member[at].tolist()) for member in self.members.values()]
        return zip(self.prices(rows), self.amounts(rows), *more, strict=True)

    def time(self, row: int) -> str:
        """The venue's own spelling of a row's time; empty where it is not told."""
        if self.event_time_us is None:
            return ""
        return self.time_texts.get(row) or spelled(int(self.event_time_us[row]))


def _strings(
    floats: NDArray[np.float64], rows: Iterable[int], decimals: int, texts: Mapping[int, str]
) -> list[str]:
    if decimals == SHORTEST:
        numbers = floats[np.fromiter(rows, np.int64)].tolist()
        return [texts.get(row) or shortest(number) for row, number in zip(rows, numbers, strict=True)]
    form = f"%.{decimals}f"
    if not texts:
        return [form % number for number in floats[np.fromiter(rows, np.int64)].tolist()]
    return [texts[row] if row in texts else form % floats[row] for row in rows]


def shortest(number: float) -> str:
    """The shortest decimal that is nearest to no other float, without an exponent.

    >>> [shortest(number) for number in (0.5, 100.0, 1e-08, 1e22)]
    ['0.5', '100', '0.00000001', '10000000000000000000000']
    """
    text = repr(number)
    if "e" in text:
        return np.format_float_positional(number, trim="-")
    return text.removesuffix(".0")
