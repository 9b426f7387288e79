"""Every fault that the simulator knows, on every venue, while two replicas write to one store.

Every file written and every answer of a server is compared with the exchange's own book and may not go back;
files go on being current through the replica that was not hit, and what hurts one symbol's book costs no
other one anything. That a fault was met, and not passed by, is told by the simulator's record and by what the
replicas count.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Final

import pytest

from depthcast.files import SCHEMES
from simulator.faults import ALL_RATES, DIFF_KINDS, FORMS, TIMED_KINDS, Faults, Kind
from tests.system.pairs import FOR_LONG, Pair, running_pair
from tests.system.replicas import Totals, are_live, are_ready, running, states_of
from tests.system.rigs import RIGS, Rig
from tests.system.servers import being_read
from tests.system.waiting import until

OF_MESSAGES: Final = (*DIFF_KINDS, Kind.REBASE)
OF_CONNECTIONS: Final = (
    *(Kind.DISCONNECT, Kind.HALF_OPEN, Kind.SHUTDOWN, Kind.REFUSE),
    *(Kind.SILENT, Kind.ERROR, Kind.GROUPING, Kind.THROTTLE),
)
OF_REQUESTS: Final = (Kind.BAN, Kind.STALE_SNAPSHOT, Kind.SLOW_SNAPSHOT, Kind.FAILED_SNAPSHOT)

COUNTED: Final = {
    Kind.GAP: ("gaps", ""),
    # The late message shows as a gap first, and as a straggler afterwards.
    Kind.REORDER: ("gaps", ""),
    Kind.STRAGGLER: ("diffs", "straggler"),
    Kind.DUPLICATE: ("diffs", "straggler"),
}
"""What a replica counts that met it, where messages have numbers; damage shows in more ways than one."""

LIKE_ANOTHER: Final = {"binanceus": "binance"}
"""Venues that are spoken to by the very code of another one, and simulated by the same exchange."""

RATES: Final = {
    kind: rate * (10 if kind in TIMED_KINDS else 3 if kind in DIFF_KINDS else 1)
    for kind, rate in ALL_RATES.items()
}
"""All of them at once, as often as two symbols have to have them to meet most within seconds."""

HAPPENINGS: Final = 8

EACH: Final = pytest.mark.parametrize("rig", RIGS.values(), ids=RIGS)

pytestmark = pytest.mark.timeout(180)


def test_each_kind_of_fault_is_met_on_each_venue() -> None:
    assert sorted((*OF_MESSAGES, *OF_CONNECTIONS, *OF_REQUESTS)) == sorted(Kind)
    assert RIGS.keys() | LIKE_ANOTHER.keys() == SCHEMES.keys()
    assert {*LIKE_ANOTHER.values()} <= RIGS.keys()


@EACH
async def test_what_happens_to_a_replicas_messages_costs_one_book_of_it_and_no_file(rig: Rig) -> None:
    async with running_pair(rig) as pair, being_read(pair.store, pair.auditor, rig.asked):
        for kind in DIFF_KINDS:
            await one_book_is_hurt(pair, kind)
        await ids_go_down(pair)
    all_met(pair, OF_MESSAGES)
    assert pair.auditor.answers > len(rig.symbols)
    assert pair.auditor.untrue.keys() <= {rig.hurt}


async def one_book_is_hurt(pair: Pair, kind: Kind) -> None:
    """Some messages of one symbol to the struck replica; damaged ones in each form."""
    rig = pair.rig
    before = pair.resyncs()
    struck, other = pair.names
    if kind in rig.unnoticed:
        pair.auditor.borne.add(rig.hurt)
    old = kind in (Kind.STRAGGLER, Kind.DUPLICATE)
    forms = FORMS.get(kind, ("",))
    name, label = COUNTED.get(kind, ("resyncs", ""))
    counted = Totals([pair.struck])[f"depthcast_{name}_total", label]
    its, due = pair.connection, 5 if old else len(forms)
    for form in forms:
        pair.sim.faults.inject(kind, form=form, symbol=rig.hurt, connection=its, count=due // len(forms))
    await pair.happened(kind, due)
    if not old and not rig.unnoticed:
        await until(lambda: pair.resyncs()[struck][rig.hurt] > before[struck][rig.hurt], what=lambda: kind)
    await pair.settled()
    pair.auditor.borne.clear()
    after = pair.resyncs()
    assert after[other] == before[other], f"{kind} cost the other replica a book"
    if kind is not Kind.MALFORMED or rig.tells_whose:
        assert after[struck][rig.well] == before[struck][rig.well], f"{kind} of one broke another book"
    if old and not rig.unnoticed:
        assert after == before, f"{kind} cost a book"
    if kind in COUNTED and not rig.unnoticed:
        assert Totals([pair.struck])[f"depthcast_{name}_total", label] > counted


async def ids_go_down(pair: Pair) -> None:
    """What numbers one symbol's messages: both replicas lose its book, and one of them claims an epoch."""
    rig = pair.rig
    before = pair.resyncs()
    await pair.met(Kind.REBASE, symbol=rig.hurt, ids=rig.down)
    await until(
        lambda: all(after[rig.hurt] > before[name][rig.hurt] for name, after in pair.resyncs().items())
    )
    await pair.settled()
    for name, after in pair.resyncs().items():
        assert after[rig.well] == before[name][rig.well], "the other book is left alone"
    epochs = {key: version.epoch for key, (version, _, _) in pair.auditor.newest.items()}
    for limit in rig.limits:
        assert epochs[rig.scheme.key(rig.hurt, limit)] == 1
        assert epochs[rig.scheme.key(rig.well, limit)] == 0


@EACH
async def test_what_happens_to_a_replicas_connection_has_the_other_one_write(rig: Rig) -> None:
    async with running_pair(rig) as pair, being_read(pair.store, pair.auditor, rig.asked):
        before = pair.resyncs()[pair.names[1]]
        await it_is_lost(pair)
        await it_is_half_open(pair)
        await its_end_comes(pair)
        await one_stream_of_it_falls_silent(pair)
        await nobody_is_answered(pair)
        assert pair.resyncs()[pair.names[1]] == before, "the other replica lost a book"
        assert pair.others_connection in pair.sim.exchange.connections
    all_met(pair, OF_CONNECTIONS)
    assert not pair.auditor.untrue


async def it_is_lost(pair: Pair) -> None:
    """No connection for as long as it takes, then ones that are refused, and one with bad subscriptions."""
    rig, faults = pair.rig, pair.sim.faults
    faults.inject(Kind.REFUSE, count=FOR_LONG)
    await pair.met(Kind.DISCONNECT, form="abort", connection=pair.connection)
    await pair.taken_over()
    faults.clear()
    before = faults.counts.copy()
    due = [(Kind.REFUSE, "status", 1), (Kind.REFUSE, "abort", 1), (Kind.SILENT, "next", rig.streams)]
    due += [(kind, "", 1) for kind in (Kind.ERROR, Kind.GROUPING)]
    for kind, form, count in due:
        of = rig.hurt if kind in (Kind.SILENT, Kind.ERROR) else None
        faults.inject(kind, form=form, symbol=of, count=count)
    wanted = Counter(before)
    for kind, _, count in due:
        wanted[kind] += 0 if kind in rig.cannot else count
    for kind, times in wanted.items():
        await pair.happened(kind, times)
    await pair.settled()


async def it_is_half_open(pair: Pair) -> None:
    """Nothing comes, and nobody says so."""
    pair.sim.faults.inject(Kind.REFUSE, count=FOR_LONG)
    await pair.met(Kind.HALF_OPEN, connection=pair.connection)
    await pair.taken_over()
    withdraw(pair)
    await pair.settled()


async def its_end_comes(pair: Pair) -> None:
    """It is closed, or announced to end: where a venue announces that, no book is lost by it."""
    struck, _ = pair.names
    before = pair.resyncs()[struck]
    its = pair.connection
    await pair.met(Kind.SHUTDOWN, connection=its, delay_s=30 if pair.rig.announces else 0.1)
    await until(lambda: its not in pair.sim.exchange.connections)
    await pair.settled()
    assert not pair.rig.announces or pair.resyncs()[struck] == before
    await pair.met(Kind.DISCONNECT, form="close", connection=pair.connection)
    await pair.settled()


async def one_stream_of_it_falls_silent(pair: Pair) -> None:
    """One symbol's: the other replica writes that one's files, until the connection is a new one."""
    rig = pair.rig
    before = pair.resyncs()[pair.names[0]]
    await pair.met(Kind.SILENT, form="now", symbol=rig.hurt, connection=pair.connection)
    await pair.taken_over([rig.hurt])
    assert pair.resyncs()[pair.names[0]][rig.well] == before[rig.well]
    # What cuts a connection needs one.
    await until(lambda: len(pair.sim.exchange.connections) == 2)
    await pair.met(Kind.DISCONNECT, form="abort", connection=pair.connection)
    await pair.settled()


async def nobody_is_answered(pair: Pair) -> None:
    """REST refuses both: books that are live go on."""
    before = pair.resyncs()
    await hold(pair, Kind.THROTTLE)
    await pair.settled()
    assert pair.resyncs() == before


@EACH
async def test_what_happens_to_requests_costs_one_book_its_time_and_both_replicas_begin(rig: Rig) -> None:
    async with rig.simulator() as sim:
        for _ in range(250):
            # A market with a past, for a snapshot to be old.
            sim.exchange.tick()
        faults, pair = sim.faults, Pair(rig, sim)
        reading = being_read(pair.store, pair.auditor, rig.asked)
        async with running(pair.struck), running(pair.other), reading:
            if rig.asks_first:
                fail_for_long(pair)
                await hold(pair, Kind.BAN)
            else:
                await until(lambda: are_ready(pair.struck, pair.other))
                fail_for_long(pair)
                sim.faults.inject(Kind.REBASE, symbol=rig.hurt, ids=rig.down)
            await pair.happened(Kind.FAILED_SNAPSHOT, len(FORMS[Kind.FAILED_SNAPSHOT]) + 1)
            await pair.current([rig.well])
            for replica in (pair.struck, pair.other):
                await until(lambda r=replica: states_of(r).get(rig.well) == "live")  # type: ignore[misc]
            withdraw(pair)
            faults.inject(Kind.STALE_SNAPSHOT, symbol=rig.hurt, ids=rig.old)
            faults.inject(Kind.SLOW_SNAPSHOT, symbol=rig.hurt, delay_s=0.5)
            await pair.happened(Kind.STALE_SNAPSHOT, 1)
            await pair.happened(Kind.SLOW_SNAPSHOT, 1)
            await until(lambda: are_ready(pair.struck, pair.other) and are_live(pair.struck, pair.other))
            if not rig.asks_first:
                await hold(pair, Kind.BAN)
            await pair.current()
        assert pair.auditor.wrong == []
    all_met(pair, OF_REQUESTS)
    assert not pair.auditor.untrue


@EACH
async def test_all_kinds_at_random_leave_every_file_true_and_in_the_end_current(rig: Rig) -> None:
    async with running_pair(rig, seed=9) as pair, being_read(pair.store, pair.auditor, rig.asked):
        faults = pair.sim.faults
        if rig.unnoticed:
            pair.auditor.borne.update(rig.symbols)
        faults.set_rates(RATES)
        await until(lambda: len(faults.counts) > len(Kind) / 3 and beside_messages(faults) >= HAPPENINGS)
        faults.clear()
        await pair.current()
        await until(lambda: are_live(pair.struck, pair.other))
        await pair.current()
        pair.auditor.borne.clear()
        await pair.current()
        assert not pair.auditor.untrue or rig.unnoticed


def beside_messages(faults: Faults) -> int:
    """How many faults happened that were not one message's."""
    return sum(times for kind, times in faults.counts.items() if kind not in DIFF_KINDS)


def fail_for_long(pair: Pair) -> None:
    """No snapshot of one symbol is to be had, each form of failure first."""
    for form in FORMS[Kind.FAILED_SNAPSHOT]:
        pair.sim.faults.inject(Kind.FAILED_SNAPSHOT, form=form, symbol=pair.rig.hurt)
    pair.sim.faults.inject(Kind.FAILED_SNAPSHOT, form="500", symbol=pair.rig.hurt, count=FOR_LONG)


async def hold(pair: Pair, kind: Kind) -> None:
    """Refuse requests, again and again, until somebody asked and was told so."""
    loop = asyncio.get_running_loop()
    refused, ends = pair.refused, 0.0
    while pair.refused == refused:
        if loop.time() >= ends:
            pair.sim.faults.inject(kind, delay_s=1.0)
            ends = loop.time() + 1.0
        await asyncio.sleep(0.01)


def withdraw(pair: Pair) -> None:
    """What was ordered for long ends; what a venue cannot have goes on waiting."""
    faults = pair.sim.faults
    never = [each for each in faults.waiting if each.kind in pair.rig.cannot]
    faults.clear()
    for each in never:
        faults.inject(each.kind, symbol=each.symbol)


def all_met(pair: Pair, kinds: Iterable[Kind]) -> None:
    """Each kind happened, but for those that the venue cannot have: they went on waiting."""
    met = {kind for kind, times in pair.sim.faults.counts.items() if times}
    assert {*kinds} - met == {*kinds} & pair.rig.cannot.keys()
    assert {each.kind for each in pair.sim.faults.waiting} <= pair.rig.cannot.keys()
