"""Real parts put together: the simulator's sockets, the updater, a store, the server; and an auditor."""

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final, Literal

import aiohttp

from depthcast.errors import BadFile
from depthcast.feed import FeedLimits
from depthcast.files import (
    BINANCE,
    FileInfo,
    Scheme,
    Version,
    depth_key,
    parse_key,
    update_id_of,
    version_of,
)
from depthcast.store import Outcome, PutResult, Store, StoredObject, Unchanged
from simulator import truth
from simulator.app import Simulator
from updater.replica import Replica
from updater.settings import UpdaterSettings

REMEMBERED: Final = 256
"""So many ETags of a key are known at a time: a write names one that was seen a moment ago."""


class Auditor:
    """Compares every file with the true book at its id, byte for byte, and sees to it that none goes back.

    ``truth`` is the simulator's, and ``scheme`` its venue's. A file may be shorter than the true book only
    where it says so. Answers of a store arrive in any order, so a write is held against the version of the
    object whose ETag it named.
    """

    def __init__(self, book_at: truth.Truth, scheme: Scheme = BINANCE) -> None:
        self.scheme = scheme
        self._truth = book_at
        self.newest: dict[str, tuple[Version, bytes, FileInfo]] = {}
        """What was written of each key at its greatest version."""
        self.checked: Counter[str] = Counter()
        self.shorter = 0
        self._by_etag: dict[str, OrderedDict[str, Version | None]] = {}
        self._created: set[str] = set()
        self.bodies: dict[tuple[str, int, int], bytes] = {}
        self.keep_limit: int | None = None
        """Bodies of this limit are kept in ``bodies``, by symbol, limit and id."""
        self.answers = 0
        """Answers of a server among those checked."""
        self._waiting: dict[tuple[str, int], tuple[int, asyncio.Event]] = {}

    def note(self, key: str, etag: str, version: Version | None) -> None:
        """An object of this version (``None``: no file of ours) was seen under this ETag."""
        known = self._by_etag.setdefault(key, OrderedDict())
        known[etag] = version
        if len(known) > REMEMBERED:
            known.popitem(last=False)

    def check_written(
        self, key: str, body: bytes, metadata: Mapping[str, str], *, match: str | None, etag: str
    ) -> None:
        """A write was won: it replaced the object whose ETag was ``match``, or there was none."""
        info = FileInfo.from_metadata(key, metadata)
        version = Version(info.epoch, update_id_of(key, body))
        if match is None:
            assert key not in self._created, f"{key} was created twice"
            self._created.add(key)
        else:
            replaced = self._by_etag[key][match]
            newer = replaced is None or version > replaced
            is_mark = version == replaced and self._is_mark(key, version, body, metadata)
            assert newer or is_mark, f"{key} went back from {replaced} to {version}"
        self.note(key, etag, version)
        if key not in self.newest or version >= self.newest[key][0]:
            self.newest[key] = (version, body, info)
        symbol, limit = parse_key(key)
        self.check_body(symbol, limit, body, info)
        if limit == self.keep_limit:
            self.bodies[symbol, limit, version.update_id] = body
        update_id, event = self._waiting.get((symbol, limit), (0, None))
        if event is not None and version.update_id >= update_id:
            event.set()

    def _is_mark(self, key: str, version: Version, body: bytes, metadata: Mapping[str, str]) -> bool:
        """Whether a write of a version that was there may have changed nothing but the status."""
        newest, written, info = self.newest.get(key, (None, b"", None))
        if newest != version or info is None:
            return True  # a newer one was heard of first; the book itself is checked all the same
        return body == written and info.to_metadata() | {"status": ""} == {**metadata, "status": ""}

    async def reached(self, symbol: str, limit: int, update_id: int, bound_s: float = 30.0) -> None:
        """Wait until the file is at ``update_id`` or beyond it."""
        held = self.newest.get(depth_key(symbol, limit, self.scheme))
        if held is None or held[0].update_id < update_id:
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
        if body in candidates or any(_differs_in_times(body, candidate) for candidate in candidates):
            return
        assert any(self._is_shorter(body, candidate, info) for candidate in candidates), (
            f"{symbol} limit {limit} at {update_id} is not the true book: {body[:300]!r}"
        )
        self.shorter += 1

    def is_current(self, key: str, update_id: int) -> bool:
        """Whether a file is of its symbol's present count of ids, and at ``update_id`` or beyond."""
        version, body, info = self.newest.get(key, (Version(0, 0), b"", None))
        if info is None or version.update_id < update_id:
            return False
        symbol, limit = parse_key(key)
        generation = self._truth.generations(symbol)[-1].generation
        try:
            true = self._truth.body(symbol, version.update_id, limit, generation)
        except truth.TruthError:
            return False
        return body == true or self._is_shorter(body, true, info)

    @staticmethod
    def _is_shorter(body: bytes, true_body: bytes, info: FileInfo | None) -> bool:
        file, true = json.loads(body), json.loads(true_body)
        if not _times_agree(file, true):
            return False
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


def _times_agree(file: Mapping[str, Any], true: Mapping[str, Any]) -> bool:
    """Whether a file's times are those of a futures diff, or of a snapshot that shows the same book.

    A snapshot tells when it was put out (``E``), after the diff of the same id; where none ended nothing is
    known but that times are told.
    """
    if "E" not in true:
        return ("E" in file) == ("T" in file)
    transaction_ms, output_ms = file.get("T", 0), file.get("E", 0)
    return bool(transaction_ms == true["T"] and output_ms >= true["E"])


def _differs_in_times(body: bytes, true_body: bytes) -> bool:
    """Whether a file of futures is the true book, fresh from a snapshot."""
    file, true = json.loads(body), json.loads(true_body)
    return "E" in file and _times_agree(file, true) and all(file[n] == true[n] for n in ("bids", "asks"))


class Audited:
    """A store whose every won write is shown to an auditor, and what its writers see beforehand."""

    def __init__(self, store: Store, auditor: Auditor) -> None:
        self._store = store
        self._auditor = auditor
        self.url = store.url
        self.list, self.list_after, self.close = store.list, store.list_after, store.close
        self.outcomes: Counter[Outcome] = Counter()

    async def get(self, key: str) -> StoredObject | None:
        return self._seen(key, await self._store.get(key))

    async def peek(self, key: str, length: int) -> StoredObject | None:
        return self._seen(key, await self._store.peek(key, length))

    async def get_if_changed(self, key: str, etag: str) -> StoredObject | Literal[Unchanged.UNCHANGED] | None:
        found = await self._store.get_if_changed(key, etag)
        return found if isinstance(found, Unchanged) else self._seen(key, found)

    def _seen(self, key: str, found: StoredObject | None) -> StoredObject | None:
        if found is not None and key.startswith(self._auditor.scheme.depth_prefixes):
            try:
                version = version_of(key, found.body, found.metadata)
            except BadFile:
                version = None
            self._auditor.note(key, found.etag, version)
        return found

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
        if key.startswith(self._auditor.scheme.depth_prefixes):
            self.outcomes[result.outcome] += 1
        if result.etag is not None and key.startswith(self._auditor.scheme.depth_prefixes):
            self._auditor.check_written(key, body, metadata or {}, match=match, etag=result.etag)
        return result


@contextlib.asynccontextmanager
async def running_replica(
    store: Store, *argv: str, feed_limits: FeedLimits | None = None
) -> AsyncIterator[Replica]:
    """One replica with settings as on the command line; stopped in order at the end."""

    async def proven(store: Store) -> None:
        """The conformance suite proves stores."""

    settings = UpdaterSettings.load(argv, {})
    replica = Replica(settings, store, prove=proven, feed_limits=feed_limits)
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


async def all_are_current(
    sim: Simulator, auditor: Auditor, limits: Sequence[int], bound_s: float = 30.0
) -> None:
    """Each file comes to where its symbol is now, or further."""
    marks = {symbol: each.journal.update_id for symbol, each in sim.exchange.instruments.items()}
    old = {
        depth_key(symbol, limit, auditor.scheme): mark for symbol, mark in marks.items() for limit in limits
    }
    loop = asyncio.get_running_loop()
    end = loop.time() + bound_s
    while old:
        assert loop.time() < end, f"still not current: {sorted(old)}"
        await asyncio.sleep(0.05)
        old = {key: mark for key, mark in old.items() if not auditor.is_current(key, mark)}


class Totals(Counter[tuple[str, str]]):
    """Counters by name and first label, summed over replicas."""

    def __init__(self, replicas: Sequence[Replica]) -> None:
        super().__init__()
        for replica in replicas:
            for metric in replica.metrics.registry.collect():
                for name, labels, value, *_ in metric.samples:
                    self[name, next(iter(labels.values()), "")] += value  # type: ignore[assignment]

    def of(self, name: str) -> str:
        return ", ".join(f"{label} {value:.0f}" for (n, label), value in sorted(self.items()) if n == name)
