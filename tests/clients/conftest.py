"""A mirror on a socket, and where the JavaScript clients are installed."""

import asyncio
import hashlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from depthcast.store.memory import MemoryStore
from tests.conformance.world import World, serving
from tests.programs import absent, program

JAVASCRIPT = Path(__file__).with_name("javascript")
INSTALL_TIMEOUT_S = 900


class Mirror(NamedTuple):
    """A server over what was published of the world; ``url`` is all that a client is told."""

    url: str
    world: World


@pytest.fixture
async def mirror() -> AsyncIterator[Mirror]:
    async with World() as world:
        store = MemoryStore()
        await world.publish(store)
        async with serving(store) as port:
            yield Mirror(f"http://127.0.0.1:{port}", world)


@pytest.fixture(scope="session")
def node_packages() -> Path:
    """A folder with the packages of ``javascript/package-lock.json``, installed once and kept."""
    program("node")
    npm = program("npm")
    lock = (JAVASCRIPT / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "depthcast-tests" / f"npm-{hashlib.sha256(lock).hexdigest()[:16]}"
    done = folder / "installed"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(JAVASCRIPT / name, folder)
        try:
            subprocess.run(
                [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=folder,
                check=True,
                capture_output=True,
                timeout=INSTALL_TIMEOUT_S,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            absent(f"npm could not install the packages: {str(error.stderr or error)[-300:]}")
        done.touch()
    return folder


async def run(*command: str | Path, folder: Path) -> bytes:
    """The standard output of a program that has to succeed."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(60):
            output, complaints = await process.communicate()
    except BaseException:
        process.kill()
        raise
    assert process.returncode == 0, complaints.decode()[-2000:]
    return output
