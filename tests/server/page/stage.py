"""A server over a store in memory, and markets whose files are published by hand: what pages are shown of.

The truth is the simulator's: each file is made from its book, apart from ours.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any, Final, NamedTuple, Protocol, Self

from depthcast.files import (
    BINANCE,
    BINANCE_USDM,
    CONTENT_TYPE,
    FileInfo,
    Scheme,
    depth_key,
    heartbeat_key,
)
from depthcast.heartbeat import FeedBeat, Heartbeat, RestBeat, Role, SymbolBeat, WriteBeat
from depthcast.heat.album import Album
from depthcast.settings import Address
from depthcast.store import Outcome
from depthcast.store.memory import MemoryStore
from depthcast.tape.parquet import columns, encode
from depthcast.tape.segment import Keyframe, Piece, RecordedDiff, Segment
from server.__main__ import listen, serve
from server.settings import ServerSettings
from simulator.market import Market, Profile, listing_of
from simulator.truth import ASK, BID, Change, Times, TrueBook
from tests.depthcast.tape.stored import store_segments

LIMITS: Final = (20, 1000)
FIRST_ID: Final = 99_700_000_000


MINUTE_MS: Final = 60_000


class Told(NamedTuple):
    """A diff of the past."""

    time_ms: int
    update_id: int
    changes: Sequence[Change]


def _copy(book: TrueBook) -> TrueBook:
    return TrueBook(*(side.items() for side in book.sides))


def _by_side(changes: Sequence[Change]) -> tuple[list[Change], list[Change]]:
    """The last change of each price, as a diff has them."""
    last = {(each.side, each.price): each for each in changes}
    return [each for each in last.values() if each.side == BID], [
        each for each in last.values() if each.side == ASK
    ]


class Plays(Protocol):
    """What makes a book: a market."""

    def opening(self) -> TrueBook: ...

    def tick(self, book: TrueBook) -> Iterator[Change]: ...


class Listing:
    """One symbol: its true book, and the body of every version that was published."""

    def __init__(self, symbol: str, profile: Profile, seed: int, scheme: Scheme = BINANCE) -> None:
        self.symbol = symbol
        self.scheme_of_files = scheme
        self.address = symbol if scheme is BINANCE else f"{scheme.venue}/{symbol}"
        self._told = scheme is BINANCE_USDM
        self._listing = listing_of(symbol)
        self.scale = self._listing.scale
        self.past: list[Told] = []
        """What was put on tape."""
        self.update_id = FIRST_ID
        self.play(Market(self._listing, profile, Random(f"{symbol}{seed}")))
        self.bodies: dict[tuple[int, int], bytes] = {}
        """By update id and limit."""

    def play(self, market: Plays) -> None:
        """Let this market make the book."""
        self._market = market
        self._book = self.opening = market.opening()

    def tick(self) -> None:
        """A tenth of a second of trading; each change is an id."""
        for change in self._market.tick(self._book):
            self._book.apply(change)
            self.update_id += 1

    def record(self, from_ms: int, to_ms: int, every_ms: int = 100) -> list[Segment]:
        """Trade from one minute's beginning to another's at once, and put it on tape."""
        self.opening = _copy(self._book)
        venue, changed_ms = self.scheme_of_files.venue, 5 if self._told else None
        segments = []
        for start_ms in range(from_ms, to_ms, MINUTE_MS):
            before_ms = self.past[-1].time_ms if self.past else start_ms - every_ms
            frame = self._keyframe(before_ms)
            if changed_ms is not None:
                frame = frame._replace(transaction_time_ms=before_ms - changed_ms)
            diffs = []
            for time_ms in range(start_ms, start_ms + MINUTE_MS, every_ms):
                first = self.update_id + 1
                changes = []
                for change in self._market.tick(self._book):
                    self._book.apply(change)
                    changes.append(change)
                self.update_id += len(changes)
                if changes:
                    self.past.append(Told(time_ms, self.update_id, changes))
                    bids, asks = map(self._texts, _by_side(changes))
                    told = (-1, time_ms - changed_ms) if changed_ms is not None else (-1, 0)
                    diffs.append(
                        RecordedDiff(first, self.update_id, time_ms, time_ms * 1000, bids, asks, *told)
                    )
            piece = Piece(0, frame, diffs)
            segments.append(
                Segment.of(venue, self.symbol, start_ms, 60, [piece], from_start=True, to_end=True)
            )
        return segments

    def at(self, time_ms: int) -> tuple[int, TrueBook]:
        """The true book at a moment of the past, and its id."""
        book, update_id = _copy(self.opening), 0
        for told in self.past:
            if told.time_ms > time_ms:
                break
            for change in told.changes:
                book.apply(change)
            update_id = told.update_id
        return update_id, book

    def _keyframe(self, time_ms: int) -> Keyframe:
        levels = ([Change(side, *level) for level in self._book.levels(side)] for side in (BID, ASK))
        bids, asks = map(self._texts, levels)
        return Keyframe(self.update_id, time_ms, time_ms * 1000, bids, asks, True, True)

    def _texts(self, levels: Sequence[Change]) -> list[tuple[str, str]]:
        return [(self.scale.price(each.price), self.scale.quantity(each.quantity)) for each in levels]

    async def changed(self, times: int) -> None:
        """Wait until it was published so many times more."""
        wanted = len(self.bodies) + times * len(LIMITS)
        async with asyncio.timeout(60):
            while len(self.bodies) < wanted:  # noqa: ASYNC110 (whoever publishes tells nobody)
                await asyncio.sleep(0.02)

    def body(self, limit: int) -> bytes:
        """The book as it is now."""
        times = Times(time.time_ns() // 1_000_000, 7) if self._told else None
        body = self._book.body(self.update_id, limit, self._listing.scale, times)
        self.bodies[self.update_id, limit] = body
        return body


class Stage:
    """The whole. ``url`` is the server's; ``store`` is written by :meth:`publish` alone."""

    def __init__(self, store: MemoryStore, port: int, seed: int) -> None:
        self.store = store
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self.listings: dict[str, Listing] = {}
        self._seed = seed
        self._etags: dict[str, str] = {}
        self._beats = 0

    def list(self, *symbols: str, profile: Profile | None = None, scheme: Scheme = BINANCE) -> None:
        """Trade these, too."""
        for symbol in symbols:
            made = Listing(symbol, profile or Profile(bids=1500, asks=1500), self._seed, scheme)
            self.listings[made.address] = made

    async def publish(self, *symbols: str, status: str = "TRADING", limits: Sequence[int] = LIMITS) -> None:
        """Publish the books of these symbols as they are."""
        now_ms = time.time_ns() // 1_000_000
        info = FileInfo(0, 5000, 5000, False, False, now_ms, now_ms, "one", status)
        for address in symbols or self.listings:
            listing = self.listings[address]
            for limit in limits:
                key = depth_key(listing.symbol, limit, listing.scheme_of_files)
                await self.put(key, listing.body(limit), info.to_metadata())

    async def put(self, key: str, body: bytes, metadata: dict[str, str] | None = None) -> None:
        """Put an object in place of whatever is there."""
        match = self._etags.get(key)
        put = await self.store.put_if(
            key, body, match=match, metadata=metadata or {}, content_type=CONTENT_TYPE
        )
        assert put.outcome is Outcome.WON
        assert put.etag is not None
        self._etags[key] = put.etag

    async def record(self, symbol: str, from_ms: int, to_ms: int) -> None:
        """Give a symbol a past: its tape, and its heatmap as of the newest segment."""
        listing = self.listings[symbol]
        segments = listing.record(from_ms, to_ms)
        await store_segments(self.store, segments)
        album = Album(self.store, listing.scheme_of_files.venue, listing.symbol)
        for segment in segments:
            await album.add(columns(encode(segment)))

    async def beat(self, *replicas: str) -> None:
        """Let these replicas say that they live; the first one writes."""
        self._beats += 1
        now_ms = time.time_ns() // 1_000_000
        for rank, name in enumerate(replicas):
            held = {
                symbol: SymbolBeat(
                    role=Role.STANDBY if rank else Role.WRITER,
                    rank=rank,
                    live=True,
                    id=listing.update_id,
                    bids="1500",
                    asks="1500",
                    heard_age_ms=20,
                )
                for symbol, listing in self.listings.items()
            }
            beat = Heartbeat(
                replica=name,
                beat=self._beats,
                time_ms=now_ms,
                started_ms=now_ms,
                version="0.1.0",
                limits=LIMITS,
                listed=len(held),
                feed=FeedBeat(symbols=len(held), live=len(held), connections=1),
                rest=RestBeat(weight_used=20, weight_limit=6000),
                writes=WriteBeat(written=self._beats * 10, p50_ms=4.1, p99_ms=19.0 + rank),
                symbols=held,
            )
            await self.put(heartbeat_key(name), beat.to_body())

    @asynccontextmanager
    async def trading(
        self, *replicas: str, every_s: float = 0.1, each: Callable[[], Any] = lambda: None
    ) -> AsyncIterator[Self]:
        """Tick and publish all books every ``every_s``, with heartbeats now and then."""

        async def trade() -> None:
            due = time.monotonic()
            for count in range(1_000_000):
                if count % 10 == 0:
                    await self.beat(*replicas)
                for listing in self.listings.values():
                    listing.tick()
                await self.publish()
                each()
                due = max(due + every_s, time.monotonic() - 1)
                await asyncio.sleep(max(0.0, due - time.monotonic()))

        task = asyncio.create_task(trade())
        try:
            yield self
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def staged(seed: int = 1, store: MemoryStore | None = None, **settings: Any) -> AsyncIterator[Stage]:
    """A stage, whose server listens on a free port until the block ends."""
    chosen = {"refresh_ms": 50, "ticker_refresh_ms": 200, "symbols_refresh_s": 0.5, "heartbeats_ms": 500}
    store = store or MemoryStore()
    bound = listen(Address("127.0.0.1", 0))
    stop = asyncio.Event()
    stage = Stage(store, bound.getsockname()[1], seed)
    serving = asyncio.create_task(serve(ServerSettings(**(chosen | settings)), store, bound, stop))
    try:
        yield stage
    finally:
        stop.set()
        await serving
