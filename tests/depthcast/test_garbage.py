"""When the garbage collector runs in a server."""

import asyncio
import gc
from collections.abc import Iterator

import pytest

from depthcast.garbage import Garbage
from tests.virtual import clock, run


@pytest.fixture(autouse=True)
def collector_of_tests() -> Iterator[None]:
    yield
    gc.enable()


def collected(for_s: float, full_takes_s: float = 0.0) -> list[tuple[float, int]]:
    """What is collected within so many seconds: when, and which generation."""
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

        working = asyncio.create_task(Garbage(collect=collect, clock=now).run())
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
