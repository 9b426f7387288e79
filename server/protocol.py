"""HTTP/1.1 as uvicorn speaks it, with prepared answers before it, bounds, and leave to write URLs in UTF-8.

A request whose bytes are known (:mod:`server.fast`) is answered as it is received, without parsing it or
starting a task. That is done only on a connection that is at rest: no request half read, no answer under
way, none waiting to be written. Everything else is the library's to handle, so that what is unusual
(requests split or joined, bodies, other methods and versions, upgrades) is handled by one piece of code.

uvicorn's httptools protocol collects a request line and headers of any length; here a client that sends more
than :data:`MAX_HEAD_BYTES` of them is cut off. And its parser takes ASCII only, while symbols need not be:
curl, for one, sends a URL as it was typed.
"""

import asyncio
import contextlib
import math
import os
import re
import socket
from time import monotonic
from typing import Any, ClassVar, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from server import fast
from server.answers import CONNECTION_EXTENSION, Follower
from server.fast import HEAD_EXTENSION, FastAnswers, Prepared

MAX_HEAD_BYTES: Final = 65536

_NOT_ASCII: Final = re.compile(rb"[\x80-\xff]")
_PLAIN: Final = re.compile(rb"(?:GET|HEAD) /[^\r\n]* HTTP/1\.1\r\n(?:[^\r\n]+\r\n)+\r\n")
_UNSENT_BYTES: Final = 16384
_NOT_ALONE: Final = (b"content-length", b"transfer-encoding", b"upgrade")
_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection. Ends that of a client whose request head does not end.

    Bytes are counted by whole reads, so what is kept of an unfinished head is at most
    :data:`MAX_HEAD_BYTES` and one read more.
    """

    fast_answers: ClassVar[FastAnswers] = FastAnswers()
    """Prepared answers; :func:`protocol_with` gives a class of its own to each server."""

    # What is looked at for every request is in slots, which are found faster.
    __slots__ = (
        "_answers",
        "_begun",
        "_between",
        "_by_head",
        "_fast_at",
        "_follower",
        "_most",
        "_rest",
        "_server",
        "_socket",
    )

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._answers = self.fast_answers
        self._by_head = self._answers.by_head
        self._server = server_state
        self._most = math.inf if self.limit_concurrency is None else self.limit_concurrency
        self._in_head = True
        self._head_bytes = 0
        self._between = True
        """No byte of a request has come that is not yet complete."""
        self._begun = 0
        """How many requests have begun to come."""
        self._rest = True
        """Whether :meth:`_is_at_rest`."""
        self._socket = -1
        """Its file descriptor; -1 where bytes do not go to it as they are."""
        self._follower: Follower | None = None
        """Whose answer goes on; see :meth:`follow`."""
        self._fast_at = 0.0
        """When a prepared answer was given last."""
        self._refused = False
        """What came last is no request: nothing more is read, and the answers under way are the last ones."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        connected = transport.get_extra_info("socket")
        if connected is not None and transport.get_extra_info("sslcontext") is None:
            self._socket = connected.fileno()

    def data_received(self, data: bytes) -> None:
        prepared = self._by_head.get(data)
        if prepared is not None and self._rest and len(self.connections) < self._most:
            dated = self._server.default_headers
            now = monotonic()
            # In line for speed: Prepared.holds().
            if (
                prepared.dated is dated
                and prepared.source.current is prepared.version
                and now < prepared.until
            ) or self._answers.renew(prepared, dated, now):
                admit = self._answers.admit
                if admit is None:
                    if prepared.wire:
                        self._write(prepared.wire)
                    else:
                        self._send(prepared)
                else:
                    lines = admit(prepared.endpoint, self.client[0] if self.client else "", prepared.asked)
                    if lines is None:
                        self._ordinary(data)
                        return
                    self.transport.write(b"".join((prepared.head, lines, b"\r\n")))
                    self.transport.write(prepared.body)
                prepared.hits += 1
                self._fast_at = now
                if self.timeout_keep_alive_task is None:
                    self._wait_for_more(self.timeout_keep_alive)
                return
        self._ordinary(data)

    def timeout_keep_alive_handler(self) -> None:
        # One timer for many prepared answers: when it ends, it waits for what is left since the last one.
        left_s = self._fast_at + self.timeout_keep_alive - monotonic()
        if left_s > 0:
            self._wait_for_more(left_s)
        else:
            super().timeout_keep_alive_handler()

    def on_message_begin(self) -> None:
        self._between = False
        self._begun += 1
        super().on_message_begin()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._follower is not None:
            self._follower.lost()

    def on_headers_complete(self) -> None:
        self._in_head = False
        extensions: dict[str, Any] = {CONNECTION_EXTENSION: self}
        self.scope["extensions"] = extensions
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        self._between = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if self._follower is not None:
            self._follower = None
            self.transport.set_write_buffer_limits()
        super().on_response_complete()
        self._rest = self._is_at_rest()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._rest = False
        if self._follower is not None:
            self._follower.paused()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._rest = self._is_at_rest()
        if self._follower is not None:
            self._follower.resumed()

    def follow(self, follower: Follower) -> asyncio.WriteTransport:
        """What the body that goes on is to be written to, in chunks (RFC 9112, 7.1), by ``follower``.

        It is told when the socket takes nothing more, and when it does again: nothing is kept here for a
        reader who does not read. Until the answer is complete, by way of ASGI.
        """
        self._follower = follower
        keep_nothing(self.transport)
        if self.flow.write_paused:
            follower.paused()
        return self.transport

    def send_400_response(self, msg: str) -> None:
        if not self._ends_with_answers():
            super().send_400_response(msg)

    def check(self) -> None:
        """Raise ``AssertionError`` where the connection's state contradicts itself."""
        assert self._between <= self._in_head
        ends = self._refused or self.transport.is_closing()
        assert self._head_bytes <= MAX_HEAD_BYTES or not self._in_head or ends
        if self._rest:
            assert self._is_at_rest()
            assert not self.pipeline
            assert not self.flow.read_paused

    def _is_at_rest(self) -> bool:
        """No request is half read, none waits for its answer, and none is waiting to be sent."""
        cycle = self.cycle
        return self._between and (cycle is None or cycle.response_complete) and not self.flow.write_paused

    def _ends_with_answers(self) -> bool:
        """Whether answers to earlier requests are under way: then the connection ends behind the last one.

        A refusal written now would come before them, and be taken for the answer to the first.
        """
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return False
        # What comes yet is read and dropped: a socket closed with something unread in it loses its answers.
        self._refused = True
        if self._follower is not None:
            self.transport.close()  # its answer has no end
        else:
            cycle.keep_alive = False
        return True

    def _write(self, wire: bytes) -> None:
        """A short answer, to the socket itself where nothing is waiting to be sent: by way of the transport,
        which would send it when all that came has been read, it takes a fifth of a microsecond more."""
        transport = self.transport
        if self._socket >= 0 and not transport.get_write_buffer_size():
            try:
                sent = os.write(self._socket, wire)
            except OSError:
                pass  # a full socket, or an error of the connection, which shows again at the transport
            else:
                if sent == len(wire):
                    return
                wire = wire[sent:]
        transport.write(wire)

    def _send(self, prepared: Prepared) -> None:
        """A long answer, by ``sendfile`` where there is a file of it and nothing is waiting to be sent."""
        sent = 0
        pages = self._answers.page(prepared)
        if pages >= 0 and self._socket >= 0 and not self.transport.get_write_buffer_size():
            # An error of the connection shows again when the rest is written.
            with contextlib.suppress(OSError):
                sent = os.sendfile(self._socket, pages, 0, prepared.length)
        if sent < prepared.length:
            # Not writelines(): before 3.12.9 and 3.13.2 asyncio's never says that its buffer is full.
            for part in prepared.rest(sent):
                self.transport.write(part)

    def _ordinary(self, data: bytes) -> None:
        if self._refused:
            return
        plain = self._between and len(data) <= fast.MAX_HEAD_BYTES and _PLAIN.fullmatch(data) is not None
        begun = self._begun
        head = data
        self._rest = False
        if self._in_head:
            self._head_bytes += len(data)
            if not data.isascii():
                # The first line of these bytes is the request's, or a header's that says nothing to us.
                line, end, rest = data.partition(b"\r\n")
                data = _NOT_ASCII.sub(lambda byte: b"%%%02X" % ord(byte[0]), line) + end + rest
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            if not self._ends_with_answers():
                self.transport.write(_TOO_LARGE)
                self.transport.close()
        elif plain and self._between and self._begun == begun + 1 and self._may_be_repeated():
            # The application's task has not begun yet, so it will see this.
            self.scope["extensions"][HEAD_EXTENSION] = {"bytes": head}

    def _may_be_repeated(self) -> bool:
        """Whether the request just read asks for nothing but an answer on a connection that stays open."""
        # What is upgraded has no cycle: it is looked at last.
        return (
            not self.expect_100_continue
            and not any(name in _NOT_ALONE for name, _ in self.headers)
            and self.cycle.keep_alive
        )

    def _wait_for_more(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)


def keep_nothing(transport: asyncio.WriteTransport) -> None:
    """Let a transport say at once that its socket is full, and the socket that it has enough to send.

    The kernel would otherwise take megabytes of old books for a reader who is slow; 16 KiB are enough to keep
    a fast one busy.
    """
    transport.set_write_buffer_limits(high=0)
    connected = transport.get_extra_info("socket")
    # Where there is no such option (outside Linux and macOS) the kernel's own bounds hold.
    if connected is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        with contextlib.suppress(OSError):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)


def protocol_with(answers: FastAnswers) -> type[BoundedHttpProtocol]:
    """The protocol of a server with these prepared answers."""

    class _Protocol(BoundedHttpProtocol):
        fast_answers = answers

    return _Protocol
