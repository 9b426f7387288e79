"""Clients that share an address: they divide its weight, and keep each other's pauses."""

import asyncio

import pytest
from aiohttp import web

from tests.depthcast.rest.exchange import (
    MINUTE_MS,
    Clock,
    Exchange,
    OpenRest,
    book,
    in_waves,
    limited,
    until,
)


async def test_requests_at_once_are_divided_among_peers(exchange: Exchange, open_rest: OpenRest) -> None:
    rest = open_rest(concurrency=4)
    for peers, at_once in ((2, 2), (9, 1), (1, 4)):
        exchange.script = in_waves(at_once)
        exchange.most_at_once = 0
        rest.peers = peers
        await asyncio.gather(*(rest.ping() for _ in range(12)))
        assert exchange.most_at_once == at_once
    assert rest.answered == 36
    assert rest.peers == 1


async def test_fewer_peers_let_those_who_wait_go_at_once(
    exchange: Exchange, open_rest: OpenRest, clock: Clock
) -> None:
    rest = open_rest()
    rest.peers = 19
    await rest.snapshot("ETHUSDT", 5000)
    clock.runs.clear()
    waits = asyncio.create_task(rest.snapshot("ETHUSDT", 5000))
    await until(lambda: clock.slept == [60.0])
    assert not waits.done()
    rest.peers = 2
    await waits
    assert clock.now_s == 0
    clock.runs.set()


async def test_a_cautious_client_asks_one_at_a_time_until_it_knows_its_peers(
    exchange: Exchange, open_rest: OpenRest, clock: Clock
) -> None:
    gate = asyncio.Event()

    async def wait(_: web.Request) -> web.Response:
        await gate.wait()
        return book()

    exchange.script = wait
    rest = open_rest(concurrency=4, cautious=True, cautious_s=2.0)
    clock.now_s = 5.0
    calls = [asyncio.create_task(rest.ping()) for _ in range(5)]
    await until(lambda: exchange.at_once == 1)
    clock.now_s = 10.0
    assert (rest.waiting, rest.pending) == (4, 5)
    rest.peers = 1
    await until(lambda: exchange.at_once == 4)
    gate.set()
    await asyncio.gather(*calls)
    assert (rest.pending, rest.answered) == (0, 5)


async def test_a_cautious_client_begins_slowly_each_time(
    exchange: Exchange, open_rest: OpenRest, clock: Clock
) -> None:
    at_first: list[int] = []

    async def slowly(request: web.Request) -> web.Response:
        if clock.now_s - began_s >= 2.0:
            return await four_at_once(request)
        await asyncio.sleep(0.005)
        at_first.append(exchange.at_once)
        clock.now_s += 0.25
        return book()

    exchange.script, four_at_once = slowly, in_waves(4)
    rest = open_rest(concurrency=4, cautious=True, cautious_s=2.0)
    rest.peers = 1
    for _ in range(2):
        exchange.most_at_once, began_s = 0, clock.now_s
        at_first.clear()
        await asyncio.gather(*(rest.ping() for _ in range(8 + 12)))
        assert at_first == [1] * 8
        assert exchange.most_at_once == 4


@pytest.mark.parametrize("peers", [2, 3])
async def test_clients_that_start_together_stay_below_their_share_together(
    exchange: Exchange, open_rest: OpenRest, clock: Clock, peers: int
) -> None:
    """The exchange counts; nobody is told of the others but by its own answers."""
    used: dict[int, int] = {}

    async def count(_: web.Request) -> web.Response:
        minute = clock.wall_ms() // MINUTE_MS
        used[minute] = used.get(minute, 0) + 250
        reported = used[minute]
        await asyncio.sleep(0.002)
        return book(reported) if reported <= 6000 else limited()

    exchange.script = count
    clients = [open_rest(concurrency=4) for _ in range(peers)]
    for each in clients:
        each.peers = peers
    clock.runs.clear()
    calls = [asyncio.create_task(each.snapshot(f"S{n}", 5000)) for n in range(30) for each in clients]
    await until(lambda: len(clock.slept) == peers)  # all of them wait for the minute to turn
    await until(lambda: used == {7: 4500})
    estimates = [each.expected_wait_ms(0) for each in clients]
    clock.runs.set()
    await asyncio.gather(*calls)
    assert max(used.values()) <= 4800
    assert sum(used.values()) == 250 * len(calls), "nothing was asked for twice"
    assert [each.silent_for_s for each in clients] == [0] * peers
    # Who is how far in a minute when it turns is chance, and may make one minute more or less of it.
    took_ms = (len(used) - 1) * MINUTE_MS
    assert all(abs(estimate_ms - took_ms) <= MINUTE_MS for estimate_ms in estimates)


async def test_cautious_clients_that_have_not_heard_of_each_other_stay_below_the_limit(
    exchange: Exchange, open_rest: OpenRest, clock: Clock
) -> None:
    used: dict[int, int] = {}

    async def count(_: web.Request) -> web.Response:
        minute = clock.wall_ms() // MINUTE_MS
        used[minute] = used.get(minute, 0) + 250
        reported = used[minute]
        await asyncio.sleep(0.002)
        return book(reported)

    exchange.script = count
    clients = [open_rest(concurrency=4, cautious=True) for _ in range(3)]
    for each in clients:
        each.peers = 1
    clock.runs.clear()
    calls = [asyncio.create_task(each.snapshot(f"S{n}", 5000)) for n in range(20) for each in clients]
    await until(lambda: len(clock.slept) == 3 and exchange.at_once == 0)
    assert 4800 - 250 < used[7] <= 4800 + 2 * 250
    for call in calls:
        call.cancel()
    clock.runs.set()


async def test_a_pause_that_one_client_is_told_silences_the_others_too(
    exchange: Exchange, open_rest: OpenRest, clock: Clock
) -> None:
    told: list[str] = []

    def tell_second(ms: int) -> None:
        told.append("by the first")
        second.silence(ms)

    def tell_first(ms: int) -> None:
        told.append("by the second")
        first.silence(ms)

    first, second = open_rest(on_silence=tell_second), open_rest(on_silence=tell_first)
    exchange.answers = [limited()]
    clock.runs.clear()
    calls = [asyncio.create_task(first.ping())]
    await until(lambda: first.silent_for_s > 0)
    assert second.silent_for_s == first.silent_for_s
    assert told == ["by the first"], "what was heard is not told on"
    calls.append(asyncio.create_task(second.ping()))
    await until(lambda: second.waiting == 1)
    assert len(exchange.asked) == 1
    clock.runs.set()
    await asyncio.gather(*calls)
    assert len(exchange.asked) == 3
    assert clock.now_s >= 30


async def test_after_a_pause_learnt_elsewhere_one_request_goes_first(
    exchange: Exchange, open_rest: OpenRest
) -> None:
    two_at_once, at_first = in_waves(2), list[int]()

    async def slowly(request: web.Request) -> web.Response:
        if len(exchange.asked) > 1:
            return await two_at_once(request)
        await asyncio.sleep(0.02)
        at_first.append(exchange.at_once)
        return book()

    exchange.script = slowly
    rest = open_rest(concurrency=2)
    rest.silence(20_000)
    await asyncio.gather(*(rest.ping() for _ in range(1 + 4)))
    assert at_first == [1]
    assert exchange.most_at_once == 2


async def test_an_answer_from_before_a_pause_does_not_end_the_restraint_after_it(
    exchange: Exchange, open_rest: OpenRest, clock: Clock
) -> None:
    gate = asyncio.Event()

    async def wait(_: web.Request) -> web.Response:
        await gate.wait()
        return book()

    exchange.script = wait
    rest = open_rest(concurrency=2)
    before = asyncio.create_task(rest.ping())
    await until(lambda: exchange.at_once == 1)
    rest.silence(20_000)
    gate.set()
    await before
    gate.clear()
    after = [asyncio.create_task(rest.ping()) for _ in range(3)]
    await until(lambda: exchange.at_once == 1 and clock.now_s == 20)
    for _ in range(5):
        await asyncio.sleep(0)
    assert rest.waiting == 2
    gate.set()
    await asyncio.gather(*after)
