"""A segment as Parquet: written, read back, and its columns as arrays.

Rows are levels, in the order in which they came: of each piece the keyframe's (``is_snapshot``), bids before
asks, then each diff's. The columns that Tardis' ``incremental_book_L2`` has are named as there, times in
microseconds; others stand behind them:

=====================================  ==================================================================
``exchange``, ``symbol``               as in the key
``timestamp``                          the exchange's clock, of a keyframe that of the last diff in it
``local_timestamp``                    when the diff came to the replica that recorded it, by its own clock
``is_snapshot``                        the row is a keyframe's
``side``                               ``bid`` or ``ask``
``price``, ``amount``                  the float nearest to what the exchange sent; an amount of 0 removes
``first_update_id``, ``last_update_id``  the ids that the diff spans; of a keyframe both are its id
``previous_update_id``                 the id before it where ids have holes (Binance's futures), else -1
``epoch``, ``piece``                   the epoch of the ids, and the number of the piece in the segment
``price_text``, ``amount_text``        the exact string, only in rows where the float does not tell it
``transaction_timestamp``              when the diff's last change was made, of venues that tell (futures)
``orders``                             how many orders the level has, of venues that tell (Coinbase)
``row_id``, ``row_time``               the id of the level's row, and when it was changed last, in ms since
                                       1970, 0 where that is not told (BitMEX)
``time_text``                          the time as the venue spells it, where it shows one (Coinbase) and
                                       ``timestamp`` does not tell the spelling; else null
=====================================  ==================================================================

**Exact strings.** ``depthcast.price_decimals`` and ``depthcast.amount_decimals`` in the file's metadata are
``d`` such that ``format(price, f".{d}f")`` is what the exchange sent, in every row without a text. That is
checked when the file is written: a float tells every one of up to 15 significant digits, others are tried.

The file's other metadata, ``depthcast.*``, is the segment's. It says which version of the format it is of:
:data:`PLAIN`, or :data:`FORMAT` where the venue's tape holds more than prices and amounts
(:mod:`depthcast.venues.taping`), which who knows the former alone could not make books of.
Needs the extra ``tape``.
"""

import json
import re
import zlib
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import isfinite
from typing import Any, Final

from depthcast.errors import BadFile, BadLevel, ExtraMissing
from depthcast.events import CONSECUTIVE, Level
from depthcast.orders.messages import time_us
from depthcast.tape.columns import SHORTEST, Columns, Empty, PieceRows, shortest
from depthcast.tape.keys import MAX_TIME_MS
from depthcast.tape.segment import Hole, Keyframe, Piece, RecordedDiff, Segment
from depthcast.venues.taping import Taping, spelled, taping_of

try:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import parquet as pq
except ModuleNotFoundError as missing:
    raise ExtraMissing("the tape", "tape", missing.name or "pyarrow") from None

FORMAT: Final = 2
"""The latest version of the format; a reader refuses a later one."""

PLAIN: Final = 1
"""The version of files of prices and amounts alone."""

MAX_ROWS: Final = 20_000_000
"""A file of more levels is refused: a symbol at the greatest rate seen has a hundredth of them a minute."""

_MAX_DECIMALS: Final = 40
_FLOAT_DIGITS: Final = 15
_LEVEL: Final = 6
"""Of zstd; beyond it a hundredth is saved for twice the time."""

_PREFIX: Final = "depthcast."
_PLAIN = re.compile(r"[0-9]+\.?[0-9]*|\.[0-9]+")
_NUMBER = re.compile(rf"(?:{_PLAIN.pattern})(?:[eE][+-]?[0-9]{{1,3}})?")
_SIDES: Final = pa.array(["bid", "ask"])
_NAME: Final = pa.dictionary(pa.int8(), pa.string())

SCHEMA: Final = pa.schema(
    [
        ("exchange", _NAME),
        ("symbol", _NAME),
        ("timestamp", pa.int64()),
        ("local_timestamp", pa.int64()),
        ("is_snapshot", pa.bool_()),
        ("side", _NAME),
        ("price", pa.float64()),
        ("amount", pa.float64()),
        ("first_update_id", pa.int64()),
        ("last_update_id", pa.int64()),
        ("previous_update_id", pa.int64()),
        ("epoch", pa.int64()),
        ("piece", pa.int32()),
        ("price_text", pa.string()),
        ("amount_text", pa.string()),
    ]
)
"""The columns of every segment's file, in their order."""

TRANSACTION_TIME: Final = "transaction_timestamp"
TIME_TEXT: Final = "time_text"

_ENCODINGS: Final = dict.fromkeys(
    (
        "timestamp",
        "local_timestamp",
        "first_update_id",
        "last_update_id",
        "previous_update_id",
        "epoch",
        "piece",
        TRANSACTION_TIME,
    ),
    "DELTA_BINARY_PACKED",
)
_DICTIONARIES: Final = ("exchange", "symbol", "side")
"""Prices and amounts repeat, but zstd finds that by itself: with dictionaries a file is a tenth larger."""


__all__ = ["FORMAT", "Columns", "columns", "decode", "encode"]


def schema_of(taping: Taping) -> Any:
    """The columns of a venue's files."""
    more = [(TRANSACTION_TIME, pa.int64())] if taping.transaction_times else []
    more += [(member, pa.int64()) for member in taping.members]
    more += [(TIME_TEXT, pa.string())] if taping.spelled_times else []
    return pa.schema([*SCHEMA, *(pa.field(*each) for each in more)])


# Writing


def encode(segment: Segment) -> bytes:
    """The segment's file. O(levels).

    Raises :class:`~depthcast.errors.BadLevel` for a price or amount that is no plain decimal number.
    """
    taping = taping_of(segment.venue)
    schema = schema_of(taping)
    rows = _Rows(taping)
    pieces = [rows.add(number, piece) for number, piece in enumerate(segment.pieces)]
    price, price_texts, price_decimals = _numbers(rows.prices, short=taping.short_prices)
    amount, amount_texts, amount_decimals = _numbers(rows.amounts, short=taping.short_amounts)
    count = len(price)
    # Each diff's own values, as often as it has levels.
    each = np.array(rows.events, np.int64).reshape(-1, 9)
    repeated = np.repeat(each, np.array(rows.sizes, np.int64), axis=0)
    sides = np.repeat(
        np.tile(np.array([0, 1], np.int8), len(rows.sides) // 2), np.array(rows.sides, np.int64)
    )
    table = pa.table(
        [
            _same(segment.venue, count),
            _same(segment.symbol, count),
            repeated[:, 0],
            repeated[:, 1],
            repeated[:, 2].astype(np.bool_),
            pa.DictionaryArray.from_arrays(pa.array(sides), _SIDES),
            price,
            amount,
            repeated[:, 3],
            repeated[:, 4],
            repeated[:, 5],
            repeated[:, 6],
            repeated[:, 7].astype(np.int32),
            price_texts,
            amount_texts,
            *([repeated[:, 8] * 1000] if taping.transaction_times else []),
            *(np.array(member, np.int64) for member in rows.members),
            *([np.repeat(np.array(rows.times, object), rows.sizes)] if taping.spelled_times else []),
        ],
        schema=schema,
    )
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        compression_level=_LEVEL,
        use_dictionary=list(_DICTIONARIES),
        column_encoding={name: each for name, each in _ENCODINGS.items() if name in schema.names},
        store_schema=False,
    ) as writer:
        writer.write_table(table, row_group_size=max(count, 1))
        writer.add_key_value_metadata(
            _metadata(segment, pieces, price_decimals=price_decimals, amount_decimals=amount_decimals)
        )
    return bytes(sink.getvalue())


_Values = tuple[int, int, bool, int, int, int, int, int, int]
"""Of an event: its time in µs, the local one in µs, whether it is a keyframe; its first and last id and the
one before it, the epoch of these, the piece; when its last change was made, in ms."""


class _Rows:
    """The levels of a segment one below the other, and what stands beside them, once for each event."""

    def __init__(self, taping: Taping) -> None:
        self._taping = taping
        self.prices: list[str] = []
        self.amounts: list[str] = []
        self.members: list[list[int]] = [[] for _ in taping.members]
        self.times: list[str | None] = []
        """The spelled time of each event, where its microseconds do not tell it."""
        self.events: list[_Values] = []
        self.sizes: list[int] = []
        """Levels of each event, and of each of its sides."""
        self.sides: list[int] = []

    def add(self, number: int, piece: Piece) -> PieceRows:
        frame = piece.keyframe
        start = len(self.prices)
        # A time of the keyframe that nobody knows is told as that of what follows; the metadata knows better.
        told_ms = frame.event_time_ms or piece.from_ms
        self._event(
            (
                self._time_us(told_ms, frame.time),
                frame.local_time_us,
                True,
                frame.update_id,
                frame.update_id,
                CONSECUTIVE,
                piece.epoch,
                number,
                frame.transaction_time_ms,
            ),
            frame.bids,
            frame.asks,
            frame.time,
        )
        diffs = len(self.prices)
        empty = []
        for diff in piece.diffs:
            first, last, event_time_ms, local_time_us, bids, asks, previous, changed_ms, time = diff
            if bids or asks:
                ids = first, last, previous, piece.epoch
                time_us = self._time_us(event_time_ms, time)
                self._event((time_us, local_time_us, False, *ids, number, changed_ms), bids, asks, time)
            else:
                empty.append(Empty(first, last, event_time_ms, local_time_us, previous, changed_ms, time))
        return PieceRows(
            epoch=piece.epoch,
            start=start,
            diffs=diffs,
            stop=len(self.prices),
            update_id=frame.update_id,
            event_time_ms=frame.event_time_ms,
            local_time_us=frame.local_time_us,
            bids_complete=frame.bids_complete,
            asks_complete=frame.asks_complete,
            empty=tuple(empty),
            transaction_time_ms=frame.transaction_time_ms,
            time=frame.time,
            names=frame.names,
        )

    def _time_us(self, time_ms: int, time: str) -> int:
        return (self._taping.spelled_times and time_us(time)) or time_ms * 1000

    def _event(
        self,
        values: _Values,
        bids: Sequence[Level],
        asks: Sequence[Level],
        time: str = "",
    ) -> None:
        for side in (bids, asks):
            if side:
                prices, amounts, *members = zip(*side, strict=True)
                self.prices += prices
                self.amounts += amounts
                for held, told in zip(self.members, members, strict=True):
                    held += map(int, told)
            self.sides.append(len(side))
        if self._taping.spelled_times:
            self.times.append(None if spelled(values[0]) == time else time)
        self.events.append(values)
        self.sizes.append(len(bids) + len(asks))


def _same(text: str, count: int) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int8)), pa.array([text]))


def _numbers(texts: list[str], *, short: bool = False) -> tuple[Any, Any, int]:
    """Floats of these strings, the strings that they do not tell (else null), and the decimals they have;
    ``short``: they are spelled as short as can be."""
    strings = pa.array(texts, pa.string())
    try:
        floats = pc.cast(strings, pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        raise BadLevel(_first_bad(texts)) from None
    if len(texts) == 0:
        return floats, strings, 0
    if short:
        return floats, _untold(texts, floats.tolist()), SHORTEST
    _, ends_buffer, text_buffer = strings.buffers()
    bounds = np.frombuffer(ends_buffer, np.int32, len(texts) + 1)
    text = np.frombuffer(text_buffer, np.uint8)
    starts, ends = bounds[:-1], bounds[1:]
    lengths = ends - starts
    odd = (text < ord("0")) | (text > ord("9"))
    odd_before = np.concatenate((np.zeros(1, np.int32), np.cumsum(odd, dtype=np.int32)))
    odds = odd_before[ends] - odd_before[starts]
    # Digits, one dot, and behind it as many digits as most of them have.
    decimals = _decimals(texts)
    if decimals:
        at_dot = np.maximum(ends - decimals - 1, starts)
        told = (odds == 1) & (text[at_dot] == ord(".")) & (lengths >= decimals + 2)
        whole_digits = lengths - decimals - 1
    else:
        told = (odds == 0) & (lengths >= 1)
        whole_digits = lengths
    # format() writes no zero in front of another digit.
    first = text[np.minimum(starts, len(text) - 1)] if len(text) else np.zeros(len(texts), np.uint8)
    told &= (whole_digits == 1) | (first != ord("0"))
    # So many digits a float tells: DBL_DIG of C.
    told &= whole_digits + decimals <= _FLOAT_DIGITS
    exact: list[str | None] | None = None
    for at in np.flatnonzero(~told):
        number = texts[at]
        if _PLAIN.fullmatch(number) is None or not isfinite(floats[at]):
            raise BadLevel(number)
        if format(floats[at], f".{decimals}f") != number:
            exact = exact or [None] * len(texts)
            exact[at] = number
    return (
        floats,
        pa.nulls(len(texts), pa.string()) if exact is None else pa.array(exact, pa.string()),
        decimals,
    )


def _untold(texts: list[str], floats: list[float]) -> Any:
    """The strings that are not the shortest of their floats, else null."""
    found: list[str | None] = []
    for text, number in zip(texts, floats, strict=True):
        if _NUMBER.fullmatch(text) is None or not isfinite(number):
            raise BadLevel(text)
        found.append(None if shortest(number) == text else text)
    return pa.array(found, pa.string())


def _decimals(texts: Sequence[str]) -> int:
    """How many decimals most of them have; a sample tells, and a wrong answer costs only bytes."""
    sample = texts[:: max(len(texts) // 1000, 1)]
    counts = Counter(len(text) - 1 - text.find(".") if "." in text else 0 for text in sample)
    return min(counts.most_common(1)[0][0], _MAX_DECIMALS)


def _first_bad(texts: Iterable[str]) -> str:
    return next((text for text in texts if _PLAIN.fullmatch(text) is None), "?")


def _metadata(
    segment: Segment, pieces: Iterable[PieceRows], *, price_decimals: int, amount_decimals: int
) -> dict[str, str]:
    taping = taping_of(segment.venue)
    told = {
        "format": str(PLAIN if taping.plain else FORMAT),
        "venue": segment.venue,
        "symbol": segment.symbol,
        "start_ms": str(segment.start_ms),
        "length_s": str(segment.length_s),
        "first_id": str(segment.first_id),
        "last_id": str(segment.last_id),
        "whole": "true" if segment.whole else "false",
        "holes": _json([hole._asdict() for hole in segment.holes]),
        "pieces": _json([_piece_json(piece, taping) for piece in pieces]),
        "price_decimals": str(price_decimals),
        "amount_decimals": str(amount_decimals),
    }
    return {_PREFIX + name: value for name, value in told.items()}


def _piece_json(piece: PieceRows, taping: Taping) -> dict[str, Any]:
    left_out = {"empty", "time", "transaction_time_ms"} if taping.plain else {"empty"}
    if not piece.names:
        left_out.add("names")
    told: dict[str, Any] = {
        name: getattr(piece, name) for name in PieceRows.__slots__ if name not in left_out
    }
    if piece.empty and taping.spelled_times:
        told["empty"] = _packed(piece.empty)
    elif piece.empty:
        told["empty"] = [each[:5] if taping.plain else each for each in piece.empty]
    return told


def _packed(empty: Sequence[Empty]) -> str:
    """Diffs without a level, which are half of those of a venue by order, in little room: their numbers as
    differences from one to the next, and the times whose microseconds do not tell their spelling."""
    numbers = np.array([(*each[:4], each.previous, time_us(each.time)) for each in empty], np.int64)
    numbers[:, 5] = np.where(numbers[:, 5] > 0, numbers[:, 5], numbers[:, 2] * 1000)
    texts = {at: each.time for at, each in enumerate(empty) if each.time != spelled(int(numbers[at, 5]))}
    steps = np.diff(numbers, axis=0, prepend=0).T.astype("<i8").tobytes()
    return _json([len(empty), b64encode(zlib.compress(steps, 6)).decode(), texts])


def _unpacked(text: str) -> tuple[Empty, ...]:
    """The reverse of :func:`_packed`. Raises ``ValueError``."""
    count, packed, texts = json.loads(text)
    if not 0 <= count <= MAX_ROWS:
        raise ValueError(f"{count} diffs without a level")
    size = 6 * 8 * count
    try:
        steps = zlib.decompressobj().decompress(b64decode(packed), size + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    numbers = np.cumsum(np.frombuffer(steps, "<i8").reshape(6, count), axis=1).T.tolist()
    return tuple(
        Empty(first, last, event_ms, local_us, previous, 0, texts.get(str(at)) or spelled(at_us))
        for at, (first, last, event_ms, local_us, previous, at_us) in enumerate(numbers)
        if _a_date(at_us)
    )


def _a_date(time_us: int) -> bool:
    """True; raises ``ValueError`` for a time beyond all dates."""
    if not 0 <= time_us <= MAX_TIME_MS * 1000:
        raise ValueError(f"the time {time_us}")
    return True


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


# Reading


def columns(body: bytes, key: str = "?") -> Columns:
    """The rows of a segment's file as arrays. Raises :class:`~depthcast.errors.BadFile`."""
    table, told = _read(body, key)
    try:
        texts = [_texts(table[name]) for name in ("price_text", "amount_text")]
        found = Columns(
            venue=told["venue"],
            symbol=told["symbol"],
            start_ms=int(told["start_ms"]),
            length_s=int(told["length_s"]),
            pieces=tuple(map(_piece_of, json.loads(told["pieces"]))),
            holes=tuple(Hole(**hole) for hole in json.loads(told["holes"])),
            event_time_ms=table["timestamp"].to_numpy() // 1000,
            event_time_us=table["timestamp"].to_numpy() if TIME_TEXT in table.column_names else None,
            time_texts=_texts(table[TIME_TEXT]) if TIME_TEXT in table.column_names else {},
            members={name: table[name].to_numpy() for name in taping_of(told["venue"]).members},
            local_time_us=table["local_timestamp"].to_numpy(),
            first=table["first_update_id"].to_numpy(),
            last=table["last_update_id"].to_numpy(),
            previous=table["previous_update_id"].to_numpy(),
            ask=pc.equal(table["side"], "ask").to_numpy(),
            price=table["price"].to_numpy(),
            amount=table["amount"].to_numpy(),
            price_decimals=_few(told["price_decimals"], or_shortest=True),
            amount_decimals=_few(told["amount_decimals"], or_shortest=True),
            price_texts=texts[0],
            amount_texts=texts[1],
            transaction_time_ms=(
                table[TRANSACTION_TIME].to_numpy() // 1000 if TRANSACTION_TIME in table.column_names else None
            ),
        )
        _check_rows(found, table.num_rows)
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError, pa.ArrowException) as error:
        raise BadFile(key, f"it is no segment of the tape: {error!r:.100}") from None
    return found


def decode(body: bytes, key: str = "?") -> Segment:
    """The segment of a file, levels as tuples of exact strings. Raises :class:`~depthcast.errors.BadFile`."""
    held = columns(body, key)
    every = range(len(held.price))
    levels = list(held.levels(every))
    segment = Segment(
        held.venue,
        held.symbol,
        held.start_ms,
        held.length_s,
        tuple(_piece(held, rows, levels) for rows in held.pieces),
        held.holes,
    )
    try:
        segment.check()
    except AssertionError as broken:
        raise BadFile(key, f"it is no segment of the tape: {broken}") from None
    return segment


def _read(body: bytes, key: str) -> tuple[Any, Mapping[str, str]]:
    """The table and our part of the file's metadata."""
    try:
        file = pq.ParquetFile(pa.BufferReader(body))
        written = file.metadata.metadata or {}
        told = {
            name.decode().removeprefix(_PREFIX): value.decode()
            for name, value in written.items()
            if name.startswith(_PREFIX.encode())
        }
        version = int(told["format"])
        rows = file.metadata.num_rows
        if version > FORMAT:
            raise BadFile(key, f"it is of version {version} of the tape's format; this reads up to {FORMAT}")
        if rows > MAX_ROWS:
            raise BadFile(key, f"a segment of {rows} levels is refused")
        names = schema_of(taping_of(told["venue"])).names
        wanted = [name for name in names if name not in ("exchange", "symbol", "is_snapshot")]
        return file.read(columns=wanted, use_threads=False), told
    except (KeyError, ValueError, OSError, pa.ArrowException) as error:
        raise BadFile(key, f"it is no segment of the tape: {error!r:.100}") from None


def _texts(column: Any) -> dict[int, str]:
    if column.null_count == len(column):
        return {}
    return {at: text for at, text in enumerate(column.to_pylist()) if text is not None}


def _piece_of(told: Mapping[str, Any]) -> PieceRows:
    empty = told.get("empty", ())
    read = _unpacked(empty) if isinstance(empty, str) else tuple(Empty(*each) for each in empty)
    return PieceRows(**{**told, "empty": read})


def _few(text: str, *, or_shortest: bool = False) -> int:
    decimals = int(text)
    if or_shortest and decimals == SHORTEST:
        return decimals
    if not 0 <= decimals <= _MAX_DECIMALS:
        raise ValueError(f"{decimals} decimals")
    return decimals


def _check_rows(held: Columns, rows: int) -> None:
    """Raise ``ValueError`` unless the pieces divide the rows among themselves."""
    at = 0
    for piece in held.pieces:
        if not isinstance(piece.names, str):
            raise ValueError("the names of a piece are no text")
        if not at == piece.start <= piece.diffs <= piece.stop <= rows:
            raise ValueError("its pieces do not divide its rows")
        at = piece.stop
    if at != rows or not held.pieces:
        raise ValueError("it has rows that are of no piece")
    whole_numbers = [held.event_time_ms, held.local_time_us, held.first, held.last, held.previous]
    if taping_of(held.venue).transaction_times:
        if held.transaction_time_ms is None:
            raise ValueError("it does not tell when changes were made")
        whole_numbers.append(held.transaction_time_ms)
    whole_numbers += held.members.values()
    if held.event_time_us is not None and len(held.event_time_us):
        _a_date(int(held.event_time_us.min()))
        _a_date(int(held.event_time_us.max()))
    kinds = [each.dtype == np.int64 for each in whole_numbers]
    kinds += [each.dtype == np.float64 for each in (held.price, held.amount)]
    if not all(kinds) or held.ask.dtype != np.bool_:
        raise ValueError("a column is of a type that it should not be, or has nulls")


def _piece(held: Columns, rows: PieceRows, levels: Sequence[tuple[str, ...]]) -> Piece:
    asks_from = rows.start + int(np.count_nonzero(~held.ask[rows.start : rows.diffs]))
    frame = Keyframe(
        rows.update_id,
        rows.event_time_ms,
        rows.local_time_us,
        tuple(levels[rows.start : asks_from]),
        tuple(levels[asks_from : rows.diffs]),
        rows.bids_complete,
        rows.asks_complete,
        rows.transaction_time_ms,
        rows.time,
        rows.names,
    )
    diffs = [
        RecordedDiff(*each[:4], (), (), each.previous, each.transaction_time_ms, each.time)
        for each in rows.empty
    ]
    made = held.transaction_time_ms
    last = held.last[rows.diffs : rows.stop]
    starts = rows.diffs + np.concatenate((np.zeros(1, np.int64), np.flatnonzero(np.diff(last)) + 1))
    bounds = [*starts.tolist(), rows.stop] if len(last) else []
    # Asks of each diff stand behind its bids.
    asks_before = np.concatenate((np.zeros(1, np.int64), np.cumsum(held.ask)))
    for start, stop in pairwise(bounds):
        split = stop - int(asks_before[stop] - asks_before[start])
        diffs.append(
            RecordedDiff(
                int(held.first[start]),
                int(held.last[start]),
                int(held.event_time_ms[start]),
                int(held.local_time_us[start]),
                tuple(levels[start:split]),
                tuple(levels[split:stop]),
                int(held.previous[start]),
                0 if made is None else int(made[start]),
                held.time(start),
            )
        )
    return Piece(rows.epoch, frame, tuple(sorted(diffs, key=lambda diff: diff.last)))
