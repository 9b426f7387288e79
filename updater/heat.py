"""``Heatmaps``: makes the heatmap's tiles of the segments that this replica wrote.

The recorder says of each segment that it is in the store (:meth:`Heatmaps.wrote`), and does not wait. The
segment is read from there, painted in a thread, one at a time, and its tiles are written
(:mod:`depthcast.heat.album`). While the store is away segments wait, up to ``max_waiting``; of more the
earliest is given up, counted, and made up for when a later one of its symbol is added.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from depthcast.aside import Aside
from depthcast.backoff import Backoff
from depthcast.errors import BadFile, StoreError
from depthcast.heat.zooms import suits
from depthcast.logs import Seldom, get_logger
from depthcast.store import Store
from depthcast.tape.keys import SegmentName, parse_segment_key

if TYPE_CHECKING:
    from depthcast.heat.album import Album, Written

MAX_WAITING: Final = 4096
"""Keys of segments that wait; no more than their names is held of them."""

MAX_ALBUMS: Final = 4096
"""Of so many symbols it is remembered what their hours lack."""

AT_ONCE: Final = 4
"""Segments that are worked on at a time; of these one is painted, the others wait for the store."""

RETRY_S: Final = (0.5, 15.0)

T = TypeVar("T")

_log = get_logger("updater")


class Observer(Protocol):
    """Hears what becomes of the tiles. Implemented by :class:`updater.metrics.Metrics`."""

    def tile_written(self, zoom: int, size: int) -> None:
        """A tile of this zoom is in the store; its bytes."""

    def tiles_failed(self) -> None:
        """Those of a segment could not be written for now."""

    def tiles_dropped(self) -> None:
        """A segment was given up: it was damaged, or too many wait."""


class Heatmaps:
    """The tiles of one replica. :meth:`run` it until it is cancelled, then :meth:`finish`."""

    def __init__(
        self,
        store: Store,
        *,
        observer: Observer,
        # Limits
        max_waiting: int = MAX_WAITING,
        max_albums: int = MAX_ALBUMS,
        at_once: int = AT_ONCE,
        retry_s: tuple[float, float] = RETRY_S,
        # Surroundings
        aside: Aside = asyncio.to_thread,
        rng: Random | None = None,
    ) -> None:
        self._store = store
        self._observer = observer
        self._max_waiting = max_waiting
        self._max_albums = max_albums
        self._at_once = at_once
        self._retry_s = retry_s
        self._aside = aside
        self._rng = rng or Random()
        self._one_aside = asyncio.Lock()
        self._waiting: OrderedDict[str, SegmentName] = OrderedDict()
        self._came = asyncio.Event()
        self._albums: OrderedDict[tuple[str, str, int], Album] = OrderedDict()
        self._busy: set[tuple[str, str]] = set()
        self._finishing = False
        self._seldom = Seldom()

    @property
    def waiting(self) -> int:
        """Segments whose tiles are not made yet."""
        return len(self._waiting) + len(self._busy)

    async def wrote(self, segment: object, key: str) -> None:
        """A segment is on the tape; a listener of the recorder's."""
        name = parse_segment_key(key)
        if suits(name.length_s):
            self._wait(key, name)

    def _wait(self, key: str, name: SegmentName) -> None:
        self._waiting[key] = name
        self._waiting.move_to_end(key)
        while len(self._waiting) > self._max_waiting:
            self._waiting.popitem(last=False)
            self._observer.tiles_dropped()
        self._came.set()

    async def run(self) -> None:
        """Make tiles as segments come."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._at_once):
                tasks.create_task(self._work())

    async def finish(self, within_s: float) -> None:
        """Make those that wait, once :meth:`run` was ended; what is not done in time stays undone."""
        self._finishing = True
        try:
            async with asyncio.timeout(within_s):
                await self.run()
        except TimeoutError:
            _log.warning("some of the heatmap's tiles are left to others", segments=len(self._waiting))

    async def _work(self) -> None:
        backoff = Backoff(self._retry_s[0], maximum_s=self._retry_s[1], rng=self._rng)
        while True:
            key = self._next()
            if key is None:
                if self._finishing:
                    return
                self._came.clear()
                await self._came.wait()
                continue
            name = self._waiting.pop(key)
            self._busy.add(name[:2])
            try:
                await self._make(key, name)
                backoff.reset()
            except StoreError as error:
                self._observer.tiles_failed()
                if self._seldom.held_back("heat") is not None:
                    _log.warning("the heatmap's tiles cannot be written; trying again", why=str(error))
                self._wait(key, name)
                await asyncio.sleep(backoff.next_s())
            except asyncio.CancelledError:
                self._wait(key, name)  # for finish
                raise
            except Exception as error:
                # A picture is no reason to end what keeps books.
                self._observer.tiles_dropped()
                _log.error("a segment of the tape cannot be made a picture of", key=key, why=repr(error))
            finally:
                self._busy.discard(name[:2])
                self._came.set()

    def _next(self) -> str | None:
        """The first that waits of a symbol that nobody works on."""
        return next((key for key, name in self._waiting.items() if name[:2] not in self._busy), None)

    async def _make(self, key: str, name: SegmentName) -> None:
        from depthcast.tape.parquet import columns

        stored = await self._store.get(key)
        if stored is None:
            return  # it was expired, or taken away by hand
        try:
            held = await self._alone(columns, stored.body, key)
        except BadFile as error:
            self._observer.tiles_dropped()
            _log.warning("a segment of the tape is damaged, and in no heatmap", why=str(error))
            return
        await self._album(name).add(held)

    def _album(self, name: SegmentName) -> "Album":
        # With numpy and pyarrow behind it: an updater without a tape does without them.
        from depthcast.heat.album import Album

        mine = (name.venue, name.symbol, name.length_s)
        album = self._albums.get(mine)
        if album is None:
            album = self._albums[mine] = Album(
                self._store,
                name.venue,
                name.symbol,
                length_s=name.length_s,
                on_written=self._note,
                aside=self._alone,
            )
        self._albums.move_to_end(mine)
        while len(self._albums) > self._max_albums:
            self._albums.popitem(last=False)
        return album

    async def _alone(self, work: Callable[..., T], /, *given: Any) -> T:
        """Do it aside, one at a time, so that tiles take one thread's time at most."""
        async with self._one_aside:
            done: T = await self._aside(work, *given)
            return done

    def _note(self, written: "Written") -> None:
        self._observer.tile_written(written.tile.zoom.number, written.bytes)

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        assert len(self._waiting) <= self._max_waiting
        assert len(self._albums) <= self._max_albums
        assert len(self._busy) <= self._at_once
        for album in self._albums.values():
            album.check()
