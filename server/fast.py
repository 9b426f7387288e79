"""Answers ready for the wire, by the exact bytes of the request they answer.

Clients that poll send the same request again and again, byte for byte. The first one is read by the HTTP
library and answered by its endpoint; what was read of it is kept here under its head, and from then on the
head is looked up instead of parsed. An answer made ready is given as often as its
:class:`~server.answers.Hold` allows; then the endpoint is asked again, which costs no parsing either. Where
the ``date`` header alone is another, it is put in: the second turns for all answers at once.

Promises: what is given is what the endpoint answers at that moment, or answered while its answer still held;
at most ``max_heads`` heads of at most :data:`MAX_HEAD_BYTES` are kept; of an answer that no longer holds
nothing is kept beyond the next :meth:`FastAnswers.sweep`.
"""

import asyncio
import math
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from server.answers import NOWHERE, Answer, Asked, Endpoint, Header, Source

MAX_HEAD_BYTES: Final = 2048
DEFAULT_MAX_HEADS: Final = 4096

JOINED_BYTES: Final = 16384
"""Bodies up to this size are kept joined with their heads: a copy more in memory, a buffer less to send."""

PAGED_BYTES: Final = 32768
MOST_PAGED_BYTES: Final = 131072
PAGED_AFTER: Final = 8
"""An answer of a length between these is put into a file in memory when it has been given so often:
``sendfile`` takes the pages as they are, where ``write`` copies them for each reader. Longer ones do not fit
into a socket's buffer at once, and copying them was measured to be faster."""

MAX_PAGED: Final = 128
"""So many answers may be files at once, 16 MiB."""

NO_PAGES: Final = -1
REFUSED_PAGES: Final = -2
"""In place of a file descriptor: not asked for yet, and not to be asked for again until the next renewal."""

HEAD_EXTENSION: Final = "depthcast.head"
"""In a scope's ``extensions``: the request's own bytes, where the same bytes may be answered from memory."""

SWEEP_EVERY_S: Final = 1.0
_FORGET_AFTER: Final = 60
_SECOND_CHANCES: Final = 16
_MEMFD: Final = hasattr(os, "memfd_create")  # Linux only

OnAnswers = Callable[[str, int, int], None]
"""Told of answers given from here: the path, the HTTP status, and how many."""

OnState = Callable[[bytes, int], None]
"""Told how fresh the books of answers given from here were, and how many they were."""

Admit = Callable[[Endpoint, str, Asked], bytes | None]
"""Asked before each answer, with its endpoint and the client's address: header lines to add, each ended by
CR LF, or ``None`` to leave the request to the ordinary way."""


class Prepared:
    """One request head: what was read of it, and its answer ready for the wire where there is one.

    It may be given while ``source.current is version``, before ``until``, and while ``dated`` is what every
    answer's first headers are. ``wire`` is the whole of it, or empty where ``head`` and ``body`` are apart.
    ``marks`` are the lines of the head behind those of ``dated``. ``pages`` is a file descriptor of the whole
    of it in memory, or negative.
    """

    __slots__ = (
        "asked",
        "body",
        "dated",
        "endpoint",
        "head",
        "hits",
        "idle_sweeps",
        "marks",
        "only_head",
        "pages",
        "path",
        "source",
        "state",
        "status",
        "until",
        "version",
        "wire",
    )

    def __init__(self, path: str, endpoint: Endpoint, asked: Asked, *, only_head: bool) -> None:
        self.path = path
        self.endpoint = endpoint
        self.asked = asked
        self.only_head = only_head
        self.hits = 0
        self.idle_sweeps = 0
        self.pages = NO_PAGES
        self.clear()

    def clear(self) -> None:
        """Let go of the answer."""
        self.source: Source = NOWHERE
        self.version: object = None
        self.until = -math.inf
        self.dated: Sequence[Header] | None = None
        self.status = 0
        self.state = b""
        self.wire = self.head = self.marks = self.body = b""
        self.drop_pages()

    def drop_pages(self) -> None:
        """Close the file. What the kernel is still sending of it stays until it is sent."""
        if self.pages >= 0:
            os.close(self.pages)
        self.pages = NO_PAGES

    def rest(self, sent: int) -> tuple[bytes | memoryview, ...]:
        """The answer without its first bytes."""
        whole_head = self.head + b"\r\n"
        if sent < len(whole_head):
            return whole_head[sent:], self.body
        return (memoryview(self.body)[sent - len(whole_head) :],)

    @property
    def length(self) -> int:
        """Of the whole answer."""
        return len(self.head) + 2 + len(self.body)

    def holds(self, dated: Sequence[Header], now: float) -> bool:
        """Whether the answer may be given. The protocol has the same expression in line."""
        return self.dated is dated and self.source.current is self.version and now < self.until


class FastAnswers:
    """The prepared answers of one process, shared by its connections, eldest first.

    ``by_head`` is looked into by the protocol; only :meth:`learn` and :meth:`sweep` change it.
    """

    def __init__(
        self,
        *,
        on_answers: OnAnswers = lambda *_: None,
        on_state: OnState = lambda *_: None,
        admit: Admit | None = None,
        max_heads: int = DEFAULT_MAX_HEADS,
    ) -> None:
        self.by_head: dict[bytes, Prepared] = {}
        self.admit = admit
        self._on_answers = on_answers
        self._on_state = on_state
        self._max_heads = max_heads
        self._dated: Sequence[Header] = ()

    def learn(self, head: bytes, path: str, endpoint: Endpoint, asked: Asked, *, only_head: bool) -> None:
        """Keep what was read of a request, whose bytes were ``head`` and nothing more.

        Where there is no room the eldest head leaves that nobody has sent since it was looked at last.
        """
        if len(head) > MAX_HEAD_BYTES or head in self.by_head:
            return
        for _ in range(_SECOND_CHANCES):
            if len(self.by_head) < self._max_heads:
                break
            eldest, prepared = next(iter(self.by_head.items()))
            del self.by_head[eldest]
            if prepared.hits:
                self._count(prepared)
                self.by_head[eldest] = prepared
            else:
                prepared.clear()
        else:
            eldest, prepared = next(iter(self.by_head.items()))
            self._count(prepared)
            prepared.clear()
            del self.by_head[eldest]
        self.by_head[head] = Prepared(path, endpoint, asked, only_head=only_head)

    def renew(self, prepared: Prepared, dated: Sequence[Header], now: float) -> bool:
        """Ask the endpoint again, unless only the date is new; ``False`` where it has no answer at once."""
        if prepared.source.current is prepared.version and now < prepared.until:
            self._date(prepared, dated)
            return True
        given = prepared.endpoint(prepared.asked)
        if not isinstance(given, Answer):
            close = getattr(given, "close", None)  # a coroutine that nobody will await
            if close is not None:
                close()
            return False
        self._count(prepared)
        prepared.marks = _lines(given.headers)
        prepared.body = b"" if prepared.only_head else given.body
        prepared.status, prepared.state = given.status, given.state
        self._date(prepared, dated)
        if given.hold is None:
            prepared.source, prepared.version, prepared.until = NOWHERE, None, -math.inf
        else:
            prepared.source, prepared.version, prepared.until = given.hold
        return True

    def _date(self, prepared: Prepared, dated: Sequence[Header]) -> None:
        """Make the answer ready for the wire, with these headers first."""
        self._dated = prepared.dated = dated
        prepared.drop_pages()
        prepared.head = b"".join((STATUS_LINE[prepared.status], _lines(dated), prepared.marks))
        apart = len(prepared.body) > JOINED_BYTES
        prepared.wire = b"" if apart else b"".join((prepared.head, b"\r\n", prepared.body))

    def page(self, prepared: Prepared) -> int:
        """The answer as a file in memory, which the kernel sends without copying it for each reader; negative
        where it is not worth while, or no more are to be had."""
        if prepared.pages == NO_PAGES and prepared.hits >= PAGED_AFTER:
            worth_while = PAGED_BYTES <= prepared.length <= MOST_PAGED_BYTES
            prepared.pages = self._new_pages(prepared) if worth_while else REFUSED_PAGES
        return prepared.pages

    def _new_pages(self, prepared: Prepared) -> int:
        if not _MEMFD or sum(each.pages >= 0 for each in self.by_head.values()) >= MAX_PAGED:
            return REFUSED_PAGES
        try:
            pages = os.memfd_create("answer")
        except OSError:
            return REFUSED_PAGES
        try:
            with open(pages, "wb", closefd=False) as file:
                file.writelines((prepared.head, b"\r\n", prepared.body))
        except OSError:
            os.close(pages)
            return REFUSED_PAGES
        return pages

    def close(self) -> None:
        """Let go of everything."""
        for prepared in self.by_head.values():
            prepared.clear()
        self.by_head.clear()

    def fold(self) -> None:
        """Tell of the answers given since the last time."""
        for prepared in self.by_head.values():
            self._count(prepared)

    def sweep(self, now: float) -> None:
        """Let go of answers that no longer hold or were not asked for, and of heads nobody sends any more.
        O(heads); to be called every second or so."""
        forgotten = []
        for head, prepared in self.by_head.items():
            idle = prepared.hits == 0
            self._count(prepared)
            prepared.idle_sweeps = prepared.idle_sweeps + 1 if idle else 0
            if prepared.idle_sweeps >= _FORGET_AFTER:
                forgotten.append(head)
            if idle or not prepared.holds(self._dated, now):
                prepared.clear()
        for head in forgotten:
            self.by_head.pop(head).clear()

    async def keep_swept(
        self,
        *,
        every_s: float = SWEEP_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """:meth:`sweep` until cancelled."""
        while True:
            await sleep(every_s)
            self.sweep(clock())

    def check(self) -> None:
        """Raise ``AssertionError`` where a bound is broken or an answer is not whole. O(heads)."""
        assert len(self.by_head) <= self._max_heads
        assert sum(prepared.pages >= 0 for prepared in self.by_head.values()) <= MAX_PAGED
        for head, prepared in self.by_head.items():
            assert len(head) <= MAX_HEAD_BYTES
            assert head.endswith(b"\r\n\r\n")
            assert not (prepared.only_head and prepared.body)
            if prepared.pages >= 0:
                whole = os.pread(prepared.pages, prepared.length + 1, 0)
                assert whole == prepared.head + b"\r\n" + prepared.body
            if prepared.wire:
                assert prepared.wire == prepared.head + b"\r\n" + prepared.body
            else:
                assert not prepared.head or len(prepared.body) > JOINED_BYTES

    def _count(self, prepared: Prepared) -> None:
        if prepared.hits:
            self._on_answers(prepared.path, prepared.status, prepared.hits)
            if prepared.state:
                self._on_state(prepared.state, prepared.hits)
            prepared.hits = 0


def _lines(headers: Iterable[Header]) -> bytes:
    return b"".join([part for name, value in headers for part in (name, b": ", value, b"\r\n")])
