"""The HTTP side of a replica over a real socket."""

from collections.abc import AsyncIterator
from typing import cast

import aiohttp
import pytest

from depthcast.errors import SettingsError
from depthcast.settings import Address
from updater.health import Health
from updater.metrics import Metrics
from updater.status import Status

ANY_PORT = Address("127.0.0.1", 0)


class Asked:
    """What the replica would say."""

    ready = False

    def status(self) -> Status:
        return cast(Status, {"replica": "a", "symbols": []})


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
async def client(asked: Asked) -> AsyncIterator[aiohttp.ClientSession]:
    health = health_at(ANY_PORT, asked)
    address = await health.start()
    async with aiohttp.ClientSession(f"http://{address}") as session:
        yield session
    await health.close()


def health_at(listen: Address, asked: Asked) -> Health:
    return Health(listen, status=asked.status, ready=lambda: asked.ready, registry=Metrics().registry)


async def test_it_is_alive(client: aiohttp.ClientSession) -> None:
    async with client.get("/healthz") as answer:
        assert answer.status == 200


async def test_it_is_ready_once_its_books_were_published(client: aiohttp.ClientSession, asked: Asked) -> None:
    async with client.get("/readyz") as answer:
        assert answer.status == 503
    asked.ready = True
    async with client.get("/readyz") as answer:
        assert answer.status == 200


async def test_metrics_are_prometheus_text(client: aiohttp.ClientSession) -> None:
    async with client.get("/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert 'depthcast_diffs_total{verdict="applied"} 0.0' in await answer.text()


async def test_the_status_is_json(client: aiohttp.ClientSession) -> None:
    async with client.get("/status") as answer:
        assert answer.content_type == "application/json"
        assert await answer.json() == {"replica": "a", "symbols": []}


async def test_a_port_in_use_is_one_clear_line(asked: Asked) -> None:
    first = health_at(ANY_PORT, asked)
    taken = await first.start()
    with pytest.raises(SettingsError, match=f"cannot listen on {taken}.*--listen"):
        await health_at(taken, asked).start()
    await first.close()
    again = health_at(taken, asked)
    assert await again.start() == taken
    await again.close()
