"""A run: its phases in order, what watches them, and the end of everything that was started.

The exchange runs in this process, and tells the auditor when it told what; the store and the updaters are
processes. Whatever ends the run (Ctrl-C, SIGTERM, an error), all of them are ended first.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any, Final
from urllib.parse import urlsplit

from depthcast.cli.up.tether import tether
from depthcast.store.embedded import SeaweedFS
from simulator import faults
from simulator.app import Simulator
from simulator.depth import DepthUpdate
from simulator.exchange import BookTicker
from simulator.settings import Settings as ExchangeSettings
from soak.ages import Marks
from soak.auditor import Auditor, File
from soak.counters import cpu_s
from soak.disturb import Disturber, plan
from soak.fleet import MARKS, Fleet
from soak.reader import Reader
from soak.record import Done, Phase, Record
from soak.settings import Settings
from soak.verdict import usual_ms

BUCKET: Final = "depthcast"
SCRAPE_EVERY_S: Final = 2.0
FIRST_READ_WITHIN_S: Final = 30.0
CURRENT_WITHIN_S: Final = 60.0
LONE_S: Final = 8.0
"""So long after a disturbance began the exchange's connections are left alone: what is measured then is what
one loss costs, not two at once."""

ON_CONNECTIONS: Final = {faults.Kind.DISCONNECT: 1 / 120, faults.Kind.SHUTDOWN: 1 / 240}
ON_DIFFS: Final = {
    faults.Kind.GAP: 0.0002,
    faults.Kind.REORDER: 0.0001,
    faults.Kind.STRAGGLER: 0.003,
    faults.Kind.DUPLICATE: 0.003,
    faults.Kind.MALFORMED: 0.0001,
    faults.Kind.STALE_SNAPSHOT: 0.2,
    faults.Kind.SLOW_SNAPSHOT: 0.1,
    faults.Kind.FAILED_SNAPSHOT: 0.1,
}
"""Faults of the exchange while the fleet is disturbed, as :mod:`simulator.faults` counts them. Diffs grouped
by connection are not among them: they end a tick behind what ages are measured against."""

COUNTED: Final = {
    "depthcast_writes_total": "outcome",
    "depthcast_takeovers_total": "reason",
    "depthcast_snapshots_total": "source",
    "depthcast_resyncs_total": "reason",
    "depthcast_epoch_claims_total": "event",
    "depthcast_audit_levels_total": "result",
    "depthcast_silences_total": "",
    "depthcast_looks_total": "result",
}
"""The replicas' counters that the report shows, and the label by which."""


class Screen:
    """What a run says while it goes on; this one says nothing."""

    def phase(self, name: str, seconds: float) -> None:
        """A phase begins, and will take about so long."""

    def line(self, text: str) -> None:
        """Something worth a line of its own."""


class Told:
    """Notes when the exchange told what; a listener to every symbol's diffs."""

    def __init__(self, marks: Marks, clock: Callable[[], float]) -> None:
        self._marks = marks
        self._clock = clock

    def on_update(self, update: DepthUpdate) -> None:
        self._marks.told(update.symbol, update.generation, update.last, self._clock())

    def on_ticker(self, ticker: BookTicker) -> None: ...

    def on_tick(self, now_ms: int) -> None: ...


class Store:
    """The embedded store, driven from a thread that lives as long as it does: the store is tied to it."""

    def __init__(self, folder: Path) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self.server = SeaweedFS(folder, bucket=BUCKET, anonymous_prefixes=[""], preexec_fn=tether())

    async def __aenter__(self) -> "Store":
        try:
            await self._do(self.server.start)
        except BaseException:
            self.server.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.stop()
        self._thread.shutdown(wait=True)

    @property
    def port(self) -> int:
        return urlsplit(self.server.aws.endpoint or "").port or 0

    async def restart(self) -> None:
        """kill -9, and a start on the same data and ports."""
        port = self.port
        await self._do(self._kill_and_start)
        if self.port != port:
            raise RuntimeError("another program took the store's port while it was down")

    def _kill_and_start(self) -> None:
        pid = self.server.pid
        if pid is not None:
            os.kill(pid, 9)
        self.server.stop()
        self.server.start()

    async def _do(self, work: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work)


class Run:
    """One run. ``record`` is complete once :meth:`go` has returned, or raised."""

    def __init__(
        self, settings: Settings, screen: Screen, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._screen = screen
        self._clock = clock
        self.sim = Simulator(
            ExchangeSettings(
                seed=settings.seed,
                symbols=settings.symbols,
                rate=settings.rate,
                changes=settings.changes,
                depth=settings.depth,
                # What is shown here is not the pace of requests.
                weight_limit=100_000,
                connections_per_5min=1_000_000,
                hang_s=3,
            )
        )
        marks = Marks()
        told = Told(marks, clock)
        for instrument in self.sim.exchange.instruments.values():
            instrument.listeners[told] = None
        files = [File(symbol, limit) for limit in settings.limits for symbol in self.sim.exchange.instruments]
        self.auditor = Auditor(files, self.sim.truth, marks, clock=clock)
        self.record = Record(settings, files, self.auditor.samples, clock())
        self.names = [f"r{number}" for number in range(1, settings.replicas + 1)]

    async def go(self) -> None:
        """Start everything, go through the phases, end everything."""
        try:
            async with AsyncExitStack() as stack:
                await self._go(stack)
        finally:
            self._finish()

    async def _go(self, stack: AsyncExitStack) -> None:
        settings, record = self._settings, self.record
        self._screen.phase("starting the store", 10)
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True))
        store = await stack.enter_async_context(Store(Path(folder)))
        await stack.enter_async_context(self.sim)
        fleet = await stack.enter_async_context(
            Fleet(
                self.names,
                argv=self._argv(),
                env=store.server.aws.to_env(),
                bucket=BUCKET,
                store_port=store.port,
                feed_port=urlsplit(self.sim.ws_url).port or 0,
                logs=settings.out / "logs",
            )
        )
        stack.callback(self._count, fleet)

        self._screen.phase("starting one replica", 15)
        await fleet.start(self.names[:1])
        reader = Reader(
            f"{store.server.aws.endpoint}/{BUCKET}",
            self.auditor,
            reads_a_second=settings.reads_a_second,
            rng=Random(f"{settings.seed}/readings"),
        )
        watching = await stack.enter_async_context(_watched())
        watching(reader.run())
        watching(self._watch(fleet))
        await self._until(lambda: self.auditor.complete, FIRST_READ_WITHIN_S, "not every file is there")
        await asyncio.sleep(settings.settle_s)

        record.start = self._clock()
        async with self._phase("baseline", settings.baseline_s, fleet, store):
            await asyncio.sleep(settings.baseline_s)

        async with self._phase("joining", 15, fleet, store):
            await fleet.start(self.names[1:])
            await asyncio.sleep(settings.settle_s)

        async with self._phase("fleet", settings.fleet_s, fleet, store):
            await asyncio.sleep(settings.fleet_s)
        record.write_p99_ms = await fleet.write_p99_ms() or 0.0

        async with self._phase("disturbed", settings.disturbed_s, fleet, store):
            await self._disturb(fleet, store)

        self.sim.faults.clear()
        async with self._phase("recovering", 10, fleet, store):
            since = record.done[-1].end if record.done else self._clock()
            with suppress(TimeoutError):
                await self._until(self._all_current, CURRENT_WITHIN_S, "files stayed late")
                record.current_after_s = max(0.0, self._clock() - since)
        async with self._phase("quiet", settings.quiet_s, fleet, store):
            await asyncio.sleep(settings.quiet_s)

        self._screen.phase("stopping", 5)
        await fleet.scrape()
        stopped = await asyncio.gather(*(replica.stop() for replica in fleet.replicas.values()))
        record.stopped_in_order = dict(zip(self.names, stopped, strict=True))

    def _argv(self) -> list[str]:
        settings = self._settings
        return [
            *("--store-url", f"s3://{BUCKET}", "--symbols", "all"),
            *("--rest-url", self.sim_rest_url),
            *("--limits", ",".join(map(str, settings.limits)), "--cadence", settings.cadence),
            *("--same-levels-ms", str(settings.same_levels_ms)),
            *("--epoch-after-ms", str(settings.epoch_after_ms)),
            *("--takeover-after-ms", str(settings.takeover_after_ms)),
            *settings.extra,
        ]

    @property
    def sim_rest_url(self) -> str:
        return self.sim.rest_url

    async def _disturb(self, fleet: Fleet, store: Store) -> None:
        """What is planned, one after the other; the next one waits until the one before is taken back."""
        settings, begun = self._settings, self._clock()
        disturber = Disturber(fleet, self.sim, store.restart, seed=settings.seed)
        planned = plan(
            settings.disturbed_s,
            self.names,
            list(self.sim.exchange.instruments),
            every_s=(12, 12) if settings.quick else settings.every_s,
            seed=settings.seed,
        )
        self.sim.faults.set_rates(ON_DIFFS)
        for index, disturbance in enumerate(planned):
            await asyncio.sleep(max(0.0, begun + disturbance.at_s - self._clock()))
            self.sim.faults.set_rates(ON_DIFFS)
            start, written = self._clock(), self.auditor.writers()[disturbance.target]
            self._screen.line(f"{start - self.record.start:6.1f} s  {disturbance.label}")
            try:
                await disturber.do(disturbance)
            finally:
                self.record.done.append(Done(disturbance, start, self._clock(), written))
            await asyncio.sleep(max(0.0, start + LONE_S - self._clock()))
            if index + 1 < len(planned):
                self.sim.faults.set_rates(ON_DIFFS | ON_CONNECTIONS)
        await asyncio.sleep(max(0.0, begun + settings.disturbed_s - self._clock()))

    @asynccontextmanager
    async def _phase(self, name: str, seconds: float, fleet: Fleet, store: Store) -> AsyncIterator[None]:
        """Measure what happens inside."""
        self._screen.phase(name, seconds)
        await fleet.scrape()
        phase = Phase(name, self._clock(), self._clock())
        self.record.phases.append(phase)
        wire, writes = self._wire(fleet), fleet.counters.by("depthcast_writes_total", "outcome")
        takeovers = fleet.counters.total("depthcast_takeovers_total")
        cpu, busy = self._cpu(fleet, store), _busy_s()
        try:
            yield
        finally:
            phase.end, phase.writers = self._clock(), dict(self.auditor.writers())
            phase.wire = {mark: count - wire[mark] for mark, count in self._wire(fleet).items()}
            now = self._cpu(fleet, store)
            phase.cpu = {
                who: now[who] - seconds for who, seconds in cpu.items() if now.get(who, 0) >= seconds
            }
            phase.busy = (_busy_s() - busy) / max(phase.seconds, 1e-9) / (os.cpu_count() or 1)
        await fleet.scrape()
        phase.takeovers = fleet.counters.total("depthcast_takeovers_total") - takeovers
        after = fleet.counters.by("depthcast_writes_total", "outcome")
        phase.writes = {outcome: count - writes.get(outcome, 0) for outcome, count in after.items()}

    @staticmethod
    def _wire(fleet: Fleet) -> dict[str, int]:
        return {mark: fleet.wire(mark) for mark in MARKS}

    @staticmethod
    def _cpu(fleet: Fleet, store: Store) -> dict[str, float]:
        own = {"soak": time.process_time(), "store": cpu_s(store.server.pid or 0)}
        return own | fleet.cpu_s()

    def _all_current(self) -> bool:
        ages = [(file.limit, self.auditor.age_s(file)) for file in self.auditor.files]
        return all(
            age_s is not None and 1000 * age_s <= usual_ms(self.record, limit) for limit, age_s in ages
        )

    async def _until(self, condition: Callable[[], bool], bound_s: float, otherwise: str) -> None:
        """Wait; raises ``TimeoutError`` after ``bound_s``."""
        end = self._clock() + bound_s
        while not condition():
            if self._clock() > end:
                raise TimeoutError(f"{otherwise} after {bound_s:.0f} s")
            await asyncio.sleep(0.1)

    async def _watch(self, fleet: Fleet) -> None:
        """Read the counters now and then; notice a replica that ended by itself, and start it again."""
        told = 0
        while True:
            await asyncio.sleep(SCRAPE_EVERY_S)
            await fleet.scrape()
            for text in fleet.ended_by_themselves():
                self.record.ended_by_themselves = (*self.record.ended_by_themselves, text)
                self._screen.line(f"[red]ended by itself: {text}[/]")
                fleet.replicas[text.partition(":")[0]].start()
            for violation in list(self.auditor.violations)[told:]:
                self._screen.line(f"[red]{violation.kind}: {violation.key}: {violation.text}[/]")
                told += 1

    def _count(self, fleet: Fleet) -> None:
        self.record.counts = {name: fleet.counters.by(name, label) for name, label in COUNTED.items()}

    def _finish(self) -> None:
        auditor, record = self.auditor, self.record
        auditor.check()
        record.violations, record.violation_count = tuple(auditor.violations), auditor.violation_count
        record.versions, record.readings = dict(auditor.versions), dict(auditor.readings)
        record.shorter, record.every_file_read = auditor.shorter, auditor.complete
        record.faults = {kind.value: count for kind, count in sorted(self.sim.faults.counts.items())}


@asynccontextmanager
async def _watched() -> AsyncIterator[Callable[[Any], None]]:
    """Tasks that run beside what is inside; one that fails ends it."""
    inside = asyncio.current_task()
    assert inside is not None
    tasks: list[asyncio.Task[None]] = []
    failed: list[BaseException] = []

    def ended(task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            failed.append(error)
            inside.cancel()

    def run(work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        assert isinstance(task, asyncio.Task)
        task.add_done_callback(ended)
        tasks.append(task)

    try:
        yield run
    except asyncio.CancelledError:
        if failed:
            inside.uncancel()
            raise failed[0] from None
        raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _busy_s() -> float:
    """Processor seconds used on this machine since it started, by everybody; 0 where that cannot be read."""
    try:
        fields = Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:]
    except OSError:
        return 0.0
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
