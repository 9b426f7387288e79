"""``Side``: one side of a book, kept so that an update and its files cost as little as possible.

A list of chunks of about :data:`CHUNK` levels. Beside its sorted keys a chunk holds its levels as rendered
bytes, ``"price","quantity"``, and their concatenation, made anew only after a change. An update touches a
few chunks near the top; a body is one join of the chunks' cached bytes.

Sort keys are floats while 15 significant digits are enough to tell every price from every other (checked for
each price), and exact decimals from the first price that needs more. For :mod:`depthcast.book`, which says
what a book promises. Pure: no I/O, no clock.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, MutableSequence, Sequence
from decimal import Decimal
from itertools import accumulate, pairwise
from operator import neg
from typing import TYPE_CHECKING, Any, Final, Self

import orjson

from depthcast.errors import BadLevel
from depthcast.events import Level, PlainLevels

CHUNK: Final = 64
"""Levels a chunk is made with. It is split at twice that and merged below a quarter."""

_LEAST: Final = CHUNK // 4

MAX_DIGITS: Final = 64
"""The longest price or quantity accepted, in characters."""

# An IEEE double tells any two decimals of 15 significant digits apart and keeps their order.
_FLOAT_DIGITS: Final = 15

_NEXT_LEVEL: Final = b"],["

_NOTHING: Final = float("inf")
_EVERYTHING: Final = float("-inf")

# A price as something to sort by, smallest = best: negated for bids.
_Key = float | Decimal
_Keys = MutableSequence[Any]

Numbers = tuple[list[float], list[float]]
"""The prices of a side, and its quantities."""

if TYPE_CHECKING:
    Columns = tuple[array[float], array[float]]


class Side:
    """One side, best level first.

    >>> bids = Side(descending=True)
    >>> bids.load([["10.0", "1"], ["9.9", "2"]], complete=True)
    >>> bids.apply(*bids.read([["10.0", "0.00"], ["9.95", "3"]]))
    >>> bids.strings(None)
    [['9.95', '3'], ['9.9', '2']]

    Parallel lists, an entry a chunk: ``_keys`` (sorted sort keys), ``_amounts`` (the quantities as floats),
    ``_numbers`` (prices and quantities as lists of floats, once they were asked for and until they change),
    ``_levels`` (the rendered levels, ``"price","quantity"``), ``_texts`` and ``_lengths`` (the levels joined
    by ``],[``, and once more at the end; out of date where the chunk's index is in ``_stale``), ``_sizes``
    and ``_lasts`` (the last key).
    There is always at least one chunk; only a lone one may be empty.
    """

    __slots__ = (
        "_amounts",
        "_bound",
        "_descending",
        "_exact",
        "_keys",
        "_lasts",
        "_lengths",
        "_levels",
        "_numbers",
        "_sizes",
        "_stale",
        "_texts",
    )

    def __init__(self, *, descending: bool) -> None:
        self._descending = descending
        self._exact = False
        self._fill([], [], [], None)

    def _fill(
        self, keys: Sequence[_Key], amounts: Sequence[float], levels: list[bytes], bound: _Key | None
    ) -> None:
        """Take these levels, sorted; ``bound`` is the last certain key, ``None``: everything is certain."""
        starts = range(0, len(keys), CHUNK) or range(1)
        self._bound = bound
        self._keys: list[_Keys] = [self._pack(keys[at : at + CHUNK]) for at in starts]
        self._amounts = [array("d", amounts[at : at + CHUNK]) for at in starts]
        self._numbers: list[Numbers | None] = [None] * len(starts)
        self._levels = [levels[at : at + CHUNK] for at in starts]
        self._texts = [b""] * len(starts)
        self._lengths = [0] * len(starts)
        self._stale = set(range(len(starts)))
        self._sizes = [len(chunk) for chunk in self._levels]
        self._lasts: list[_Key] = [chunk[-1] if chunk else 0.0 for chunk in self._keys]

    def _pack(self, keys: Iterable[_Key]) -> _Keys:
        # 8 bytes a key and no objects to chase, where floats will do.
        return list(keys) if self._exact else array("d", keys)

    # Taking levels in

    def read(self, levels: Sequence[Level]) -> tuple[list[_Key], list[float], list[bytes]]:
        """Validate levels: their sort keys, their quantities as floats (to tell zero), and them rendered."""
        if not levels:
            return [], [], []
        try:
            prices, quantities = zip(*levels, strict=True)
            price_list, quantity_list = ",".join(prices), ",".join(quantities)
            # float() alone would let "nan", "1e5", "1_0", " 1" and other alphabets' digits pass.
            if type(levels) is not PlainLevels and (price_list + quantity_list).encode().translate(
                None, b"0123456789.,"
            ):
                raise ValueError
            longest = max(map(len, prices))
            if longest > _FLOAT_DIGITS:
                self._lengthen(prices, longest)
            if max(map(len, quantities)) > MAX_DIGITS:
                raise ValueError
            amounts = _floats(quantities, quantity_list)
            keys = map(Decimal, prices) if self._exact else _floats(prices, price_list)
            # Plain numbers need no escapes, so that what a JSON writer makes of them is what is wanted.
            rendered = orjson.dumps(levels)[2:-2].split(_NEXT_LEVEL)
            return self._sort_keys(keys), amounts, rendered
        except (ValueError, TypeError, ArithmeticError):
            raise BadLevel(_first_bad(levels)) from None

    def read_standing(self, standing: dict[str, str]) -> tuple[list[_Key], list[float], list[bytes]]:
        """What :meth:`read` makes of :class:`~depthcast.events.PlainLevels`, given as quantity by price.

        No order tells which of two spellings of a price was the last one, so they are refused.
        """
        read = self.read(PlainLevels(standing.items()))
        if len(set(read[0])) != len(standing):
            raise BadLevel("a price in two spellings")
        return read

    def _lengthen(self, prices: Sequence[str], longest: int) -> None:
        """Prices of more than 15 characters: go over to exact keys if their digits need it."""
        if longest > MAX_DIGITS:
            raise ValueError
        if not self._exact and any(map(_needs_exact, prices)):
            self._make_exact()

    def _make_exact(self) -> None:
        """Replace float keys by exact decimals. O(levels), at most once in a side's life."""
        keys = [key for chunk in self._keys for key in chunk]
        amounts = [amount for chunk in self._amounts for amount in chunk]
        levels = [level for chunk in self._levels for level in chunk]
        self._exact = True
        exact = self._sort_keys(Decimal(_parse(level)[0]) for level in levels)
        bound = self._bound
        if bound is not None:
            # The bound is the price of a level the snapshot showed, which may be gone since: a float of at
            # most 15 digits prints as the decimal that it was read from.
            at = bisect_left(keys, bound)
            bound = exact[at] if at < len(keys) and keys[at] == bound else Decimal(repr(bound))
        self._fill(exact, amounts, levels, bound)

    def _as_exact(self) -> "Side":
        """Itself if its keys are exact, else a copy whose keys are. O(levels)."""
        if self._exact:
            return self
        copy = Side(descending=self._descending)
        keys = [key for chunk in self._keys for key in chunk]
        amounts = [amount for chunk in self._amounts for amount in chunk]
        copy._fill(keys, amounts, [level for chunk in self._levels for level in chunk], self._bound)
        copy._make_exact()
        return copy

    def _sort_keys(self, prices: Iterable[_Key]) -> list[_Key]:
        """Prices as keys: smallest is best."""
        if not self._descending:
            return list(prices)
        # Decimal's unary minus would round to the context's precision.
        negate: Any = Decimal.copy_negate if self._exact else neg
        return list(map(negate, prices))

    def load(self, levels: Sequence[Level], *, complete: bool) -> None:
        keys, amounts, rendered = self.read(levels)
        if not all(amounts):
            raise BadLevel(levels[amounts.index(0)])
        for index, (left, right) in enumerate(pairwise(keys)):
            if left >= right:
                raise BadLevel([*levels[index], "is not better than", *levels[index + 1]])
        # A side cut off before its first level would be certain of nothing at all.
        bound = None if complete else keys[-1] if keys else self._nowhere()
        self._fill(keys, amounts, rendered, bound)

    def _nowhere(self) -> _Key:
        return Decimal("-Infinity") if self._exact else float("-inf")

    def apply(self, new_keys: list[_Key], amounts: list[float], rendered: list[bytes]) -> None:
        """Apply what :meth:`read` returned."""
        lasts, sizes, stale, numbers = self._lasts, self._sizes, self._stale, self._numbers
        # A diff's levels come in order, so the next one is often in the chunk at hand: between these keys.
        floor: _Key = _NOTHING
        ceiling: _Key = _NOTHING
        for key, amount, level in zip(new_keys, amounts, rendered, strict=True):
            if not floor < key <= ceiling:
                at = bisect_left(lasts, key)
                if at == len(lasts):
                    at -= 1
                floor, ceiling = lasts[at - 1] if at else _EVERYTHING, lasts[at]
                # Where a level that is not there is taken away, this is said of the chunk in vain.
                stale.add(at)
                numbers[at] = None
                keys, column, levels, size = self._keys[at], self._amounts[at], self._levels[at], sizes[at]
            index = bisect_left(keys, key)
            if index < size and keys[index] == key:
                if amount:
                    levels[index] = level
                    column[index] = amount
                    continue
                del keys[index], column[index], levels[index]
                size -= 1
            elif amount:
                keys.insert(index, key)
                column.insert(index, amount)
                levels.insert(index, level)
                size += 1
            else:
                continue
            sizes[at] = size
            if index >= size - 1 or not _LEAST <= size <= 2 * CHUNK:
                # The chunk ends elsewhere now, or is too small or too large.
                lasts[at] = keys[-1] if size else 0.0
                if size > 2 * CHUNK:
                    self._split(at)
                elif size < _LEAST and len(sizes) > 1:
                    self._join(at)
                floor = _NOTHING

    def _split(self, at: int) -> None:
        """Make two chunks of one that is too large."""
        keys, amounts, levels = self._keys[at], self._amounts[at], self._levels[at]
        self._keys.insert(at + 1, keys[CHUNK:])
        self._amounts.insert(at + 1, amounts[CHUNK:])
        self._numbers.insert(at + 1, None)
        self._levels.insert(at + 1, levels[CHUNK:])
        del keys[CHUNK:], amounts[CHUNK:], levels[CHUNK:]
        self._sizes[at : at + 1] = [len(levels), len(self._levels[at + 1])]
        self._lasts.insert(at, keys[-1])
        self._texts.insert(at, b"")
        self._lengths.insert(at, 0)
        self._restale({index + (index > at) for index in self._stale} | {at, at + 1})

    def _join(self, at: int) -> None:
        """Join a chunk that is too small with a neighbour, if the two are not too large together."""
        left = min(at, len(self._sizes) - 2)
        right = left + 1
        if self._sizes[left] + self._sizes[right] > 2 * CHUNK:
            return
        self._keys[left].extend(self._keys[right])
        self._amounts[left].extend(self._amounts[right])
        self._levels[left].extend(self._levels[right])
        self._sizes[left] += self._sizes[right]
        self._lasts[left] = self._keys[left][-1]
        self._stale.add(left)
        self._numbers[left] = None
        columns: tuple[list[Any], ...] = (self._keys, self._amounts, self._numbers, self._levels)
        for column in (*columns, self._texts, self._lengths, self._sizes, self._lasts):
            del column[right]
        self._restale({index - (index > right) for index in self._stale if index != right})

    def _restale(self, stale: set[int]) -> None:
        # In place: apply() holds on to the set.
        self._stale.clear()
        self._stale |= stale

    # Giving levels out

    @property
    def complete(self) -> bool:
        return self._bound is None

    def __len__(self) -> int:
        return sum(self._sizes)

    def certain(self) -> int:
        """How many levels, from the best, are certain."""
        if self._bound is None:
            return len(self)
        at = bisect_left(self._lasts, self._bound)
        if at == len(self._lasts):
            return len(self)
        return sum(self._sizes[:at]) + bisect_right(self._keys[at], self._bound)

    @property
    def best_key(self) -> _Key | None:
        """The sort key of the best level: its price, negated for bids; ``None`` where none is certain."""
        if not self._sizes[0]:
            return None
        key: _Key = self._keys[0][0]
        return None if self._bound is not None and key > self._bound else key

    def best(self) -> tuple[str, str] | None:
        return None if self.best_key is None else _parse(self._levels[0][0])

    def _first(self, limit: int | None) -> tuple[_Keys, "array[float]"]:
        """Copies of the keys and the quantities of the first certain levels, at most ``limit`` of them."""
        if limit is not None and limit <= self._sizes[0]:
            keys, amounts = self._keys[0][:limit], self._amounts[0][:limit]
        else:
            left = len(self) if limit is None else limit
            keys, amounts = self._pack(()), array("d")
            for chunk, column in zip(self._keys, self._amounts, strict=True):
                keys += chunk[:left]
                amounts += column[:left]
                left -= len(column)
                if left <= 0:
                    break
        if self._bound is not None and keys and keys[-1] > self._bound:
            certain = bisect_right(keys, self._bound)
            del keys[certain:], amounts[certain:]
        return keys, amounts

    def columns(self, limit: int | None) -> "Columns":
        keys, amounts = self._first(limit)
        return (array("d", keys) if self._exact else keys), amounts  # type: ignore[return-value]

    def numbers(self, limit: int | None) -> Numbers:
        first = self._numbers[0] or self._chunk_numbers(0)
        if limit is not None and limit <= self._sizes[0]:
            prices, amounts = first[0][:limit], first[1][:limit]
            at = 0
        else:
            left = len(self) if limit is None else limit
            prices, amounts = [], []
            for at, size in enumerate(self._sizes):
                of_chunk = self._numbers[at] or self._chunk_numbers(at)
                prices += of_chunk[0] if size <= left else of_chunk[0][:left]
                amounts += of_chunk[1] if size <= left else of_chunk[1][:left]
                left -= size
                if left <= 0:
                    break
        if self._bound is not None and self._lasts[at] > self._bound:
            certain = self.certain()
            del prices[certain:], amounts[certain:]
        return prices, amounts

    def _chunk_numbers(self, at: int) -> Numbers:
        keys: Iterable[float] = map(float, self._keys[at]) if self._exact else self._keys[at]
        prices = list(map(neg, keys) if self._descending else keys)
        self._numbers[at] = found = prices, self._amounts[at].tolist()
        return found

    def strings(self, limit: int | None) -> list[list[str]]:
        texts, _ = self.pieces((len(self) or 1 if limit is None else limit,))
        levels: list[list[str]] = orjson.loads(b"".join((b"[", *texts, b"]")))
        return levels

    def pieces(self, limits: Sequence[int]) -> tuple[list[bytes], list[int]]:
        """Byte strings that make the side for the last of ``limits`` (ascending), brackets of the levels
        included; and for each limit the length of its part of that, without the last bracket.
        """
        texts, lengths, levels = self._texts, self._lengths, self._levels
        counts = list(accumulate(self._sizes, initial=0))
        certain = counts[-1] if self._bound is None else self.certain()
        if not certain:
            return [], [0] * len(limits)
        # Whole chunks first, then the beginning of one, which may be all of it.
        last = bisect_left(counts, min(limits[-1], certain)) - 1
        # What nobody asks for may change on: it is joined once it is wanted.
        stale = [at for at in self._stale if at < last]
        for at in stale:
            texts[at] = text = _NEXT_LEVEL.join(levels[at]) + _NEXT_LEVEL
            lengths[at] = len(text)
        self._stale.difference_update(stale)
        starts = list(accumulate(lengths[:last], initial=1))
        ends = []
        for limit in limits:
            wanted = limit if limit < certain else certain
            chunk = bisect_left(counts, wanted) - 1
            part = _NEXT_LEVEL.join(levels[chunk][: wanted - counts[chunk]])
            ends.append(starts[chunk] + len(part))
        return [b"[", *texts[:last], part, b"]"], ends

    # Comparing and refilling

    def _certain_levels(self, upto: _Key | None) -> dict[_Key, bytes]:
        return {
            key: level
            for keys, levels in zip(self._keys, self._levels, strict=True)
            for key, level in zip(keys, levels, strict=True)
            if upto is None or key <= upto
        }

    def audit(self, other: Self) -> tuple[int, int, int, int]:
        if self._exact != other._exact:
            # Keys of the two kinds do not compare: 0.1 is no float.
            return self._as_exact().audit(other._as_exact())
        bounds = [bound for bound in (self._bound, other._bound) if bound is not None]
        upto = min(bounds) if bounds else None
        mine, theirs = self._certain_levels(upto), other._certain_levels(upto)
        both = mine.keys() & theirs.keys()
        matching = sum(mine[key] == theirs[key] for key in both)
        return matching, len(both) - matching, len(mine) - len(both), len(theirs) - len(both)

    def refill(self, fresh: Self) -> None:
        if self._exact != fresh._exact:
            (fresh if self._exact else self)._make_exact()
        upto = fresh._bound
        levels = fresh._certain_levels(upto)
        bound = upto
        if upto is not None:
            levels |= {key: level for key, level in self._certain_levels(None).items() if key > upto}
            bound = None if self._bound is None else max(upto, self._bound)
        amounts = [float(_parse(level)[1]) for level in levels.values()]
        self._fill(list(levels), amounts, list(levels.values()), bound)

    # Checking

    def check(self) -> None:
        columns = (self._keys, self._amounts, self._levels, self._texts, self._sizes, self._lasts)
        assert len(self._numbers) == len(self._keys), "the columns differ in length"
        assert len({len(column) for column in columns}) == 1, "the columns differ in length"
        assert self._keys, "there is no chunk"
        assert self._stale <= set(range(len(self._keys))), "a chunk that is not there is stale"
        for at, (keys, amounts, levels, text, size, last) in enumerate(zip(*columns, strict=True)):
            assert len(keys) == len(levels) == size, "a chunk's keys and levels differ in number"
            assert size or len(self._keys) == 1, "an empty chunk among others"
            assert size <= 2 * CHUNK, "a chunk is too large"
            assert not size or keys[-1] == last, "a chunk's last key is not its last key"
            joined = _NEXT_LEVEL.join(levels) + _NEXT_LEVEL
            assert at in self._stale or text == joined, "a chunk's text is not its levels'"
            assert at in self._stale or self._lengths[at] == len(text), "a text's length is not its length"
            number = Decimal if self._exact else float
            parsed = [_parse(level) for level in levels]
            expected = self._sort_keys(number(price) for price, _ in parsed)
            assert expected == list(keys), "a key is not its price"
            assert [float(quantity) for _, quantity in parsed] == list(amounts), (
                "an amount is not its level's"
            )
            assert all(amounts), "a level without quantity"
            numbers = [float(price) for price, _ in parsed], amounts.tolist()
            assert self._numbers[at] in (None, numbers), "a chunk's numbers are not its levels'"
        every = [key for keys in self._keys for key in keys]
        assert all(left < right for left, right in pairwise(every)), "keys are not strictly ascending"


def _floats(numbers: Sequence[str], listed: str) -> list[float]:
    """The numbers as floats; ``listed`` is the same, with commas between."""
    try:
        # Four times as fast as float() on each, and rounded as correctly.
        parsed: list[float] = orjson.loads(f"[{listed}]")
    except orjson.JSONDecodeError:
        # Not JSON's spelling, such as "00.1" or ".5" or a number too large for it.
        return list(map(float, numbers))
    if len(parsed) != len(numbers):
        raise ValueError("a comma within a number")
    return parsed


def _needs_exact(price: str) -> bool:
    """Whether ``price`` has more significant digits than a float keeps."""
    digits = (price.rstrip("0") if "." in price else price).replace(".", "").lstrip("0")
    return len(digits) > _FLOAT_DIGITS


def _parse(level: bytes) -> tuple[str, str]:
    """The price and quantity in a rendered level."""
    price, quantity = level[1:-1].decode().split('","')
    return price, quantity


def _is_level(level: Level) -> bool:
    try:
        price, quantity = level
        return all(
            len(text) <= MAX_DIGITS and text.isascii() and text.replace(".", "", 1).isdigit()
            for text in (price, quantity)
        )
    except (ValueError, TypeError, AttributeError):
        return False


def _first_bad(levels: Sequence[Level]) -> object:
    """The first level that is to blame, for the error message."""
    return next((level for level in levels if not _is_level(level)), levels)
