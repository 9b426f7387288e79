"""``Tap``: shown every diff that a keeper takes, and what becomes of it, as it happens."""

from collections.abc import Sequence
from typing import Protocol

from depthcast.events import Diff, Snapshot
from depthcast.keeper.live import LiveBook
from depthcast.sync import Verdict


class Tap(Protocol):
    """Sees each diff of the symbols kept. Called in the keeper's loop; raises nothing and takes no time."""

    def coming(self, live: LiveBook, diff: Diff) -> None:
        """A diff is about to be taken; the book still is as it was before."""

    def took(self, live: LiveBook, diff: Diff, verdict: Verdict) -> None:
        """It was taken, and this is what became of it."""

    def began(self, symbol: str, snapshot: Snapshot, buffered: Sequence[Diff]) -> None:
        """A book began from a snapshot; see :data:`depthcast.sync.Began`. Its epoch is known afterwards."""

    def broke(self, symbol: str, reason: str) -> None:
        """A book has to be built anew; reasons as an :class:`~depthcast.keeper.Observer` is told them."""

    def dropped(self, symbol: str) -> None:
        """A symbol is kept no more."""
