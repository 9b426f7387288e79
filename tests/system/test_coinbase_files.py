"""Coinbase by order as files: the simulated exchange, updaters, a store, the server, and what fails of it.

Each file and each answer is the exchange's own body at its sequence, byte for byte; none goes back; what
hurts one product's book leaves the files of the others alone.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final

import pytest

from depthcast.files import parse_key
from depthcast.store.memory import MemoryStore
from simulator.coinbase.session import Session
from simulator.faults import Kind
from tests.system.audit import Audited, Auditor, all_are_current, auditor_of
from tests.system.oracles import CoinbasePricesOracle
from tests.system.replicas import are_live, are_ready, resyncs_of, running, sources_of
from tests.system.rigs import COINBASE
from tests.system.servers import serving
from tests.system.waiting import until

HURT: Final = COINBASE.hurt
WELL: Final = COINBASE.well
pytestmark = pytest.mark.timeout(180)


async def test_a_replica_that_dies_is_followed_by_the_other_from_the_very_files() -> None:
    async with COINBASE.simulator() as sim:
        auditor = auditor_of(sim)
        store = Audited(MemoryStore(), auditor)
        first, second = (COINBASE.replica(sim, store, name) for name in "ab")
        async with running(first) as task, running(second):
            await until(lambda: are_ready(first, second))
            await all_are_current(auditor, COINBASE.limits)
            # One of the two got its books from files of the other: of both only so many asked.
            assert set(sources_of(second).values()) <= {"file", "rest"}
            task.cancel()
            await until(lambda: set(auditor.writers.values()) == {"b"}, what=lambda: auditor.writers)
            await all_are_current(auditor, COINBASE.limits)


async def test_a_product_that_the_stream_does_not_know_is_named_and_the_others_are_published(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is still in the list of products, and the exchange refuses a whole message for it."""
    plain = Session._subscribe

    def subscribe(session: Session, wanted: list[tuple[str, str]], request: Mapping[str, Any]) -> None:
        if any(product == HURT for _, product in wanted):
            reason = f"{HURT} is not a valid product"
            session.send(json.dumps({"type": "error", "message": "Failed to subscribe", "reason": reason}))
        else:
            plain(session, wanted, request)

    monkeypatch.setattr(Session, "_subscribe", subscribe)
    async with COINBASE.simulator() as sim:
        auditor = auditor_of(sim)
        replica = COINBASE.replica(sim, Audited(MemoryStore(), auditor), "a")
        async with running(replica):
            await all_are_current(auditor, COINBASE.limits, symbols=[WELL])
            await all_are_current(auditor, COINBASE.limits, symbols=[WELL])
            errors = "depthcast_feed_errors_total"
            await until(lambda: replica.metrics.registry.get_sample_value(errors))
            assert resyncs_of(replica).keys() == {*COINBASE.symbols}
        assert auditor.checked.keys() == {WELL}
    told = capfd.readouterr()
    assert f"the exchange refused the subscription to {HURT} alone" in told.out + told.err


async def test_messages_that_were_lost_last_are_missed_because_of_the_heartbeats() -> None:
    """No other one follows that would show it, and nothing of the product is taken for silent by then."""
    async with COINBASE.simulator() as sim:
        auditor = auditor_of(sim)
        replica = COINBASE.replica(sim, Audited(MemoryStore(), auditor), "a")
        async with running(replica):
            await until(lambda: are_ready(replica))
            sim.faults.inject(Kind.GAP, symbol=HURT, count=1_000_000)
            await until(lambda: sim.faults.counts[Kind.GAP] >= 5)
            sim.exchange.set_status(HURT, "offline")
            await all_are_current(auditor, COINBASE.limits, symbols=[HURT])
            assert resyncs_of(replica) == {symbol: int(symbol == HURT) for symbol in COINBASE.symbols}
            count = replica.metrics.registry.get_sample_value
            assert count("depthcast_resyncs_total", {"reason": "silent behind the exchange"}) == 1


async def test_without_a_key_prices_are_published_with_versions_from_time() -> None:
    async with COINBASE.simulator() as sim:
        auditor = Auditor(CoinbasePricesOracle(sim))
        store = Audited(MemoryStore(), auditor)
        first, second = (COINBASE.replica(sim, store, name, "--by-price") for name in "ab")
        async with running(first) as task, running(second), serving(store, COINBASE.venue) as client:
            await until(lambda: are_ready(first, second))
            await until(lambda: min(auditor.checked.values()) > 10, what=lambda: auditor.checked)
            sim.faults.inject(Kind.DISCONNECT, form="abort")
            await until(lambda: are_live(first, second))
            task.cancel()
            await until(lambda: set(auditor.writers.values()) == {"b"}, what=lambda: auditor.writers)
            before = auditor.checked.total()
            await until(lambda: auditor.checked.total() > before + 50)
            answer = await client.get(f"/products/{WELL}/book?level=2")
            assert answer.status_code == 200
            assert {row[2] for row in answer.json()["bids"]} == {0}
            assert (await client.get(f"/products/{WELL}/book?level=3")).status_code == 503
        assert {parse_key(key).limit for key in auditor.newest} == {1, 2}


async def test_the_server_refuses_in_the_exchange_s_words() -> None:
    async with COINBASE.simulator() as sim:
        auditor = auditor_of(sim)
        store = Audited(MemoryStore(), auditor)
        replica = COINBASE.replica(sim, store, "a")
        async with running(replica), serving(store, COINBASE.venue) as client:
            await until(lambda: are_ready(replica))
            end = asyncio.get_running_loop().time() + 60
            while (await client.get(f"/products/{WELL}/book")).status_code != 200:
                assert asyncio.get_running_loop().time() < end
                await asyncio.sleep(0.1)
            best = (await client.get(f"/products/{WELL}/book")).json()
            assert len(best["bids"]) == len(best["asks"]) == 1
            for level, habit in ((1, "no-cache"), (2, "max-age=2"), (3, "max-age=1")):
                answer = await client.get(f"/products/{WELL}/book?level={level}")
                assert answer.headers["cache-control"] == habit
            for path, status, body in (
                (f"/products/{WELL}/book?level=4", 400, {"message": "unexpected level: _"}),
                ("/products/NO-SUCH/book", 404, {"message": "NotFound"}),
                ("/coinbaseexchange/products/no/book", 404, {"message": "NotFound"}),
            ):
                answer = await client.get(path)
                assert (answer.status_code, answer.json()) == (status, body)
            assert (await client.get(f"/products/{WELL}/x/book")).status_code == 404
            assert (await client.get("/products/{symbol}/book")).status_code == 404
            assert "epoch" in (await client.get("/time")).json()
