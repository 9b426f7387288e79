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
from simulator.market import Market, Profile
from simulator.truth import ASK, BID, Change, TrueBook
from tests.depthcast.tape.stored import store_segments
from tests.server.page.spelling import SPELLINGS, Levels

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
    """One symbol: its true book, and what the ladder is to show of every version that was published."""

    def __init__(self, symbol: str, profile: Profile, seed: int, scheme: Scheme = BINANCE) -> None:
        self.symbol = symbol
        self.scheme = scheme
        self.address = symbol if scheme is BINANCE else f"{scheme.venue}/{symbol}"
        self.spelling = SPELLINGS[scheme.venue](symbol)
        self.past: list[Told] = []
        """What was put on tape."""
        self.update_id = self.spelling.first_id
        self.time_ms = now_ms()
        """When the book changed last."""
        self.play(Market(self.spelling.listing, profile, Random(f"{symbol}{seed}")))
        self.shown: dict[int, tuple[Levels, Levels]] = {}
        """The best bids and asks by update id."""

    def play(self, market: Plays) -> None:
        """Let this market make the book."""
        self._market = market
        self._book = self.opening = market.opening()

    def tick(self) -> None:
        """A tenth of a second of trading."""
        self._trade(now_ms())

    def _trade(self, time_ms: int) -> list[Change]:
        changes = []
        for change in self._market.tick(self._book):
            self._book.apply(change)
            changes.append(change)
        if changes:
            self.update_id = self.spelling.id_after(self.update_id, len(changes), time_ms)
            self.time_ms = time_ms
        return changes

    def record(self, from_ms: int, to_ms: int, every_ms: int = 100) -> list[Segment]:
        """Trade from one minute's beginning to another's at once, and put it on tape."""
        self.opening = _copy(self._book)
        spelling, segments = self.spelling, []
        for start_ms in range(from_ms, to_ms, MINUTE_MS):
            frame = self._keyframe(self.past[-1].time_ms if self.past else start_ms - every_ms)
            diffs = []
            for time_ms in range(start_ms, start_ms + MINUTE_MS, every_ms):
                first = self.update_id + 1
                changes = self._trade(time_ms)
                if changes:
                    self.past.append(Told(time_ms, self.update_id, changes))
                    bids, asks = (self._taped(side, time_ms) for side in _by_side(changes))
                    diffs.append(
                        RecordedDiff(
                            first,
                            self.update_id,
                            time_ms,
                            time_ms * 1000,
                            bids,
                            asks,
                            transaction_time_ms=spelling.transaction_ms(time_ms),
                            time=spelling.time(time_ms),
                        )
                    )
            piece = Piece(0, frame, diffs)
            venue = self.scheme.venue
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
        bids, asks = (self._taped(side, time_ms) for side in levels)
        spelling = self.spelling
        told = (spelling.transaction_ms(time_ms), spelling.time(time_ms))
        return Keyframe(self.update_id, time_ms, time_ms * 1000, bids, asks, True, True, *told)

    def _taped(self, levels: Sequence[Change], time_ms: int) -> list[tuple[str, ...]]:
        return [self.spelling.taped(*each, time_ms) for each in levels]

    async def changed(self, times: int) -> None:
        """Wait until it was published so many times more."""
        wanted = len(self.shown) + times
        async with asyncio.timeout(60):
            while len(self.shown) < wanted:  # noqa: ASYNC110 (whoever publishes tells nobody)
                await asyncio.sleep(0.02)

    def body(self, limit: int) -> bytes:
        """The book as it is now."""
        if self.update_id not in self.shown:
            self.shown[self.update_id] = self.spelling.levels(self._book)
        return self.spelling.body(self._book, self.update_id, limit, self.time_ms)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


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

    async def publish(
        self, *symbols: str, status: str = "TRADING", limits: Sequence[int] | None = None
    ) -> None:
        """Publish the books of these symbols as they are."""
        for address in symbols or self.listings:
            listing = self.listings[address]
            info = FileInfo(
                0, 5000, 5000, False, False, listing.time_ms, now_ms(), "one", status, listing.update_id
            )
            for limit in limits or listing.spelling.limits:
                key = depth_key(listing.symbol, limit, listing.scheme)
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
        album = Album(self.store, listing.scheme.venue, listing.symbol)
        for segment in segments:
            await album.add(columns(encode(segment)))

    async def beat(self, *replicas: str) -> None:
        """Let these replicas say that they live; the first one writes."""
        self._beats += 1
        for scheme in {listing.scheme: None for listing in self.listings.values()}:
            for rank, name in enumerate(replicas):
                await self.put(heartbeat_key(name, scheme), self._beat(scheme, name, rank).to_body())

    def _beat(self, scheme: Scheme, name: str, rank: int) -> Heartbeat:
        held = {
            listing.symbol: SymbolBeat(
                role=Role.STANDBY if rank else Role.WRITER,
                rank=rank,
                live=True,
                id=listing.update_id,
                bids="1500",
                asks="1500",
                heard_age_ms=20,
            )
            for listing in self.listings.values()
            if listing.scheme is scheme
        }
        return Heartbeat(
            replica=name,
            beat=self._beats,
            time_ms=now_ms(),
            started_ms=now_ms(),
            version="0.1.0",
            limits=scheme.limits,
            listed=len(held),
            feed=FeedBeat(symbols=len(held), live=len(held), connections=1),
            rest=RestBeat(weight_used=20, weight_limit=6000),
            writes=WriteBeat(written=self._beats * 10, p50_ms=4.1, p99_ms=19.0 + rank),
            symbols=held,
        )

    @asynccontextmanager
    async def trading(
        self, *replicas: str, every_s: float = 0.1, each: Callable[[], Any] = lambda: None
    ) -> AsyncIterator[Self]:
        """Tick and publish all books every ``every_s``, with heartbeats once a second."""

        async def trade() -> None:
            due = time.monotonic()
            for count in range(1_000_000):
                if count % max(1, round(1 / every_s)) == 0:
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
