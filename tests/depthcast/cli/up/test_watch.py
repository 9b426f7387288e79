"""Rates out of counts, and updaters that are asked again and again."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from depthcast.cli.up.board import Board
from depthcast.cli.up.reading import Reading
from depthcast.cli.up.service import Service
from depthcast.cli.up.watch import Meter, Watch
from updater.status import Status, SymbolStatus

MakeStatus = Callable[..., Status]
MakeSymbol = Callable[..., SymbolStatus]


def test_a_rate_is_the_growth_over_the_window(status: MakeStatus, symbol_status: MakeSymbol) -> None:
    meter = Meter(window_s=4)

    def at(now_s: float, total: int, eth: int, **more: int) -> tuple[float, dict[str, float]]:
        books = [
            symbol_status("ETHUSDT", written=eth),
            *(symbol_status(s, written=n) for s, n in more.items()),
        ]
        measured = meter.measure(now_s, Reading.of(status(*books, written=total)))
        return measured.files_per_s, dict(measured.by_symbol)

    assert at(0, 1000, 500) == (0.0, {})
    assert at(2, 1100, 550) == (50.0, {"ETHUSDT": 25.0})
    # A symbol that came up since counts from nothing.
    assert at(4, 1300, 650, NEWUSDT=8) == (75.0, {"ETHUSDT": 37.5, "NEWUSDT": 2.0})
    # What is older than the window does not count any more: 1,100 at second 2, 1,700 at second 6.
    assert at(6, 1700, 650, NEWUSDT=8)[0] == 150.0


def test_another_process_begins_anew(status: MakeStatus) -> None:
    meter = Meter()
    meter.measure(0, Reading.of(status(replica="one", written=5000)))
    assert meter.measure(1, Reading.of(status(replica="two", written=10))).files_per_s == 0.0
    assert meter.measure(2, Reading.of(status(replica="two", written=30))).files_per_s == 20.0


@pytest.fixture
def updater(tmp_path: Path, board: Board) -> Service:
    return Service("updater-1", list, {}, tmp_path / "log", board, ready=re.compile("x"))


async def test_the_board_shows_what_was_said_last_until_the_process_has_ended(
    updater: Service, board: Board, status: MakeStatus
) -> None:
    answers: list[Any] = [
        status(written=10),
        web.Response(text="oops"),
        web.json_response([]),
        status(written=20),
    ]
    asked = asyncio.Event()
    seen: list[int | None] = []

    async def answer(_request: web.Request) -> web.Response:
        measured = board.readings.get("updater-1")
        seen.append(measured.reading.written if measured else None)
        said = answers.pop(0) if len(answers) > 1 else answers[0]
        if len(seen) == 6:
            asked.set()
        return said if isinstance(said, web.Response) else web.json_response(said)

    app = web.Application()
    app.router.add_get("/status", answer)
    async with TestServer(app) as server:
        updater.url = str(server.make_url("")).rstrip("/")
        watching = asyncio.create_task(Watch([updater], board, every_s=0.001).run())
        await asyncio.wait_for(asked.wait(), 20)
        # Garbled answers in between took nothing off the board.
        assert seen[:5] == [None, 10, 10, 10, 20]
        updater.url = ""
        for _ in range(1000):
            if not board.readings:
                break
            await asyncio.sleep(0.01)
        assert board.readings == {}
        watching.cancel()
        await asyncio.wait({watching})


async def test_one_that_does_not_answer_is_no_error(updater: Service, board: Board) -> None:
    updater.url = "http://127.0.0.1:9"
    watching = asyncio.create_task(Watch([updater], board, every_s=0.001).run())
    await asyncio.sleep(0.1)
    assert not watching.done()
    assert board.readings == {}
    watching.cancel()
    await asyncio.wait({watching})
