"""Two venues in one process, over real sockets: what goes wrong with one of them is not the other's."""

import asyncio
from dataclasses import replace
from typing import Final

from depthcast.dispatch import Dispatcher
from depthcast.errors import AccessDenied
from depthcast.feed import FeedLimits
from depthcast.store import Store
from depthcast.store.memory import MemoryStore
from simulator.app import Simulator
from simulator.faults import Kind
from simulator.settings import Settings
from tests.system.audit import Audited, all_are_current, auditor_of
from tests.system.replicas import Totals
from tests.system.waiting import until
from updater.crew import Crew
from updater.outage import Outage
from updater.replica import Replica
from updater.settings import UpdaterSettings
from updater.slots import Slots

LIMITS: Final = (5, 100, 500)
MARKET: Final = Settings(symbols=2, varied=False, depth=300, changes=12, rate=20, hang_s=1)
HASTE: Final = FeedLimits(connects_per_5_min=10_000, reconnect_initial_s=0.1, reconnect_maximum_s=1)


async def test_faults_of_one_venue_leave_the_files_of_the_other_alone() -> None:
    spot = Simulator(MARKET)
    futures = Simulator(replace(MARKET, futures=True, weight_limit=2400, seed=2))
    async with spot, futures:
        of_spot, of_futures = auditor_of(spot), auditor_of(futures)
        store = Audited(Audited(MemoryStore(), of_futures), of_spot)
        settings = {
            each.venue: each
            for each in UpdaterSettings.load_each(
                [
                    *("--venue", "binance,binanceusdm", "--symbols", "BTCUSDT,ETHUSDT"),
                    *("--exchange", "simulator"),
                    *("--simulator-url", f"{spot.rest_url},binanceusdm:{futures.rest_url}"),
                    *("--limits", "5,100,500", "--cadence", "100:50,500:200", "--same-levels-ms", "100"),
                ],
                {},
            )
        }
        dispatcher, slots, outage = Dispatcher(), Slots(48), Outage()
        denied = {"binanceusdm"}

        async def prove(_store: Store) -> None:
            """The conformance suite proves stores."""

        async def refuse(_store: Store) -> None:
            raise AccessDenied("this venue's key is wrong", hint="give another one")

        def make(venue: str) -> Replica:
            wrong = venue in denied
            denied.discard(venue)
            return Replica(
                settings[venue],
                store,
                prove=refuse if wrong else prove,
                feed_limits=HASTE,
                dispatcher=dispatcher,
                slots=slots,
                outage=outage,
            )

        crew = Crew(tuple(settings), make, dispatcher=dispatcher, retry_initial_s=0.2, retry_maximum_s=0.5)
        running = asyncio.ensure_future(crew.run())
        try:
            # The wrong key ends one of them at its start; it is begun anew.
            await until(lambda: crew.ready)
            writes = of_spot.checked.total()
            for kind in (Kind.GAP, Kind.MALFORMED):
                futures.faults.inject(kind, symbol="BTCUSDT")
            futures.faults.inject(Kind.DISCONNECT, form="abort")
            futures.faults.inject(Kind.BAN, delay_s=1.0)
            await until(lambda: Totals([crew.replicas["binanceusdm"]])["depthcast_feed_errors_total", ""] > 0)
            await all_are_current(of_spot, LIMITS)
            assert of_spot.checked.total() > writes
            await all_are_current(of_futures, LIMITS)
            well = Totals([crew.replicas["binance"]])
            for name in ("gaps", "feed_errors", "malformed_frames", "silences"):
                assert well[f"depthcast_{name}_total", ""] == 0, name
            assert not [label for (name, label) in well if name == "depthcast_resyncs_total" and label]
            status = crew.status()
            assert {venue: len(each["symbols"]) for venue, each in status["venues"].items()} == {
                "binance": 2,
                "binanceusdm": 2,
            }
            assert not running.done()
        finally:
            crew.stop()
            await running
    assert of_spot.shorter == of_futures.shorter == 0
    dispatcher.check()
