"""How much request weight may still be spent in this minute. Pure: the clock's reading is an argument.

A venue counts the weight of an address's requests in windows of a UTC clock minute and reports the sum with
each answer. Others may share the address, so the report counts, not our own sum: a report below what was seen
before is an older answer overtaken by a newer one, unless the minute turned.

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

    A request heavier than its share may be sent in a minute in which nothing else was used.
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

    def used(self, now_ms: int) -> int:
        """The weight used in this window as far as we know, without requests in flight."""
        self._turn(now_ms)
        return self._used

    def reserve(self, weight: int, now_ms: int) -> Reservation:
        """Set ``weight`` aside: its request is sent now."""
        self._turn(now_ms)
        self._in_flight += weight
        return Reservation(weight, self._window)

    def withdraw(self, reservation: Reservation) -> None:
        """The request was not sent after all."""
        self._in_flight -= reservation.weight

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
        """How long a request of ``weight`` has to wait; 0 where it may be sent now."""
        self._turn(now_ms)
        allowance = max(self._allowance(background), weight)
        if self._used + self._in_flight + weight <= allowance:
            return 0
        return self._to_turn_ms(now_ms)

    def time_for_ms(self, weight: int, *, background: bool, now_ms: int) -> int:
        """How long spending ``weight`` takes, in many requests, where nobody else spends any."""
        self._turn(now_ms)
        allowance = max(self._allowance(background), 1)
        left = weight - max(allowance - self._used - self._in_flight, 0)
        if left <= 0:
            return 0
        further_minutes = (left - 1) // allowance
        return self._to_turn_ms(now_ms) + further_minutes * MINUTE_MS

    def _allowance(self, background: bool) -> int:
        return int(self.limit * (self._background_share if background else self._share))

    def _to_turn_ms(self, now_ms: int) -> int:
        return MINUTE_MS - (now_ms - self._margin_ms) % MINUTE_MS

    def _turn(self, now_ms: int) -> None:
        window = (now_ms - self._margin_ms) // MINUTE_MS
        if window != self._window:
            self._window = window
            self._used = 0
