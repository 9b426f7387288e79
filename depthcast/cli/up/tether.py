"""Children that do not outlive ``up``, whatever kills it.

On Linux the kernel kills a child when the thread that started it is gone (``PR_SET_PDEATHSIG``, prctl(2)).
That needs no help of the child, so it holds for foreign programs too, where a pipe that the child watches
would not. It is SIGKILL because nobody is left to see to it that a politer signal is obeyed: SeaweedFS, asked
politely, was seen to go on for minutes and to keep its folder locked. Nothing depends on it: the write
rule holds for updaters that vanish.

Elsewhere a SIGKILL of ``up`` leaves its children running; the next ``up`` then says that their ports or their
folder are in use.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def tether() -> Callable[[], None] | None:
    """What a child is to call between fork and exec; ``None`` where there is nothing of the kind."""
    if sys.platform != "linux":
        return None
    # Looked up now: between fork and exec nothing may be loaded.
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it was gone before the kernel knew
            os._exit(1)

    return tie
