"""How much request weight may still be spent in this minute. Pure: the clock's reading is an argument.

A venue counts the weight of an address's requests in windows of a UTC clock minute and reports the sum with
each answer. Others may share the address, so the report counts, not our own sum: a report below what was seen
before is an older answer overtaken by a newer one, unless the minute turned.

A report comes after the request, though, and replicas that start together would all see an empty minute. So
those who share an address each keep to an equal part of it, whatever the reports say.

Leaves to others: sending, waiting, and what happens once the venue says "too many" (:mod:`depthcast.rest`).
"""

from typing import Final, NamedTuple

MINUTE_MS: Final = 60_000


class Reservation(NamedTuple):
    """Weight set aside for a request in flight, and the window in which it was sent."""

    weight: int
    window: int


class WeightBudget:
    """The weight of one minute: what others and we have used, and what our requests in flight will use.

    ``limit`` is the venue's, a minute; foreground requests stay under ``share`` of it, background ones under
    ``background_share``, so that a refill never keeps a lost book waiting. A window begins ``margin_ms``
    after the minute does, in case our clock is ahead of the venue's.

    :attr:`peers` share the address: what this one sends in a minute stays under its part of the share, and
    what all use, as reported, under the whole.

    A request heavier than the share may be sent in a minute in which nothing else was used. One heavier than
    this replica's part alone may be the only one that it sends in a minute, and what it took beyond the part
    is missing from the next minutes.

    >>> budget, now_ms = WeightBudget(6000, share=0.5), 7 * MINUTE_MS + 2000
    >>> budget.settle(budget.reserve(250, now_ms), reported=2900, now_ms=now_ms)
    >>> budget.wait_ms(100, background=False, now_ms=now_ms)
    0
    >>> budget.wait_ms(250, background=False, now_ms=now_ms)
    59000
    """

    def __init__(
        self,
        limit: int,
        *,
        share: float = 0.8,
        background_share: float = 0.4,
        margin_ms: int = 1000,
    ) -> None:
        if not 0 < background_share <= share <= 1:
            raise ValueError("shares are ordered: 0 < background_share <= share <= 1")
        self.limit = limit
        self._share = share
        self._background_share = background_share
        self._margin_ms = margin_ms
        self._window = 0
        self._used = 0
        self._in_flight = 0
        self._peers = 1
        # Of this replica's requests, those in flight from an earlier minute and what is owed included.
        self._own = 0
        self._owed = 0

    @property
    def peers(self) -> int:
        """How many replicas, this one included, ask from the same address now.

        Setting it raises :class:`ValueError` for less than 1.
        """
        return self._peers

    @peers.setter
    def peers(self, peers: int) -> None:
        if peers < 1:
            raise ValueError(f"peers count this replica too, so there is at least 1, not {peers}")
        self._peers = peers

    def used(self, now_ms: int) -> int:
        """The weight used in this window as far as we know, without requests in flight."""
        self._turn(now_ms)
        return self._used

    def reserve(self, weight: int, now_ms: int) -> Reservation:
        """Set ``weight`` aside: its request is sent now."""
        self._turn(now_ms)
        self._in_flight += weight
        self._own += weight
        if self._peers > 1:
            self._owed += max(0, weight - self._part(False))
        return Reservation(weight, self._window)

    def withdraw(self, reservation: Reservation) -> None:
        """The request was not sent after all."""
        self._in_flight -= reservation.weight
        self._own = max(0, self._own - reservation.weight)
        if self._peers > 1:
            self._owed = max(0, self._owed - max(0, reservation.weight - self._part(False)))

    def settle(self, reservation: Reservation, reported: int | None, now_ms: int) -> None:
        """A request ended; ``reported`` is the used weight its answer told, ``None`` where there was none."""
        self._turn(now_ms)
        self._in_flight -= reservation.weight
        if reported is None or reservation.window != self._window:
            # Unanswered, it may have been counted all the same; answered across the turn of a minute,
            # its report may be the old minute's.
            self._used += reservation.weight
        else:
            self._used = max(self._used, reported)

    def wait_ms(self, weight: int, *, background: bool, now_ms: int) -> int:
        """How long a request of ``weight`` has to wait at least; 0 where it may be sent now."""
        self._turn(now_ms)
        if self._used + self._in_flight + weight > max(self._allowance(background), weight):
            return self._to_turn_ms(now_ms)
        # With nobody to share with, what others on the address use is in the reports in time.
        if self._peers > 1 and self._own + weight > max(self._part(background), weight):
            return self._to_turn_ms(now_ms)
        return 0

    def time_for_ms(
        self, weight: int, *, background: bool, now_ms: int, each: int = 1, after_ms: int = 0
    ) -> int:
        """How long spending ``weight`` takes, in many requests, where nobody but the peers spends any.

        ``each`` is what one request weighs: a minute takes whole ones. ``after_ms``: nothing is sent before.
        """
        self._turn(now_ms)
        if weight <= 0:
            return after_ms
        start_ms = now_ms + after_ms
        turned = self._window_of(start_ms) > self._window
        used = self._in_flight if turned else self._used + self._in_flight
        own = self._owed if turned else self._own
        part = self._part(background)
        now_free = min(self._allowance(background) - used, part - own if self._peers > 1 else part)
        left = weight - max(_whole(now_free, each), 0)
        if left <= 0:
            return after_ms
        further_minutes = (left - 1) // max(_whole(part, each) or part, 1)
        return after_ms + self._to_turn_ms(start_ms) + further_minutes * MINUTE_MS

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        assert self._peers >= 1
        assert min(self._used, self._in_flight, self._own, self._owed) >= 0, "a negative weight"
        assert self._own >= self._in_flight, "a request in flight that nobody sent"

    def _allowance(self, background: bool) -> int:
        return int(self.limit * (self._background_share if background else self._share))

    def _part(self, background: bool) -> int:
        """What this replica may send in a minute."""
        return self._allowance(background) // self._peers

    def _window_of(self, now_ms: int) -> int:
        return (now_ms - self._margin_ms) // MINUTE_MS

    def _to_turn_ms(self, now_ms: int) -> int:
        return MINUTE_MS - (now_ms - self._margin_ms) % MINUTE_MS

    def _turn(self, now_ms: int) -> None:
        window = self._window_of(now_ms)
        if window == self._window:
            return
        part = self._part(False)
        # One part was paid in the minute in which it was owed; a clock set back pays nothing.
        self._owed = max(0, self._owed - part * max(0, window - self._window - 1))
        self._own = self._in_flight + self._owed
        self._owed = max(0, self._owed - part)
        self._window = window
        self._used = 0


def _whole(weight: int, each: int) -> int:
    """What whole requests take of ``weight``."""
    return weight - weight % each
