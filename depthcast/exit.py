"""The end of a process that has used the S3 store: at once, and with the status it deserves.

``obstore`` answers from threads of its own. Up to Python 3.13 such a thread that wants the interpreter back
while it is being taken down is ended by force, which its Rust frames answer with ``abort()``: the work is
done, and the exit status is 134 (or 139). Waiting a moment makes that rarer, not impossible: with 16 such
processes on two cores, 8 of 200 that ended with cancelled calls still died after 50 ms. So the interpreter
is not taken down at all: what is buffered is written out, and the process ends.

Nor does :func:`complete` close the event loop: an answer that came as its call was cancelled is told to the
loop a moment later, and where that is closed the thread prints a traceback: once in 40 updaters that ended
because their bucket did not exist.

Every command and service of this project ends here. A program that embeds :mod:`depthcast.store.s3` and
cares for its exit status does the same: ``await store.close()``, leave the event loop, then :func:`leave`.
"""

import asyncio
import logging
import os
import sys
import traceback
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, NoReturn, TypeVar

_T = TypeVar("_T")

_left_open: Final[list[asyncio.AbstractEventLoop]] = []
"""Loops that threads of the S3 client may still call."""


def leave(status: int) -> NoReturn:
    """Flush standard output, standard error and log handlers, and end this process with ``status``.

    ``atexit`` handlers and destructors do not run: files are closed and children stopped before.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # a closed pipe, a closed stream, none at all
            stream.flush()
    os._exit(status)


def run(main: Callable[[], int]) -> NoReturn:
    """Call ``main`` and :func:`leave` with the status it returns.

    Whatever it raises ends the process as the interpreter would: ``SystemExit`` with its own status,
    Ctrl-C with 130, anything else with its traceback and 1.
    """
    try:
        status = main()
    except SystemExit as stop:
        status = _status_of(stop)
    except KeyboardInterrupt:
        status = 130
    except BaseException:
        traceback.print_exc()
        status = 1
    leave(status)


def complete(main: Coroutine[Any, Any, _T], *, loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> _T:
    """Run ``main`` as :func:`asyncio.run` does, and leave the event loop open for the process to end with.

    Tasks that ``main`` leaves behind do not go on: it ends them itself.
    """
    loop = loop_factory()
    _left_open.append(loop)
    return asyncio.Runner(loop_factory=lambda: loop).run(main)


def _status_of(stop: SystemExit) -> int:
    if stop.code is None or isinstance(stop.code, int):
        return (stop.code or 0) & 0xFF
    print(stop.code, file=sys.stderr)
    return 1
