"""The exchange in place of a stale file: one request for all, kept for a second, its refusals passed on."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from depthcast.errors import RateLimited, Refused, VenueUnavailable
from depthcast.venues.requests import ApiError
from server.upstream import FAILED, Asking, Given, Upstream

if TYPE_CHECKING:
    from tests.server.conftest import StillClock


class FakeExchange:
    """Answers with a book of as many levels as are asked for, or with ``failure``, once ``gate`` is open."""

    def __init__(self, body_of: Callable[[int, int], bytes]) -> None:
        self.asked: list[tuple[str, int]] = []
        self.failure: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.silent_for_s = 0.0
        self.closed = False
        self.update_id = 500
        self._body_of = body_of

    async def snapshot_body(self, symbol: str, limit: int, background: bool = False) -> bytes:
        self.asked.append((symbol, limit))
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return self._body_of(self.update_id, limit)

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def exchange(body_of: Callable[[int, int], bytes]) -> FakeExchange:
    return FakeExchange(body_of)


@pytest.fixture
def outcomes() -> list[Asking]:
    return []


@pytest.fixture
def upstream(exchange: FakeExchange, clock: "StillClock", outcomes: list[Asking]) -> Upstream:
    return Upstream(
        exchange,
        on_asked=lambda outcome, _: outcomes.append(outcome),
        wait_s=0.05,
        clock=clock,
        wall_ms=clock.wall_ms,
    )


async def body(upstream: Upstream, symbol: str, limit: int) -> bytes:
    given = await upstream.ask(symbol, limit)
    assert isinstance(given, Given)
    return given.body


@pytest.mark.parametrize(
    ("limit", "asked"), [(1, 100), (5, 100), (100, 100), (101, 500), (1000, 1000), (1001, 5000), (5000, 5000)]
)
async def test_the_largest_limit_of_the_same_weight_is_asked_for_and_cut(
    upstream: Upstream, exchange: FakeExchange, body_of: Callable[[int, int], bytes], limit: int, asked: int
) -> None:
    assert await body(upstream, "ETHUSDT", limit) == body_of(500, limit)
    assert exchange.asked == [("ETHUSDT", asked)]


async def test_all_who_come_together_share_one_request(
    upstream: Upstream, exchange: FakeExchange, clock: "StillClock"
) -> None:
    exchange.gate.clear()
    readers = [asyncio.create_task(body(upstream, "ETHUSDT", 1 + n % 100)) for n in range(500)]
    await clock.settle()
    readers[0].cancel()
    await clock.settle()
    exchange.gate.set()
    bodies = await asyncio.gather(*readers[1:])
    assert len(set(bodies)) == 100
    assert exchange.asked == [("ETHUSDT", 100)]


async def test_an_answer_is_kept_for_a_second(
    upstream: Upstream, exchange: FakeExchange, clock: "StillClock", outcomes: list[Asking]
) -> None:
    given = await upstream.ask("ETHUSDT", 5)
    assert isinstance(given, Given)
    assert (given.update_id, given.asked_ms) == (500, clock.wall_ms())
    exchange.update_id = 501
    await clock.advance(0.99)
    assert upstream.kept("ETHUSDT", 5) == await upstream.ask("ETHUSDT", 5) == given
    assert upstream.kept("ETHUSDT", 500) is None
    assert upstream.kept("BTCUSDT", 5) is None
    await clock.advance(0.02)
    assert upstream.kept("ETHUSDT", 5) is None
    later = await upstream.ask("ETHUSDT", 5)
    assert isinstance(later, Given)
    assert later.update_id == 501
    assert outcomes == [Asking.ANSWERED] * 2
    upstream.check()


async def test_a_refusal_of_the_request_itself_is_passed_on(
    upstream: Upstream, exchange: FakeExchange, outcomes: list[Asking]
) -> None:
    exchange.failure = Refused(400, -1121, "Invalid symbol.")
    assert await upstream.ask("ETHUSDT", 5) == ApiError(400, -1121, "Invalid symbol.")
    assert upstream.kept("ETHUSDT", 5) == ApiError(400, -1121, "Invalid symbol.")
    assert outcomes == [Asking.REFUSED]


@pytest.mark.parametrize(
    "failure",
    [
        VenueUnavailable("away"),
        RateLimited(60_000, banned=True),
        Refused(403, None, "a firewall"),
        Refused(404, None, "no such path"),
    ],
)
async def test_any_other_failure_is_the_exchange_s_and_kept_too(
    upstream: Upstream,
    exchange: FakeExchange,
    clock: "StillClock",
    outcomes: list[Asking],
    failure: Exception,
) -> None:
    exchange.failure = failure
    assert [await upstream.ask("ETHUSDT", 5) for _ in range(100)] == [FAILED] * 100
    assert len(exchange.asked) == 1
    await clock.advance(1.0)
    exchange.failure = None
    assert isinstance(await upstream.ask("ETHUSDT", 5), Given)
    assert outcomes == [Asking.FAILED, Asking.ANSWERED]


async def test_a_page_in_place_of_a_book_is_a_failure(upstream: Upstream, exchange: FakeExchange) -> None:
    exchange._body_of = lambda *_: b"<html>maintenance</html>"
    assert await upstream.ask("ETHUSDT", 5) is FAILED


async def test_nobody_waits_long(upstream: Upstream, exchange: FakeExchange) -> None:
    exchange.gate.clear()
    assert await upstream.ask("ETHUSDT", 5) is FAILED


async def test_an_exchange_that_wants_silence_is_not_asked(
    upstream: Upstream, exchange: FakeExchange
) -> None:
    exchange.silent_for_s = 60.0
    assert await upstream.ask("ETHUSDT", 5) is FAILED
    assert exchange.asked == []


async def test_what_is_kept_is_bounded(exchange: FakeExchange, clock: "StillClock") -> None:
    upstream = Upstream(exchange, max_bytes=50_000, clock=clock, wall_ms=clock.wall_ms)
    for n in range(100):
        await upstream.ask(f"S{n}USDT", 100)
        upstream.check()
    assert upstream.kept("S99USDT", 100) is not None
    assert upstream.kept("S0USDT", 100) is None
    await upstream.ask("S0USDT", 5000)  # larger than all there is room for
    upstream.check()
    assert upstream.kept("S0USDT", 5000) is not None


async def test_closing_ends_what_is_under_way(
    upstream: Upstream, exchange: FakeExchange, clock: "StillClock"
) -> None:
    exchange.gate.clear()
    reader = asyncio.create_task(upstream.ask("ETHUSDT", 5))
    await clock.settle()
    await upstream.close()
    assert exchange.closed
    await asyncio.gather(reader, return_exceptions=True)
    assert reader.cancelled()
