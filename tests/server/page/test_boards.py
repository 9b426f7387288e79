"""The boards somebody looks at, and their streams."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, cast

import pytest

from depthcast.errors import StoreUnavailable
from depthcast.files import BINANCE, depth_key
from server.answers import Answer, Asked
from server.catalogue import Catalogue
from server.clients import Clients
from server.freshness import Freshness
from server.hot import HotFiles
from server.page import boards as page_boards
from server.page.boards import LINGER_S, MAX_WANTED, PAGE_ROWS, Boards, View
from server.page.markets import Market, Markets
from server.push.counts import Begin, End, Kind
from server.push.hub import Hub
from server.tickers import Top
from tests.server.push.conftest import Event, Outlet, parsed, unchunked

if TYPE_CHECKING:
    from tests.server.conftest import StillClock, WatchedStore


class Stream:
    """A reader of a board."""

    def __init__(self, outlet: Outlet, task: "asyncio.Future[None]") -> None:
        self.outlet = outlet
        self.task = task
        self.rows: dict[str, dict[str, str]] = {}
        self.last_id = ""

    def take(self) -> list[Event]:
        events = parsed(unchunked(self.outlet.take()))
        for event in events:
            for symbol, members in json.loads(event.data).items():
                self.rows.setdefault(symbol, {}).update(members)
            assert event.id is not None
            self.last_id = event.id
        return events


class Site:
    """Boards over a watched store and a still clock."""

    def __init__(self, store: "WatchedStore", clock: "StillClock", **limits: Any) -> None:
        self.store, self.clock = store, clock
        self.catalogue = Catalogue(store)
        self.tops = HotFiles(store, edition_of=Top.of, clock=clock, sleep=clock.sleep)
        hot = HotFiles(store, clock=clock, sleep=clock.sleep)
        freshness = Freshness(wall_ms=clock.wall_ms)
        self.hub = Hub(hot, freshness, clock=clock, sleep=clock.sleep, max_streams=5)
        names = iter(f"{number:08x}" for number in range(1000))
        self.boards = Boards(
            Markets([Market(BINANCE, self.catalogue, freshness)]),
            self.tops,
            self.hub,
            clock=clock,
            wall_ms=clock.wall_ms,
            sleep=clock.sleep,
            name=lambda: next(names),
            **limits,
        )
        self.endpoint = page_boards.events(self.boards, self.hub, Clients(), spread=lambda: 0.5)
        self.running = asyncio.create_task(self.boards.run())
        self._tasks: list[asyncio.Future[None]] = []

    async def open(self, query: str = "", last_id: str = "") -> Stream:
        asked = Asked(query.encode(), last_event_id=last_id.encode() or None, client="1.2.3.4")
        answer = cast(Answer, self.endpoint(asked))
        assert answer.stream is not None
        outlet = Outlet()
        task = asyncio.ensure_future(answer.stream(outlet))
        self._tasks.append(task)
        await self.clock.advance(0.6)
        return Stream(outlet, task)

    async def close(self) -> None:
        self.running.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(self.running, *self._tasks, return_exceptions=True)
        await self.boards.close()
        await self.tops.close()
        self.boards.check()
        self.hub.check()


@pytest.fixture
async def site(store: "WatchedStore", clock: "StillClock") -> AsyncIterator[Site]:
    for symbol in ("ADAUSDT", "BTCUSDT", "ETHUSDT"):
        await store.publish(symbol, 5, 100)
    site = Site(store, clock, max_boards=3)
    await site.catalogue.refresh()
    yield site
    await site.close()


async def test_a_stream_has_every_row_and_then_what_changed(site: Site) -> None:
    stream = await site.open()
    events = stream.take()
    assert events[0].name == "rows"
    assert stream.rows["ETHUSDT"] == {
        "bid": "1000.5",
        "bidQty": "100",
        "ask": "1001.5",
        "askQty": "100",
        "spread": "9.99",
        "age": stream.rows["ETHUSDT"]["age"],
        "state": "live",
        "status": "TRADING",
    }
    await site.store.publish("ETHUSDT", 5, 107)
    await site.clock.advance(1.2)
    changed = stream.take()
    assert {event.name for event in changed} == {"diff"}
    assert stream.rows["ETHUSDT"]["bidQty"] == "107"
    assert all("bid" not in json.loads(event.data).get("BTCUSDT", {}) for event in changed)


async def test_the_age_goes_on_and_the_state_turns(site: Site) -> None:
    stream = await site.open("q=BTC")
    stream.take()
    assert stream.rows.keys() == {"BTCUSDT"}
    await site.clock.advance(8)
    stream.take()
    assert stream.rows["BTCUSDT"]["state"] == "stale"
    assert int(stream.rows["BTCUSDT"]["age"]) >= 7


async def test_who_comes_back_is_told_what_changed_since(site: Site) -> None:
    stream = await site.open()
    stream.take()
    stream.task.cancel()
    await site.store.publish("ETHUSDT", 5, 111)
    await site.clock.advance(3)
    again = await site.open(last_id=stream.last_id)
    events = again.take()
    assert {event.name for event in events} == {"diff"}
    assert again.rows["ETHUSDT"]["bidQty"] == "111"
    assert "bidQty" not in again.rows["BTCUSDT"]
    assert site.hub.counts.begun == {Begin.SNAPSHOT: 1, Begin.RESUMED: 1}


@pytest.mark.parametrize("last_id", ["00000000-999", "ffffffff-1", "100", "00000000-x"])
async def test_an_id_that_is_not_known_is_given_everything(site: Site, last_id: str) -> None:
    stream = await site.open(last_id=last_id)
    assert stream.take()[0].name == "rows"
    assert len(stream.rows) == 3


async def test_a_slow_reader_is_given_the_newest_alone(site: Site) -> None:
    stream = await site.open()
    stream.take()
    stream.outlet.fill()
    for update_id in range(120, 125):
        await site.store.publish("ETHUSDT", 5, update_id)
        await site.clock.advance(1.2)
    assert stream.outlet.written == b""
    stream.outlet.drain()
    assert len(stream.take()) == 1
    assert stream.rows["ETHUSDT"]["bidQty"] == "124"


async def test_a_new_symbol_ends_the_stream_and_the_board_has_another_name(site: Site) -> None:
    stream = await site.open()
    stream.take()
    listed = site.boards.find(View())
    assert listed is not None
    await site.store.publish("DOTUSDT", 5, 1)
    await site.catalogue.refresh()
    await site.clock.advance(1)
    await asyncio.wait_for(stream.task, 30)
    assert site.hub.counts.ended == {(Kind.EVENTS, End.EXPIRED): 1}
    again = await site.open(last_id=stream.last_id)
    assert not again.take()[0].id.startswith(listed.board.name)  # type: ignore[union-attr]
    assert "DOTUSDT" in again.rows


async def test_pages_and_texts_divide_the_list(store: "WatchedStore", clock: "StillClock") -> None:
    for number in range(PAGE_ROWS + 3):
        await store.publish(f"C{number:03}USDT", 5, 1)
    site = Site(store, clock)
    await site.catalogue.refresh()
    first, last = site.boards.find(View()), site.boards.find(View("", 9))
    assert first is not None
    assert last is not None
    assert (first.page, first.pages, first.found, len(first.board.symbols)) == (1, 2, 103, 100)
    assert (last.page, last.board.symbols) == (2, ("C100USDT", "C101USDT", "C102USDT"))
    found = site.boards.find(View("10"))
    assert found is not None
    assert found.board.symbols == ("C010USDT", "C100USDT", "C101USDT", "C102USDT")
    await site.close()


async def test_only_what_is_looked_at_is_read(site: Site) -> None:
    listed = await asyncio.wait_for(filled(site, View("BTC")), 30)
    assert listed.board.rows["BTCUSDT"].bid == "1000.5"
    assert set(site.store.reads) == {depth_key("BTCUSDT", 5)}


async def filled(site: Site, view: View) -> Any:
    listed = await site.boards.filled(view)
    assert listed is not None
    return listed


async def test_boards_are_bounded_and_forgotten(site: Site) -> None:
    for wanted in ("A", "B", "E"):
        assert site.boards.find(View(wanted)) is not None
    stream = await site.open("q=USDT")
    assert stream.take()
    assert len(site.boards) == 3
    site.boards.check()
    await site.clock.advance(LINGER_S + 1)
    assert len(site.boards) == 1, "the one that is looked at stays"


async def test_where_each_board_is_looked_at_there_is_room_for_no_other(site: Site) -> None:
    for wanted in ("A", "B", "E"):
        await site.open(f"q={wanted}")
    refused = cast(Answer, site.endpoint(Asked(b"q=T", client="1.2.3.4")))
    assert refused.status == 503
    for _ in range(2):
        await site.open("q=A")
    assert cast(Answer, site.endpoint(Asked(b"q=A"))).status == 503, "max_streams"


async def test_a_store_that_is_away_leaves_rows_unknown(site: Site) -> None:
    site.store.failure = StoreUnavailable("away")
    listed = await filled(site, View())
    assert listed.board.rows["ETHUSDT"].bid == ""
    site.store.failure = None
    await site.clock.advance(3)
    await filled(site, View())
    await site.clock.advance(1)
    assert (await filled(site, View())).board.rows["ETHUSDT"].bid == "1000.5"


@pytest.mark.parametrize(
    ("query", "view"),
    [
        ("", View()),
        ("q=%E5%B8%81&page=3", View("币", 3)),
        ("q=eth&q=btc", View("BTC")),
        ("page=0", View()),
        ("page=99999", View()),
        ("q=" + "x" * 100, View("X" * MAX_WANTED)),
        ("&".join(["q=A"] * 100), View()),
        ("%", View()),
    ],
)
def test_what_is_asked_for_is_read_or_passed_over(query: str, view: View) -> None:
    assert View.of(query) == view


async def test_digits_of_a_damaged_file_are_none(site: Site) -> None:
    body = b'{"lastUpdateId":9,"bids":[[1,2]],"asks":[]}'
    await site.store.put(depth_key("ETHUSDT", 5), body, site.store.metadata())
    listed = await filled(site, View())
    assert listed.board.rows["ETHUSDT"].bid == ""
