"""Real parts put together: the simulator's sockets, the updater, a store, the server; and an auditor."""

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping

import aiohttp

from depthcast.files import FileInfo, Version, depth_key, parse_key, update_id_of
from depthcast.store import Outcome, PutResult, Store
from simulator import truth
from updater.replica import Replica
from updater.settings import UpdaterSettings


class Auditor:
    """Compares every file with the true book at its id, byte for byte, and sees to it that none goes back.

    ``truth`` is the simulator's. A file may be shorter than the true book only where it says so.
    """

    def __init__(self, book_at: truth.Truth) -> None:
        self._truth = book_at
        self.versions: dict[str, Version] = {}
        self.checked: Counter[str] = Counter()
        self.shorter = 0
        self.bodies: dict[tuple[str, int, int], bytes] = {}
        self.keep_limit: int | None = None
        """Bodies of this limit are kept in ``bodies``, by symbol, limit and id."""
        self.answers = 0
        """Answers of a server among those checked."""
        self._waiting: dict[tuple[str, int], tuple[int, asyncio.Event]] = {}

    def check_written(self, key: str, body: bytes, metadata: Mapping[str, str]) -> None:
        """A write was won."""
        info = FileInfo.from_metadata(key, metadata)
        version = Version(info.epoch, update_id_of(key, body))
        assert version > self.versions.get(key, Version(-1, -1)), f"{key} went back to {version}"
        self.versions[key] = version
        symbol, limit = parse_key(key)
        self.check_body(symbol, limit, body, info)
        if limit == self.keep_limit:
            self.bodies[symbol, limit, version.update_id] = body
        update_id, event = self._waiting.get((symbol, limit), (0, None))
        if event is not None and version.update_id >= update_id:
            event.set()

    async def reached(self, symbol: str, limit: int, update_id: int, bound_s: float = 30.0) -> None:
        """Wait until the file is at ``update_id`` or beyond it."""
        held = self.versions.get(depth_key(symbol, limit))
        if held is None or held.update_id < update_id:
            event = asyncio.Event()
            self._waiting[symbol, limit] = (update_id, event)
            async with asyncio.timeout(bound_s):
                await event.wait()

    def check_body(self, symbol: str, limit: int, body: bytes, info: FileInfo | None = None) -> None:
        """A file or an answer must be the true book at its id, in whichever count of ids has that id."""
        update_id = update_id_of(symbol, body)
        candidates = self._truth.bodies(symbol, update_id, limit)
        assert candidates, f"{symbol} never was at {update_id}"
        self.checked[symbol] += 1
        if body in candidates:
            return
        assert any(self._is_shorter(body, candidate, info) for candidate in candidates), (
            f"{symbol} limit {limit} at {update_id} is not the true book: {body[:300]!r}"
        )
        self.shorter += 1

    @staticmethod
    def _is_shorter(body: bytes, true_body: bytes, info: FileInfo | None) -> bool:
        file, true = json.loads(body), json.loads(true_body)
        for side in ("bids", "asks"):
            shown = len(file[side])
            if file[side] != true[side][:shown]:
                return False
            if shown < len(true[side]) and info is not None:
                certain = info.bids if side == "bids" else info.asks
                complete = info.bids_complete if side == "bids" else info.asks_complete
                if complete or certain != shown:
                    return False
        return True


class Audited:
    """A store whose every won write is shown to an auditor."""

    def __init__(self, store: Store, auditor: Auditor) -> None:
        self._store = store
        self._auditor = auditor
        self.url = store.url
        self.get, self.peek, self.list, self.close = store.get, store.peek, store.list, store.close
        self.get_if_changed = store.get_if_changed
        self.outcomes: Counter[Outcome] = Counter()

    async def put_if(
        self,
        key: str,
        body: bytes,
        *,
        match: str | None,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "application/octet-stream",
        cache_control: str | None = None,
    ) -> PutResult:
        result = await self._store.put_if(
            key, body, match=match, metadata=metadata, content_type=content_type, cache_control=cache_control
        )
        self.outcomes[result.outcome] += 1
        if result.outcome is Outcome.WON:
            self._auditor.check_written(key, body, metadata or {})
        return result


@contextlib.asynccontextmanager
async def running_replica(store: Store, *argv: str) -> AsyncIterator[Replica]:
    """One replica with settings as on the command line; stopped in order at the end."""

    async def proven(store: Store) -> None:
        """The conformance suite proves stores."""

    settings = UpdaterSettings.load(argv, {})
    replica = Replica(settings, store, prove=proven)
    running = asyncio.ensure_future(replica.run())
    try:
        yield replica
        assert not running.done(), running.exception()
    finally:
        replica.stop()
        await running


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


async def until(condition: Callable[[], object], bound_s: float = 30.0, step_s: float = 0.005) -> None:
    """Wait for ``condition``; fails after ``bound_s``."""
    end = asyncio.get_running_loop().time() + bound_s
    while not condition():
        assert asyncio.get_running_loop().time() < end, "it never came true"
        await asyncio.sleep(step_s)
