"""Diffs to measure with: a synthetic market of realistic shape, and recorded diffs from a capture."""

import gzip
import math
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import orjson

from depthcast.events import Diff, Snapshot

LEVELS: Final = 5_300
"""Levels a side to begin with: somewhat more than the largest file shows."""

CAPTURES: Final = Path(__file__).resolve().parents[2] / "shared" / "data"
"""Captured wire data, beside the checkout; see ``tests/README.md``."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A book to begin with and the diffs that follow on it."""

    name: str
    snapshot: Snapshot
    diffs: list[Diff]


def synthetic(*, seed: int, diffs: int, changes: int = 30, levels: int = LEVELS) -> Flow:
    """``changes`` levels a diff, evenly over both sides: 70 % new quantities, 15 % new levels, 15 % removals.

    A change hits the level of rank r with a likelihood that falls as 1/r, down to rank 5,000.
    """
    rng = Random(seed)
    middle = 268_380
    sides = [_ladder(rng, middle, -1, levels), _ladder(rng, middle, 1, levels)]
    snapshot = Snapshot(
        10**10,
        [[_price(-tick), _quantity(rng)] for tick in sides[0]],
        [[_price(tick), _quantity(rng)] for tick in sides[1]],
        True,
        True,
    )
    made = []
    last = snapshot.update_id
    for number in range(diffs):
        touched: list[dict[int, str]] = [{}, {}]
        for _ in range(changes):
            side = rng.randrange(2)
            _change(rng, sides[side], touched[side])
        bids = [[_price(-tick), quantity] for tick, quantity in touched[0].items()]
        asks = [[_price(tick), quantity] for tick, quantity in touched[1].items()]
        first, last = last + 1, last + rng.randrange(20, 60)
        made.append(Diff("SYNTHUSDT", first, last, number * 100, bids, asks))
    return Flow("synthetic", snapshot, made)


def _ladder(rng: Random, middle: int, sign: int, levels: int) -> list[int]:
    """Ascending keys (sign x ticks): dense near the middle, gaps of up to four ticks."""
    keys = []
    key = sign * middle
    for _ in range(levels):
        key += 1 + (rng.random() < 0.5) * rng.randrange(4)
        keys.append(key)
    return keys


def _change(rng: Random, keys: list[int], touched: dict[int, str]) -> None:
    rank = min(int(math.exp(rng.random() * math.log(5000))) - 1, len(keys) - 2)
    kind = rng.random()
    key = keys[rank]
    if 0.7 <= kind < 0.85:
        while True:
            at = bisect_left(keys, key)
            if at == len(keys) or keys[at] != key:
                break
            key += 1
        if key not in touched:
            keys.insert(at, key)
            touched[key] = _quantity(rng)
    elif key not in touched:
        touched[key] = _quantity(rng) if kind < 0.7 else "0.00000000"
        if kind >= 0.85:
            del keys[rank]


def _price(ticks: int) -> str:
    return f"{ticks / 100:.8f}"


def _quantity(rng: Random) -> str:
    return f"{rng.randrange(1, 10 ** rng.randrange(3, 7)) / 10_000:.8f}"


def recorded(*, diffs: int, levels: int = LEVELS) -> Flow | None:
    """ETHUSDT as captured on 2024-08-08, its 1,000 levels a side continued outwards to ``levels``.

    ``None`` where the capture is not beside the checkout.
    """
    path = CAPTURES / "binance_spot" / "hftbacktest_spot_ethusdt_20240808.gz"
    if not path.exists():
        return None
    snapshot: Snapshot | None = None
    found: list[Diff] = []
    with gzip.open(path, "rb") as lines:
        for line in lines:
            message = orjson.loads(line.split(b" ", 1)[1])
            if "lastUpdateId" in message:
                snapshot = Snapshot(
                    message["lastUpdateId"],
                    _outwards(message["bids"], -1, levels),
                    _outwards(message["asks"], 1, levels),
                    True,
                    True,
                )
            elif message.get("stream", "").endswith("@depth@100ms"):
                data = message["data"]
                found.append(Diff(data["s"], data["U"], data["u"], data["E"], data["b"], data["a"]))
            if snapshot is not None and len(found) >= diffs:
                break
    assert snapshot is not None
    following = [diff for diff in found if diff.last > snapshot.update_id]
    return Flow("recorded", snapshot, following)


def _outwards(side: list[list[str]], sign: int, levels: int) -> list[list[str]]:
    edge = round(float(side[-1][0]) * 100)
    more = [[_price(edge + sign * 5 * n), "1.00000000"] for n in range(1, levels - len(side) + 1)]
    return side + more
