"""What neither messages nor the best ten show of BitMEX's books is found by comparing them with its answers.

The simulated exchange, an updater and a store, as in ``tests.system.test_bitmex_files``: files are true
but for what is ordered here, and true again after it was found; the other instrument's files never suffer.
"""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import pytest

from depthcast.store.memory import MemoryStore
from simulator.bitmex.app import BitmexSimulator
from simulator.bitmex.rows import BUY, Row
from simulator.bitmex.session import Session
from simulator.faults import Kind
from tests.system.audit import Audited, Auditor, all_are_current, auditor_of
from tests.system.replicas import are_ready, resyncs_of, running
from tests.system.rigs import BITMEX
from tests.system.test_bitmex_files import HURT, SYMBOLS, WELL, counted
from tests.system.waiting import until
from updater.replica import Replica

pytestmark = pytest.mark.timeout(180)

SELDOM: Final = ("--symbols-every-s", "600")
"""Requests are 24 a minute, of which the background has half."""

FOREVER: Final = "1000000"


@contextlib.asynccontextmanager
async def published(*argv: str, **settings: Any) -> AsyncIterator[tuple[BitmexSimulator, Auditor, Replica]]:
    async with BITMEX.simulator(**settings) as sim:
        auditor = auditor_of(sim)
        replica = BITMEX.replica(sim, Audited(MemoryStore(), auditor), "a", *SELDOM, *argv)
        async with running(replica):
            await until(lambda: are_ready(replica))
            await all_are_current(auditor, BITMEX.limits)
            yield sim, auditor, replica
            assert resyncs_of(replica)[WELL] == 0
            assert set(auditor.untrue) <= {HURT}
            assert auditor.wrong == []


def built_anew(replica: Replica, reason: str) -> float:
    name = "depthcast_resyncs_total"
    return replica.metrics.registry.get_sample_value(name, {"reason": reason}) or 0.0


async def test_a_lost_change_far_below_the_best_that_nothing_touches_again_is_found_and_mended() -> None:
    async with published("--audit-every-s", "4", "--doubt-after-s", FOREVER, depth=60) as (
        sim,
        auditor,
        replica,
    ):
        market = sim.exchange.markets[HURT]
        price = min(row.price for row in market.book.rows()) // 2
        row = Row(7, BUY, 4321, price, market.time_ms, market.time_ms)
        auditor.borne.add(HURT)
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
        await all_are_current(auditor, BITMEX.limits)
        auditor.borne.clear()
        await all_are_current(auditor, BITMEX.limits)
        _, body, _ = auditor.newest[BITMEX.scheme.key(HURT, 0)]
        assert b'"size":4321' in body
        assert auditor.untrue[HURT] > 0, "the lost row was in no file"


async def test_books_that_move_are_compared_without_a_false_alarm() -> None:
    rates = {Kind.SLOW_SNAPSHOT: 1.0, Kind.GROUPING: 1.0}
    async with published("--audit-every-s", "1", depth=300, rates=rates) as (_, _, replica):
        await until(lambda: counted(replica, "audit_levels", result="matching") > 100)
        assert resyncs_of(replica) == dict.fromkeys(SYMBOLS, 0)
        for result in ("missing", "ghost", "different"):
            assert counted(replica, "audit_levels", result=result) == 0


async def test_both_topics_of_one_instrument_that_fall_silent_are_noticed() -> None:
    async with published("--doubt-after-s", "2") as (sim, auditor, replica):
        assert sim.faults.inject(Kind.SILENT, form="now", symbol=HURT) == 1
        await until(lambda: built_anew(replica, "differs"))
        await all_are_current(auditor, BITMEX.limits)
        assert resyncs_of(replica)[HURT] == 1
        assert not auditor.untrue


async def test_the_best_ten_that_fall_silent_alone_are_noticed() -> None:
    async with published("--doubt-after-s", "2") as (sim, auditor, replica):
        (session,) = sim.exchange.connections.values()
        assert isinstance(session, Session)
        silent = session.topics[f"orderBook10:{HURT}"]
        silent.silent = True
        await until(lambda: built_anew(replica, "unseen"))
        await until(lambda: session.topics.get(silent.name) not in (None, silent))
        await all_are_current(auditor, BITMEX.limits)
        assert resyncs_of(replica)[HURT] == 1
        assert not auditor.untrue


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
    async with published() as (sim, auditor, replica):
        assert refused
        (session,) = sim.exchange.connections.values()
        assert isinstance(session, Session)
        await until(lambda: f"orderBook10:{HURT}" in session.topics)
        assert built_anew(replica, "unseen") == 1
        await all_are_current(auditor, BITMEX.limits)
