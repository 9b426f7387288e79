"""Symbols are taken up at once, and let go only when others write them."""

import asyncio
from asyncio import TaskGroup
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any, cast

from depthcast.heartbeat import Heartbeat, Role, SymbolBeat
from tests import virtual
from updater.holdings import Holdings

SYMBOLS = [f"S{number}USDT" for number in range(40)]


class Books:
    """Stands in for a keeper: which symbols are subscribed."""

    def __init__(self) -> None:
        self.books: dict[str, Any] = {}

    def subscribe(self, symbols: Iterable[str]) -> None:
        self.books.update({symbol: SimpleNamespace(symbol=symbol) for symbol in symbols})

    def unsubscribe(self, symbols: Iterable[str]) -> None:
        for symbol in symbols:
            del self.books[symbol]


class Writing:
    """Stands in for a publisher."""

    def __init__(self, symbol: str, rank: int) -> None:
        self.symbol = symbol
        self.rank = rank
        self.yielded = False
        self.role = Role.WRITER
        self.handed_over = False
        self.ran = False
        self.woken = 0
        self._stopped = asyncio.Event()
        self.finishes_at_once = True

    def set_rank(self, rank: int) -> None:
        self.rank = rank

    def hand_over(self) -> None:
        self.handed_over = True

    def wake(self) -> None:
        self.woken += 1

    def stop(self) -> None:
        if self.finishes_at_once:
            self._stopped.set()

    async def run(self) -> None:
        self.ran = True
        await self._stopped.wait()


class Desk:
    """One replica's holdings among replicas of which the test says what they hold."""

    def __init__(self, redundancy: int = 0) -> None:
        self.books = Books()
        self.redundancy = redundancy
        self.may_begin = asyncio.Event()
        self.holdings = Holdings(cast(Any, self.books), cast(Any, self._make), self.may_begin.wait)
        self.holdings.listed.update(SYMBOLS)

    def _make(self, live: Any, rank: int) -> Writing:
        return Writing(live.symbol, rank)

    def publisher(self, symbol: str) -> Writing:
        return cast(Writing, self.holdings.publishers[symbol])

    def beats(self, *names: str, state: str = "live") -> dict[str, Heartbeat]:
        return {
            name: Heartbeat.model_validate(
                {"replica": name, "beat": 1, "redundancy": self.redundancy, "state": state}
            )
            for name in names
        }

    def assign(self, living: Mapping[str, Heartbeat], group: TaskGroup) -> set[str]:
        self.holdings.assign(living, living["me"], group, earlier=living["me"])
        assert set(self.books.books) == set(self.holdings.publishers)
        return set(self.holdings.publishers)


def holding(beat: Heartbeat, *, live: bool = True) -> Heartbeat:
    return beat.model_copy(update={"symbols": {symbol: SymbolBeat(live=live) for symbol in SYMBOLS}})


def test_alone_everything_is_held_and_written() -> None:
    async def main() -> None:
        desk = Desk(redundancy=2)
        async with TaskGroup() as group:
            assert not desk.holdings.assigned
            assert desk.assign(desk.beats("me"), group) == set(SYMBOLS)
            assert {each.rank for each in desk.holdings.publishers.values()} == {0}
            desk.may_begin.set()
            await asyncio.sleep(0.1)
            assert all(desk.publisher(symbol).ran for symbol in SYMBOLS)
            await desk.holdings.finish(1, begun=True)

    virtual.run(main())


def test_symbols_are_taken_up_in_one_order_whatever_the_order_of_a_set() -> None:
    async def main() -> None:
        desk = Desk()
        desk.holdings.listed.update(f"S{number}USDT" for number in range(50))
        async with TaskGroup() as group:
            desk.assign(desk.beats("me"), group)
            assert list(desk.books.books) == sorted(desk.holdings.listed)
            await desk.holdings.finish(1, begun=False)

    virtual.run(main())


def test_no_publisher_runs_before_it_may_begin() -> None:
    async def main() -> None:
        desk = Desk()
        async with TaskGroup() as group:
            desk.assign(desk.beats("me"), group)
            await asyncio.sleep(5)
            assert not any(desk.publisher(symbol).ran for symbol in SYMBOLS)
            await desk.holdings.finish(1, begun=False)

    virtual.run(main())


def test_others_who_join_change_ranks_and_take_nothing_away_where_all_hold_all() -> None:
    async def main() -> None:
        desk = Desk()
        async with TaskGroup() as group:
            desk.assign(desk.beats("me"), group)
            assert desk.assign(desk.beats("me", "b", "c"), group) == set(SYMBOLS)
            assert {each.rank for each in desk.holdings.publishers.values()} == {0, 1, 2}
            await desk.holdings.finish(1, begun=False)

    virtual.run(main())


def test_a_symbol_goes_when_its_new_holders_have_it_and_write() -> None:
    async def main() -> None:
        desk = Desk(redundancy=1)
        desk.may_begin.set()
        async with TaskGroup() as group:
            desk.assign(desk.beats("me"), group)
            living = desk.beats("me", "b")
            assert desk.assign(living, group) == set(SYMBOLS)
            living["b"] = holding(living["b"])
            assert desk.assign(living, group) == set(SYMBOLS), "nobody was seen to write yet"
            for symbol in SYMBOLS:
                desk.publisher(symbol).yielded = True
            kept = desk.assign(living, group)
            assert kept == {s for s in SYMBOLS if desk.holdings.place(s).holder}
            assert 5 < len(kept) < 35
            await desk.holdings.finish(1, begun=True)

    virtual.run(main())


def test_what_comes_back_is_taken_up_after_its_last_writes() -> None:
    async def main() -> None:
        desk = Desk(redundancy=1)
        desk.may_begin.set()
        async with TaskGroup() as group:
            alone, two = desk.beats("me"), desk.beats("me", "b")
            two["b"] = holding(two["b"])
            desk.assign(alone, group)
            await asyncio.sleep(0.1)
            old = dict(desk.holdings.publishers)
            for symbol in SYMBOLS:
                desk.publisher(symbol).yielded = True
                desk.publisher(symbol).finishes_at_once = False
            kept = desk.assign(two, group)
            assert desk.assign(alone, group) == kept, "their former publishers still write"
            for symbol in set(SYMBOLS) - kept:
                former = cast(Writing, old[symbol])
                former.finishes_at_once = True
                former.stop()
            await asyncio.sleep(0.1)
            assert desk.assign(alone, group) == set(SYMBOLS)
            for symbol in kept:
                desk.publisher(symbol).finishes_at_once = True
            await desk.holdings.finish(1, begun=True)

    virtual.run(main())


def test_a_leaving_replica_is_done_when_all_it_held_is_written_by_others() -> None:
    async def main() -> None:
        desk = Desk()
        async with TaskGroup() as group:
            desk.assign(desk.beats("me", "b"), group)
            leaving = desk.beats("me", state="leaving")["me"]
            living = desk.beats("b") | {"me": leaving}
            desk.holdings.assign(living, leaving, group, earlier=leaving)
            assert {each.rank for each in desk.holdings.publishers.values()} == {1}
            for symbol in SYMBOLS:
                desk.publisher(symbol).yielded = True
            assert not desk.holdings.handed_over(living, leaving)
            living["b"] = holding(living["b"])
            assert desk.holdings.handed_over(living, leaving)
            desk.publisher(SYMBOLS[0]).yielded = False
            assert not desk.holdings.handed_over(living, leaving)
            await desk.holdings.finish(1, begun=False)

    virtual.run(main())


def test_writes_that_do_not_end_are_given_up() -> None:
    async def main() -> None:
        desk = Desk()
        desk.may_begin.set()
        async with TaskGroup() as group:
            desk.assign(desk.beats("me"), group)
            await asyncio.sleep(0.1)
            for symbol in SYMBOLS:
                desk.publisher(symbol).finishes_at_once = False
            began = virtual.clock()
            await desk.holdings.finish(2, begun=True)
            assert virtual.clock() - began == 2

    virtual.run(main())


def test_a_change_wakes_the_publisher_of_its_symbol_alone() -> None:
    async def main() -> None:
        desk = Desk()
        async with TaskGroup() as group:
            desk.assign(desk.beats("me"), group)
            desk.holdings.changed(desk.books.books[SYMBOLS[3]])
            desk.holdings.changed(cast(Any, SimpleNamespace(symbol="GONE")))
            assert [s for s in SYMBOLS if desk.publisher(s).woken] == [SYMBOLS[3]]
            await desk.holdings.finish(1, begun=False)

    virtual.run(main())


def test_a_quiet_symbol_changes_hands_when_the_one_in_front_says_that_it_writes() -> None:
    async def main() -> None:
        desk = Desk()
        async with TaskGroup() as group:
            desk.assign(desk.beats("me", "b"), group)
            symbol = next(s for s in SYMBOLS if desk.publisher(s).rank == 1)
            desk.publisher(symbol).role = Role.ACTING

            def reading(theirs: SymbolBeat) -> bool:
                mine = SymbolBeat(role=Role.ACTING, rank=1, live=True, id=100)
                living = {
                    name: beat.model_copy(update={"symbols": {symbol: held}})
                    for (name, beat), held in zip(desk.beats("me", "b").items(), (mine, theirs), strict=True)
                }
                desk.assign(living, group)
                return desk.publisher(symbol).handed_over

            assert not reading(SymbolBeat(role=Role.WRITER, live=False, id=100))
            assert not reading(SymbolBeat(role=Role.STANDBY, live=True, id=100))
            assert not reading(SymbolBeat(role=Role.WRITER, live=True, id=99))
            assert reading(SymbolBeat(role=Role.WRITER, live=True, id=100))
            await desk.holdings.finish(1, begun=False)

    virtual.run(main())


def test_what_the_settings_mean_no_more_is_let_go_at_once_and_what_is_new_is_taken_up() -> None:
    async def main() -> None:
        desk = Desk()
        async with TaskGroup() as group:
            living = desk.beats("me", "b", "c")
            desk.assign(living, group)
            desk.may_begin.set()
            kept = desk.publisher(SYMBOLS[1])
            # As many as before: a symbol was renamed.
            desk.holdings.relist({*SYMBOLS[1:], "NEWUSDT"})
            assert SYMBOLS[0] not in desk.books.books
            assert desk.assign(living, group) == {*SYMBOLS[1:], "NEWUSDT"}
            assert desk.publisher(SYMBOLS[1]) is kept
            desk.holdings.relist({*SYMBOLS[1:], "NEWUSDT"})
            assert desk.publisher(SYMBOLS[1]) is kept
            desk.holdings.relist(SYMBOLS)
            await asyncio.sleep(0.1)  # what was let go finishes its last writes
            assert desk.assign(living, group) == set(SYMBOLS), "it is listed again"
            await desk.holdings.finish(1, begun=True)

    virtual.run(main())
