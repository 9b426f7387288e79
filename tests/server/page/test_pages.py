"""The pages, through ASGI: whole without a script."""

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import httpx
import pytest

from depthcast.errors import StoreUnavailable
from depthcast.files import BINANCE_USDM, depth_key
from server.page.pages import LADDER_LEVELS
from server.service import Service
from server.settings import ServerSettings

if TYPE_CHECKING:
    from tests.server.conftest import WatchedStore

ODD = ("币安人生USDT", "A.B-C_D", "ÄÖSS")


class Tree(HTMLParser):
    """Elements that are not closed as they should be, the ids, and all tags."""

    VOID = frozenset({"meta", "link", "input", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in self.VOID and tag != "path":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != "path":
            assert self.open.pop() == tag


@pytest.fixture
async def service(store: "WatchedStore") -> AsyncIterator[Service]:
    for symbol in ("BTCUSDT", "ETHUSDT", *ODD):
        await store.publish(symbol, 20, 160)
    service = Service(ServerSettings(), store)
    await service.catalogue.refresh()
    yield service
    await service.close()


def client(service: Service) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(service.app), base_url="http://server")


async def test_the_list_has_every_symbol_with_its_prices(service: Service) -> None:
    async with client(service) as asking:
        answer = await asking.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    tree = Tree(answer.text)
    assert len(tree.ids) == len(set(tree.ids))
    for symbol in ("BTCUSDT", *ODD):
        assert f'data-symbol="{symbol}"' in answer.text
    assert 'href="/book/%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT"' in answer.text
    assert '<td class="n b" data-m="bid">1000.5</td>' in answer.text


async def test_a_book_has_its_first_levels_in_it(service: Service) -> None:
    async with client(service) as asking:
        text = (await asking.get("/book/ETHUSDT")).text
    tree = Tree(text)
    assert len(tree.ids) == len(set(tree.ids))
    rows = re.findall(
        r'<td class="n p">([^<]*)</td><td class="n q">([^<]*)</td><td class="n t">([^<]*)', text
    )
    assert len(rows) == 2 * LADDER_LEVELS
    assert rows[LADDER_LEVELS - 1] == ("1001.5", "160", "160")
    assert rows[0] == (f"{1000 + LADDER_LEVELS}.5", "160", str(160 * LADDER_LEVELS))
    assert rows[LADDER_LEVELS] == ("1000.5", "160", "160")
    assert 'data-update-id="160"' in text


async def test_everything_a_page_loads_is_this_servers(service: Service) -> None:
    async with client(service) as asking:
        for path in ("/", "/book/ETHUSDT"):
            tree = Tree((await asking.get(path)).text)
            loaded = [
                attrs[name]
                for tag, attrs in tree.tags
                for name in ("src", "href")
                if tag in ("script", "link", "img") and name in attrs
            ]
            assert len(loaded) >= 4
            for each in loaded:
                assert each is not None
                assert each.startswith("/assets/")
                assert (await asking.get(each)).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/book/NOUSDT",
        "/book/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "/book/%00",
        "/book/" + "A" * 300,
        "/book/%FF",
    ],
)
async def test_a_symbol_that_is_not_published_is_404(service: Service, path: str) -> None:
    async with client(service) as asking:
        answer = await asking.get(path)
    assert answer.status_code == 404
    assert "<script>alert" not in answer.text
    Tree(answer.text)


async def test_a_symbol_in_small_letters_is_sent_to_its_page(service: Service) -> None:
    async with client(service) as asking:
        answer = await asking.get("/book/ethusdt")
    assert (answer.status_code, answer.headers["location"]) == (307, "/book/ETHUSDT")


@pytest.mark.parametrize("wanted", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{7*7}}"])
async def test_what_is_looked_for_is_text(service: Service, wanted: str) -> None:
    async with client(service) as asking:
        for path in ("/", "/page/board"):
            answer = await asking.get(path, params={"q": wanted})
            assert answer.status_code == 200
            tags = {tag for tag, _ in Tree(answer.text).tags}
            assert "img" not in tags
            assert "alert(1)</script>" not in answer.text
            assert ">49<" not in answer.text


async def test_rows_come_by_themselves_for_another_text(service: Service) -> None:
    async with client(service) as asking:
        answer = await asking.get("/page/board?q=eth")
    assert answer.headers["hx-push-url"] == "/?q=ETH"
    assert "<html" not in answer.text
    assert 'data-symbol="ETHUSDT"' in answer.text
    assert "BTCUSDT" not in answer.text
    Tree(answer.text)


async def test_a_store_that_is_away_leaves_a_page_without_prices(
    service: Service, store: "WatchedStore"
) -> None:
    store.failure = StoreUnavailable("away")
    async with client(service) as asking:
        book, listed = await asking.get("/book/ETHUSDT"), await asking.get("/")
    assert (book.status_code, listed.status_code) == (200, 200)
    assert 'data-update-id=""' in book.text
    assert 'data-state="stale"' in book.text


async def test_a_file_that_is_none_inside_leaves_them_too(service: Service, store: "WatchedStore") -> None:
    body = b'{"lastUpdateId":9,"bids":[[1]],"asks":[["x","y"]]}'
    await store.put(depth_key("ETHUSDT", 20), body, store.metadata())
    async with client(service) as asking:
        answer = await asking.get("/book/ETHUSDT")
    assert (answer.status_code, 'data-update-id=""' in answer.text) == (200, True)


async def test_before_the_first_listing_nothing_is_known(store: "WatchedStore") -> None:
    service = Service(ServerSettings(), store)
    async with client(service) as asking:
        for path in ("/", "/book/ETHUSDT", "/page/board"):
            answer = await asking.get(path)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    await service.close()


async def test_it_can_be_switched_off(store: "WatchedStore") -> None:
    await store.publish("ETHUSDT", 20, 160)
    service = Service(ServerSettings(page=False), store)
    await service.catalogue.refresh()
    async with client(service) as asking:
        for path in ("/", "/book/ETHUSDT", "/page/board", "/page/fleet", "/stream/board"):
            assert (await asking.get(path)).status_code == 404
    await service.close()


async def test_the_fleet_is_shown_where_it_may_be(service: Service, store: "WatchedStore") -> None:
    hidden = Service(ServerSettings(page_fleet=False), store)
    async with client(service) as asking, client(hidden) as other:
        assert "No replica has been heard of" in (await asking.get("/page/fleet")).text
        text = (await other.get("/page/fleet?symbol=%3Cb%3E")).text
    assert "Not shown by this server" in text
    assert "<b>" not in text
    Tree(text)
    await hidden.close()


async def test_the_symbols_of_other_venues_are_at_addresses_of_their_own(
    service: Service, store: "WatchedStore"
) -> None:
    body = b'{"lastUpdateId":7,"E":9,"T":8,"bids":[["99.5","2"]],"asks":[["100.5","3"]]}'
    for symbol in ("ETHUSDT", "BTCUSDT_260327"):
        for limit in (20, 500):
            await store.put(depth_key(symbol, limit, BINANCE_USDM), body, store.metadata())
    several = Service(ServerSettings(venues=("binance", "binanceusdm")), store)
    await several.catalogue.refresh()
    async with client(several) as asking:
        assert (await asking.get("/")).status_code == 503
        await several.mirrors[0].catalogue.refresh()
        listed, found = (await asking.get("/")).text, (await asking.get("/?q=usdm/eth")).text
        futures, spot = (
            (await asking.get("/book/binanceusdm/ETHUSDT")).text,
            (await asking.get("/book/ETHUSDT")).text,
        )
        lower = await asking.get("/book/binanceusdm/ethusdt")
        missing = [await asking.get(f"/book/{address}") for address in ("binanceusdm/NOUSDT", "no/ETHUSDT")]
    assert 'data-symbol="ETHUSDT"' in listed
    assert 'href="/book/binanceusdm/ETHUSDT">ETHUSDT</a> <small>binanceusdm</small>' in listed
    assert re.findall('data-symbol="([^"]*)"', found) == ["binanceusdm/ETHUSDT"]
    assert 'data-stream="/binanceusdm/stream/depth?symbol=ETHUSDT"' in futures
    assert 'data-past="/fapi/v1/depth?symbol=ETHUSDT&amp;limit=500"' in futures
    assert 'data-ladder="20" data-chart="500"' in futures
    assert '<td class="n p">100.5</td>' in futures
    assert "<h1>ETHUSDT <small>binanceusdm</small></h1>" in futures
    assert 'data-past="/api/v3/depth?symbol=ETHUSDT&amp;limit=20"' in spot
    assert lower.headers["location"] == "/book/binanceusdm/ETHUSDT"
    assert [answer.status_code for answer in missing] == [404, 404]
    Tree(futures)
    await several.close()
