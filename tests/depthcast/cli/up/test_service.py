"""A supervised process: ready when it says so, started again when it dies, given up when that is no use."""

import asyncio
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from depthcast.cli.up.board import Board
from depthcast.cli.up.service import Service, ServiceFailed, ServiceSilent

READY = re.compile(r"ready at (?P<url>\S+)")
SERVES = "import time; print('ready at http://here', flush=True); time.sleep(60)"


@pytest.fixture
def board() -> Board:
    return Board(log=lambda level, text, fields: None)


@pytest.fixture
def make(tmp_path: Path, board: Board) -> Callable[..., Service]:
    """A service that runs these lines of Python, one after the other; the last again and again."""

    def made(*codes: str, quick_s: float = 60.0, ready_within_s: float = 20.0) -> Service:
        left = list(codes)

        def argv() -> list[str]:
            return [sys.executable, "-c", left.pop(0) if len(left) > 1 else left[0]]

        return Service(
            "updater-1",
            argv,
            os.environ,
            tmp_path / "updater-1.log",
            board,
            ready=READY,
            quick_s=quick_s,
            ready_within_s=ready_within_s,
            retry_initial_s=0.01,
            retry_maximum_s=0.02,
            rng=Random(1),
        )

    return made


def state(service: Service) -> str:
    return service.state


async def test_it_is_ready_when_it_says_so_and_runs_until_it_is_stopped(make: Callable[..., Service]) -> None:
    service = make(SERVES)
    assert state(service) == "waiting"
    running = asyncio.create_task(service.run())
    assert await service.ready() == "http://here"
    assert (state(service), service.url, service.restarts) == ("running", "http://here", 0)
    running.cancel()
    await asyncio.wait({running})
    await service.stop(asyncio.Event())
    assert state(service) == "stopped"


async def test_one_that_dies_is_reported_and_started_again(
    make: Callable[..., Service], board: Board
) -> None:
    crash = "print('ready at http://first', flush=True); print('out of luck'); raise SystemExit(7)"
    service = make(crash, SERVES)
    running = asyncio.create_task(service.run())
    assert await service.ready() in ("http://first", "")
    for _ in range(1000):
        if service.url == "http://here":
            break
        await asyncio.sleep(0.02)
    assert (service.url, service.restarts) == ("http://here", 1)
    note = board.notes[-1]
    assert note.level == "error"
    assert "updater-1 ended with exit status 7 and is started again" in note.text
    assert "out of luck" in note.text
    running.cancel()
    await asyncio.wait({running})
    await service.stop(asyncio.Event())


async def test_one_that_dies_at_once_three_times_is_given_up(
    make: Callable[..., Service], tmp_path: Path
) -> None:
    line = "2026-01-01T00:00:00Z [warning  ] the roof is on fire part=updater"
    service = make(f"print({line!r}); raise SystemExit(1)")
    with pytest.raises(ServiceFailed) as caught:
        await service.run()
    assert str(caught.value) == (
        "updater-1 ended 3 times at once, with exit status 1: the roof is on fire part=updater; "
        f"its log is {tmp_path / 'updater-1.log'}"
    )
    assert service.restarts == 2


async def test_deaths_after_a_long_life_do_not_add_up(make: Callable[..., Service]) -> None:
    service = make(*["raise SystemExit(1)"] * 5, SERVES, quick_s=0.0)
    running = asyncio.create_task(service.run())
    await service.ready()
    assert service.restarts == 5
    running.cancel()
    await asyncio.wait({running})
    await service.stop(asyncio.Event())


async def test_wrong_settings_are_not_tried_again(make: Callable[..., Service]) -> None:
    service = make("import sys; sys.stderr.write('depthcast updater: no such symbol; see\\n'); sys.exit(2)")
    with pytest.raises(
        ServiceFailed, match="updater-1 ended with exit status 2: no such symbol; see"
    ) as caught:
        await service.run()
    assert caught.value.status == 2


async def test_a_signal_is_called_one(make: Callable[..., Service]) -> None:
    service = make("import os; os.kill(os.getpid(), 9)")
    with pytest.raises(ServiceFailed, match="3 times at once, by signal 9"):
        await service.run()


async def test_one_that_never_says_it_is_ready_is_given_up(make: Callable[..., Service]) -> None:
    service = make("import time; print('hm', flush=True); time.sleep(60)", ready_within_s=0.05)
    running = asyncio.create_task(service.run())
    with pytest.raises(ServiceSilent, match="updater-1 was not ready within 0 s"):
        await service.ready()
    running.cancel()
    await asyncio.wait({running})
    await service.stop(asyncio.Event())


async def test_a_program_that_is_not_there_is_one_line(tmp_path: Path, board: Board) -> None:
    service = Service(
        "server", lambda: ["/no/such/program"], os.environ, tmp_path / "server.log", board, ready=READY
    )
    with pytest.raises(ServiceFailed, match="server ended with exit status 127: No such file or directory"):
        await service.run()
