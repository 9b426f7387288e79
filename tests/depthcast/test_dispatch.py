"""Turns: what may be done at once, what waits, and for how much of the others' work at most.

Times are whole seconds, so that sums of them are exact.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthcast.dispatch import (
    BORNE_S,
    BUCKETS_S,
    HEAVY,
    MAX_COST,
    SMOOTHED,
    Dispatcher,
    Slices,
    Work,
    _let_go,
)
from tests import virtual

SLICES = Slices(4.0, 3.0, 2.0)


class Rig:
    """A dispatcher, a clock that moves by as much as work takes, and a loop that turns when it is told to."""

    def __init__(self, *, slices: Slices = SLICES, quantum: int = 10) -> None:
        self.now = 100.0
        self.soon: list[Callable[[], None]] = []
        self.done: list[tuple[object, object]] = []
        self.dispatcher = Dispatcher(
            slices=slices, quantum=quantum, clock=lambda: self.now, call_soon=self.soon.append
        )

    def offer(self, work: Work, key: object, what: object, *, takes_s: float = 0.0, cost: int = 10) -> bool:
        """Bring a piece of work, as a reader does; whether it was done at once."""
        if self.dispatcher.may(work):
            self.work((key, what, takes_s))
            return True
        self.dispatcher.put(work, key, self.work, (key, what, takes_s), cost=cost)
        return False

    def work(self, piece: tuple[object, object, float]) -> None:
        key, what, takes_s = piece
        self.done.append((key, what))
        self.now += takes_s

    def turn(self) -> None:
        """One turn of the loop."""
        coming, self.soon[:] = list(self.soon), []
        for call in coming:
            call()
        self.dispatcher.check()

    def turns(self) -> int:
        """Turn until nothing is left; how often."""
        count = 0
        while self.soon:
            self.turn()
            count += 1
        return count


def test_what_comes_within_a_slice_is_done_where_it_comes_up() -> None:
    rig = Rig()
    assert all(rig.offer(Work.APPLY, "A", number, takes_s=1) for number in range(4))
    assert not rig.offer(Work.APPLY, "A", 4, takes_s=1)
    assert [what for _, what in rig.done] == [0, 1, 2, 3]
    rig.turn()
    assert rig.done[-1] == ("A", 4)


def test_every_turn_of_the_loop_has_a_slice_of_its_own() -> None:
    rig = Rig()
    for _ in range(3):
        assert rig.offer(Work.APPLY, "A", "x", takes_s=9)
        assert rig.turns() == 1
    told = rig.dispatcher.told(Work.APPLY)
    assert (told.done, told.queued) == (3, 0)


def test_what_comes_while_others_wait_does_not_go_before_them() -> None:
    rig = Rig()
    rig.offer(Work.APPLY, "A", 0, takes_s=4)
    rig.offer(Work.APPLY, "A", 1)
    rig.now += 99
    assert not rig.offer(Work.APPLY, "A", 2)
    rig.turns()
    assert [what for _, what in rig.done] == [0, 1, 2]


def test_a_kind_of_work_does_not_use_up_the_time_of_another() -> None:
    rig = Rig()
    assert rig.offer(Work.APPLY, "A", 0, takes_s=9)
    assert rig.offer(Work.RENDER, "A", 0)
    assert rig.offer(Work.LATER, "A", 0)


def test_more_urgent_work_goes_first_and_the_rest_goes_on_all_the_same() -> None:
    rig = Rig()
    for work in Work:
        for number in range(6):
            rig.offer(work, work.name, number, takes_s=5)
    assert [key for key, _ in rig.done] == ["APPLY", "RENDER"], "what can wait lets those go first who wait"
    for _ in range(2):
        rig.turn()
    expected = ["APPLY", "RENDER", "APPLY", "RENDER", "LATER"]
    assert [key for key, _ in rig.done[2:]] == expected, (
        "one piece at least of each, where turns are long in two"
    )


def test_of_all_that_goes_behind_others_there_is_one_slice_in_all_in_which_each_has_its_turn() -> None:
    rig = Rig(slices=Slices(4.0, 3.0, 0.5))
    for number in range(30):
        rig.dispatcher.put(Work.APPLY, "BUSY", rig.work, ("BUSY", number, 1))
    while rig.dispatcher._queues[Work.APPLY].ring:
        rig.turn()
    rig.done.clear()
    for number in range(3):
        rig.dispatcher.put(Work.LATER, "C", rig.work, ("C", number, 1))
    for _ in range(6):
        rig.turn()
    assert sorted(str(key) for key, _ in rig.done[:6]) == ["BUSY"] * 3 + ["C"] * 3
    assert len(rig.done) == 6, "one piece a turn"


def test_a_turn_ends_with_its_slice() -> None:
    rig = Rig()
    for number in range(9):
        rig.offer(Work.APPLY, "A", number, takes_s=2)
    assert len(rig.done) == 2
    assert rig.turns() == 4
    assert [what for _, what in rig.done] == list(range(9))


def test_a_small_diff_does_not_wait_for_a_burst_of_large_ones_that_came_before_it() -> None:
    rig = Rig(slices=Slices(), quantum=4096)
    for number in range(200):
        rig.offer(Work.APPLY, "BUSY", number, takes_s=0.0006, cost=20_000)
    came = rig.now
    rig.offer(Work.APPLY, "QUIET", "x", takes_s=0.00004, cost=1000)
    while ("QUIET", "x") not in rig.done:
        rig.turn()
    assert rig.now - came < 0.005
    rig.turns()
    assert [what for key, what in rig.done if key == "BUSY"] == list(range(200))


def test_a_symbol_that_goes_on_and_on_goes_behind_the_files_of_the_others() -> None:
    rig = Rig()
    rig.offer(Work.APPLY, "A", 0, takes_s=9)
    rig.offer(Work.RENDER, "B", 0, takes_s=9)
    for number in range(30):
        rig.offer(Work.APPLY, "BUSY", number, takes_s=1)
    for number in range(10):
        rig.offer(Work.RENDER, "B", number, takes_s=1)
    rig.turns()
    order = [key for key, _ in rig.done]
    assert order[-1] == "BUSY"
    last_file = len(order) - 1 - order[::-1].index("B")
    before = order[:last_file].count("BUSY")
    assert HEAVY < before < 20, "it had its share, then one piece a turn"
    assert [what for key, what in rig.done if key == "BUSY"] == list(range(30))


def test_who_waits_not_may_go_before_heavy_symbols_and_not_before_others() -> None:
    rig = Rig()
    rig.offer(Work.APPLY, "A", 0, takes_s=9)
    for number in range(30):
        rig.offer(Work.APPLY, "BUSY", number, takes_s=1)
    may = rig.dispatcher.may
    assert not may(Work.APPLY, key="C"), "nobody is heavy yet"
    while rig.dispatcher._queues[Work.APPLY].ring:
        rig.turn()
    assert may(Work.APPLY, key="C")
    assert not may(Work.APPLY, key="BUSY")
    assert not may(Work.APPLY)
    rig.now += 4
    assert not may(Work.APPLY, key="C"), "the slice is over"
    rig.turns()


def test_where_others_keep_the_loop_for_long_slices_grow_up_to_a_bound() -> None:
    for others_s, expected in ((0.0, 1), (BORNE_S, 1), (0.010, 10), (5.0, 20)):
        rig = Rig(slices=Slices(0.001, 0.001, 0.001), quantum=1000)
        for number in range(2000):
            rig.dispatcher.put(Work.APPLY, "A", rig.work, ("A", number, 0.001), cost=1)
        for _ in range(8 * SMOOTHED):
            done = len(rig.done)
            rig.turn()
            done = len(rig.done) - done
            rig.now += others_s
        assert abs(done - expected) <= 1
        assert [what for _, what in rig.done] == list(range(len(rig.done)))


def test_one_long_pause_is_no_reason_for_another_one() -> None:
    rig = Rig(slices=Slices(0.001, 0.001, 0.001), quantum=1000)
    for number in range(100):
        rig.dispatcher.put(Work.APPLY, "A", rig.work, ("A", number, 0.001), cost=1)
    rig.turn()
    rig.now += 5.0
    before = len(rig.done)
    rig.turn()
    assert len(rig.done) == before + 1


def test_what_is_done_where_it_comes_up_is_not_the_others() -> None:
    rig = Rig(slices=Slices(0.006, 0.006, 0.006), quantum=1000)
    for number in range(1000):
        rig.dispatcher.put(Work.APPLY, "A", rig.work, ("A", number, 0.001), cost=1)
    for _ in range(8 * SMOOTHED):
        rig.turn()
        done = len(rig.done)
        assert rig.offer(Work.RENDER, "B", "x", takes_s=0.006)
        rig.turn()
        assert len(rig.done) - done == 1 + 6


def test_a_turn_that_was_long_goes_without_what_goes_behind_others_one_of_two() -> None:
    rig = Rig(slices=Slices(0.001, 0.001, 0.001), quantum=4096)
    for number in range(3):
        rig.dispatcher.put(Work.APPLY, "A", rig.work, ("A", number, 2 * BORNE_S))
    rig.dispatcher.put(Work.LATER, "B", rig.work, ("B", 0, 0.002))
    rig.dispatcher.put(Work.LATER, "B", rig.work, ("B", 1, 0.002))
    done = []
    while rig.soon:
        rig.turn()
        done.append("".join(str(key) for key, _ in rig.done))
        rig.done.clear()
    assert done == ["A", "AB", "A", "B"]


def test_work_that_goes_first_goes_on_with_what_was_done() -> None:
    rig = Rig()
    rig.offer(Work.APPLY, "A", 0, takes_s=9)

    def in_two(number: object) -> None:
        rig.done.append(("A", f"{number} begun"))
        rig.dispatcher.put(Work.APPLY, "A", rig.work, ("A", f"{number} ended", 4), cost=0, first=True)

    rig.dispatcher.put(Work.APPLY, "A", in_two, 1)
    rig.dispatcher.put(Work.APPLY, "A", rig.work, ("A", 2, 4))
    rig.turns()
    assert [what for _, what in rig.done] == [0, "1 begun", "1 ended", 2]


def test_slices_without_an_end_let_everything_be_done_at_once() -> None:
    rig = Rig(slices=Slices(float("inf"), float("inf"), float("inf")))
    assert all(rig.offer(Work.APPLY, "A", number, takes_s=1.0) for number in range(50))


SYMBOLS = "ABCD"


@given(
    quantum=st.integers(1, 40),
    pieces=st.lists(st.tuples(st.sampled_from(SYMBOLS), st.integers(0, 200), st.booleans()), max_size=60),
)
def test_in_any_interleaving_order_is_kept_nothing_is_lost_and_waits_are_bounded(
    quantum: int, pieces: list[tuple[str, int, bool]]
) -> None:
    """The bound: while a piece is first of its symbol's, which is not heavy, and its bytes take k rounds,
    each other symbol does no more than k quanta and one piece of the largest size (Shreedhar and Varghese,
    1995), and one piece a turn where it is heavy itself."""
    rig = Rig(slices=Slices(apply_s=0.0), quantum=quantum)
    dispatcher = rig.dispatcher
    dispatcher.may(Work.APPLY)  # this turn's slice is over
    sizes = {number: min(cost, MAX_COST * quantum) for number, (_, cost, _) in enumerate(pieces)}
    largest = max(sizes.values(), default=0)
    brought: dict[str, list[int]] = defaultdict(list)
    others: dict[int, dict[str, int]] = {}
    first: dict[str, int] = {}

    def head(symbol: str) -> None:
        """Begin to count for the piece that is now first of its symbol's."""
        left = [number for number in brought[symbol] if number not in served]
        if left and first.get(symbol) != left[0]:
            first[symbol] = left[0]
            others[left[0]] = defaultdict(int)
            began[left[0]] = dispatcher.turns

    served: dict[int, str] = {}
    did: dict[str, int] = defaultdict(int)
    began: dict[int, int] = {}

    def serve(number: int) -> None:
        symbol = pieces[number][0]
        served[number] = symbol
        for other, at in first.items():
            if other != symbol and at not in served:
                others[at][symbol] += sizes[number]
        light = did[symbol] <= HEAVY * quantum
        did[symbol] += sizes[number]
        if light:
            rounds = -(-sizes[number] // quantum) or 1
            turns = dispatcher.turns - began[number]
            for count in others[number].values():
                assert count <= rounds * quantum + (1 + turns) * largest
        if all(each in served for each in brought[symbol]):
            did[symbol] = 0
        head(symbol)

    for number, (symbol, cost, turns) in enumerate(pieces):
        dispatcher.put(Work.APPLY, symbol, serve, number, cost=cost)
        brought[symbol].append(number)
        head(symbol)
        if turns:
            rig.turn()
    rig.turns()
    for symbol, numbers in brought.items():
        assert [number for number, of in served.items() if of == symbol] == numbers


BUSY = 100
"""The symbol that is busy."""


class Busy:
    """An event loop in which 99 symbols have ten small diffs a second each, one after the other, and a busy
    one has 100 large ones at once each second; half way a large book is built anew. Its clock moves by what
    work takes, in ms of a processor, and by nothing else."""

    APPLY, RENDER, WRITE = 0.1, 0.15, 0.25
    LARGE_APPLY, LARGE_RENDER, LARGE_WRITE, CADENCE = 0.8, 3.0, 1.0, 100.0
    REPLAY, REPLAYS = 1.1, 300

    def __init__(self, slices: Slices) -> None:
        self.now_ms = 0.0
        self.soon: deque[Callable[[], object]] = deque()
        self.timers: list[tuple[float, int, Callable[[], object]]] = []
        self.dispatcher = Dispatcher(
            slices=slices, clock=lambda: self.now_ms / 1000, call_soon=self.soon.append
        )
        self.inbox: deque[tuple[int, float]] = deque()
        self.unwritten: dict[int, float] = {}
        self.woken: set[int] = set()
        self.rendered_at: float = -self.CADENCE
        self.replays = self.REPLAYS
        self.applied: list[float] = []
        self.rendered: list[float] = []
        self.of_busy: list[float] = []

    def run(self, seconds: int) -> None:
        for number in range(100 * seconds):
            due = 1000.0 * (number // 100) + 513
            self.at(due, partial(self.come, BUSY, due))
        for number in range(990 * seconds):
            due = 100.0 * (number // 99) + number % 99
            self.at(due, partial(self.come, number % 99, due))
        self.at(1600.0, self.replay)
        while self.soon or self.timers:
            if not self.soon:
                self.now_ms = max(self.now_ms, self.timers[0][0])
            while self.timers and self.timers[0][0] <= self.now_ms:
                self.soon.append(heappop(self.timers)[2])
            for _ in range(len(self.soon)):
                self.soon.popleft()()
            self.dispatcher.check()

    def at(self, when_ms: float, call: Callable[[], object]) -> None:
        heappush(self.timers, (when_ms, len(self.timers), call))

    def work(self, takes_ms: float) -> None:
        self.now_ms += takes_ms

    def come(self, symbol: int, due: float) -> None:
        if not self.inbox:
            self.soon.append(self.read)
        self.inbox.append((symbol, due))

    def read(self) -> None:
        may = self.dispatcher.may
        while self.inbox:
            symbol, due = self.inbox.popleft()
            if may(Work.APPLY) or may(Work.APPLY, key=symbol):
                self.apply((symbol, due))
            else:
                cost = 20_000 if symbol == BUSY else 900
                self.dispatcher.put(Work.APPLY, symbol, self.apply, (symbol, due), cost=cost)

    def apply(self, frame: tuple[int, float]) -> None:
        symbol, due = frame
        self.work(self.LARGE_APPLY if symbol == BUSY else self.APPLY)
        (self.of_busy if symbol == BUSY else self.applied).append(self.now_ms - due)
        self.unwritten.setdefault(symbol, due)
        if symbol not in self.woken:
            self.woken.add(symbol)
            self.soon.append(partial(self.wake, symbol))

    def wake(self, symbol: int) -> None:
        if self.dispatcher.may(Work.RENDER, key=("files", symbol)):
            self.render(symbol)
        else:
            self.dispatcher.put(Work.RENDER, ("files", symbol), self.render, symbol)

    def render(self, symbol: int) -> None:
        self.woken.discard(symbol)
        since = self.unwritten.pop(symbol)
        if symbol != BUSY:
            self.work(self.RENDER)
            self.rendered.append(self.now_ms - since)
            self.soon.append(partial(self.work, self.WRITE))
        elif self.now_ms - self.rendered_at >= self.CADENCE:
            self.rendered_at = self.now_ms
            self.work(self.LARGE_RENDER)
            self.soon.append(partial(self.work, self.LARGE_WRITE))

    def replay(self) -> None:
        """As a task that waits for its turn before each piece."""
        while self.replays:
            if not self.dispatcher.may(Work.LATER, key="book"):
                self.dispatcher.put(Work.LATER, "book", _let_go, self)
                break
            self.replayed()

    def replayed(self) -> None:
        self.replays -= 1
        self.work(self.REPLAY)

    def done(self) -> bool:
        return False

    def set_result(self, _: None) -> None:
        def goes_on() -> None:
            self.replayed()
            self.replay()

        self.soon.append(goes_on)


def test_nobody_waits_for_more_than_20_ms_of_the_others_work() -> None:
    at_once = Busy(Slices(float("inf"), float("inf"), float("inf")))
    at_once.run(3)
    in_turns = Busy(Slices())
    in_turns.run(3)
    for loop in (at_once, in_turns):
        assert len(loop.applied) == 3 * 990
        assert len(loop.of_busy) == 300
        assert not loop.replays
    assert max(at_once.applied) > 300
    assert max(at_once.rendered) > 300
    assert max(in_turns.applied) < 20
    assert max(in_turns.rendered) < 20
    # Nothing is idle while there is work: what others gain, the busy one waits.
    assert max(in_turns.of_busy) < 400


def test_it_tells_how_long_work_had_to_wait() -> None:
    rig = Rig()
    rig.offer(Work.APPLY, "A", 0, takes_s=4)
    rig.offer(Work.APPLY, "A", 1)
    rig.now += 0.5
    rig.offer(Work.APPLY, "B", 2)
    told = rig.dispatcher.told(Work.APPLY)
    assert (told.done, told.queued, told.waiting) == (1, 0, 2)
    assert told.oldest_s == 0.5
    assert rig.dispatcher.waits(Work.APPLY, "A") == 104.0
    assert rig.dispatcher.waits(Work.APPLY, "C") is None
    rig.turns()
    told = rig.dispatcher.told(Work.APPLY)
    assert (told.done, told.queued, told.waiting, told.oldest_s) == (3, 2, 0, 0.0)
    assert told.longest_s == told.total_s == 0.5
    by_bound = dict(zip((*BUCKETS_S, float("inf")), told.buckets, strict=True))
    assert by_bound.pop(0.5) == by_bound.pop(0.001) == 1
    assert not any(by_bound.values())
    assert rig.dispatcher.told(Work.APPLY).longest_s == 0.0, "the longest since it was asked for last"


def test_a_task_waits_for_its_turn_and_hears_what_its_work_raises() -> None:
    async def main() -> None:
        dispatcher = Dispatcher(slices=Slices(render_s=0.0), clock=virtual.clock)
        done: list[Any] = []

        def fail(what: object) -> None:
            raise ValueError(what)

        await dispatcher.run(Work.RENDER, "A", done.append, 1)
        waiting = [
            asyncio.ensure_future(dispatcher.run(Work.RENDER, "A", done.append, 2)),
            asyncio.ensure_future(dispatcher.run(Work.RENDER, "A", fail, "no")),
            asyncio.ensure_future(dispatcher.run(Work.RENDER, "A", done.append, 3)),
        ]
        await asyncio.sleep(0)
        waiting[2].cancel()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert done == [1, 2], "work whose task is cancelled is not done"
        assert isinstance(results[1], ValueError)
        assert isinstance(results[2], asyncio.CancelledError)

    virtual.run(main())


def test_a_task_is_let_go_when_it_is_its_turn_one_in_a_turn_of_the_loop() -> None:
    async def main() -> None:
        dispatcher = Dispatcher(slices=Slices(later_s=0.0), clock=virtual.clock)
        went: list[tuple[str, int]] = []

        async def go(name: str) -> None:
            await dispatcher.turn(Work.LATER, name)
            went.append((name, dispatcher.turns))

        tasks = [asyncio.create_task(go(name)) for name in "ABCD"]
        await asyncio.sleep(0)
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert [name for name, _ in went] == ["A", "B", "D"]
        assert len({turn for _, turn in went}) == 3
        dispatcher.check()

    virtual.run(main())


def test_work_that_fails_does_not_end_the_turns() -> None:
    rig = Rig()
    rig.offer(Work.APPLY, "A", 0, takes_s=1.0)
    rig.dispatcher.put(Work.APPLY, "B", {}.__getitem__, "nothing")
    rig.offer(Work.APPLY, "C", 1)
    with pytest.raises(KeyError):
        rig.turn()
    rig.turns()
    assert rig.done == [("A", 0), ("C", 1)]


def test_there_is_no_round_without_a_step() -> None:
    with pytest.raises(ValueError, match="quantum"):
        Dispatcher(quantum=0)
