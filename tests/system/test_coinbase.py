"""Books by order over real sockets: feed, REST and keeper against the simulated Coinbase and its faults."""

import asyncio
import base64
import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from depthcast.feed import Feed, FeedLimits
from depthcast.keeper import Keeper, LiveBook
from depthcast.orders import LEVELS, Tolerance
from depthcast.orders.book import books_of
from depthcast.rest import Rest
from depthcast.venues.coinbase import Coinbase
from depthcast.venues.coinbase_signing import CoinbaseKey
from simulator.coinbase.app import CoinbaseSimulator
from simulator.coinbase.settings import Settings
from simulator.faults import Kind

PRODUCTS = ("BTC-USD", "ETH-USD", "SKL-BTC")
KEY_TEXT = f"0123456789abcdef\npassphrase\n{base64.b64encode(b'a secret of some length').decode()}\n"
WAIT_S = 60.0

FAULTS = (
    (Kind.GAP, ""),
    (Kind.DUPLICATE, ""),
    (Kind.STRAGGLER, ""),
    (Kind.REORDER, ""),
    (Kind.MALFORMED, "json"),
    (Kind.MALFORMED, "number"),
    (Kind.MALFORMED, "missing"),
    (Kind.DISCONNECT, "abort"),
    (Kind.DISCONNECT, "close"),
    (Kind.FAILED_SNAPSHOT, "503"),
    (Kind.FAILED_SNAPSHOT, "truncated"),
    (Kind.STALE_SNAPSHOT, ""),
    (Kind.THROTTLE, ""),
)


async def reached(live: dict[str, Any], targets: dict[str, int]) -> None:
    """Wait until each book is live and beyond its target, with a bound."""
    loop = asyncio.get_running_loop()
    end = loop.time() + WAIT_S
    while any(not live[name].live or live[name].book.update_id < at for name, at in targets.items()):
        assert loop.time() < end, {name: live[name].book for name in targets}
        await asyncio.sleep(0.02)


async def test_books_by_order_are_the_market_s_byte_for_byte_whatever_goes_wrong(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(KEY_TEXT)
    settings = Settings(
        products=PRODUCTS, orders=40, actions=4, rate=50, keys=(path,), requests_a_second=1000
    )
    async with CoinbaseSimulator(settings) as sim:
        venue = Coinbase(
            sim.rest_url, sim.ws_url, key=CoinbaseKey.parse(KEY_TEXT), wall_ms=sim.exchange.wall_ms
        )
        tolerances = {name: Tolerance() for name in PRODUCTS}
        shown: dict[tuple[str, int], list[bytes]] = {}
        newest: Counter[str] = Counter()
        back: list[str] = []

        def changed(live: LiveBook) -> None:
            book = live.book
            assert book is not None
            if book.update_id < newest[live.symbol]:
                back.append(live.symbol)
            newest[live.symbol] = book.update_id
            shown[live.symbol, book.update_id] = book.bodies(LEVELS)

        def make_feed(take: Any, lost: Any) -> Feed:
            limits = FeedLimits(reconnect_initial_s=0.05, reconnect_maximum_s=0.2)
            return Feed(venue, on_diff=take, on_connection_lost=lost, limits=limits, rng=Random(1))

        async with Rest(venue, weight_limit=60_000, retry_maximum_s=0.3, rng=Random(1)) as rest:
            keeper = Keeper(
                make_feed,
                rest,
                on_change=changed,
                buffer=50_000,
                snapshot_limit=3,
                refill_below=0,
                retry_maximum_s=0.3,
                book_of=lambda symbol: books_of(tolerances[symbol]),
                rng=Random(1),
            )
            feed: Any = keeper.feed
            running = [asyncio.create_task(feed.run()), asyncio.create_task(keeper.run())]
            try:
                keeper.subscribe(PRODUCTS)
                live: dict[str, Any] = dict(keeper.books)
                await reached(live, {name: sim.exchange.markets[name].sequence for name in PRODUCTS})
                calm = live["ETH-USD"].resyncs
                for kind, form in FAULTS:
                    narrow: dict[str, Any] = {} if kind is Kind.THROTTLE else {"symbol": "BTC-USD"}
                    sim.faults.inject(kind, form=form, **narrow)
                    if kind in (Kind.FAILED_SNAPSHOT, Kind.STALE_SNAPSHOT):
                        sim.faults.inject(Kind.GAP, symbol="BTC-USD")
                    happened = sim.faults.counts[kind]
                    targets = {name: sim.exchange.markets[name].sequence + 30 for name in PRODUCTS}
                    await reached(live, targets)
                    assert sim.faults.counts[kind] >= happened
                for book in live.values():
                    book.book.check()
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)
                await keeper.close()
        assert set(sim.faults.counts) == {kind for kind, _ in FAULTS}
        assert not sim.faults.waiting
        # A gap of one product breaks that product's book alone; what ends a connection breaks all on it.
        assert live["BTC-USD"].resyncs > live["ETH-USD"].resyncs >= calm
        assert not back
        assert len(shown) > 500
        # One in some, for the oracle sorts a whole book each time.
        for (name, sequence), bodies in list(shown.items())[:: 1 + len(shown) // 400]:
            market = sim.exchange.markets[name]
            for level, body in zip(LEVELS, bodies, strict=True):
                assert body == market.journal.body(sequence, level), (name, sequence, level)
                assert json.loads(body)["sequence"] == sequence
        assert not any(tolerance.counts for tolerance in tolerances.values())
