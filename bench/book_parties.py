"""``python -m bench.book_parties PARTY SOURCE``: one party takes a stream; :mod:`bench.books` starts it.

Prints one line of JSON: messages a second by the clock and by CPU time. The book at the end is compared with
one that a plain dictionary keeps.
"""

import argparse
import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

from bench.book_ccxt import CcxtPro
from bench.book_stream import SYMBOL, UNIFIED, frames_of, load
from bench.flow import Flow
from depthcast.books import Books, BookView
from depthcast.events import Diff, Snapshot
from depthcast.keeper import Keeper
from depthcast.venues.binance import Binance

COMPARED = 200
"""Levels a side that are compared at the end."""

READ = 5
"""Levels a side that are copied after each message by who reads."""

Levels = list[list[float]]
Run = tuple[float, float, tuple[Levels, Levels]]
"""Seconds by the clock, seconds of CPU time, and the best levels at the end."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.book_parties", description=__doc__)
    parser.add_argument("party", choices=("depthcast", "ccxt"))
    parser.add_argument("source", choices=("memory", "reading", "socket"))
    parser.add_argument("--url", default="", help="host:port of the exchange")
    parser.add_argument("--quick", action="store_true")
    chosen = parser.parse_args(argv)
    flow = load(quick=chosen.quick, levels=1_000)
    # The recorded diffs are the bench's own: no party is to pay for walking over them.
    gc.collect()
    gc.freeze()
    parties: dict[tuple[str, str], Callable[[Flow, str], Coroutine[Any, Any, Run]]] = {
        ("depthcast", "memory"): ours_in_memory,
        ("depthcast", "reading"): partial(ours_in_memory, reading=True),
        ("ccxt", "memory"): ccxt_in_memory,
        ("ccxt", "reading"): partial(ccxt_in_memory, reading=True),
        ("depthcast", "socket"): ours_by_socket,
        ("ccxt", "socket"): ccxt_by_socket,
    }
    clock_s, cpu_s, shown = asyncio.run(parties[chosen.party, chosen.source](flow, chosen.url))
    if shown != expected(flow):
        sys.exit("the book at the end is not what the frames say")
    count = len(flow.diffs)
    print(json.dumps({"clock": count / clock_s, "cpu": count / cpu_s}))
    return 0


def expected(flow: Flow) -> tuple[Levels, Levels]:
    """The best levels at the end, by two dictionaries."""
    shown = []
    bids = [flow.snapshot.bids, *(diff.bids for diff in flow.diffs)]
    asks = [flow.snapshot.asks, *(diff.asks for diff in flow.diffs)]
    for told, descending in ((bids, True), (asks, False)):
        levels = {float(price): float(quantity) for side in told for price, quantity in side}
        kept = sorted((item for item in levels.items() if item[1]), reverse=descending)
        shown.append([list(level) for level in kept[:COMPARED]])
    return shown[0], shown[1]


async def ours_in_memory(flow: Flow, _: str, *, reading: bool = False) -> Run:
    """Frames -> venue -> keeper -> view, as books take them; the book is read at the end in any case."""
    frames, venue = frames_of(flow).combined, Binance()
    view = BookView(
        SYMBOL,
        guard=nullcontext(),
        clock=time.monotonic,
        heard_age_s=lambda _: 0.0,
        why=lambda _: "",
    )
    keeper = Keeper(
        lambda take, lost: _NoFeed(),
        _Shelf(flow.snapshot),
        on_change=lambda live: view.changed(live, ()),
        deferring=True,
    )
    keeper.subscribe([SYMBOL])
    live = keeper.books[SYMBOL]
    view.begin(live)
    while not live.live:  # noqa: ASYNC110 - the keeper has no event for it
        await asyncio.sleep(0.01)
    began, cpu = time.perf_counter(), time.process_time()
    for frame in frames:
        event = venue.parse_frame(frame)
        if type(event) is Diff:
            keeper.take(event)
            if reading:
                view.top(READ)
    bids, asks = view.top(COMPARED)[3:]
    clock_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    await keeper.close()
    return clock_s, cpu_s, (bids, asks)


class _NoFeed:
    """A feed that delivers nothing by itself."""

    def subscribe(self, symbols: object) -> None: ...

    def unsubscribe(self, symbols: object) -> None: ...

    def renew(self, symbols: object) -> None: ...

    def live(self, symbol: str) -> bool:
        return True

    def heard_age_s(self, symbol: str) -> float | None:
        return 0.0


class _Shelf:
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    async def snapshot(self, symbol: str, limit: int, background: bool = False) -> Snapshot:
        return self._snapshot


async def ours_by_socket(flow: Flow, address: str) -> Run:
    books = Books("binance", [SYMBOL], rest_url=f"http://{address}", ws_url=f"ws://{address}", depth=1000)
    async with books:
        await books.wait()
        view = books[SYMBOL]
        clock_s, cpu_s = await _timed(lambda: view.update_id, flow, books.wait, lambda: view.top(1))
        bids, asks = view.top(COMPARED)[3:]
    return clock_s, cpu_s, (bids, asks)


async def ccxt_in_memory(flow: Flow, _: str, *, reading: bool = False) -> Run:
    party = CcxtPro(flow.snapshot, "127.0.0.1:9")
    clock_s, cpu_s = party.take(frames_of(flow).raw, READ if reading else None)
    await party.close()
    return clock_s, cpu_s, party.top(COMPARED)


async def ccxt_by_socket(flow: Flow, address: str) -> Run:
    party = CcxtPro(None, address)
    await party.exchange.watch_order_book(UNIFIED, 1000)
    clock_s, cpu_s = await _timed(party.update_id, flow, _nothing, lambda: party.top(1))
    shown = party.top(COMPARED)
    await party.close()
    return clock_s, cpu_s, shown


async def _nothing() -> None:
    pass


async def _timed(
    update_id: Callable[[], int],
    flow: Flow,
    ready: Callable[[], Awaitable[Any]],
    read: Callable[[], object],
) -> tuple[float, float]:
    """From when the flood begins to when its last diff is in the book and the book was read."""
    await ready()
    first = update_id()
    began, cpu = time.perf_counter(), time.process_time()
    while update_id() == first:
        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.sleep(0.0005)
    while update_id() < flow.diffs[-1].last:  # noqa: ASYNC110 - likewise
        await asyncio.sleep(0.005)
    read()
    return time.perf_counter() - began, time.process_time() - cpu


if __name__ == "__main__":
    sys.exit(main())
