"""One websocket connection to BitMEX, sans-I/O: what is received goes in, frames come out.

Speaks *WebSocket API* (www.bitmex.com/app/wsAPI): a welcome; topics by ``?subscribe=`` or
``{"op":"subscribe","args":[…]}``, each acknowledged and begun with a ``partial``; errors with the request
that they answer; the text ``ping``, which is answered ``pong``. The tables are ``orderBookL2`` (*"full level
2 order book"*), ``orderBookL2_25`` (*"top 25 levels"*, throttled), ``orderBook10``, ``quote``, ``trade``,
``instrument``. What the documents leave open is marked *chosen*.

Leaves to others: sockets (:mod:`simulator.bitmex.app`).
"""

import json
from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final
from urllib.parse import parse_qs

from simulator.bitmex.exchange import BitmexExchange
from simulator.bitmex.instruments import moment
from simulator.bitmex.market import Market, Trade
from simulator.bitmex.rows import L2_TABLES, SIDES, TOP_TABLE, Action, Row, changes, message, partial
from simulator.connection import Connection
from simulator.damage import unreadable
from simulator.delivery import Delivery
from simulator.faults import Kind

VERSION: Final = "2023-07-10T09:00:00.000Z"
DOCS: Final = "https://www.bitmex.com/app/wsAPI"

TABLES: Final = ("instrument", "quote", "trade", *L2_TABLES, TOP_TABLE)
BOOK_TABLES: Final = (*L2_TABLES, TOP_TABLE)

TOP_25: Final = 25
PUSH_25_MS: Final = 100
"""*"orderBookL2_25 … is throttled"*; how much is chosen."""

HOUR_MS: Final = 3_600_000
SUBSCRIPTIONS_AN_HOUR: Final = 720
"""Of one connection (unverified)."""

_BAD_NUMBERS: Final = ('"abc"', "-1", "null", "[]", '"NaN"', "true")


class Topic:
    """One table, of one instrument or of all, on one connection. ``silent``: begun, but nothing comes."""

    def __init__(self, session: "Session", name: str, table: str, symbol: str | None) -> None:
        self.session = session
        self.name = name
        self.table = table
        self.symbol = symbol
        self.silent = False
        exchange = session.exchange
        self.markets = [exchange.markets[symbol]] if symbol is not None else list(exchange.markets.values())
        self._deliveries = {
            market.instrument.symbol: Delivery(session, exchange.faults, market.instrument.symbol, damaged)
            for market in self.markets
        }
        # What was told last, where a push tells what differs from it.
        self._told: dict[str, str] = {}
        self._told_rows: dict[str, list[Row]] = {}
        self._pushed_ms = exchange.wall_ms()
        self._sent_ms = 0

    def begin(self) -> None:
        """Send the partial, and listen."""
        data = [text for market in self.markets for text in self._opening(market)]
        old = self.session.exchange.old
        self.session.send(partial(self.table, self.symbol, f"[{','.join(data)}]", old=old))
        for market in self.markets:
            market.listeners[self] = None

    def end(self) -> None:
        """Listen no more."""
        for market in self.markets:
            market.listeners.pop(self, None)

    def _opening(self, market: Market) -> Sequence[str]:
        """The rows that a partial has."""
        writer, symbol = market.writer, market.instrument.symbol
        match self.table:
            case "orderBookL2":
                # One text, which is as good as its rows.
                return [writer.whole(market.book.rows(), market.time_ms)[1:-1]]
            case "orderBookL2_25":
                self._told_rows[symbol] = market.book.rows(TOP_25)
                return [writer.row(row) for row in self._told_rows[symbol]]
            case "orderBook10":
                self._told[symbol] = self._levels(market)
                return [writer.top(market.book, market.time_ms, partial=True)]
            case "quote":
                self._told[symbol] = self._levels(market, 1)
                return [writer.quote(market.book, market.time_ms)]
            case "trade":
                return [market.last_trade] if market.last_trade else []
            case _:
                return [market.listed()]

    # What a market calls (simulator.bitmex.market.Listener)

    def on_rows(self, market: Market, action: Action, rows: Sequence[Row]) -> None:
        if self.table != "orderBookL2":
            return
        # A connection of the fault *grouping* gets its messages in pieces.
        pieces = [rows]
        if self.session.cuts is not None and len(rows) > 1:
            at = self.session.cuts.randrange(1, len(rows))
            pieces = [rows[:at], rows[at:]]
        first = market.step - len(rows) + 1
        for piece in pieces:
            self._deliver(market, action, market.writer.rows(piece, action), f"{first}…{market.step}")

    def on_batch(self, market: Market, trades: Sequence[Trade]) -> None:
        writer, symbol = market.writer, market.instrument.symbol
        match self.table:
            case "orderBook10" if self._changed(symbol, self._levels(market)):
                row = writer.top(market.book, market.time_ms, partial=False)
                self._deliver(market, "update", f"[{row}]", f"{TOP_TABLE} at {market.step}")
            case "quote" if not market.recorded and self._changed(symbol, self._levels(market, 1)):
                self._send("insert", f"[{writer.quote(market.book, market.time_ms)}]")
            case "trade" if trades:
                self._send("insert", f"[{market.last_trade}]")
            case "instrument" if trades:
                self._tell_of(market, f'"lastPrice":{market.instrument.price(trades[-1].price)}')

    def on_recorded(self, market: Market, table: str, data: str) -> None:
        if self.table == table:
            self._send("insert", data)

    def on_state(self, market: Market) -> None:
        if self.table == "instrument":
            self._tell_of(market, f'"state":"{market.instrument.state}"')

    def on_tick(self, market: Market, now_ms: int) -> None:
        """Push what differs of the top 25, if it is time."""
        if self.table != "orderBookL2_25" or now_ms - self._pushed_ms < PUSH_25_MS:
            return
        if market is self.markets[-1]:
            self._pushed_ms = now_ms
        symbol, rows = market.instrument.symbol, market.book.rows(TOP_25)
        before, self._told_rows[symbol] = self._told_rows[symbol], rows
        for action, changed in changes(before, rows):
            # *"L2_25: publish time"*
            told = [row._replace(time_ms=market.time_ms) for row in changed]
            self._deliver(market, action, market.writer.rows(told, action), f"{self.table} at {market.step}")

    def _tell_of(self, market: Market, member: str) -> None:
        symbol, time = market.instrument.symbol, moment(market.time_ms)
        self._send("update", f'[{{"symbol":"{symbol}",{member},"timestamp":"{time}"}}]')

    def _levels(self, market: Market, count: int = 10) -> str:
        return str([[(r.price, r.size) for r in market.book.best(side, count)] for side in SIDES])

    def _changed(self, symbol: str, now: str) -> bool:
        if self._told[symbol] == now:
            return False
        self._told[symbol] = now
        return True

    def _deliver(self, market: Market, action: Action, data: str, detail: str) -> None:
        if self.silent or self.session.frozen:
            return
        delivery = self._deliveries[market.instrument.symbol]
        if market.time_ms < self._sent_ms:
            # Times went back: an earlier message would be of the future.
            delivery.forget()
        self._sent_ms = market.time_ms
        delivery.send(message(self.table, action, data), detail)

    def _send(self, action: Action, data: str) -> None:
        if not self.silent:
            self.session.send(message(self.table, action, data))


class Session(Connection):
    """One connection. ``query`` is the raw query of its path, ``left`` how many more its address may open."""

    def __init__(
        self,
        exchange: BitmexExchange,
        number: int,
        query: str = "",
        *,
        left: int = 39,
        outbox: int = 50_000,
        frames_a_second: int = 100,
        subscriptions_an_hour: int = SUBSCRIPTIONS_AN_HOUR,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(exchange, number, bound=outbox, frames_a_second=frames_a_second, wake=wake)
        self.exchange = exchange
        self.topics: dict[str, Topic] = {}
        self._subscribed: deque[int] = deque(maxlen=subscriptions_an_hour)
        grouping = exchange.faults.take((Kind.GROUPING,), None, self.id)
        if grouping is not None:
            exchange.faults.record(grouping, None, self.id)
        self.cuts = Random(f"{exchange.seed}/{self.id}/cuts") if grouping is not None else None
        time = moment(exchange.wall_ms())
        self.send(
            f'{{"info":"Welcome to the BitMEX Realtime API.","version":"{VERSION}","timestamp":"{time}",'
            f'"docs":"{DOCS}","limit":{{"remaining":{left}}}}}'
        )
        wanted = [name for text in parse_qs(query).get("subscribe", []) for name in text.split(",") if name]
        if wanted:
            self._subscribe(wanted, {"op": "subscribe", "args": wanted})

    # What a protocol says (simulator.connection.Connection)

    def read(self, text: str) -> None:
        """A command, or the text of a heartbeat."""
        if text == "ping":
            self.send("pong")
            return
        try:
            request = json.loads(text)
            op, args = request["op"], request.get("args", [])
        except (ValueError, TypeError, KeyError, AttributeError):
            self._refuse("Unrecognized request. See the documentation.", text[:200])  # chosen
            return
        # *"If you are only sending a single argument, the array is not necessary"*
        names = [args] if isinstance(args, str) else args
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            self._refuse("args must be a list of strings", request)  # chosen
        elif op == "subscribe":
            self._subscribe(names, request)
        elif op == "unsubscribe":
            self._unsubscribe(names, request)
        else:
            self._refuse(f"Unknown op: {op}", request)  # chosen

    def listens_to(self, symbol: str) -> bool:
        """Whether some topic of this connection delivers the instrument."""
        return any(topic.symbol in (None, symbol) for topic in self.topics.values())

    def beat(self, now_ms: int) -> None:
        """Nothing is due: heartbeats are the client's to ask for."""

    def silence(self, symbol: str | None) -> None:
        """Let the topics of an instrument (``None``: all) deliver nothing any more."""
        for topic in self.topics.values():
            if symbol in (None, topic.symbol):
                topic.silent = True

    def leave(self) -> None:
        """End every topic."""
        for topic in self.topics.values():
            topic.end()
        self.topics.clear()

    # Commands

    def _subscribe(self, names: Sequence[str], request: Any) -> None:
        """Acknowledge each topic, then begin each: partials were recorded behind all acknowledgements."""
        made: list[Topic] = []
        now_ms = self.exchange.wall_ms()
        for name in names:
            table, _, symbol = name.partition(":")
            if table not in TABLES:
                self._refuse(f"Unknown table: {table}", request)
            elif symbol and symbol not in self.exchange.markets:
                self._refuse("Unknown or expired symbol.", request)
            elif name in self.topics:
                self._refuse(f"You are already subscribed to this topic: {name}.", request)
            elif wait_ms := self._wait_ms(now_ms):
                wait_s = -(-wait_ms // 1000)
                text = f"Rate limit exceeded, retry in {wait_s} seconds."
                self._refuse(text, request, status=429, meta={"retryAfter": wait_s})
            elif self._refused(symbol or None):
                text = "The system is currently overloaded. Please try again later."
                self._refuse(text, request, status=503)
            else:
                self._subscribed.append(now_ms)
                topic = self.topics[name] = Topic(self, name, table, symbol or None)
                self.send(_text({"success": True, "subscribe": name, "request": request}))
                made.append(topic)
        for topic in made:
            if not self.ended:
                self._begin(topic)

    def _refused(self, symbol: str | None) -> bool:
        faults = self.exchange.faults
        refusal = faults.take((Kind.ERROR,), symbol, self.id)
        if refusal is not None:
            faults.record(refusal, symbol, self.id)
        return refusal is not None

    def _begin(self, topic: Topic) -> None:
        faults = self.exchange.faults
        if topic.table in BOOK_TABLES:
            silence = faults.take((Kind.SILENT,), topic.symbol, self.id)
            if silence is not None:
                topic.silent = True
                faults.record(silence, topic.symbol, self.id)
                return
        topic.begin()

    def _wait_ms(self, now_ms: int) -> int:
        """How long until another subscription is allowed."""
        subscribed = self._subscribed
        if len(subscribed) < (subscribed.maxlen or 0):
            return 0
        return max(0, subscribed[0] + HOUR_MS - now_ms)

    def _unsubscribe(self, names: Sequence[str], request: Any) -> None:
        for name in names:
            topic = self.topics.pop(name, None)
            if topic is None:
                self._refuse(f"You are not subscribed to this topic: {name}.", request)  # chosen
            else:
                topic.end()
                self.send(_text({"success": True, "unsubscribe": name, "request": request}))

    def _refuse(self, error: str, request: Any, *, status: int = 400, meta: Any = None) -> None:
        self.send(_text({"status": status, "error": error, "meta": meta or {}, "request": request}))


def damaged(frame: str, form: str, rng: Random) -> str | bytes:
    """A frame that no reader may take for the one given; the forms are those of :mod:`simulator.damage`."""
    broken = unreadable(frame, form, rng)
    if broken is not None:
        return broken
    text: dict[str, Any] = json.loads(frame)
    row = rng.choice(text["data"])
    match form:
        case "missing":
            # Without its action or data it is no message; without these members no row of a book.
            names = [name for name in ("symbol", "id", "side", "size", "bids", "asks") if name in row]
            where, name = rng.choice([(text, "action"), (text, "data"), *((row, each) for each in names)])
            del where[name]
        case "number":
            bad = json.loads(rng.choice(_BAD_NUMBERS))
            if "bids" in row:
                level = rng.choice([*row["bids"], *row["asks"]])
                level[rng.randrange(2)] = bad
            else:
                row[rng.choice([name for name in ("id", "size", "price") if name in row])] = bad
        case _:
            match rng.randrange(3):
                case 0:
                    text["data"] = rng.choice((None, "", {}, 0, [None], [[]]))
                case 1:
                    row["symbol"] = rng.choice((None, 7, []))
                case _:
                    text["action"] = rng.choice((None, 1, "upsert"))
    return _text(text)


def _text(content: Any) -> str:
    return json.dumps(content, separators=(",", ":"))
