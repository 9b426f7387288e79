"""What one connection was asked for, what it acknowledged and what it has delivered. Pure.

A stream's phases::

    WANTED --SUBSCRIBE sent--> ASKED --acknowledged--> ACKED
       ^-------- refused ---------'                      |
       '---------------- silent: UNSUBSCRIBE first ------'

A stream that is given up leaves the ledger at once and its name waits for the next UNSUBSCRIBE. Time is
monotonic seconds, an argument.

**One bad name.** A venue may refuse a whole message for one name in it that it does not know, and not say
which. So what was refused together is asked for again in halves, until the one that is refused alone is
found; it waits by itself then, longer each time, and keeps nobody waiting.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from itertools import count
from typing import Final

from depthcast.feed.limits import FeedLimits
from depthcast.venues import OLDEST, Venue

EVERYBODY: Final = 1 << 30
"""As many as a message takes."""


class Phase(Enum):
    """How far a stream's subscription has come."""

    WANTED = "wanted"
    ASKED = "asked"
    ACKED = "acked"


@dataclass(slots=True)
class Stream:
    """One symbol's stream on one connection.

    ``heard_at`` is when it delivered last, ``None`` where it never did; ``acked_at`` is from when on it does
    for certain; ``silences`` counts how often it was found silent since. It is asked for with at most
    ``company`` streams, itself one of them, and, refused alone, not before ``not_before``.
    """

    phase: Phase = Phase.WANTED
    request_id: int = 0
    heard_at: float | None = None
    acked_at: float = float("inf")
    judge_at: float = 0.0
    silences: int = 0
    company: int = EVERYBODY
    not_before: float = float("-inf")
    pause_s: float = 0.0


class Subscriptions:
    """The control conversation of one connection, and what came of it.

    ``streams`` is read and ``Stream.heard_at`` written by the connection's reader, once a frame.
    """

    def __init__(self, venue: Venue, limits: FeedLimits, symbols: Iterable[str]) -> None:
        self.streams: dict[str, Stream] = {symbol: Stream() for symbol in symbols}
        self.settled_at: float | None = None
        """When for the first time everything asked for was acknowledged, or refused alone."""

        self._venue = venue
        self._limits = limits
        self._ids = count(1)
        self._leaving: dict[str, None] = {}
        self._pending: dict[int, float] = {}
        self._paused_until = float("-inf")
        self._pause_s = limits.refused_initial_s
        self._judge_at = float("-inf")

    def want(self, symbols: Iterable[str]) -> None:
        """Subscribe to ``symbols`` as soon as the pace allows."""
        for symbol in symbols:
            self.streams.setdefault(symbol, Stream())

    def drop(self, symbols: Iterable[str]) -> None:
        """Give ``symbols`` up; what still comes of them is a stray."""
        for symbol in symbols:
            stream = self.streams.pop(symbol, None)
            if stream is not None and stream.phase is not Phase.WANTED:
                self._leaving[symbol] = None

    def renew(self, symbol: str) -> None:
        """Unsubscribe a stream and subscribe it again; that it delivered before counts no longer."""
        stream = self.streams[symbol]
        stream.phase, stream.heard_at, stream.acked_at = Phase.WANTED, None, float("inf")
        self._leaving[symbol] = None

    def next_message(self, now: float) -> str | None:
        """The control message to send now, ``None`` where there is none. It counts as sent."""
        if self._leaving:
            symbols = list(self._leaving)[: self._limits.names_per_message]
            for symbol in symbols:
                del self._leaving[symbol]
            request_id = self._request(now)
            return self._venue.unsubscribe_message(self._names(symbols), request_id)
        if now < self._paused_until:
            return None
        due = [
            (-stream.company, stream.not_before, place, symbol)
            for place, (symbol, stream) in enumerate(self.streams.items())
            if stream.phase is Phase.WANTED and now >= stream.not_before
        ]
        wanted: list[str] = []
        # Those that are least likely to be refused come first.
        for company, _, _, symbol in sorted(due):
            if len(wanted) < min(self._limits.names_per_message, -company):
                wanted.append(symbol)
        if not wanted:
            return None
        request_id = self._request(now)
        for symbol in wanted:
            stream = self.streams[symbol]
            stream.phase, stream.request_id = Phase.ASKED, request_id
        return self._venue.subscribe_message(self._names(wanted), request_id)

    def acked(self, request_id: int, now: float) -> None:
        """The venue took a control message. Answers to messages that were not ours are ignored."""
        if request_id == OLDEST:
            request_id = next(iter(self._pending), OLDEST)
        if self._pending.pop(request_id, None) is None:
            return
        self._pause_s = self._limits.refused_initial_s
        for stream in self._of(request_id).values():
            self._take(stream, now)
        self._note_settled(now)

    def acked_stream(self, symbol: str, now: float) -> None:
        """The venue took the subscription to one stream. A request is answered with its last one."""
        stream = self.streams.get(symbol)
        if stream is None or stream.phase is Phase.ACKED or not stream.request_id:
            return
        self._take(stream, now)
        self._pause_s = self._limits.refused_initial_s
        if not self._of(stream.request_id):
            self._pending.pop(stream.request_id, None)
        self._note_settled(now)

    def refused(self, request_id: int | None, now: float) -> str | None:
        """The venue refused a control message: what it asked for is asked for again, after a growing pause,
        in halves. Returns the one symbol that it asked for, where it was one.

        Where the answer does not tell which one (``None``), the one in question stays unanswered and
        becomes :meth:`overdue`.
        """
        if request_id == OLDEST:
            request_id = next(iter(self._pending), OLDEST)
        if request_id is None or self._pending.pop(request_id, None) is None:
            return None
        asked = self._of(request_id)
        for stream in asked.values():
            stream.phase = Phase.WANTED
            stream.company = max(1, len(asked) // 2)
        if len(asked) != 1:
            self._paused_until = now + self._pause_s
            self._pause_s = min(self._pause_s * 2, self._limits.refused_maximum_s)
            return None
        [(symbol, stream)] = asked.items()
        grown_s = stream.pause_s * 2 or self._limits.refused_initial_s
        stream.pause_s = min(grown_s, self._limits.refused_maximum_s)
        stream.not_before = now + stream.pause_s
        self._note_settled(now)
        return symbol

    def overdue(self, now: float) -> bool:
        """Whether a control message waits for its answer for too long."""
        oldest = next(iter(self._pending.values()), now)
        return now - oldest >= self._limits.ack_timeout_s

    def silent(self, now: float) -> list[str]:
        """The acknowledged streams that should have delivered by now; each is named once a patience."""
        if now < self._judge_at:
            return []
        self._judge_at = now + min(self._limits.silent_after_s / 10, 1.0)
        found = []
        for symbol, stream in self.streams.items():
            if stream.phase is Phase.ACKED and stream.heard_at is None and now >= stream.judge_at:
                stream.silences += 1
                stream.judge_at = now + self._patience_s(stream)
                found.append(symbol)
        return found

    def live(self, symbol: str) -> bool:
        """Whether the stream is acknowledged and not under suspicion of silence."""
        stream = self.streams.get(symbol)
        if stream is None or stream.phase is not Phase.ACKED:
            return False
        return stream.heard_at is not None or stream.silences == 0

    def follows(self, symbol: str, heard_at: float) -> bool:
        """Whether a stream leaves no diff unnoticed that another connection, heard last then, did not bring.

        It delivered already, so that the ids tell; or it was acknowledged before then.
        """
        stream = self.streams.get(symbol)
        return stream is not None and (stream.heard_at is not None or stream.acked_at <= heard_at)

    def _take(self, stream: Stream, now: float) -> None:
        stream.phase = Phase.ACKED
        stream.acked_at = now
        stream.judge_at = now + self._patience_s(stream)
        stream.company, stream.pause_s, stream.not_before = EVERYBODY, 0.0, float("-inf")

    def _note_settled(self, now: float) -> None:
        """Nobody waits for a stream that is refused alone."""
        if self.settled_at is None and all(
            stream.phase is Phase.ACKED or stream.pause_s > 0 for stream in self.streams.values()
        ):
            self.settled_at = now

    def _request(self, now: float) -> int:
        request_id = next(self._ids)
        self._pending[request_id] = now
        return request_id

    def _of(self, request_id: int) -> dict[str, Stream]:
        return {
            symbol: stream
            for symbol, stream in self.streams.items()
            if stream.phase is Phase.ASKED and stream.request_id == request_id
        }

    def _names(self, symbols: Iterable[str]) -> list[str]:
        return [self._venue.stream_name(symbol) for symbol in symbols]

    def _patience_s(self, stream: Stream) -> float:
        # 64 doublings are beyond any maximum; a larger exponent would overflow in the end.
        grown_s = self._limits.silent_after_s * 2.0 ** min(stream.silences, 64)
        return min(grown_s, self._limits.silent_maximum_s)
