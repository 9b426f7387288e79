"""``Finder``: a snapshot for a book that has to be built, from its published file or from the venue.

Where the stream itself begins a book (:mod:`depthcast.unsequenced`), it is waited for, and neither asked for.

**Epochs.** A book may be published only under the epoch whose ids it counts in. So the stored epoch is read
*before* the snapshot is asked for, and no book is built while the store cannot be read (nothing could be
published then either).

**Sharing.** Replicas that keep the same books need not each ask the venue for them. Where ``may_ask`` says
no, a book waits for the file that another replica writes; where no file will do, it asks the venue behind
those that cannot wait. How long others are relied on is up to ``may_ask``, which is asked at every look.
"""

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any, Final

from depthcast.dispatch import Dispatcher, Work
from depthcast.errors import BookError, DepthcastError
from depthcast.keeper.live import LiveBook
from depthcast.keeper.observer import Observer, tell_failure
from depthcast.keeper.sources import NO_FILE, Source, Sources, WarmStart
from depthcast.orders.messages import AnySnapshot
from depthcast.sync import Verdict
from depthcast.unsequenced import StreamSync

LOOK_EVERY_S: Final = 0.05
"""How often it is looked whether a stream has begun a book. Two changes are waited for, or quiet."""

REPLAYED_CHANGES: Final = 1000
"""Changes of buffered diffs that are applied in one piece, a millisecond's work: a minute of a busy symbol's
takes a third of a second, in which other books go on."""


class Trust(Enum):
    """Which published files a book may begin from."""

    ANY = "any"
    LATER_EPOCH = "later epoch"
    """Those of a later epoch than the book's, while another replica is to ask the venue."""
    NONE = "none"


class Finder:
    """Makes books live. ``streams`` tells whether a symbol's subscription is up on its connection; ``renew``
    subscribes anew."""

    def __init__(
        self,
        sources: Sources,
        observer: Observer,
        streams: Callable[[str], bool],
        renew: Callable[[str], None],
        *,
        # Times
        begin_within_s: float,
        quiet_after_s: float,
        warm_wait_s: float,
        warm_poll_s: float,
        warm_poll_maximum_s: float,
        look_again_s: float,
        settled_after_s: float,
        # Surroundings
        dispatcher: Dispatcher,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._sources = sources
        self._observer = observer
        self._dispatcher = dispatcher
        self._streams = streams
        self._renew = renew
        self._begin_within_s = begin_within_s
        self._quiet_after_s = quiet_after_s
        self._warm_wait_s = warm_wait_s
        self._warm_poll_s = warm_poll_s
        self._warm_poll_maximum_s = warm_poll_maximum_s
        self._look_again_s = look_again_s
        self._settled_after_s = settled_after_s
        self._clock = clock
        self._sleep = sleep

    async def find(self, live: LiveBook, trust: Trust) -> None:
        """Try until the book is live; the pauses between attempts grow."""
        began = self._clock()
        if live.source is not None and began - live.synced_at < self._settled_after_s:
            # Broken again so soon: a venue, or a book, that keeps breaking is not hammered.
            await self._sleep(live.backoff.next_s())
        else:
            live.backoff.reset()
        while True:
            try:
                await self._streaming(live)
                if live.stream is None:
                    source = await self._try_sources(live, trust)
                else:
                    source = await self._from_stream(live, live.stream)
            except Exception as error:
                tell_failure(self._observer, live.symbol, error)
                source = None
            if source is not None:
                break
            await self._sleep(live.backoff.next_s())
        now = self._clock()
        live.fault = None
        live.source = source
        live.synced_at = live.changed_at = live.audited_at = now
        live.quiet_audits = 0
        self._observer.synced(live.symbol, source, (now - began) * 1000)

    async def _streaming(self, live: LiveBook) -> None:
        """Wait until diffs come, or would come: the socket is open before the snapshot is asked for."""
        while not (live.arrived.is_set() or self._streams(live.symbol)):
            await self._arrival(live, self._warm_poll_s / 5)

    async def _arrival(self, live: LiveBook, bound_s: float) -> None:
        """Wait for a first diff, ``bound_s`` at most."""
        if live.arrived.is_set():
            await self._sleep(bound_s)
            return
        waits = {asyncio.ensure_future(live.arrived.wait()), asyncio.ensure_future(self._sleep(bound_s))}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _try_sources(self, live: LiveBook, trust: Trust) -> Source | None:
        while True:
            epoch = 0
            if self._sources.has_files:
                stored = await self._from_file(live, trust)
                epoch = stored.epoch if stored else 0
                if live.live:
                    live.epoch = epoch
                    return "file"
            snapshot = await self._from_venue(live, trust)
            if live.live:
                return "file"
            if snapshot is not None:
                break
        if await self._begin(live, snapshot, proven=True) is not Verdict.SYNCED:
            return None
        live.epoch = epoch
        return "rest"

    # From the stream

    async def _from_stream(self, live: LiveBook, sync: StreamSync) -> Source | None:
        """The book live once the stream has begun it, and its ids are what any replica's are; ``None`` where
        it does not begin it: then it is subscribed to anew, and waited for again.

        The store is read while it is waited for, for the epoch alone.
        """
        epoch = 0
        if self._sources.has_files:
            async with self._sources.turns:
                stored = await self._sources.file(live.symbol, NO_FILE)
            epoch = stored.epoch if stored else 0
        heard, heard_at = sync.heard, self._clock()
        end = heard_at + self._begin_within_s
        while not sync.ready:
            now = self._clock()
            if sync.heard != heard:
                heard, heard_at = sync.heard, now
            if sync.begun and now - heard_at >= self._quiet_after_s:
                break
            if not sync.begun and now >= end:
                if self._streams(live.symbol):
                    self._renew(live.symbol)
                return None
            await self._sleep(LOOK_EVERY_S)
        if sync.begin(quiet=True) is not Verdict.SYNCED:
            return None
        live.epoch = epoch
        return "stream"

    # From the file

    async def _from_file(self, live: LiveBook, trust: Trust) -> WarmStart | None:
        """What is stored; and the book live where the file will do.

        A file is some ticks behind the stream. If another replica keeps writing it, it soon reaches back to
        the buffer; if it stands still it never will. Returns without a live book once the venue is to be
        asked: no file may be used, or this one will not do and the replica may ask.
        """
        poll_s = self._warm_poll_s
        if trust is Trust.ANY and not live.arrived.is_set():
            # Without a diff no file will do: a look before the first one would be made in vain.
            await self._arrival(live, poll_s)
        end = self._clock() + self._warm_wait_s
        seen: int | None = None
        damaged: tuple[int, int] | None = None
        waited = False
        while True:
            # Asked anew at each look: who asked the venue may have stopped, or just have got the book.
            may_ask = self._sources.may_ask(live.symbol)
            use = _uses_files(trust, may_ask)
            wanted_id = live.sync.wanted_id if use and live.sync.buffered else NO_FILE
            began = self._clock()
            async with self._sources.turns:
                # Where many books begin at once, the wait for a turn to read is not the file's.
                end += self._clock() - began
                stored = await self._sources.file(live.symbol, wanted_id)
            if not use:
                return stored
            version = (stored.epoch, stored.update_id) if stored is not None else None
            if stored is not None and version != damaged:
                try:
                    if await self._begin_from(live, stored, trust):
                        return stored
                except BookError as error:
                    self._observer.failed(live.symbol, error)
                    damaged = version
            now = self._clock()
            if not may_ask:
                # Whoever is waited for has the usual time to write its file, once it got the book.
                waited, end = True, now + self._warm_wait_s
            elif now >= end or (not waited and (stored is None or damaged is not None)):
                return stored
            else:
                stands_still = stored is not None and stored.update_id == seen
                if stands_still and wanted_id != NO_FILE and now > end - self._warm_wait_s / 2:
                    return stored
            seen = stored.update_id if stored is not None and wanted_id != NO_FILE else None
            await self._arrival(live, poll_s)
            if waited:
                poll_s = min(poll_s * 1.5, self._warm_poll_maximum_s)

    # From the venue

    async def _from_venue(self, live: LiveBook, trust: Trust) -> AnySnapshot | None:
        """A snapshot of the venue's; ``None`` where the file does by now, with the book live, or where
        another replica is to ask now.

        The queue for the venue may be minutes long, so what was true at its end is looked at again in it.
        """
        # Who need not ask but must, because no file will do, lets those go first who cannot wait.
        background = not self._sources.may_ask(live.symbol)
        asked = asyncio.ensure_future(self._sources.venue(live.symbol, background=background))
        look_at = self._clock() + self._look_again_s
        try:
            while not await self._ended(asked, self._warm_poll_maximum_s):
                if not self._sources.has_files:
                    continue
                may_ask = self._sources.may_ask(live.symbol)
                if trust is Trust.ANY and not may_ask:
                    return None
                if self._clock() < look_at:
                    continue
                look_at = self._clock() + self._look_again_s
                if _uses_files(trust, may_ask) and await self._file_came(live, trust):
                    return None
            return asked.result()
        finally:
            asked.cancel()

    async def _file_came(self, live: LiveBook, trust: Trust) -> bool:
        if not live.sync.buffered:
            return False
        try:
            async with self._sources.turns:
                stored = await self._sources.file(live.symbol, live.sync.wanted_id)
            if stored is None or not await self._begin_from(live, stored, trust):
                return False
        except DepthcastError as error:
            self._observer.failed(live.symbol, error)
            return False
        live.epoch = stored.epoch
        return True

    async def _begin_from(self, live: LiveBook, stored: WarmStart, trust: Trust) -> bool:
        """Make the book live from a file, where that will do. Raises BookError for what is not a book."""
        if stored.snapshot is None or (trust is not Trust.ANY and stored.epoch <= live.epoch):
            return False
        if await self._begin(live, stored.snapshot, proven=False) is not Verdict.SYNCED:
            return False
        live.file_levels = self._sources.levels(stored.snapshot)
        return True

    async def _begin(self, live: LiveBook, snapshot: AnySnapshot, *, proven: bool) -> Verdict:
        """Make the book live in pieces, between which others have their turns.

        The last piece is done here: nothing comes between it and what the caller notes of a live book.
        """
        await self._dispatcher.turn(Work.LATER, live)
        verdict = live.sync.begin_from(snapshot, proven=proven)
        while verdict is Verdict.BUFFERED:
            await self._dispatcher.turn(Work.LATER, live)
            verdict = live.sync.replay(REPLAYED_CHANGES)
        return verdict

    async def _ended(self, task: asyncio.Future[AnySnapshot], bound_s: float) -> bool:
        """Wait for ``task``, ``bound_s`` at most; whether it is done."""
        timer = asyncio.ensure_future(self._sleep(bound_s))
        try:
            either: set[asyncio.Future[Any]] = {task, timer}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
        return task.done()


def _uses_files(trust: Trust, may_ask: bool) -> bool:
    """Whether a look at the file may do; who may ask the venue asks it where the ids have changed."""
    return trust is Trust.ANY or (trust is Trust.LATER_EPOCH and not may_ask)
