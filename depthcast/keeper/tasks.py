"""``SymbolTasks``: at most one task a symbol."""

import asyncio
from collections.abc import Coroutine


class SymbolTasks:
    """The tasks that run, by symbol; one that has ended is forgotten."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def runs(self, symbol: str) -> bool:
        """Whether there is a task of ``symbol`` that has not ended."""
        task = self._tasks.get(symbol)
        # One that is done is forgotten only in the loop's next round.
        return task is not None and not task.done()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, symbol: str, work: Coroutine[None, None, None]) -> None:
        """Begin ``work``, instead of what runs for ``symbol``."""
        self.cancel(symbol)
        task = asyncio.ensure_future(work)
        self._tasks[symbol] = task
        task.add_done_callback(lambda task: self._forget(symbol, task))

    def cancel(self, symbol: str) -> None:
        """End what runs for ``symbol``."""
        task = self._tasks.pop(symbol, None)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """End all, and wait for their ends."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, symbol: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(symbol) is task:
            del self._tasks[symbol]
