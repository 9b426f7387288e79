"""``Duty``: whether a replica writes a symbol's files now. Sans-I/O, no clock.

Of the replicas that hold a symbol the first in rank writes at once, and the others watch one file of it. They
need not agree on who is first, nor on who lives: a wrong opinion costs some lost writes and never a wrong
file, for safety rests on the write rule alone (:mod:`updater.writing`).

=======  ========================================================  =======  =============================
role     event                                                     role     what follows
=======  ========================================================  =======  =============================
any      it is first in rank                                       WRITER   it writes at once, always
WRITER   it is no longer first                                     ACTING   it writes on
STANDBY  the watched file lags, for as long as the rank asks       ACTING   it writes
STANDBY  the watched file stays ahead of the live book, unmoved    ACTING   it asks the exchange whether
                                                                            ids went down, and if so
                                                                            claims the next epoch
                                                                            (:mod:`updater.claims`)
ACTING   the watched file was written by another replica, and is   STANDBY  it watches the file
         as new as what it wrote itself, or as its book was when            (:mod:`updater.watch`)
         it began, and newer than what it found ahead then
ACTING   the first in rank says that it writes and has the book     STANDBY  it watches the file
=======  ========================================================  =======  =============================

A replica that begins to write after it was STANDBY knows nothing of the files, and looks first. What counts
for ACTING is the *watched* file alone, since of several files each of two replicas could win one, and both
would stand back. Of two that act, the one whose write of that file is lost to the other's stands back.

``takeover_after_s`` 0: everybody is WRITER whatever the rank, and the write rule picks the winner.
"""

from depthcast.files import Version
from depthcast.heartbeat import Role


class Duty:
    """One replica's duty for one symbol. ``rank`` counts from 0 among the replicas that hold the symbol."""

    def __init__(self, *, takeover_after_s: float, rank: int = 0) -> None:
        self.takeover_after_s = takeover_after_s
        self.rank = rank
        self.role = Role.WRITER if self._is_first else Role.STANDBY
        self._beyond: Version | None = None
        """What another replica has to reach to be seen to write: our last write, or our book before it."""
        self._wrote = False
        """Whether the watched file was written since this replica was STANDBY last."""
        self._passed = False
        """Whether another one was, since this replica was first, where everybody writes."""

    @property
    def _is_first(self) -> bool:
        return self.rank == 0 or self.takeover_after_s == 0

    @property
    def writes(self) -> bool:
        """Whether the replica writes now."""
        return self.role is not Role.STANDBY

    @property
    def yielded(self) -> bool:
        """Whether another replica was seen to write since this one was to; or this one never was."""
        return self.role is Role.STANDBY or (self.rank > 0 and self._passed)

    @property
    def patience_s(self) -> float:
        """How long the watched file may lag the book before a standby takes over, in seconds."""
        return self.rank * self.takeover_after_s

    def set_rank(self, rank: int) -> None:
        """The replica's rank is this now."""
        if self.rank == 0 and rank > 0:
            self._passed = False
        self.rank = rank
        if self._is_first:
            self.role = Role.WRITER
        elif self.role is Role.WRITER:
            # Who has written nothing yet has nothing to keep up until another one begins.
            self.role = Role.ACTING if self._wrote else Role.STANDBY

    def take_over(self, mine: Version, *, ahead: Version | None = None) -> None:
        """The watched file lags the book, which is ``mine``; or it stays ahead of it, at ``ahead``."""
        if self.role is not Role.STANDBY:
            raise ValueError("only a standby takes over")
        self.role = Role.ACTING
        self._beyond = mine if ahead is None else Version(ahead.epoch, ahead.update_id + 1)

    def hand_over(self) -> None:
        """The first in rank says that it writes.

        Without this a symbol that is quiet would not change hands, nor one whose ACTING replica is always
        the faster one. If the first does not write after all, the file lags.
        """
        if self.role is not Role.ACTING:
            raise ValueError("only who acts hands over")
        self.role, self._beyond, self._wrote = Role.STANDBY, None, False

    def wrote(self, version: Version) -> None:
        """The watched file was written by this replica. A write that it began before it stood back counts
        for nothing."""
        if self.writes:
            self._beyond, self._wrote = version, True

    def saw_another(self, version: Version) -> None:
        """The watched file is another replica's, of this version."""
        if self._beyond is not None and version < self._beyond:
            return
        if self.role is Role.ACTING:
            self.role, self._beyond, self._wrote = Role.STANDBY, None, False
        else:
            self._passed = self.rank > 0

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        assert self.rank >= 0
        assert (self.role is Role.WRITER) == self._is_first, "only the first in rank is the writer"
