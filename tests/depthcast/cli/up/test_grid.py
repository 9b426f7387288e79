"""Columns that line up, give way where room is short, and never get narrower."""

from rich.cells import cell_len
from rich.text import Text

from depthcast.cli.up.grid import Column, Grid

COLUMNS = (Column("name", 6, 0, "left"), Column("bid", 5, 0), Column("lost", 4, 2), Column("age", 4, 1))


def drawn(grid: Grid, width: int, *rows: tuple[str, ...]) -> list[str]:
    return [line.plain for line in grid.draw(width, [[Text(cell) for cell in row] for row in rows])]


def test_cells_line_up_left_and_right_wide_letters_too() -> None:
    lines = drawn(Grid(COLUMNS), 27, ("币安", "1.5", "0", "2 s"), ("ABC", "10.25", "12", "30 s"))
    assert lines == [
        " name      bid  lost   age",
        " 币安      1.5     0   2 s",
        " ABC     10.25    12  30 s",
    ]


def test_a_column_never_gets_narrower() -> None:
    grid = Grid(COLUMNS)
    wide = drawn(grid, 60, ("A", "123456789.12", "0", "1 s"))
    again = drawn(grid, 60, ("A", "1", "0", "1 s"))
    assert cell_len(again[1]) == cell_len(wide[1])
    assert again[0] == wide[0]


def test_where_room_is_short_the_highest_rank_goes_first() -> None:
    row = ("A", "1", "0", "1 s")
    assert drawn(Grid(COLUMNS), 26, row)[0].split() == ["name", "bid", "lost", "age"]
    assert drawn(Grid(COLUMNS), 25, row)[0].split() == ["name", "bid", "age"]
    assert drawn(Grid(COLUMNS), 19, row)[0].split() == ["name", "bid"]


def test_what_always_stays_is_cut_off_at_the_edge() -> None:
    for line in drawn(Grid(COLUMNS), 9, ("ABCDEF", "12345", "0", "1 s")):
        assert cell_len(line) <= 9
    assert drawn(Grid(COLUMNS), 9, ("ABCDEF", "12345", "0", "1 s"))[1].endswith("…")


def test_a_roomy_terminal_gets_wider_gaps() -> None:
    row = ("A", "1", "0", "1 s")
    narrow, wide = (drawn(Grid(COLUMNS), width, row)[1] for width in (26, 200))
    assert cell_len(wide) == cell_len(narrow) + 3 * 2
