"""Requests over real sockets to a scripted exchange, in a time of their own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from depthcast.errors import MalformedAnswer, RateLimited, Refused, VenueUnavailable
from depthcast.events import Snapshot
from depthcast.rest import Rest
from depthcast.venues.binance import Binance

BOOK = b'{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[["0.0026","100"]]}'
SNAPSHOT = Snapshot(160, [["0.0024", "10"]], [["0.0026", "100"]], True, True)
MINUTE_MS = 60_000

Script = Callable[[web.Request], Awaitable[web.Response]]
OpenRest = Callable[..., Rest]


class Clock:
    """Time that passes only while somebody sleeps and ``runs`` is set; begins with a window of the budget."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept: list[float] = []
        self.runs = asyncio.Event()
        self.runs.set()

    def __call__(self) -> float:
        return self.now_s

    def wall_ms(self) -> int:
        return 7 * MINUTE_MS + 1000 + round(self.now_s * 1000)

    async def sleep(self, delay_s: float) -> None:
        self.slept.append(delay_s)
        await self.runs.wait()
        self.now_s += delay_s


def book(used: int | None = 5) -> web.Response:
    return web.Response(body=BOOK, headers={} if used is None else {"X-MBX-USED-WEIGHT-1M": str(used)})


class Exchange:
    """Answers what ``script`` returns, or the ``answers`` in turn and then a book; writes down who asked."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self.answers: list[web.Response] = []
        self.script: Script = self.next_answer

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(request.raw_path)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self.script(request)
        finally:
            self.at_once -= 1

    async def next_answer(self, _: web.Request) -> web.Response:
        return self.answers.pop(0) if self.answers else book()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    scripted = Exchange()
    app = web.Application()
    app.router.add_get("/{path:.*}", scripted.handle)
    async with TestServer(app) as server:
        scripted.url = str(server.make_url("")).rstrip("/")
        yield scripted


@pytest.fixture
async def open_rest(exchange: Exchange, clock: Clock) -> AsyncIterator[OpenRest]:
    opened: list[Rest] = []

    def open_one(**options: Any) -> Rest:
        defaults: dict[str, Any] = {
            "rng": Random(1),
            "clock": clock,
            "wall_ms": clock.wall_ms,
            "sleep": clock.sleep,
        }
        opened.append(Rest(Binance(rest_url=exchange.url), **(defaults | options)))
        return opened[-1]

    yield open_one
    for rest in opened:
        await rest.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in the code under test
            await asyncio.sleep(0.001)


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
    async def slowly(_: web.Request) -> web.Response:
        await asyncio.sleep(0.005)
        return book()

    exchange.script = slowly
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
    await asyncio.wait_for(rest.ping(), 5)
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


# Peers on one address


async def test_requests_at_once_are_divided_among_peers(exchange: Exchange, open_rest: OpenRest) -> None:
    async def slowly(_: web.Request) -> web.Response:
        await asyncio.sleep(0.005)
        return book()

    exchange.script = slowly
    rest = open_rest(concurrency=4)
    for peers, at_once in ((2, 2), (9, 1), (1, 4)):
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
    async def slowly(_: web.Request) -> web.Response:
        await asyncio.sleep(0.005)
        clock.now_s += 0.25
        return book()

    exchange.script = slowly
    rest = open_rest(concurrency=4, cautious=True, cautious_s=2.0)
    rest.peers = 1
    for _ in range(2):
        exchange.most_at_once = 0
        await asyncio.gather(*(rest.ping() for _ in range(8)))
        assert exchange.most_at_once == 1
        await asyncio.gather(*(rest.ping() for _ in range(20)))
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
    at_once: list[int] = []

    async def slowly(_: web.Request) -> web.Response:
        await asyncio.sleep(0.02)
        at_once.append(exchange.at_once)
        return book()

    exchange.script = slowly
    rest = open_rest(concurrency=2)
    rest.silence(20_000)
    await asyncio.gather(*(rest.ping() for _ in range(4)))
    assert at_once[0] == 1
    assert max(at_once) == 2


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


# Silence


def limited(status: int = 429, retry_after: str = "30") -> web.Response:
    return web.Response(status=status, headers={"Retry-After": retry_after})


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
    at_once: list[int] = []

    async def limit_the_first(_: web.Request) -> web.Response:
        number = len(exchange.asked)
        await asyncio.sleep(0.02)
        at_once.append(exchange.at_once)
        return limited() if number == 1 else book()

    exchange.script = limit_the_first
    rest = open_rest(concurrency=2)
    clock.runs.clear()
    first = asyncio.create_task(rest.ping())
    await until(lambda: rest.waiting == 1)
    at_once.clear()
    clock.runs.set()
    await asyncio.gather(first, *(rest.ping() for _ in range(3)))
    assert at_once[0] == 1
    assert max(at_once) == 2


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
