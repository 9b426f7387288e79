"""Requests over real sockets to a scripted exchange, in a time of their own."""

import asyncio
import threading

import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port

from depthcast.errors import MalformedAnswer, Refused, VenueUnavailable
from depthcast.rest import LONG_BYTES, Rest, parsed
from depthcast.venues import ExchangeInfo, Venue
from depthcast.venues.binance import Binance
from depthcast.venues.binance_futures import BinanceFutures
from depthcast.venues.coinbase import Coinbase
from tests.depthcast.rest.exchange import (
    BOOK,
    MINUTE_MS,
    SNAPSHOT,
    Clock,
    Exchange,
    OpenRest,
    book,
    in_waves,
    until,
)

# Answers


async def test_a_snapshot_is_what_the_exchange_says(exchange: Exchange, open_rest: OpenRest) -> None:
    rest = open_rest()
    assert await rest.snapshot("币USDT", 5) == SNAPSHOT
    assert exchange.asked == ["/api/v3/depth?symbol=%E5%B8%81USDT&limit=5"]
    assert await rest.snapshot_body("币USDT", 5) == BOOK
    assert rest.weight_used == 5


async def test_the_list_of_symbols_brings_the_weight_limit_with_it(
    exchange: Exchange, open_rest: OpenRest
) -> None:
    limits = [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 1200}]
    exchange.answers = [web.json_response({"rateLimits": limits, "symbols": []})]
    rest = open_rest()
    assert rest.weight_limit == 6000
    await rest.exchange_info()
    assert rest.weight_limit == 1200
    assert exchange.asked == ["/api/v3/exchangeInfo?showPermissionSets=false"]


@pytest.mark.parametrize(("length", "aside"), [(LONG_BYTES - 1, False), (LONG_BYTES, True)])
async def test_a_long_list_is_read_beside_the_event_loop(length: int, aside: bool) -> None:
    where = []

    def parse(body: bytes) -> ExchangeInfo:
        where.append(threading.current_thread())
        return ExchangeInfo({}, 6000, body)

    assert (await parsed(parse, b"x" * length)).body == b"x" * length
    assert [thread is not threading.main_thread() for thread in where] == [aside]


async def test_an_engine_that_does_not_know_permission_sets_is_asked_without(
    exchange: Exchange, open_rest: OpenRest
) -> None:
    unread = {"code": -1104, "msg": "Not all sent parameters were read"}
    exchange.answers = [
        web.json_response(unread, status=400),
        web.json_response({"rateLimits": [], "symbols": []}),
    ]
    assert (await open_rest().exchange_info()).symbols == {}
    assert exchange.asked[-1] == "/api/v3/exchangeInfo"


async def test_a_list_of_symbols_that_is_not_there_is_refused(
    exchange: Exchange, open_rest: OpenRest
) -> None:
    exchange.answers = [web.Response(status=404)]
    with pytest.raises(Refused, match="404"):
        await open_rest().exchange_info()
    assert len(exchange.asked) == 1


async def test_a_refusal_is_not_asked_again(exchange: Exchange, open_rest: OpenRest) -> None:
    exchange.answers = [web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)]
    with pytest.raises(Refused, match="-1121 Invalid symbol"):
        await open_rest().snapshot("NOPE", 5)
    assert len(exchange.asked) == 1


async def test_a_page_in_place_of_a_book_is_a_malformed_answer(
    exchange: Exchange, open_rest: OpenRest
) -> None:
    exchange.answers = [web.Response(text="<html>log in here</html>"), web.Response(status=302)]
    rest = open_rest()
    with pytest.raises(MalformedAnswer):
        await rest.snapshot("ETHUSDT", 5)
    with pytest.raises(MalformedAnswer, match="302"):
        await rest.ping()


async def test_a_body_beyond_the_bound_is_not_read_to_its_end(
    exchange: Exchange, open_rest: OpenRest
) -> None:
    exchange.answers = [web.Response(body=b"x" * 100_000)]
    with pytest.raises(MalformedAnswer, match="more than 1000 bytes"):
        await open_rest(max_body_bytes=1000).ping()


# Faults


async def test_faults_of_the_exchange_are_retried_with_growing_pauses(
    exchange: Exchange, open_rest: OpenRest, clock: Clock
) -> None:
    exchange.answers = [web.Response(status=503), web.Response(status=502)]
    assert await open_rest(retry_initial_s=1.0).snapshot("ETHUSDT", 5) == SNAPSHOT
    assert len(exchange.asked) == 3
    assert len(clock.slept) == 2
    assert clock.slept[0] <= 1.0
    assert clock.slept[1] <= 2.0


async def test_retries_end(exchange: Exchange, open_rest: OpenRest) -> None:
    exchange.answers = [web.Response(status=500) for _ in range(9)]
    with pytest.raises(VenueUnavailable, match="500"):
        await open_rest(attempts=3).ping()
    assert len(exchange.asked) == 3


async def test_an_exchange_that_is_not_there_is_unavailable(clock: Clock) -> None:
    venue = Binance(rest_url=f"http://127.0.0.1:{unused_port()}")
    async with Rest(venue, attempts=2, clock=clock, wall_ms=clock.wall_ms, sleep=clock.sleep) as rest:
        with pytest.raises(VenueUnavailable, match="did not answer"):
            await rest.ping()
        assert rest.weight_used == 2  # each may have been counted, so each is


async def test_an_answer_that_does_not_come_is_unavailable(exchange: Exchange, open_rest: OpenRest) -> None:
    async def hang(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        raise AssertionError

    exchange.script = hang
    with pytest.raises(VenueUnavailable, match="did not answer"):
        await open_rest(attempts=1, answer_timeout_s=0.05).ping()


# The pace


async def test_requests_go_out_a_few_at_a_time(exchange: Exchange, open_rest: OpenRest) -> None:
    exchange.script = in_waves(3)
    rest = open_rest(concurrency=3)
    await asyncio.gather(*(rest.snapshot("ETHUSDT", 5) for _ in range(12)))
    assert exchange.most_at_once == 3


async def test_weight_stays_below_its_share_until_the_minute_turns(
    exchange: Exchange, open_rest: OpenRest, clock: Clock
) -> None:
    used: dict[int, int] = {}

    async def count(_: web.Request) -> web.Response:
        minute = clock.wall_ms() // MINUTE_MS
        used[minute] = used.get(minute, 0) + 250
        return book(used[minute])

    exchange.script = count
    rest = open_rest(concurrency=1)
    expected_ms = rest.expected_wait_ms(40 * 250)
    await asyncio.gather(*(rest.snapshot("ETHUSDT", 5000) for _ in range(40)))
    assert used == {7: 4750, 8: 4750, 9: 500}
    assert expected_ms == 2 * MINUTE_MS == clock.now_s * 1000


async def test_weight_that_others_on_this_address_used_counts(
    exchange: Exchange, open_rest: OpenRest, clock: Clock
) -> None:
    exchange.answers = [book(4600)]
    rest = open_rest()
    await rest.snapshot("ETHUSDT", 5)
    await rest.snapshot("ETHUSDT", 5000)
    assert clock.slept == [60.0]


async def test_foreground_goes_before_background_and_first_come_first_served(
    exchange: Exchange, open_rest: OpenRest
) -> None:
    gate = asyncio.Event()

    async def wait(_: web.Request) -> web.Response:
        await gate.wait()
        return book()

    exchange.script = wait
    rest = open_rest(concurrency=1)
    calls = []
    for symbol, background in (
        ("FIRST", False),
        ("REFILL1", True),
        ("REFILL2", True),
        ("A", False),
        ("B", False),
    ):
        calls.append(asyncio.create_task(rest.snapshot(symbol, 5, background=background)))
        await asyncio.sleep(0)
    assert rest.waiting == 4
    gate.set()
    await asyncio.gather(*calls)
    symbols = [path.partition("symbol=")[2].partition("&")[0] for path in exchange.asked]
    assert symbols == ["FIRST", "A", "B", "REFILL1", "REFILL2"]


async def test_a_refill_waits_where_a_lost_book_need_not(
    exchange: Exchange, open_rest: OpenRest, clock: Clock
) -> None:
    exchange.answers = [book(2400), book(2650), book(250)]
    rest = open_rest()
    await rest.ping()
    assert rest.expected_wait_ms(250) == 0
    assert rest.expected_wait_ms(250, background=True) == MINUTE_MS
    await rest.snapshot("ETHUSDT", 5000)
    assert clock.slept == []
    await rest.snapshot("ETHUSDT", 5000, background=True)
    assert clock.slept == [60.0]


async def test_the_queue_is_bounded(exchange: Exchange, open_rest: OpenRest) -> None:
    gate = asyncio.Event()

    async def wait(_: web.Request) -> web.Response:
        await gate.wait()
        return book()

    exchange.script = wait
    rest = open_rest(concurrency=1, max_waiting=2)
    calls = [asyncio.create_task(rest.ping()) for _ in range(3)]
    await until(lambda: rest.waiting == 2)
    with pytest.raises(VenueUnavailable, match="2 requests wait"):
        await rest.ping()
    gate.set()
    await asyncio.gather(*calls)


async def test_a_cancelled_call_gives_its_turn_back(exchange: Exchange, open_rest: OpenRest) -> None:
    gate = asyncio.Event()

    async def wait(_: web.Request) -> web.Response:
        await gate.wait()
        return book()

    exchange.script = wait
    rest = open_rest(concurrency=1)
    sent, waiting, last = (asyncio.create_task(rest.ping()) for _ in range(3))
    await until(lambda: exchange.at_once == 1)
    waiting.cancel()
    sent.cancel()
    gate.set()
    await last
    assert rest.waiting == 0
    assert len(exchange.asked) == 2
    await rest.ping()


async def test_a_call_cancelled_in_the_moment_of_its_turn_gives_it_back(
    exchange: Exchange, open_rest: OpenRest
) -> None:
    gate = asyncio.Event()

    async def wait(_: web.Request) -> web.Response:
        await gate.wait()
        return book()

    exchange.script = wait
    rest = open_rest(concurrency=1)
    first, second = (asyncio.create_task(rest.ping()) for _ in range(2))
    await until(lambda: rest.waiting == 1 and exchange.at_once == 1)
    gate.set()
    while rest.waiting:  # noqa: ASYNC110 - one round of the loop at a time
        await asyncio.sleep(0)
    second.cancel()  # the turn is granted, the call has not seen it
    with pytest.raises(asyncio.CancelledError):
        await second
    await first
    await asyncio.wait_for(rest.ping(), 60)
    assert len(exchange.asked) == 2


async def test_a_call_cancelled_a_moment_before_its_turn_is_passed_over(
    exchange: Exchange, open_rest: OpenRest
) -> None:
    rest = open_rest()
    rest.silence(1000)
    cancelled = asyncio.create_task(rest.snapshot("CANCELLED", 5))
    await asyncio.sleep(0)
    cancelled.cancel()
    await rest.snapshot("NEXT", 5)
    assert cancelled.cancelled()
    assert [path.partition("symbol=")[2] for path in exchange.asked] == ["NEXT&limit=5"]
    assert rest.weight_used == 5


@pytest.mark.parametrize(
    ("venue", "weight"), [(Binance(), 6000), (BinanceFutures(), 2400), (Coinbase(), 600)]
)
async def test_an_address_may_use_what_its_venue_gives_before_any_list_tells(
    venue: Venue, weight: int
) -> None:
    async with Rest(venue, share=0.5, wall_ms=lambda: 0) as rest:
        assert rest.expected_wait_ms(weight // 2) == 0
        assert rest.expected_wait_ms(weight // 2 + 1) > 0
