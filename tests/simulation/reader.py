"""A reader of the files: the server's hot files, its freshness and what it hears of the fleet."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Final

from depthcast.errors import DepthcastError
from depthcast.files import Version, depth_key, parse_key
from server.freshness import DEFAULT_STALE_AFTER_S, Freshness, State
from server.hot import HotFile, HotFiles
from server.listener import Listener
from server.pulse import Pulse
from tests.simulation.history import History
from tests.simulation.replicas import WALL_S
from tests.simulation.rules import Rules
from tests.simulation.storage import CACHED_S, Bucket, Way
from tests.simulation.venue import Venue
from tests.simulation.world import Process, World

STALE_AFTER_S: Final = DEFAULT_STALE_AFTER_S
REFRESH_S: Final = 0.5
ASKS_EVERY_S: Final = 0.7

SLACK_S: Final = STALE_AFTER_S + CACHED_S + 2.0
"""What is called live was current, or written, or vouched for, within this time. A server believes what it
hears, as of when it hears it: it reads heartbeats each second, and files half a second apart here."""


class Reading:
    """One server process, asked for two files of each symbol again and again."""

    def __init__(
        self,
        world: World,
        bucket: Bucket,
        venue: Venue,
        rules: Rules,
        history: History,
        symbols: Sequence[str],
        rng: Random,
        *,
        trusted_skew_s: Callable[[], float],
    ) -> None:
        self.checked = 0
        self.process = Process(world, "reader", origin_s=float(rng.randrange(100_000)))
        self._trusted_skew_s = trusted_skew_s
        self._world = world
        self._venue = venue
        self._rules = rules
        self._history = history
        speech = venue.speech
        self._keys = [
            depth_key(symbol, limit, speech.scheme)
            for symbol in symbols
            for limit in rng.sample(speech.limits, 2)
        ]
        self._seen: dict[str, Version] = {}
        self._states: dict[str, State] = {}
        store = Way(bucket, self.process, cached=rng.choice((0.0, 0.2)))
        clock, wall_ms = self.process.loop.time, lambda: round((WALL_S + world.now) * 1000)
        self._pulse = Pulse(trust_s=STALE_AFTER_S)
        self._freshness = Freshness(self._pulse, wall_ms=wall_ms)
        self._listener = Listener(
            store, self._pulse, scheme=speech.scheme, clock=clock, wall_ms=wall_ms, rng=rng
        )
        self._make_hot = partial(
            HotFiles, store, refresh_s=REFRESH_S, clock=clock, spread=rng.random, rng=rng
        )
        self._hot: HotFiles | None = None

    def start(self) -> None:
        self.process.spawn(self._main())

    def check(self) -> None:
        self._pulse.check()
        if self._hot is not None:
            self._hot.check()

    async def _main(self) -> None:
        self._hot = self._make_hot()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listener.run())
            for key in self._keys:
                group.create_task(self._ask(self._hot, key))

    async def _ask(self, hot: HotFiles, key: str) -> None:
        while True:
            try:
                file = hot.get(key) or await hot.read(key)
            except DepthcastError:
                file = None
            if file is not None:
                self._look(key, file)
            await asyncio.sleep(ASKS_EVERY_S)

    def _look(self, key: str, file: HotFile) -> None:
        edition = file.edition
        assert edition is not None
        self.checked += 1
        before = self._seen.get(key)
        if before is not None and edition.version < before:
            self._rules.fail("reader back", f"a reader got {edition.version} after {before}", key)
        if before != edition.version:
            self._history.note("reader", "sees", key, str(edition.version))
        self._seen[key] = edition.version
        currency = self._freshness.of(file, self.process.loop.time())
        if currency.state is not self._states.get(key):
            self._states[key] = currency.state
            self._history.note("reader", "calls it", key, currency.state.name)
        if currency.state is State.LIVE:
            self._check_live(key, edition.version)

    def _check_live(self, key: str, version: Version) -> None:
        symbol = parse_key(key).symbol
        known_at = max(
            self._venue.current_until(symbol, version.update_id),
            self._rules.written_at(key, version),
            self._rules.vouched_at(symbol, version.update_id),
        )
        late_s = self._world.now - known_at
        if late_s > SLACK_S + self._trusted_skew_s():
            self._rules.fail("live", f"{version} is called live {late_s:.2f} s after it was the book", key)
