"""How examples are run: as whole programs, in processes of their own."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

TIMEOUT_S = 60.0
"""A program that takes longer is ended; none needs a tenth of it."""


class Ended(NamedTuple):
    """What a program left behind."""

    status: int
    output: str
    complaints: str


RunExample = Callable[..., Awaitable[Ended]]
"""``await run_example("read_file.py", *arguments, NAME="value of a variable", …)``."""


async def run(name: str, *arguments: str, **variables: str) -> Ended:
    """Run ``examples/NAME`` to its end. No proxy is used: what it talks to is on this machine."""
    env = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        EXAMPLES / name,
        *arguments,
        env=env | variables,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            output, complaints = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return Ended(process.returncode, output.decode(), complaints.decode())


@pytest.fixture
def run_example() -> RunExample:
    return run
