"""A world of processes in one thread and in virtual time: each has an event loop of its own.

Time stands still while anything is left to do and then jumps to the next timer, so a run depends on nothing
but what is put into it. What a process does is run by its :class:`Loop`; what lies between processes (a
store, an exchange, the network) belongs to no process and is run as it is.

A frozen process is one that was sent SIGSTOP: none of its code runs, what the network brings waits, and when
it goes on everything is there at once, input before timers, as a real event loop sees it. One that was killed
never runs again; what it sent before goes on.
"""

import asyncio
import contextvars
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any, Final

START_S: Final = 1000.0

MOST_AT_ONCE: Final = 200_000
"""So many callbacks without any time going by are a loop that waits for nothing."""

_TICK_S: Final = 1e-6
"""Timers are so much late, as real ones are: a time reckoned twice in floats may be a little earlier."""


class Stuck(Exception):
    """Something goes on and on while no time passes."""


class Handle:
    """A callback that waits. ``process``: whose it is; ``None``: nobody's."""

    __slots__ = ("args", "callback", "context", "process", "timed")

    def __init__(
        self,
        process: "Process | None",
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context | None,
        timed: bool,
    ) -> None:
        self.process = process
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.context = context
        self.timed = timed

    def cancel(self) -> None:
        self.callback, self.args = None, ()

    def cancelled(self) -> bool:
        return self.callback is None


class World:
    """The clock, and all that waits for it. ``failures``: what went wrong in a process and was not caught."""

    def __init__(self) -> None:
        self.now = START_S
        self.failures: list[str] = []
        self.processes: list[Process] = []
        self._ready: deque[Handle] = deque()
        self._timers: list[tuple[float, int, Handle]] = []
        self._numbers = count()

    def later(self, delay_s: float, callback: Callable[..., object], *args: Any) -> None:
        """Call back from outside of all processes, after ``delay_s``."""
        self.put(self.now + delay_s, Handle(None, callback, args, None, True))

    def put(self, when: float, handle: Handle) -> None:
        heapq.heappush(self._timers, (when, next(self._numbers), handle))

    def put_now(self, handle: Handle) -> None:
        self._ready.append(handle)

    def run_until(self, end: float) -> None:
        """Let time pass. Raises :class:`Stuck`, and what a callback of no process raises."""
        timers = self._timers
        try:
            while True:
                self._run_ready()
                if not timers or timers[0][0] > end:
                    self.now = max(self.now, end)
                    return
                self.now = max(self.now, timers[0][0])
                while timers and timers[0][0] <= self.now:
                    self._ready.append(heapq.heappop(timers)[2])
        finally:
            events._set_running_loop(None)

    def _run_ready(self) -> None:
        ready, running, left = self._ready, None, MOST_AT_ONCE
        while ready:
            handle = ready.popleft()
            callback, process = handle.callback, handle.process
            if callback is None:
                continue
            left -= 1
            if not left:
                raise Stuck(f"{callback} and others go on and on while no time passes")
            if process is None:
                if running is not None:
                    running = None
                    events._set_running_loop(None)
                callback(*handle.args)
                continue
            if process.held is not None:
                process.held.append(handle)
                continue
            if process.dead:
                continue
            if running is not process.loop:
                running = process.loop
                events._set_running_loop(running)
            assert handle.context is not None
            try:
                handle.context.run(callback, *handle.args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                self.failures.append(f"{process.name}: a callback raised {error!r}")

    def end(self) -> None:
        """Let all tasks of all processes end, so that nothing of them is left to the garbage collector."""
        self._timers.clear()
        self._ready.clear()
        for process in self.processes:
            process.dead, process.held, process.ending = False, None, True
        for _ in range(5):
            tasks = [task for process in self.processes for task in process.loop.tasks]
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            self.run_until(self.now + 2.0)
        for process in self.processes:
            process.dead = True


class Process:
    """One process: it lives, is frozen, or is dead. ``origin_s``: where its monotonic clock began."""

    def __init__(self, world: World, name: str, *, origin_s: float = 0.0) -> None:
        self.world = world
        self.name = name
        self.dead = False
        self.held: list[Handle] | None = None
        """What waits while it is frozen; ``None`` where it is not."""
        self.loop = Loop(self, origin_s)  # type: ignore[abstract]
        self.at_death: list[Callable[[], None]] = []
        """What the machine does with what it leaves behind."""
        self.ending = False
        """Whether the world has ended: what its tasks say then is of no interest."""
        self._context = contextvars.Context()
        world.processes.append(self)

    @property
    def runs(self) -> bool:
        """Whether its code runs now."""
        return not self.dead and self.held is None

    def deliver(self, callback: Callable[..., object], *args: Any) -> None:
        """Something comes from outside."""
        self.world.put_now(Handle(self, callback, args, self._context, False))

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Begin ``work`` as one of its tasks."""
        return self.loop.create_task(work, context=self._context)

    def freeze(self) -> None:
        if self.held is None:
            self.held = []

    def thaw(self) -> None:
        held, self.held = self.held or [], None
        for timed in (False, True):
            for handle in held:
                if handle.timed is timed:
                    self.world.put_now(handle)

    def kill(self) -> None:
        """As kill -9 does it: it does and says nothing any more."""
        self.dead, self.held = True, None
        for closing in self.at_death:
            closing()
        self.at_death.clear()


class Loop(asyncio.AbstractEventLoop):
    """The event loop of one process, in its world's time. Knows no sockets and no threads."""

    def __init__(self, process: Process, origin_s: float) -> None:
        self._process = process
        self._world = process.world
        self._offset_s = origin_s - START_S
        self.tasks: dict[asyncio.Task[Any], None] = {}

    def time(self) -> float:
        return self._world.now + self._offset_s

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        handle = Handle(self._process, callback, args, context or contextvars.copy_context(), False)
        self._world.put_now(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> Handle:
        handle = Handle(self._process, callback, args, context or contextvars.copy_context(), True)
        self._world.put(self._world.now + max(delay, 0.0) + _TICK_S, handle)
        return handle

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> Handle:
        return self.call_later(when - self.time(), callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **more: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, **more)
        self.tasks[task] = None
        task.add_done_callback(self._forget)
        return task

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """What others do in a thread is done at once: a thread would make each run another one."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self.tasks.pop(task, None)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not self._process.dead and not self._process.ending:
            self._world.failures.append(f"{self._process.name}: {context.get('message')} {error!r}")
