"""``SymbolTasks``: at most one task a symbol."""

import asyncio

from depthcast.keeper.tasks import SymbolTasks


async def test_a_task_runs_until_it_ends_and_is_forgotten_then() -> None:
    tasks, end = SymbolTasks(), asyncio.Event()

    async def work() -> None:
        await end.wait()

    tasks.start("X", work())
    assert (tasks.runs("X"), tasks.runs("Y"), len(tasks)) == (True, False, 1)
    end.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert (tasks.runs("X"), len(tasks)) == (False, 0)


async def test_a_task_that_is_done_and_not_yet_forgotten_does_not_run() -> None:
    tasks = SymbolTasks()
    seen: list[bool] = []

    async def work() -> None:
        # Its end is told in the next round; this is asked in between.
        asyncio.get_running_loop().call_soon(lambda: seen.append(tasks.runs("X")))

    tasks.start("X", work())
    for _ in range(5):
        await asyncio.sleep(0)
    assert seen == [False]


async def test_another_task_takes_the_place_of_the_first_and_is_not_forgotten_with_it() -> None:
    tasks = SymbolTasks()
    ended: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    tasks.start("X", work("first"))
    await asyncio.sleep(0)
    tasks.start("X", work("second"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert ended == ["first"]
    assert (tasks.runs("X"), len(tasks)) == (True, 1)
    await tasks.close()
    assert ended == ["first", "second"]
