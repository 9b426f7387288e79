"""Paths, methods and headers, through ASGI."""

import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import httpx
import pytest

from server.service import Service
from server.settings import ServerSettings

if TYPE_CHECKING:
    from tests.server.conftest import WatchedStore

WALL_US = 1_723_161_253_000_123


@pytest.fixture
async def client(store: "WatchedStore", monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setattr("time.time_ns", lambda: WALL_US * 1000 + 999)
    await store.publish("ETHUSDT", 10, 160)
    await store.publish("币安人生USDT", 10, 161)
    service = Service(ServerSettings(), store)
    await service.catalogue.refresh()
    transport = httpx.ASGITransport(service.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        yield client
    await service.close()


async def test_a_book_is_answered_as_binance_would(client: httpx.AsyncClient, store: "WatchedStore") -> None:
    response = await client.get("/api/v3/depth", params={"symbol": "ETHUSDT", "limit": 5})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json;charset=UTF-8"
    assert response.content == store.body(160, 5)
    assert list(response.json()) == ["lastUpdateId", "bids", "asks"]


async def test_a_symbol_may_be_written_in_any_alphabet(
    client: httpx.AsyncClient, store: "WatchedStore"
) -> None:
    response = await client.get("/api/v3/depth", params={"symbol": "币安人生USDT", "limit": 10})
    assert response.content == store.body(161, 10)


async def test_head_is_get_without_the_body(client: httpx.AsyncClient) -> None:
    for path in ("/api/v3/depth?symbol=ETHUSDT&limit=5", "/api/v3/depth?symbol=NO", "/api/v3/ping"):
        whole, head = await client.get(path), await client.head(path)
        assert (head.status_code, head.content) == (whole.status_code, b"")
        assert head.headers == whole.headers
        assert int(head.headers["content-length"]) == len(whole.content) > 0


async def test_a_conditional_request_is_304_without_a_body(client: httpx.AsyncClient) -> None:
    path = "/api/v3/depth?symbol=ETHUSDT&limit=5"
    tag = (await client.get(path)).headers["etag"]
    response = await client.get(path, headers={"If-None-Match": tag})
    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == tag
    assert "content-length" not in response.headers


async def test_a_condition_may_be_sent_in_several_lines(client: httpx.AsyncClient) -> None:
    path = "/api/v3/depth?symbol=ETHUSDT&limit=5"
    tag = (await client.get(path)).headers["etag"]
    lines = [("If-None-Match", '"a"'), ("If-None-Match", tag), ("If-None-Match", '"b"')]
    assert (await client.get(path, headers=lines)).status_code == 304


async def test_an_error_is_json_that_no_cache_keeps_and_any_page_may_read(client: httpx.AsyncClient) -> None:
    response = await client.get("/api/v3/depth?symbol=NOSUCH")
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/json;charset=UTF-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.content == b'{"code":-1121,"msg":"Invalid symbol."}'


async def test_ping(client: httpx.AsyncClient) -> None:
    response = await client.get("/api/v3/ping")
    assert (response.status_code, response.content) == (200, b"{}")
    assert response.headers["content-type"] == "application/json;charset=UTF-8"
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, WALL_US // 1000),
        ({"X-MBX-TIME-UNIT": "millisecond"}, WALL_US // 1000),
        ({"X-MBX-TIME-UNIT": "MICROSECOND"}, WALL_US),
    ],
)
async def test_time(client: httpx.AsyncClient, headers: dict[str, str], expected: int) -> None:
    response = await client.get("/api/v3/time", headers=headers)
    assert response.content == b'{"serverTime":%d}' % expected


@pytest.mark.parametrize("path", ["/api/v3/ping", "/api/v3/time"])
async def test_ping_and_time_take_no_parameters_and_two_units(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(f"{path}?a=1")
    assert (response.status_code, response.json()["code"]) == (400, -1101)
    response = await client.get(path, headers={"X-MBX-TIME-UNIT": "s"})
    assert (response.status_code, response.json()["code"]) == (400, -1194)


@pytest.mark.parametrize("path", ["/api/v3/depth", "/api/v3/ping", "/api/v3/time"])
async def test_a_browser_is_told_what_it_may_send(client: httpx.AsyncClient, path: str) -> None:
    response = await client.options(
        path, headers={"Origin": "https://x", "Access-Control-Request-Method": "GET"}
    )
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"
    assert response.headers["access-control-allow-headers"] == "*"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "FOO"])
@pytest.mark.parametrize("path", ["/api/v3/depth?symbol=ETHUSDT", "/api/v3/ping"])
async def test_other_methods_are_405(client: httpx.AsyncClient, method: str, path: str) -> None:
    response = await client.request(method, path)
    assert (response.status_code, response.content) == (405, b"")
    assert response.headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize(
    "path", ["/x", "/api/v1/depth?symbol=ETHUSDT", "/api/v3", "/api/v3/depth/", "/api/v3/DEPTH", "/x%00y"]
)
async def test_an_unknown_path_is_404_with_html_only_for_who_accepts_it(
    client: httpx.AsyncClient, path: str
) -> None:
    plain = await client.get(path, headers={"Accept": "application/json"})
    assert (plain.status_code, plain.content) == (404, b"")
    assert plain.headers["access-control-allow-origin"] == "*"
    html = await client.get(path, headers={"Accept": "text/html,*/*"})
    assert (html.status_code, html.text) == (404, "<html><body><h2>404 Not found</h2></body></html>")
    assert html.headers["content-type"].startswith("text/html")


async def test_answers_are_counted(client: httpx.AsyncClient) -> None:
    for path in (
        "/api/v3/depth?symbol=ETHUSDT&limit=5",
        "/api/v3/depth?symbol=NO",
        "/api/v3/ping",
        "/api/v3/ping",
    ):
        await client.get(path)
    text = (await client.get("/metrics")).text
    assert 'depthcast_server_answers_total{endpoint="/api/v3/depth",status="400"} 1.0' in text
    assert 'depthcast_server_answers_total{endpoint="/api/v3/ping",status="200"} 2.0' in text


async def test_health_and_readiness(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == {"alive": True}
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "symbols": 2})


async def test_a_server_that_has_not_listed_the_store_is_alive_but_not_ready(store: "WatchedStore") -> None:
    service = Service(ServerSettings(), store)
    transport = httpx.ASGITransport(service.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503
        response = await client.get("/api/v3/depth?symbol=ETHUSDT")
    assert (response.status_code, json.loads(response.content)["code"]) == (503, -1001)
