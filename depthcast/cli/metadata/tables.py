"""Documents and changes as tables for people."""

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from depthcast.metadata.changes import Change, What
from depthcast.metadata.document import write_json
from depthcast.metadata.moments import moment_text
from depthcast.metadata.record import Record
from depthcast.venues.shown import Shown

_STYLES = {
    What.LISTED: "green",
    What.ADDED: "green",
    What.DELISTED: "red",
    What.REMOVED: "red",
    What.RENAMED: "cyan",
    What.CHANGED: "yellow",
}


_WIDTH: Final = 200


def print_tables(*parts: RenderableType) -> None:
    """Print them one below the other."""
    # Into a file or a pipe whole lines, as wide as they are.
    Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH).print(Group(*parts))


def headline(record: Record) -> Text:
    """Which change is in force."""
    return Text(
        f"{record.kind}: change {record.sequence}, seen {moment_text(record.observed_ms)} UTC by "
        f"{record.replica}, {record.size} bytes, sha256 {record.sha256[:12]}…"
    )


def symbols_table(symbols: Sequence[Shown]) -> Table:
    """Symbols with their sizes."""
    noted = any(each.note for each in symbols)
    sizes = ("tick", "price from", "to", "step", "quantity from", "to", "notional from")
    table = _table("symbol", "status", *(["what it is"] if noted else ()), *sizes)
    for each in symbols:
        symbol, status, note, *told = each
        table.add_row(Text(symbol), Text(status), *([Text(note)] if noted else ()), *map(_size, told))
    return table


def counts(symbols: Sequence[Shown]) -> Text:
    """How many symbols have which status."""
    found = Counter(each.status for each in symbols)
    told = ", ".join(f"{number} {status}" for status, number in found.most_common())
    return Text(f"{len(symbols)} symbols: {told}")


def members_table(members: dict[str, Any]) -> Table:
    """A document that is no list of symbols, or what else one tells."""
    table = _table("member", "value")
    for name, value in members.items():
        table.add_row(Text(name), Text(shortened(value)))
    return table


def changes_table(changes: Iterable[Change]) -> Table:
    """Changes, one a line."""
    table = _table("what", "path", "from", "to")
    for change in changes:
        table.add_row(
            Text(change.what.value, style=_STYLES[change.what]),
            Text(change.path),
            Text(shortened(change.before)),
            Text(shortened(change.after)),
        )
    return table


def log_table(records: Iterable[Record]) -> Table:
    """Records, a line for each of their changes."""
    table = _table("seen (UTC)", "change", "what", "path", "from", "to")
    for record in records:
        first = [moment_text(record.observed_ms), str(record.sequence)]
        if not record.changes:
            table.add_row(*first, "first", "", "", "")
        for change in record.changes:
            table.add_row(
                *first,
                Text(change.what.value, style=_STYLES[change.what]),
                Text(change.path),
                Text(shortened(change.before)),
                Text(shortened(change.after)),
            )
            first = ["", ""]
    return table


def shortened(value: Any) -> str:
    """A value in a cell.

    >>> shortened(None), shortened("0.01"), shortened({"a": list(range(50))})
    ('', '0.01', '{"a":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,…')
    """
    if value is None:
        return ""
    text = value if isinstance(value, str) else write_json(value).decode()
    return text if len(text) <= 40 else f"{text[:38]}…"


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _size(value: Decimal | None) -> str:
    if value is None:
        return ""
    # As short as it is exact: 0.01000000 is 0.01.
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
