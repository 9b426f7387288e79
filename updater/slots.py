"""``Slots``: at most so many requests to the store at once, over all keys.

A slot is taken *before* a book is rendered, so nothing rendered ever waits and what is written is always the
newest book. Who finds no slot is woken, first come first served, when one is free. For one event loop.
"""

from collections import OrderedDict
from collections.abc import Callable
from itertools import islice


class Slots:
    """``total`` slots. A waiter is known by the function that wakes it."""

    def __init__(self, total: int) -> None:
        if total < 1:
            raise ValueError("at least one slot is needed")
        self.total = total
        self._free = total
        self._waiting: OrderedDict[Callable[[], None], None] = OrderedDict()

    @property
    def taken(self) -> int:
        """How many requests are in flight."""
        return self.total - self._free

    def take(self, wake: Callable[[], None]) -> bool:
        """Take a slot, or queue up for one: ``wake`` is called once it may be free. O(slots)."""
        in_front = islice(self._waiting, self._free)
        if len(self._waiting) < self._free or wake in in_front:
            self._waiting.pop(wake, None)
            self._free -= 1
            return True
        self._waiting.setdefault(wake)
        return False

    def give(self) -> None:
        """Give a slot back."""
        self._free += 1
        if self._free > self.total:
            raise ValueError("more slots were given back than taken")
        self._wake_first()

    def withdraw(self, wake: Callable[[], None]) -> None:
        """No longer wait for a slot; does nothing where ``wake`` does not."""
        if self._waiting and self._waiting.pop(wake, self) is not self:
            self._wake_first()

    def _wake_first(self) -> None:
        for wake in list(islice(self._waiting, self._free)):
            wake()
