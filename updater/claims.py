"""``Claims``: the epoch of a symbol's files, and whether the next one is to be claimed. Sans-I/O, no clock.

Update ids can go down (relisting, maintenance), and "only if greater" would then freeze a symbol for good.
So where a stored file of this book's epoch has stayed ahead of a book that is alive, unmoved for ``after_s``,
the exchange is asked for a fresh snapshot; if that is behind the file too, the *largest* file is written,
under the usual condition, in the next epoch. A stored file of a greater epoch than the book's, be it from
another replica or from our own claim, makes the book old whatever its id: nothing is written until it was
taken anew from the exchange.

Who stands by asks later, by :data:`LATER` a rank: the writer may be about to.

A claim is tried once for each confirmation: won or not, what is seen next decides. After one that came to
nothing the exchange is not asked again for ``after_s``.
"""

import math
from collections.abc import Iterable
from enum import Enum
from typing import Final, Protocol

from depthcast.files import Version

LATER: Final = 0.1
"""By how much longer a standby waits for each rank, as a part of ``after_s``."""


class ClaimEvent(Enum):
    """What became of the claim of an epoch, in the order in which it can."""

    ASKED = "asked"
    """A stored file stayed ahead; the exchange is asked for its id."""
    REFUTED = "refuted"
    """The exchange's own id is not behind the file, or the file moved meanwhile."""
    UNCONFIRMED = "unconfirmed"
    """The exchange did not answer."""
    WON = "won"
    LOST = "lost"
    """The write that claims it was not won; who did is seen at the next look."""


class StoredFile(Protocol):
    """What is known of a stored file; :class:`updater.writing.KeyWriter` is one."""

    stored: Version | None
    ahead_since: float | None


class Claims:
    """One symbol's epochs as one replica sees them. Times are readings of the caller's clock, in seconds.

    The caller tells each version that it sees (:meth:`saw`), writes nothing while :meth:`overtaken`, asks the
    exchange where that is :meth:`due`, says so (:meth:`ask`) and what came of it (:meth:`answered`,
    :meth:`unanswered`, :meth:`stop`), and writes the largest file in the epoch :attr:`claiming`, if there is
    one (:meth:`wrote`).
    """

    def __init__(self, *, after_s: float) -> None:
        self._after_s = after_s
        self.newest = 0
        """The greatest epoch of a stored file that was seen."""
        self.claiming: int | None = None
        """The epoch to be claimed by the next write of the largest file."""
        self._asking = False
        self._obeyed = 0
        self._ask_from = -math.inf

    # Later epochs

    def saw(self, version: Version | None) -> None:
        """A stored file is of this version."""
        if version is not None and version.epoch > self.newest:
            self.newest = version.epoch

    def overtaken(self, epoch: int) -> bool:
        """Whether a stored file is of a later epoch than the book, which is of ``epoch``."""
        if self.claiming is not None and self.claiming <= max(epoch, self.newest):
            self.claiming = None
        return self.newest > epoch

    def obey(self) -> bool:
        """Whether the book is still to be taken anew because of :attr:`newest`: once an epoch."""
        if self.newest <= self._obeyed:
            return False
        self._obeyed = self.newest
        return True

    # The next epoch

    def due(self, now: float, files: Iterable[StoredFile], changed_at: float, *, later: int = 0) -> bool:
        """Whether the exchange is to be asked: a file has been ahead of a book that is alive for long enough.

        ``changed_at``: when the book changed last; -inf where it is not kept up to date. ``later``: the rank
        of one who stands by.
        """
        since = now
        for file in files:
            ahead_since = file.ahead_since
            if ahead_since is not None and ahead_since < since:
                since = ahead_since
        after_s = self._after_s * (1 + LATER * later)
        if now - since < after_s or changed_at < since or now < self._ask_from:
            return False
        return self.claiming is None and not self._asking

    def ask(self) -> None:
        """The exchange is asked for its update id."""
        self._asking = True

    def answered(
        self, now: float, confirmed: int, mine: Version | None, asked_of: int, files: Iterable[StoredFile]
    ) -> ClaimEvent | None:
        """The exchange is at ``confirmed``; ``mine`` is the book, which was of epoch ``asked_of`` before.

        Returns what became of the claim; ``None``: it is to be written.
        """
        self._asking = False
        if mine is None or mine.epoch != asked_of:
            return self._ended(now, ClaimEvent.REFUTED)
        behind = max(confirmed, mine.update_id)
        for file in files:
            since, stored = file.ahead_since, file.stored
            if since is not None and since <= now - self._after_s and stored and stored.update_id > behind:
                self.claiming = asked_of + 1
                return None
        return self._ended(now, ClaimEvent.REFUTED)

    def unanswered(self, now: float) -> ClaimEvent:
        """The exchange did not answer."""
        self._asking = False
        return self._ended(now, ClaimEvent.UNCONFIRMED)

    def wrote(self, now: float, epoch: int, *, won: bool) -> ClaimEvent | None:
        """A file was written in ``epoch``. Returns what became of the claim of it, if it was one."""
        if epoch != self.claiming:
            return None
        return self._ended(now, ClaimEvent.WON if won else ClaimEvent.LOST)

    def _ended(self, now: float, event: ClaimEvent) -> ClaimEvent:
        self.claiming = None
        self._ask_from = now + self._after_s
        return event

    def stop(self) -> None:
        """Ask and claim nothing any more: another replica writes."""
        self._asking, self.claiming = False, None

    # Checking

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        assert self._obeyed <= self.newest, "a later epoch than any seen was obeyed"
        assert self.claiming is None or not self._asking, "claimed before it was confirmed"
