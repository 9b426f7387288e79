"""Servers: as a process of their own, or in the test's event loop and without a socket; and their readers."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence

import aiohttp
import httpx

from depthcast.store import Store
from server.service import Service
from server.settings import ServerSettings
from tests.system.audit import Auditor
from tests.system.waiting import until


@contextlib.asynccontextmanager
async def running_server(env: Mapping[str, str], *argv: str) -> AsyncIterator[str]:
    """``python -m server`` as a process of its own; yields its base URL once it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "server", "--listen", f"127.0.0.1:{port}", *argv, env={**os.environ, **env}
    )
    try:
        async with aiohttp.ClientSession() as session:
            for _ in range(300):
                assert process.returncode is None, "the server ended"
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"http://127.0.0.1:{port}/healthz") as answer:
                        if answer.status == 200:
                            break
                await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 10)


@contextlib.asynccontextmanager
async def serving(store: Store, venue: str) -> AsyncIterator[httpx.AsyncClient]:
    """A server's application, and a client of it."""
    settings = ServerSettings.load(["--venues", venue, "--symbols-refresh-s", "0.3"], {})
    service = Service(settings, store)
    work = asyncio.ensure_future(service.run())
    await until(lambda: service.catalogue.known)
    transport = httpx.ASGITransport(service.app)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            yield client
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await service.close()


async def read_answers(client: httpx.AsyncClient, auditor: Auditor, limits: Sequence[int]) -> None:
    """Ask for every book, over and over: answers are true, never go back, and are 304 to who has them."""
    seen: dict[str, tuple[int, int]] = {}
    # Below the venue's name once more, but for the first one.
    below = f"/{auditor.scheme.venue}" if auditor.scheme.room else ""
    while True:
        for symbol in list(auditor.oracle.symbols):
            for limit in limits:
                # A key is the request that it answers.
                path = "/" + auditor.scheme.key(symbol, limit)
                answer = await client.get(path)
                if answer.status_code in (400, 404, 503) and path not in seen:
                    continue  # before the first listing of its files
                assert answer.status_code == 200, answer.text
                epoch, update_id = map(int, answer.headers["depthcast-version"].split(":"))
                auditor.check_body(symbol, limit, update_id, answer.content)
                auditor.answers += 1
                assert (epoch, update_id) >= seen.get(path, (0, 0)), f"{path} went back"
                seen[path] = epoch, update_id
                has = {"If-None-Match": answer.headers["etag"]}
                again = await client.get(f"{below}{path}", headers=has)
                assert again.status_code in (200, 304)
        await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def being_read(store: Store, auditor: Auditor, limits: Sequence[int]) -> AsyncIterator[None]:
    """A server, and one who reads its answers until the block ends. Raises what was wrong with one."""
    async with serving(store, auditor.scheme.venue) as client:
        reading = asyncio.ensure_future(read_answers(client, auditor, limits))
        try:
            yield
        finally:
            reading.cancel()
            (ended,) = await asyncio.gather(reading, return_exceptions=True)
            if isinstance(ended, Exception):
                raise ended
