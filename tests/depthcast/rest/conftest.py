"""Clients of a scripted exchange, over real sockets."""

from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from depthcast.rest import Rest
from depthcast.venues.binance import Binance
from tests.depthcast.rest.exchange import Clock, Exchange, OpenRest


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
