"""``Replica``: one updater process, put together: feed and REST -> books -> files.

It starts everything at once and lets each part wait for what it needs: books are taken as soon as the symbols
are known, and nothing is written before the store was shown to honour conditions and the other replicas were
heard of. Told to stop, it goes on until others write what it wrote. An exchange or a store
that does not answer is waited for, with a line that says so; what no waiting mends (wrong credentials, no
bucket, ignored conditions, a symbol that does not exist) ends :meth:`Replica.run` with its error.
"""

import asyncio
import time
from asyncio import TaskGroup
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from random import Random
from typing import Final

from depthcast.aside import Aside
from depthcast.backoff import Backoff
from depthcast.dispatch import Dispatcher
from depthcast.errors import StoreError, StoreUnavailable
from depthcast.events import Diff
from depthcast.feed import Feed, FeedLimits
from depthcast.feed.websocket import Connect
from depthcast.heartbeat import State
from depthcast.http_client import HttpClient
from depthcast.keeper import Keeper, LiveBook
from depthcast.logs import get_logger
from depthcast.orders import Anomaly, Tolerance
from depthcast.rest import Rest
from depthcast.store import Store
from depthcast.venues import ExchangeInfo
from depthcast.venues.binance_signing import ApiKey
from depthcast.venues.keeping import StreamKey
from updater import turns
from updater.asking import Asking, sharing
from updater.assignment import place
from updater.beat import Beat
from updater.fleet import SETTLE_S, Fleet
from updater.heat import Heatmaps
from updater.holdings import Holdings
from updater.marks import Marks
from updater.metadata import EXCHANGE_INFO, SYSTEM_STATUS, Metadata
from updater.metrics import Metrics
from updater.outage import Outage
from updater.progress import Bars, Progress
from updater.publisher import Publisher
from updater.report import Report
from updater.settings import UpdaterSettings
from updater.slots import Slots
from updater.suspicions import Suspicion, Suspicions
from updater.tape.recorder import Recorder
from updater.warm import WarmFiles

HEATMAPS_WITHIN_S: Final = 3.0
"""How long a replica that ends still makes tiles of what it just recorded."""

MARKS_EVERY_S: Final = 300.0
"""How often it is looked whether files have the right status although the list says nothing new."""

_log = get_logger("updater")


class Replica:
    """One replica. :meth:`run` it once; ``store`` stays the caller's to close.

    ``prove`` shows that a store honours conditions or raises what is wrong with it; ``key`` is that of the
    account in the settings, ``stream_key`` the one that the exchange's stream wants. ``feed_limits`` are the
    websockets' bounds; how many symbols go on one of them is the settings' to say. ``rebuild_maximum_s`` is
    the longest pause before a book that keeps breaking is begun anew. ``connect`` and ``http`` are the ways
    to the exchange, the network's by default. ``aside`` does what takes long elsewhere than in the event
    loop; ``dispatcher`` gives turns to what is done in it.
    """

    def __init__(
        self,
        settings: UpdaterSettings,
        store: Store,
        *,
        prove: Callable[[Store], Awaitable[object]],
        key: ApiKey | None = None,
        stream_key: StreamKey | None = None,
        # Waits
        stop_within_s: float = 5.0,
        retry_initial_s: float = 1.0,
        retry_maximum_s: float = 15.0,
        rebuild_maximum_s: float = 15.0,
        lag_every_s: float = 0.25,
        settle_timeout_s: float = 3.0,
        feed_limits: FeedLimits | None = None,
        # Surroundings
        connect: Connect | None = None,
        http: HttpClient | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        rng: Random | None = None,
        aside: Aside = asyncio.to_thread,
        # Shared with other replicas of the process
        dispatcher: Dispatcher | None = None,
        slots: Slots | None = None,
        outage: Outage | None = None,
        bars: Bars | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._prove = prove
        self._stop_within_s = stop_within_s
        self._retry_s = (retry_initial_s, retry_maximum_s)
        self._lag_every_s = lag_every_s
        self._settle_timeout_s = settle_timeout_s
        self._venue = settings.make_venue(key=stream_key, wall_ms=wall_ms)
        self._tolerances: dict[str, Tolerance] = {}
        self._feed_limits = replace(
            feed_limits or FeedLimits.of(self._venue),
            streams_per_connection=settings.streams_per_connection,
        )
        self._connect = connect
        self._clock = clock
        self._wall_ms = wall_ms
        self._rng = rng or Random()
        self._aside = aside
        self._dispatcher = dispatcher or Dispatcher(clock=clock)

        self.metrics = Metrics(clock=clock)
        self._slots = slots or Slots(settings.writes_at_once)
        self._outage = outage or Outage(clock=clock)
        self._bars = bars
        scheme = self._venue.scheme
        self._warm = WarmFiles(store, settings.limits[-1], scheme=scheme, on_damaged=self.metrics.damaged)
        self._marks = Marks(store, mine=self._comes_first, scheme=scheme, on_marked=self.metrics.marked)
        self._rest = Rest(
            self._venue,
            share=settings.weight_share,
            background_share=settings.weight_share / 2,
            cautious=True,
            on_silence=self._silenced,
            http=http,
            clock=clock,
            wall_ms=wall_ms,
            rng=self._rng,
        )
        self.tape = self._make_recorder() if settings.tape else None
        self.heatmaps = self._make_heatmaps(self.tape) if self.tape is not None and settings.heatmap else None
        self._keeper = Keeper(
            self._make_feed,
            self._rest,
            on_change=self._changed,
            warm=self._warm,
            may_ask=self._may_ask,
            leads=self._comes_first,
            tap=self.tape,
            observer=self.metrics,
            buffer=settings.keeping.buffer,
            book_of=lambda symbol: settings.keeping.book_of(self._tolerance(symbol)),
            sync_of=settings.keeping.sync_of,
            disagree_for_s=settings.disagree_for_s,
            doubt_after_s=settings.doubt_after_s,
            snapshot_limit=settings.snapshot_limit,
            refill_below=settings.refill_below,
            refill_urgent_below=settings.refill_urgent_below,
            audit_every_s=settings.audit_every_s,
            retry_maximum_s=rebuild_maximum_s,
            dispatcher=self._dispatcher,
            clock=clock,
            rng=self._rng,
        )
        self._stop = asyncio.Event()
        self._handed_over = asyncio.Event()
        self._in_a_hurry = False
        self._proven = asyncio.Event()
        self._group: TaskGroup | None = None
        self._asking = Asking()
        self._info: ExchangeInfo | None = None
        self._marking = asyncio.Event()
        self.metadata = Metadata(
            settings,
            store,
            rest=self._rest,
            key=key,
            take=self._list,
            begin=self._hear_of_pauses,
            ready=self._proven.wait,
            on_poll=self.metrics.polled,
            on_document=self.metrics.documented,
            on_silence=self._silenced_elsewhere,
            backoff=self._backoff,
            http=http,
            clock=clock,
            wall_ms=wall_ms,
            rng=self._rng,
        )
        self._suspicions = Suspicions(silent_after_s=settings.silent_after_s, on_suspected=self._suspected)
        self._holdings = Holdings(self._keeper, self._make_publisher, self._may_write)
        self._fleet = Fleet(
            store,
            Beat(
                settings,
                keeper=self._keeper,
                feed=self._feed,
                rest=self._rest,
                publishers=self._holdings.publishers,
                listed=self._holdings.listed,
                status=self._marks.status,
                polls=self.metadata.polls.beats,
                maintenance=lambda: self.metadata.maintenance,
                suspicions=self._suspicions,
                metrics=self.metrics,
                clock=clock,
                wall_ms=wall_ms,
            ),
            replica=settings.replica,
            scheme=scheme,
            observer=self.metrics,
            on_reading=self._fleet_read,
            on_pause=self._rest.silence,
            # Where everybody holds everything there is nobody to wait for.
            settle_s=SETTLE_S if settings.redundancy else 0.0,
            clock=clock,
        )
        self.report = Report(
            settings,
            store_url=store.url,
            store_proven=self._proven.is_set,
            keeper=self._keeper,
            feed=self._feed,
            rest=self._rest,
            rest_url=self._venue.rest_url,
            slots=self._slots,
            holdings=self._holdings,
            fleet=self._fleet,
            status_of=self._marks.status,
            metrics=self.metrics,
            tape=self.tape,
            heatmaps=self.heatmaps,
            anomalies=self._anomalies,
            clock=clock,
            wall_ms=wall_ms,
        )
        self.metrics.read_at_scrape(self.report.gauges)
        if dispatcher is None:
            # One that is shared is its owner's to tell of.
            self.metrics.read_at_scrape(partial(turns.families, self._dispatcher))

    def _make_feed(self, take: Callable[[Diff], None], lost: Callable[[Iterable[str]], None]) -> Feed:
        self._feed = Feed(
            self._venue,
            on_diff=take,
            on_error=self.metrics.feed_error,
            on_connection_lost=lost,
            on_reached=lambda symbol, update_id: self._keeper.reached(symbol, update_id),
            limits=self._feed_limits,
            connect=self._connect,
            dispatcher=self._dispatcher,
            clock=self._clock,
            rng=self._rng,
        )
        return self._feed

    def _tolerance(self, symbol: str) -> Tolerance:
        """What the books of a symbol bear, whichever of them: what they bore is counted together."""
        found = self._tolerances.get(symbol)
        if found is None:
            settings = self._settings
            found = Tolerance(bears=settings.bears, within=settings.bears_within)
            self._tolerances[symbol] = found
        return found

    def _anomalies(self) -> Counter[Anomaly]:
        """What contradicted the books of all symbols. O(symbols)."""
        return sum((each.counts for each in self._tolerances.values()), Counter())

    def _make_recorder(self) -> Recorder:
        settings = self._settings
        return Recorder(
            self._store,
            settings.tape,
            venue=settings.venue,
            replica=settings.replica,
            observer=self.metrics,
            rank=self._rank,
            streams=lambda symbol: self._feed.live(symbol),
            books=lambda: self._keeper.books,
            begin=self._may_write,
            length_s=settings.tape_segment_s,
            memory_mb=settings.tape_backlog_mb,
            aside=self._aside,
            clock=self._clock,
            wall_ms=self._wall_ms,
            rng=self._rng,
        )

    def _make_heatmaps(self, tape: Recorder) -> Heatmaps:
        heatmaps = Heatmaps(self._store, observer=self.metrics, aside=self._aside, rng=self._rng)
        tape.listeners.append(heatmaps.wrote)
        return heatmaps

    # Running

    def stop(self) -> None:
        """Hand over to other replicas, finish the writes in flight, and let :meth:`run` return."""
        self._stop.set()

    def give_up(self) -> None:
        """After :meth:`stop`: wait neither for others nor for the writes in flight."""
        self._in_a_hurry = True
        self._handed_over.set()
        self._holdings.give_up()
        if self.tape is not None:
            self.tape.give_up()

    async def run(self) -> None:
        """Keep books and publish them until :meth:`stop`.

        Raises :class:`~depthcast.errors.DepthcastError` for what cannot be mended by waiting.
        """
        try:
            async with TaskGroup() as self._group:
                working = [
                    self._group.create_task(work)
                    for work in (
                        self._feed.run(),
                        self._keeper.run(),
                        self._fleet.run(),
                        self.metadata.run(),
                        self._keep_marked(),
                        self._prove_store(),
                        self._progress(),
                        self._watch_loop(),
                        *([] if self.tape is None else [self.tape.run()]),
                        *([] if self.heatmaps is None else [self.heatmaps.run()]),
                    )
                ]
                await self._stop.wait()
                await self._hand_over()
                for task in working:
                    task.cancel()
                await asyncio.gather(
                    self._holdings.finish(self._stop_within_s, begun=self._proven.is_set()),
                    *([] if self.tape is None else [self._finish_tape(self.tape)]),
                )
                if self._proven.is_set() and not self._in_a_hurry:
                    await self._fleet.say_goodbye()
        except BaseExceptionGroup as errors:
            # The first one ended the others; parts with tasks of their own raise groups within the group.
            first: BaseException = errors
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
            raise first from None
        finally:
            await self.metadata.close()
            await self._rest.close()

    async def _finish_tape(self, tape: Recorder) -> None:
        await tape.finish(self._stop_within_s)
        # Who makes the next minute's tile makes up for what is left out here.
        if self.heatmaps is not None and self._proven.is_set() and not self._in_a_hurry:
            await self.heatmaps.finish(min(self._stop_within_s, HEATMAPS_WITHIN_S))

    async def _hand_over(self) -> None:
        """Go on until other replicas write what this one does, for a bounded time; alone, not at all."""
        if self._fleet.alone or not self._holdings.publishers:
            return
        self._fleet.leave()
        _log.info("leaving", symbols=len(self._holdings.publishers), within_s=self._settings.leave_within_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.leave_within_s):
                await self._handed_over.wait()

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

    async def _progress(self) -> None:
        name = "" if self._bars is None else self._settings.venue
        await Progress(self._keeper.books, self._rest, name=name, bars=self._bars, clock=self._clock).run()

    async def _watch_loop(self) -> None:
        """Measure by how much the event loop is late: what is late here is late everywhere."""
        while True:
            due = self._clock() + self._lag_every_s
            await asyncio.sleep(self._lag_every_s)
            self.metrics.loop_was_late(max(0.0, self._clock() - due))

    def _backoff(self) -> Backoff:
        initial_s, maximum_s = self._retry_s
        return Backoff(initial_s, minimum_s=initial_s / 2, maximum_s=maximum_s, rng=self._rng)

    # Which symbols there are

    async def _hear_of_pauses(self) -> None:
        """The exchange may have banned this address a moment ago. A store that is away is not waited for."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settle_timeout_s):
                await self._fleet.heard.wait()

    async def _list(self, info: ExchangeInfo, symbols: set[str]) -> None:
        self._rest.learn(info)
        self._marks.learn(info)
        self._holdings.relist(symbols)
        self._assign()
        self._info = info
        self._marking.set()

    async def _keep_marked(self) -> None:
        """Mark files with their symbols' status: when the list says something new, and now and then."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(MARKS_EVERY_S):
                    await self._marking.wait()
            self._marking.clear()
            if self._info is None:
                continue
            try:
                await self._marks.update(self._info)
            except StoreError as error:
                _log.warning("files were not marked with their symbols' status", error=str(error))

    # The fleet

    def _fleet_read(self) -> None:
        self._outage.read()
        self._rest.peers = sharing(self._fleet.living, self._fleet.own)
        self._asking.read(self._fleet.living, self._clock())
        self.metadata.read(self._fleet.living, self._fleet.own)
        self.metadata.derive(self._marks.statuses, self._fleet.living)
        self._assign()

    def _assign(self) -> None:
        # Who shares the symbols out has to know first with whom.
        if self._group is None or (self._settings.redundancy and not self._fleet.settled):
            return
        living, own = self._fleet.living, self._fleet.own
        self._holdings.assign(
            living, own, self._group, earlier=self._fleet.earlier, missing=self._fleet.missing
        )
        if own.state is State.LEAVING and (self._fleet.alone or self._holdings.handed_over(living, own)):
            self._handed_over.set()

    def _may_ask(self, symbol: str) -> bool:
        before = self._holdings.place(symbol).before
        return self._asking.may_ask(symbol, before, self._fleet.living, self._clock())

    def _rank(self, symbol: str) -> int:
        return place(symbol, self._fleet.living, self._fleet.own).rank

    def _comes_first(self, symbol: str) -> bool:
        return self._rank(symbol) == 0

    def _suspected(self, symbol: str, suspicion: Suspicion) -> None:
        """A symbol looks as if it stood still: who writes its files asks the exchange at once."""
        if not self._comes_first(symbol):
            return
        _log.warning("a symbol looks as if it stood still", symbol=symbol, suspicion=suspicion.what.value)
        self.metadata.polls.nudge(EXCHANGE_INFO)
        self.metadata.polls.nudge(SYSTEM_STATUS)

    def _silenced(self, pause_ms: int) -> None:
        self.metrics.silenced(pause_ms)
        self._fleet.silenced(pause_ms)

    def _silenced_elsewhere(self, pause_ms: int) -> None:
        """A host of the exchange's other than that of market data asked this address for silence."""
        self._rest.silence(pause_ms)
        self._silenced(pause_ms)

    # Publishing

    def _make_publisher(self, live: LiveBook, rank: int) -> Publisher:
        settings = self._settings
        return Publisher(
            live,
            self._store,
            replica=settings.replica,
            observer=self.metrics,
            on_newer_epoch=self._newer_epoch,
            confirm=self._keeper.confirm,
            status=partial(self._marks.status, live.symbol),
            scheme=self._venue.scheme,
            limits=settings.limits,
            cadence=settings.paced,
            cache_control=settings.cache_control,
            rank=rank,
            takeover_after_s=settings.takeover_after_ms / 1000,
            slots=self._slots,
            outage=self._outage,
            dispatcher=self._dispatcher,
            same_levels_s=settings.same_levels_ms / 1000,
            watch_s=settings.watch_ms / 1000,
            patrol_s=settings.patrol_s,
            epoch_after_s=settings.epoch_after_ms / 1000,
            clock=self._clock,
            wall_ms=self._wall_ms,
            rng=self._rng,
        )

    async def _may_write(self) -> None:
        """Nothing is written before the store was shown to be fit and the others were heard of."""
        await self._proven.wait()
        await self._fleet.read.wait()

    def _changed(self, live: LiveBook) -> None:
        self._holdings.changed(live)

    def _newer_epoch(self, symbol: str, epoch: int) -> None:
        self._warm.newer_epoch(symbol, epoch)
        self._keeper.resync(symbol, "newer epoch", rest_only=True)
