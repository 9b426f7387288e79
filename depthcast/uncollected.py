"""``uncollected``: no cyclic garbage collection while very many values are made that are let go of at once.

A list of thousands of symbols as Python values is a million objects. The collector comes by while they are
made, looks at all of them again and again, and every thread of the process waits meanwhile, 100 ms and more;
and it finds nothing, for JSON has no circles.
"""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_inside = 0
_was_enabled = False


@contextmanager
def uncollected() -> Iterator[None]:
    """For the whole process, until the last of those who are inside is out; then as it was before.

    What was made should have been let go of by then: leave what makes it in a function of its own.
    """
    global _inside, _was_enabled
    with _lock:
        if not _inside:
            _was_enabled = gc.isenabled()
            gc.disable()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside and _was_enabled:
                gc.enable()
