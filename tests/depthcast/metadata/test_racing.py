"""Recorders that race, are killed and lose their store: each change is recorded once, in order.

Virtual time. A script changes the document, each time after its last state was recorded; two recorders poll
it, and what they polled may be offered late. The store is slow, loses writes and answers, applies some long
after they were given up, and is away now and then.
"""

import asyncio
from collections.abc import Mapping
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from depthcast.errors import StoreError, StoreUnavailable
from depthcast.metadata.history import History
from depthcast.metadata.kinds import EXCHANGE_INFO, SYSTEM_STATUS, Kind
from depthcast.metadata.record import Recorded
from depthcast.metadata.recorder import Recorder
from depthcast.store import Outcome, PutResult, StoredObject
from depthcast.store.memory import MemoryStore
from tests import virtual
from tests.depthcast.metadata.documents import compact, listing, symbol
from tests.depthcast.metadata.test_recorder import inline

CHANGES = 250
START_MS = 1_800_000_000_000


def now_ms() -> int:
    return START_MS + round(virtual.clock() * 1000)


class BadDays(MemoryStore):
    """Takes its time, and does to one call in ten what stores do on bad days."""

    def __init__(self, rng: Random, *, content_etags: bool) -> None:
        super().__init__(content_etags=content_etags)
        self.rng = rng
        self.away_until = 0.0
        self.fair = False
        self.tasks: set[asyncio.Task[PutResult]] = set()

    async def peek(self, key: str, length: int) -> StoredObject | None:
        await self._read()
        return await super().peek(key, length)

    async def get(self, key: str) -> StoredObject | None:
        await self._read()
        return await super().get(key)

    async def put_if(self, key: str, body: bytes, **more: Any) -> PutResult:
        fate = "" if self.fair else self.rng.choice(["lost", "late", "unanswered", "throttled", *[""] * 36])
        if fate == "throttled":
            return PutResult(Outcome.THROTTLED)
        if self.away or fate == "lost":
            await asyncio.sleep(0.05)
            return PutResult(Outcome.UNKNOWN)
        # A request that was sent goes on, whatever becomes of who sent it.
        task = asyncio.ensure_future(self._put(3.0 if fate == "late" else 0.0, key, body, more))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        if fate == "late":
            await asyncio.sleep(0.5)
            return PutResult(Outcome.UNKNOWN)
        result = await asyncio.shield(task)
        return PutResult(Outcome.UNKNOWN) if fate == "unanswered" else result

    @property
    def away(self) -> bool:
        return virtual.clock() < self.away_until and not self.fair

    async def _put(self, after_s: float, key: str, body: bytes, more: Mapping[str, Any]) -> PutResult:
        await asyncio.sleep(after_s + self.rng.uniform(0.001, 0.03))
        return await super().put_if(key, body, **more)

    async def _read(self) -> None:
        await asyncio.sleep(self.rng.uniform(0.001, 0.03))
        if self.away or (not self.fair and self.rng.random() < 0.01):
            raise StoreUnavailable("away")


class Script:
    """The documents, one after the other."""

    def __init__(self, kind: Kind, rng: Random) -> None:
        self.kind = kind
        self.rng = rng
        self.states: list[Any] = []
        self.since_ms: list[int] = []
        self.symbols = {f"S{n}USDT": symbol(f"S{n}USDT") for n in range(6)}
        self.move()

    def move(self) -> None:
        if self.kind is SYSTEM_STATUS:
            self.states.append({"status": len(self.states) % 2, "msg": "normal"})
        else:
            rng, name = self.rng, f"S{self.rng.randrange(9)}USDT"
            match rng.randrange(3) if name in self.symbols else 3:
                case 0:
                    held = self.symbols[name]["status"]
                    status = rng.choice([each for each in ("TRADING", "HALT", "BREAK") if each != held])
                    self.symbols[name] = {**self.symbols[name], "status": status}
                case 1:
                    self.symbols[name] = symbol(name, step=f"{rng.randrange(10**9)}")
                case 2 if len(self.symbols) > 1:
                    del self.symbols[name]
                case _:
                    self.symbols[name] = symbol(name, step=f"{rng.randrange(10**9)}")
            self.states.append(list(self.symbols.values()))
        self.since_ms.append(now_ms())

    def body(self) -> bytes:
        state = self.states[-1]
        return compact(state) if self.kind is SYSTEM_STATUS else listing(now_ms(), *state)


async def poll(store: BadDays, script: Script, name: str, rng: Random) -> None:
    """One replica's life."""
    recorder = Recorder(store, script.kind, replica=name, wall_ms=now_ms, aside=inline)
    while True:
        await asyncio.sleep(rng.uniform(0.2, 0.8))
        body, polled_ms = script.body(), now_ms()
        if rng.random() < 0.1:
            await asyncio.sleep(rng.uniform(0, 4))
        for _ in range(3):
            try:
                await recorder.offer(body, polled_ms)
                break
            except StoreError:
                await asyncio.sleep(0.2)
        recorder.check()


async def live(seed: int, kind: Kind, *, content_etags: bool) -> tuple[BadDays, Script]:
    rng = Random(seed)
    store = BadDays(rng, content_etags=content_etags)
    script = Script(kind, rng)
    names = ("a", "b")
    replicas = {name: asyncio.ensure_future(poll(store, script, name, rng)) for name in names}

    async def disturb() -> None:
        while True:
            await asyncio.sleep(rng.uniform(1, 6))
            if rng.random() < 0.3:
                store.away_until = virtual.clock() + rng.uniform(0.5, 3)
            name = rng.choice(names)
            replicas[name].cancel()
            await asyncio.sleep(rng.uniform(0, 1))
            replicas[name] = asyncio.ensure_future(poll(store, script, name, rng))

    disturbing = asyncio.ensure_future(disturb())
    for _ in range(CHANGES):
        await until_recorded(store, script)
        await asyncio.sleep(rng.choice([0, 0, 0.3, 2]))
        script.move()
    await until_recorded(store, script)
    for task in (disturbing, *replicas.values()):
        task.cancel()
    await asyncio.gather(disturbing, *replicas.values(), return_exceptions=True)
    store.fair = True
    # Whatever was given up arrives, and then somebody offers once more.
    await asyncio.gather(*store.tasks)
    last = Recorder(store, kind, replica="c", wall_ms=now_ms, aside=inline)
    await last.offer(script.body(), now_ms())
    return store, script


async def until_recorded(store: BadDays, script: Script) -> None:
    """Until the head is the newest state, or for too long."""
    for _ in range(10_000):
        head = await MemoryStore.get(store, script.kind.head_key)
        if head and state_of(script.kind, Recorded.parse("", head.body).document) == script.states[-1]:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"change {len(script.states)} is not recorded")


def state_of(kind: Kind, document: bytes) -> Any:
    members = kind.parse(document)
    return members if kind is SYSTEM_STATUS else members["symbols"]


@pytest.mark.parametrize("content_etags", [False, True], ids=["etag a write", "etag a body"])
@pytest.mark.parametrize("kind", [EXCHANGE_INFO, SYSTEM_STATUS], ids=lambda kind: kind.name)
def test_each_change_is_recorded_once_and_in_order(kind: Kind, content_etags: bool) -> None:
    async def scenario() -> None:
        store, script = await live(11, kind, content_etags=content_etags)
        held = {entry.key: await MemoryStore.get(store, entry.key) async for entry in store.list("")}
        changes = [
            (key, Recorded.parse(key, each.body)) for key, each in held.items() if each and "/changes/" in key
        ][::-1]
        records = [recorded.record for _, recorded in changes]
        assert [record.sequence for record in records] == list(range(1, CHANGES + 2))
        assert [state_of(kind, recorded.document) for _, recorded in changes] == script.states
        assert all(one.observed_ms < two.observed_ms for one, two in pairwise(records))
        assert all(one.sha256 == two.previous for one, two in pairwise(records))
        head, current = held[kind.head_key], held[kind.key]
        assert head is not None
        assert current is not None
        assert head.body == held[changes[-1][0]].body  # type: ignore[union-attr]
        assert current.body == changes[-1][1].document
        parts = {
            (name, record.name) for record in records for name in record.symbols if len(record.symbols) <= 32
        }
        prefix = f"{kind.history_folder}symbols/"
        assert {tuple(key[len(prefix) :].split("/")) for key in held if key.startswith(prefix)} == parts

        # What was in force at any time, against the script: from when it was seen until it was over.
        rng, history, compared = Random(3), History(store, kind, aside=inline), 0
        ends = [*script.since_ms[1:], now_ms()]
        for _ in range(1000):
            time_ms = rng.randrange(records[0].observed_ms, ends[-1])
            at = next(n for n, end in enumerate(ends) if time_ms < end)
            if time_ms >= records[at].observed_ms:
                found = await history.at(time_ms)
                assert found is not None
                assert state_of(kind, found.document) == script.states[at]
                compared += 1
        assert compared > 500

    virtual.run(scenario())
