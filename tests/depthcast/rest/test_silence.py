"""The exchange wants silence: nobody asks until it is over, and then one goes first."""

import asyncio
from random import Random

import pytest
from aiohttp import web

from depthcast.errors import RateLimited, Refused, VenueUnavailable
from tests.depthcast.rest.exchange import (
    Clock,
    Exchange,
    OpenRest,
    book,
    in_waves,
    limited,
    until,
)


async def test_nobody_asks_while_the_exchange_wants_silence(
    exchange: Exchange, open_rest: OpenRest, clock: Clock
) -> None:
    exchange.answers = [limited()]
    told: list[int] = []
    rest = open_rest(on_silence=told.append, silence_initial_s=2.0)
    await rest.snapshot("ETHUSDT", 5)
    assert len(told) == 1
    assert 30_000 <= told[0] <= 32_000
    assert clock.slept == [told[0] / 1000]
    assert clock.now_s >= 30


async def test_a_pause_that_has_to_be_asked_for_again_grows(
    exchange: Exchange, open_rest: OpenRest, clock: Clock
) -> None:
    exchange.answers = [limited(429, "1"), limited(429, "1"), limited(418, "1"), limited(429, "1")]
    told: list[int] = []
    rest = open_rest(on_silence=told.append, silence_initial_s=64.0, rng=HalfWay())
    await rest.ping()
    assert told == [33_000, 65_000, 129_000, 151_000]  # 1 s and half of 64, 128, 256, 300 s
    exchange.answers = [limited(429, "1")]
    await rest.ping()
    assert told[-1] == 33_000


class HalfWay(Random):
    """Draws the middle."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


async def test_answers_to_requests_sent_together_make_one_pause(
    exchange: Exchange, open_rest: OpenRest, clock: Clock
) -> None:
    everybody = asyncio.Event()

    async def refuse_together(_: web.Request) -> web.Response:
        if len(exchange.asked) == 4:
            everybody.set()
        if len(exchange.asked) <= 4:
            await everybody.wait()
            return limited()
        return book()

    exchange.script = refuse_together
    told: list[int] = []
    rest = open_rest(on_silence=told.append)
    clock.runs.clear()
    calls = [asyncio.create_task(rest.ping()) for _ in range(4)]
    await until(lambda: rest.waiting == 4)
    clock.runs.set()
    await asyncio.gather(*calls)
    assert len(told) == 1


async def test_after_a_pause_one_request_goes_first(
    exchange: Exchange, open_rest: OpenRest, clock: Clock
) -> None:
    two_at_once, at_first = in_waves(2), list[int]()

    async def limit_the_first(request: web.Request) -> web.Response:
        number = len(exchange.asked)
        if number > 2:
            return await two_at_once(request)
        await asyncio.sleep(0.02)
        at_first.append(exchange.at_once)
        return limited() if number == 1 else book()

    exchange.script = limit_the_first
    rest = open_rest(concurrency=2)
    clock.runs.clear()
    first = asyncio.create_task(rest.ping())
    await until(lambda: rest.waiting == 1)
    clock.runs.set()
    await asyncio.gather(first, *(rest.ping() for _ in range(4)))
    assert at_first == [1, 1]
    assert exchange.most_at_once == 2


async def test_a_limit_that_stays_is_raised_in_the_end(exchange: Exchange, open_rest: OpenRest) -> None:
    exchange.answers = [limited() for _ in range(9)]
    with pytest.raises(RateLimited):
        await open_rest(attempts=2).ping()
    assert len(exchange.asked) == 2


async def test_a_firewall_is_not_asked_again_at_once(exchange: Exchange, open_rest: OpenRest) -> None:
    exchange.answers = [web.Response(status=403, text="<html>")]
    rest = open_rest()
    with pytest.raises(Refused, match="403"):
        await rest.ping()
    assert rest.silent_for_s >= 60


async def test_a_pause_learnt_elsewhere_is_kept_and_not_told_again(
    exchange: Exchange, open_rest: OpenRest, clock: Clock
) -> None:
    told: list[int] = []
    rest = open_rest(on_silence=told.append)
    rest.silence(20_000)
    rest.silence(5_000)
    rest.silence(0)
    assert rest.silent_for_s == 20
    assert rest.expected_wait_ms(250) == 20_000
    await rest.ping()
    assert clock.now_s == 20
    assert told == []


async def test_a_long_ban_is_raised_to_those_who_wait_and_those_who_come(
    exchange: Exchange, open_rest: OpenRest
) -> None:
    gate = asyncio.Event()

    async def wait(_: web.Request) -> web.Response:
        await gate.wait()
        return book()

    exchange.script = wait
    rest = open_rest(concurrency=1, max_silence_wait_s=60)
    sent, waiting = (asyncio.create_task(rest.ping()) for _ in range(2))
    await until(lambda: exchange.at_once == 1)
    rest.silence(3_600_000)
    for call in (waiting, rest.ping()):
        with pytest.raises(RateLimited) as raised:
            await call
        assert raised.value.retry_after_ms == 3_600_000
    gate.set()
    await sent


async def test_a_hook_that_raises_harms_no_call(
    exchange: Exchange, open_rest: OpenRest, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: int) -> None:
        raise RuntimeError("hook")

    exchange.answers = [limited()]
    await open_rest(on_silence=fail).ping()
    assert "on_silence raised" in caplog.text


async def test_closing_releases_those_who_wait(exchange: Exchange, open_rest: OpenRest) -> None:
    rest = open_rest()
    rest.silence(30_000)
    call = asyncio.create_task(rest.ping())
    await asyncio.sleep(0)
    await rest.close()
    for late in (call, rest.ping()):
        with pytest.raises(VenueUnavailable, match="closed"):
            await late
