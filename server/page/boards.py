"""The boards that somebody looks at, and ``GET /stream/board``: their changes as server-sent events.

A board is a page of the list of symbols: those whose names contain a text, :data:`PAGE_ROWS` at a time. So
that a list of thousands costs no reads of thousands of files, only what is looked at is kept up to date: from
the files that lists of best prices are made of (:mod:`server.tickers`), which are read again every
``ticker_refresh_ms`` while somebody asks.

Promises: at most ``max_boards`` boards at once; one that nobody looked at for ``linger_s`` is forgotten; who
comes back with ``Last-Event-ID`` is given what changed since, or all of it.
"""

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from depthcast.errors import BadFile, StoreError
from depthcast.files import depth_key
from server.answers import Answer, Asked, Connection, Endpoint, refusal
from server.clients import Clients
from server.hot import HotFile, HotFiles
from server.page.board import NOTHING, Board, Row, spread
from server.page.markets import Market, Markets
from server.push.counts import Begin, End, Kind
from server.push.events import OVERLOADED
from server.push.hub import Hub
from server.push.stream import HEADERS, EventStream, chunk, retry_ms
from server.tickers import best

PATH: Final = "/stream/board"
PAGE_ROWS: Final = 100
MAX_WANTED: Final = 40
"""So many characters of a name may be looked for."""

MAX_BOARDS: Final = 64
EVERY_S: Final = 0.5
LINGER_S: Final = 30.0
_PER_PAGE: Final = re.compile(r"[1-9][0-9]{0,3}")
_ID: Final = re.compile(rb"([0-9a-f]{8})-([0-9]{1,18})")


class View(NamedTuple):
    """What of the list is looked at: the ``page``, from 1, of the symbols with ``wanted`` in their names."""

    wanted: str = ""
    page: int = 1

    @classmethod
    def of(cls, query: str) -> "View":
        """What a query string asks for: ``q`` and ``page``. What is none of ours is passed over.

        >>> View.of("q=eth&page=2"), View.of("page=x")
        (View(wanted='ETH', page=2), View(wanted='', page=1))
        """
        given = dict(parse_qsl(query, max_num_fields=16) if query.count("&") < 16 else [])
        page = given.get("page", "")
        wanted = given.get("q", "").strip()[:MAX_WANTED].upper()
        return cls(wanted, int(page) if _PER_PAGE.fullmatch(page) else 1)


class Listed(NamedTuple):
    """A board and where it is in the list."""

    board: Board
    page: int
    pages: int
    found: int
    """How many symbols there are on all its pages."""


class Boards:
    """The boards of one server, over what is published and the files kept for lists. Symbols are addresses.

    ``wall_ms`` is our clock, in ms since 1970; ``clock`` that of ``tops``, monotonic, in seconds.
    """

    def __init__(
        self,
        markets: Markets,
        tops: HotFiles,
        hub: Hub,
        *,
        max_boards: int = MAX_BOARDS,
        every_s: float = EVERY_S,
        linger_s: float = LINGER_S,
        read_timeout_s: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        name: Callable[[], str] = lambda: f"{random.getrandbits(32):08x}",
    ) -> None:
        self._markets = markets
        self._tops = tops
        self._hub = hub
        self._max_boards = max_boards
        self._every_s = every_s
        self._linger_s = linger_s
        self._read_timeout_s = read_timeout_s
        self._clock = clock
        self._wall_ms = wall_ms
        self._sleep = sleep
        self._name = name
        self._boards: dict[View, Board] = {}
        self._looked_at: dict[Board, float] = {}
        self._reading: dict[Board, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._boards)

    def find(self, view: View) -> Listed | None:
        """The board of a view, with what is known by now; ``None`` where there are too many others.

        A page behind the last one is the last one.
        """
        view, symbols, pages, found = self._slice(view)
        board = self._boards.get(view)
        if board is None:
            if len(self._boards) >= self._max_boards and not self._make_room():
                return None
            board = self._boards[view] = Board(self._name(), symbols)
        elif board.symbols != symbols:
            board = self._replace(view, symbols)
        self._looked_at[board] = self._clock()
        return Listed(board, view.page, pages, found)

    async def filled(self, view: View) -> Listed | None:
        """The same, after waiting for what has to be read first: at most as long as a read may take."""
        listed = self.find(view)
        if listed is not None:
            reading = self._look(listed.board)
            if reading is not None:
                await asyncio.wait((reading,), timeout=self._read_timeout_s)
        return listed

    async def run(self) -> None:
        """:meth:`tick` until cancelled."""
        while True:
            await self._sleep(self._every_s)
            self.tick()

    def tick(self) -> None:
        """Bring the boards up to date, tell who looks at them, forget the others. O(rows)."""
        now = self._clock()
        for view, board in list(self._boards.items()):
            if board.readers:
                self._looked_at[board] = now
            elif now - self._looked_at[board] >= self._linger_s:
                self._forget(view)
                continue
            _, symbols, _, _ = self._slice(view)
            self._look(board if board.symbols == symbols else self._replace(view, symbols))

    async def close(self) -> None:
        """End the reads that are under way."""
        reading = list(self._reading.values())
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken. O(rows)."""
        assert len(self._boards) <= self._max_boards
        assert set(self._looked_at) == set(self._boards.values())
        for board in self._boards.values():
            board.check()

    def _slice(self, view: View) -> tuple[View, tuple[str, ...], int, int]:
        """The view that there is, its symbols, and how many pages and symbols there are. O(symbols)."""
        found = [address for address in self._markets.addresses if view.wanted in address.upper()]
        pages = max(1, -(-len(found) // PAGE_ROWS))
        page = min(view.page, pages)
        return View(view.wanted, page), tuple(found[(page - 1) * PAGE_ROWS :][:PAGE_ROWS]), pages, len(found)

    def _make_room(self) -> bool:
        for view, board in self._boards.items():
            if not board.readers:
                self._forget(view)
                return True
        return False

    def _replace(self, view: View, symbols: tuple[str, ...]) -> Board:
        """A board of these symbols. The streams of the one before end: who comes back sees another name."""
        self._forget(view)
        board = self._boards[view] = Board(self._name(), symbols)
        self._looked_at[board] = self._clock()
        return board

    def _forget(self, view: View) -> None:
        board = self._boards.pop(view)
        del self._looked_at[board]
        reading = self._reading.pop(board, None)
        if reading is not None:
            reading.cancel()
        for reader in list(board.readers):
            if isinstance(reader, BoardStream):
                reader.over()

    def _look(self, board: Board) -> "asyncio.Task[None] | None":
        """Put what is in memory on the board; read the rest, in a task that is returned."""
        missing = self._put(board)
        if missing and board not in self._reading:
            task = self._reading[board] = asyncio.create_task(self._read(board, missing))
            task.add_done_callback(lambda _: self._reading.pop(board, None))
        return self._reading.get(board)

    async def _read(self, board: Board, keys: list[str]) -> None:
        async def read(key: str) -> None:
            try:
                await self._tops.read(key)
            except (StoreError, BadFile):
                return  # The next tick tries again; the reading is logged where it failed.

        # The files in memory bound how many reads there are at once.
        await asyncio.gather(*map(read, keys))
        self._put(board)

    def _put(self, board: Board) -> list[str]:
        """Put what is in memory on the board; the keys of what is not."""
        missing = []
        rows: dict[str, Row] = {}
        now, wall_ms = self._clock(), self._wall_ms()
        for address in board.symbols:
            found = self._markets.find(address)
            limits = None if found is None else found.market.catalogue.limits(found.symbol)
            if found is None or not limits:
                continue
            key = depth_key(found.symbol, limits[0], found.market.scheme)
            file = self._tops.get(key)
            if file is None:
                missing.append(key)
            else:
                rows[address] = self._row(board, found.market, address, file, now, wall_ms)
        if board.put(rows):
            self._hub.spreader.spread(board)
        return missing

    def _row(
        self, board: Board, market: Market, address: str, file: HotFile, now: float, wall_ms: int
    ) -> Row:
        edition = file.edition
        assert edition is not None  # what HotFiles hands out has been read
        currency = market.freshness.of(file, now)
        age = NOTHING
        if currency.current_ms is not None:
            age = str(max(0, wall_ms - currency.current_ms) // 1000)
        freshness = (age, currency.state.value.decode(), edition.info.status)
        try:
            bid, ask = best(address, edition.body, edition.layout)
        except BadFile:
            return Row(NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, *freshness)
        bid, ask = board.shorten(address, bid, ask)
        return Row(*bid, *ask, spread(bid[0], ask[0]), *freshness)


class BoardStream(EventStream):
    """One reader of a board, who has it as it was at ``number``."""

    __slots__ = ("_number",)

    def __init__(
        self,
        hub: Hub,
        board: Board,
        client: str = "",
        *,
        number: int = 0,
        retry_ms: int,
    ) -> None:
        begin = Begin.RESUMED if number else Begin.SNAPSHOT
        super().__init__(hub, board, client, begin=begin, retry_ms=retry_ms)
        self._number = number

    def news(self) -> bytes:
        board = self._source
        assert isinstance(board, Board)
        if self._number == board.number:
            return b""
        name = b"rows" if not self._number else b"diff"
        told = board.since(self._number)
        self._hub.counts.sent[self.kind, name.decode()] += 1
        self._number = board.number
        return chunk(b"id: %b-%d\nevent: %b\ndata: %b\n\n" % (board.name.encode(), board.number, name, told))

    def over(self) -> None:
        """The board is gone."""
        self._end(End.EXPIRED)


def events(
    boards: Boards, hub: Hub, clients: Clients, *, spread: Callable[[], float] = random.random
) -> Endpoint:
    """The endpoint. ``rows`` has every row, ``diff`` what changed in them. An id is the board's name and its
    count: a reader whose rows are another board's, because symbols came or went, asks for the rows anew."""
    overloaded = refusal(OVERLOADED)

    def answer(asked: Asked) -> Answer:
        view = View.of(asked.query.decode("latin-1"))
        client = clients.name(asked.client, asked.forwarded_for)
        if not hub.room_for(Kind.EVENTS, client):
            return overloaded
        listed = boards.find(view)
        if listed is None:
            return overloaded
        return Answer(200, HEADERS, b"", stream=partial(stream, listed.board, asked.last_event_id, client))

    async def stream(board: Board, last_id: bytes | None, client: str, connection: Connection) -> None:
        has = _ID.fullmatch(last_id) if last_id is not None else None
        number = 0
        if has is not None and has[1] == board.name.encode() and int(has[2]) <= board.number:
            number = int(has[2])
        reader = BoardStream(hub, board, client, number=number, retry_ms=retry_ms(spread))
        await reader.follow(connection)

    return answer
