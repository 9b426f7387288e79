"""``Grid``: rows of text in columns that only ever get wider, so that nothing on a screen jumps."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from rich.cells import cell_len
from rich.text import Text

_GAP: Final = 2
_WIDE_GAP: Final = 4


class Column(NamedTuple):
    """Where room is short the column with the highest ``rank`` goes first; rank 0 stays.

    ``width`` is the least it takes, in cells.
    """

    title: str
    width: int
    rank: int
    align: Literal["left", "right"] = "right"


class Grid:
    """Remembers how wide each column ever was. A row has one text for each column."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._widths = [max(column.width, cell_len(column.title)) for column in columns]

    def draw(self, width: int, rows: Sequence[Sequence[Text]]) -> list[Text]:
        """A line of titles and one for each row, for a terminal ``width`` cells wide. O(cells)."""
        for index in range(len(self._columns)):
            self._widths[index] = max((self._widths[index], *(row[index].cell_len for row in rows)))
        kept = self._that_fit(width)
        spare = width - self._total(kept, _GAP)
        gap = " " * (_GAP + min(_WIDE_GAP - _GAP, spare // max(1, len(kept))))
        titles = [Text(column.title, "dim") for column in self._columns]
        return [self._line(row, kept, gap, width) for row in (titles, *rows)]

    def _that_fit(self, width: int) -> list[int]:
        kept = list(range(len(self._columns)))
        while self._total(kept, _GAP) > width:
            last = max(kept, key=lambda index: self._columns[index].rank)
            if self._columns[last].rank == 0:
                break
            kept.remove(last)
        return kept

    def _total(self, kept: Sequence[int], gap: int) -> int:
        return 1 + sum(self._widths[index] for index in kept) + gap * (len(kept) - 1)

    def _line(self, row: Sequence[Text], kept: Sequence[int], gap: str, width: int) -> Text:
        line = Text(" ", no_wrap=True, overflow="ellipsis")
        for place, index in enumerate(kept):
            cell, room = row[index], self._widths[index] - row[index].cell_len
            before = room if self._columns[index].align == "right" else 0
            line.append(gap if place else "").append(" " * before).append_text(cell).append(
                " " * (room - before)
            )
        line.truncate(width, overflow="ellipsis")
        return line
