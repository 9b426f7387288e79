"""Several replicas on one store: one writes, others are there when it is not, and each holds its share."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from depthcast.files import DEPTH_PREFIX, Version, heartbeat_key
from depthcast.fleet import ranked
from depthcast.heartbeat import Heartbeat, State
from depthcast.store import Outcome, PutResult
from depthcast.store.memory import MemoryStore
from tests.updater.test_replica import is_stored, replica_on, until
from updater.replica import Replica

HANDED_OVER_S: Final = 40.0
"""Less than replicas are given here to hand over: one that did not would stop later."""

MANY = tuple(f"S{number}USDT" for number in range(16))


class Counted:
    """One replica's way to a store: what it writes of files is counted, and can be cut."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.url = store.url
        self.outcomes: Counter[Outcome] = Counter()
        self.cut = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def put_if(self, key: str, body: bytes, **given: Any) -> PutResult:
        if self.cut:
            return PutResult(Outcome.UNKNOWN, reason="cut")
        result = await self._store.put_if(key, body, **given)
        if key.startswith(DEPTH_PREFIX):
            self.outcomes[result.outcome] += 1
        return result


class Fleet:
    """Replicas started one by one."""

    def __init__(self, exchange: Any, stack: AsyncExitStack, **given: Any) -> None:
        self.exchange = exchange
        self.store = MemoryStore()
        self.ways: dict[str, Counted] = {}
        self.replicas: dict[str, Replica] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._stack = stack
        self.races = given.get("takeover_after_ms") == 0
        self._given = {"symbols": ("all",), "takeover_after_ms": 300, "same_levels_ms": 200} | given

    async def start(self, name: str) -> Replica:
        way = self.ways[name] = Counted(self.store)
        replica = self.replicas[name] = replica_on(self.exchange, way, replica=name, **self._given)
        task = self.tasks[name] = asyncio.ensure_future(replica.run())
        self._stack.push_async_callback(self._end, replica, task)
        return replica

    async def _end(self, replica: Replica, task: asyncio.Task[None]) -> None:
        if not task.done():
            replica.stop()
            await asyncio.wait({task}, timeout=90)
        if not task.cancelled():
            assert task.done()
            task.result()

    async def crash(self, name: str) -> None:
        """As kill -9 does it: nothing is said and nothing is finished."""
        self.ways[name].cut = True
        self.tasks[name].cancel()
        await asyncio.gather(self.tasks[name], return_exceptions=True)

    def held(self) -> dict[str, list[str]]:
        """Who holds each symbol."""
        found: dict[str, list[str]] = {symbol: [] for symbol in self.exchange.ids}
        for name, replica in self.replicas.items():
            if not self.tasks[name].done():
                for each in replica.report.status()["symbols"]:
                    found.setdefault(each["symbol"], []).append(name)
        return found

    def roles(self, symbol: str) -> dict[str, str]:
        return {
            name: each["role"]
            for name, replica in self.replicas.items()
            if not self.tasks[name].done()
            for each in replica.report.status()["symbols"]
            if each["symbol"] == symbol
        }

    def know(self, *names: str) -> bool:
        return all(self.replicas[name].report.status()["fleet"]["living"] == sorted(names) for name in names)

    def settled(self) -> bool:
        """Whether each symbol has one writer, the first in rank."""
        return all(
            sorted(roles.values(), reverse=True)[:2] in (["writer", "standby"], ["writer"])
            for roles in map(self.roles, self.exchange.ids)
        )

    async def heartbeat(self, name: str) -> Heartbeat:
        found = await self.store.get(heartbeat_key(name))
        assert found is not None
        return Heartbeat.from_body(name, found.body)

    async def all_current(self) -> bool:
        return all([await is_stored(self.store, Version(0, n), s) for s, n in self.exchange.ids.items()])


@asynccontextmanager
async def fleet_of(exchange: Any, *names: str, **given: Any) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        fleet = Fleet(exchange, stack, **given)
        for name in names:
            await fleet.start(name)
        await until(lambda: all(each.report.ready for each in fleet.replicas.values()))
        await until(lambda: fleet.know(*names))
        await until(lambda: fleet.settled() or fleet.races)
        yield fleet


async def tick_all(exchange: Any, times: int = 1, gap_s: float = 0.02) -> None:
    for _ in range(times):
        for symbol in exchange.ids:
            await exchange.tick(symbol)
        await asyncio.sleep(gap_s)


async def test_a_heartbeat_tells_when_a_book_was_last_the_exchange_s(exchange: Any) -> None:
    async with fleet_of(exchange, "a") as fleet:
        await tick_all(exchange, 3)

        async def says(heard: bool) -> bool:
            parts = (await fleet.heartbeat("a")).symbols
            known = all((each.heard_age_ms is not None) is heard and each.live for each in parts.values())
            return known and {symbol: each.id for symbol, each in parts.items()} == exchange.ids

        await until(lambda: says(True))
        # The book stays, and it stays "live" until a diff is missed; but nobody knows any more.
        await exchange.close()
        await until(lambda: says(False))


async def test_one_of_three_writes_and_hardly_a_write_is_lost(exchange: Any) -> None:
    # Longer than the process may be kept from running.
    async with fleet_of(exchange, "a", "b", "c", takeover_after_ms=1500) as fleet:
        before = sum((way.outcomes for way in fleet.ways.values()), Counter[Outcome]())
        await tick_all(exchange, 100)
        await until(fleet.all_current)
        outcomes = sum((way.outcomes for way in fleet.ways.values()), Counter[Outcome]()) - before
        assert outcomes[Outcome.WON] > 100
        assert outcomes[Outcome.LOST] <= outcomes.total() / 100
        for symbol in exchange.ids:
            assert fleet.roles(symbol)[ranked(symbol, "abc")[0]] == "writer"


async def test_when_the_writer_crashes_the_next_one_takes_over_before_it_is_known(exchange: Any) -> None:
    async with fleet_of(exchange, "a", "b", "c") as fleet:
        first, *others = ranked("ETHUSDT", "abc")
        await tick_all(exchange, 5)
        await until(fleet.all_current)
        await fleet.crash(first)
        await exchange.tick("ETHUSDT")

        def takeovers() -> int:
            return sum(fleet.replicas[name].report.status()["fleet"]["takeovers"] for name in others)

        await until(lambda: is_stored(fleet.store, Version(0, exchange.ids["ETHUSDT"])))
        assert {"acting", "writer"} & set(fleet.roles("ETHUSDT").values())
        assert takeovers()
        # Who took over goes on from here, and does not do so for each write.
        for _ in range(3):
            await exchange.tick("ETHUSDT")
            await until(lambda: is_stored(fleet.store, Version(0, exchange.ids["ETHUSDT"])))
        assert takeovers() <= len(others)
        await until(lambda: fleet.know(*others))
        await until(lambda: fleet.roles("ETHUSDT")[others[0]] == "writer")


async def test_one_that_comes_back_writes_again_and_the_other_stands_by(exchange: Any) -> None:
    async with fleet_of(exchange, "a", "b") as fleet:
        first, second = ranked("ETHUSDT", "ab")
        await fleet.crash(first)
        await exchange.tick("ETHUSDT")
        await until(lambda: fleet.roles("ETHUSDT") == {second: "writer"})
        await fleet.start(first)

        async def back() -> bool:
            await exchange.tick("ETHUSDT")
            return fleet.roles("ETHUSDT") == {first: "writer", second: "standby"}

        await until(back)
        (source,) = (
            each["source"]
            for each in fleet.replicas[first].report.status()["symbols"]
            if each["symbol"] == "ETHUSDT"
        )
        assert source == "file"


async def test_a_replica_that_stops_goes_on_until_others_write(exchange: Any) -> None:
    async with fleet_of(exchange, "a", "b", leave_within_s=60.0) as fleet:
        first, second = ranked("ETHUSDT", "ab")
        ticking = asyncio.ensure_future(tick_all(exchange, 10_000))
        fleet.replicas[first].stop()
        await until(fleet.tasks[first].done, HANDED_OVER_S)
        ticking.cancel()
        assert (await fleet.heartbeat(first)).state is State.GONE
        assert fleet.roles("ETHUSDT") == {second: "writer"}
        await until(fleet.all_current)
        await until(lambda: fleet.know(second))


async def test_quiet_symbols_are_handed_over_too(exchange: Any) -> None:
    async with fleet_of(exchange, "a", "b", leave_within_s=60.0) as fleet:
        await until(
            lambda: all(sorted(fleet.roles(s).values()) == ["standby", "writer"] for s in exchange.ids)
        )
        first, _ = ranked("ETHUSDT", "ab")
        fleet.replicas[first].stop()
        await until(fleet.tasks[first].done, HANDED_OVER_S)


async def test_the_last_replica_stops_at_once(exchange: Any) -> None:
    async with fleet_of(exchange, "a", leave_within_s=60.0) as fleet:
        fleet.replicas["a"].stop()
        await until(fleet.tasks["a"].done, HANDED_OVER_S)
        assert (await fleet.heartbeat("a")).state is State.GONE


def spread(held: Mapping[str, list[str]], redundancy: int, names: str) -> bool:
    return all(sorted(found) == sorted(ranked(s, names)[:redundancy]) for s, found in held.items())


async def test_each_symbol_is_held_by_as_many_as_wanted_and_moves_only_where_it_must(exchange: Any) -> None:
    exchange.ids = dict.fromkeys(MANY, 100)
    async with fleet_of(exchange, "a", "b", "c", redundancy=2, leave_within_s=60.0) as fleet:
        ticking = asyncio.ensure_future(tick_all(exchange, 10_000))
        await until(lambda: spread(fleet.held(), 2, "abc"))
        before = {symbol: set(names) for symbol, names in fleet.held().items()}
        asked = exchange.asked["depth"]
        await fleet.start("d")
        await until(lambda: spread(fleet.held(), 2, "abcd"))
        for symbol, names in fleet.held().items():
            assert set(names) - before[symbol] <= {"d"}
        assert exchange.asked["depth"] == asked, "books that move start from files"
        fleet.replicas["b"].stop()
        await until(fleet.tasks["b"].done, HANDED_OVER_S)
        await until(lambda: spread(fleet.held(), 2, "acd"))
        ticking.cancel()
        await until(fleet.all_current)


async def test_only_the_first_in_rank_asks_the_exchange_for_a_book_nobody_has(exchange: Any) -> None:
    exchange.ids = dict.fromkeys(MANY, 100)
    ticking = asyncio.ensure_future(tick_all(exchange, 10_000))
    async with fleet_of(exchange, "a", "b", "c", redundancy=3) as fleet:
        ticking.cancel()
        sources = Counter(
            each["source"]
            for replica in fleet.replicas.values()
            for each in replica.report.status()["symbols"]
        )
        assert sources["file"] >= len(MANY)
        assert exchange.asked["depth"] <= 2 * len(MANY)


async def test_with_no_patience_at_all_everybody_writes(exchange: Any) -> None:
    async with fleet_of(exchange, "a", "b", takeover_after_ms=0) as fleet:
        assert set(fleet.roles("ETHUSDT").values()) == {"writer"}
        await tick_all(exchange, 20)
        await until(fleet.all_current)


async def test_one_asks_for_the_list_and_all_take_up_what_is_new_in_it(exchange: Any) -> None:
    async with fleet_of(exchange, "a", "b", "c", symbols=("*",), symbols_every_s=0.3) as fleet:

        def asking() -> set[str]:
            own = [replica.metadata.polls.beats()["exchangeInfo"] for replica in fleet.replicas.values()]
            return {name for name, beat in zip(fleet.replicas, own, strict=True) if beat.active}

        await until(lambda: asking() == {ranked("poll exchangeInfo", "abc")[0]})
        exchange.ids["NEWUSDT"] = 7
        del exchange.ids["BTCUSDT"]
        await until(lambda: fleet.held() == {"ETHUSDT": list("abc"), "NEWUSDT": list("abc")})
        (first,) = asking()
        await fleet.crash(first)
        exchange.ids["LATEUSDT"] = 9
        others = [name for name in "abc" if name != first]
        await until(lambda: set(fleet.held()["LATEUSDT"]) >= set(others))
        await until(lambda: is_stored(fleet.store, Version(0, 9), "LATEUSDT"))
