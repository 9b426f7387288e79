"""``Reel``: one symbol's diffs as they come, cut into intervals. Sans I/O.

An interval is the exchange's: a diff belongs to that of the greatest event time seen so far in its chain. It
ends, known to its end, with a later diff of the same chain; or, where the symbol is quiet, once the
exchange's clock is ``grace_s`` beyond it while the stream was known to be live. A chain is what follows on
each other without a gap; where it breaks, the present piece ends, and another one begins with the book that
was built anew.

**Books built anew.** The diffs that were buffered meanwhile are recorded too. Where they follow on what was
recorded before, and the book was only doubted, the old piece goes on and nothing is missing. A book that was
*wrong* (crossed, a bad level) is not trusted further than to where the new one begins.

**Re-based ids.** Where ids went down, the new count is of the next epoch, which is claimed in the store only
a while later (:mod:`updater.claims`).
"""

from collections.abc import Callable, Sequence
from typing import Final

from depthcast.errors import BookError
from depthcast.orders.messages import AnyDiff, AnySnapshot
from depthcast.sync import Verdict
from depthcast.tape.keys import LENGTH_S, start_of
from depthcast.venues.taping import Taping
from updater.tape.packed import PLAIN, PackedBook, PackedDiff, PackedPiece, Take, book_after, pack_book

GRACE_S: Final = 15.0
GIVE_UP_S: Final = 60.0
MOST_QUIET: Final = 60
"""Intervals in a row that are written of a symbol without a diff, where one is seen only later."""

WRONG: Final = frozenset({Verdict.BAD.value, Verdict.REBASED.value, "crossed", "exhausted"})
"""Reasons of a resync for which the book before it is not trusted."""

Frame = Callable[[], PackedBook]


class Reel:
    """What is recorded of one symbol. Each method returns the takes that are finished by it.

    ``taping`` is its venue's.

    ``grace_s``: how late a diff may come; ``give_up_s``: how long it is waited for a stream to be known live.
    """

    def __init__(
        self,
        symbol: str,
        *,
        length_s: int = LENGTH_S,
        grace_s: float = GRACE_S,
        give_up_s: float = GIVE_UP_S,
        taping: Taping = PLAIN,
    ) -> None:
        self.symbol = symbol
        self._taping = taping
        self.length_s = length_s
        self._length_ms = length_s * 1000
        self._grace_ms = round(grace_s * 1000)
        self._give_up_ms = round(give_up_s * 1000)
        self._start_ms: int | None = None
        """The open interval's beginning; ``None`` where none is open."""
        self._pieces: list[PackedPiece] = []
        self._from_start = False
        self._chained = False
        """Whether the last piece is of the present chain."""
        self._wrong = False
        self._rebased = False
        self._epoch_ahead: tuple[int, int] | None = None
        """(epoch of the book, epoch of its ids): they differ after the ids went down, until it is claimed."""
        self._recorded: tuple[int, int] | None = None
        """Epoch and last id of the piece before those that are open."""
        self.size = 0
        """Bytes of memory of what is open."""

    @property
    def open(self) -> bool:
        """Whether there is something that is not finished."""
        return self._start_ms is not None

    def expects(self, update_id: int, epoch: int, event_time_ms: int) -> bool:
        """Whether a diff upon a book of this id needs no frame: it goes on in the open interval."""
        return self._goes_on(update_id, epoch) and event_time_ms < self._end_ms

    def add(self, diff: PackedDiff, upon_id: int, epoch: int, frame: Frame) -> list[Take]:
        """A diff was applied to a book of this id; ``frame`` gives that book, as it was before."""
        done: list[Take] = []
        if not self._goes_on(upon_id, epoch):
            done += self._begin(frame(), epoch, diff.event_time_ms)
        elif diff.event_time_ms >= self._end_ms:
            done += self._turn(start_of(diff.event_time_ms, self.length_s), frame())
        self._pieces[-1].diffs.append(diff)
        self.size += diff.size
        return done

    def began(
        self,
        snapshot: AnySnapshot,
        buffered: Sequence[tuple[AnyDiff, PackedDiff]],
        epoch: int,
        local_time_us: int,
    ) -> list[Take]:
        """A book was built anew, from a snapshot and what was buffered: a chain, in parts in the snapshot."""
        done: list[Take] = []
        plain = [diff for diff, _ in buffered]
        goes_on = self._is_reached(snapshot, buffered, epoch)
        if goes_on:
            upon_id = self._pieces[-1].last_id
        else:
            upon_id = snapshot.update_id
            self._chained = self._wrong = False
        for at, (diff, packed) in enumerate(buffered):
            if diff.last <= upon_id:
                continue

            def frame(before: int = at) -> PackedBook:
                return pack_book(
                    book_after(snapshot, plain[:before], self._taping), local_time_us, self._taping
                )

            try:
                done += self.add(packed, upon_id, epoch, frame)
            except BookError:
                break
            upon_id = diff.last
        return done

    def broke(self, reason: str) -> None:
        """The book is built anew."""
        self._wrong = self._wrong or reason in WRONG
        self._rebased = self._rebased or reason == Verdict.REBASED.value

    def tick(self, now_ms: int, *, book_id: int | None, epoch: int, sure: bool, frame: Frame) -> list[Take]:
        """Time passes. ``book_id`` is the live book's (``None``: there is none); ``sure``: its stream is
        known to be live, so that it would have changed."""
        done: list[Take] = []
        if book_id is not None and not self._goes_on(book_id, epoch):
            done += self._begin(frame(), epoch, now_ms)
        while self._start_ms is not None and now_ms >= self._end_ms + self._grace_ms:
            intact = book_id is not None and self._goes_on(book_id, epoch)
            quiet_for = (now_ms - self._end_ms) // self._length_ms
            if intact and sure and quiet_for <= MOST_QUIET:
                done += self._turn(self._end_ms, frame())
            elif not intact or quiet_for > MOST_QUIET or now_ms >= self._end_ms + self._give_up_ms:
                done += self.end()
            else:
                break
        return done

    def end(self) -> list[Take]:
        """Nothing more is recorded of the open interval: finish it, its end not known."""
        if self._start_ms is None:
            return []
        done = self._finish(to_end=False)
        self._start_ms, self._chained = None, False
        return done

    def drop(self) -> int:
        """Forget the open interval; how many diffs were lost."""
        lost = sum(len(piece.diffs) for piece in self._pieces)
        self._let_go()
        self._start_ms, self._chained = None, False
        return lost

    # Steps

    @property
    def _end_ms(self) -> int:
        assert self._start_ms is not None
        return self._start_ms + self._length_ms

    def _goes_on(self, update_id: int, epoch: int) -> bool:
        return (
            self._chained
            and not self._wrong
            and self._pieces[-1].last_id == update_id
            and self._pieces[-1].epoch == self._epoch_of(epoch)
        )

    def _epoch_of(self, epoch: int) -> int:
        """The epoch of ids, from the book's."""
        ahead = self._epoch_ahead
        return ahead[1] if ahead is not None and ahead[0] == epoch else epoch

    def _is_reached(
        self, snapshot: AnySnapshot, buffered: Sequence[tuple[AnyDiff, PackedDiff]], epoch: int
    ) -> bool:
        """Whether what was buffered follows on the last piece, so that nothing is missing between."""
        if not self._chained or self._wrong or self._pieces[-1].epoch != self._epoch_of(epoch):
            return False
        last_id = self._pieces[-1].last_id
        if last_id == snapshot.update_id:
            return True
        if not buffered or not buffered[0][0].after <= last_id < buffered[-1][0].last:
            return False
        # The book between the two is known of nobody: no interval may begin there.
        return all(
            diff.event_time_ms < self._end_ms for diff, _ in buffered if diff.after < snapshot.update_id
        )

    def _begin(self, frame: PackedBook, epoch: int, time_ms: int) -> list[Take]:
        """A chain begins with this book."""
        done: list[Take] = []
        start_ms = start_of(time_ms, self.length_s)
        epoch = self._counted(frame.update_id, epoch)
        if self._start_ms is not None and start_ms > self._start_ms:
            done = self.end()
        if self._start_ms is None:
            self._start_ms, self._from_start = start_ms, False
        self._take_back(frame.update_id, epoch)
        self._pieces.append(PackedPiece(epoch, frame))
        self.size += frame.size
        self._chained, self._wrong, self._rebased = True, False, False
        return done

    def _counted(self, first_id: int, epoch: int) -> int:
        """The epoch of a chain that begins with this id."""
        counted = self._epoch_of(epoch)
        before = (self._pieces[-1].epoch, self._pieces[-1].last_id) if self._pieces else self._recorded
        if self._rebased and before is not None and counted == before[0] and first_id < before[1]:
            counted += 1
            self._epoch_ahead = (epoch, counted)
        return counted

    def _take_back(self, first_id: int, epoch: int) -> None:
        """Let go of what a new chain, beginning with this id, tells anew."""
        while self._pieces and self._pieces[-1].epoch == epoch and self._pieces[-1].last_id >= first_id:
            piece = self._pieces[-1]
            while piece.diffs and piece.last_id >= first_id:
                self.size -= piece.diffs.pop().size
            if piece.last_id < first_id:
                break
            self.size -= piece.frame.size
            self._pieces.pop()
            self._from_start = self._from_start and bool(self._pieces)

    def _turn(self, start_ms: int, frame: PackedBook) -> list[Take]:
        """The chain goes on in a later interval; those between were quiet."""
        epoch = self._pieces[-1].epoch
        until_ms = self._end_ms
        done = self._finish(to_end=True)
        between = range(until_ms, start_ms, self._length_ms)
        for quiet_ms in between[max(len(between) - MOST_QUIET, 0) :]:
            piece = PackedPiece(epoch, frame)
            done.append(Take(self.symbol, quiet_ms, self.length_s, (piece,), True, True, frame.size))
        self._start_ms, self._from_start = start_ms, True
        self._pieces = [PackedPiece(epoch, frame)]
        self.size = frame.size
        return done

    def _finish(self, *, to_end: bool) -> list[Take]:
        assert self._start_ms is not None
        take = Take(
            self.symbol,
            self._start_ms,
            self.length_s,
            tuple(self._pieces),
            self._from_start,
            to_end and self._chained,
            self.size,
        )
        self._let_go()
        return [take] if take.pieces else []

    def _let_go(self) -> None:
        if self._pieces:
            self._recorded = (self._pieces[-1].epoch, self._pieces[-1].last_id)
        self._pieces, self.size = [], 0

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken. O(diffs)."""
        if self._start_ms is None:
            assert not self._chained, "a chain in no interval"
            return
        assert self._pieces, "an open interval without a piece"
        assert self.size == sum(piece.size for piece in self._pieces), "its size is wrong"
        for piece in self._pieces:
            at = piece.frame.update_id
            for diff in piece.diffs:
                after = diff.first - 1 if diff.previous < 0 else diff.previous
                assert after <= at < diff.last, "a piece is broken"
                at = diff.last
