"""Full size: 20 symbols, 5,000 published levels, ten updates a second each, every fault at random at once.

Two replicas race for one SeaweedFS. Every file they write and every answer of the server is compared with the
simulator's true book byte for byte, and none may go back. ``DEPTHCAST_SOAK_MINUTES`` makes the run longer.
"""

import asyncio
import contextlib
import json
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

import aiohttp
import pytest

from depthcast.feed import FeedLimits
from depthcast.files import Version
from depthcast.store import open_store
from simulator.app import Simulator
from simulator.faults import ALL_RATES, TIMED_KINDS, Kind
from simulator.market import Profile, listing_of
from simulator.settings import Settings
from tests.system.audit import Audited, Auditor, all_are_current, auditor_of
from tests.system.replicas import Totals, are_ready, resyncs_of, running_replica, states_of
from tests.system.servers import running_server
from tests.system.waiting import until
from updater.replica import Replica

SECONDS: Final = 60 * float(os.environ.get("DEPTHCAST_SOAK_MINUTES") or 0) or 12.0

SYMBOLS: Final = 20
ODD: Final = {
    "THINUSDT": Profile(bids=30, asks=30, changes=5, quiet=0.3),
    "ASKSUSDT": Profile(bids=0, asks=30, changes=5, quiet=0.3),
    "TINYUSDT": Profile(bids=1, asks=1, changes=1.5, quiet=0.6),
}
"""Beside the 20 full-size symbols: thin and one-sided books, and one of a single level a side."""

LIMITS: Final = (5, 100, 5000)
PACE: Final = ("--limits", "5,100,5000", "--cadence", "100:250,5000:1000", "--same-levels-ms", "250")
CARE: Final = ("--epoch-after-ms", "1000", "--watch-ms", "200", "--audit-every-s", "10")

# Half a minute of waiting for a dead socket is as right as eight seconds, but takes longer.
HASTE: Final = FeedLimits(
    connects_per_5_min=10_000,
    reconnect_maximum_s=2,
    idle_timeout_s=8,
    silent_after_s=6,
    silent_maximum_s=12,
    overlap_s=8,
    handover_initial_s=0.5,
    handover_maximum_s=2,
)

RATES: Final = {
    **ALL_RATES,
    Kind.DISCONNECT: 1 / 40,
    Kind.HALF_OPEN: 1 / 90,
    Kind.SHUTDOWN: 1 / 60,
    # By order, below: ids that go down by less than two diffs cannot be told from the stream.
    Kind.REBASE: 0,
    Kind.THROTTLE: 1 / 30,
    Kind.BAN: 1 / 60,
}
KINDS: Final = set(Kind) - {Kind.ERROR}
"""Binance refuses no subscription for its name."""

RECOVERED_WITHIN_S: Final = 180.0
"""Pauses between attempts at a book that keeps breaking grow to 15 s, a ban and its echo last 7 s; then an
epoch may have to be claimed, and on a busy machine each step takes its time."""

pytestmark = [
    pytest.mark.store_process,
    pytest.mark.timeout(0 if SECONDS > 12 else 420),
]


async def test_at_full_size_with_every_fault_at_once(s3_bucket: Mapping[str, str]) -> None:
    settings = Settings(
        symbols=SYMBOLS,
        varied=False,
        # Snapshots by the hundred: what is shown here is not the pace of requests.
        weight_limit=10_000_000,
        connections_per_5min=1_000_000,
        hang_s=3,
    )
    store = open_store(s3_bucket["DEPTHCAST_STORE_URL"], s3_bucket)
    async with Simulator(settings) as sim, contextlib.AsyncExitStack() as stack:
        for symbol, profile in ODD.items():
            sim.exchange.add_market(listing_of(symbol), profile)
        auditor = auditor_of(sim)
        urls = ("--rest-url", sim.rest_url, "--ws-url", sim.ws_url)
        replicas = [
            await stack.enter_async_context(
                running_replica(
                    Audited(store, auditor),
                    *("--symbols", "all", "--replica", name, *urls, *PACE, *CARE),
                    feed_limits=HASTE,
                )
            )
            for name in ("a", "b")
        ]
        await until(lambda: are_ready(*replicas), 90)
        url = await stack.enter_async_context(running_server(s3_bucket))
        reading = asyncio.ensure_future(read_answers(url, sim, auditor))
        stack.callback(reading.cancel)

        await one_symbol_alone_is_hurt(sim, replicas)
        before, frames = time.monotonic(), frames_of(replicas)
        await everything_goes_wrong(sim, SECONDS)
        pace = (frames_of(replicas) - frames) / (time.monotonic() - before) / len(replicas) / SYMBOLS
        assert sim.faults.counts.keys() == KINDS

        sim.faults.clear()
        recovering = time.monotonic()
        await all_are_current(auditor, LIMITS, RECOVERED_WITHIN_S)
        took = time.monotonic() - recovering
        if reading.done():
            await reading
        totals = Totals(replicas)
        report(sim, auditor, totals, pace, took)

        assert auditor.answers > 0
        assert auditor.shorter > 0
        assert totals["depthcast_audit_levels_total", "matching"] > 0
        assert [
            totals["depthcast_audit_levels_total", result] for result in ("different", "ghost", "missing")
        ] == [0, 0, 0]
        assert totals["depthcast_epoch_claims_total", "won"] > 0
    await store.close()


async def one_symbol_alone_is_hurt(sim: Simulator, replicas: Sequence[Replica]) -> None:
    """Faults of one symbol's diffs cost that symbol a resync, and no other one anything."""
    before = resyncs(replicas)
    hurt = "SOLUSDT"
    sim.faults.inject(Kind.GAP, symbol=hurt, count=2)
    await until(lambda: len(sim.faults.waiting) == 0)
    sim.faults.inject(Kind.MALFORMED, symbol=hurt, count=2)
    sim.faults.inject(Kind.REBASE, symbol=hurt, ids=1_000_000)
    await until(lambda: all(after[hurt] > 0 for after in grown(replicas, before)))
    await until(lambda: all(states_of(replica)[hurt] == "live" for replica in replicas))
    for after in grown(replicas, before):
        assert after.keys() == {hurt}


async def everything_goes_wrong(sim: Simulator, seconds: float) -> None:
    """All faults at random for so long, and each kind at least once."""
    rng = Random(1)
    faults, loop = sim.faults, asyncio.get_running_loop()
    symbols = list(sim.exchange.instruments)
    faults.set_rates(RATES)
    end = loop.time() + seconds
    # What waits for its opportunity first: a new connection, say, which a disconnect brings about.
    orders = sorted(sorted(KINDS), key=lambda kind: (kind in TIMED_KINDS, rng.random()))
    for kind in orders:
        match kind:
            case Kind.DISCONNECT | Kind.HALF_OPEN | Kind.SHUTDOWN:
                await until(lambda: sim.exchange.connections)
                faults.inject(kind, connection=rng.choice(list(sim.exchange.connections)))
            case Kind.REBASE:
                faults.inject(kind, symbol=rng.choice(symbols), ids=1_000_000)
            case _:
                faults.inject(kind)
        await asyncio.sleep(0.6 * seconds / len(orders))
    while loop.time() < end:
        faults.inject(Kind.REBASE, symbol=rng.choice(symbols), ids=rng.randint(2_000, 20_000))
        await asyncio.sleep(3)
    await until(lambda: not faults.waiting, 30)


async def read_answers(url: str, sim: Simulator, auditor: Auditor) -> None:
    """Ask the server for any symbol and limit: its answers too are true, and never go back."""
    rng = Random(2)
    symbols = list(sim.exchange.instruments)
    seen: dict[tuple[str, int], Version] = {}
    refused = 0
    async with aiohttp.ClientSession() as session:
        while True:
            await asyncio.sleep(0.05)
            symbol, limit = rng.choice(symbols), rng.choice((5, 7, 100, 1000, 5000))
            async with session.get(
                f"{url}/api/v3/depth", params={"symbol": symbol, "limit": limit}
            ) as answer:
                body = await answer.read()
            if answer.status == 503:
                # Not in memory, and the store, as busy as all here, did not answer in time.
                refused += 1
                assert json.loads(body)["code"] == -1001
                assert refused <= 5 + auditor.answers / 50
                continue
            assert answer.status == 200, body
            epoch, update_id = map(int, answer.headers["depthcast-version"].split(":"))
            assert update_id == json.loads(body)["lastUpdateId"]
            assert Version(epoch, update_id) >= seen.get((symbol, limit), Version(0, 0)), (
                "an answer went back"
            )
            seen[symbol, limit] = Version(epoch, update_id)
            auditor.check_body(symbol, limit, update_id, body)
            auditor.answers += 1


# What the replicas say of themselves


def resyncs(replicas: Sequence[Replica]) -> list[Counter[str]]:
    """How often each replica has built each symbol's book anew."""
    return [Counter(resyncs_of(replica)) for replica in replicas]


def grown(replicas: Sequence[Replica], before: Sequence[Counter[str]]) -> list[Counter[str]]:
    return [now - earlier for now, earlier in zip(resyncs(replicas), before, strict=True)]


def frames_of(replicas: Sequence[Replica]) -> int:
    return sum(replica.report.status()["feed"]["frames"] for replica in replicas)


def report(sim: Simulator, auditor: Auditor, totals: Totals, pace: float, took: float) -> None:
    """One paragraph for people."""
    faults = ", ".join(f"{kind} {count}" for kind, count in sorted(sim.faults.counts.items()))
    print(
        f"\nFull size: {auditor.checked.total()} files and answers ({auditor.answers} answers) are true,"
        f" {auditor.shorter} of them shorter and say so; {pace:.1f} updates a second and symbol;"
        f" faults: {faults}; resyncs: {totals.of('depthcast_resyncs_total')};"
        f" books from: {totals.of('depthcast_snapshots_total')};"
        f" epochs: {totals.of('depthcast_epoch_claims_total')};"
        f" audited levels: {totals.of('depthcast_audit_levels_total')};"
        f" all current {took:.1f} s after the last fault."
    )
