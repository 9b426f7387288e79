"""Updaters, a store and a server together: what readers are told when each of them is lost.

Real replicas over a simulated exchange with real sockets, in this process; the server reads the same store.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from depthcast.errors import StoreUnavailable
from depthcast.files import heartbeat_key
from depthcast.store import Store
from depthcast.store.memory import MemoryStore
from depthcast.venues.binance_rest import DEPTH_PATH
from server.answers import Answer, Asked
from server.service import Service
from server.settings import ServerSettings
from simulator.app import Simulator
from simulator.settings import Settings
from tests.system.test_fleet import Way
from updater.replica import Replica
from updater.settings import UpdaterSettings

MARKET = Settings(symbols=2, varied=False, depth=200, changes=5, weight_limit=1_000_000)

pytestmark = pytest.mark.timeout(180)


class Site:
    """A simulated exchange, two replicas, and servers with different policies for stale files."""

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim
        self.symbol = next(iter(sim.exchange.instruments))
        self.store = MemoryStore()
        self.ways: dict[str, Way] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, name: str) -> None:
        async def proven(_: Store) -> None:
            """The conformance suite proves stores."""

        urls = ("--rest-url", self.sim.rest_url, "--ws-url", self.sim.ws_url)
        settings = UpdaterSettings.load(
            ("--symbols", "all", "--replica", name, "--limits", "5,100", *urls), {}
        )
        way = self.ways[name] = Way(self.store)
        self.tasks[name] = asyncio.ensure_future(Replica(settings, way, prove=proven).run())

    def pause(self) -> None:
        """The market stands still: books are quiet, and connections stay."""
        self.sim._tasks[0].cancel()

    def go_on(self) -> None:
        self.sim._tasks[0] = asyncio.ensure_future(self.sim.work()[0])

    async def crash(self, name: str) -> None:
        """As kill -9 does: nothing is said, and nothing is finished."""
        self.ways[name].cut = True
        self.tasks[name].cancel()
        await asyncio.gather(self.tasks[name], return_exceptions=True)

    @contextlib.asynccontextmanager
    async def serve(self, policy: str) -> AsyncIterator["Reader"]:
        way = Way(self.store)
        settings = ServerSettings.load(
            ("--stale-policy", policy, "--rest-url", self.sim.rest_url, "--symbols-refresh-s", "1"),
            {},
        )
        service = Service(settings, way)
        work = asyncio.ensure_future(service.run())
        try:
            yield Reader(service, way, self.symbol)
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await service.close()


class Reader:
    """One who asks a server for the best five levels."""

    def __init__(self, service: Service, way: Way, symbol: str) -> None:
        self.service = service
        self.way = way
        self._query = f"symbol={symbol}&limit=5".encode()

    async def ask(self) -> tuple[int, dict[str, str], bytes]:
        given = self.service.app._endpoints[DEPTH_PATH](Asked(self._query))
        answer = given if isinstance(given, Answer) else await given
        headers = {name.decode(): value.decode() for name, value in answer.headers}
        return answer.status, headers, answer.body

    async def state(self) -> tuple[int, str]:
        status, headers, _ = await self.ask()
        return status, headers.get("depthcast-state", "")

    async def says(self, status: int, state: str, within_s: float) -> None:
        """Ask until this is the answer; fails after ``within_s``."""
        end = asyncio.get_running_loop().time() + within_s
        while (said := await self.state()) != (status, state):
            assert asyncio.get_running_loop().time() < end, f"it still says {said}"
            await asyncio.sleep(0.02)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with Simulator(MARKET) as sim:
        site = Site(sim)
        site.begin("a")
        site.begin("b")
        yield site
        for name in site.tasks:
            await site.crash(name)


async def test_quiet_books_stay_live_until_the_last_updater_dies_and_come_back(site: Site) -> None:
    async with (
        site.serve("serve") as marked,
        site.serve("unavailable") as strict,
        site.serve("proxy") as asking,
    ):
        readers = (marked, strict, asking)
        for reader in readers:
            await reader.says(200, "live", 30)
        site.pause()
        await asyncio.sleep(7)  # longer than a file may be unheard of
        for reader in readers:
            assert await reader.state() == (200, "live")
        await site.crash("a")
        await asyncio.sleep(7)
        for reader in readers:
            assert await reader.state() == (200, "live"), "the other replica vouches for it"
        await site.crash("b")
        await marked.says(200, "stale", 15)
        await strict.says(503, "stale", 15)
        await asking.says(200, "proxied", 15)
        _, _, body = await marked.ask()
        assert (await asking.ask())[2] == body, "the exchange's own book is the quiet one"
        site.begin("a")
        site.go_on()
        for reader in readers:
            await reader.says(200, "live", 30)


async def test_with_the_store_away_books_go_on_being_served_and_age(site: Site) -> None:
    async with site.serve("serve") as reader:
        await reader.says(200, "live", 30)
        reader.way.cut = True
        await reader.says(200, "stale", 15)
        _, headers, _ = await reader.ask()
        assert int(headers["age"]) >= 4
        reader.way.cut = False
        await reader.says(200, "live", 15)
        assert "age" not in (await reader.ask())[1]


async def test_without_heartbeats_books_are_judged_by_their_changes(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site.serve("serve") as reader:

        async def refused(_: str) -> None:
            raise StoreUnavailable("heartbeats are somebody else's")

        await reader.says(200, "live", 30)
        key = heartbeat_key("a")
        assert await site.store.get(key) is not None
        reader.service._listener._roster.read = lambda: refused(key)  # type: ignore[method-assign]
        await asyncio.sleep(7)
        assert await reader.state() == (200, "live")
        site.pause()
        await reader.says(200, "stale", 15)
