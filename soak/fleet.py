"""Updaters as processes (``python -m updater``), each behind proxies of its own to the store and the feed.

They end with this process, whatever ends it: the kernel sees to that (:mod:`depthcast.cli.up.tether`).
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import aiohttp

from depthcast.cli.up.tether import tether
from soak.counters import Counters, Name, cpu_s, parse
from soak.proxy import HOST, Mode, Proxy

MARKS: Final = {
    "file_puts": b"PUT /%(bucket)s/api/",
    "heartbeat_puts": b"PUT /%(bucket)s/fleet/",
    "gets": b"GET /%(bucket)s/",
    "refused": b"HTTP/1.1 412",
}
"""What the proxy before the store counts: requests of a replica, and refusals of its conditions."""

READY_WITHIN_S: Final = 90.0
STOP_WITHIN_S: Final = 12.0
SCRAPE_TIMEOUT_S: Final = 1.5


class Replica:
    """One updater: its process as often as it is started, and its proxies."""

    def __init__(
        self, name: str, store: Proxy, feed: Proxy, argv: Sequence[str], env: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self.store = store
        self.feed = feed
        self.starts = 0
        self.listen = f"{HOST}:{_free_port()}"
        self._argv = [*argv, "--replica", name, "--listen", self.listen]
        self._env = dict(env)
        self._log = log
        self._child: subprocess.Popen[bytes] | None = None
        self._expected = False
        self._frozen = False

    @property
    def pid(self) -> int | None:
        return None if self._child is None or self._child.poll() is not None else self._child.pid

    @property
    def ended_by_itself(self) -> bool:
        """Whether it is gone and nobody here did it."""
        return self._expected and self.pid is None

    def start(self) -> None:
        """Start the process; does not wait."""
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "updater", *self._argv],
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the soak, which ends what it started
                preexec_fn=tether(),
            )
        self.starts += 1
        self._expected = True

    def kill(self) -> None:
        """kill -9."""
        self._expected = False
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def freeze(self) -> None:
        """SIGSTOP."""
        self._signal(signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)
        self._frozen = False

    async def stop(self, within_s: float = STOP_WITHIN_S) -> bool:
        """SIGTERM, and SIGKILL where that does not do; returns whether it stopped by itself with status 0."""
        self._expected = False
        child = self._child
        if child is None or child.poll() is not None:
            return False
        child.terminate()
        try:
            return await asyncio.to_thread(child.wait, within_s) == 0
        except subprocess.TimeoutExpired:
            self.kill()
            return False

    async def scrape(self, session: aiohttp.ClientSession) -> dict[Name, float] | None:
        """Its counters; ``None`` where it does not answer."""
        if self.pid is None or self._frozen:
            return None
        text = await _get(session, f"http://{self.listen}/metrics")
        return None if text is None else parse(text)

    async def status(self, session: aiohttp.ClientSession) -> dict[str, Any] | None:
        """What it says of itself; ``None`` where it does not answer."""
        with suppress(aiohttp.ClientError, TimeoutError, OSError, ValueError):
            async with session.get(f"http://{self.listen}/status") as answer:
                found: dict[str, Any] = await answer.json()
                return found
        return None

    async def ready(self, session: aiohttp.ClientSession) -> bool:
        return await _get(session, f"http://{self.listen}/readyz") is not None

    async def close(self) -> None:
        """End all of it at once."""
        self.kill()
        await self.store.close()
        await self.feed.close()

    def _signal(self, number: signal.Signals) -> None:
        if self.pid is not None:
            os.kill(self.pid, number)


class Fleet:
    """All replicas. ``argv``: arguments of every updater; ``env``: where the store is and who may write.

    ``store_port`` and ``feed_port`` are the real ones; the feed's path stays the same.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        argv: Sequence[str],
        env: Mapping[str, str],
        bucket: str,
        store_port: int,
        feed_port: int,
        logs: Path,
    ) -> None:
        self._names = tuple(names)
        self._argv = tuple(argv)
        self._env = dict(env)
        self._marks = {name: mark % {b"bucket": bucket.encode()} for name, mark in MARKS.items()}
        self._store_port = store_port
        self._feed_port = feed_port
        self._logs = logs
        self.replicas: dict[str, Replica] = {}
        self.counters = Counters()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Fleet":
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SCRAPE_TIMEOUT_S))
        self._logs.mkdir(parents=True, exist_ok=True)
        for name in self._names:
            store, feed = Proxy(self._store_port, marks=self._marks), Proxy(self._feed_port)
            await store.start()
            await feed.start()
            env = _clean(os.environ) | self._env | {"AWS_ENDPOINT_URL": f"http://{HOST}:{store.port}"}
            argv = [*self._argv, "--ws-url", f"ws://{HOST}:{feed.port}"]
            log = self._logs / f"{name}.log"
            log.unlink(missing_ok=True)
            self.replicas[name] = Replica(name, store, feed, argv, env, log)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(replica.close() for replica in self.replicas.values()))
        if self._session is not None:
            await self._session.close()

    async def start(self, names: Sequence[str]) -> None:
        """Start these, and wait until each says that it is ready. Raises ``RuntimeError``."""
        for name in names:
            self.replicas[name].start()
        loop = asyncio.get_running_loop()
        end = loop.time() + READY_WITHIN_S
        for name in names:
            while not await self.is_ready(name):
                if self.replicas[name].ended_by_itself or loop.time() > end:
                    raise RuntimeError(
                        f"updater {name} did not become ready: {last_line(self._logs / f'{name}.log')}"
                    )
                await asyncio.sleep(0.2)

    async def is_ready(self, name: str) -> bool:
        assert self._session is not None
        return await self.replicas[name].ready(self._session)

    async def scrape(self) -> None:
        """Read the counters of all who answer."""
        assert self._session is not None
        for name, replica in self.replicas.items():
            found = await replica.scrape(self._session)
            if found is not None:
                self.counters.saw(name, replica.starts, found)

    async def write_p99_ms(self) -> float | None:
        """The slowest replica's p99 of won writes over the last minute; ``None`` where none has written."""
        assert self._session is not None
        found = [await replica.status(self._session) for replica in self.replicas.values() if replica.pid]
        known = [status["writes"]["p99_ms"] for status in found if status is not None]
        return max((p99 for p99 in known if p99 is not None), default=None)

    def wire(self, mark: str) -> int:
        """How often one of :data:`MARKS` passed the proxies before the store, restarts and all."""
        return sum(replica.store.counts[mark] for replica in self.replicas.values())

    def cpu_s(self) -> dict[str, float]:
        """Processor time by replica, of those that run."""
        return {name: cpu_s(each.pid) for name, each in self.replicas.items() if each.pid is not None}

    def ended_by_themselves(self) -> list[str]:
        """Replicas that are gone and should not be, with the last line of their log."""
        return [
            f"{name}: {last_line(self._logs / f'{name}.log')}"
            for name, replica in self.replicas.items()
            if replica.ended_by_itself
        ]

    def release(self) -> None:
        """Undo every disturbance that may be under way."""
        for replica in self.replicas.values():
            replica.store.set_mode(Mode.OPEN)
            replica.feed.set_mode(Mode.OPEN)
            replica.thaw()


async def _get(session: aiohttp.ClientSession, url: str) -> str | None:
    with suppress(aiohttp.ClientError, TimeoutError, OSError):
        async with session.get(url) as answer:
            text = await answer.text()
            return text if answer.status == 200 else None
    return None


def last_line(log: Path) -> str:
    """The last line of a log that says something, without the frame of a traceback; empty for none."""
    try:
        lines = log.read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    said = (line.strip(" |+-") for line in reversed(lines))
    return next(filter(None, said), "")[:400]


def _clean(env: Mapping[str, str]) -> dict[str, str]:
    """Without settings of the surroundings: a run is what its command line says."""
    return {name: value for name, value in env.items() if not name.startswith(("DEPTHCAST_", "AWS_"))}


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
