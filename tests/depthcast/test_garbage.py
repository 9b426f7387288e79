"""When the garbage collector runs in a server."""

import asyncio
import gc
from collections.abc import Callable, Iterator

import pytest

from depthcast.garbage import LOOKED_AT, Garbage
from tests.virtual import clock, run


@pytest.fixture(autouse=True)
def collector_of_tests() -> Iterator[None]:
    yield
    gc.enable()


ASIDE = -1
BACK = -2


def collected(
    for_s: float, full_takes_s: float = 0.0, made: Callable[[float], int] = lambda _: 0
) -> list[tuple[float, int]]:
    """What is collected within so many seconds: when, and which generation, or ASIDE or BACK. ``made``: how
    many objects have been made then since the look before."""
    done: list[tuple[float, int]] = []

    async def measure() -> None:
        began = clock()
        late = 0.0

        def collect(generation: int) -> int:
            nonlocal late
            assert not gc.isenabled()
            done.append((round(now() - began, 3), generation))
            if generation == 2:
                late += full_takes_s
            return 0

        def now() -> float:
            return clock() + late

        def note(what: int) -> Callable[[], None]:
            return lambda: done.append((round(now() - began, 3), what))

        working = asyncio.create_task(
            Garbage(
                collect=collect,
                made=lambda: made(now() - began),
                set_aside=note(ASIDE),
                take_back=note(BACK),
                clock=now,
            ).run()
        )
        await asyncio.sleep(for_s)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    run(measure())
    return done


def test_young_objects_are_looked_at_often_and_older_ones_seldom() -> None:
    done = collected(2.05)
    assert [when for when, _ in done] == [round(0.1 * turn, 3) for turn in range(1, 21)]
    assert [when for when, generation in done if generation == 1] == [1.0, 2.0]
    assert all(generation < 2 for _, generation in done)


def test_all_objects_are_looked_at_once_a_minute() -> None:
    full = [when for when, generation in collected(185) if generation == 2]
    assert len(full) == 3
    assert all(60 <= later - earlier < 60.2 for earlier, later in zip([0.0, *full], full, strict=False))


def test_a_long_look_at_all_objects_is_taken_more_seldom() -> None:
    first, second = (when for when, generation in collected(350, full_takes_s=0.5) if generation == 2)
    assert 250 <= second - first < 251


def test_what_came_in_a_burst_is_set_aside_until_all_objects_are_looked_at() -> None:
    done = collected(65, made=lambda at: LOOKED_AT + 1 if 2.25 < at < 2.35 else 10)
    assert (2.2, 0) in done
    aside = [when for when, what in done if what == ASIDE]
    assert aside == [2.3, 3.0], "the young ones, and the middle ones that they would be among"
    back = next(when for when, what in done if what == BACK)
    assert back == next(when for when, what in done if what == 2) >= 60
    assert (4.0, 1) in done


def test_what_was_set_aside_is_taken_back_at_the_end() -> None:
    done = collected(0.25, made=lambda _: LOOKED_AT + 1)
    assert [what for _, what in done] == [ASIDE, ASIDE, BACK]


def test_a_look_in_passing_is_at_a_bounded_number_of_objects() -> None:
    """The bound, with the collector itself: what a burst made is not among what is looked at."""
    seen: list[int] = []

    def collect(generation: int) -> int:
        seen.append(sum(len(gc.get_objects(each)) for each in range(generation + 1)))
        return gc.collect(generation)

    async def burst() -> None:
        working = asyncio.create_task(Garbage(collect=collect).run())
        await asyncio.sleep(0.21)
        kept = [[number] for number in range(5 * LOOKED_AT)]
        await asyncio.sleep(0.4)
        assert len(kept) == 5 * LOOKED_AT
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    gc.collect()
    run(burst())
    assert len(seen) >= 4
    assert max(seen) <= LOOKED_AT
    assert gc.get_freeze_count() == 0


def test_the_collector_is_left_as_it_was_found() -> None:
    assert gc.isenabled()
    assert collected(0.35)
    assert gc.isenabled()
    gc.disable()
    assert not collected(0.35), "who has disabled it collects when it likes"
    assert not gc.isenabled()


def test_garbage_is_found() -> None:
    class Node:
        def __init__(self) -> None:
            self.circle = self

        def __del__(self) -> None:
            freed.append(True)

    async def leave() -> None:
        working = asyncio.create_task(Garbage().run())
        await asyncio.sleep(0)
        Node()
        assert not freed
        await asyncio.sleep(0.11)
        working.cancel()

    freed: list[bool] = []
    gc.collect()
    run(leave())
    assert freed == [True]
