"""What the exchange says, as examples to begin from: a small market of its own, and captures where they are.

:class:`Market` is a naive book, written apart from the project's: two dictionaries of strings. It makes
frames and REST bodies as the exchange spells them, and knows what the book is at each of its ids.
"""

import gzip
import json
import zlib
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, Final

CAPTURES: Final = Path(__file__).parents[3] / "shared/data/binance_spot"
"""Beside the checkout; never part of it."""

_READ: Final = 40
_LONGEST: Final = 20_000

Side = dict[str, str]


class Market:
    """A symbol whose book moves by chance, one diff at a time."""

    def __init__(
        self, rng: Random, symbol: str = "ETHUSDT", *, levels: int = 6, update_id: int = 1000
    ) -> None:
        self.symbol = symbol
        self.update_id = update_id
        self.time_ms = 1_723_161_253_000
        self._rng = rng
        self.bids: Side = {f"{100 - n}.50": f"{n + 1}.250" for n in range(levels)}
        self.asks: Side = {f"{101 + n}.50": f"{n + 1}.750" for n in range(levels)}

    def body(self, limit: int = 5000) -> bytes:
        """What ``GET /api/v3/depth`` answers now."""
        bids = sorted(self.bids.items(), key=lambda level: -Decimal(level[0]))[:limit]
        asks = sorted(self.asks.items(), key=lambda level: Decimal(level[0]))[:limit]
        return compact({"lastUpdateId": self.update_id, "bids": bids, "asks": asks})

    def diff(self, *, combined: bool = True) -> bytes:
        """The next diff, as a frame of its stream; the book has moved on."""
        rng = self._rng
        first = self.update_id + 1
        self.update_id += rng.choice((1, 1, 2, 7))
        self.time_ms += 100
        data = {
            "e": "depthUpdate",
            "E": self.time_ms,
            "s": self.symbol,
            "U": first,
            "u": self.update_id,
            "b": self._moved(self.bids, 70, 100),
            "a": self._moved(self.asks, 101, 131),
        }
        return compact({"stream": f"{self.symbol.lower()}@depth@100ms", "data": data} if combined else data)

    def _moved(self, side: Side, low: int, high: int) -> list[list[str]]:
        rng = self._rng
        changed: dict[str, str] = {}
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            price = f"{rng.randrange(low, high)}.50"
            gone = price in side and len(side) > 2 and rng.random() < 0.5
            changed[price] = side[price] = "0.000" if gone else f"{rng.randrange(1, 999)}.125"
            if gone:
                del side[price]
        return [[price, quantity] for price, quantity in changed.items()]


OTHER_FRAMES: Final[tuple[bytes, ...]] = (
    b'{"result":null,"id":1}',
    b'{"result":null,"id":2}',
    b'{"result":["ethusdt@depth@100ms"],"id":3}',
    b'{"code":2,"msg":"Invalid request: unknown variant","id":4}',
    b'{"error":{"code":4,"msg":"Too many subscriptions"}}',
    b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1723161253021}}',
    b'{"e":"serverShutdown","E":1723161253021}',
    b'{"stream":"ethusdt@trade","data":{"e":"trade","E":1,"s":"ETHUSDT","t":1,"p":"1.0","q":"1.0"}}',
    b'{"u":400900217,"s":"ETHUSDT","b":"25.35","B":"31.21","a":"25.36","A":"40.66"}',
    b"\x00\x01\x02\xff",
)

EXCHANGE_INFO: Final = (
    b'{"timezone":"UTC","serverTime":1723161253000,"rateLimits":[{"rateLimitType":"REQUEST_WEIGHT",'
    b'"interval":"MINUTE","intervalNum":1,"limit":6000},{"rateLimitType":"ORDERS","interval":"SECOND",'
    b'"intervalNum":10,"limit":100}],"exchangeFilters":[],"symbols":[{"symbol":"ETHUSDT","status":"TRADING",'
    b'"baseAsset":"ETH","baseAssetPrecision":8,"quoteAsset":"USDT","quotePrecision":8,"quoteAssetPrecision":8,'
    b'"orderTypes":["LIMIT"],"isSpotTradingAllowed":true,"isMarginTradingAllowed":true,"filters":[{'
    b'"filterType":"PRICE_FILTER","minPrice":"0.01","tickSize":"0.01"}],"permissions":[],"permissionSets":'
    b'[["SPOT","MARGIN"]]},{"symbol":"BTCUSDT","status":"HALT","baseAsset":"BTC","baseAssetPrecision":8,'
    b'"quoteAsset":"USDT","quotePrecision":8,"quoteAssetPrecision":8,"orderTypes":["LIMIT"],'
    b'"isSpotTradingAllowed":true,"isMarginTradingAllowed":false,"filters":[],"permissions":["SPOT"],'
    b'"permissionSets":[["SPOT"]]}],"sors":[]}'
)


def compact(message: object) -> bytes:
    """JSON as the exchange writes it."""
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()


@lru_cache(maxsize=1)
def captured() -> tuple[bytes, ...]:
    """Some frames and bodies as they once came over the wire; none where there are no captures."""
    found: list[bytes] = []
    for path in sorted(CAPTURES.glob("*.gz")) if CAPTURES.is_dir() else ():
        try:
            with gzip.open(path, "rb") as lines:
                for line in islice(lines, _READ):
                    begin = line.find(b"{")
                    # Each line has the time before what came; some end in another sort of line.
                    if begin >= 0 and len(line) <= _LONGEST:
                        found.append(line[begin:].rstrip())
        except (OSError, EOFError, zlib.error):
            continue
    return tuple(found)


def plain(text: object) -> bool:
    """Whether it is a price or a quantity as the exchange's documents show them: digits, at most one
    point."""
    return (
        isinstance(text, str)
        and 0 < len(text) <= 64
        and set(text) <= set("0123456789.")
        and text.count(".") <= 1
        and text != "."
    )


def read_levels(side: object) -> list[tuple[str, str]] | None:
    """A side as pairs of texts; ``None`` for what is none."""
    if not isinstance(side, list):
        return None
    levels: list[tuple[str, str]] = []
    for level in side:
        if not (isinstance(level, list) and len(level) == 2 and plain(level[0]) and plain(level[1])):
            return None
        levels.append((level[0], level[1]))
    return levels


def read_json(text: bytes) -> Any:
    """As RFC 8259 has it and nothing more: UTF-8, no NaN, no half characters. Raises ``ValueError``."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    message = json.loads(text.decode("utf-8"), parse_constant=refuse)
    json.dumps(message, ensure_ascii=False).encode()
    return message


def applied(side: Mapping[str, str], changes: list[tuple[str, str]]) -> Side:
    """A side after a diff, by the price as a number; each level keeps the spelling that came last."""
    by_price = {Decimal(price): (price, quantity) for price, quantity in side.items()}
    for price, quantity in changes:
        if Decimal(quantity):
            by_price[Decimal(price)] = (price, quantity)
        else:
            by_price.pop(Decimal(price), None)
    return dict(by_price.values())


def sides_of(body: bytes) -> tuple[Side, Side]:
    """A book's body as two dictionaries."""
    book = json.loads(body)
    return dict(map(tuple, book["bids"])), dict(map(tuple, book["asks"]))
