"""``GET /api/v3/depth?…&at=``: the book as it was at a moment, from the tape; of other venues likewise.

``at`` is a time or an update id (:mod:`depthcast.tape.asked`). The body is the file of that moment, byte for
byte (:mod:`depthcast.tape.moment`); ``Depthcast-Version`` and ``Depthcast-Event-Time`` say at which id and
time it stands, ``Depthcast-Certain`` how deep it is certain. Each limit is made from the book itself: no
published file has to have it.

A reader who has the body, as its entity tag tells, is answered 304. What a later write cannot alter may be
kept by caches for good: in a segment that is whole, the book of a time, or of an id whose epoch is named. An
id alone may come again in a later epoch, so its answer is kept for a minute; and none of a segment that
another replica may yet complete.

A moment that was not recorded is 404 with -1130, and in the member ``tape`` what was: ``from`` and ``to``
(milliseconds, the last one exclusive), ``first`` and ``last`` (``epoch:id``); ``null`` where nothing was.
"""

import asyncio
import importlib
import json
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from depthcast.errors import ExtraMissing, NotOnTape
from depthcast.files import BINANCE
from depthcast.store import Store
from depthcast.tape.asked import FORMS, Asked, parse_asked
from depthcast.venues.answering import BINANCE_REFUSALS, Refusals
from depthcast.venues.binance_lists import BAD_COMBINATION, depth_weight
from depthcast.venues.binance_rest import empty, parameters, parse_depth, parse_time_unit
from depthcast.venues.requests import ApiError, DepthRequest
from server import answers
from server.answers import NO_RANGES, VARY, Answer, Endpoint, Header, refusal
from server.catalogue import Catalogue
from server.edition import certain_header, version_headers
from server.encoded import coding_for, encoded
from server.encodings import Coding, acceptable
from server.parsing import MAX_QUERY_BYTES
from server.reads import OnRead, ReadOutcome, read_or_tell

if TYPE_CHECKING:
    from depthcast.tape.moment import Moment
    from depthcast.tape.reading import Extent, Tape

DEFAULT_MEMORY_BYTES: Final = 64 * 2**20
DEFAULT_READ_TIMEOUT_S: Final = 10.0
DEFAULT_MAX_WAITING: Final = 64

MOMENT_ILLEGAL: Final = ApiError(
    400, -1100, f"Illegal characters found in parameter 'at'; legal range is {FORMS}."
)
NOT_HELD: Final = ApiError(400, -1130, "Data sent for parameter 'level' is not valid; the tape is by price.")
"""Where what is asked for is more than a tape holds: single orders."""

NO_TAPE_READ: Final = ApiError(501, -1020, "This operation is not supported.")
"""Binance's words where a server is told to read no tape, or lacks what reading one needs."""

_FOR_GOOD: Final = b"public, max-age=31536000, immutable"
_FOR_A_MINUTE: Final = b"public, max-age=60"
_NOT_YET: Final = b"no-cache"

ASIDE_LIMIT: Final = 500
"""A body of more levels a side is made in a thread: it takes longer than others should have to wait."""

T = TypeVar("T")


class TravelRequest(NamedTuple):
    """A request for a book as it was."""

    depth: DepthRequest
    at: Asked


class Travel:
    """One venue's endpoint. ``parse`` reads its requests, which begin with a part of the path and a question
    mark where they are ``placed``; ``units`` and ``refusals`` are the venue's, too
    (:mod:`depthcast.venues.answering`). ``clock`` is monotonic, in seconds.

    ``memory_bytes``: for segments that were asked for; 0: no tape is read, and who asks is answered 501. At
    most ``max_waiting`` requests wait at a time; who is one too many is answered 503.
    """

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        *,
        venue: str = BINANCE.venue,
        parse: Callable[[bytes], DepthRequest | ApiError] = parse_depth,
        placed: bool = False,
        units: bool = True,
        refusals: Refusals = BINANCE_REFUSALS,
        on_read: OnRead = lambda *_: None,
        memory_bytes: int = DEFAULT_MEMORY_BYTES,
        read_timeout_s: float = DEFAULT_READ_TIMEOUT_S,
        max_waiting: int = DEFAULT_MAX_WAITING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._venue = venue
        self._parse = parse
        self._placed = placed
        self._units = units
        self._refusals = refusals
        self._on_read = on_read
        self._memory_bytes = memory_bytes
        self._read_timeout_s = read_timeout_s
        self._max_waiting = max_waiting
        self._clock = clock
        self._waiting = 0
        self._tape: Tape | None = None
        self._opening = asyncio.Lock()

    def depth(self, now: Endpoint) -> Endpoint:
        """``GET /api/v3/depth``: ``now`` answers what is not asked about another moment."""

        def answer(asked: answers.Asked) -> Answer | Awaitable[Answer]:
            if b"at=" not in asked.query or len(asked.query) > MAX_QUERY_BYTES:
                return now(asked)
            text = asked.place + b"?" + asked.query if self._placed else asked.query
            request = parse_travel(text, self._parse, placed=self._placed, worded=self._worded)
            if request is None:
                return now(asked)
            unit = parse_time_unit(asked.time_unit)
            if self._units and isinstance(unit, ApiError):
                return refusal(unit)
            if isinstance(request, ApiError):
                return refusal(request)
            if self._catalogue.limits(request.depth.symbol) is None:
                known = self._catalogue.known
                return refusal(self._refusals.unknown_symbol if known else self._refusals.unavailable)
            return self._bounded(self._answer(request, asked))

        return answer

    def _worded(self, error: ApiError) -> ApiError:
        """An error of ours in the form of the venue's."""
        return type(self._refusals.unavailable)(*error)

    @property
    def bytes_held(self) -> int:
        """What the segments held take."""
        return 0 if self._tape is None else self._tape.bytes_held

    async def close(self) -> None:
        """End the reads that are under way."""
        if self._tape is not None:
            await self._tape.close()

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        assert 0 <= self._waiting <= self._max_waiting
        if self._tape is not None:
            self._tape.check()

    async def _bounded(self, answering: Coroutine[Any, Any, Answer]) -> Answer:
        if self._waiting >= self._max_waiting:
            answering.close()
            return refusal(self._refusals.unavailable)
        self._waiting += 1
        try:
            return await answering
        finally:
            self._waiting -= 1

    async def _answer(self, request: TravelRequest, asked: answers.Asked) -> Answer:
        tape = await self._opened()
        if tape is None:
            return refusal(self._worded(NO_TAPE_READ))
        symbol, limit = request.depth.symbol, request.depth.limit
        try:
            moment = await self._read(symbol, lambda: tape.at(symbol, request.at))
        except NotOnTape as missing:
            extent = await self._read(symbol, lambda: tape.extent(symbol))
            return absent(missing, extent, self._worded)
        if moment is None:
            return refusal(self._refusals.unavailable)
        levels = moment.shown(limit)
        if levels is None:
            return refusal(self._worded(NOT_HELD))
        stem = _stem(moment, limit)
        headers = _headers(request.at, moment)
        has = _had(stem, asked)
        if has is not None:
            return Answer(304, [(b"etag", has), *headers], b"")
        body = moment.body(limit) if levels <= ASIDE_LIMIT else await asyncio.to_thread(moment.body, limit)
        tag = _tag(stem, coding_for(len(body), asked.accept_encoding))
        length: Header = (b"content-length", b"%d" % len(body))
        made = Answer(200, [answers.JSON_TYPE, length, (b"etag", tag), *headers], body)
        given = encoded(made, asked.accept_encoding)
        return given if isinstance(given, Answer) else await given

    async def _opened(self) -> "Tape | None":
        """The tape, once what reads it was imported, which takes a while; ``None`` where there is none."""
        if self._tape is None and self._memory_bytes:
            async with self._opening:
                if self._tape is None:
                    try:
                        module = await asyncio.to_thread(importlib.import_module, "depthcast.tape.reading")
                    except ExtraMissing as missing:
                        self._on_read("tape", ReadOutcome.FAILED, 0.0, missing)
                        return None
                    self._tape = module.Tape(
                        self._store, self._venue, max_bytes=self._memory_bytes, clock=self._clock
                    )
        return self._tape

    async def _read(self, symbol: str, reading: Callable[[], Awaitable[T]]) -> T | None:
        """What the tape has; ``None`` where it cannot be had, which is told."""
        return await read_or_tell(
            f"tape of {symbol}",
            reading,
            url=self._store.url,
            timeout_s=self._read_timeout_s,
            on_read=self._on_read,
            clock=self._clock,
        )


def parse_travel(
    query: bytes,
    parse: Callable[[bytes], DepthRequest | ApiError] = parse_depth,
    *,
    placed: bool = False,
    worded: Callable[[ApiError], ApiError] = lambda error: error,
) -> TravelRequest | ApiError | None:
    """The request of a raw query string, or its refusal; ``None`` where it has no parameter ``at``.

    ``parse`` reads what is not ``at``; ``placed``: before the query stand a part of the path and a ``?``;
    ``worded`` gives an error of ours the form of the venue's.

    >>> parse_travel(b"symbol=ETHUSDT&at=id:7&limit=5").at
    Asked(time_ms=None, update_id=7, epoch=None)
    >>> parse_travel(b"symbol=ETHUSDT") is None
    True
    """
    moments, others = _apart(query, placed=placed)
    if not moments:
        return None
    sent = parameters(moments, ("at",))
    if isinstance(sent, ApiError):
        return worded(sent)
    depth = parse(others)
    if isinstance(depth, ApiError):
        return depth
    if not sent["at"]:
        return worded(empty("at"))
    try:
        at = parse_asked(sent["at"])
    except ValueError:
        return worded(MOMENT_ILLEGAL)
    # What a symbol did then is not on the tape.
    return TravelRequest(depth, at) if depth.symbol_status is None else BAD_COMBINATION


def travel_weight(query: bytes, weight: Callable[[bytes], int] = depth_weight) -> int:
    """What a request weighs, with ``at`` or without: as one for a book of now, which ``weight`` tells.

    >>> travel_weight(b"symbol=ETHUSDT&limit=5000&at=7"), travel_weight(b"symbol=ETHUSDT&limit=5000")
    (250, 250)
    """
    return weight(_apart(query, placed=False)[1] if b"at=" in query else query)


def absent(
    missing: NotOnTape,
    extent: "Extent | None",
    worded: Callable[[ApiError], ApiError] = lambda error: error,
) -> Answer:
    """404: that moment was not recorded, and what was."""
    tape = None
    if extent is not None:
        first, last = (f"{epoch}:{update_id}" for epoch, update_id in (extent.first, extent.last))
        tape = {"from": extent.from_ms, "to": extent.to_ms, "first": first, "last": last}
    error = worded(ApiError(404, -1130, f"Data sent for parameter 'at' is not valid; {missing.why}."))
    told = {**json.loads(error.body()), "tape": tape}
    body = json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()
    length: Header = (b"content-length", b"%d" % len(body))
    refused = refusal(error)
    headers = [length if name == b"content-length" else (name, value) for name, value in refused.headers]
    return refused._replace(headers=headers, body=body)


def _apart(query: bytes, *, placed: bool) -> tuple[bytes, bytes]:
    """The parts of a query that are the parameter ``at``, and the others, behind the part of the path."""
    place, mark, query = query.partition(b"?") if placed else (b"", b"", query)
    parts = query.split(b"&")
    of_moment = [part for part in parts if part.partition(b"=")[0] == b"at"]
    others = b"&".join(part for part in parts if part not in of_moment)
    return b"&".join(of_moment), place + mark + others


def _stem(moment: "Moment", limit: int) -> bytes:
    """What the entity tag begins with: as that of a file, whose levels a keyframe may show less of."""
    version, certain = moment.version, moment.certainty
    shown = (min(certain.bids, limit), min(certain.asks, limit))
    return b'"at-%d-%d-%d-%d-%d' % (version.epoch, version.update_id, limit, *shown)


def _tag(stem: bytes, coding: Coding) -> bytes:
    return stem + (b'"' if coding is Coding.IDENTITY else b'-%b"' % coding.value)


def _had(stem: bytes, asked: answers.Asked) -> bytes | None:
    """The tag that the reader has, of a body in a coding that it accepts (RFC 9110, 13.1.2)."""
    if asked.if_none_match is None or stem not in asked.if_none_match:
        return None
    tags = (_tag(stem, coding) for coding in acceptable(asked.accept_encoding))
    return next((tag for tag in tags if tag in asked.if_none_match), None)


def _headers(at: Asked, moment: "Moment") -> list[Header]:
    kept = _NOT_YET
    if moment.final:
        kept = _FOR_GOOD if at.time_ms is not None or at.epoch is not None else _FOR_A_MINUTE
    return [
        (b"cache-control", kept),
        VARY,
        NO_RANGES,
        *answers.COMMON,
        *version_headers(moment.version),
        (b"depthcast-certain", certain_header(*moment.certainty)),
        (b"depthcast-event-time", b"%d" % moment.event_time_ms),
    ]
