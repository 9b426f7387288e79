"""What the files of Binance's engines are called and how they read: spot, Binance.US, USD-M futures. Pure.

A key is the request it answers, and a body the venue's own answer::

    api/v3/depth?symbol=ETHUSDT&limit=5
    {"lastUpdateId":N,"bids":[["price","quantity"],…],"asks":[…]}

Futures have the times of the last diff before the bids, ``"E":…,"T":…``, those of COIN-M before these the
contract and its pair, ``"symbol":…,"pair":…``; whoever reads or cuts a body need not know whose it is.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import orjson

from depthcast.errors import BadFile
from depthcast.events import Snapshot
from depthcast.file_info import MAX_NUMBER, FileInfo
from depthcast.scheme import ALL, DepthKey, Layout, Level, Scheme
from depthcast.venues.cutting import end_of

MAX_LIMIT: Final = 5000
"""The most levels a side that Binance's ``GET /api/v3/depth`` shows; a larger limit means this one."""

LIMITS: Final = (5, 10, 20, 50, 100, 500, 1000, 5000)
"""The limits published by default. Any other one is cut from the next larger file."""

FUTURES_LIMITS: Final = (5, 10, 20, 50, 100, 500, 1000)
"""The limits that Binance's futures know: another one is refused."""

_LIMIT: Final = re.compile(r"[1-9][0-9]{0,3}")
# Behind the id come the bids, or the times that are told of futures, which may not end within a peek.
_HEAD: Final = re.compile(rb'\{"lastUpdateId":(0|[1-9][0-9]{0,18}),"(?:bids":\[|E":[0-9]|symbol":")')
_NAMES: Final = re.compile(rb'("symbol":"[^"]{1,64}","pair":"[^"]{1,64}",)"E":')
_BIDS: Final = b'"bids":'
_ASKS: Final = b'],"asks":['
_END: Final = b"]}"


class BinanceLayout:
    """``{"lastUpdateId":N,"bids":[["p","q"],…],"asks":[…]}``; see :class:`~depthcast.scheme.Layout`."""

    tells_early: Final = True
    begins_books: Final = True
    padded: Final = (True, True)

    def update_id(self, key: str, body: bytes) -> int:
        """From the first bytes."""
        match = _HEAD.match(body)
        if match is None:
            raise BadFile(key, "it does not begin with an update id and bids")
        update_id = int(match[1])
        if update_id > MAX_NUMBER:
            raise BadFile(key, f"no update id is as large as {update_id}")
        return update_id

    def check(self, key: str, body: bytes) -> int:
        """Of a whole body."""
        update_id = self.update_id(key, body)
        if _ASKS not in body or not body.endswith(_END):
            raise BadFile(key, "it has no asks or no end")
        return update_id

    def cut(self, body: bytes, limit: int) -> bytes:
        """The first ``limit`` levels of each side. O(bytes kept)."""
        asks_at = body.find(_ASKS)
        if asks_at < 0 or not body.endswith(_END):
            raise BadFile("?", "it has no asks or no end")
        bids_end = end_of(body, body.find(b"[") + 1, asks_at, limit)
        asks_from = asks_at + len(_ASKS)
        asks_end = end_of(body, asks_from, len(body) - len(_END), limit)
        if bids_end == asks_at and asks_end == len(body) - len(_END):
            return body
        view = memoryview(body)
        return b"".join((view[:bids_end], view[asks_at:asks_end], _END))

    def levels(self, key: str, body: bytes, depth: int = ALL) -> tuple[list[Level], list[Level]]:
        """By price, as they are."""
        try:
            book = orjson.loads(self.cut(body, depth) if depth < ALL else body)
            bids, asks = ([_level(*_list(level)) for level in book[side]] for side in ("bids", "asks"))
        except (ValueError, TypeError, LookupError):
            raise BadFile(key, "its levels cannot be read") from None
        return bids, asks

    def rows(self, key: str, body: bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Levels: nothing else is told of them."""
        bids, asks = (
            [{"price": price, "amount": amount} for price, amount in side] for side in self.levels(key, body)
        )
        return bids, asks

    def snapshot(self, key: str, body: bytes, info: FileInfo) -> Snapshot:
        """A body in which the update id comes twice has two versions, by the beginning that is compared and
        by its members: it is none."""
        try:
            parsed = orjson.loads(body)
            update_id, bids, asks = parsed["lastUpdateId"], parsed["bids"], parsed["asks"]
            transaction_time_ms = parsed.get("T", 0)
            names = names_in(body)
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise BadFile(key, "it is not JSON of a book") from None
        if not (
            isinstance(update_id, int)
            and isinstance(bids, list)
            and isinstance(asks, list)
            and isinstance(transaction_time_ms, int)
        ):
            raise BadFile(key, "its members are of other types")
        if update_id != self.update_id(key, body):
            raise BadFile(key, "it has two update ids")
        return Snapshot(
            update_id,
            bids,
            asks,
            info.bids_complete and len(bids) >= info.bids,
            info.asks_complete and len(asks) >= info.asks,
            info.event_time_ms,
            transaction_time_ms,
            names,
        )

    def unnumbered(self, body: bytes) -> bytes:
        """From the bids on."""
        return body[body.index(_BIDS) :]


LAYOUT: Final = BinanceLayout()


@dataclass(frozen=True)
class BinanceScheme(Scheme):
    """``<root>depth?symbol=…&limit=…``. ``folder`` is what is published of the venue; ``ladder``: no other
    limits than ``limits`` may be asked for."""

    limits: tuple[int, ...] = LIMITS
    ladder: bool = False
    folder: str = "api/"

    @property
    def public_prefixes(self) -> tuple[str, ...]:
        """One."""
        return (self.folder,)

    @cached_property
    def depth_prefixes(self) -> tuple[str, ...]:
        """One."""
        return (f"{self.root}depth?symbol=",)

    @property
    def exchange_info_key(self) -> str:
        """Beside the books."""
        return f"{self.root}exchangeInfo"

    def prefixes_of(self, symbol: str) -> tuple[str, ...]:
        """One."""
        return (f"{self.root}depth?symbol={symbol}&limit=",)

    def key(self, symbol: str, limit: int) -> str:
        """The request, its parameters in this order."""
        return f"{self.root}depth?symbol={symbol}&limit={limit}"

    def parse(self, key: str) -> DepthKey | None:
        """The reverse."""
        (prefix,) = self.depth_prefixes
        symbol, found, text = key.removeprefix(prefix).partition("&limit=")
        if not (key.startswith(prefix) and found and _LIMIT.fullmatch(text)):
            return None
        limit = int(text)
        return None if self.refusal(limit) or not self.valid_symbol(symbol) else DepthKey(symbol, limit)

    def refusal(self, limit: int) -> str | None:
        """From 1 to the largest one, or one of a ladder."""
        if self.ladder:
            known = limit in self.limits
            return None if known else f"the limit is none of {', '.join(map(str, self.limits))}"
        return None if 1 <= limit <= self.max_limit else f"the limit is not within 1 and {self.max_limit}"

    def layout(self, limit: int) -> Layout:
        """All of them alike."""
        return LAYOUT


def names_in(body: bytes) -> bytes:
    """What a body of COIN-M's has between its update id and its times; of others nothing.

    >>> names_in(b'{"lastUpdateId":7,"symbol":"BTCUSD_PERP","pair":"BTCUSD","E":9,"T":8,"bids":[],"asks":[]}')
    b'"symbol":"BTCUSD_PERP","pair":"BTCUSD",'
    """
    found = _NAMES.search(body, 0, 256)
    return found[1] if found is not None else b""


BINANCE: Final = BinanceScheme("binance", "api/v3/")
BINANCE_US: Final = BinanceScheme("binanceus", "binanceus/api/v3/", room="binanceus/", folder="binanceus/")
"""Its paths are Binance's own, so its keys begin with its name."""
BINANCE_USDM: Final = BinanceScheme(
    "binanceusdm", "fapi/v1/", FUTURES_LIMITS, room="binanceusdm/", ladder=True, folder="fapi/"
)
BINANCE_COINM: Final = BinanceScheme(
    "binancecoinm", "dapi/v1/", FUTURES_LIMITS, room="binancecoinm/", ladder=True, folder="dapi/"
)


def _list(level: Any) -> list[Any]:
    # A text of two characters, too, could be taken apart into a price and a quantity.
    if type(level) is not list:
        raise TypeError("a level is no list")
    return level


def _level(price: object, quantity: object) -> Level:
    if not isinstance(price, str) or not isinstance(quantity, str):
        raise TypeError("a level is two texts")
    return price, quantity
