"""``Screen``: the board as rich shows it, for a terminal of any size. Draws; reads no terminal.

It is calm: columns only ever get wider, rows never change places, numbers keep their decimals. A narrow
terminal loses the columns that matter least, a low one the last symbols, and says how many.
"""

from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from depthcast import __version__
from depthcast.cli.up.board import Board, Line, Note, Step
from depthcast.cli.up.figures import NONE, age, clock_text, decimals, fixed, left, milliseconds, worst
from depthcast.cli.up.grid import Column, Grid
from depthcast.cli.up.reading import Measured, Row, rows, waiting_ms
from depthcast.files import SCHEMES

SILENT_AFTER_S: Final = 5.0
"""An updater that has not answered for so long is shown as silent."""

_BOOKS: Final = (
    Column("symbol", 9, 0, "left"),
    Column("update id", 12, 4),
    Column("bid", 9, 0),
    Column("ask", 9, 0),
    Column("age", 6, 1),
    Column("certain", 7, 3),
    Column("files/s", 7, 2),
    Column("resyncs", 7, 6),
    Column("state", 8, 5, "left"),
)

_SERVICES: Final = (
    Column("", 9, 0, "left"),
    Column("state", 8, 1, "left"),
    Column("writes", 6, 3),
    Column("stands by", 9, 6),
    Column("files/s", 7, 0),
    Column("p50", 7, 4),
    Column("p99", 7, 2),
    Column("lost", 8, 7),
    Column("takeovers", 9, 8),
    Column("weight", 11, 5),
    Column("sockets", 7, 9),
    Column("restarts", 8, 10),
)

_STATE_COLOURS: Final = {
    "live": "green",
    "running": "green",
    "ready": "green",
    "starting": "yellow",
    "building": "yellow",
    "stopping": "yellow",
    "died": "bold red",
    "silent": "bold red",
}
_NOTE_COLOURS: Final = {"info": "dim", "warning": "yellow", "error": "red"}


class Screen:
    """The pictures of one board for one terminal, each remembering how wide the last one had to be."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._books = Grid(_BOOKS)
        self._services = Grid(_SERVICES)
        self._decimals: dict[str, int] = {}

    def render(self, width: int, height: int) -> RenderableType:
        """The whole picture: ``height`` lines, each at most ``width`` cells. O(symbols)."""
        head = [self._headline(width), *self._warning(width)]
        room = height - len(head) - 1
        match self._board.phase:
            case "starting":
                body = self._starting(width)
            case "live":
                body = self._live(width, room)
            case "stopping":
                body = self._stopping()
        filling = [Text()] * (room - len(body))
        return Group(*[*head, *body[: max(0, room)], *filling, _foot(width)][:height])

    # Above everything

    def _headline(self, width: int) -> Text:
        board = self._board
        name, lasted = f" depthcast {__version__} ", f" {clock_text(board.clock() - board.began_s)} "
        room = max(0, width - cell_len(name) - cell_len(lasted))
        about = set_cell_size(f" {board.exchange}", room)
        return Text.assemble((name, "bold"), about, (lasted, "dim"), style="on grey15", no_wrap=True)

    def _warning(self, width: int) -> list[Text]:
        words, lines = self._board.warning.split(), [""]
        for word in words:
            if cell_len(lines[-1]) + cell_len(word) + 2 > width:
                lines.append("")
            lines[-1] += f" {word}"
        style = "bold black on yellow"
        return [Text(set_cell_size(line, width), style, no_wrap=True) for line in lines if line]

    # The start and the stop

    def _starting(self, width: int) -> list[RenderableType]:
        steps = [self._step(step, width) for step in self._board.steps.values()]
        return [Text(), *steps, Text(), *self._notes(8)]

    def _step(self, step: Step, width: int) -> Table:
        line = Table.grid(padding=(0, 1), pad_edge=True, expand=True)
        line.add_column(width=1 + max(map(cell_len, self._board.steps)))
        line.add_column(width=min(30, max(8, width // 5)))
        line.add_column(width=7, justify="right")
        line.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        line.add_row(*self._step_cells(step))
        return line

    def _step_cells(self, step: Step) -> Sequence[RenderableType]:
        now_s = self._board.clock()
        since_s = now_s - step.began_s if step.began_s is not None else 0.0
        match step.state:
            case "waiting":
                return Text(step.name, "dim"), ProgressBar(total=1), "", Text("waiting", "dim")
            case "working":
                bar = ProgressBar(
                    total=step.total or None, completed=step.done, pulse=not step.total, animation_time=now_s
                )
                return Text(step.name, "bold"), bar, Text(f"{since_s:.1f} s"), Text(step.text)
            case "done":
                bar = ProgressBar(total=1, completed=1)
                return (
                    Text(step.name, "bold"),
                    bar,
                    Text(f"{step.took_s:.1f} s", "dim"),
                    Text(step.text, "green"),
                )

    def _stopping(self) -> list[RenderableType]:
        states = [(line.name, line.state) for line in self._board.services]
        return [
            Text(),
            Text(
                " Stopping everything, in order. A second Ctrl-C does it at once.",
                no_wrap=True,
                overflow="ellipsis",
            ),
            Text(),
            *(
                Text.assemble(f" {name:<12}", (state, _STATE_COLOURS.get(state, "dim")))
                for name, state in states
            ),
        ]

    # Live

    def _live(self, width: int, height: int) -> list[RenderableType]:
        measured = list(self._board.readings.values())
        every = rows(measured)
        above = [Text(), _totals(measured, every), Text()]
        below = [
            Text(),
            *self._services.draw(width, [self._service(line) for line in self._board.services]),
            Text(),
            *self._places(measured),
            *self._notes(3),
        ]
        room = max(2, height - len(above) - len(below))
        # Widths come from all rows, so that a higher window changes nothing.
        table = self._books.draw(width, [self._book(row) for row in every])
        if len(table) > room:
            hidden = len(table) - room + 1
            table = [*table[: room - 1], Text(f" … and {hidden} more", "dim")]
        filling = [Text()] * (room - len(table))
        return [*above, *table, *filling, *below]

    def _book(self, row: Row) -> Sequence[Text]:
        # As many decimals as this symbol was ever seen to need.
        places = max(decimals(row.best_bid), decimals(row.best_ask), self._decimals.get(row.symbol, 0))
        self._decimals[row.symbol] = places
        return (
            Text(row.symbol, "bold"),
            Text(NONE if row.update_id is None else str(row.update_id)),
            Text(fixed(row.best_bid, places), "green"),
            Text(fixed(row.best_ask, places), "red"),
            Text(age(row.age_ms)),
            Text(f"{row.certain:,}"),
            Text(f"{row.files_per_s:.1f}"),
            Text(f"{row.resyncs:,}", "yellow" if row.resyncs else "dim"),
            Text(row.state, _STATE_COLOURS.get(row.state, "")),
        )

    def _service(self, line: Line) -> Sequence[Text]:
        state = line.state
        measured = self._board.readings.get(line.name)
        figures = [Text(NONE, "dim")] * (len(_SERVICES) - 3)
        if measured is not None:
            reading = measured.reading
            if state == "running":
                silent = self._board.clock() - measured.at_s > SILENT_AFTER_S
                state = "silent" if silent else "ready" if reading.ready else "building"
            pause_s = reading.silent_for_ms / 1000
            weight = f"{reading.weight_used:,}/{reading.weight_limit:,}"
            figures = [
                Text(f"{reading.writes:,}"),
                Text(f"{len(reading.books) - reading.writes:,}"),
                Text(f"{measured.files_per_s:,.0f}"),
                Text(milliseconds(reading.p50_ms)),
                Text(milliseconds(reading.p99_ms)),
                Text(f"{reading.lost:,}"),
                Text(f"{reading.takeovers:,}"),
                Text(f"pause {pause_s:.0f} s", "yellow") if pause_s else Text(weight),
                Text(str(reading.connections)),
            ]
        return (
            Text(line.name, "bold"),
            Text(state, _STATE_COLOURS.get(state, "")),
            *figures,
            Text(str(line.restarts), "red" if line.restarts else "dim"),
        )

    def _places(self, measured: Sequence[Measured]) -> list[Text]:
        board = self._board
        symbols = [book.symbol for each in measured for book in each.reading.books]
        symbol = next((symbol for symbol in symbols if symbol.isascii()), "BTCUSDT")
        venue, _, name = symbol.rpartition(":")
        scheme = SCHEMES[venue or board.venue]
        places = (
            ("try", f"curl '{board.server_url}/{scheme.key(name, scheme.limits[0])}'", "cyan"),
            ("store", board.store, ""),
            ("data", f"{board.data} (logs in {board.data}/logs)", ""),
        )
        return [
            Text.assemble((f" {name:<6}", "dim"), (value, style), no_wrap=True, overflow="ellipsis")
            for name, value, style in places
        ]

    def _notes(self, most: int) -> list[Text]:
        return [self._note(note) for note in list(self._board.notes)[-most:]]

    def _note(self, note: Note) -> Text:
        at = clock_text(note.at_s - self._board.began_s)
        return Text(f" {at}  {note.text}", _NOTE_COLOURS[note.level], no_wrap=True, overflow="ellipsis")


def _totals(measured: Sequence[Measured], every: Sequence[Row]) -> Text:
    p50, p99 = (worst(getattr(each.reading, name) for each in measured) for name in ("p50_ms", "p99_ms"))
    parts = (
        ("", f"{sum(row.state == 'live' for row in every)} of {len(every)}", " books live"),
        ("", f"{sum(each.files_per_s for each in measured):,.0f}".rjust(5), " files/s"),
        ("p50 ", milliseconds(p50).rjust(7), ""),
        ("p99 ", milliseconds(p99).rjust(7), ""),
        ("", f"{sum(row.resyncs for row in every):,}", " resyncs"),
    )
    text = Text(no_wrap=True, overflow="ellipsis")
    for before, value, after in parts:
        text.append(f" {before}", "dim").append(value, "bold").append(f"{after}  ", "dim")
    # The exchange's request weight can make the last books come minutes after the first ones.
    text.append(left(waiting_ms(measured)), "yellow")
    return text


def _foot(width: int) -> Text:
    return Text(set_cell_size(" Ctrl-C stops everything", width), "dim on grey15", no_wrap=True)
