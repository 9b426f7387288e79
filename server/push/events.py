"""``GET /stream/depth?symbol=…&limit=…``: a book as server-sent events. ``docs/push.md`` is the contract.

A reader is given the book (``snapshot``), then what changed between the versions it was given (``diff``), and
how fresh the file is (``state``). An event's id is the update id, so a reader that comes back with
``Last-Event-ID`` goes on from there, where the history reaches back to it and there is no doubt
(:meth:`server.push.history.History.find`).

Each event is made once and given to all readers who have the same version and asked for the same limit.
"""

import random
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from depthcast.errors import BadFile, StoreError
from depthcast.venues.binance_lists import depth_weight
from depthcast.venues.binance_rest import STATUS_MISMATCH, UNAVAILABLE
from depthcast.venues.requests import ApiError
from server.answers import Answer, Asked, Connection, refusal
from server.clients import Clients
from server.depth import Depth, Sought
from server.hot import HotFile, HotFiles
from server.push.counts import Begin, Kind
from server.push.history import Shown, changes
from server.push.hub import Hub, Watched
from server.push.stream import DEFAULT_HEARTBEAT_S, HEADERS, RETRY_MS, EventStream, chunk, retry_ms

STREAM_PATH: Final = "/stream/depth"

OVERLOADED: Final = ApiError(
    503, -1008, "Server is currently overloaded with other requests. Please try again in a few minutes."
)

_ID: Final = re.compile(rb"[0-9]{1,19}")
_RESUME_AT: Final = re.compile(rb"(?:^|&)lastEventId=([^&]*)")


class Events:
    """The endpoint. ``spread`` draws from 0 to 1 where in :data:`RETRY_MS` a reader's pause is."""

    def __init__(
        self,
        depth: Depth,
        hot: HotFiles,
        hub: Hub,
        clients: Clients | None = None,
        *,
        heartbeat_s: float = DEFAULT_HEARTBEAT_S,
        spread: Callable[[], float] = random.random,
    ) -> None:
        self._depth = depth
        self._hot = hot
        self._hub = hub
        self._clients = clients or Clients()
        self._heartbeat_s = heartbeat_s
        self._spread = spread
        self._status_mismatch = refusal(STATUS_MISMATCH)
        self._unavailable = refusal(UNAVAILABLE)
        self._overloaded = refusal(OVERLOADED)

    def answer(self, asked: Asked) -> Answer | Awaitable[Answer]:
        """The stream's beginning, or the refusal that ``GET /api/v3/depth`` would give."""
        asked, last_id = _resumed(asked)
        sought = self._depth.find(asked)
        if isinstance(sought, Answer):
            return sought
        client = self._clients.name(asked.client, asked.forwarded_for)
        if not self._hub.room_for(Kind.EVENTS, client):
            return self._overloaded
        file = self._hot.get(sought.key)
        if file is None:
            return self._read(sought, last_id, client)
        return self._begin(file, sought, last_id, client)

    async def _read(self, sought: Sought, last_id: int | None, client: str) -> Answer:
        try:
            file = await self._hot.read(sought.key)
        except (StoreError, BadFile):
            file = None
        if file is None:
            return self._unavailable
        # Others came in meanwhile.
        if not self._hub.room_for(Kind.EVENTS, client):
            return self._overloaded
        return self._begin(file, sought, last_id, client)

    def _begin(self, file: HotFile, sought: Sought, last_id: int | None, client: str) -> Answer:
        assert file.edition is not None  # what HotFiles hands out has been read
        key, request = sought
        if request.symbol_status not in (None, file.edition.info.status):
            return self._status_mismatch
        return Answer(200, HEADERS, b"", stream=partial(self._stream, key, request.limit, last_id, client))

    async def _stream(
        self, key: str, limit: int, last_id: int | None, client: str, connection: Connection
    ) -> None:
        reader = EventReader(
            self._hub,
            self._hub.watch(key),
            limit,
            client,
            last_id=last_id,
            retry_ms=retry_ms(self._spread),
            heartbeat_s=self._heartbeat_s,
        )
        await reader.follow(connection)


class EventReader(EventStream):
    """One stream of a book: what it was given, and what it is to be given next.

    ``last_id``: it has the version of this update id, from an earlier connection.
    """

    __slots__ = ("_has", "_limit", "_state_number", "_watched")

    def __init__(
        self,
        hub: Hub,
        watched: Watched,
        limit: int,
        client: str = "",
        *,
        last_id: int | None = None,
        retry_ms: int = RETRY_MS[0],
        heartbeat_s: float = DEFAULT_HEARTBEAT_S,
    ) -> None:
        self._has: Shown | None = watched.history.find(last_id) if last_id is not None else None
        super().__init__(
            hub,
            watched,
            client,
            begin=Begin.SNAPSHOT if self._has is None else Begin.RESUMED,
            retry_ms=retry_ms,
            heartbeat_s=heartbeat_s,
        )
        self._watched = watched
        self._limit = limit
        self._state_number = 0

    def news(self) -> bytes:
        news = b""
        watched = self._watched
        if self._state_number != watched.state_number and watched.state is not None:
            self._state_number = watched.state_number
            news = self._event("state", watched.state)
        newest = watched.history.newest
        if newest is not None and newest is not self._has:
            # Most readers have the same: joining would copy what they share.
            wire = self._to(newest)
            news = news + wire if news else wire
        return news

    def _to(self, newest: Shown) -> bytes:
        """What gives this reader the newest version."""
        has, self._has = self._has, newest
        counts = self._hub.counts
        if has is not None:
            counts.skipped[self.kind] += newest.number - has.number - 1
            wire = self._watched.wires.get((self._limit, has.number))
            if wire is None:
                diff = changes(has, newest, self._limit, self._watched.layout)
                if diff is not None:
                    wire = chunk(b"id: %d\nevent: diff\ndata: %b\n\n" % (newest.version.update_id, diff))
                    self._watched.keep((self._limit, has.number), wire)
            if wire is not None:
                counts.sent[self.kind, "diff"] += 1
                return wire
        wire = self._watched.wires.get((self._limit, 0))
        if wire is None:
            assert newest.body is not None  # the newest version is never forgotten
            body = self._watched.layout.cut(newest.body, self._limit)
            wire = chunk(b"id: %d\nevent: snapshot\ndata: %b\n\n" % (newest.version.update_id, body))
            self._watched.keep((self._limit, 0), wire)
        counts.sent[self.kind, "snapshot"] += 1
        return wire

    def _event(self, name: str, data: bytes) -> bytes:
        self._hub.counts.sent[self.kind, name] += 1
        return chunk(b"event: %b\ndata: %b\n\n" % (name.encode(), data))


def stream_weight(query: bytes, weight: Callable[[bytes], int] = depth_weight) -> int:
    """What opening a stream weighs: as much as the book, which ``weight`` tells.

    >>> stream_weight(b"symbol=ETHUSDT&limit=5000&lastEventId=7")
    250
    """
    return weight(_divided(query)[0])


def _resumed(asked: Asked) -> tuple[Asked, int | None]:
    """The request as ``GET /api/v3/depth`` knows it, and the update id that the reader has.

    The header goes before the parameter ``lastEventId``, which is for those who cannot set headers: who comes
    back by himself repeats the URL he began with, and the header says more. An id that is none says nothing.
    """
    query, parameter = _divided(asked.query)
    last_id = asked.last_event_id if asked.last_event_id is not None else parameter
    if last_id is None or _ID.fullmatch(last_id) is None:
        return asked._replace(query=query), None
    return asked._replace(query=query), int(last_id)


def _divided(query: bytes) -> tuple[bytes, bytes | None]:
    """The query of ``GET /api/v3/depth``, and the value of ``lastEventId`` where it is sent."""
    match = _RESUME_AT.search(query)
    if match is None:
        return query, None
    return (query[: match.start()] + query[match.end() :]).removeprefix(b"&"), match[1]
