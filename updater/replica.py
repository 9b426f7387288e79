"""``Replica``: one updater process, put together: feed and REST -> books -> files.

It starts everything at once and lets each part wait for what it needs: books are taken as soon as the symbols
are known, and nothing is written before the store was shown to honour conditions. An exchange or a store
that does not answer is waited for, with a line that says so; what no waiting mends (wrong credentials, no
bucket, ignored conditions, a symbol that does not exist) ends :meth:`Replica.run` with its error.
"""

import asyncio
import time
from asyncio import Task, TaskGroup
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from random import Random

from depthcast.backoff import Backoff
from depthcast.errors import SettingsError, StoreUnavailable, VenueError
from depthcast.events import Diff
from depthcast.feed import Feed, FeedLimits
from depthcast.keeper import Keeper, LiveBook
from depthcast.logs import get_logger
from depthcast.rest import Rest
from depthcast.store import Store
from depthcast.venues.binance import Binance, select_symbols
from updater.metrics import Metrics
from updater.publisher import Publisher
from updater.report import Report
from updater.settings import UpdaterSettings
from updater.slots import Slots
from updater.warm import WarmFiles

_log = get_logger("updater")


class Replica:
    """One replica. :meth:`run` it once; ``store`` stays the caller's to close.

    ``prove`` shows that a store honours conditions or raises what is wrong with it. ``feed_limits`` are the
    websockets' bounds; how many symbols go on one of them is the settings' to say.
    """

    def __init__(
        self,
        settings: UpdaterSettings,
        store: Store,
        *,
        prove: Callable[[Store], Awaitable[object]],
        # Waits
        stop_within_s: float = 5.0,
        retry_initial_s: float = 1.0,
        retry_maximum_s: float = 15.0,
        lag_every_s: float = 0.25,
        feed_limits: FeedLimits | None = None,
        # Surroundings
        clock: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        rng: Random | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._prove = prove
        self._stop_within_s = stop_within_s
        self._retry_s = (retry_initial_s, retry_maximum_s)
        self._lag_every_s = lag_every_s
        self._feed_limits = replace(
            feed_limits or FeedLimits(), streams_per_connection=settings.streams_per_connection
        )
        self._clock = clock
        self._wall_ms = wall_ms
        self._rng = rng or Random()

        self.metrics = Metrics(clock=clock)
        self._slots = Slots(settings.writes_at_once)
        self._publishers: dict[str, Publisher] = {}
        self._warm = WarmFiles(store, settings.limits[-1], on_damaged=self.metrics.damaged)
        self._venue = Binance(settings.binance_rest_url, settings.binance_ws_url)
        self._rest = Rest(
            self._venue,
            share=settings.weight_share,
            background_share=settings.weight_share / 2,
            on_silence=self.metrics.silenced,
            clock=clock,
            wall_ms=wall_ms,
            rng=self._rng,
        )
        self._keeper = Keeper(
            self._make_feed,
            self._rest,
            on_change=self._changed,
            warm=self._warm,
            observer=self.metrics,
            snapshot_limit=settings.snapshot_limit,
            refill_below=settings.refill_below,
            audit_every_s=settings.audit_every_s,
            clock=clock,
            rng=self._rng,
        )
        self._stop = asyncio.Event()
        self._proven = asyncio.Event()
        self._publishing: list[Task[None]] = []
        self.report = Report(
            settings,
            store_url=store.url,
            store_proven=self._proven.is_set,
            keeper=self._keeper,
            feed=self._feed,
            rest=self._rest,
            rest_url=self._venue.rest_url,
            slots=self._slots,
            publishers=self._publishers,
            metrics=self.metrics,
            clock=clock,
            wall_ms=wall_ms,
        )
        self.metrics.read_at_scrape(self.report.gauges)

    def _make_feed(self, take: Callable[[Diff], None], lost: Callable[[Iterable[str]], None]) -> Feed:
        self._feed = Feed(
            self._venue,
            on_diff=take,
            on_error=self.metrics.feed_error,
            on_connection_lost=lost,
            limits=self._feed_limits,
            clock=self._clock,
            rng=self._rng,
        )
        return self._feed

    # Running

    def stop(self) -> None:
        """Take no further update, finish the writes in flight, and let :meth:`run` return."""
        self._stop.set()

    def give_up(self) -> None:
        """After :meth:`stop`: do not wait for the writes in flight either."""
        for task in self._publishing:
            task.cancel()

    async def run(self) -> None:
        """Keep books and publish them until :meth:`stop`.

        Raises :class:`~depthcast.errors.DepthcastError` for what cannot be mended by waiting.
        """
        try:
            async with TaskGroup() as group:
                working = [
                    group.create_task(self._feed.run()),
                    group.create_task(self._keeper.run()),
                    group.create_task(self._follow_symbols(group)),
                    group.create_task(self._prove_store()),
                    group.create_task(self._watch_loop()),
                ]
                await self._stop.wait()
                for task in working:
                    task.cancel()
                await self._finish_writes()
        except BaseExceptionGroup as errors:
            # The first one ended the others.
            raise errors.exceptions[0] from None
        finally:
            await self._rest.close()

    async def _finish_writes(self) -> None:
        for publisher in self._publishers.values():
            publisher.stop()
        for task in self._publishing:
            if not self._proven.is_set():
                task.cancel()
        if not self._publishing:
            return
        _, unfinished = await asyncio.wait(self._publishing, timeout=self._stop_within_s)
        for task in unfinished:
            task.cancel()
        if unfinished:
            _log.warning(
                "writes were given up at the end", symbols=len(unfinished), after_s=self._stop_within_s
            )

    async def _prove_store(self) -> None:
        """Wait until the store has shown that it honours conditions: without them the write rule is void."""
        backoff = self._backoff()
        while not self._proven.is_set():
            try:
                await self._prove(self._store)
            except StoreUnavailable as error:
                _log.warning("waiting for the store", store=self._store.url, error=str(error))
                await asyncio.sleep(backoff.next_s())
            else:
                self._proven.set()
                _log.info("store honours conditions", store=self._store.url)

    async def _follow_symbols(self, group: TaskGroup) -> None:
        """Take up the symbols that the settings mean, now and as the exchange lists new ones."""
        backoff = self._backoff()
        while True:
            try:
                info = await self._rest.exchange_info()
            except VenueError as error:
                _log.warning("waiting for the exchange", url=self._venue.rest_url, error=str(error))
                await asyncio.sleep(backoff.next_s())
                continue
            backoff.reset()
            try:
                self._take_up(select_symbols(self._settings.symbols, info), group)
            except SettingsError as error:
                # At the start it is a mistake; later a symbol was delisted, and the others go on.
                if not self._publishers:
                    raise
                _log.warning("symbols stay as they are", error=str(error))
            if not self._settings.symbols_every_s:
                return
            await asyncio.sleep(self._settings.symbols_every_s)

    def _take_up(self, symbols: Iterable[str], group: TaskGroup) -> None:
        new = [symbol for symbol in symbols if symbol not in self._publishers]
        if not new:
            return
        _log.info("taking up symbols", new=len(new), symbols=", ".join(new[:10]) + ", …" * (len(new) > 10))
        self._keeper.subscribe(new)
        for symbol in new:
            publisher = self._publishers[symbol] = self._make_publisher(self._keeper.books[symbol])
            self._publishing.append(group.create_task(self._publish(publisher)))

    def _make_publisher(self, live: LiveBook) -> Publisher:
        settings = self._settings
        return Publisher(
            live,
            self._store,
            replica=settings.replica,
            observer=self.metrics,
            on_newer_epoch=self._newer_epoch,
            confirm=self._keeper.confirm,
            limits=settings.limits,
            cadence=settings.paced,
            cache_control=settings.cache_control,
            slots=self._slots,
            same_levels_s=settings.same_levels_ms / 1000,
            watch_s=settings.watch_ms / 1000,
            patrol_s=settings.patrol_s,
            epoch_after_s=settings.epoch_after_ms / 1000,
            clock=self._clock,
            wall_ms=self._wall_ms,
            rng=self._rng,
        )

    async def _publish(self, publisher: Publisher) -> None:
        await self._proven.wait()
        await publisher.run()

    async def _watch_loop(self) -> None:
        """Measure by how much the event loop is late: what is late here is late everywhere."""
        while True:
            due = self._clock() + self._lag_every_s
            await asyncio.sleep(self._lag_every_s)
            self.metrics.loop_was_late(max(0.0, self._clock() - due))

    def _backoff(self) -> Backoff:
        initial_s, maximum_s = self._retry_s
        return Backoff(initial_s, minimum_s=initial_s / 2, maximum_s=maximum_s, rng=self._rng)

    def _changed(self, live: LiveBook) -> None:
        self._publishers[live.symbol].wake()

    def _newer_epoch(self, symbol: str, epoch: int) -> None:
        self._warm.newer_epoch(symbol, epoch)
        self._keeper.resync(symbol, "newer epoch", rest_only=True)
