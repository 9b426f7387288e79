"""What an answer is, and those answers that are the same for everybody.

An answer is complete before it is sent: status, headers and body are bytes, so that the same one can be
given to any number of readers.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple, Protocol

from depthcast.venues.binance_rest import ERROR_CONTENT_TYPE
from depthcast.venues.requests import ApiError

Header = tuple[bytes, bytes]


class Source(Protocol):
    """What answers are made from. ``current`` is another object as soon as they would be made anew."""

    @property
    def current(self) -> object: ...


class Hold(NamedTuple):
    """How long an answer may be given again to the same question without asking the endpoint: while
    ``source.current`` is ``version``, and before ``until``, in seconds of the monotonic clock."""

    source: Source
    version: object
    until: float


CONNECTION_EXTENSION: Final = "depthcast.connection"
"""The ASGI extension that is the :class:`Connection` a request came over."""


class Follower(Protocol):
    """Who writes the body of an answer that goes on, and is told how the connection fares."""

    def paused(self) -> None:
        """The socket takes nothing more."""

    def resumed(self) -> None:
        """It does again."""

    def lost(self) -> None:
        """The connection is gone."""


class Connection(Protocol):
    """A connection as one who writes to it himself needs it (:mod:`server.protocol`)."""

    def follow(self, follower: Follower) -> asyncio.WriteTransport: ...


class Answer(NamedTuple):
    """An HTTP answer. A HEAD request gets the same without the body."""

    status: int
    headers: Sequence[Header]
    body: bytes
    hold: Hold | None = None
    """``None``: the endpoint is to be asked each time."""
    state: bytes = b""
    """How fresh its book is (:class:`server.freshness.State`); empty where there is none."""
    stream: "Callable[[Connection], Awaitable[None]] | None" = None
    """Writes the body to a connection until it ends; ``body`` is what comes last."""


class Asked(NamedTuple):
    """What of a request the answer may depend on; ``None`` where the header was not sent."""

    query: bytes = b""
    if_none_match: bytes | None = None
    time_unit: bytes | None = None
    accept_encoding: bytes | None = None
    client: str = ""
    """The address of who asks; empty where it is not known."""
    if_modified_since: bytes | None = None
    forwarded_for: bytes | None = None
    last_event_id: bytes | None = None
    place: bytes = b""
    """What stands in the path in place of the part in braces, where its endpoint has one."""


Endpoint = Callable[[Asked], Answer | Awaitable[Answer]]
"""Answers the GET requests for one path: at once where it can, for most requests are answered so."""


COMMON: Final[Sequence[Header]] = (
    (b"access-control-allow-origin", b"*"),
    # The star stands for all headers where no credentials are sent, which the one above forbids.
    (b"access-control-expose-headers", b"*"),
    (b"x-content-type-options", b"nosniff"),
)
"""On every answer of the exchange's endpoints: any web page may read books, and what is JSON stays JSON."""

VARY: Final[Header] = (b"vary", b"accept-encoding")
"""On every answer of an endpoint that gives its bodies in several codings, 304 and refusals too."""

NO_RANGES: Final[Header] = (b"accept-ranges", b"none")
"""``Range`` is ignored (RFC 9110, 14.2): half a book is of no use, and parts of two books are no book."""

JSON_TYPE: Final[Header] = (b"content-type", ERROR_CONTENT_TYPE.encode())
NO_STORE: Final[Header] = (b"cache-control", b"no-store")
_ALLOW: Final = b"GET, HEAD, OPTIONS"

PREFLIGHT: Final = Answer(
    204,
    (
        (b"allow", _ALLOW),
        (b"access-control-allow-origin", b"*"),
        (b"access-control-allow-methods", _ALLOW),
        (b"access-control-allow-headers", b"*"),
        (b"access-control-max-age", b"86400"),
    ),
    b"",
)
"""To OPTIONS: a browser may send any header but credentials, and need not ask again for a day."""

NOT_STREAMED: Final = Answer(501, ((b"content-length", b"0"), NO_STORE, *COMMON), b"")
"""Where the connection is none that a stream can be written to."""

METHOD_NOT_ALLOWED: Final = Answer(
    405, ((b"allow", _ALLOW), (b"content-length", b"0"), NO_STORE, *COMMON), b""
)
QUERY_TOO_LONG: Final = Answer(414, ((b"content-length", b"0"), NO_STORE, VARY, *COMMON), b"")


class _Nowhere:
    current: Final = None


NOWHERE: Final[Source] = _Nowhere()
"""Of answers that are made from nothing that changes."""


def for_good(answer: Answer) -> Answer:
    """The same, for an endpoint that gives it whoever asks and whenever."""
    return answer._replace(hold=Hold(NOWHERE, None, math.inf))


def json_answer(body: bytes) -> Answer:
    """A success that no cache may keep."""
    return Answer(200, (JSON_TYPE, _length(body), NO_STORE, *COMMON), body)


def refusal(error: ApiError) -> Answer:
    """Binance's error as an answer. No cache may keep it: the symbol may be published a moment later."""
    body = error.body()
    headers = [JSON_TYPE, _length(body), NO_STORE, VARY, *COMMON]
    if error.status == 503:
        headers.append((b"retry-after", b"1"))
    return Answer(error.status, headers, body)


def _length(body: bytes) -> Header:
    return (b"content-length", b"%d" % len(body))
