"""A book of rows, and each table's messages as they are written. Pure.

*"Table diffing over WebSocket"*: a table begins with a ``partial``, rows are inserted, updated and deleted by
their keys. A row of a book is one price level. Since July 2023 its id is arbitrary and its price is in every
message about it; before, the price was in partials and inserts only and the id told it.

Books are written from the highest price to the lowest, asks first: the order in which recorded partials
have their rows (``"attributes":{"symbol":"parted","id":"sorted"}``, when ids fell as prices rose).
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Final, Literal, NamedTuple

from sortedcontainers import SortedDict

from simulator.bitmex.instruments import Instrument, moment

BUY: Final = "Buy"
SELL: Final = "Sell"

Side = Literal["Buy", "Sell"]
Action = Literal["partial", "insert", "update", "delete"]

SIDES: Final[tuple[Side, Side]] = (BUY, SELL)

L2_TABLES: Final = ("orderBookL2", "orderBookL2_25")
TOP_TABLE: Final = "orderBook10"
TOP: Final = 10


class Row(NamedTuple):
    """One price level: contracts, a price in units, when it was published and when the engine changed it."""

    id: int
    side: Side
    size: int
    price: int
    time_ms: int
    transact_ms: int


class RowBook:
    """Rows by side and price; a price has one row at most."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.sides: dict[Side, SortedDict] = {BUY: SortedDict(), SELL: SortedDict()}
        for row in rows:
            self.put(row)

    def put(self, row: Row) -> None:
        """Set a row: a new one, or in place of the one at its price."""
        self.sides[row.side][row.price] = row

    def drop(self, row: Row) -> None:
        """Take a row away."""
        del self.sides[row.side][row.price]

    def best(self, side: Side, count: int | None = 1) -> list[Row]:
        """The best rows of a side, best first; all for ``None``."""
        rows = self.sides[side]
        prices = reversed(rows) if side == BUY else iter(rows)
        return [rows[price] for price in islice(prices, count)]

    def rows(self, depth: int = 0) -> list[Row]:
        """The ``depth`` best rows of each side (0: all) from the highest price to the lowest."""
        wanted = depth or None
        return [*reversed(self.best(SELL, wanted)), *self.best(BUY, wanted)]

    def check(self) -> None:
        """Raise AssertionError where the book is crossed or two rows have one id. O(rows)."""
        bid, ask = self.best(BUY), self.best(SELL)
        assert not bid or not ask or bid[0].price < ask[0].price, f"crossed: {bid} and {ask}"
        rows = self.rows()
        assert len({row.id for row in rows}) == len(rows), "two rows have one id"
        assert all(row.size > 0 for row in rows), "a row of nothing"


class Writer(NamedTuple):
    """How an instrument's rows are written; ``old``: as before July 2023, when rows told no times either."""

    instrument: Instrument
    old: bool = False

    def row(self, row: Row, action: Action = "partial") -> str:
        """One row of a message; a partial's are also those of REST."""
        members = [f'"symbol":"{self.instrument.symbol}","id":{row.id},"side":"{row.side}"']
        if action != "delete":
            members.append(f'"size":{row.size}')
        if not self.old or action in ("partial", "insert"):
            members.append(f'"price":{self.instrument.price(row.price)}')
        if not self.old:
            members.append(f'"timestamp":"{moment(row.time_ms)}","transactTime":"{moment(row.transact_ms)}"')
        return "{" + ",".join(members) + "}"

    def rows(self, rows: Iterable[Row], action: Action = "partial") -> str:
        """A JSON array of rows: the data of a message."""
        return f"[{','.join(self.row(row, action) for row in rows)}]"

    def whole(self, rows: Iterable[Row], time_ms: int) -> str:
        """The same of a book: the data of a partial, and the body of ``GET /api/v1/orderBook/L2``.

        *"The timestamp for partials will be the time that the partial was generated at"*, in all rows.
        """
        return self.rows(row._replace(time_ms=time_ms) for row in rows)

    def top(self, book: RowBook, time_ms: int, *, partial: bool) -> str:
        """The row of *orderBook10*. Updates were seen to tell the time before the asks."""
        bids, asks = (self._levels(book.best(side, TOP)) for side in SIDES)
        time = f'"timestamp":"{moment(time_ms)}"'
        symbol = f'"symbol":"{self.instrument.symbol}","bids":{bids}'
        return f'{{{symbol},"asks":{asks},{time}}}' if partial else f'{{{symbol},{time},"asks":{asks}}}'

    def quote(self, book: RowBook, time_ms: int) -> str:
        """The row of *quote*."""
        (bid, bid_size), (ask, ask_size) = (self._best(book, side) for side in SIDES)
        return (
            f'{{"timestamp":"{moment(time_ms)}","symbol":"{self.instrument.symbol}","bidSize":{bid_size},'
            f'"bidPrice":{bid},"askPrice":{ask},"askSize":{ask_size}}}'
        )

    def _levels(self, rows: Iterable[Row]) -> str:
        return f"[{','.join(f'[{self.instrument.price(row.price)},{row.size}]' for row in rows)}]"

    def _best(self, book: RowBook, side: Side) -> tuple[str, str]:
        best = book.best(side)
        return (self.instrument.price(best[0].price), str(best[0].size)) if best else ("null", "null")


_KEYS: Final[Mapping[str, str]] = {
    **dict.fromkeys(L2_TABLES, '["symbol","id","side"]'),
    TOP_TABLE: '["symbol"]',
    "instrument": '["symbol"]',
}
_L2_TYPES: Final = '"symbol":"symbol","id":"long","side":"symbol","size":"long","price":"float"'
_TIMED_TYPES: Final = _L2_TYPES + ',"timestamp":"timestamp","transactTime":"timestamp"'
_TYPES: Final[Mapping[str, str]] = {
    TOP_TABLE: '"symbol":"symbol","bids":"","asks":"","timestamp":"timestamp"',
    "quote": '"timestamp":"timestamp","symbol":"symbol","bidSize":"long","bidPrice":"float",'
    '"askPrice":"float","askSize":"long"',
    "trade": '"timestamp":"timestamp","symbol":"symbol","side":"symbol","size":"long","price":"float",'
    '"tickDirection":"symbol","trdMatchID":"guid","grossValue":"long","homeNotional":"float",'
    '"foreignNotional":"float"',
    "instrument": '"symbol":"symbol","state":"symbol","lotSize":"long","tickSize":"float",'
    '"timestamp":"timestamp"',
}
_ATTRIBUTES: Final[Mapping[str, str]] = {
    **dict.fromkeys(L2_TABLES, '"symbol":"parted","id":"sorted"'),
    TOP_TABLE: '"symbol":"sorted"',
    "instrument": '"symbol":"unique"',
}


def partial(table: str, symbol: str | None, data: str, *, old: bool = False) -> str:
    """A table's first message: what it is made of, and the rows (a JSON array) that it has."""
    types = (_L2_TYPES if old else _TIMED_TYPES) if table in L2_TABLES else _TYPES[table]
    sided = table in L2_TABLES or table == "trade"
    foreign = '"symbol":"instrument","side":"side"' if sided else '"symbol":"instrument"'
    attributes = _ATTRIBUTES.get(table, '"timestamp":"sorted","symbol":"grouped"')
    chosen = "" if symbol is None else f'"symbol":"{symbol}"'
    return (
        f'{{"table":"{table}","action":"partial","keys":{_KEYS.get(table, "[]")},"types":{{{types}}},'
        f'"foreignKeys":{{{foreign}}},"attributes":{{{attributes}}},"filter":{{{chosen}}},"data":{data}}}'
    )


def message(table: str, action: Action, data: str) -> str:
    """Any later message. ``data`` is a JSON array of rows."""
    return f'{{"table":"{table}","action":"{action}","data":{data}}}'


def changes(before: Iterable[Row], now: Iterable[Row]) -> list[tuple[Action, Sequence[Row]]]:
    """What leads from some rows to others, in the order in which messages tell it.

    Deletions come first and insertions last, so that no book is crossed in between. An id that is given to
    another price is no update: its old row goes, and a new one comes.
    """
    old, new = ({(row.id, row.side, row.price): row for row in rows} for rows in (before, now))
    told: list[tuple[Action, Sequence[Row]]] = [
        ("delete", [row for key, row in sorted(old.items()) if key not in new]),
        ("update", [row for key, row in sorted(new.items()) if key in old and old[key] != row]),
        ("insert", [row for key, row in sorted(new.items()) if key not in old]),
    ]
    return [(action, rows) for action, rows in told if rows]
