"""Without a terminal: one summary line after the other, and what it says."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from depthcast.cli.up.board import STORE, Board, Level
from depthcast.cli.up.display import Lines, summary
from depthcast.cli.up.reading import Measured, Reading
from updater.status import Status, SymbolStatus


async def test_a_line_says_how_the_start_goes_and_then_how_it_runs(
    status: Callable[..., Status], clock: Any
) -> None:
    lines: list[tuple[str, dict[str, object]]] = []
    changed = asyncio.Event()

    def log(level: Level, text: str, fields: Mapping[str, object]) -> None:
        lines.append((text, dict(fields)))
        changed.set()

    board = Board(log=log, clock=clock)
    board.plan(STORE, "server")
    board.begin(STORE, "starting SeaweedFS")
    lines.clear()
    async with Lines(board, every_s=0.01):
        for phase, text in (("starting", "starting"), ("live", "live")):
            board.phase = phase  # type: ignore[assignment]
            lines.clear()
            changed.clear()
            await asyncio.wait_for(changed.wait(), 20)
            assert lines[0][0] == text
            if text == "starting":
                assert lines[0][1] == {STORE: "starting SeaweedFS"}
        board.phase = "stopping"
    said = len(lines)
    await asyncio.sleep(0.03)
    assert len(lines) == said


def test_the_summary_has_the_figures_of_everything(board: Board, status: Callable[..., Status]) -> None:
    reading = Reading.of(status(takeovers=2))
    board.readings = {
        "updater-1": Measured(reading, 0.0, 20.04, {"ETHUSDT": 20.04}),
        "updater-2": Measured(reading, 0.0, 1.0, {"ETHUSDT": 1.0}),
    }
    board.server_url = "http://127.0.0.1:8080"
    assert summary(board) == {
        "books_live": 1,
        "books": 1,
        "updaters": 2,
        "files_per_s": 21.0,
        "lost": 24,
        "write_p50_ms": 3.14,
        "write_p99_ms": 21.0,
        "takeovers": 4,
        "resyncs": 0,
        "oldest_book_ms": 80,
        "server": "http://127.0.0.1:8080",
    }
    board.warning = "SIMULATED"
    assert summary(board)["warning"] == "SIMULATED"


def test_the_summary_says_how_long_books_wait_for_the_exchange(
    board: Board, status: Callable[..., Status], symbol_status: Callable[..., SymbolStatus]
) -> None:
    missing = symbol_status(update_id=None)
    for document, expected in (
        (status(symbol_status(), missing, expected_wait_ms=42_000), 42_000),
        # Snapshots that complete books that are there hold up nobody.
        (status(symbol_status(), expected_wait_ms=42_000), None),
        (status(missing), None),
    ):
        board.readings = {"updater-1": Measured(Reading.of(document), 0.0, 0.0, {})}
        assert summary(board).get("books_wait_ms") == expected


def test_nothing_is_known_at_first(board: Board) -> None:
    assert summary(board)["write_p99_ms"] is None
    assert summary(board)["books"] == 0
