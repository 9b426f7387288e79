"""The streams a connection can subscribe to: what each sends, when, and what faults do to diffs on their way.

Every stream sees the same diffs as the exchange published them; ``@depth`` joins those of a second, and a
connection may cut them at ids of its own.
"""

import re
from random import Random
from typing import TYPE_CHECKING, Final

from simulator.damage import damaged
from simulator.delivery import Delivery
from simulator.depth import DepthUpdate, joined
from simulator.exchange import BookTicker, Exchange, Instrument

if TYPE_CHECKING:
    from simulator.session import Session

# "<symbol>@depth", "@depth@100ms", "@depth5|10|20", "@depth5|10|20@100ms", "@bookTicker"
_NAME: Final = re.compile(
    r"(?P<symbol>[^@]+)@(?:(?P<ticker>bookTicker)|depth(?P<levels>5|10|20)?(?P<fast>@100ms)?)"
)

# Of futures: "<symbol>@depth", "@depth@500ms", "@depth@100ms", "@bookTicker". No partial books.
_FUTURES_NAME: Final = re.compile(
    r"(?P<symbol>[^@]+)@(?:(?P<ticker>bookTicker)|depth(?:@(?P<ms>500|100)ms)?)"
)
_FUTURES_MS: Final = 250
"""*"250ms, 500ms or 100ms"*: the speed of a name that says none."""


class Stream:
    """One subscription that delivers. ``silent``: acknowledged, but nothing comes."""

    def __init__(self, session: "Session", name: str, instrument: Instrument) -> None:
        self.session = session
        self.name = name
        self.instrument = instrument
        self.silent = False

    def on_update(self, update: DepthUpdate) -> None:
        """The exchange published a diff."""

    def on_ticker(self, ticker: BookTicker) -> None:
        """The best bid or ask changed."""

    def on_tick(self, now_ms: int) -> None:
        """The exchange's clock ticked, after all updates of that tick."""


class TickerStream(Stream):
    """``<symbol>@bookTicker``: every change of the best bid or ask."""

    def on_ticker(self, ticker: BookTicker) -> None:
        self.session.send_data(self, ticker.data())


class PartialStream(Stream):
    """``<symbol>@depth5|10|20``: the top of the book whenever it changed since the last time."""

    def __init__(
        self, session: "Session", name: str, instrument: Instrument, levels: int, fast: bool
    ) -> None:
        super().__init__(session, name, instrument)
        self._levels = levels
        self._interval_ms = 100 if fast else 1000
        self._sent_ms = 0
        self._sent: tuple[int, int] | None = None

    def on_tick(self, now_ms: int) -> None:
        journal = self.instrument.journal
        present = (journal.generation, journal.update_id)
        if present != self._sent and now_ms - self._sent_ms >= self._interval_ms:
            self._sent, self._sent_ms = present, now_ms
            body = journal.head.body(journal.update_id, self._levels, journal.scale)
            self.session.send_data(self, body.decode())


class DiffStream(Stream):
    """``<symbol>@depth@100ms``, and ``<symbol>@depth`` that joins what came in ``interval_ms``.

    ``cuts`` is the connection's own source of cuts, ``None`` where it sees the diffs as they were published.
    """

    def __init__(
        self,
        session: "Session",
        name: str,
        instrument: Instrument,
        fast: bool,
        cuts: Random | None,
        interval_ms: int = 1000,
    ) -> None:
        super().__init__(session, name, instrument)
        self._fast = fast
        self._interval_ms = interval_ms
        self._cuts = cuts
        self._waiting: list[DepthUpdate] = []
        self._sent_ms = 0
        self._idle_tick = True
        self._generation = instrument.journal.generation
        self._delivery = Delivery(session, session.exchange.faults, instrument.symbol, damaged)

    def on_update(self, update: DepthUpdate) -> None:
        if update.generation != self._generation:
            self._generation = update.generation
            self._waiting.clear()
            self._delivery.forget()
        if self._fast and self._cuts is None:
            self._send(update)
            return
        self._waiting.append(update)
        self._idle_tick = False
        if self._fast:
            self._send_cut()

    def on_tick(self, now_ms: int) -> None:
        if self._fast:
            # A connection with cuts of its own holds the rest back until more comes, or until nothing does.
            if self._idle_tick and self._waiting:
                self._send_all()
            self._idle_tick = True
        elif self._waiting and now_ms - self._sent_ms >= self._interval_ms:
            self._sent_ms = now_ms
            self._send_all()

    def _send_all(self) -> None:
        update = joined(self._waiting)
        self._waiting.clear()
        self._send(update)

    def _send_cut(self) -> None:
        """Send up to an id of this connection's own choice."""
        assert self._cuts is not None
        update = joined(self._waiting)
        if update.divisible and update.first < update.last:
            sent, rest = update.cut(self._cuts.randrange(update.first, update.last))
            self._waiting = [rest]
            self._send(sent)
        elif self._cuts.random() < 0.5:
            self._waiting.clear()
            self._send(update)

    def _send(self, update: DepthUpdate) -> None:
        session = self.session
        if self.silent or session.frozen:
            return
        text = session.wrapped(self, update.data(microseconds=session.microseconds))
        self._delivery.send(text, f"{update.first}…{update.last}")


def stream_of(session: "Session", exchange: Exchange, name: str, cuts: Random | None) -> Stream | None:
    """The stream called ``name``; ``None`` where no symbol has such a stream.

    ``cuts``: see :class:`DiffStream`.
    """
    if exchange.futures:
        return _futures_stream(session, exchange, name, cuts)
    match = _NAME.fullmatch(name)
    instrument = exchange.instrument_of_stream(match["symbol"]) if match else None
    if match is None or instrument is None:
        return None
    fast = match["fast"] is not None
    if match["ticker"]:
        return TickerStream(session, name, instrument)
    if match["levels"]:
        return PartialStream(session, name, instrument, int(match["levels"]), fast)
    return DiffStream(session, name, instrument, fast, cuts)


def _futures_stream(session: "Session", exchange: Exchange, name: str, cuts: Random | None) -> Stream | None:
    match = _FUTURES_NAME.fullmatch(name)
    instrument = exchange.instrument_of_stream(match["symbol"]) if match else None
    if match is None or instrument is None:
        return None
    if match["ticker"]:
        return TickerStream(session, name, instrument)
    interval_ms = int(match["ms"] or _FUTURES_MS)
    return DiffStream(session, name, instrument, interval_ms == 100, cuts, interval_ms)
