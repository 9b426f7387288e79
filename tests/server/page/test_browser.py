"""The live page in a real browser: what is on the screen is what is in the files."""

import asyncio
import json
import os
import time
import urllib.request
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any, Final

import pytest
import pytest_asyncio

from depthcast.files import BINANCE_USDM
from depthcast.venues.bitmex_files import BITMEX
from depthcast.venues.coinbase_files import COINBASE
from simulator.market import Profile
from tests.server.page.browser import Browser, Page, executable
from tests.server.page.relay import relayed
from tests.server.page.spelling import Levels
from tests.server.page.stage import MINUTE_MS, Listing, Stage, staged

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("browser")]

SHIFTS: Final = """
const name = (node) => node && (node.id || `${node.nodeName}.${node.className ?? node.data}`);
const blame = (each) => each.sources.map(({ node }) => `${name(node)} in ${name(node?.parentNode)}`);
window.shifts = [];
new PerformanceObserver((list) => {
  for (const each of list.getEntries()) window.shifts.push([each.value, ...blame(each)]);
}).observe({ type: "layout-shift", buffered: true });
window.marked = 1;
"""
"""Every layout shift, whoever caused it."""

LADDER: Final = """(() => {
  const table = document.getElementById("ladder");
  const texts = (row) => [row.cells[0].textContent, row.cells[1].textContent];
  const read = (body) => [...body.rows].map(texts).filter((each) => each[0]);
  const [asks, , bids] = table.tBodies;
  return { id: table.dataset.updateId, bids: read(bids), asks: read(asks).reverse() };
})()"""
"""What the ladder shows. Ids are text: some have more digits than a browser's numbers hold."""

ON_TAPE: Final = "document.getElementById('past-note')?.textContent.startsWith('The tape goes back to')"
MOMENT: Final = "document.getElementById('moment')"
"""The slider."""

GOTO: Final = "document.getElementById('goto')"
"""The field for a time."""

AN_HOUR: Final = "document.querySelector('[data-span=\"3600000\"]').click()"
"""So much time is shown as any run of these tests takes."""

BOX: Final = """(() => {
  const { x, y, width, height } = document.getElementById("heat").getBoundingClientRect();
  return [x, y, width - 64, height - 20];
})()"""
"""Where the heatmap is, without its scales."""

TILE: Final = """(async () => {{
  const place = document.querySelector("script[type=module]").src.replace("book-page", "tiles");
  const {{ Tiles, readTile }} = await import(place);
  return await readTile(new Tiles("{}", "{}", () => 0).url(0, {}));
}})().then(({{ step, exponent }}) => [step, 2 ** ((exponent + 1) / 12)])"""
"""The height of a row, and the least quantity that is told from nothing."""

PIXEL: Final = """(() => {{
  const context = document.getElementById("heat").getContext("2d");
  return [...context.getImageData(Math.floor({}), Math.floor({}), 1, 1).data].slice(0, 3);
}})()"""
"""The colour of a place."""

FUTURES: Final = "binanceusdm/SOLUSDT"
BY_ORDER: Final = "coinbaseexchange/BTC-USD"
BY_ROW: Final = "bitmex/XBTUSD"
TINY: Final = "bitmex/TRXZ26"
"""Its prices are written with an exponent."""

TAPED: Final = ("SOLUSDT", FUTURES, BY_ORDER, BY_ROW)
"""Symbols with a past, by their addresses."""

MOST_CPU_MS: Final = 30.0
"""An update may take so much of a core: ten a second are then 30 % of it."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    # A minute and a half, and what a browser costs is only to be told where little else runs: so it is apart.
    if os.environ.get("PAGE_TEST") != "required":
        pytest.skip("the live page in a browser is tested by make page-test")
    if executable() is None:
        pytest.fail("chromium is not installed (Debian: apt-get install chromium)")
    async with Browser.started() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stage(browser: Browser) -> AsyncIterator[Stage]:
    venues = ("binance", *(scheme.venue for scheme in (BINANCE_USDM, COINBASE, BITMEX)))
    async with staged(seed=7, venues=venues, read_timeout_ms=30_000) as stage:
        stage.list("ETHUSDT")
        some, fewer = (Profile(bids=levels, asks=levels, changes=8) for levels in (400, 250))
        stage.list("SOLUSDT", profile=some)
        stage.list("SOLUSDT", profile=some, scheme=BINANCE_USDM)
        stage.list("BTC-USD", profile=fewer, scheme=COINBASE)
        stage.list("XBTUSD", profile=fewer, scheme=BITMEX)
        stage.list("TRXZ26", profile=Profile(bids=30, asks=30, changes=5), scheme=BITMEX)
        minute_ms = time.time_ns() // 1_000_000 // MINUTE_MS * MINUTE_MS
        for address in TAPED:
            await stage.record(address, minute_ms - 3 * MINUTE_MS, minute_ms)
        stage.list("BTCUSDT", "币安人生USDT", profile=Profile(bids=30, asks=30, changes=5))
        await stage.publish()
        async with stage.trading("one", "two"):
            await until_ready(stage)
            yield stage


def going_to(time_ms: int) -> str:
    """What chooses a moment, however long ago it is."""
    when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time_ms // 1000))
    return f"{GOTO}.value = {when!r}; {GOTO}.dispatchEvent(new Event('change'))"


async def until_ready(stage: Stage) -> None:
    """Wait until the server knows all symbols."""
    async with asyncio.timeout(60):
        while True:
            _, text = await asyncio.to_thread(get, f"{stage.url}/readyz")
            spot = sum("/" not in address for address in stage.listings)
            listed, _ = await asyncio.to_thread(get, f"{stage.url}/")
            if json.loads(text).get("symbols") == spot and listed == 200:
                return
            await asyncio.sleep(0.05)


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def metric(stage: Stage, line: str) -> float:
    """The value of a metric."""
    _, text = await asyncio.to_thread(get, f"{stage.url}/metrics")
    return sum(float(each.rpartition(" ")[2]) for each in text.splitlines() if each.startswith(line))


async def until_streams(stage: Stage, count: int) -> None:
    async with asyncio.timeout(30):
        name = 'depthcast_server_streams{kind="events"}'
        while await metric(stage, name) != count:  # noqa: ASYNC110 (a server's)
            await asyncio.sleep(0.05)


def number(text: str) -> tuple[Decimal, int]:
    """A number as it is shown, and how many digits it has behind the point."""
    assert set(text) <= set("0123456789.")
    return Decimal(text), len(text.partition(".")[2])


def same(shown: dict[str, Any], levels: tuple[Levels, Levels]) -> bool:
    """Whether a ladder is the file's book: prices in a column have equally many digits, and so have
    quantities, so that zeros at their ends are neither all shown nor all left out."""
    for place in (0, 1):
        told = [[Decimal(level[place]) for level in side] for side in levels]
        read = [[number(level[place]) for level in shown[side]] for side in ("bids", "asks")]
        assert len({digits for side in read for _, digits in side}) == 1
        if told != [[each for each, _ in side] for side in read]:
            return False
    return True


async def follow(page: Page, stage: Stage, changes: int, address: str = "ETHUSDT") -> set[str]:
    """Watch the ladder until it has shown so many versions, each compared with its file."""
    seen: set[str] = set()
    async with asyncio.timeout(60):
        while len(seen) < changes:
            shown = await page.evaluate(LADDER)
            if shown["id"] not in seen:
                assert same(shown, stage.listings[address].shown[int(shown["id"])])
                seen.add(shown["id"])
            await asyncio.sleep(0.02)
    return seen


@pytest.mark.parametrize(
    ("address", "width"),
    [
        *((address, width) for address in ("ETHUSDT", BY_ORDER, BY_ROW) for width in (1280, 390, 320)),
        (FUTURES, 1280),
        (TINY, 320),
    ],
)
async def test_the_ladder_is_the_file_of_its_id_and_nothing_moves(
    browser: Browser, stage: Stage, address: str, width: int
) -> None:
    async with await browser.page(f"{stage.url}/book/{address}", width=width, before=SHIFTS) as page:
        await page.until("document.getElementById('link').dataset.link === 'open'")
        assert len(await follow(page, stage, 25, address)) >= 25
        assert await page.evaluate("window.shifts") == []
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        assert [each for each in page.complaints if "/heat/" not in each and "at=" not in each] == []


async def test_a_book_that_changes_ten_times_a_second_costs_less_than_a_third_of_a_core(
    browser: Browser, stage: Stage
) -> None:
    async with await browser.page(f"{stage.url}/book/ETHUSDT") as page:
        await page.until("document.getElementById('link').dataset.link === 'open'")
        await follow(page, stage, 5)
        first = int((await page.evaluate(LADDER))["id"])
        cpu_s, of_page = browser.cpu_s(), (await page.metrics())["TaskDuration"]
        await asyncio.sleep(5)
        last = int((await page.evaluate(LADDER))["id"])
        cpu_s, of_page = browser.cpu_s() - cpu_s, (await page.metrics())["TaskDuration"] - of_page
    updates = sum(first < update_id <= last for update_id in stage.listings["ETHUSDT"].shown)
    each_ms = cpu_s / updates * 1000
    print(
        f"{updates} updates: {each_ms:.1f} ms of CPU each, {of_page / updates * 1000:.1f} in the page itself"
    )
    assert updates > 10
    assert each_ms < MOST_CPU_MS


@pytest.mark.parametrize("address", ["ETHUSDT", BY_ORDER, BY_ROW])
async def test_a_connection_that_is_cut_goes_on_without_a_reload(
    browser: Browser, stage: Stage, address: str
) -> None:
    async with (
        relayed(stage.port) as relay,
        await browser.page(f"{relay.url}/book/{address}", before=SHIFTS) as page,
    ):
        await follow(page, stage, 3, address)
        await page.evaluate("window.marked = 2")
        resumed = await metric(stage, 'depthcast_server_stream_begins_total{how="resumed"}')
        relay.cut()
        await page.until("document.getElementById('link').dataset.link === 'waiting'")
        relay.mend()
        await page.until("document.getElementById('link').dataset.link === 'open'")
        await follow(page, stage, 3, address)
        assert await page.evaluate("window.marked") == 2
        assert await page.evaluate("window.shifts") == []
        assert await metric(stage, 'depthcast_server_stream_begins_total{how="resumed"}') > resumed


async def test_a_page_that_nobody_looks_at_has_no_streams(browser: Browser, stage: Stage) -> None:
    await until_streams(stage, 0)
    hide = (
        "Object.defineProperty(document, 'hidden', {{ value: {}, configurable: true }});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    async with await browser.page(f"{stage.url}/book/ETHUSDT") as page:
        await until_streams(stage, 2)
        await page.evaluate(hide.format("true"))
        await until_streams(stage, 0)
        shown = await page.evaluate(LADDER)
        asked = len(page.requests)
        await stage.listings["ETHUSDT"].changed(10)
        assert await page.evaluate(LADDER) == shown
        assert len(page.requests) == asked
        await page.evaluate(hide.format("false"))
        await until_streams(stage, 2)
        await follow(page, stage, 3)
    async with await browser.page(f"{stage.url}/") as page:
        await until_streams(stage, 1)
        await page.evaluate(hide.format("true"))
        await until_streams(stage, 0)


async def test_the_list_goes_on_and_is_filtered_from_the_keyboard(browser: Browser, stage: Stage) -> None:
    bid = "document.querySelector('[data-symbol=ETHUSDT] [data-m=bid]').textContent"
    count = "document.querySelectorAll('tr[data-symbol]').length"
    async with await browser.page(f"{stage.url}/", before=SHIFTS) as page:
        assert await page.evaluate(count) == len(stage.listings)
        was = await page.evaluate(bid)
        await page.until(f"{bid} !== {json.dumps(was)}")
        assert (
            await page.evaluate("document.querySelector('[data-symbol=ETHUSDT] .state').textContent")
            == "live"
        )
        await page.press("/", 191)
        assert await page.evaluate("document.activeElement.id") == "wanted"
        for letter in "ETH":
            await page.press(letter, ord(letter))
        await page.until(f"{count} === 1")
        assert await page.evaluate("location.search") == "?q=ETH"
        assert await page.evaluate("document.activeElement.id") == "wanted"
        was = await page.evaluate(bid)
        await page.until(f"{bid} !== {json.dumps(was)}")
        assert await page.evaluate("window.marked") == 1, "no reload"
        assert page.complaints == []


async def test_the_list_names_the_venue_and_leads_to_its_book(browser: Browser, stage: Stage) -> None:
    for address in (FUTURES, BY_ORDER, BY_ROW, TINY):
        venue, _, symbol = address.rpartition("/")
        row = f"document.querySelector('tr[data-symbol=\"{address}\"]')"
        async with await browser.page(f"{stage.url}/?q={venue}", width=320, before=SHIFTS) as page:
            assert await page.evaluate(f"{row}.cells[0].innerText.split(/\\s+/)") == [symbol, venue]
            was = await page.evaluate(f"{row}.innerText")
            await page.until(f"{row}.innerText !== {json.dumps(was)}")
            bid = await page.evaluate(f"{row}.querySelector('[data-m=bid]').textContent")
            best = {Decimal(bids[0][0]) for bids, _ in stage.listings[address].shown.values()}
            assert number(bid)[0] in best
            assert await page.evaluate(f"{row}.querySelector('.state').textContent") == "live"
            assert await page.evaluate("document.documentElement.scrollWidth") <= 320
            assert await page.evaluate("window.shifts") == []
            await page.evaluate(f"{row}.querySelector('a').click()")
            await page.until(f"location.pathname === '/book/{address}'")
            assert await page.until("document.querySelector('h1')?.innerText") == f"{symbol} {venue}"
            await follow(page, stage, 2, address)


async def test_a_symbol_that_is_published_later_comes_by_itself(browser: Browser, stage: Stage) -> None:
    async with await browser.page(f"{stage.url}/?q=LATE", before=SHIFTS) as page:
        await page.until("document.getElementById('link').dataset.link === 'open'")
        assert await page.evaluate("document.querySelectorAll('tr[data-symbol]').length") == 0
        stage.list("LATEUSDT", profile=Profile(bids=30, asks=30, changes=5))
        await page.until("document.querySelector('[data-symbol=LATEUSDT] [data-m=bid]')?.textContent")
        assert await page.evaluate("window.marked") == 1


async def test_nothing_comes_from_elsewhere_and_no_script_gets_in(browser: Browser, stage: Stage) -> None:
    for path in ("/", "/book/ETHUSDT", "/book/%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT"):
        async with await browser.page(stage.url + path) as page:
            await page.until("document.getElementById('link').dataset.link === 'open'")
            assert [url for url in page.requests if not url.startswith((f"{stage.url}/", "data:"))] == []
            blocked = await page.evaluate(
                "new Promise((done) => { const script = document.createElement('script');"
                "script.textContent = 'window.got = 1'; document.body.append(script);"
                "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.got = 2\">');"
                "setTimeout(() => done(window.got === undefined), 200); })"
            )
            assert blocked


async def test_the_fleet_is_on_both_pages_and_goes_on(browser: Browser, stage: Stage) -> None:
    venues = {listing.scheme.venue for listing in stage.listings.values()}
    for path, count in (("/", 2 * len(venues)), ("/book/ETHUSDT", 2), (f"/book/{BY_ORDER}", 2)):
        async with await browser.page(stage.url + path, before=SHIFTS) as page:
            told = await page.evaluate("document.getElementById('fleet').textContent")
            assert f"{count} of {count} replicas alive" in told
            assert [venue for venue in venues if venue in told] == [each for each in venues if path == "/"]
            asked = sum("/page/fleet" in url for url in page.requests)
            await page.evaluate("htmx.trigger('#fleet', 'every')")
            async with asyncio.timeout(30):
                while sum("/page/fleet" in url for url in page.requests) == asked:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            assert await page.evaluate("document.querySelectorAll('#fleet').length") == 1
            assert await page.evaluate("window.shifts") == []


async def test_without_a_tape_there_is_no_past_to_choose(browser: Browser, stage: Stage) -> None:
    async with await browser.page(f"{stage.url}/book/BTCUSDT") as page:
        await page.until("document.getElementById('past-note').textContent.startsWith('There is no tape')")
        for name in ("moment", "play", "go-live", "goto"):
            assert await page.evaluate(f"document.getElementById('{name}').disabled")


@pytest.mark.parametrize("address", TAPED)
async def test_the_slider_shows_the_book_of_its_moment_and_goes_back_to_now(
    browser: Browser, stage: Stage, address: str
) -> None:
    listing = stage.listings[address]
    async with await browser.page(f"{stage.url}/book/{address}", before=SHIFTS) as page:
        await page.until(ON_TAPE)
        await page.until("document.getElementById('link').dataset.link === 'open'")
        await page.evaluate(AN_HOUR)
        await page.evaluate("document.getElementById('moment').focus()")
        for part in (0.75, 0.6, 0.5):
            at = (listing.past[0].time_ms * (1 - part) + listing.past[-1].time_ms * part) // 1000 * 1000
            await page.evaluate(f"document.getElementById('moment').value = {at:.0f}")
            # A key moves it by a step, and tells that it was moved.
            await page.press("ArrowLeft", 37)
            await page.until("document.getElementById('book').classList.contains('past')")
            at = int(await page.evaluate("document.getElementById('moment').value"))
            update_id, book = listing.at(at)
            await page.until(f"document.getElementById('ladder').dataset.updateId === '{update_id}'")
            shown = await page.evaluate(LADDER)
            assert same(shown, listing.spelling.levels(book))
            assert await page.evaluate("document.getElementById('update-id').textContent") == str(update_id)
            assert await page.evaluate("document.getElementById('book').classList.contains('past')")
            text = await page.evaluate("document.getElementById('moment').getAttribute('aria-valuetext')")
            assert text == time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at // 1000))
        await page.evaluate("document.getElementById('go-live').click()")
        await page.until(
            f"BigInt(document.getElementById('ladder').dataset.updateId) > {listing.past[-1].update_id}n"
        )
        assert await page.evaluate("window.shifts") == []
        assert page.complaints == []


async def test_replay_goes_on_by_itself_over_the_tape(browser: Browser, stage: Stage) -> None:
    listing = stage.listings["SOLUSDT"]
    async with await browser.page(f"{stage.url}/book/SOLUSDT") as page:
        await page.until("!document.getElementById('play').disabled")
        await page.evaluate(going_to(listing.past[0].time_ms))
        await page.evaluate("document.getElementById('play').click()")
        seen: set[int] = set()
        async with asyncio.timeout(60):
            while len(seen) < 5:
                shown = await page.evaluate(LADDER)
                update_id = int(shown["id"])
                if update_id <= listing.past[-1].update_id and update_id not in seen:
                    at = next(told.time_ms for told in listing.past if told.update_id == update_id)
                    assert same(shown, listing.spelling.levels(listing.at(at)[1]))
                    seen.add(update_id)
                await asyncio.sleep(0.05)
        assert sorted(seen) == list(dict.fromkeys(sorted(seen)))


@pytest.mark.parametrize("address", ["SOLUSDT", BY_ORDER, BY_ROW])
async def test_the_heatmap_shows_what_the_tape_holds(browser: Browser, stage: Stage, address: str) -> None:
    listing = stage.listings[address]
    second_ms = listing.past[len(listing.past) // 2].time_ms // 1000 * 1000
    minute_ms = second_ms // MINUTE_MS * MINUTE_MS
    async with await browser.page(f"{stage.url}/book/{address}") as page:
        await page.until(ON_TAPE)
        step, least = await page.until(TILE.format(listing.scheme.venue, listing.symbol, minute_ms))
        # The picture stands still while a moment is shown, however long the tape is over.
        await page.evaluate(going_to(second_ms))
        low, high = await page.evaluate(f"[Number({MOMENT}.min), Number({MOMENT}.max)]")
        left, top, width, height = await page.evaluate(BOX)
        x = left + (second_ms + 500 - low) / (high - low) * width
        middle = {"type": "mouseMoved", "x": x, "y": top + height / 2}
        await page.send("Input.dispatchMouseEvent", middle)
        await page.until("/[0-9]$/.test(document.getElementById('heat-point').textContent)")
        cells = []
        for part in range(1, 60):
            y = top + height * part / 60
            await page.send("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x, "y": y})
            told = await page.until("document.getElementById('heat-point').textContent")
            clock, price, quantity = told.split("  ")
            if quantity != "not known":
                at = minute_ms + int(clock[-2:]) * 1000
                mean = mean_of(listing, at, float(price), step)
                shown = float(quantity.rstrip("kMG")) * {"k": 1e3, "M": 1e6, "G": 1e9}.get(quantity[-1], 1)
                assert abs(shown - mean) <= max(0.035 * mean, 0 if shown else least), (told, mean)
                cells.append((mean, y))
        assert len(cells) > 30
        # More is darker in the light theme; the lines at the pointer are gone before colours are looked at.
        await page.send("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": 1, "y": 1})
        await page.until("document.getElementById('heat-point').textContent === ''")
        strongest = await page.evaluate(PIXEL.format(x - left + 1, max(cells)[1] - top))
        weakest = await page.evaluate(PIXEL.format(x - left + 1, min(cells)[1] - top))
        assert sum(strongest) < sum(weakest) - 60
        before = await page.evaluate(PIXEL.format(5, height / 2))
        assert before in ([244, 244, 242], [226, 226, 223]), "before the tape begins nothing is known"


def mean_of(listing: Listing, from_ms: int, price: float, step: float) -> float:
    """What rested within a step of the price, on average over a second: moment by moment."""
    total = 0.0
    low, high = price - step * 1e-6, price + step * (1 - 1e-6)
    for time_ms in range(from_ms, from_ms + 1000, 100):
        _, book = listing.at(time_ms)
        for level, quantity in (*book.sides[0].items(), *book.sides[1].items()):
            if low <= float(listing.spelling.price(level)) < high:
                total += float(listing.spelling.quantity(quantity)) / 10
    return total


async def test_what_moves_has_words_for_who_does_not_see_it(browser: Browser, stage: Stage) -> None:
    async with await browser.page(f"{stage.url}/book/ETHUSDT") as page:
        told = await page.until("document.getElementById('told').textContent")
        assert told.startswith("ETHUSDT, live: best bid ")
        tree = await page.send("Accessibility.getFullAXTree")
        named = {
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in tree["nodes"]
            if not node.get("ignored") and "role" in node
        }
        roles = {role for role, _ in named}
        assert {"table", "slider", "heading", "status"} <= roles
        for role, name in named:
            if role in (
                "image",
                "button",
                "slider",
                "table",
                "combobox",
                "textbox",
                "searchbox",
                "link",
                "img",
            ):
                assert name, f"a {role} without a name"
