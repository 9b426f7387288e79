"""Who takes part in a start: simulated exchanges and replicas as processes, and what passes between them.

A :class:`Relay` stands before the exchange's REST interface and counts, minute by minute, what the exchange
itself says was used, and what each replica's requests weigh; so nothing rests on the replicas' own word.
"""

import asyncio
import json
import re
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple, Self

import aiohttp
from aiohttp import web
from yarl import URL

from simulator.rest import depth_weight

EXCHANGE_INFO_WEIGHT: Final = 20
"""What the list of symbols weighs; each replica asks for it once at its start."""

_READY: Final = re.compile(r"simulator ready: rest=(\S+) ws=(\S+) ")
_STATUS: Final = re.compile(r"http://\S+/status")
_PASSED_ON: Final = ("Content-Type", "Retry-After", "X-MBX-USED-WEIGHT-1M")
_STOP_WITHIN_S: Final = 10.0


class Exchange(NamedTuple):
    """The urls of a simulator that runs."""

    rest_url: str
    ws_url: str


@asynccontextmanager
async def simulator(*arguments: str) -> AsyncIterator[Exchange]:
    """A simulator as a child."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulator", "--listen=127.0.0.1:0", *arguments, stdout=PIPE
    )
    assert child.stdout is not None
    try:
        line = (await child.stdout.readline()).decode()
        ready = _READY.match(line)
        if ready is None:
            raise RuntimeError(f"the simulator did not start: {line.strip()!r}")
        yield Exchange(ready[1], ready[2])
    finally:
        await _stop(child)


class Relay:
    """Passes requests on to an exchange's REST interface and counts them. A context manager."""

    def __init__(self, rest_url: str) -> None:
        self._rest_url = rest_url
        self.url = ""
        self.weight = 0
        """Of the requests that came through here."""
        self.snapshots = 0
        self.statuses: Counter[int] = Counter()
        self.used: dict[int, int] = {}
        """By minute since 1970: the most that the exchange said its address had used."""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        app = web.Application()
        app.router.add_get("/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _pass_on(self, request: web.Request) -> web.Response:
        asked_in = time.time_ns() // 60_000_000_000
        async with self._session.get(URL(self._rest_url + request.raw_path, encoded=True)) as answer:
            body = await answer.read()
        depth = request.path.endswith("/depth")
        self.snapshots += depth
        self.weight += depth_weight(request.query) if depth else EXCHANGE_INFO_WEIGHT
        self.statuses[answer.status] += 1
        used = int(answer.headers.get("X-MBX-USED-WEIGHT-1M", 0))
        self.used[asked_in] = max(used, self.used.get(asked_in, 0))
        headers = {name: answer.headers[name] for name in _PASSED_ON if name in answer.headers}
        return web.Response(status=answer.status, body=body, headers=headers)


class Replica:
    """An updater as a child: its log, line by line, and its status."""

    def __init__(self, child: Process, started_at: float) -> None:
        self._child = child
        self.started_at = started_at
        self.log: list[tuple[float, dict[str, Any]]] = []
        """``(seconds since the start, line)``"""
        self._status_url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.ensure_future(self._read())

    @classmethod
    async def start(
        cls, name: str, exchange: Exchange, *arguments: str, rest_url: str, environment: Mapping[str, str]
    ) -> Self:
        """Start one with all the exchange's symbols, asking at ``rest_url``."""
        started_at = time.monotonic()
        command: Sequence[str] = (
            "updater",
            f"--replica={name}",
            f"--rest-url={rest_url}",
            f"--ws-url={exchange.ws_url}",
            "--symbols=all",
            "--listen=127.0.0.1:0",
            "--log-format=json",
            *arguments,
        )
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *command, stderr=PIPE, env=dict(environment)
        )
        return cls(child, started_at)

    async def stop(self) -> None:
        """End it as a service manager does."""
        await _stop(self._child)
        await self._reading

    async def status(self, session: aiohttp.ClientSession) -> dict[str, Any]:
        """Its ``/status``. Raises ``RuntimeError`` where it runs no more."""
        url = await self._status_url
        if self._child.returncode is not None:
            raise RuntimeError(f"a replica ended: {self._last_words()}")
        async with session.get(url) as answer:
            status: dict[str, Any] = await answer.json()
            return status

    def said(self, event: str) -> list[tuple[float, dict[str, Any]]]:
        """The log's lines of an event."""
        return [(at, line) for at, line in self.log if line.get("event") == event]

    async def _read(self) -> None:
        assert self._child.stderr is not None
        async for text in self._child.stderr:
            try:
                line = json.loads(text)
            except json.JSONDecodeError:
                line = {"event": text.decode(errors="replace").rstrip()}
            self.log.append((time.monotonic() - self.started_at, line))
            found = _STATUS.search(str(line.get("status", "")))
            if found and not self._status_url.done():
                self._status_url.set_result(found[0])
        if not self._status_url.done():
            self._status_url.set_exception(RuntimeError(f"a replica did not start: {self._last_words()}"))

    def _last_words(self) -> str:
        return " / ".join(str(line.get("event")) for _, line in self.log[-3:])


async def _stop(child: Process) -> None:
    if child.returncode is None:
        child.terminate()
        try:
            await asyncio.wait_for(child.wait(), _STOP_WITHIN_S)
        except TimeoutError:
            child.kill()
            await child.wait()
