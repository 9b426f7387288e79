"""One run: a world of replicas, a store and an exchange, disturbed by chance, then left alone and judged.

``run(seed)`` is all there is to it: everything is drawn from the seed, and a run that breaks a promise raises
:class:`Broken` with the history about it. ``python -m tests.simulation --seed N --verbose`` shows it whole.
"""

import contextlib
import gc
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Final
from unittest.mock import patch

import structlog

from depthcast.files import Version, depth_key
from depthcast.keeper import finding
from simulator.exchange import Exchange
from simulator.listing import Listing
from simulator.market import Profile
from simulator.scale import Scale
from simulator.truth import Truth
from tests.simulation.history import Broken, Event, History
from tests.simulation.reader import STALE_AFTER_S, Reading
from tests.simulation.replicas import REPLAYED_CHANGES, WALL_S, Node
from tests.simulation.rules import Rules
from tests.simulation.speech import SPOT, Speech
from tests.simulation.storage import Bucket
from tests.simulation.trouble import Trouble
from tests.simulation.venue import Venue
from tests.simulation.world import START_S, Stuck, World
from updater.cadence import Cadence

__all__ = ["Broken", "Result", "run"]

SYMBOLS: Final = ("ETHUSDT", "XBTUSDT")

SETTLE_S: Final = 40.0
"""So long after the last fault every pause that one may have caused is over; the longest are 15 s."""

LOST_BEFORE_S: Final = 10.0
"""So long before the system is judged a file is lost: who took its writer's place gives it back by then."""

JUDGED_S: Final = 12.0
TRIAL_S: Final = 8.0

CALM_TICK_S: Final = 1.0
MOST_WRITES: Final = 1.5
"""A second and file, where each second brings one update."""

TRIAL_WITHIN_S: Final = 6.5
"""Who writes is found dead within three seconds, or its file to lag within one or two; a look, a read and the
write follow, each of which takes some hundredths of a second; and then two updates."""


MOST_SKEW_MS: Final = 10 * 3600 * 1000
"""A wall clock is wrong by so much at most. One that is a day behind the exchange's publishes no list of
symbols (:data:`depthcast.metadata.recorder.MAX_SERVER_AHEAD_MS`)."""


@dataclass(frozen=True)
class Result:
    """What a run was. ``digest`` is equal for equal histories, ``writes`` are those of files that were done:
    key, version, body and writer, in order."""

    seed: int
    virtual_s: float
    faults: Counter[str]
    writes_checked: int
    reads_checked: int
    writes_a_second: float
    """Of a file, while judged, the most."""
    digest: str
    writes: list[tuple[str, Version, bytes, str]]
    events: list[Event]


def run(
    seed: int, minutes: float = 2.0, *, clocks: int = 0, verbose: bool = False, speech: Speech = SPOT
) -> Result:
    """Run the world that ``seed`` describes. ``clocks``: other wall clocks, and nothing else; ``speech``: the
    exchange.

    Raises :class:`Broken`.
    """
    with _quiet(verbose) as logged, _seldom_collecting(), _small_pieces():
        one = _Run(seed, minutes, clocks, speech)
        try:
            return one.run(logged)
        finally:
            one.end()


class _Run:
    def __init__(self, seed: int, minutes: float, clocks: int, speech: Speech) -> None:
        rng = Random(f"run {seed}")
        self._clock_rng = Random(f"clocks {seed} {clocks}")
        self._seed = seed
        self._speech = speech
        self._minutes = minutes
        self._rng = rng
        self._names = 0
        self._files = tuple((symbol, limit) for symbol in SYMBOLS for limit in speech.limits)
        world = self._world = World()
        replay = f"python -m tests.simulation --seed {seed} --minutes {minutes:g} --verbose"
        if speech is not SPOT:
            replay += f" --venue {speech.venue}"
        history = self._history = History(seed, lambda: world.now - START_S, replay)
        exchange = self._exchange = Exchange(
            wall_ms=lambda: round((WALL_S + world.now) * 1000),
            seed=seed,
            truth=Truth(history_s=minutes * 60 + 600, keyframe_changes=200),
            first_id=0,
            futures=speech.futures,
        )
        for symbol in SYMBOLS:
            exchange.add_market(_listing(symbol, rng), _profile(rng))
        rules = self._rules = Rules(world, history, exchange, speech)
        self._venue = Venue(world, history, rules, exchange, Random(rng.random()), speech)
        rules.current_until = self._venue.current_until
        store_skew_ms = self._skew_ms()
        self._bucket = Bucket(
            world,
            history,
            rules,
            Random(rng.random()),
            content_etags=rng.random() < 0.5,
            wall_ms=lambda: round((WALL_S + world.now) * 1000) + store_skew_ms,
        )
        count = rng.choice((2, 3, 3, 3, 4, 5))
        self._settings: dict[str, object] = {
            "symbols": ("all",),
            "symbols_every_s": 12.0,
            "venue": speech.venue,
            "limits": speech.limits,
            "cadence": Cadence.parse(speech.cadence),
            "patrol_s": 15.0,
            "epoch_after_ms": 5000,
            "audit_every_s": rng.choice((10.0, 30.0)),
            "redundancy": rng.choice((0, 0, 2)),
            "takeover_after_ms": rng.choice((300, 500, 500, 800)),
            "leave_within_s": 3.0,
            "address": rng.choice(("", "home")),
            "rest_url": "http://exchange",
            "ws_url": "ws://exchange",
        }
        self.nodes: list[Node] = []
        for _ in range(count):
            self.join()
        self._reading = Reading(
            world,
            self._bucket,
            self._venue,
            rules,
            history,
            SYMBOLS,
            Random(rng.random()),
            trusted_skew_s=self._trusted_skew_s,
        )
        self._trouble = Trouble(self, world, history, self._bucket, self._venue, Random(rng.random()))

    # What trouble may do

    def join(self) -> Node:
        """A replica of a new name; it is to be started."""
        self._names += 1
        node = Node(
            f"r{self._names}",
            self._world,
            self._bucket,
            self._venue,
            self._rules,
            self._settings,
            rng=Random(self._rng.random()),
            skew_ms=self._skew_ms(),
        )
        self.nodes.append(node)
        return node

    def skew(self, node: Node) -> None:
        """Its wall clock is set to another time."""
        node.skew_ms = self._skew_ms()

    def _skew_ms(self) -> int:
        rng = self._clock_rng
        return rng.choice((0, rng.randint(-4000, 4000), rng.randint(-MOST_SKEW_MS, MOST_SKEW_MS)))

    def _trusted_skew_s(self) -> float:
        """By how much a clock that a server takes for right may be wrong."""
        return min(STALE_AFTER_S, max(abs(node.skew_ms) / 1000 for node in self.nodes))

    # The run

    def run(self, logged: list[str]) -> Result:
        """Trouble, calm, and the trial of a takeover."""
        rules, world, end = self._rules, self._world, START_S + self._minutes * 60
        judged_from = end - JUDGED_S - TRIAL_S
        self._world.later(0.0, self._venue.tick)
        for node in self.nodes:
            world.later(self._rng.random() * 3, node.start)
        self._reading.start()
        self._trouble.begin(until=judged_from - SETTLE_S)
        self._pass(judged_from - SETTLE_S, logged)
        self._trouble.end()
        self._venue.tick_s = CALM_TICK_S
        self._pass(judged_from - LOST_BEFORE_S, logged)
        # No write is late any more, so what is lost is found to be missing and written anew: no older, but
        # where ids went down and nobody has claimed the next epoch yet.
        symbol, limit = Random(f"lost {self._seed}").choice(self._files)
        lost = depth_key(symbol, limit, self._speech.scheme)
        self._bucket.lose(lost)
        generation = self._exchange.instruments[symbol].journal.generation
        rules.lost(lost, ids_went_down=generation > 0)
        self._pass(judged_from, logged)
        rules.calm_since = world.now
        busiest = self._judge(judged_from + JUDGED_S, logged)
        self._try_takeover(end, logged)
        counts = self._exchange.faults.counts
        return Result(
            seed=self._seed,
            virtual_s=self._minutes * 60,
            faults=self._history.faults + Counter({str(kind): n for kind, n in counts.items()}),
            writes_checked=rules.checked,
            reads_checked=self._reading.checked,
            writes_a_second=busiest,
            digest=self._history.digest(),
            writes=[(key, version, body, who) for _, key, version, body, who in rules.won],
            events=self._history.events,
        )

    def end(self) -> None:
        """Leave nothing behind."""
        self._world.end()

    def _pass(self, until: float, logged: list[str]) -> None:
        """Let time pass and look after the invariants."""
        world = self._world
        while world.now < until:
            try:
                world.run_until(min(until, world.now + 0.25))
            except Stuck as stuck:
                raise self._history.broken("progress", str(stuck)) from stuck
            if self._rules.verdict is not None:
                raise self._rules.verdict
            for failure in (*world.failures, *logged):
                raise self._history.broken("alive", failure)
            if world.now // 2 != (world.now - 0.25) // 2:
                self._check()

    def _check(self) -> None:
        try:
            for node in self.nodes:
                node.check()
            self._reading.check()
        except AssertionError as error:
            raise self._history.broken("check", str(error)) from error

    # Liveness

    def _judge(self, until: float, logged: list[str]) -> float:
        """Nothing is wrong any more: every file is fresh, and nobody writes more than it takes."""
        world, began = self._world, self._world.now
        while world.now < until:
            self._pass(min(until, world.now + 0.5), logged)
            self._expect_fresh("fresh", 0.0)
        busiest = 0.0
        for symbol, limit in self._files:
            key = depth_key(symbol, limit, self._speech.scheme)
            rate = sum(at >= began for at in self._rules.sent[key]) / (world.now - began)
            busiest = max(busiest, rate)
            if rate > MOST_WRITES:
                raise self._history.broken("storm", f"{rate:.2f} writes a second of {key}", key)
        return busiest

    def _try_takeover(self, end: float, logged: list[str]) -> None:
        """One replica that writes is struck, and the others go on."""
        living = [node for node in self.nodes if node.running]
        if len(living) > 1:
            lately = [who for at, _, _, _, who in self._rules.won if at > self._world.now - JUDGED_S]
            names = {node.process.name: node for node in living if node.process is not None}
            node = next((names[who] for who in reversed(lately) if who in names), living[0])
            self._trouble.strike(node)
        self._pass(self._world.now + TRIAL_WITHIN_S, logged)
        while self._world.now < end:
            self._pass(min(end, self._world.now + 0.5), logged)
            self._expect_fresh("takeover", 1.0)

    def _expect_fresh(self, invariant: str, more_s: float) -> None:
        cadence = Cadence.parse(self._speech.cadence)
        for symbol, limit in self._files:
            key = depth_key(symbol, limit, self._speech.scheme)
            # Two updates late, its cadence, levels that stay as they were for a second, and the way.
            bound_s = 2 * CALM_TICK_S + cadence.every_s(limit) + 1.0 + 0.3 + more_s
            generation, wanted = self._venue.told_at(symbol, self._world.now - bound_s)
            version = self._rules.versions.get(key)
            present = self._exchange.instruments[symbol].journal
            if version is None or version.update_id < wanted or version.update_id > present.update_id:
                why = f"{bound_s:.2f} s after {wanted} of generation {generation} the file is {version}"
                raise self._history.broken(invariant, why, key)


def _listing(symbol: str, rng: Random) -> Listing:
    """Prices cross a power of ten within the book: "9.99" and "10.01" are in another order as text."""
    tick = 10**9 // rng.randrange(10_160, 10_480)
    return Listing(symbol, symbol[:3], symbol[3:], Scale(8, 8), tick, 1_000)


def _profile(rng: Random) -> Profile:
    side = rng.choice((18, 40, 40))
    return Profile(
        bids=side,
        asks=rng.choice((side, 20)),
        changes=rng.choice((2.0, 4.0, 8.0)),
        quiet=rng.choice((0.1, 0.3, 0.6)),
        burst=0.02,
        wander=rng.choice((0.3, 0.8)),
    )


@contextlib.contextmanager
def _seldom_collecting() -> Iterator[None]:
    """A run makes much and keeps most of it: looking for garbage often would find little."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _small_pieces() -> contextlib.AbstractContextManager[object]:
    """Books of a few levels are built in pieces, too."""
    return patch.object(finding, "REPLAYED_CHANGES", REPLAYED_CHANGES)


@contextlib.contextmanager
def _quiet(verbose: bool) -> Iterator[list[str]]:
    """Keep log lines away; what is logged as a defect is told, for nobody may swallow one."""
    defects: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.ERROR:
                error = record.exc_info[1] if record.exc_info else None
                defects.append(f"{record.getMessage()} {error!r}")

    handler = Handler()
    ours = logging.getLogger("depthcast")
    before: dict[str, Any] = structlog.get_config()
    ours.addHandler(handler)
    propagates, ours.propagate = ours.propagate, False
    if not verbose:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield defects
    finally:
        structlog.configure(**before)
        ours.removeHandler(handler)
        ours.propagate = propagates
