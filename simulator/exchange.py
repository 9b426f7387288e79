"""The exchange: its symbols, their markets and books, the sessions that listen, and its clock's ticks.

Sans-I/O: whoever owns an :class:`Exchange` calls :meth:`Exchange.tick` in the rhythm of the 100 ms streams,
and sessions collect what is to be sent. The newest book (what REST answers) and the diffs go the same way
as on the real exchange: usually a diff ends at the newest id, sometimes it ends earlier, and then REST
shows a part of the diff that is still to come.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from random import Random
from typing import Any, Final, NamedTuple, Protocol

from simulator.accounts import Accounts
from simulator.answer import Answer
from simulator.depth import DepthUpdate
from simulator.floor import Floor
from simulator.listing import STATUSES, Listing
from simulator.market import Market, Profile
from simulator.truth import ASK, BID, MAX_DEPTH, Change, Journal, Times, TrueBook, Truth
from simulator.weight import WeightMeter

FIRST_ID: Final = 10_000_000_000
"""Update ids begin above this: they need 64 bits, as on the real exchange."""

PARTIAL_SHARE: Final = 0.1
"""The share of diffs that end before the newest id (6 of 57 recorded snapshots fell inside a diff)."""


OTHERS: Final = 5
"""Between two changes of a futures symbol up to so many ids go to others, for all count together."""

TAKES_MS: Final = 4
"""So long a futures message takes from its last change (``T``) until it is put out (``E``)."""


class BookTicker(NamedTuple):
    """The best bid and ask at an update id; texts as they are sent. Those of futures have ``times``."""

    symbol: str
    update_id: int
    bid: str
    bid_quantity: str
    ask: str
    ask_quantity: str
    times: Times | None = None
    pair: str | None = None

    def data(self) -> str:
        if self.times is not None:
            pair = "" if self.pair is None else f'"ps":"{self.pair}",'
            return (
                f'{{"e":"bookTicker","u":{self.update_id},"s":"{self.symbol}",{pair}"b":"{self.bid}",'
                f'"B":"{self.bid_quantity}","a":"{self.ask}","A":"{self.ask_quantity}",'
                f'"T":{self.times.transaction_ms},"E":{self.times.event_ms}}}'
            )
        return (
            f'{{"u":{self.update_id},"s":"{self.symbol}","b":"{self.bid}","B":"{self.bid_quantity}",'
            f'"a":"{self.ask}","A":"{self.ask_quantity}"}}'
        )


class Listener(Protocol):
    """One subscription to one symbol."""

    def on_update(self, update: DepthUpdate) -> None: ...

    def on_ticker(self, ticker: BookTicker) -> None: ...

    def on_tick(self, now_ms: int) -> None: ...


class Instrument:
    """One listed symbol: its journal, and how far the diffs have told it.

    ``sent_id`` is the last id of the last diff. ``id_shift`` is what re-basing added to the ids of a
    capture, whose changes come with ids of their own.
    """

    def __init__(self, listing: Listing, journal: Journal, market: Market | None, rng: Random) -> None:
        self.listing = listing
        self.journal = journal
        self.market = market
        self.rng = rng
        self.sent_id = journal.update_id
        self.id_shift = 0
        self.time_ms = 0
        self.untold: list[Change] = []
        self.untold_ids: list[tuple[int, int]] = []
        """Of futures: the id of each untold change, and when it was made."""
        self.listeners: dict[Listener, None] = {}

    @property
    def symbol(self) -> str:
        return self.listing.symbol

    @property
    def pair(self) -> str | None:
        """Of COIN-M: what the contract is about."""
        return self.listing.pair


class Exchange(Floor):
    """``seed`` settles every market; ``wall_ms`` is the exchange's clock, milliseconds since 1970.

    The update ids of a synthetic market begin up to :data:`FIRST_ID` above ``first_id``.

    ``futures``: all symbols count their ids together, so that those of one have holes, and messages tell the
    id before them and when their last change was made. ``coin_margined``: futures of COIN-M, which name the
    pair beside the symbol.
    """

    def __init__(
        self,
        *,
        wall_ms: Callable[[], int],
        seed: int = 1,
        truth: Truth | None = None,
        weights: WeightMeter | None = None,
        partial_share: float = PARTIAL_SHARE,
        first_id: int = FIRST_ID,
        futures: bool = False,
        coin_margined: bool = False,
    ) -> None:
        super().__init__(wall_ms=wall_ms, seed=seed)
        self.futures = futures or coin_margined
        self.coin_margined = coin_margined
        self._shared_id = first_id + FIRST_ID
        self.first_id = first_id
        self.truth = truth or Truth()
        self.weights = weights or WeightMeter()
        self.partial_share = partial_share
        self.accounts = Accounts()
        self.maintenance = False
        """Nothing trades, and the system status says so."""
        self.spoiled: dict[str, deque[str]] = {}
        """How the next answers at a path are damaged (:data:`simulator.answer.SPOILED`)."""
        self.instruments: dict[str, Instrument] = {}
        self._by_stream: dict[str, Instrument] = {}

    # Symbols

    def add_market(self, listing: Listing, profile: Profile) -> Instrument:
        """List a symbol with a synthetic market."""
        market = Market(listing, profile, self._rng(listing.symbol, "market"))
        first_id = self.first_id + self._rng(listing.symbol, "ids").randrange(FIRST_ID)
        return self._add(listing, market.opening(), first_id, market)

    def add_recorded(
        self, listing: Listing, book: TrueBook, update_id: int, times: Times | None = None
    ) -> Instrument:
        """List a symbol whose changes come from a capture, by :meth:`replay` and :meth:`publish_ticker`."""
        instrument = self._add(listing, book, update_id, None)
        if times is not None:
            instrument.journal.times = times
        return instrument

    def instrument_of_stream(self, lower: str) -> Instrument | None:
        """The instrument whose stream names begin with ``lower``; only the lower-case spelling is known."""
        return self._by_stream.get(lower)

    def set_status(self, symbol: str, status: str) -> None:
        """Change a symbol's status; its book moves only while it is TRADING. Raises ValueError."""
        instrument = self.instruments.get(symbol)
        if instrument is None:
            raise ValueError(f"no symbol {symbol!r:.80} is listed")
        if status not in STATUSES:
            raise ValueError(f"{status!r:.40} is not a status, only {', '.join(STATUSES)}")
        instrument.listing.status = status

    def delist(self, symbol: str) -> Listing:
        """A symbol is listed no more: its streams fall silent, REST does not know it. Raises ValueError."""
        instrument = self.instruments.pop(symbol, None)
        if instrument is None:
            raise ValueError(f"no symbol {symbol!r:.80} is listed")
        del self._by_stream[symbol.lower()]
        return instrument.listing

    def rename(self, symbol: str, to: str, profile: Profile) -> None:
        """A symbol is listed under another name, with a market of its own. Raises ValueError."""
        if to in self.instruments:
            raise ValueError(f"{to} is listed already")
        listing = self.delist(symbol)
        pair = None if listing.pair is None else to.partition("_")[0]
        self.add_market(replace(listing, symbol=to, pair=pair), profile)

    # The clock

    def tick(self) -> None:
        """100 ms (or what the owner makes of it) have passed: markets move and streams send."""
        now_ms = self.strike()
        for instrument in self.instruments.values():
            trades = instrument.listing.status == "TRADING" and not self.maintenance
            if instrument.market is not None and trades:
                self._trade(instrument, instrument.market, now_ms)
            for listener in tuple(instrument.listeners):
                listener.on_tick(now_ms)
        self.beat(now_ms)

    # Recorded flow

    def replay(
        self,
        symbol: str,
        first: int,
        last: int,
        time_ms: int,
        changes: list[Change],
        *,
        tops: bool = False,
        previous: int | None = None,
        transaction_ms: int = 0,
    ) -> None:
        """Publish a recorded diff. One that ends at or before the recorded snapshot changes no book.

        ``tops``: where it changes the best bid or ask, publish a bookTicker that says so, before it.
        ``previous`` and ``transaction_ms`` are what diffs of futures tell beside.
        """
        instrument = self.instruments[symbol]
        journal, shift = instrument.journal, instrument.id_shift
        first, last = first + shift, last + shift
        if previous is not None:
            previous += shift
        top = journal.head.best(BID), journal.head.best(ASK)
        if last > journal.update_id:
            journal.append_diff(last, changes)
            self.truth.mark_time(journal, time_ms)
            if previous is not None:
                journal.times = Times(time_ms, transaction_ms)
        if tops and (journal.head.best(BID), journal.head.best(ASK)) != top:
            self._tell_top(instrument)
        self._publish(
            instrument,
            DepthUpdate(
                symbol,
                instrument.listing.scale,
                journal.generation,
                first,
                last,
                time_ms,
                changes,
                divisible=False,
                previous=previous,
                transaction_ms=transaction_ms,
                pair=instrument.pair,
            ),
        )

    def publish_ticker(self, ticker: BookTicker) -> None:
        """Publish a recorded bookTicker."""
        instrument = self.instruments[ticker.symbol]
        shifted = ticker._replace(update_id=ticker.update_id + instrument.id_shift)
        for listener in tuple(instrument.listeners):
            listener.on_ticker(shifted)

    def resume(self, symbol: str, book: TrueBook, update_id: int, times: Times | None = None) -> None:
        """Go on from another book: what led to it was not recorded, and is told by no diff. ``times`` are
        what the book of futures tells."""
        instrument = self.instruments[symbol]
        old = instrument.journal
        base_id = update_id + instrument.id_shift
        instrument.journal = self.truth.begin(
            symbol, old.scale, book, base_id, divisible=False, time_ms=old.time_ms
        )
        if times is not None:
            instrument.journal.times = times
        instrument.sent_id = base_id

    # Faults that concern the whole exchange, and what it tells of itself (simulator.floor.Floor)

    @property
    def symbols(self) -> Iterable[str]:
        """What is listed."""
        return self.instruments

    def number_of(self, symbol: str) -> int:
        """A symbol's present update id."""
        return self.instruments[symbol].journal.update_id

    def throttle(self, for_ms: int, *, ban: bool) -> None:
        """Answer 429 to everybody, or 418 where it is a ban."""
        refuse = self.weights.ban_all if ban else self.weights.throttle_all
        refuse(for_ms, self.wall_ms())

    def true_answer(self, sent: Mapping[str, str]) -> Answer:
        """``symbol``, ``id`` and perhaps ``limit`` and ``generation``."""
        symbol, update_id = sent.get("symbol", ""), int(sent.get("id", ""))
        limit, generation = int(sent.get("limit", str(MAX_DEPTH))), sent.get("generation")
        if limit < 1:
            raise ValueError("limit is at least 1")
        body = self.truth.body(symbol, update_id, limit, None if generation is None else int(generation))
        holding = ",".join(str(journal.generation) for journal in self.truth.holding(symbol, update_id))
        return Answer(200, body, {"Content-Type": "application/json", "X-Sim-Generations": holding})

    def state_of(self, symbol: str) -> dict[str, Any]:
        """A symbol as ``/sim/state`` tells it."""
        instrument = self.instruments[symbol]
        journal = instrument.journal
        bid, ask = journal.head.best(BID), journal.head.best(ASK)
        return {
            "status": instrument.listing.status,
            "update_id": journal.update_id,
            "sent_id": instrument.sent_id,
            "generation": journal.generation,
            "oldest_id": journal.oldest_id,
            "event_time_ms": instrument.time_ms,
            "bids": len(journal.head.sides[BID]),
            "asks": len(journal.head.sides[ASK]),
            "best_bid": None if bid is None else journal.scale.price(bid[0]),
            "best_ask": None if ask is None else journal.scale.price(ask[0]),
        }

    def rebase(self, symbol: str, ids: int) -> int:
        """Let a symbol's ids go on from ``ids`` below the present one; returns the new present id.

        The book stays as it is. Changes that no diff has told yet are never told, as after a restart.
        """
        instrument = self.instruments[symbol]
        old = instrument.journal
        base_id = max(1, old.update_id - ids)
        book = TrueBook(old.head.sides[BID].items(), old.head.sides[ASK].items())
        instrument.journal = self.truth.begin(
            symbol, old.scale, book, base_id, divisible=old.divisible, time_ms=old.time_ms
        )
        instrument.id_shift += base_id - old.update_id
        instrument.sent_id = base_id
        instrument.untold.clear()
        instrument.untold_ids.clear()
        instrument.journal.times = old.times
        return base_id

    def _add(self, listing: Listing, book: TrueBook, update_id: int, market: Market | None) -> Instrument:
        symbol = listing.symbol
        if symbol in self.instruments:
            raise ValueError(f"{symbol} is listed twice")
        divisible = market is not None and not self.futures
        journal = self.truth.begin(
            symbol, listing.scale, book, update_id, divisible=divisible, time_ms=self.wall_ms()
        )
        if self.futures:
            journal.times = Times(self.wall_ms(), self.wall_ms())
        if listing.pair is not None:
            journal.names = f'"symbol":"{symbol}","pair":"{listing.pair}",'
        instrument = Instrument(listing, journal, market, self._rng(symbol, "diffs"))
        self.instruments[symbol] = self._by_stream[symbol.lower()] = instrument
        return instrument

    def _rng(self, symbol: str, purpose: str) -> Random:
        # Each has its own, so that adding a symbol or a fault leaves the other markets as they were.
        return Random(f"{self.seed}/{symbol}/{purpose}")

    def _trade(self, instrument: Instrument, market: Market, now_ms: int) -> None:
        journal = instrument.journal
        top = journal.head.best(BID), journal.head.best(ASK)
        for change in market.tick(journal.head):
            if self.futures:
                update_id = self._next_id(instrument)
                journal.append_diff(update_id, [change])
                journal.times = Times(now_ms, now_ms - TAKES_MS)
                instrument.untold_ids.append((update_id, now_ms - TAKES_MS))
            else:
                journal.append(change)
            instrument.untold.append(change)
        self.truth.mark_time(journal, now_ms)
        if not instrument.untold:
            return
        if instrument.listeners and (journal.head.best(BID), journal.head.best(ASK)) != top:
            self._tell_top(instrument)
        told = len(instrument.untold)
        if told > 1 and instrument.rng.random() < self.partial_share:
            told = instrument.rng.randrange(1, told)
        changes, instrument.untold = instrument.untold[:told], instrument.untold[told:]
        first, last, previous = instrument.sent_id + 1, instrument.sent_id + told, None
        made_ms = now_ms - TAKES_MS
        if self.futures:
            ids, instrument.untold_ids = instrument.untold_ids[:told], instrument.untold_ids[told:]
            (first, _), (last, made_ms), previous = ids[0], ids[-1], instrument.sent_id
        self._publish(
            instrument,
            DepthUpdate(
                instrument.symbol,
                instrument.listing.scale,
                journal.generation,
                first,
                last,
                now_ms,
                changes,
                divisible=not self.futures,
                previous=previous,
                transaction_ms=made_ms,
                pair=instrument.pair,
            ),
        )

    @staticmethod
    def _tell_top(instrument: Instrument) -> None:
        ticker = _ticker(instrument.journal, instrument.pair)
        for listener in tuple(instrument.listeners):
            listener.on_ticker(ticker)

    def _next_id(self, instrument: Instrument) -> int:
        """The exchange's next id, some behind the last one, for others' changes are counted, too."""
        self._shared_id += 1 + instrument.rng.randrange(OTHERS)
        return self._shared_id + instrument.id_shift

    def _publish(self, instrument: Instrument, update: DepthUpdate) -> None:
        if update.previous is not None:
            instrument.journal.tell_times(update.last, Times(update.time_ms, update.transaction_ms))
        instrument.sent_id = update.last
        instrument.time_ms = update.time_ms
        for listener in tuple(instrument.listeners):
            listener.on_update(update)


def _ticker(journal: Journal, pair: str | None) -> BookTicker:
    scale = journal.scale
    bid, ask = (journal.head.best(side) or (0, 0) for side in (BID, ASK))
    return BookTicker(
        journal.symbol,
        journal.update_id,
        scale.price(bid[0]),
        scale.quantity(bid[1]),
        scale.price(ask[0]),
        scale.quantity(ask[1]),
        journal.times,
        pair,
    )
