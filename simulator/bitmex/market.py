"""One instrument's market: its seeded flow, its rows at every step, and who listens.

The flow is that of :mod:`simulator.market`, level by level. Some changes at a time are what the engine does
in one millisecond, which is told in up to three messages: rows deleted, updated, inserted. **A step is one
row**: each deletion, update and insertion is the next step of the instrument's history, so the book is known
within messages, too. Several messages may share a millisecond, and so may batches of the engine's.

No message has a number: steps are the oracle's own count.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from simulator.bitmex.instruments import OPEN, Instrument, moment, number
from simulator.bitmex.rows import BUY, SELL, SIDES, Action, Row, RowBook, Side, Writer, changes
from simulator.history import History
from simulator.listing import Listing
from simulator.market import Market as Flow
from simulator.market import Profile
from simulator.scale import Scale
from simulator.truth import ASK, BID, Change, TrueBook, TruthError

ID_REUSED: Final = 0.2
"""The share of new rows whose id some row had that is gone: ids tell nothing."""

_LAGS_MS: Final = (0, 0, 0, 1, 3, 20, 80)
"""So long after the engine's change (``transactTime``) a row was seen to be published (``timestamp``)."""

_MOST_A_BATCH: Final = (1, 1, 1, 2, 3, 5, 8)
_FREE_IDS: Final = 256


class Trade(NamedTuple):
    """A trade: the taker's side, contracts, price."""

    side: Side
    size: int
    price: int


class Listener(Protocol):
    """One topic of one connection, as far as an instrument concerns it."""

    def on_rows(self, market: "Market", action: Action, rows: Sequence[Row]) -> None:
        """Rows of the book changed: one message."""
        ...

    def on_batch(self, market: "Market", trades: Sequence[Trade]) -> None:
        """All that the engine did in one go was told."""
        ...

    def on_recorded(self, market: "Market", table: str, data: str) -> None:
        """A recorded message of another table than the book's."""
        ...

    def on_state(self, market: "Market") -> None:
        """The instrument's state changed."""
        ...

    def on_tick(self, market: "Market", now_ms: int) -> None: ...


@dataclass(slots=True)
class _Batch:
    """What the engine does in one go: levels as they were before, by side and price, and as they are."""

    before: dict[tuple[int, int], int] = field(default_factory=dict)
    now: dict[tuple[int, int], int] = field(default_factory=dict)
    trades: list[Trade] = field(default_factory=list)


class Market:
    """``now_ms`` is the time of the opening; ``kept`` steps are remembered at least.

    Without a ``profile`` nothing happens by itself: the book begins with the ``recorded`` rows.
    """

    def __init__(
        self,
        instrument: Instrument,
        profile: Profile | None,
        *,
        now_ms: int,
        kept: int,
        rng: Random,
        old: bool = False,
        recorded: Iterable[Row] = (),
    ) -> None:
        self.instrument = instrument
        self.writer = Writer(instrument, old)
        self.listeners: dict[Listener, None] = {}
        self.time_ms = now_ms
        """When the newest row was published."""
        self.shift_ms = 0
        """What re-basing added to the instrument's times."""
        self.last: int | None = None
        self.tick_direction = "ZeroPlusTick"
        self.last_trade = ""
        """The row of *trade* of the newest one."""
        self._rng = rng
        self._ids: deque[int] = deque(maxlen=_FREE_IDS)
        self._used: set[int] = set()
        listing = Listing(
            instrument.symbol,
            instrument.symbol,
            instrument.quote,
            Scale(instrument.digits, 0),
            instrument.tick,
            instrument.lot,
        )
        self._flow = None if profile is None else Flow(listing, profile, rng)
        """``None`` where what happens was recorded."""
        self._ahead = TrueBook() if self._flow is None else self._flow.opening()
        """The book as the flow has it: while a tick is told, ahead of :attr:`book`."""
        opening = [
            self._row(SIDES[side], price, quantity, now_ms, now_ms)
            for side in (BID, ASK)
            for price, quantity in self._ahead.sides[side].items()
        ]
        opening.extend(recorded)
        self.book = RowBook(opening)
        self.history: History[int, Row] = History(
            0, now_ms, kept=kept, entries={row.id: row for row in opening}
        )
        self.past: deque[History[int, Row]] = deque(maxlen=8)
        """Those of earlier counts of time, oldest first."""

    # What it knows

    @property
    def step(self) -> int:
        """The newest step."""
        return self.history.step

    def book_at(self, step: int) -> RowBook:
        """The book at a step. O(rows). Raises TruthError."""
        return RowBook(self._history_of(step).at(step).values())

    def _history_of(self, step: int) -> History[int, Row]:
        for history in (self.history, *reversed(self.past)):
            if history.holds(step):
                return history
        raise TruthError(
            f"{self.instrument.symbol}: {step} is not within {self.history.oldest} and {self.step}"
        )

    def body(self, step: int, depth: int) -> bytes:
        """What ``GET /api/v1/orderBook/L2`` would have answered at a step, in its very millisecond. Raises
        TruthError."""
        time_ms = self._history_of(step).time_of(step)
        return self.writer.whole(self.book_at(step).rows(depth), time_ms).encode()

    def bodies_at(self, time_ms: int, depth: int) -> list[bytes]:
        """The same at each step of a time, newest first; of every count of time that has it."""
        return [
            self.writer.whole(RowBook(history.at(step).values()).rows(depth), time_ms).encode()
            for history in (self.history, *reversed(self.past))
            for step in reversed(history.steps_of(time_ms))
            if history.holds(step)
        ]

    def bodies_after(self, time_ms: int, rows: int, depth: int) -> list[bytes]:
        """The same once so many rows of a time were told; of every count of time that has as many."""
        found = []
        for history in (self.history, *reversed(self.past)):
            steps = history.steps_of(time_ms)
            if 0 < rows <= len(steps) and history.holds(steps[rows - 1]):
                book = RowBook(history.at(steps[rows - 1]).values())
                found.append(self.writer.whole(book.rows(depth), time_ms).encode())
        return found

    def body_by(self, time_ms: int, depth: int) -> bytes:
        """The same once all was told that was published by then. Raises TruthError."""
        step = self.history.last_step_at(time_ms)
        if step is None:
            raise TruthError(f"{self.instrument.symbol}: what was at {time_ms} ms is forgotten")
        return self.body(step, depth)

    def top(self, step: int) -> list[list[tuple[int, int]]]:
        """Price and contracts of the ten best bids and asks at a step. Raises TruthError."""
        book = self.book_at(step)
        return [[(row.price, row.size) for row in book.best(side, 10)] for side in SIDES]

    def listed(self) -> str:
        """The entry in *instrument*."""
        bid, ask = (self.book.best(side) for side in SIDES)
        return self.instrument.listed(
            last=self.last,
            bid=bid[0].price if bid else None,
            ask=ask[0].price if ask else None,
            time_ms=self.time_ms,
        )

    # What happens

    def rebase(self, ms: int) -> int:
        """Let its times go on from ``ms`` before; returns the new present one. The book stays as it is."""
        self.past.append(self.history)
        self.shift_ms -= ms
        self.time_ms -= ms
        self.history = self.history.successor(self.step, self.time_ms)
        return self.time_ms

    def set_state(self, state: str) -> None:
        """Another state; the book moves only while it is Open. Raises ValueError."""
        Instrument(self.instrument.symbol, state=state)
        self.instrument.state = state
        for listener in tuple(self.listeners):
            listener.on_state(self)

    def tick(self, now_ms: int, elapsed_ms: int) -> None:
        """A while has passed that ends now: the engine does some batches of changes within it."""
        now_ms += self.shift_ms
        if self._flow is not None and self.instrument.state == OPEN:
            batches = list(self._batches())
            times = sorted(now_ms - int(elapsed_ms * self._rng.random() ** 2) for _ in batches)
            for batch, transact_ms in zip(batches, times, strict=True):
                published_ms = min(now_ms, transact_ms + self._rng.choice(_LAGS_MS))
                self.time_ms = max(self.time_ms, published_ms)
                self._carry_out(batch, transact_ms)
        for listener in tuple(self.listeners):
            listener.on_tick(self, now_ms)

    @property
    def recorded(self) -> bool:
        """Whether what happens was recorded: :meth:`play` tells it."""
        return self._flow is None

    def play(self, action: Action, rows: Sequence[Row], at_ms: int) -> None:
        """A recorded message of the book."""
        self.time_ms = max(self.time_ms, at_ms + self.shift_ms)
        self._tell(action, rows)
        for listener in tuple(self.listeners):
            listener.on_batch(self, ())

    def pass_on(self, table: str, data: str) -> None:
        """A recorded message of *quote* or *trade*: its rows, as a JSON array."""
        for listener in tuple(self.listeners):
            listener.on_recorded(self, table, data)

    def _batches(self) -> Iterator[_Batch]:
        """What the flow does next, some changes at a time."""
        ahead, batch, left = self._ahead, _Batch(), 0
        eaten: tuple[Change, int] | None = None
        assert self._flow is not None
        for change in self._flow.tick(ahead):
            key = (change.side, change.price)
            held = ahead.sides[change.side].get(change.price, 0)
            # The other side follows to the price at which a trade ate the best level.
            if eaten is not None and eaten[0].price == change.price and eaten[0].side != change.side:
                taker: Side = BUY if eaten[0].side == ASK else SELL
                batch.trades.append(Trade(taker, eaten[1], change.price))
            best = ahead.best(change.side)
            is_best = best is not None and best[0] == change.price
            eaten = (change, held) if is_best and not change.quantity else None
            ahead.apply(change)
            batch.before.setdefault(key, held)
            batch.now[key] = change.quantity
            left -= 1
            # A trade's two changes are one thing that the engine does.
            if left <= 0 and eaten is None:
                yield batch
                batch, left = _Batch(), self._rng.choice(_MOST_A_BATCH)
        if batch.now:
            yield batch

    def _carry_out(self, batch: _Batch, transact_ms: int) -> None:
        book, before, now = self.book, [], []
        for (side, price), held in batch.before.items():
            quantity = batch.now[side, price]
            old: Row | None = book.sides[SIDES[side]].get(price)
            assert held == (old.size if old else 0), f"{held} and {old}"
            if quantity == held:
                continue
            if old is not None:
                before.append(old)
            if quantity and old is not None:
                now.append(old._replace(size=quantity, time_ms=self.time_ms, transact_ms=transact_ms))
            elif quantity:
                now.append(self._row(SIDES[side], price, quantity, self.time_ms, transact_ms))
        for action, rows in changes(before, now):
            told = rows
            if action == "delete":
                told = [row._replace(time_ms=self.time_ms, transact_ms=transact_ms) for row in rows]
            self._tell(action, told)
        self._trade(batch.trades)
        for listener in tuple(self.listeners):
            listener.on_batch(self, batch.trades)

    def _tell(self, action: Action, rows: Sequence[Row]) -> None:
        for row in rows:
            if action == "delete":
                self.book.drop(row)
                self._used.discard(row.id)
                self._ids.append(row.id)
                self.history.append([(row.id, None)], self.time_ms)
            else:
                self.book.put(row)
                self.history.append([(row.id, row)], self.time_ms)
        for listener in tuple(self.listeners):
            listener.on_rows(self, action, rows)

    def _trade(self, trades: Iterable[Trade]) -> None:
        for trade in trades:
            moved = trade.price - (self.last or trade.price)
            if moved:
                self.tick_direction = "PlusTick" if moved > 0 else "MinusTick"
            else:
                self.tick_direction = f"Zero{self.tick_direction.removeprefix('Zero')}"
            self.last = trade.price
            self.last_trade = self._trade_row(trade)

    def _trade_row(self, trade: Trade) -> str:
        instrument = self.instrument
        price = instrument.price(trade.price)
        foreign = number(trade.size * trade.price, instrument.digits)
        match_id = UUID(int=self._rng.getrandbits(128), version=4)
        return (
            f'{{"timestamp":"{moment(self.time_ms)}","symbol":"{instrument.symbol}","side":"{trade.side}",'
            f'"size":{trade.size},"price":{price},"tickDirection":"{self.tick_direction}",'
            f'"trdMatchID":"{match_id}","grossValue":{trade.size * trade.price},'
            f'"homeNotional":{trade.size},"foreignNotional":{foreign}}}'
        )

    def _row(self, side: Side, price: int, size: int, time_ms: int, transact_ms: int) -> Row:
        return Row(self._id(price), side, size, price, time_ms, transact_ms)

    def _id(self, price: int) -> int:
        if self.writer.old:
            return self.instrument.old_id(price)
        if self._ids and self._rng.random() < ID_REUSED:
            reused = self._ids.popleft()
            self._used.add(reused)
            return reused
        while True:
            made = self._rng.randrange(10**10, 10**11)
            if made not in self._used and made not in self._ids:
                self._used.add(made)
                return made

    def check(self) -> None:
        """Raise AssertionError where the book, its history and the flow do not agree. O(rows)."""
        self.book.check()
        assert self.history.head == {row.id: row for row in self.book.rows()}, "the history is another"
        if self.recorded:
            return
        levels = {(row.side, row.price): row.size for row in self.book.rows()}
        ahead = {
            (SIDES[side], price): size
            for side in (BID, ASK)
            for price, size in self._ahead.sides[side].items()
        }
        assert levels == ahead, "the flow is another"
