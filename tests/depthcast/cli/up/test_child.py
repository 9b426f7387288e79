"""A process of ours: heard, kept in the log, stopped within a bound, and never left behind."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from depthcast.cli.up.child import Child
from depthcast.cli.up.logfile import LogFile

ROOT = Path(__file__).parents[4]
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Child]:
    """A child that runs a line of Python."""

    def made(code: str, on_line: Callable[[str], None] = lambda line: None) -> Child:
        argv = (sys.executable, "-c", code)
        return Child(argv, os.environ, LogFile(tmp_path / "child.log"), on_line=on_line)

    return made


async def started(make: Callable[..., Child], code: str) -> Child:
    """A child that has said something."""
    heard = asyncio.Event()
    child = make(code, lambda line: heard.set())
    await child.start()
    await asyncio.wait_for(heard.wait(), 20)
    return child


async def test_both_its_outputs_are_heard_line_by_line_and_kept(
    make: Callable[..., Child], tmp_path: Path
) -> None:
    lines: list[str] = []
    child = make(
        "import sys; print('one'); print(); sys.stderr.write('two\\nno end'); sys.exit(3)", lines.append
    )
    assert not child.running
    await child.start()
    assert await child.wait() == 3
    assert sorted(lines) == ["no end", "one", "two"]
    assert list(child.tail) == lines
    assert sorted((tmp_path / "child.log").read_text().splitlines()) == ["", "no end", "one", "two"]


async def test_the_tail_is_short_and_an_endless_line_is_cut(make: Callable[..., Child]) -> None:
    lines: list[str] = []
    child = make("for n in range(100): print(n)\nprint('x' * 300_000)", lines.append)
    await child.start()
    assert await child.wait() == 0
    assert lines[:100] == [str(number) for number in range(100)]
    assert "".join(lines[100:]) == "x" * 300_000
    assert max(map(len, lines)) <= 3 * 64 * 1024
    assert len(child.tail) == 20


async def test_a_program_that_is_not_there_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        await Child(["/no/such/program"], {}, LogFile(tmp_path / "child.log")).start()


async def test_it_leads_a_session_of_its_own(make: Callable[..., Child]) -> None:
    child = make("import os; print(os.getpid() == os.getsid(0))")
    await child.start()
    await child.wait()
    assert list(child.tail) == ["True"]


async def test_a_stop_is_sigterm(make: Callable[..., Child]) -> None:
    child = await started(make, "import time; print('up', flush=True); time.sleep(60)")
    await child.stop(asyncio.Event(), within_s=20)
    assert not child.running
    assert await child.wait() == -signal.SIGTERM


async def test_one_that_does_not_stop_is_killed_when_its_time_is_over(make: Callable[..., Child]) -> None:
    child = await started(make, STUBBORN)
    await child.stop(asyncio.Event(), within_s=0.2)
    assert await child.wait() == -signal.SIGKILL


async def test_who_is_in_a_hurry_kills_at_once(make: Callable[..., Child]) -> None:
    child = await started(make, STUBBORN)
    hurry = asyncio.Event()
    stopping = asyncio.create_task(child.stop(hurry, within_s=60))
    await asyncio.sleep(0.05)
    assert not stopping.done()
    hurry.set()
    await asyncio.wait_for(stopping, 20)
    assert await child.wait() == -signal.SIGKILL


async def test_stopping_what_never_ran_or_has_ended_is_nothing(make: Callable[..., Child]) -> None:
    child = make("pass")
    await child.stop(asyncio.Event(), within_s=1)
    await child.start()
    await child.wait()
    await child.stop(asyncio.Event(), within_s=1)
    assert await child.wait() == 0


PARENT = """
import asyncio, os, pathlib, sys
from depthcast.cli.up.child import Child
from depthcast.cli.up.logfile import LogFile

async def main():
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    log = LogFile(pathlib.Path(sys.argv[1]))
    child = Child([sys.executable, "-c", code], os.environ, log, on_line=lambda line: print(line, flush=True))
    await child.start()
    await child.wait()

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent")
def test_it_does_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "log")], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        os.kill(child, 0)
        parent.kill()
        parent.wait()
    with contextlib.suppress(ProcessLookupError):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not _is_zombie(child):
            time.sleep(0.02)
        assert _is_zombie(child), "the child outlived its parent"


def _is_zombie(pid: int) -> bool:
    """Ended, though nobody has asked for its exit status; raises ProcessLookupError where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None
