"""``DocumentWriter``: publishes one kind of what the exchange says about itself, and keeps its history.

What a poll was answered is offered to a :class:`~depthcast.metadata.recorder.Recorder`, in the order of the
answers, until it is settled: it is written, as it is, only where it says something else than the one in the
store and was made later. Of several replicas that read the same news one wins, and the others find nothing
left to do. A document that says nothing new costs two small reads.

While the store is away, up to ``max_waiting`` documents that differ wait, so that a change which was taken
back meanwhile is in the history all the same; of further ones the newest takes the last one's place.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Literal, NamedTuple

from depthcast.aside import Aside
from depthcast.backoff import Backoff
from depthcast.errors import BadFile, MalformedAnswer, StoreError
from depthcast.logs import get_logger
from depthcast.metadata.cuts import Wanted
from depthcast.metadata.kinds import Kind
from depthcast.metadata.record import Record
from depthcast.metadata.recorder import Offering, Recorder, seen_at
from depthcast.store import Store

MAX_WAITING: Final = 16

Outcome = Literal["recorded", "refused", "unsettled"]
"""What became of a document: it is news and in the history; it is none of its kind, or doubted; the store did
not take it, and it is offered again."""

_log: Final = get_logger("updater")


class _Document(NamedTuple):
    body: bytes
    observed_ms: int
    fingerprint: str


class DocumentWriter:
    """Writes what it was offered. :meth:`run` works until cancelled; ``ready`` is waited for.

    ``cuts``: the symbols that have a file of their own (:mod:`depthcast.metadata.cuts`). ``on_written`` is
    told of each change, ``on_outcome`` what became of a document: that it is no news is not told. ``wall_ms``
    is this machine's time in milliseconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        kind: Kind,
        *,
        replica: str,
        cache_control: str | None = None,
        cuts: Wanted | None = None,
        ready: Callable[[], Awaitable[object]],
        on_written: Callable[[Record], None] = lambda _: None,
        on_outcome: Callable[[Outcome], None] = lambda _: None,
        max_waiting: int = MAX_WAITING,
        backoff: Callable[[], Backoff] = lambda: Backoff(1.0, minimum_s=0.5, maximum_s=15.0),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        aside: Aside = asyncio.to_thread,
    ) -> None:
        self._recorder = Recorder(
            store,
            kind,
            replica=replica,
            cache_control=cache_control,
            cuts=cuts,
            wall_ms=wall_ms,
            aside=aside,
        )
        self._ready = ready
        self._on_written = on_written
        self._on_outcome = on_outcome
        self._max_waiting = max_waiting
        self._backoff = backoff
        self._sleep = sleep
        self._wall_ms = wall_ms
        self._waiting: deque[_Document] = deque()
        self._offered = asyncio.Event()

    @property
    def kind(self) -> Kind:
        """What is written."""
        return self._recorder.kind

    def offer(self, body: bytes, observed_ms: int | None = None) -> None:
        """What the exchange answered, at ``observed_ms`` or now.

        Raises :class:`~depthcast.errors.MalformedAnswer` for what is no document of this kind, and for one
        that is of another day by this machine's clock: another replica's may be right.
        """
        read, now_ms = self.kind.read(body), self._wall_ms()
        seen_at(self.kind, read, now_ms, now_ms)
        document = _Document(body, now_ms if observed_ms is None else observed_ms, read.fingerprint)
        if self._waiting and self._waiting[-1].fingerprint == document.fingerprint:
            return
        if len(self._waiting) >= self._max_waiting:
            self._waiting.pop()
        self._waiting.append(document)
        self._offered.set()

    @property
    def waits(self) -> bool:
        """Whether a document is not settled yet."""
        return bool(self._waiting)

    async def run(self) -> None:
        """Write what is offered, again and again where the store does not let it."""
        await self._ready()
        while True:
            await self._offered.wait()
            self._offered.clear()
            backoff = self._backoff()
            while self._waiting:
                document = self._waiting[0]
                if await self._record(document):
                    backoff.reset()
                    if self._waiting and self._waiting[0] is document:
                        self._waiting.popleft()
                else:
                    await self._sleep(backoff.next_s())

    async def _record(self, document: _Document) -> bool:
        """Whether the document is settled."""
        kind = self.kind
        try:
            offering, record, why = await self._recorder.offer(document.body, document.observed_ms)
        except StoreError as error:
            offering, record, why = Offering.UNSETTLED, None, str(error)
        except (BadFile, MalformedAnswer) as error:
            _log.warning("what the exchange answered is not published", asked=kind.path, why=str(error))
            self._on_outcome("refused")
            return True
        if offering is Offering.UNSETTLED:
            self._on_outcome("unsettled")
            _log.warning("what the exchange answered is not written yet", asked=kind.path, why=why)
            return False
        if record is not None:
            _log.info(
                "news of the exchange is written",
                asked=kind.path,
                sequence=record.sequence,
                changes=len(record.changes),
            )
            self._on_outcome("recorded")
            self._on_written(record)
        return True

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        assert self._waiting or not self._offered.is_set(), "nothing waits, but was offered"
        assert len(self._waiting) <= self._max_waiting
        self._recorder.check()
