"""What neither messages nor the best ten show of BitMEX's books is found by comparing them with its answers.

The simulated exchange, an updater and a store, as in :mod:`tests.system.test_bitmex_files`: files are true
but for what is ordered here, and true again after it was found; the other instrument's files never suffer.
"""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import pytest

from depthcast.venues.bitmex_files import BITMEX
from simulator.bitmex.app import BitmexSimulator
from simulator.bitmex.rows import BUY, Row
from simulator.bitmex.session import Session
from simulator.faults import Kind
from tests.system.test_bitmex_files import (
    HURT,
    SYMBOLS,
    WELL,
    Audited,
    caught_up,
    counted,
    replica_of,
    resyncs,
    running,
    simulated,
    until,
)
from updater.replica import Replica

pytestmark = pytest.mark.timeout(180)

SELDOM: Final = ("--symbols-every-s", "600")
"""Requests are 24 a minute, of which the background has half."""

FOREVER: Final = "1000000"


@contextlib.asynccontextmanager
async def published(*argv: str, **settings: Any) -> AsyncIterator[tuple[BitmexSimulator, Audited, Replica]]:
    async with simulated(**settings) as sim:
        store = Audited(sim)
        replica = replica_of(sim, store, "a", *SELDOM, *argv)
        async with running(replica):
            await until(lambda: replica.report.ready)
            await caught_up(sim, store)
            yield sim, store, replica
            assert resyncs(replica)[WELL] == 0
            assert set(store.untrue) <= {HURT}
            assert store.wrong == []


def built_anew(replica: Replica, reason: str) -> float:
    name = "depthcast_resyncs_total"
    return replica.metrics.registry.get_sample_value(name, {"reason": reason}) or 0.0


async def test_a_lost_change_far_below_the_best_that_nothing_touches_again_is_found_and_mended() -> None:
    async with published("--audit-every-s", "4", "--doubt-after-s", FOREVER, depth=60) as (
        sim,
        store,
        replica,
    ):
        market = sim.exchange.markets[HURT]
        price = min(row.price for row in market.book.rows()) // 2
        row = Row(7, BUY, 4321, price, market.time_ms, market.time_ms)
        store.borne.add(HURT)
        # The flow never comes there, so nothing changes this row again.
        sim.faults.inject(Kind.GAP, symbol=HURT)
        market.play("insert", [row], market.time_ms)
        assert sim.faults.counts[Kind.GAP] == 1
        await until(lambda: built_anew(replica, "differs"))
        assert counted(replica, "audit_levels", result="missing") == 1
        assert counted(replica, "audit_levels", result="matching") > 50
        # What lacks nothing is not called wrong.
        assert counted(replica, "audit_levels", result="ghost") == 0
        assert counted(replica, "audit_levels", result="different") == 0
        await caught_up(sim, store)
        store.borne.clear()
        await caught_up(sim, store)
        key = BITMEX.key(HURT, 0)
        stored = await store.get(key)
        assert stored is not None
        assert b'"size":4321' in stored.body
        assert store.untrue[HURT] > 0, "the lost row was in no file"


async def test_books_that_move_are_compared_without_a_false_alarm() -> None:
    rates = {Kind.SLOW_SNAPSHOT: 1.0, Kind.GROUPING: 1.0}
    async with published("--audit-every-s", "1", depth=300, rates=rates) as (_, _, replica):
        await until(lambda: counted(replica, "audit_levels", result="matching") > 100)
        assert resyncs(replica) == dict.fromkeys(SYMBOLS, 0)
        for result in ("missing", "ghost", "different"):
            assert counted(replica, "audit_levels", result=result) == 0


async def test_both_topics_of_one_instrument_that_fall_silent_are_noticed() -> None:
    async with published("--doubt-after-s", "2") as (sim, store, replica):
        assert sim.faults.inject(Kind.SILENT, form="now", symbol=HURT) == 1
        await until(lambda: built_anew(replica, "differs"))
        await caught_up(sim, store)
        assert resyncs(replica)[HURT] == 1
        assert not store.untrue


async def test_the_best_ten_that_fall_silent_alone_are_noticed() -> None:
    async with published("--doubt-after-s", "2") as (sim, store, replica):
        (session,) = sim.exchange.connections.values()
        assert isinstance(session, Session)
        silent = session.topics[f"orderBook10:{HURT}"]
        silent.silent = True
        await until(lambda: built_anew(replica, "unseen"))
        await until(lambda: session.topics.get(silent.name) not in (None, silent))
        await caught_up(sim, store)
        assert resyncs(replica)[HURT] == 1
        assert not store.untrue


async def test_the_best_ten_that_are_refused_alone_are_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused: list[str] = []
    plain = Session._subscribe

    def subscribe(session: Session, names: Sequence[str], request: Any) -> None:
        topic = f"orderBook10:{HURT}"
        if topic in names and not refused:
            refused.append(topic)
            session._refuse("The system is currently overloaded.", request, status=503)
            names = [name for name in names if name != topic]
        plain(session, names, request)

    monkeypatch.setattr(Session, "_subscribe", subscribe)
    async with published() as (sim, store, replica):
        assert refused
        (session,) = sim.exchange.connections.values()
        assert isinstance(session, Session)
        await until(lambda: f"orderBook10:{HURT}" in session.topics)
        assert built_anew(replica, "unseen") == 1
        await caught_up(sim, store)
