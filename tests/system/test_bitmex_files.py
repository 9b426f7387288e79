"""BitMEX's books as files: the simulated exchange, updaters, a store, the server, and what fails of it.

Each file and each answer is the exchange's own body at the row that its update id counts, byte for byte; none
goes back; what hurts one instrument's book leaves the files of the others alone. Nothing numbers the
exchange's messages, so one that never arrives is noticed by what it leads to, and not before: until then the
files of that instrument, and of no other, may be wrong.
"""

import json
from collections import Counter
from typing import Final

import pytest

from depthcast.store.memory import MemoryStore
from simulator.faults import Kind
from tests.system.audit import Audited, all_are_current, auditor_of
from tests.system.replicas import are_ready, resyncs_of, running, sources_of
from tests.system.rigs import BITMEX
from tests.system.servers import serving
from tests.system.waiting import until
from updater.replica import Replica

HURT: Final = BITMEX.hurt
WELL: Final = BITMEX.well
SYMBOLS: Final = BITMEX.symbols

pytestmark = pytest.mark.timeout(180)


def counted(replica: Replica, name: str, **labels: str) -> float:
    value = replica.metrics.registry.get_sample_value(f"depthcast_{name}_total", labels)
    assert value is not None, name
    return value


async def test_who_may_not_connect_any_more_waits_and_the_other_replica_goes_on() -> None:
    async with BITMEX.simulator(connections_an_hour=2) as sim:
        auditor = auditor_of(sim)
        store = Audited(MemoryStore(), auditor)
        first, second = (BITMEX.replica(sim, store, name) for name in "ab")
        async with running(first):
            await until(lambda: are_ready(first))
            (its,) = sim.exchange.connections
            async with running(second):
                await until(lambda: are_ready(second))
                sim.faults.inject(Kind.DISCONNECT, connection=its, form="abort")
                # The lost connection. It was told that hardly another one is left, and asks for none.
                await until(lambda: counted(first, "feed_errors") == 1)
                await until(lambda: set(auditor.writers.values()) == {"b"}, what=lambda: auditor.writers)
                await all_are_current(auditor, BITMEX.limits)
                assert counted(first, "feed_errors") == 1, "it asked again"
                assert resyncs_of(second) == dict.fromkeys(SYMBOLS, 0)
        assert not auditor.untrue


async def test_replicas_whose_messages_are_cut_otherwise_write_the_same_files() -> None:
    """Each connection has its messages in other pieces, and the second follows where the first one dies."""
    async with BITMEX.simulator(depth=60, rates={Kind.GROUPING: 1.0}) as sim:
        auditor = auditor_of(sim)
        store = Audited(MemoryStore(), auditor)
        first, second = (BITMEX.replica(sim, store, name) for name in "ab")
        async with running(first) as task, running(second):
            await until(lambda: are_ready(first, second))
            await all_are_current(auditor, BITMEX.limits)
            assert set(sources_of(second).values()) == {"stream"}
            task.cancel()
            await until(lambda: set(auditor.writers.values()) == {"b"}, what=lambda: auditor.writers)
            await all_are_current(auditor, BITMEX.limits)
            assert resyncs_of(second) == dict.fromkeys(SYMBOLS, 0)
        assert not auditor.untrue


async def test_the_server_answers_and_refuses_as_the_exchange_does() -> None:
    async with BITMEX.simulator() as sim:
        auditor = auditor_of(sim)
        store = Audited(MemoryStore(), auditor)
        replica = BITMEX.replica(sim, store, "a")
        async with running(replica):
            await until(lambda: are_ready(replica))
            await asks_and_is_refused(store)


async def asks_and_is_refused(store: Audited) -> None:
    async with serving(store, BITMEX.venue) as client:
        book = "/api/v1/orderBook/L2"
        for query, rows in (("", 12), ("&depth=3", 3), ("&depth=0", 12)):
            shown = (await client.get(f"{book}?symbol={HURT}{query}")).json()
            sides = Counter(row["side"] for row in shown)
            assert sides["Buy"] == rows or rows == 12 <= sides["Buy"] + 6, (query, sides)
            prices = [row["price"] for row in shown]
            assert prices == sorted(prices, reverse=True)
        required = {"error": {"message": "'symbol' is a required arg.", "name": "HTTPError"}}
        natural = {"error": {"message": "'depth' must be a non-negative integer.", "name": "HTTPError"}}
        unknown = {"error": {"message": "Not Found", "name": "HTTPError"}}
        for path, status, body in (
            (book, 400, required),
            (f"{book}?symbol={HURT}&depth=-1", 400, natural),
            (f"/bitmex{book}?symbol=NOSUCH", 404, unknown),
        ):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()) == (status, body)
        assert json.loads((await client.get("/api/v1")).content)["name"] == "BitMEX API"
