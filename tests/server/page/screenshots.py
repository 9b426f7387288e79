"""``python -m tests.server.page.screenshots``: pictures of the live page, in ``docs/screens/``.

The book is the recorded ETHUSDT where the captured data lies beside the checkout, or else a synthetic one;
what is recorded is played as if it were now. Some minutes of it are on tape: there is a past to be seen.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator
from io import BytesIO
from itertools import chain
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from PIL import Image

from depthcast.files import BINANCE_USDM
from depthcast.venues.bitmex_files import BITMEX
from depthcast.venues.coinbase_files import COINBASE
from simulator.capture import RecordedDiff, RecordedSnapshot, read
from simulator.coinbase.engine import BUY, SELL, Effect, Engine, Side
from simulator.coinbase.products import Product
from simulator.coinbase.traders import Habits, Traders
from simulator.market import Profile, listing_of, names
from simulator.truth import ASK, BID, Change, TrueBook
from tests.server.page.browser import Browser, executable
from tests.server.page.stage import MINUTE_MS, Listing, staged

ROOT: Final = Path(__file__).parents[3]
DATA: Final = ROOT.parent / "shared" / "data" / "binance_spot"
CAPTURES: Final = ("hftbacktest_spot_ethusdt_20240808.gz", "hftbacktest_spot_ethusdt_20240809.gz")
SYMBOL: Final = "ETHUSDT"
FUTURES: Final = "binanceusdm/BTCUSDT"
BY_ORDER: Final = "coinbaseexchange/BTC-USD"
BY_ROW: Final = "bitmex/XBTUSD"
MINUTES: Final = 6
AHEAD: Final = 3
"""So many minutes are on tape before they are over, so that pictures taken meanwhile have no gap."""
REPLICAS: Final = ("updater-1", "updater-2", "updater-3")
VENUES: Final = ("binance", *(scheme.venue for scheme in (BINANCE_USDM, COINBASE, BITMEX)))
LIVELY: Final = Profile(bids=700, asks=700, changes=20)
QUIET: Final = Profile(bids=300, asks=300, changes=6)


class Shot(NamedTuple):
    """One picture. ``then`` is run in the page before it is taken."""

    name: str
    path: str
    width: int
    height: int
    dark: bool
    then: str = ""


LOOK_BACK: Final = """(() => {
  const slider = document.getElementById("moment");
  slider.value = Number(slider.max) - 140000;
  slider.dispatchEvent(new Event("input"));
})()"""

SHOTS: Final = (
    Shot("list-light", "/", 1180, 820, False),
    Shot("list-dark", "/", 1180, 820, True),
    Shot("book-light", f"/book/{SYMBOL}", 1180, 1100, False),
    Shot("book-dark", f"/book/{SYMBOL}", 1180, 1100, True),
    Shot("book-past", f"/book/{SYMBOL}", 1180, 900, True, LOOK_BACK),
    Shot("book-phone", f"/book/{SYMBOL}", 390, 1180, False),
    Shot("list-phone", "/", 390, 780, True),
    Shot("book-futures", f"/book/{FUTURES}", 1180, 900, True, LOOK_BACK),
    Shot("book-by-order", f"/book/{BY_ORDER}", 1180, 1100, False),
    Shot("book-by-row", f"/book/{BY_ROW}", 1180, 900, True, LOOK_BACK),
    Shot("book-by-row-phone", f"/book/{BY_ROW}", 390, 1180, False),
    Shot("list-venues", "/?q=/", 1180, 420, False),
)


class Played:
    """Recorded diffs, one a tick, in place of a market."""

    def __init__(self, records: Iterator[object]) -> None:
        self._records = records
        self._listing = listing_of(SYMBOL)
        snapshot = next(record for record in records if isinstance(record, RecordedSnapshot))
        self._snapshot = snapshot

    def opening(self) -> TrueBook:
        return TrueBook(*(self._units(levels) for levels in (self._snapshot.bids, self._snapshot.asks)))

    def tick(self, _book: TrueBook) -> Iterator[Change]:
        for record in self._records:
            if isinstance(record, RecordedDiff) and record.last > self._snapshot.update_id:
                for side, levels in ((BID, record.bids), (ASK, record.asks)):
                    yield from (Change(side, *each) for each in self._units(levels))
                return

    def _units(self, levels: object) -> list[tuple[int, int]]:
        scale = self._listing.scale
        assert isinstance(levels, list | tuple)
        return [(scale.price_units(price), scale.quantity_units(quantity)) for price, quantity in levels]


class Ordered:
    """The levels of a book that traders make order by order, in place of a market: prices are beside each
    other. A price is ``offset`` and what it is in ticks, of ``tick`` units, a quantity so many lots."""

    def __init__(self, offset: int, tick: int, lot: int, seed: int = 5) -> None:
        self._offset, self._tick, self._lot = offset, tick, lot
        self._touched: dict[tuple[Side, int], None] = {}
        self._engine = Engine(Product("X-Y", 0, 0), lambda _: None, self._note)
        self._traders = Traders(self._engine, Habits(900), Random(seed))

    def opening(self) -> TrueBook:
        self._traders.open_market()
        return TrueBook(
            *([self._level(side, price)[1:] for price in self._engine.sides[side]] for side in (BUY, SELL))
        )

    def tick(self, _book: TrueBook) -> Iterator[Change]:
        self._touched.clear()
        for _ in range(12):
            self._traders.act()
        # What goes is told first: the book is at no moment crossed.
        yield from sorted((self._level(*each) for each in self._touched), key=lambda each: each.quantity > 0)

    def _level(self, side: Side, price: int) -> Change:
        held = sum(order.size for order in self._engine.sides[side].get(price, ()))
        units = (self._offset + price) * self._tick
        return Change(BID if side == BUY else ASK, units, held * self._lot)

    def _note(self, effect: Effect) -> None:
        self._touched[effect[2], effect[3]] = None


class Recorded(Listing):
    """The captured book."""

    def __init__(self, paths: list[Path]) -> None:
        super().__init__(SYMBOL, QUIET, 1)
        self.play(Played(chain.from_iterable(read(path) for path in paths)))


def small(picture: bytes) -> bytes:
    """The same in 256 colours, which are enough for it."""
    made = BytesIO()
    Image.open(BytesIO(picture)).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
        made, "PNG", optimize=True
    )
    return made.getvalue()


async def take(folder: Path, shots: list[Shot]) -> None:
    """Take the pictures."""
    minute_ms = time.time_ns() // 1_000_000 // MINUTE_MS * MINUTE_MS
    captures = [DATA / name for name in CAPTURES]
    async with (
        staged(log_level="error", venues=VENUES, read_timeout_ms=20_000) as stage,
        Browser.started() as browser,
    ):
        stage.list(*(name for name in names(20) if name not in (SYMBOL, "币安人生USDT")), profile=QUIET)
        if all(path.exists() for path in captures):
            stage.listings[SYMBOL] = Recorded(captures)
        else:
            stage.list(SYMBOL)
        stage.list("BTCUSDT", "ETHUSDT", scheme=BINANCE_USDM, profile=LIVELY)
        stage.list("BTC-USD", "SHIB-USD", scheme=COINBASE, profile=LIVELY)
        stage.list("XBTUSD", "TRXZ26", scheme=BITMEX, profile=LIVELY)
        stage.listings[BY_ORDER].play(Ordered(-820_000, 37, 10_000))
        stage.listings[BY_ROW].play(Ordered(-900_000, 5, 100))
        pictured = {shot.path.removeprefix("/book/") for shot in shots}
        for address in pictured & {SYMBOL, FUTURES, BY_ORDER, BY_ROW}:
            await stage.record(address, minute_ms - MINUTES * MINUTE_MS, minute_ms + AHEAD * MINUTE_MS)
        await stage.publish()
        async with stage.trading(*REPLICAS, every_s=0.25):
            await asyncio.sleep(2)
            for shot in shots:
                async with await browser.page(
                    stage.url + shot.path, width=shot.width, height=shot.height, dark=shot.dark
                ) as page:
                    await asyncio.sleep(6)
                    if shot.then:
                        await page.evaluate(shot.then)
                        await page.until("document.getElementById('book').classList.contains('past')")
                        await asyncio.sleep(1)
                    picture = small(await page.picture())
                path = folder / f"{shot.name}.png"
                path.write_bytes(picture)
                print(f"{path}: {len(picture) / 1000:.0f} kB")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "screens")
    parser.add_argument("--only", default="", help="those whose names begin so")
    given = parser.parse_args()
    if executable() is None:
        print("no Chromium is installed (Debian: apt-get install chromium)", file=sys.stderr)
        return 2
    given.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(take(given.folder, [shot for shot in SHOTS if shot.name.startswith(given.only)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
