"""What comes over the exchange's websocket: frames into a book, and into a keeper by way of a feed.

The pieces of a case begin with a letter: ``F`` a frame, ``S`` the body of a snapshot, ``T`` the body that the
book must have at the end.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any, Final, NamedTuple

from depthcast.book import Book
from depthcast.errors import BadLevel, MalformedAnswer, MalformedFrame, VenueError
from depthcast.events import Diff, Snapshot
from depthcast.feed import Feed, FeedLimits
from depthcast.feed.websocket import Socket
from depthcast.files import MAX_NUMBER
from depthcast.keeper import Keeper, LiveBook
from depthcast.sync import State, Sync
from depthcast.sync import Verdict as Taken
from depthcast.venues.binance import Binance
from tests.fuzzing.campaign import Case, Target, Verdict
from tests.fuzzing.examples import (
    OTHER_FRAMES,
    Market,
    Side,
    applied,
    captured,
    compact,
    read_json,
    read_levels,
    sides_of,
)
from tests.fuzzing.mutation import Mutator
from tests.server.conftest import StillClock

SYMBOL: Final = "ETHUSDT"
VENUE: Final = Binance()
LIMIT: Final = 5000


class Told(NamedTuple):
    """A diff as the exchange's documents read it."""

    symbol: str
    first: int
    last: int
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


def told(frame: bytes) -> Told | None:
    """The diff in a frame, by another reader than the project's; ``None`` where there is none."""
    try:
        message = read_json(frame)
    except (ValueError, RecursionError):
        return None
    data = message.get("data", message) if isinstance(message, dict) else None
    if not isinstance(data, dict) or data.get("e") != "depthUpdate":
        return None
    symbol, first, last, at = (data.get(name) for name in ("s", "U", "u", "E"))
    bids, asks = read_levels(data.get("b")), read_levels(data.get("a"))
    if not isinstance(symbol, str) or bids is None or asks is None:
        return None
    if not (type(first) is type(last) is type(at) is int and 0 < first <= last <= MAX_NUMBER >= at >= 0):
        return None
    return Told(symbol, first, last, bids, asks)


def told_book(body: bytes) -> tuple[int, Side, Side] | None:
    """The book in a body, likewise."""
    try:
        message = read_json(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict):
        return None
    update_id = message.get("lastUpdateId")
    bids, asks = read_levels(message.get("bids")), read_levels(message.get("asks"))
    if type(update_id) is not int or not 0 <= update_id <= MAX_NUMBER or bids is None or asks is None:
        return None
    return update_id, applied({}, bids), applied({}, asks)


def body_of(update_id: int, bids: Side, asks: Side) -> bytes:
    """A naive book as the exchange would show it."""
    market = Market(Random(0), levels=0)
    market.update_id, market.bids, market.asks = update_id, bids, asks
    return market.body(LIMIT)


def stream(mutator: Mutator, market: Market, count: int) -> list[bytes]:
    """``count`` diffs of the market, the snapshots between them, and what chance made of both."""
    rng = mutator.rng
    pieces: list[bytes] = []
    others = (*OTHER_FRAMES, *captured()[:200])
    for _ in range(count):
        frame = market.diff(combined=rng.random() < 0.8)
        match rng.randrange(10):
            case 0 | 1 | 2:
                pieces.append(b"F" + mutator.either(frame, others))
            case 3:
                pieces.append(b"F" + mutator.either(rng.choice(others), (frame,)))
                pieces.append(b"F" + frame)
            case 4:
                pieces += (b"F" + frame, b"F" + frame)
            case 5 if rng.random() < 0.5:
                pass  # lost
            case _:
                pieces.append(b"F" + frame)
        if rng.random() < 0.4:
            body = market.body(rng.choice((2, LIMIT)))
            pieces.append(b"S" + (mutator.either(body, others) if rng.random() < 0.3 else body))
    if rng.random() < 0.2:
        rng.shuffle(pieces)
    return pieces


class Frames(Target):
    """Frames to diffs to a book. Whatever was applied is applied to a naive book too, out of the same bytes
    read by another reader: while the book is live, the two are the same to the byte."""

    name = "frames"
    rounds = 350

    def draw(self, mutator: Mutator) -> Case:
        market = Market(mutator.rng, SYMBOL)
        begin = [b"F" + market.diff() for _ in range(2)]
        begin.insert(mutator.rng.randrange(3), b"S" + market.body(LIMIT))
        return (*begin, *stream(mutator, market, mutator.rng.randrange(3, 12)))

    async def run(self, case: Case) -> Verdict:
        sync = Sync(SYMBOL, buffer=50)
        naive: tuple[int, Side, Side] | None = None
        before: list[Told] = []
        refused = 0
        for piece in case:
            if piece.startswith(b"S"):
                if sync.state is State.WAITING:
                    naive = self._begin(sync, piece[1:], before)
            else:
                try:
                    taken, diff = self._take(sync, piece[1:])
                except MalformedFrame as error:
                    _one_line(error)
                    refused += 1
                    continue
                if taken is None:
                    continue
                refused += taken is Taken.BAD
                if taken is Taken.REBASED:
                    sync, naive, before = Sync(SYMBOL, buffer=50), None, []
                    continue
                if diff is not None:
                    before.append(diff)
                if taken is Taken.APPLIED:
                    assert diff is not None, "what is no diff was applied"
                    assert naive is not None
                    assert diff.first <= naive[0] + 1 <= diff.last, "a diff was applied that does not follow"
                    naive = diff.last, applied(naive[1], diff.bids), applied(naive[2], diff.asks)
                elif sync.state is State.WAITING:
                    naive = None
            sync.check()
            if naive is not None:
                assert sync.book is not None
                assert sync.book.update_id == naive[0]
                self._same(sync.book, naive)
        return Verdict.REJECTED if refused else Verdict.ACCEPTED

    def _take(self, sync: Sync, frame: bytes) -> tuple[Taken | None, Told | None]:
        """What became of a frame; ``None``: it is no diff of this book. Raises MalformedFrame."""
        event = VENUE.parse_frame(frame)
        if not isinstance(event, Diff) or event.symbol != SYMBOL:
            return None, None
        read = told(frame)
        taken = sync.diff(event)
        if read is not None:
            assert (read.symbol, read.first, read.last) == (event.symbol, event.first, event.last)
        return taken, read

    def _begin(self, sync: Sync, body: bytes, before: Sequence[Told]) -> tuple[int, Side, Side] | None:
        """The naive book after a snapshot, where one was taken."""
        read = told_book(body)
        try:
            snapshot = VENUE.parse_snapshot(body, LIMIT)
            if sync.snapshot(snapshot) is not Taken.SYNCED:
                return None
        except (MalformedAnswer, BadLevel) as error:
            _one_line(error)
            return None
        assert read is not None, "what is no book was taken for one"
        update_id, bids, asks = read
        assert len(bids) == len(snapshot.bids), "a price comes twice in a snapshot that was taken"
        assert len(asks) == len(snapshot.asks)
        assert sync.book is not None
        for diff in before:
            if diff.first <= update_id + 1 <= diff.last <= sync.book.update_id:
                update_id, bids, asks = diff.last, applied(bids, diff.bids), applied(asks, diff.asks)
        return update_id, bids, asks

    def _same(self, book: Book, naive: tuple[int, Side, Side]) -> None:
        expected = body_of(*naive)
        assert book.body(LIMIT) == expected, f"the book is {book.body(LIMIT)!r}, not {expected!r}"
        assert sides_of(book.body(2)) is not None


def _one_line(error: VenueError | BadLevel) -> None:
    assert "\n" not in str(error), f"an error of several lines: {error!s:.300}"
    assert len(str(error)) < 2000


# By way of a feed and a keeper


class _Line:
    """A websocket by hand: acknowledges what it is asked for, and says what it is given to say."""

    def __init__(self) -> None:
        self.frames: asyncio.Queue[bytes] = asyncio.Queue()

    async def recv(self) -> bytes:
        return await self.frames.get()

    async def send(self, text: str) -> None:
        self.frames.put_nowait(compact({"result": None, "id": read_json(text.encode())["id"]}))

    async def ping(self) -> None:
        return

    async def close(self) -> None:
        return

    def abort(self) -> None:
        return


class _Snapshots:
    """A REST interface: first what chance made of bodies, then good ones."""

    def __init__(self, bodies: Iterable[bytes]) -> None:
        self.bodies = list(bodies)
        self.asked = 0

    async def snapshot(self, symbol: str, limit: int, background: bool = False) -> Snapshot:
        await asyncio.sleep(0)
        self.asked += 1
        body = self.bodies.pop(0) if len(self.bodies) > 1 else self.bodies[0]
        return VENUE.parse_snapshot(body, limit)


class FeedTarget(Target):
    """Frames and snapshots into a keeper by way of a feed, whose sockets, snapshots and time are by hand.

    No frame of a case can be taken for a diff that the market did not make, so the book must be the market's
    soon after the last of them, whatever was said before; and neither feed nor keeper may end.
    """

    name = "feed"
    rounds = 80

    def draw(self, mutator: Mutator) -> Case:
        rng = mutator.rng
        market = Market(rng, SYMBOL)
        pieces = stream(mutator, market, rng.randrange(3, 12))
        good = [b"S" + market.body(LIMIT)]
        # Frames as long as the venue's documents say nothing of them end a connection.
        pieces += [b"F" + mutator.wrapped(rng.choice(OTHER_FRAMES)) for _ in range(rng.choice((0, 0, 0, 30)))]
        pieces = [piece for piece in pieces if no_lie(piece)]
        last = [b"F" + market.diff() for _ in range(4)]
        return (*pieces, *good, *last, b"T" + market.body(LIMIT))

    async def run(self, case: Case) -> Verdict:
        clock = StillClock()
        snapshots = [piece[1:] for piece in case if piece.startswith(b"S")]
        # The last one is the market's before its last diffs: the book can begin there.
        rest = _Snapshots([*[body for body in snapshots[:-1] if told_book(body) is None][:3], snapshots[-1]])
        begin = len(case) - 1 - 4
        async with _keeper(clock, rest) as (keeper, lines, running):
            for piece in case[:begin]:
                if piece.startswith(b"F"):
                    lines[-1].frames.put_nowait(piece[1:])
                    await clock.settle()
            for _ in range(40):
                await clock.advance(1.0)
                assert not any(task.done() for task in running), "the feed or the keeper has ended"
            for piece in case[begin:-1]:
                lines[-1].frames.put_nowait(piece[1:])
            for _ in range(200):
                await clock.advance(1.0)
                live = keeper.books[SYMBOL]
                if live.live and live.book is not None and live.book.body(LIMIT) == case[-1][1:]:
                    break
                # A connection that was given up takes with it what was said on it: say it again.
                for piece in case[begin:-1]:
                    lines[-1].frames.put_nowait(piece[1:])
            else:
                raise AssertionError(f"the book is not the market's: {keeper.books[SYMBOL].sync.state}")
            assert not any(task.done() for task in running), "the feed or the keeper has ended"
            live.sync.check()
        return Verdict.REJECTED if rest.asked > 1 or len(lines) > 1 else Verdict.ACCEPTED


def no_lie(piece: bytes) -> bool:
    """Whether a piece cannot be taken for a diff of the market's book; it may tell of ids that there are not,
    beside levels that are none."""
    if not piece.startswith(b"F"):
        return True
    read = told(piece[1:])
    return read is None or read.symbol != SYMBOL


@asynccontextmanager
async def _keeper(
    clock: StillClock, rest: _Snapshots
) -> AsyncIterator[tuple[Keeper, list[_Line], list["asyncio.Task[None]"]]]:
    lines: list[_Line] = []
    errors: list[Exception] = []
    feeds: list[Feed] = []

    async def connect() -> Socket:
        lines.append(_Line())
        return lines[-1]

    def make_feed(take: Callable[[Diff], None], lost: Callable[[Iterable[str]], None]) -> Feed:
        feeds.append(
            Feed(
                VENUE,
                on_diff=take,
                on_error=lambda _, error: errors.append(error),
                on_connection_lost=lost,
                limits=FeedLimits(control_interval_s=0, connects_per_5_min=100_000),
                connect=connect,
                clock=clock,
                sleep=clock.sleep,
                rng=Random(1),
            )
        )
        return feeds[0]

    def changed(live: LiveBook) -> None:
        live.sync.check()

    keeper = Keeper(make_feed, rest, on_change=changed, clock=clock, sleep=clock.sleep, rng=Random(2))
    keeper.subscribe([SYMBOL])
    running: list[asyncio.Task[Any]] = [
        asyncio.ensure_future(feeds[0].run()),
        asyncio.ensure_future(keeper.run()),
    ]
    try:
        for _ in range(50):
            await clock.advance(0.2)
            if feeds[0].live(SYMBOL):
                break
        assert lines, "the feed opened no connection"
        yield keeper, lines, running
        defects = [error for error in errors if "this is a bug" in str(error)]
        assert not defects, defects
        for error in errors:
            assert isinstance(error, VenueError), repr(error)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await keeper.close()
