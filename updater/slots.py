"""``Slots``: at most so many requests to the store at once, over all keys.

Slots are taken *before* a book is rendered, so nothing rendered ever waits and what is written is always the
newest book; and as many together as there are files due, so that a book is rendered once for all of them. Who
finds too few is woken, first come first served, when there are enough. For one event loop.
"""

from collections import OrderedDict
from collections.abc import Callable
from itertools import islice

Wake = Callable[[], None]


class Slots:
    """``total`` slots. Who waits for some is known by the function that wakes it."""

    def __init__(self, total: int) -> None:
        if total < 1:
            raise ValueError("at least one slot is needed")
        self.total = total
        self._free = total
        self._waiting: OrderedDict[Wake, int] = OrderedDict()

    @property
    def taken(self) -> int:
        """How many requests are in flight."""
        return self.total - self._free

    def take(self, wanted: int, wake: Wake) -> int:
        """Take ``wanted`` slots (at least 1; of more than there are in all: all), or none; returns how many.

        Whoever gets fewer than wanted is in the queue then: ``wake`` is called once there are enough for the
        rest. O(slots).
        """
        batch = min(wanted, self.total)
        free = self._free
        for other, theirs in islice(self._waiting.items(), free):
            if other == wake:
                break
            free -= theirs
        if batch > free:
            self._waiting[wake] = batch
            return 0
        self._waiting.pop(wake, None)
        self._free -= batch
        if wanted > batch:
            self._waiting[wake] = min(wanted - batch, self.total)
        return batch

    def give(self, count: int = 1) -> None:
        """Give slots back."""
        self._free += count
        if self._free > self.total:
            raise ValueError("more slots were given back than taken")
        if self._waiting:
            self._wake_first()

    def queued(self, wake: Wake) -> bool:
        """Whether ``wake`` is to be called."""
        return wake in self._waiting

    def withdraw(self, wake: Wake) -> None:
        """No longer wait for a slot; does nothing where ``wake`` does not."""
        if self._waiting and self._waiting.pop(wake, None) is not None:
            self._wake_first()

    def _wake_first(self) -> None:
        free = self._free
        for wake, wanted in list(islice(self._waiting.items(), free)):
            free -= wanted
            if free < 0:
                return
            wake()
