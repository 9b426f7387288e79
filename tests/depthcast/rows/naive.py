"""The book of rows as one would write it first: a dictionary, sorted whenever somebody reads."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from depthcast.rows.messages import Action, Row, RowsChanged


class Contradiction(Exception):
    """A change of what is not there, or an insertion of what is."""


class NaiveRows:
    """Rows by (id, buy), as ``[size, price, time]``."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.rows: dict[tuple[int, bool], list[object]] = {
            (row_id, buy): [size, price, time] for row_id, buy, size, price, time in rows
        }
        # When each was changed last, or deleted.
        self.newest = {key: str(row[2]) for key, row in self.rows.items()}

    def apply(self, change: RowsChanged) -> None:
        after = {key: list(row) for key, row in self.rows.items()}
        for row_id, buy, size, price, time in change.rows:
            key = row_id, buy
            if (key in after) is (change.action is Action.INSERT):
                raise Contradiction
            if time and time < self.newest.get(key, ""):
                raise Contradiction
            if change.action is Action.DELETE:
                del after[key]
            elif change.action is Action.INSERT:
                after[key] = [size, price, time]
            else:
                row = after[key]
                row[0] = row[0] if size is None else size
                row[1] = row[1] if price is None else price
                row[2] = time or row[2]
        self.rows = after
        for row_id, buy, _, _, time in change.rows:
            if time or change.action is Action.INSERT:
                self.newest[row_id, buy] = time

    def side(self, buy: bool) -> list[tuple[Decimal, int, list[object]]]:
        """Best first: (price, id, row)."""
        found = [
            (Decimal(str(row[1])), row_id, row) for (row_id, side), row in self.rows.items() if side is buy
        ]
        return sorted(found, key=lambda each: (-each[0] if buy else each[0], each[1]))

    def levels(self, buy: bool) -> list[list[str]]:
        """``[price, size]``, best first."""
        summed: dict[Decimal, list[object]] = {}
        for number, _, row in self.side(buy):
            assert isinstance(row[0], int)
            if number in summed:
                before = summed[number][1]
                assert isinstance(before, int)
                summed[number][1] = before + row[0]
            else:
                summed[number] = [row[1], row[0]]
        return [[str(price), str(size)] for price, size in summed.values()]

    def crossed(self) -> bool:
        bids, asks = self.side(True), self.side(False)
        return bool(bids) and bool(asks) and bids[0][0] >= asks[0][0]

    def body(self, symbol: str, depth: int, time_ms: int) -> bytes:
        """As the venue's REST would answer, highest price first."""
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)
        stamp = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        asks, bids = self.side(False), self.side(True)
        if depth:
            asks, bids = asks[:depth], bids[:depth]
        shown = []
        for word, rows in (("Sell", asks[::-1]), ("Buy", bids)):
            for _, row_id, (size, price, time) in rows:
                told = f',"transactTime":{json.dumps(time)}' if time else ""
                shown.append(
                    f'{{"symbol":{json.dumps(symbol)},"id":{row_id},"side":"{word}","size":{size},'
                    f'"price":{price},"timestamp":"{stamp}"{told}}}'
                )
        return f"[{','.join(shown)}]".encode()
