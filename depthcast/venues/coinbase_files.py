"""What Coinbase Exchange's files are called and how they read. Pure.

A key is the request it answers, and a body the venue's own answer::

    products/BTC-USD/book?level=2
    {"bids":[["price","size",orders],…],"asks":[…],"sequence":N,"auction_mode":false,"auction":null,"time":"…"}

A limit is a level of detail: 1 the best prices, 2 all prices, 3 all orders, whose rows have the order's id in
place of a count. The update id, ``sequence``, comes at the end, so the metadata tell it, too.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, DecimalException, Inexact
from typing import Any, Final

import orjson

from depthcast.errors import BadFile
from depthcast.file_info import MAX_NUMBER, FileInfo
from depthcast.orders.messages import OrderSnapshot
from depthcast.scheme import ALL, DepthKey, Layout, Level, Scheme
from depthcast.side import MAX_DIGITS
from depthcast.venues.cutting import end_of

BEST: Final = 1
PRICES: Final = 2
ORDERS: Final = 3

DETAILS: Final = (BEST, PRICES, ORDERS)
"""The levels of detail: the best prices, all prices, all orders."""

_MAX_AGE: Final = {PRICES: "max-age=2", ORDERS: "max-age=1"}
_KEY: Final = re.compile(r"products/(?P<symbol>[^/?&=]+)/book\?level=(?P<level>[1-3])")
_BEGIN: Final = b'{"bids":['
_ASKS: Final = b'],"asks":['
_END: Final = b'],"sequence":'
_TAIL: Final = re.compile(
    rb'\],"sequence":(0|[1-9][0-9]{0,18}),"auction_mode":false,"auction":null,"time":"[^"]{0,64}"\}$'
)
_TAIL_BYTES: Final = 192
_EXACT: Final = Context(prec=4 * MAX_DIGITS, traps=[Inexact])


class CoinbaseLayout:
    """The body of one level of detail; see :class:`~depthcast.scheme.Layout`."""

    tells_early: Final = False
    padded: Final = (True, False)

    def __init__(self, detail: int) -> None:
        self._detail = detail

    @property
    def begins_books(self) -> bool:
        """One of all orders does."""
        return self._detail == ORDERS

    def update_id(self, key: str, body: bytes) -> int:
        """From the last bytes."""
        return self._tail(key, body)[1]

    def check(self, key: str, body: bytes) -> int:
        """Of a whole body, for the end of one is needed."""
        update_id = self.update_id(key, body)
        if _ASKS not in body:
            raise BadFile(key, "it has no asks")
        return update_id

    def cut(self, body: bytes, limit: int) -> bytes:
        """The best prices out of all of them, whose rows are alike; another detail is not to be had."""
        if limit != BEST or self._detail == ORDERS:
            return body
        tail_at, _ = self._tail("?", body)
        asks_at = body.find(_ASKS)
        if asks_at < 0:
            raise BadFile("?", "it has no asks")
        bids_end = end_of(body, len(_BEGIN), asks_at, 1)
        asks_end = end_of(body, asks_at + len(_ASKS), tail_at, 1)
        if bids_end == asks_at and asks_end == tail_at:
            return body
        view = memoryview(body)
        return b"".join((view[:bids_end], view[asks_at:asks_end], view[tail_at:]))

    def levels(self, key: str, body: bytes, depth: int = ALL) -> tuple[list[Level], list[Level]]:
        """By price; orders are added up."""
        try:
            book = orjson.loads(self.cut(body, BEST) if depth == 1 else body)
            bids, asks = (self._side(book[side], depth) for side in ("bids", "asks"))
        except (ValueError, TypeError, LookupError, DecimalException):
            raise BadFile(key, "its levels cannot be read") from None
        return bids, asks

    def rows(self, key: str, body: bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Levels with the number of their ``orders``, or orders with their ``order_id``."""
        name, kind = ("order_id", str) if self._detail == ORDERS else ("orders", int)
        try:
            book = orjson.loads(body)
            bids, asks = (
                [{"price": price, "amount": size, name: told} for price, size, told in book[side]]
                for side in ("bids", "asks")
            )
        except (ValueError, TypeError, LookupError):
            raise BadFile(key, "its rows cannot be read") from None
        for row in (*bids, *asks):
            if not (type(row["price"]) is type(row["amount"]) is str and type(row[name]) is kind):
                raise BadFile(key, "its rows cannot be read")
        return bids, asks

    def snapshot(self, key: str, body: bytes, info: FileInfo) -> OrderSnapshot:
        """Of all orders; of what shows fewer no book by order begins."""
        if self._detail != ORDERS:
            raise BadFile(key, "it shows no orders")
        update_id = self.update_id(key, body)
        try:
            parsed = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise BadFile(key, "it is not JSON of a book") from None
        # The last member of a name counts, and those of the end are the last.
        bids, asks = parsed["bids"], parsed.get("asks")
        if not (isinstance(bids, list) and isinstance(asks, list)):
            raise BadFile(key, "its members are of other types")
        return OrderSnapshot(update_id, bids, asks, parsed["time"])

    def unnumbered(self, body: bytes) -> bytes:
        """Up to the sequence."""
        return body[: body.rindex(_END)]

    def _side(self, rows: Sequence[Any], depth: int) -> list[Level]:
        side: list[Level] = []
        for row in rows:
            price, size, _ = row
            if not isinstance(row, list) or not isinstance(price, str) or not isinstance(size, str):
                raise TypeError("a row begins with two texts")
            if self._detail == ORDERS and side and side[-1][0] == price:
                side[-1] = (price, _plain(_EXACT.add(Decimal(side[-1][1]), Decimal(size))))
            elif len(side) == depth:
                break
            else:
                side.append((price, size))
        return side

    def _tail(self, key: str, body: bytes) -> tuple[int, int]:
        """Where the asks end, and the update id behind them."""
        match = _TAIL.search(body, max(0, len(body) - _TAIL_BYTES)) if body.startswith(_BEGIN) else None
        if match is None:
            raise BadFile(key, "it does not begin with bids and end with a sequence")
        update_id = int(match[1])
        if update_id > MAX_NUMBER:
            raise BadFile(key, f"no update id is as large as {update_id}")
        return match.start(), update_id


def _plain(number: Decimal) -> str:
    """Its shortest spelling without an exponent, as the venue writes sizes."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


_LAYOUTS: Final = {detail: CoinbaseLayout(detail) for detail in DETAILS}


@dataclass(frozen=True)
class CoinbaseScheme(Scheme):
    """``products/<id>/book?level=…``."""

    limits: tuple[int, ...] = DETAILS

    @property
    def public_prefixes(self) -> tuple[str, ...]:
        """The books, and the venue's folder with the list beside them."""
        return (self.root, self.room)

    @property
    def depth_prefixes(self) -> tuple[str, ...]:
        """One."""
        return (self.root,)

    @property
    def exchange_info_key(self) -> str:
        """Not where the venue has it: it would be called as the folder of the books is, and some stores
        could not keep both."""
        return f"{self.room}products"

    def prefixes_of(self, symbol: str) -> tuple[str, ...]:
        """One."""
        return (f"{self.root}{symbol}/book?level=",)

    def key(self, symbol: str, limit: int) -> str:
        """The request."""
        return f"{self.root}{symbol}/book?level={limit}"

    def parse(self, key: str) -> DepthKey | None:
        """The reverse."""
        match = _KEY.fullmatch(key)
        if match is None or not self.valid_symbol(match["symbol"]):
            return None
        return DepthKey(match["symbol"], int(match["level"]))

    def valid_symbol(self, symbol: str) -> bool:
        """A product's id is a part of a path of its own."""
        return symbol not in (".", "..") and Scheme.valid_symbol(self, symbol)

    def refusal(self, limit: int) -> str | None:
        """One of three."""
        return None if limit in DETAILS else f"the level is none of {', '.join(map(str, DETAILS))}"

    def layout(self, limit: int) -> Layout:
        """One for each detail."""
        return _LAYOUTS[limit]

    def depth(self, limit: int) -> int:
        """The best price, or all of them."""
        return 1 if limit == BEST else ALL

    def cache_control(self, limit: int) -> str | None:
        """As was seen: two seconds for all prices, one for all orders."""
        return _MAX_AGE.get(limit)

    def covering(self, limit: int, published: tuple[int, ...]) -> int | None:
        """The file itself; the best prices are also cut from all of them."""
        if limit in published:
            return limit
        return PRICES if limit == BEST and PRICES in published else None


COINBASE: Final = CoinbaseScheme("coinbaseexchange", "products/", room="coinbaseexchange/")
