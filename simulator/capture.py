"""Recorded exchange messages, read and played again.

Two formats, plain or gzipped, one record a line. Messages with local time in nanoseconds::

    1723161254036052868 {"stream":"ethusdt@depth@100ms","data":{"e":"depthUpdate",…}}
    1723161254100000000 {"lastUpdateId":35346513512,"bids":[…],"asks":[…]}

and sessions with time in seconds, REST answers with their URL (other lines tell of the connection)::

    1618677372.5104241: {"stream":"busdtry@depth@100ms","data":{"e":"depthUpdate",…}}
    https://www.binance.com/api/v1/depth?symbol=BUSDTRY&limit=1000 -> 1618677372.508967: {"lastUpdateId":…}

Files that share symbols are one :class:`Run`, merged by time; runs begin together when they are played.
The world of a run is each symbol's recorded snapshot and the later diffs, nothing else: what lies beyond the
snapshot's depth does not exist in it until a diff tells. Until the stream reaches the snapshot's id, REST
answers the snapshot itself.
"""

import gzip
import json
import re
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import merge
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

from simulator.exchange import BookTicker, Exchange
from simulator.listing import Listing, split_assets
from simulator.scale import Scale, scale_of
from simulator.truth import ASK, BID, Change, Times, TrueBook

_NANOSECONDS: Final = re.compile(r"(\d{19}) (\{.*)")
_SECONDS: Final = re.compile(r"(\d+\.\d+): (\{.*)")
_ANSWER: Final = re.compile(r"(https?://\S+) -> (\d+\.\d+): (\{.*)")


class CaptureError(ValueError):
    """A file that cannot be played: which one, which line, and why."""


class RecordedDiff(NamedTuple):
    """A diff at ``at_s`` (local clock, seconds since 1970); levels are the recorded strings."""

    at_s: float
    symbol: str
    first: int
    last: int
    time_ms: int
    bids: Sequence[Sequence[str]]
    asks: Sequence[Sequence[str]]
    previous: int | None = None
    transaction_ms: int = 0


class RecordedTicker(NamedTuple):
    """A bookTicker at ``at_s``."""

    at_s: float
    ticker: BookTicker


class RecordedSnapshot(NamedTuple):
    """A REST depth answer at ``at_s``."""

    at_s: float
    symbol: str
    update_id: int
    bids: Sequence[Sequence[str]]
    asks: Sequence[Sequence[str]]
    times: Times | None = None


Record = RecordedDiff | RecordedTicker | RecordedSnapshot


def read(path: Path) -> Iterator[Record]:
    """The records of one file in their order. Raises :class:`CaptureError`, OSError.

    A snapshot without an URL belongs to the one symbol that the file's stream names speak of.
    """
    symbol: str | None = None
    nameless: list[RecordedSnapshot] = []
    for number, line in enumerate(_lines(path), start=1):
        try:
            record = _record(line.rstrip("\n"))
        except (ValueError, KeyError, TypeError) as error:
            raise CaptureError(f"{path}, line {number}: {type(error).__name__} {error}") from None
        if record is None:
            continue
        if isinstance(record, RecordedSnapshot) and not record.symbol:
            if symbol is None:
                nameless.append(record)
                continue
            record = record._replace(symbol=symbol)
        elif symbol is None:
            symbol = record.ticker.symbol if isinstance(record, RecordedTicker) else record.symbol
            for snapshot in nameless:
                yield snapshot._replace(symbol=symbol)
            nameless.clear()
        yield record
    if nameless:
        raise CaptureError(f"{path}: a depth answer without a symbol, and no stream that tells which")


@dataclass(slots=True)
class Run:
    """Recorded messages that belong together, in the order of their times.

    ``snapshots`` holds each symbol's first recorded snapshot; symbols without one are left out.
    """

    snapshots: dict[str, RecordedSnapshot]
    flow: list[RecordedDiff | RecordedTicker]
    listings: dict[str, Listing] = field(default_factory=dict)

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self.snapshots)

    @property
    def seconds(self) -> float:
        """From the first message to the last."""
        return self.flow[-1].at_s - self.flow[0].at_s if self.flow else 0.0


def load(paths: Iterable[Path]) -> list[Run]:
    """The runs in these files; a file with nothing to play (a recorded ``exchangeInfo``) adds none.

    Raises :class:`CaptureError` for what cannot be played, OSError.
    """
    paths = list(paths)
    groups: list[tuple[set[str], list[list[Record]]]] = []
    for path in paths:
        records = list(read(path))
        if not records:
            continue
        symbols, files = {_symbol(record) for record in records}, [records]
        for group in [group for group in groups if not symbols.isdisjoint(group[0])]:
            groups.remove(group)
            symbols |= group[0]
            files = [*group[1], *files]
        groups.append((symbols, files))
    if paths and not groups:
        raise CaptureError(f"nothing to play in {', '.join(map(str, paths))}")
    return [_run(files) for _, files in groups]


@dataclass(slots=True)
class Source:
    """Messages that are not in files: ``opening`` is the book that each symbol begins with, ``flow`` what
    follows, a batch at a time, in the order of their times. Only one batch is asked for ahead.

    A snapshot in the flow is the book from there on: what led to it was not recorded, as readers notice by
    the ids. ``tops``: no bookTicker was recorded, so each change of the best bid or ask makes one.
    """

    opening: Mapping[str, RecordedSnapshot]
    flow: AsyncIterator[Sequence[Record]]
    tops: bool = True


class Player:
    """Plays a run, or a source, on an exchange, whose symbols it lists.

    Times are seconds since the first message. What a source has yet to bring is waited for by :meth:`fill`.
    """

    def __init__(self, run: Run | Source, exchange: Exchange) -> None:
        self._exchange = exchange
        self._tops = isinstance(run, Source) and run.tops
        self._coming = run.flow if isinstance(run, Source) else None
        self._due: deque[Record] = deque(() if isinstance(run, Source) else run.flow)
        self._start_s: float | None = self._due[0].at_s if self._due else None
        self.position_s = 0.0
        opening = run.opening if isinstance(run, Source) else run.snapshots
        self._scales: dict[str, Scale] = {}
        for symbol, snapshot in opening.items():
            listing = _listing(snapshot) if isinstance(run, Source) else run.listings[symbol]
            self._scales[symbol] = listing.scale
            if (snapshot.times is not None) != exchange.futures:
                spoken = "futures" if exchange.futures else "spot"
                raise CaptureError(f"the book of {symbol} is of another exchange than {spoken}")
            exchange.add_recorded(listing, self._book(snapshot), snapshot.update_id, snapshot.times)

    @property
    def done(self) -> bool:
        """Whether all was played to the end."""
        return not self._due and self._coming is None

    @property
    def next_s(self) -> float:
        """When the next message is due. Not to be asked when all is done, or before :meth:`fill`."""
        return self._due[0].at_s - (self._start_s or 0.0)

    @property
    def heard(self) -> bool:
        """Whether somebody listens to any of the symbols."""
        return any(self._exchange.instruments[symbol].listeners for symbol in self._scales)

    @property
    def heard_by_all(self) -> bool:
        """Whether somebody listens to each of the symbols."""
        return all(self._exchange.instruments[symbol].listeners for symbol in self._scales)

    async def fill(self) -> None:
        """Wait until a message is at hand, or all is done. Raises what the source raises."""
        while not self._due and self._coming is not None:
            batch = await anext(self._coming, None)
            if batch is None:
                self._coming = None
                return
            self._due.extend(batch)
            if self._start_s is None and self._due:
                self._start_s = self._due[0].at_s

    async def advance(self, at_s: float) -> None:
        """Play every message up to ``at_s``, those too that have yet to be waited for."""
        await self.fill()
        while not self.done and self.next_s <= at_s:
            self.play_until(at_s)
            await self.fill()
        self.position_s = max(self.position_s, at_s)

    def play_until(self, at_s: float) -> None:
        """Play every message up to ``at_s`` that is at hand."""
        while self._due and self.next_s <= at_s:
            self.play_next()
        self.position_s = max(self.position_s, at_s)

    def play_next(self) -> None:
        """Play the next message."""
        record = self._due.popleft()
        if isinstance(record, RecordedTicker):
            self._exchange.publish_ticker(record.ticker)
            return
        if isinstance(record, RecordedSnapshot):
            self._exchange.resume(record.symbol, self._book(record), record.update_id, record.times)
            return
        scale = self._scales[record.symbol]
        changes = [
            Change(side, price, quantity)
            for side, levels in ((BID, record.bids), (ASK, record.asks))
            for price, quantity in _units(scale, levels)
        ]
        self._exchange.replay(
            record.symbol,
            record.first,
            record.last,
            record.time_ms,
            changes,
            tops=self._tops,
            previous=record.previous,
            transaction_ms=record.transaction_ms,
        )

    def _book(self, snapshot: RecordedSnapshot) -> TrueBook:
        scale = self._scales[snapshot.symbol]
        return TrueBook(_units(scale, snapshot.bids), _units(scale, snapshot.asks))


def _run(files: Sequence[list[Record]]) -> Run:
    merged = list(merge(*files, key=lambda record: record.at_s))
    snapshots: dict[str, RecordedSnapshot] = {}
    for record in merged:
        if isinstance(record, RecordedSnapshot):
            snapshots.setdefault(record.symbol, record)
    flow = [
        record
        for record in merged
        if not isinstance(record, RecordedSnapshot) and _symbol(record) in snapshots
    ]
    if not flow:
        raise CaptureError("a capture needs diffs, and a REST depth answer of the same symbols")
    return Run(snapshots, flow, {symbol: _listing(snapshot) for symbol, snapshot in snapshots.items()})


def _listing(snapshot: RecordedSnapshot) -> Listing:
    """A listing with the precisions that the snapshot's own strings show."""
    levels = [*snapshot.bids, *snapshot.asks]
    if not levels:
        raise CaptureError(f"the recorded book of {snapshot.symbol} is empty, so its precisions are unknown")
    base, quote = split_assets(snapshot.symbol)
    return Listing(snapshot.symbol, base, quote, scale_of(*levels[0]))


def _units(scale: Scale, levels: Iterable[Sequence[str]]) -> list[tuple[int, int]]:
    return [(scale.price_units(price), scale.quantity_units(quantity)) for price, quantity in levels]


def _symbol(record: Record) -> str:
    return record.ticker.symbol if isinstance(record, RecordedTicker) else record.symbol


def _lines(path: Path) -> Iterator[str]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        for line in file:
            yield line.decode()


def _record(line: str) -> Record | None:
    """One line; ``None`` for what is neither depth nor bookTicker."""
    if match := _NANOSECONDS.fullmatch(line):
        return _message(int(match[1]) / 1e9, json.loads(match[2]))
    if match := _SECONDS.fullmatch(line):
        return _message(float(match[1]), json.loads(match[2]))
    if match := _ANSWER.fullmatch(line):
        url = urlsplit(match[1])
        if not url.path.endswith("/depth"):
            return None
        return _snapshot(float(match[2]), parse_qs(url.query)["symbol"][0], json.loads(match[3]))
    return None


def _message(at_s: float, message: Mapping[str, Any]) -> Record | None:
    if "lastUpdateId" in message:
        return _snapshot(at_s, "", message)
    data = message.get("data", message)
    if data.get("e") == "depthUpdate":
        return RecordedDiff(
            at_s,
            data["s"],
            data["U"],
            data["u"],
            data["E"],
            data["b"],
            data["a"],
            data.get("pu"),
            data.get("T", 0),
        )
    if message.get("stream", "").endswith("@bookTicker"):
        return RecordedTicker(
            at_s,
            BookTicker(data["s"], data["u"], data["b"], data["B"], data["a"], data["A"], _times_of(data)),
        )
    return None


def _snapshot(at_s: float, symbol: str, body: Mapping[str, Any]) -> RecordedSnapshot:
    return RecordedSnapshot(at_s, symbol, body["lastUpdateId"], body["bids"], body["asks"], _times_of(body))


def _times_of(message: Mapping[str, Any]) -> Times | None:
    """Those of a futures message."""
    return Times(message["E"], message["T"]) if "T" in message else None
