"""Every file that is written, held against the exchange's own book, whichever venue it is of."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from depthcast.errors import BadFile
from depthcast.files import FileInfo, Version, check_file, depth_key, parse_key, version_of
from depthcast.store import Outcome, PutResult, Store, StoredObject, Unchanged
from tests.system.oracles import Oracle, Simulated, Verdict, oracle_of

REMEMBERED: Final = 256
"""So many ETags of a key are known at a time: a write names one that was seen a moment ago."""


class Auditor:
    """Compares every file with the true book at its id, byte for byte, and sees to it that none goes back.

    A file may be shorter than the true book only where it says so. Answers of a store arrive in any order, so
    a write is held against the version of the object whose ETag it named. What is wrong is raised to the
    writer, and kept in ``wrong``.
    """

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        self.scheme = oracle.scheme
        self.newest: dict[str, tuple[Version, bytes, FileInfo]] = {}
        """What was written of each key at its greatest version."""
        self.writers: dict[str, str] = {}
        """The replica that wrote a symbol's newest file."""
        self.checked: Counter[str] = Counter()
        self.shorter = 0
        self.borne: set[str] = set()
        """Symbols whose files may be wrong for now, since nothing tells their readers of a loss."""
        self.untrue: Counter[str] = Counter()
        """How many of the files of each of them were."""
        self.wrong: list[str] = []
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
        version, info = check_file(key, body, metadata)
        if match is None:
            self._hold(key not in self._created, f"{key} was created twice")
            self._created.add(key)
        else:
            replaced = self._by_etag[key][match]
            newer = replaced is None or version > replaced
            is_mark = version == replaced and self._is_mark(key, version, body, metadata)
            self._hold(newer or is_mark, f"{key} went back from {replaced} to {version}")
        self.note(key, etag, version)
        symbol, limit = parse_key(key)
        if key not in self.newest or version >= self.newest[key][0]:
            self.newest[key] = (version, body, info)
            self.writers[symbol] = info.replica
        self.check_body(symbol, limit, version.update_id, body, info)
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

    def check_body(
        self, symbol: str, limit: int, update_id: int, body: bytes, info: FileInfo | None = None
    ) -> None:
        """A file or an answer must be the true book at its id, in whichever count of ids has that id."""
        verdict = self.oracle.judge(symbol, limit, update_id, body, info)
        self.checked[symbol] += 1
        self.shorter += verdict is Verdict.SHORTER
        if verdict is Verdict.UNTRUE and (symbol in self.borne or (info is None and self.untrue[symbol])):
            # An answer may be a file that was borne a while ago.
            self.untrue[symbol] += 1
            return
        shown = f"{symbol} limit {limit} at {update_id} is not the true book: {body[:300]!r}"
        self._hold(verdict is not Verdict.UNTRUE, shown)

    def is_current(self, key: str, update_id: int) -> bool:
        """Whether a file is of its symbol's present count of ids, and at ``update_id`` or beyond."""
        version, body, info = self.newest.get(key, (Version(0, 0), b"", None))
        if info is None or version.update_id < update_id:
            return False
        symbol, limit = parse_key(key)
        return self.oracle.is_present(symbol, limit, version.update_id, body, info)

    def _hold(self, true: bool, text: str) -> None:
        if not true:
            self.wrong.append(text)
            raise AssertionError(text)


def auditor_of(sim: Simulated) -> Auditor:
    """The auditor of a simulated exchange."""
    return Auditor(oracle_of(sim))


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


async def all_are_current(
    auditor: Auditor, limits: Sequence[int], bound_s: float = 60.0, *, symbols: Iterable[str] | None = None
) -> None:
    """Each file comes to where its symbol is now, or further; ``symbols``: of those alone."""
    oracle = auditor.oracle
    marks = {symbol: oracle.now(symbol) for symbol in (oracle.symbols if symbols is None else symbols)}
    old = {
        depth_key(symbol, limit, auditor.scheme): mark for symbol, mark in marks.items() for limit in limits
    }
    loop = asyncio.get_running_loop()
    end = loop.time() + bound_s
    while old:
        assert not auditor.wrong, auditor.wrong
        assert loop.time() < end, f"still not current: {sorted(old)}"
        await asyncio.sleep(0.05)
        old = {key: mark for key, mark in old.items() if not auditor.is_current(key, mark)}
