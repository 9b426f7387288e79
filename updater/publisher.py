"""``Publisher``: writes one symbol's files, always of its newest book.

One task a symbol, one request in flight a key. Nothing queues: a book is rendered when a write begins, so a
slow store makes files less frequent, never old (:class:`~updater.rounds.Rounds`). Whether this replica writes
the symbol at all :class:`~updater.duty.Duty` decides, and in which epoch :class:`~updater.claims.Claims`;
this is their thin rim. A standby watches one file (:class:`~updater.standby.Standby`), and takes over where
that lags its book.
"""

import asyncio
import time
from asyncio import TaskGroup, TimerHandle
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Final, NamedTuple

from depthcast.backoff import Backoff
from depthcast.dispatch import Dispatcher, Work
from depthcast.errors import VenueError
from depthcast.files import BINANCE, LIMITS, OPERATOR, TRADING, Scheme, Version, depth_key
from depthcast.heartbeat import Role
from depthcast.store import Outcome, Store, StoredObject
from updater.cadence import Cadence
from updater.claims import ClaimEvent, Claims
from updater.duty import Duty
from updater.outage import Outage
from updater.ports import LiveBook, Observer
from updater.rounds import Rounds
from updater.slots import Slots
from updater.standby import Standby
from updater.watch import Watch
from updater.writing import NEVER, KeyWriter

CACHE_CONTROL: Final = "public, max-age=0, s-maxage=1"
"""What may be kept of a file, by default. A client asks again each time (an unchanged file costs a 304); an
edge answers one second's readers with one request to the store, and so adds a second of age at most. Nothing
stale is allowed on errors: who reads from an edge alone could not tell."""

_TOO_EARLY_S: Final = 1e-8
"""A loop's timers may ring by its clock's resolution too early, when nothing is due yet."""

LOOK_EVERY_S: Final = 0.5
"""A standby looks at no file more often, on average over two looks."""


class FileState(NamedTuple):
    """One of a symbol's files: its version in the store as far as known, and its age against the book."""

    limit: int
    version: Version | None
    behind_s: float


class Publisher:
    """One symbol's files. :meth:`run` is its task; :meth:`wake` tells it that the book changed.

    ``limits`` are the files written, ``scheme`` is the venue's. The caller shares ``slots``, ``outage`` and
    ``dispatcher``, in whose turns files are rendered, among all its publishers. ``on_newer_epoch`` is called
    with the symbol and an epoch greater than the book's: the book is to be taken anew from the venue, in this
    epoch or a later one. ``confirm`` returns the update id of a snapshot that the venue makes now, or raises
    :class:`~depthcast.errors.VenueError`. ``rank`` is the replica's among those that hold the symbol
    (:meth:`set_rank`), ``status`` the venue's word for what the symbol does.
    Raises :class:`~depthcast.errors.BadKey` where there is no key for a symbol and a limit.
    """

    def __init__(
        self,
        live: LiveBook,
        store: Store,
        *,
        replica: str,
        observer: Observer,
        on_newer_epoch: Callable[[str, int], None],
        confirm: Callable[[str], Awaitable[int]],
        # What is written, and how often
        scheme: Scheme = BINANCE,
        limits: Sequence[int] = LIMITS,
        cadence: Cadence | None = None,
        cache_control: str = CACHE_CONTROL,
        status: Callable[[], str] = lambda: TRADING,
        # Who writes
        rank: int = 0,
        takeover_after_s: float = 0.5,
        act_for_s: float = 5.0,
        # Limits
        slots: Slots | None = None,
        outage: Outage | None = None,
        dispatcher: Dispatcher | None = None,
        # Waits
        same_levels_s: float = 1.0,
        watch_s: float = 1.0,
        patrol_s: float = 300.0,
        epoch_after_s: float = 60.0,
        backoff_initial_s: float = 0.1,
        backoff_maximum_s: float = 10.0,
        # Time and chance
        clock: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        rng: Random | None = None,
    ) -> None:
        self.symbol = live.symbol
        self._live = live
        self._replica = replica
        self._observer = observer
        self._on_newer_epoch = on_newer_epoch
        self._ask_venue = confirm
        self._slots = slots or Slots(64)
        self._outage = outage or Outage(clock=clock)
        self._dispatcher = dispatcher or Dispatcher(clock=clock)
        self._clock = clock

        cadence = cadence or Cadence()
        rng = rng or Random()
        self._writers = {
            limit: KeyWriter(
                depth_key(live.symbol, limit, scheme),
                unnumbered=scheme.layout(limit).unnumbered,
                every_s=cadence.every_s(scheme.size(limit)),
                same_levels_s=same_levels_s,
                watch_s=watch_s,
                patrol_s=patrol_s,
                backoff=Backoff(backoff_initial_s, maximum_s=backoff_maximum_s, rng=rng),
            )
            for limit in scheme.ordered(limits)
        }
        self._rounds = Rounds(
            self,
            store,
            live.symbol,
            self._writers,
            scheme=scheme,
            replica=replica,
            observer=observer,
            cache_control=cache_control,
            status=status,
            slots=self._slots,
            outage=self._outage,
            clock=clock,
            wall_ms=wall_ms,
        )
        self._largest = max(self._writers, key=scheme.size)
        # Its levels change at nearly every update, and it is small.
        self._watched = min(
            self._writers, key=lambda limit: (cadence.every_s(scheme.size(limit)), -scheme.size(limit))
        )
        every_s = cadence.every_s(scheme.size(self._watched))
        self._act_for_s = act_for_s
        self._took_over_at = float("-inf")
        self._duty = Duty(takeover_after_s=takeover_after_s, rank=rank)
        self._watch = Watch(
            patience_s=self._duty.patience_s,
            every_s=every_s,
            look_every_s=max(LOOK_EVERY_S, takeover_after_s),
            same_levels_s=same_levels_s,
            ahead_s=watch_s,
            patrol_s=patrol_s,
            backoff=Backoff(backoff_initial_s, maximum_s=backoff_maximum_s, rng=rng),
        )
        self._claims = Claims(after_s=epoch_after_s)
        self._standby = Standby(
            live,
            store,
            key=self._writers[self._watched].key,
            limit=self._watched,
            unnumbered=scheme.layout(self._watched).unnumbered,
            watch=self._watch,
            claims=self._claims,
            observer=observer,
            clock=clock,
        )
        self._awake = asyncio.Event()
        self._all_due = True
        self._ended: list[int] = []
        self._alarm: TimerHandle | None = None
        self._alarm_at = NEVER
        self._stopping = False
        self._confirming: asyncio.Task[None] | None = None

    # From outside

    def wake(self) -> None:
        """The book changed, or something else that may make a write possible."""
        self._all_due = True
        self._awake.set()

    def stop(self) -> None:
        """Begin nothing any more; :meth:`run` returns when what is in flight has ended."""
        self._stopping = True
        if self._confirming is not None:
            self._confirming.cancel()
        self._awake.set()

    async def run(self) -> None:
        """Write until :meth:`stop`. Cancelled, it gives up what is in flight: its outcome stays unknown."""
        try:
            async with TaskGroup() as group:
                while not self._stopping:
                    await self._dispatcher.run(Work.RENDER, self, self._take_turn, group)
                    await self._awake.wait()
        finally:
            self._set_alarm(NEVER)
            self._slots.withdraw(self.wake)
            self._outage.withdraw(self.resume)

    def set_rank(self, rank: int) -> None:
        """The replica's rank among those that hold the symbol is this from now on; 0: it is to write."""
        if rank == self._duty.rank:
            return
        wrote = self._duty.writes
        self._duty.set_rank(rank)
        self._watch.patience_s = self._duty.patience_s
        if not wrote and self._duty.writes:
            self._begin_writing()
        elif wrote and not self._duty.writes:
            self._stop_writing(self._writers[self._watched].stored)
        self.wake()

    def hand_over(self) -> None:
        """The first in rank says that it writes and has the book: stand back, where this replica is ACTING.

        Not before ``act_for_s`` after it took over, though: one that says so and does not write would else
        be believed again and again.
        """
        stored = self._writers[self._watched].stored
        acts = self._duty.role is Role.ACTING and self._clock() - self._took_over_at >= self._act_for_s
        if acts and stored is not None:
            self._duty.hand_over()
            self._stop_writing(stored)
            self.wake()

    @property
    def rank(self) -> int:
        """As it was set last."""
        return self._duty.rank

    @property
    def role(self) -> Role:
        """What the replica does for the symbol."""
        return self._duty.role

    @property
    def yielded(self) -> bool:
        """Whether the replica may leave: another one was seen to write since it was to, or it never was."""
        return self._duty.yielded

    def behind_s(self) -> float:
        """For how long the watched file has been older than the book, as far as is known."""
        mine, now = self._mine, self._clock()
        if mine is None:
            return 0.0
        if not self._duty.writes:
            return self._watch.behind_s(now)
        return self._writers[self._watched].behind_s(now, mine)

    @property
    def settled(self) -> bool:
        """Whether each file has been as new as the book at least once, written here or elsewhere.

        A standby judges by the file that it watches.
        """
        return self._watch.settled or all(writer.settled for writer in self._writers.values())

    @property
    def _mine(self) -> Version | None:
        book = self._live.book
        return None if book is None else Version(self._live.epoch, book.update_id)

    def files(self) -> list[FileState]:
        """What is known of each file, smallest limit first; by a standby, of the one it watches."""
        mine, now = self._mine, self._clock()
        if not self._duty.writes:
            watched = FileState(self._watched, self._watch.stored, self._watch.behind_s(now))
            unknown = (FileState(limit, None, 0.0) for limit in self._writers)
            return [watched if each.limit == self._watched else each for each in unknown]
        if mine is None:
            return [FileState(limit, writer.stored, 0.0) for limit, writer in self._writers.items()]
        return [
            FileState(limit, writer.stored, writer.behind_s(now, mine))
            for limit, writer in self._writers.items()
        ]

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        for writer in self._writers.values():
            writer.check()
        self._duty.check()
        self._watch.check()
        self._claims.check()
        assert self._duty.writes or self._claims.claiming is None, "a standby claims no epoch"

    # One round: begin what is due

    def _take_turn(self, group: TaskGroup) -> None:
        """A round, unless it has become too late for one. What woke the publisher meanwhile is in it."""
        if not self._stopping:
            self._awake.clear()
            self._round(group)

    def _round(self, group: TaskGroup) -> None:
        """Begin what is due: of all files after a change, else of those whose request has just ended."""
        everything, ended = self._all_due, self._ended
        self._all_due, self._ended = False, []
        book = self._live.book
        if book is None or self._overtaken():
            self._slots.withdraw(self.wake)
            return
        now = self._clock()
        mine = Version(self._live.epoch, book.update_id)
        if not self._duty.writes:
            self._stand_by(now, mine, group)
            return
        again_at = self._rounds.begin(book, mine, group, ended=None if everything else ended)
        self._set_alarm(again_at if everything else min(again_at, self._alarm_at))
        self._consider_claim(now, mine, group)

    def _set_alarm(self, at: float) -> None:
        """Wake at this time, and at no other."""
        if at == self._alarm_at:
            return
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._alarm_at = at
        if at < NEVER:
            delay_s = max(0.0, at - self._clock()) + _TOO_EARLY_S
            self._alarm = asyncio.get_running_loop().call_later(delay_s, self._ring)

    def _ring(self) -> None:
        self._alarm, self._alarm_at = None, NEVER
        self.wake()

    # What the rounds ask and tell

    def target(self, limit: int, mine: Version) -> Version:
        """What the file of ``limit`` is to become: the book's version, or the epoch that is claimed."""
        claiming = self._claims.claiming
        if claiming is not None and limit == self._largest:
            return Version(claiming, mine.update_id)
        return mine

    def looked(self, limit: int, found: StoredObject | None, stored: Version | None) -> None:
        """A file was looked at."""
        if limit == self._watched:
            self._consider_yielding(found, stored)

    def wrote(self, limit: int, version: Version, outcome: Outcome) -> None:
        """A write ended."""
        won = outcome is Outcome.WON
        if won and limit == self._watched:
            self._duty.wrote(version)
        self._tell_claim(version.epoch, self._claims.wrote(self._clock(), version.epoch, won=won))

    def ended(self, limit: int, stored: Version | None) -> None:
        """A request ended."""
        self._claims.saw(stored)
        self._ended.append(limit)
        self._awake.set()

    def resume(self) -> None:
        """The store answers again."""
        for writer in self._writers.values():
            writer.resume()
        self._watch.resume()
        self.wake()

    # Standing by

    def _stand_by(self, now: float, mine: Version, group: TaskGroup) -> None:
        """One round of a standby: look at the watched file where that is due."""
        look_at = self._standby.look_at(now, mine)
        if now < look_at:
            self._slots.withdraw(self.wake)
            self._set_alarm(min(look_at, self._watch.mark_at))
            return
        self._set_alarm(NEVER)
        if self._slots.take(1, self.wake):
            self._standby.looking(now)
            group.create_task(self._look_at_watched())

    async def _look_at_watched(self) -> None:
        begun = self._clock()
        try:
            if await self._standby.look():
                self._outage.read()
                self._consider_takeover()
            else:
                self._outage.failed(begun, self.resume)
        finally:
            self._slots.give()
            self.wake()

    def _consider_takeover(self) -> None:
        """Take over where the look that has just ended showed that the file lags or is left ahead."""
        mine = self._mine
        if mine is None or self._duty.writes or self._stopping:
            return
        if not self._live.live or self._claims.newest > mine.epoch:
            return
        now, rank, lag_s = self._clock(), self._duty.rank, self._watch.lag_s
        if lag_s is not None:
            self._duty.take_over(mine)
        elif (
            self._claims.due(now, (self._watch,), self._live.changed_at, later=rank)
            and not self._standby.book_is_late
        ):
            self._duty.take_over(mine, ahead=self._watch.stored)
        else:
            return
        self._begin_writing()
        self._tell_writer()
        self._took_over_at = now
        self._observer.took_over(self.symbol, rank, lag_s)

    def _begin_writing(self) -> None:
        for writer in self._writers.values():
            writer.doubt()
        seen, stored, ahead_since = self._standby.seen, self._watch.stored, self._watch.ahead_since
        if seen is not None and stored is not None and ahead_since is not None:
            self._writers[self._watched].was_ahead(seen.etag, stored, ahead_since)

    def _tell_writer(self) -> None:
        """What the standby has just seen spares the writer of the watched file its first look."""
        writer = self._writers[self._watched]
        if not writer.in_flight:
            writer.looking()
            writer.saw(self._standby.seen, self._clock())

    def _consider_yielding(self, found: StoredObject | None, stored: Version | None) -> None:
        """The watched file was looked at: stand back where another replica writes it."""
        if found is None or stored is None:
            return
        if found.metadata.get("replica") in (self._replica, OPERATOR):
            return
        wrote = self._duty.writes
        self._duty.saw_another(stored)
        if wrote and not self._duty.writes:
            # What relieves this replica is as new as its book was.
            self._stop_writing(stored, reached=True)

    def _stop_writing(self, stored: Version | None, *, reached: bool = False) -> None:
        self._slots.withdraw(self.wake)
        if self._confirming is not None:
            self._confirming.cancel()
        self._claims.stop()
        self._standby.restart(stored, reached=reached or self._writers[self._watched].settled)
        self._observer.yielded(self.symbol)

    # Epochs

    def _overtaken(self) -> bool:
        """Whether a stored file is of a later epoch than the book; has the book taken anew, once an epoch."""
        claims, epoch = self._claims, self._live.epoch
        if not claims.overtaken(epoch):
            return False
        if claims.obey():
            self._observer.newer_epoch(self.symbol, epoch, claims.newest)
            self._on_newer_epoch(self.symbol, claims.newest)
        return True

    def _consider_claim(self, now: float, mine: Version, group: TaskGroup) -> None:
        """Begin to ask for a claim where a file has been ahead of a book that is alive for long enough."""
        changed_at = self._live.changed_at if self._live.live else -NEVER
        if self._claims.due(now, self._writers.values(), changed_at):
            self._claims.ask()
            self._tell_claim(mine.epoch + 1, ClaimEvent.ASKED)
            self._confirming = group.create_task(self._confirm(mine.epoch))

    async def _confirm(self, epoch: int) -> None:
        """Ask the exchange whether its ids went down, and if so let the next round claim an epoch."""
        try:
            confirmed = await self._ask_venue(self.symbol)
        except VenueError:
            event: ClaimEvent | None = self._claims.unanswered(self._clock())
        else:
            files = self._writers.values()
            event = self._claims.answered(self._clock(), confirmed, self._mine, epoch, files)
            self.wake()
        self._tell_claim(epoch + 1, event)

    def _tell_claim(self, epoch: int, event: ClaimEvent | None) -> None:
        if event is not None:
            self._observer.claim(self.symbol, epoch, event)
