"""A reader of the files: the server's hot files, its freshness and what it hears of the fleet."""

import asyncio
from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Final

from depthcast.errors import DepthcastError
from depthcast.files import Version, depth_key
from server.freshness import DEFAULT_STALE_AFTER_S, Freshness
from server.hot import HotFile, HotFiles
from server.listener import Listener
from server.pulse import Pulse
from tests.simulation.history import History
from tests.simulation.replicas import LIMITS, WALL_S
from tests.simulation.rules import Rules
from tests.simulation.storage import Bucket, Way
from tests.simulation.venue import Venue
from tests.simulation.world import Process, World

STALE_AFTER_S: Final = DEFAULT_STALE_AFTER_S
ASKS_EVERY_S: Final = 0.5


class Reading:
    """One server process, asked for every file twice a second."""

    def __init__(
        self,
        world: World,
        bucket: Bucket,
        venue: Venue,
        rules: Rules,
        history: History,
        symbols: Sequence[str],
        rng: Random,
    ) -> None:
        self.checked = 0
        self.process = Process(world, "reader", origin_s=float(rng.randrange(100_000)))
        self._world = world
        self._venue = venue
        self._rules = rules
        self._history = history
        self._keys = [depth_key(symbol, limit) for symbol in symbols for limit in LIMITS]
        self._seen: dict[str, Version] = {}
        store = Way(bucket, self.process, cached=rng.choice((0.0, 0.2)))
        clock, wall_ms = self.process.loop.time, lambda: round((WALL_S + world.now) * 1000)
        self._pulse = Pulse(trust_s=STALE_AFTER_S)
        self._freshness = Freshness(self._pulse, wall_ms=wall_ms)
        self._listener = Listener(store, self._pulse, clock=clock, wall_ms=wall_ms, rng=rng)
        self._make_hot = partial(HotFiles, store, refresh_s=0.25, clock=clock, spread=rng.random, rng=rng)
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
