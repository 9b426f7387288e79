"""Ids that went down and that no replica mends by itself: the operator's claim, while replicas run.

The automation is set to wait for longer than the test lasts. Each write, the claim's too, is compared with
the simulator's true book, and no file may go back.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

import pytest

from depthcast.cli.epoch.claim import carry_out, prepare
from depthcast.cli.epoch.mark import mark_all
from depthcast.cli.epoch.published import published
from depthcast.errors import DepthcastError
from depthcast.files import depth_key
from depthcast.rest import Rest
from depthcast.store.memory import MemoryStore
from depthcast.venues.binance import Binance
from simulator.app import Simulator
from simulator.settings import Settings
from tests.system.audit import Audited, Auditor, all_are_current, auditor_of
from tests.system.replicas import are_ready, running_replica
from tests.system.waiting import until
from updater.replica import Replica

LIMITS: Final = (5, 100, 5000)
PACE: Final = ("--limits", "5,100,5000", "--cadence", "100:100,5000:250", "--same-levels-ms", "100")
CARE: Final = ("--epoch-after-ms", "600000", "--watch-ms", "100")
HURT: Final = "BTCUSDT"

pytestmark = pytest.mark.timeout(300)


class World(NamedTuple):
    """A simulated exchange, a store with its auditor, and two replicas."""

    sim: Simulator
    auditor: Auditor
    store: Audited
    replicas: list[Replica]
    rest: Rest

    @property
    def present_id(self) -> int:
        return self.sim.exchange.instruments[HURT].journal.update_id

    async def files_stay_ahead(self) -> None:
        """Ids go down; both replicas have books that count anew, and the files still count as before."""
        self.sim.faults.inject("rebase", symbol=HURT, ids=1_000_000)
        # A book that breaks again so soon waits for some seconds before it is taken anew.
        await until(lambda: all(self.book_is_of_now(replica) for replica in self.replicas), 90)

    def book_is_of_now(self, replica: Replica) -> bool:
        for symbol in replica.report.status()["symbols"]:
            update_id = symbol["update_id"]
            if symbol["symbol"] == HURT and symbol["state"] == "live" and update_id is not None:
                return 0 <= self.present_id - update_id < 100_000
        return False

    async def files_stand_still(self, for_s: float = 1.0) -> None:
        """No file of the symbol was written for so long."""
        loop = asyncio.get_running_loop()
        seen, since = None, loop.time()
        while loop.time() - since < for_s:
            now = {limit: self.auditor.newest[depth_key(HURT, limit)] for limit in LIMITS}
            if now != seen:
                seen, since = now, loop.time()
            await asyncio.sleep(0.05)

    async def claim(self, **more: float) -> str:
        plan = await prepare(self.store, self.rest.snapshot, HURT, **{"still_for_s": 0.6} | more)  # type: ignore[arg-type]
        return await carry_out(self.store, plan)

    async def epochs_agree(self, bound_s: float = 30.0) -> None:
        for _ in range(round(bound_s / 0.05)):
            if len(set(await self.epochs())) == 1:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"the epochs still differ: {await self.epochs()}")

    async def epochs(self) -> list[int]:
        files = await published(self.store, HURT)
        return [file.version.epoch for file in files if file.version is not None]


@pytest.fixture(params=[False, True], ids=["etags of writes", "etags of bodies"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with Simulator(Settings(symbols=2, varied=False)) as sim, contextlib.AsyncExitStack() as stack:
        auditor = auditor_of(sim)
        store = Audited(MemoryStore(content_etags=request.param), auditor)
        urls = ("--rest-url", sim.rest_url, "--ws-url", sim.ws_url)
        rest = await stack.enter_async_context(Rest(Binance(sim.rest_url, sim.ws_url)))
        replicas = [
            await stack.enter_async_context(
                running_replica(store, "--symbols", "all", "--replica", name, *urls, *PACE, *CARE)
            )
            for name in ("a", "b")
        ]
        await until(lambda: are_ready(*replicas), 60)
        yield World(sim, auditor, store, replicas, rest)


async def test_a_claim_mends_what_the_automation_leaves(world: World) -> None:
    await world.files_stay_ahead()
    assert await world.epochs() == [0, 0, 0]
    assert f"{HURT} is at 1:" in await world.claim()
    await all_are_current(world.auditor, LIMITS)
    assert await world.epochs() == [1, 1, 1]
    with pytest.raises(DepthcastError, match="move"):
        await world.claim()


async def test_a_claim_against_writers_at_the_same_time_is_lost_or_won_and_nothing_goes_back(
    world: World,
) -> None:
    """By force, while both replicas write: whoever comes first wins, and all files become current again."""
    for _ in range(2):
        ended = await asyncio.gather(
            *(world.claim(still_for_s=0, force=True) for _ in range(2)), return_exceptions=True
        )
        assert all(isinstance(each, str | DepthcastError) for each in ended), ended
        # A book that is broken again so soon waits for some seconds before it is taken anew.
        await all_are_current(world.auditor, LIMITS, 60)
    await world.epochs_agree()


async def test_of_claims_at_the_same_time_one_is_won(world: World) -> None:
    await world.files_stay_ahead()
    ended = await asyncio.gather(*(world.claim() for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(each, str) for each in ended) == 1
    await all_are_current(world.auditor, LIMITS)
    assert await world.epochs() == [1, 1, 1]


async def test_a_symbol_that_stands_still_is_marked_and_trades_again(world: World) -> None:
    world.sim.exchange.set_status(HURT, "BREAK")
    await world.files_stand_still()
    assert await mark_all(world.store, HURT, "BREAK") == f"{HURT} is BREAK (3 marked)"
    key = depth_key(HURT, 5000)
    before = world.auditor.newest[key]
    assert before[2].status == "BREAK"
    world.sim.exchange.set_status(HURT, "TRADING")
    await until(lambda: world.auditor.newest[key][0] > before[0], 90)
    await all_are_current(world.auditor, LIMITS)
