"""What a read of the best levels costs: our view's, and two ways to copy them out of ccxt.pro's live book."""

import gc
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from itertools import islice
from typing import Any, Final

from ccxt.async_support.base.ws.order_book import OrderBook

from bench.flow import Flow
from depthcast.books import BookView
from depthcast.keeper import LiveBook
from depthcast.sync import Sync

LIMITS: Final = (5, 100, 5000)

Times = dict[str, list[float]]


def read_times(flow: Flow, limit: int, rounds: int) -> dict[str, Times]:
    """µs of each read, by party: of the first after a change (``read``) and of the next one (``again``)."""
    live, view = _ours(flow)
    theirs = _theirs(flow)
    ways: dict[str, Callable[[], Any]] = {
        "depthcast": lambda: view.top(limit),
        "fastest": lambda: _fastest(theirs, limit),
        "slices": lambda: _slices(theirs, limit),
    }
    taken: dict[str, Times] = {when: {way: [] for way in ways} for when in ("read", "again")}
    gc.collect()
    for number in range(rounds):
        diff = flow.diffs[number % len(flow.diffs)]
        if diff.last > live.sync.book.update_id:  # type: ignore[union-attr]
            live.sync.diff(diff)
            view.changed(live, [diff])
            for side, levels in ((theirs["bids"], diff.bids), (theirs["asks"], diff.asks)):
                for price, quantity in levels:
                    side.store(float(price), float(quantity))
        else:
            # The flow is used up: the book stays as it is, and what is kept of it is dropped as by a change.
            view.changed(live, [diff])
        shown = view.top(limit)
        for way in ("fastest", "slices"):
            copied = ways[way]()
            if (copied["bids"], copied["asks"]) != shown[3:]:
                sys.exit(f"{limit} levels of ccxt.pro's book differ from ours at {diff.last}")
        view.changed(live, [diff])
        for when in ("read", "again"):
            for way, read in ways.items():
                began = time.perf_counter_ns()
                read()
                taken[when][way].append((time.perf_counter_ns() - began) / 1000)
    return taken


def _ours(flow: Flow) -> tuple[LiveBook, BookView]:
    live = LiveBook("ETHUSDT", Sync("ETHUSDT"))
    live.sync.snapshot(flow.snapshot)
    view = BookView(
        "ETHUSDT",
        guard=nullcontext(),
        clock=time.monotonic,
        heard_age_s=lambda _: 0.0,
        why=lambda _: "",
    )
    view.begin(live)
    return live, view


def _theirs(flow: Flow) -> Any:
    bids, asks = (
        [[float(price), float(quantity)] for price, quantity in side]
        for side in (flow.snapshot.bids, flow.snapshot.asks)
    )
    snapshot = {"bids": bids, "asks": asks, "nonce": flow.snapshot.update_id, "symbol": "ETH/USDT"}
    return OrderBook(snapshot, 5_300)


def _slices(book: Any, limit: int) -> dict[str, Any]:
    copied = dict(book)
    copied["bids"] = [level[:] for level in book["bids"][:limit]]
    copied["asks"] = [level[:] for level in book["asks"][:limit]]
    return copied


def _fastest(book: Any, limit: int) -> dict[str, Any]:
    copied = dict(book)
    copied["bids"] = [[*level] for level in islice(book["bids"], limit)]
    copied["asks"] = [[*level] for level in islice(book["asks"], limit)]
    return copied
