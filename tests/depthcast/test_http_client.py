"""The client made of aiohttp, over real sockets; and one of another making in its place."""

from collections.abc import AsyncIterator, Mapping

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from depthcast.errors import MalformedAnswer, VenueUnavailable
from depthcast.http_client import NO_HEADERS, AiohttpClient, HttpAnswer
from depthcast.rest import Rest
from depthcast.venues.binance import Binance


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        if request.path == "/moved":
            raise web.HTTPFound("/")
        if request.path == "/teapot":
            return web.Response(status=418, headers={"Retry-After": "7"}, body=b"short and stout")
        return web.Response(body=f"{request.raw_path} {request.headers['User-Agent']}".encode())

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


@pytest.fixture
async def client() -> AsyncIterator[AiohttpClient]:
    made = AiohttpClient(max_body_bytes=100)
    yield made
    await made.close()


async def test_a_url_is_sent_as_it_is_and_says_who_asks(client: AiohttpClient, url: str) -> None:
    status, _, body = await client.get(f"{url}/depth?symbol=%E5%B8%81USDT&limit=5")
    assert status == 200
    assert body.startswith(b"/depth?symbol=%E5%B8%81USDT&limit=5 depthcast/")


async def test_any_status_is_an_answer(client: AiohttpClient, url: str) -> None:
    status, headers, body = await client.get(f"{url}/teapot")
    assert (status, headers["Retry-After"], body) == (418, "7", b"short and stout")


async def test_no_redirection_is_followed(client: AiohttpClient, url: str) -> None:
    assert (await client.get(f"{url}/moved")).status == 302


async def test_an_answer_that_is_too_long_is_no_answer(client: AiohttpClient, url: str) -> None:
    with pytest.raises(MalformedAnswer, match="more than 100 bytes"):
        await client.get(f"{url}/{'long' * 50}")


async def test_where_nobody_listens_the_venue_is_unavailable(client: AiohttpClient) -> None:
    with pytest.raises(VenueUnavailable, match="did not answer"):
        await client.get(f"http://127.0.0.1:{unused_port()}/")


async def test_headers_are_sent_and_what_is_not_to_be_seen_is_not_shown(
    client: AiohttpClient, url: str
) -> None:
    assert b" somebody" in (await client.get(f"{url}/", headers={"User-Agent": "somebody"})).body
    nobody = f"http://127.0.0.1:{unused_port()}"
    with pytest.raises(VenueUnavailable) as caught:
        await client.get(f"{nobody}/private?signature=abc", shown=f"{nobody}/private")
    assert f"{nobody}/private did not answer" in str(caught.value)
    assert "abc" not in str(caught.value)


async def test_one_that_was_never_used_can_be_closed() -> None:
    await AiohttpClient().close()


async def test_a_rest_interface_asks_by_the_client_it_is_given() -> None:
    class Scripted:
        def __init__(self) -> None:
            self.asked: list[str] = []
            self.closed = False

        async def get(
            self, url: str, *, headers: Mapping[str, str] = NO_HEADERS, shown: str = ""
        ) -> HttpAnswer:
            self.asked.append(url)
            return HttpAnswer(200, {"X-MBX-USED-WEIGHT-1M": "6"}, b"{}")

        async def close(self) -> None:
            self.closed = True

    scripted = Scripted()
    async with Rest(Binance("http://exchange"), http=scripted) as rest:
        await rest.ping()
        assert rest.weight_used == 6
    assert scripted.asked == ["http://exchange/api/v3/ping"]
    assert scripted.closed
