"""``Pulse``: until when each symbol's newest books are known to have been the exchange's. No I/O, no clock.

A *sighting* is one replica's word that its book, at some version, was the exchange's at some moment. It is
taken from a heartbeat (:mod:`depthcast.heartbeat`) and holds for every file of exactly that version.

Two clocks tell when that was. The *replica's* clock is what readers are told. What this server decides by is
its *own* monotonic clock: a heartbeat that changed between two readings was written after the earlier one
began. A replica's clock is believed in decisions only where it agrees with ours within ``trust_s``, and then
only for a time that has not passed yet: it can make a dead fleet look alive for no longer than that.

A replica whose stream lags says old things late. What is older than what was known before is not taken up.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from depthcast.files import Version, valid_status
from depthcast.heartbeat import Heartbeat, Role, State, SymbolBeat

REMEMBERED: Final = 8
"""So many versions of a symbol's book are remembered: a file trails its book by its cadence."""

FORGET_AFTER_S: Final = 60.0
"""So long a version counts as the newest known: ids that went down are then believed, if nobody objects."""

EVIDENCE_S: Final = 10.0
"""So long after a heartbeat that told of it evidence holds, unless another one takes it back."""

MAX_SYMBOLS: Final = 20_000


class Sighting(NamedTuple):
    """The exchange's book was at ``version``: at ``known_at`` at least, by our monotonic clock in seconds;
    at ``time_ms`` by the replica's clock, in ms since 1970."""

    version: Version
    known_at: float
    time_ms: int


class Pulse:
    """All that was heard. ``trust_s``: how far a replica's clock may be from ours to be believed."""

    def __init__(self, *, trust_s: float) -> None:
        self._trust_s = trust_s
        self._sightings: dict[str, tuple[Sighting, ...]] = {}
        self._read_from: float | None = None
        self.visible = False
        """Whether a heartbeat was ever found: where none can be, files are all there is to judge by."""
        self.heard_at = float("-inf")
        """When a replica last was alive, at least, by our monotonic clock."""
        self._evidence: dict[str, tuple[bytes, float]] = {}
        self._maintenance: dict[str, float] = {}

    def sightings(self, symbol: str) -> tuple[Sighting, ...]:
        """What is known of a symbol, by ascending version: the same object until something new is. O(1)."""
        return self._sightings.get(symbol, ())

    def evidence(self, symbol: str, now: float) -> bytes:
        """What speaks against a symbol's trading, whatever its status is, as its header has it; usually
        nothing. O(replicas)."""
        if any(now - heard_at <= EVIDENCE_S for heard_at in self._maintenance.values()):
            return b"MAINTENANCE; source=systemStatus"
        found = self._evidence.get(symbol)
        return found[0] if found is not None and now - found[1] <= EVIDENCE_S else b""

    def take(self, beats: Iterable[Heartbeat], *, began: float, now: float, wall_ms: int) -> None:
        """A reading of all heartbeats, begun at ``began`` and done at ``now``, found these changed.

        ``wall_ms`` is our own clock at ``now``, ms since 1970. O(symbols of the beats).
        """
        written_after = float("-inf") if self._read_from is None else self._read_from
        self._read_from = began
        for beat in sorted(beats, key=lambda beat: beat.time_ms):
            self.visible = True
            if beat.state is State.GONE:
                continue
            age_s = (wall_ms - beat.time_ms) / 1000
            trusted = now - max(0.0, age_s) if abs(age_s) <= self._trust_s else float("-inf")
            composed_at = max(written_after, trusted)
            if composed_at == float("-inf"):
                continue  # Found at the first reading, and perhaps as old as the hills.
            self.heard_at = max(self.heard_at, composed_at)
            if beat.maintenance:
                self._maintenance[beat.replica] = now
            else:
                self._maintenance.pop(beat.replica, None)
            time_ms = min(beat.time_ms, wall_ms)
            for symbol, book in beat.symbols.items():
                if book.role is not Role.STANDBY:
                    self._suspect(symbol, book, now)
                if book.live and book.heard_age_ms is not None and book.id is not None:
                    self._see(symbol, Version(book.epoch, book.id), book.heard_age_ms, composed_at, time_ms)

    def forget(self, now: float) -> None:
        """Drop the symbols nobody has spoken of for :data:`FORGET_AFTER_S`. O(symbols)."""
        old = now - FORGET_AFTER_S
        for symbol in [symbol for symbol, seen in self._sightings.items() if seen[-1].known_at < old]:
            del self._sightings[symbol]
        for symbol in [symbol for symbol, (_, heard_at) in self._evidence.items() if heard_at < old]:
            del self._evidence[symbol]

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken. O(symbols)."""
        assert len(self._sightings) <= MAX_SYMBOLS
        for seen in self._sightings.values():
            versions = [each.version for each in seen]
            assert 0 < len(seen) <= REMEMBERED
            assert versions == sorted(set(versions)), "versions out of order"

    def summary(self) -> Mapping[str, Sighting]:
        """The newest sighting of each symbol. O(symbols)."""
        return {symbol: seen[-1] for symbol, seen in self._sightings.items()}

    def _suspect(self, symbol: str, book: SymbolBeat, now: float) -> None:
        if book.suspicion and valid_status(book.suspicion):
            text = f"{book.suspicion}; source=feed; since={book.suspected_since_ms}".encode()
            self._evidence[symbol] = (text, now)
        else:
            self._evidence.pop(symbol, None)

    def _see(
        self, symbol: str, version: Version, heard_age_ms: int, composed_at: float, time_ms: int
    ) -> None:
        sighting = Sighting(version, composed_at - heard_age_ms / 1000, time_ms - heard_age_ms)
        seen = self._sightings.get(symbol)
        if seen is None:
            if len(self._sightings) < MAX_SYMBOLS:
                self._sightings[symbol] = (sighting,)
            return
        newest = seen[-1]
        if version > newest.version:
            self._sightings[symbol] = (*seen[1 - REMEMBERED :], sighting)
        elif version == newest.version:
            known_at = max(sighting.known_at, newest.known_at)
            self._sightings[symbol] = (
                *seen[:-1],
                Sighting(version, known_at, max(sighting.time_ms, newest.time_ms)),
            )
        elif newest.known_at < composed_at - FORGET_AFTER_S:
            self._sightings[symbol] = (sighting,)
