"""``Screen``: an overview as rich shows it, for a terminal of any size. Draws; reads no terminal.

A narrow terminal loses the columns that matter least, a low one the last rows, and says how many.
"""

from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from depthcast.cli.fleet.overview import RECENT_MS, Overview, ReplicaLine, SymbolLine
from depthcast.cli.up.figures import NONE, age, clock_text, counted, milliseconds
from depthcast.cli.up.grid import Column, Grid

NAME_CELLS: Final = 20
"""A longer name of a replica is shortened in its middle."""

MOST_WARNINGS: Final = 6

_REPLICAS: Final = (
    Column("replica", 9, 0, "left"),
    Column("state", 9, 0, "left"),
    Column("up", 7, 9),
    Column("held", 7, 3),
    Column("writer", 6, 1),
    Column("acting", 6, 2),
    Column("standby", 7, 7),
    Column("feed", 7, 6),
    Column("writes/s", 8, 0),
    Column("lost", 6, 8),
    Column("takeovers", 9, 5),
    Column("p50", 7, 12),
    Column("p99", 7, 11),
    Column("weight", 11, 4),
    Column("beat", 6, 10),
)
_SYMBOLS: Final = (
    Column("symbol", 9, 0, "left"),
    Column("written by", 10, 0, "left"),
    Column("standby", 8, 4, "left"),
    Column("epoch:id", 13, 5),
    Column("file lags", 9, 0),
    Column("certain", 13, 3),
    Column("ids behind", 10, 6),
    Column("status", 7, 2, "left"),
    Column("", 10, 1, "left"),
)
_LIFE_STYLES: Final = {"live": "green", "leaving": "yellow", "dead": "bold red", "gone": "dim"}


class Screen:
    """The pictures of one terminal, each remembering how wide the last one had to be."""

    def __init__(self) -> None:
        self._replicas = Grid(_REPLICAS)
        self._symbols = Grid(_SYMBOLS)

    def render(self, shown: Overview, width: int, height: int | None = None, *, foot: str = "") -> list[Text]:
        """Lines of at most ``width`` cells: exactly ``height`` of them, or as many as there is to show."""
        most = MOST_WARNINGS if height is None else min(MOST_WARNINGS, max(2, height // 5))
        above = [_headline(shown, width), *_warnings(shown, width, most), Text()]
        below = [Text(set_cell_size(f" {foot}", width), "dim on grey15", no_wrap=True)] if foot else []
        recent = [line for line in shown.replicas if line.lives or line.beat_age_ms < RECENT_MS]
        ended = len(shown.replicas) - len(recent)
        replicas = self._replicas.draw(width, [_replica(line) for line in recent]) if recent else []
        symbols = self._symbols.draw(width, list(map(_symbol, shown.symbols))) if shown.symbols else []
        after = [Text(f" … and {ended} that ended before", "dim", no_wrap=True)] if ended else []
        if height is not None:
            room = height - len(above) - len(below) - len(after) - 1
            # The symbols get at least half of the room, if they need it.
            replicas = _first(replicas, max(room - len(symbols), room // 2))
            symbols = _first(symbols, room - len(replicas))
        lines = [*above, *replicas, *after, Text(), *symbols]
        while not lines[-1].plain:
            lines.pop()
        if height is None:
            return [*lines, *below]
        filling = [Text()] * (height - len(lines) - len(below))
        return [*[*lines, *filling][: height - len(below)], *below]


def _first(table: list[Text], room: int) -> list[Text]:
    """A table's titles and the rows that fit, the last line saying how many do not."""
    if len(table) <= room:
        return table
    kept = max(1, room - 1)
    return [*table[:kept], Text(f" … and {len(table) - kept} more", "dim", no_wrap=True)][: max(0, room)]


def _headline(shown: Overview, width: int) -> Text:
    lines = shown.symbols
    live = sum(line.live and bool(line.writers) for line in lines)
    rate = sum(line.writes_per_s or 0 for line in shown.replicas)
    tried = sum(line.written + line.lost for line in shown.replicas if line.lives)
    lost = sum(line.lost for line in shown.replicas if line.lives)
    parts = (
        (counted(shown.living, "replica"), " live" if shown.living != 1 else " lives"),
        (f"{live:,} of {counted(len(lines), 'symbol')}", " live"),
        (f"{rate:,.0f}", " writes/s"),
        (f"{100 * lost / tried if tried else 0:.1f} %", " lost"),
    )
    text = Text(no_wrap=True, style="on grey15")
    for value, what in parts:
        text.append(f" {value}", "bold").append(f"{what}  ", "dim")
    room = width - text.cell_len - 1
    if room >= 8:
        whole = f"{shown.venue} in {shown.store}"
        place = whole if cell_len(whole) <= room else whole[: room - 1] + "…"
        text.append(place.rjust(room), "dim")
    text.truncate(width)
    text.pad_right(width - text.cell_len)
    return text


def _warnings(shown: Overview, width: int, most: int) -> list[Text]:
    lines = [*([f"the store does not answer: {shown.fault}"] if shown.fault else []), *shown.warnings]
    told = lines if len(lines) <= most else lines[: most - 1]
    if len(told) < len(lines):
        told = [*told, f"… and {len(lines) - len(told)} more warnings"]
    texts = [Text(f" ! {line}", "yellow", no_wrap=True, overflow="ellipsis") for line in told]
    for text in texts:
        text.truncate(width, overflow="ellipsis")
    return texts


def _replica(line: ReplicaLine) -> Sequence[Text]:
    dim = "" if line.lives else "dim"
    state = line.life if line.life != "dead" else f"dead {age(line.beat_age_ms)}"
    return (
        Text(_short(line.replica), "bold" if line.lives else "dim"),
        Text(state, _LIFE_STYLES[line.life]),
        Text(clock_text(line.uptime_ms / 1000), dim),
        Text(f"{line.held:,}/{line.listed:,}", dim),
        Text(f"{line.writer:,}", dim),
        Text(f"{line.acting:,}", "yellow" if line.acting and line.lives else "dim"),
        Text(f"{line.standby:,}", dim),
        Text(
            f"{line.feed_live:,}/{line.feed_symbols:,}",
            "yellow" if line.feed_live < line.feed_symbols and line.lives else dim,
        ),
        Text(NONE if line.writes_per_s is None else f"{line.writes_per_s:,.1f}", dim),
        Text(f"{line.lost_percent:.1f} %", dim),
        Text(f"{line.takeovers:,}", dim),
        Text(milliseconds(line.p50_ms), dim),
        Text(milliseconds(line.p99_ms), dim),
        Text(f"pause {line.silent_for_ms / 1000:.0f} s", "yellow")
        if line.silent_for_ms and line.lives
        else Text(f"{line.weight_used:,}/{line.weight_limit:,}", dim),
        Text(age(line.beat_age_ms), dim),
    )


def _symbol(line: SymbolLine) -> Sequence[Text]:
    trouble = line.troubles[0] if line.troubles else None
    severe = trouble is not None and trouble.severe
    known = line.id is not None
    return (
        Text(line.symbol, "bold"),
        _writers(line),
        Text(_names(line.standbys), "dim"),
        Text(f"{line.epoch}:{line.id}" if known else NONE),
        Text(age(line.behind_ms)),
        Text(f"{_levels(line.bids)}/{_levels(line.asks)}" if known else NONE),
        Text(NONE if line.ids_behind is None else f"{line.ids_behind:,}", "dim"),
        Text(line.status, "" if line.status == "TRADING" else "yellow"),
        Text("" if trouble is None else trouble.value, "bold red" if severe else "yellow"),
    )


def _writers(line: SymbolLine) -> Text:
    if not line.writers:
        return Text(NONE, "bold red")
    first, *others = line.writers
    text = Text(_short(first))
    if first in line.acting:
        text.append(" acting", "yellow")
    if others:
        text.append(f" +{len(others)} acting", "yellow")
    return text


def _names(names: Sequence[str]) -> str:
    if not names:
        return NONE
    return _short(names[0]) + (f" +{len(names) - 1}" if len(names) > 1 else "")


def _short(name: str) -> str:
    if cell_len(name) <= NAME_CELLS:
        return name
    return f"{name[: NAME_CELLS // 2]}…{name[-(NAME_CELLS // 2 - 1) :]}"


def _levels(certain: str) -> str:
    count, plus = certain.removesuffix("+"), "+" if certain.endswith("+") else ""
    return (f"{int(count):,}" if count.isdecimal() else count) + plus
