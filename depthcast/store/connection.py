"""One connection to a store, for one GET at a time: a bare asyncio protocol over ``httptools``.

What arrives is bounded: :data:`MAX_HEAD_BYTES` until a head is complete, the interim answers (1xx) before it
included, then the body's limit. A connection is used again only after an answer whose end is certain; after
anything else, a time-out or a cancelled request it is closed, so no answer is ever taken for another's.
"""

import asyncio
from typing import Final, NamedTuple, cast

import httptools

from depthcast.store.failure import Cause

MAX_HEAD_BYTES: Final = 64 * 2**10
DEFAULT_MAX_BODY_BYTES: Final = 64 * 2**20


class Answer(NamedTuple):
    """A final answer: header names in lower case, of those sent twice the first."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class NoAnswer(Exception):
    """There was none, and why. ``begun``: some of it had come."""

    def __init__(self, cause: Cause, detail: str = "", *, begun: bool = False) -> None:
        super().__init__(detail or cause.value)
        self.cause = cause
        self.detail = detail
        self.begun = begun


class Connection(asyncio.Protocol):
    """Made by ``create_connection``; then :meth:`ask` as often as :attr:`usable` is true."""

    def __init__(self, max_body_bytes: int = DEFAULT_MAX_BODY_BYTES) -> None:
        self._max_bytes = MAX_HEAD_BYTES + max_body_bytes
        self._parser = httptools.HttpResponseParser(self)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._clean = False
        """Nothing is wrong with it, and nothing of an answer is outstanding."""
        self.idle_since_s: float = 0.0
        """When it was last put aside, by its owner's clock."""
        # Of the answer that is coming:
        self._received = 0
        self._status = 0
        self._headers: dict[bytes, bytes] = {}
        self._chunks: list[bytes] = []
        self._in_body = False
        self._delimited = False
        self._ended = False

    @property
    def usable(self) -> bool:
        """Whether a request may be sent."""
        return self._clean and self._waiter is None

    async def ask(self, request: bytes, timeout_s: float) -> Answer:
        """Send ``request``, a whole GET, and wait for its answer. Raises :class:`NoAnswer`."""
        if not self.usable or self._transport is None or self._loop is None:
            raise RuntimeError("the connection is in use or closed")
        self._forget_answer()
        waiter: asyncio.Future[Answer] = self._loop.create_future()
        self._waiter = waiter
        self._clean = False
        timer = self._loop.call_later(timeout_s, self._fail, Cause.TIMEOUT)
        try:
            self._transport.write(request)
            return await waiter
        finally:
            timer.cancel()
            self._waiter = None
            if not self._clean:
                self.abort()

    def abort(self) -> None:
        """Close at once. May be called again."""
        self._clean = False
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Before 3.12 asking which loop runs is a system call.
        self._loop = asyncio.get_running_loop()
        self._transport = cast(asyncio.Transport, transport)
        self._clean = True

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._waiter.done():
            self.abort()  # nobody asked
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            # After the end of an answer it spoils the connection, not the answer.
            self._clean = False
            self._fail(Cause.OTHER, "its answer is not HTTP/1.1")
            return
        if self._received > (self._max_bytes if self._in_body else MAX_HEAD_BYTES) and not self._ended:
            self._fail(Cause.OTHER, "its answer is too long")

    def connection_lost(self, error: Exception | None) -> None:
        self._clean = False
        # Without a length the end of the connection is the end of the body. For an object that would not
        # tell a whole one from a part; for an error it is enough.
        if self._in_body and not self._delimited and self._status >= 300:
            self._complete()
        self._fail(Cause.CUT)

    # What the parser calls

    def on_message_begin(self) -> None:
        if self._ended:
            self._clean = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_body:  # what follows a body are trailers
            self._headers.setdefault(name.lower(), value)

    def on_headers_complete(self) -> None:
        if self._ended:
            return
        self._status = self._parser.get_status_code()
        if self._status < 200:
            self._headers = {}
            return
        self._in_body = True
        length = self._headers.get(b"content-length")
        self._delimited = length is not None or b"transfer-encoding" in self._headers
        if length is not None and int(length) > self._max_bytes - MAX_HEAD_BYTES and self._status != 304:
            self._fail(Cause.OTHER, "its answer is too long")

    def on_body(self, body: bytes) -> None:
        if not self._ended:
            self._chunks.append(body)

    def on_message_complete(self) -> None:
        if self._ended or not self._in_body:
            return
        self._clean = self._parser.should_keep_alive()
        self._complete()

    # Inside

    def _forget_answer(self) -> None:
        self._received = 0
        self._status = 0
        self._headers = {}
        self._chunks = []
        self._in_body = self._delimited = self._ended = False

    def _complete(self) -> None:
        self._ended = True
        if self._waiter is not None and not self._waiter.done():
            body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
            self._waiter.set_result(Answer(self._status, self._headers, body))

    def _fail(self, cause: Cause, detail: str = "") -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(NoAnswer(cause, detail, begun=self._received > 0))
