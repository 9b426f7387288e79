"""``Child``: one run of one process: its output kept, its end noticed, its stop bounded.

A child is the leader of a session of its own, so that a Ctrl-C at the terminal reaches only ``up``, which
then stops its children in order; :mod:`.tether` sees to it that none outlives ``up``.
"""

import asyncio
import contextlib
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from depthcast.cli.up.logfile import LogFile
from depthcast.cli.up.tether import tether

_MAX_LINE_BYTES: Final = 64 * 1024
_PIPE_PATIENCE_S: Final = 1.0
"""How long output is waited for after the end; a grandchild may hold the pipe open."""


class Child:
    """Start it once; then :meth:`wait` or :meth:`stop` it. ``on_line`` hears each line of its output."""

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        log: LogFile,
        *,
        on_line: Callable[[str], None] = lambda line: None,
        tail_lines: int = 20,
    ) -> None:
        self._argv = argv
        self._env = env
        self._log = log
        self._on_line = on_line
        self.tail: deque[str] = deque(maxlen=tail_lines)
        """Its last lines."""
        self._process: Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the process. Raises OSError. Call it in the main thread, which the child is tied to."""
        self._process = await asyncio.create_subprocess_exec(
            *self._argv,
            env=dict(self._env),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            start_new_session=True,
            preexec_fn=tether(),
        )
        self._reading = asyncio.create_task(self._read())

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def wait(self) -> int:
        """Its exit status (negative: the signal that ended it), once its output was read."""
        assert self._process is not None
        assert self._reading is not None
        status = await self._process.wait()
        await asyncio.wait({self._reading}, timeout=_PIPE_PATIENCE_S)
        return status

    async def stop(self, hurry: asyncio.Event, *, within_s: float) -> None:
        """SIGTERM; SIGKILL where it takes longer than ``within_s``, or as soon as ``hurry`` is set."""
        if self._process is None:
            return
        if self.running:
            self._send(signal.SIGTERM)
            waiting = {asyncio.create_task(self._process.wait()), asyncio.create_task(hurry.wait())}
            try:
                await asyncio.wait(waiting, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in waiting:
                    task.cancel()
                self._send(signal.SIGKILL)
        await self.wait()

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        rest = b""
        while data := await self._process.stdout.read(_MAX_LINE_BYTES):
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > _MAX_LINE_BYTES:
                lines, rest = [*lines, rest], b""
            self._take(lines)
        self._take([rest] if rest else [])

    def _take(self, lines: Sequence[bytes]) -> None:
        if lines:
            self._log.write(b"".join(line + b"\n" for line in lines))
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip()
            if text:
                self.tail.append(text)
                self._on_line(text)
