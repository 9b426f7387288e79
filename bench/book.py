"""``python -m bench.book``: apply a diff and render all eight files, beside other ways to do it.

Every contender gets the same diffs and must produce the same bytes (checked before anything is timed). They
take turns, so that drift of the machine hits all alike; times are CPU time of this process, ratios are taken
within each round and their median is given. The last line is one line of JSON.
"""

import argparse
import gc
import importlib.util
import json
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table

from bench.contenders import Contender, Depthcast, Nautilus, OrderBookC, SortedDicts, TwoLists
from bench.flow import Flow, recorded, synthetic
from depthcast.book import Book
from depthcast.events import Snapshot
from depthcast.files import LIMITS

Make = Callable[[Snapshot], Contender]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.book", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few diffs: a check that it runs, not a figure")
    quick: bool = parser.parse_args(argv).quick
    rounds = 1 if quick else 5
    hot = 20 if quick else 300
    usual: dict[str, Make] = {"depthcast": Depthcast, "two lists": TwoLists, "SortedDict": SortedDicts}
    others: dict[str, Make] = {}
    if importlib.util.find_spec("order_book"):
        others["order-book (C)"] = OrderBookC
    if importlib.util.find_spec("nautilus_trader"):
        others["nautilus (Rust)"] = Nautilus
    console = Console()
    ratios: dict[str, float] = {}

    one = synthetic(seed=1, diffs=hot)
    many = [synthetic(seed=seed, diffs=4 if quick else 20) for seed in range(5 if quick else 50)]
    cases: list[tuple[str, str, list[Flow], dict[str, Make]]] = [
        ("hot", "one symbol, synthetic", [one], usual | others),
        ("in_turn", f"{len(many)} symbols in turn, synthetic", many, usual),
    ]
    captured = recorded(diffs=hot)
    if captured is None:
        console.print("no capture beside the checkout: recorded diffs are left out")
    else:
        cases.append(("recorded", "ETHUSDT, recorded diffs", [captured], usual | others))
    for key, title, flows, contenders in cases:
        _check(flows[0], contenders)
        ratios |= {
            f"{key}_{name}": ratio for name, ratio in _case(console, title, flows, contenders, rounds).items()
        }
    ratios["mb_a_book"] = _megabytes(one)
    console.print(f"memory of one 5,000-level book after {hot} diffs: {ratios['mb_a_book']:.2f} MB")
    print(json.dumps({"bench": "book"} | {name: round(ratio, 2) for name, ratio in ratios.items()}))
    return 0


def _check(flow: Flow, contenders: dict[str, Make]) -> None:
    """All contenders must write the same files."""
    books = {name: make(flow.snapshot) for name, make in contenders.items()}
    for number, diff in enumerate(flow.diffs[:40]):
        for book in books.values():
            book.apply(diff)
        if number % 10 == 0:
            expected = books["SortedDict"].bodies(LIMITS)
            for name, book in books.items():
                if book.bodies(LIMITS) != expected:
                    sys.exit(f"{name} writes other files than SortedDict at {diff.last}")


def _case(
    console: Console, title: str, flows: list[Flow], contenders: dict[str, Make], rounds: int
) -> dict[str, float]:
    """Time the contenders in turn; the factor by which each is slower than ours."""
    diffs = min(len(flow.diffs) for flow in flows)
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, make in contenders.items():
            books = [make(flow.snapshot) for flow in flows]
            gc.collect()
            began = time.process_time()
            for number in range(diffs):
                for book, flow in zip(books, flows, strict=True):
                    book.apply(flow.diffs[number])
                    book.bodies(LIMITS)
            times[name].append((time.process_time() - began) / diffs / len(flows) * 1e6)
            del books
    table = Table(title=f"{title}: apply a diff and render {len(LIMITS)} files")
    for column in ("contender", "µs a diff", "times depthcast"):
        table.add_column(column, justify="left" if column == "contender" else "right")
    factors = {
        name: statistics.median(other / own for other, own in zip(measured, times["depthcast"], strict=True))
        for name, measured in times.items()
    }
    for name, factor in factors.items():
        table.add_row(name, f"{statistics.median(times[name]):,.0f}", f"{factor:.1f}")
    console.print(table)
    return {
        f"vs_{name.split(' (')[0].replace(' ', '_').lower()}": factor
        for name, factor in factors.items()
        if name != "depthcast"
    }


def _megabytes(flow: Flow) -> float:
    """What one book holds on to, its cached bytes included, once its files have been rendered."""
    gc.collect()
    tracemalloc.start()
    book = Book.of(flow.snapshot)
    for diff in flow.diffs:
        book.apply(diff)
        book.bodies(LIMITS)
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held / 1e6


if __name__ == "__main__":
    sys.exit(main())
