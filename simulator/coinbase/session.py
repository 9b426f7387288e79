"""One websocket connection to Coinbase Exchange, sans-I/O: what is received goes in, frames come out.

Speaks *exchange websocket*: *"a subscribe message must be sent within 5 seconds of connecting"*; the channels
``full``, ``level2``, ``level2_batch``, ``heartbeat``; *"subscriptions"* after each change; ``error`` for what
cannot be done. *full* and *level2* need a signature: HMAC-SHA256 by the key's secret, in base64, of
``timestamp + "GET" + "/users/self/verify"``.

Leaves to others: sockets (:mod:`simulator.coinbase.app`). :attr:`Session.outbox` holds what is to be sent.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections import deque
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final

from simulator.coinbase.exchange import HEARTBEAT_MS, CoinbaseExchange, Market
from simulator.coinbase.journal import rfc3339
from simulator.faults import DIFF_KINDS, Fault, Kind
from simulator.session import Abort, Close, Frame, Pong

SUBSCRIBE_WITHIN_MS: Final = 5000
BATCH_MS: Final = 50
CLOCK_MS: Final = 30_000
"""*"Your timestamp must be within 30 seconds of the API service time"*."""

SIGNED: Final = ("full", "level2", "level3")
CHANNELS: Final = ("full", "level2", "level2_batch", "heartbeat")

_REFUSED: Final = (
    "level2, level3, and full channels now require authentication. "
    "https://docs.cloud.coinbase.com/exchange/docs/websocket-channels"
)
_FIRST_KINDS: Final = tuple(kind for kind in DIFF_KINDS if kind is not Kind.STRAGGLER)
_EMPTY: Final = ("", "{}", "[]", "null", '""', "0")
_BAD_NUMBERS: Final = ("abc", "-1.5", "NaN", "", "1e5", "1,5", " 1.0")


class Feed:
    """One channel of one product on one connection. ``silent``: acknowledged, but nothing comes."""

    def __init__(self, session: "Session", channel: str, market: Market) -> None:
        self.session = session
        self.channel = channel
        self.market = market
        self.silent = False
        self._beat_ms = session.exchange.wall_ms()
        self._batch_ms = self._beat_ms
        self._changes: dict[tuple[str, str], str] = {}
        self._time = ""
        # What faults need: the frames sent lately, and one that is to come late.
        self._recent: deque[str] = deque(maxlen=32)
        self._held: str | None = None
        if channel.startswith("level2"):
            self._send(
                {
                    "type": "snapshot",
                    "product_id": market.product.id,
                    "asks": market.levels("sell"),
                    "bids": market.levels("buy"),
                    "time": market.time,
                }
            )

    def on_message(self, message: dict[str, Any]) -> None:
        if self.channel == "full" and not self.silent and not self.session.frozen:
            self._send_faulty(message)

    def on_levels(self, changes: list[list[str]], time: str) -> None:
        if self.channel == "level2":
            self._update(changes, time)
        elif self.channel == "level2_batch":
            self._changes.update({(side, price): size for side, price, size in changes})
            self._time = time

    def on_tick(self, now_ms: int) -> None:
        if self._changes and now_ms - self._batch_ms >= BATCH_MS:
            self._batch_ms = now_ms
            self._update([[side, price, size] for (side, price), size in self._changes.items()], self._time)
            self._changes.clear()
        if self.channel == "heartbeat" and now_ms - self._beat_ms >= HEARTBEAT_MS:
            self._beat_ms = now_ms
            self._send(
                {
                    "type": "heartbeat",
                    "last_trade_id": self.market.engine.trades,
                    "product_id": self.market.product.id,
                    "sequence": self.market.sequence,
                    "time": rfc3339(now_ms * 1000),
                }
            )

    def _update(self, changes: list[list[str]], time: str) -> None:
        self._send(
            {"type": "l2update", "product_id": self.market.product.id, "changes": changes, "time": time}
        )

    def _send(self, message: Mapping[str, Any]) -> None:
        if not self.silent:
            self.session.send(_text(message))

    def _send_faulty(self, message: dict[str, Any]) -> None:
        session, text = self.session, _text(message)
        if self._held is not None:
            session.send(text)
            session.send(self._held)
            self._held = None
            return
        product = self.market.product.id
        kinds = DIFF_KINDS if self._recent else _FIRST_KINDS
        fault = session.exchange.faults.take(kinds, product, session.id)
        if fault is None:
            session.send(text)
        else:
            self._send_with(fault, text, message)
            session.exchange.faults.record(
                fault, product, session.id, f"{message['sequence']} {message['type']} {fault.form}".rstrip()
            )
        self._recent.append(text)

    def _send_with(self, fault: Fault, text: str, message: dict[str, Any]) -> None:
        session = self.session
        match fault.kind:
            case Kind.GAP:
                pass
            case Kind.DUPLICATE:
                session.send(text)
                session.send(text)
            case Kind.STRAGGLER:
                session.send(text)
                session.send(session.rng.choice(self._recent))
            case Kind.REORDER:
                self._held = text
            case _:
                session.send(damaged(message, fault.form, session.rng))


def damaged(message: dict[str, Any], form: str, rng: Random) -> str | bytes:
    """A frame that no reader may take for ``message``; the forms are those of :mod:`simulator.damage`."""
    text = _text(message)
    numbers = [name for name in ("price", "size", "remaining_size", "new_size") if message.get(name)]
    match form:
        case "json":
            return text[: rng.randrange(1, len(text))]
        case "binary":
            return b"\xff" + rng.randbytes(rng.randrange(1, 200))
        case "empty":
            return rng.choice(_EMPTY)
        case "missing":
            gone = rng.choice(("sequence", "product_id", "type"))
            return _text({name: value for name, value in message.items() if name != gone})
        case "number" if numbers and message["type"] in ("open", "match"):
            return _text({**message, rng.choice(numbers): rng.choice(_BAD_NUMBERS)})
        case _:
            return _text({**message, "sequence": rng.choice((str(message["sequence"]), None, 1.5, []))})


class Session:
    """One connection. ``wake`` is called whenever something was put into :attr:`outbox`."""

    def __init__(
        self,
        exchange: CoinbaseExchange,
        connection_id: int,
        *,
        outbox: int = 100_000,
        frames_a_second: int = 100,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.exchange = exchange
        self.id = connection_id
        self.frozen = False
        self.outbox: deque[Frame] = deque()
        self.rng = Random(f"{exchange.seed}/connection/{connection_id}")
        self._bound = outbox
        self._wake = wake
        self._ended = False
        self._feeds: dict[tuple[str, str], Feed] = {}
        self._subscribed = False
        self._arrivals: deque[float] = deque(maxlen=frames_a_second + 1)
        self._opened_ms = exchange.wall_ms()
        exchange.connections[self.id] = self

    # What the connection's owner calls

    def receive(self, text: str, now_s: float) -> None:
        """A text frame came; ``now_s`` is a monotonic clock."""
        if self.frozen or not self._allow(now_s):
            return
        try:
            request = json.loads(text)
            kind, wanted = request["type"], _wanted(request)
        except (ValueError, TypeError, KeyError, AttributeError):
            self.send(_error("Malformed JSON", text[:100]))
            return
        unknown = [name for name, _ in wanted if name not in CHANNELS]
        if kind not in ("subscribe", "unsubscribe") or not wanted:
            self.send(_error("Failed to subscribe", "type must be subscribe, with product_ids and channels"))
        elif unknown:
            self.send(_error("Failed to subscribe", f"{unknown[0]} is not a valid channel"))
        elif kind == "unsubscribe":
            self._unsubscribe(wanted)
        else:
            self._subscribe(wanted, request)

    def receive_binary(self, now_s: float) -> None:
        """A binary frame came. The protocol has none: it counts, and says nothing."""
        if not self.frozen:
            self._allow(now_s)

    def receive_ping(self, payload: bytes, now_s: float) -> None:
        """A ping came: it is answered with its own payload."""
        if not self.frozen and self._allow(now_s):
            self.send(Pong(payload))

    def receive_pong(self, payload: bytes, now_s: float) -> None:
        """A pong came; this exchange sends no pings."""

    def close(self) -> None:
        """The connection is gone."""
        self._ended = True
        self.exchange.connections.pop(self.id, None)
        for feed in self._feeds.values():
            feed.market.listeners.pop(feed, None)
        self._feeds.clear()

    # What the exchange calls

    def listens_to(self, symbol: str) -> bool:
        """Whether some channel of this connection delivers the product."""
        return any(product == symbol for _, product in self._feeds)

    def on_tick(self, now_ms: int) -> None:
        """End what never subscribed."""
        if not self._subscribed and now_ms - self._opened_ms >= SUBSCRIBE_WITHIN_MS:
            self._end(Close(1008, "no subscribe within 5 seconds"))

    def disconnect(self, form: str) -> None:
        """End the connection: cut it (``abort``) or say goodbye (``close``)."""
        self._end(Close(1001, "Going away") if form == "close" else Abort())

    def freeze(self) -> None:
        """Become a half-open socket: TCP stays, nothing is sent or answered any more."""
        self.frozen = True
        self.outbox.clear()

    def silence(self, symbol: str | None) -> None:
        """Let the subscriptions to a product (``None``: all) deliver nothing any more."""
        for (_, product), feed in self._feeds.items():
            if symbol in (None, product):
                feed.silent = True

    def send(self, frame: Frame) -> None:
        """Put a frame into the outbox; *"slow consumers"* are cut off."""
        if self.frozen or self._ended:
            return
        if len(self.outbox) >= self._bound:
            self.outbox.clear()
            self._end(Abort())
            return
        self.outbox.append(frame)
        self._wake()

    def _end(self, last: Close | Abort) -> None:
        self.frozen = False
        self.send(last)
        self.close()

    def _allow(self, now_s: float) -> bool:
        """*"100 messages per second per IP"*"""
        self._arrivals.append(now_s)
        if len(self._arrivals) == self._arrivals.maxlen and now_s - self._arrivals[0] < 1:
            self._end(Close(1008, "Too many messages"))
            return False
        return not self._ended

    def _subscribe(self, wanted: list[tuple[str, str]], request: Mapping[str, Any]) -> None:
        for _, product in wanted:
            if product not in self.exchange.markets:
                self.send(_error("Failed to subscribe", f"{product} is not a valid product"))
                return
        if any(name in SIGNED for name, _ in wanted) and not self._signed(request):
            return
        self._subscribed = True
        for channel, product in wanted:
            if (channel, product) in self._feeds:
                continue
            market = self.exchange.markets[product]
            feed = self._feeds[channel, product] = Feed(self, channel, market)
            market.listeners[feed] = None
            if channel == "full":
                silence = self.exchange.faults.take((Kind.SILENT,), product, self.id)
                if silence is not None:
                    feed.silent = True
                    self.exchange.faults.record(silence, product, self.id)
        self._acknowledge()

    def _unsubscribe(self, wanted: list[tuple[str, str]]) -> None:
        for each in wanted:
            feed = self._feeds.pop(each, None)
            if feed is not None:
                feed.market.listeners.pop(feed, None)
        self._acknowledge()

    def _acknowledge(self) -> None:
        channels: dict[str, list[str]] = {}
        for channel, product in self._feeds:
            channels.setdefault(channel, []).append(product)
        listed = [{"name": name, "product_ids": products} for name, products in channels.items()]
        self.send(_text({"type": "subscriptions", "channels": listed}))

    def _signed(self, request: Mapping[str, Any]) -> bool:
        """Whether the request proves that a known key made it; if not, that is said."""
        sent = [request.get(name) for name in ("key", "passphrase", "signature", "timestamp")]
        if any(each is None for each in sent):
            self.send(_error("Failed to subscribe", _REFUSED))
            return False
        key, passphrase, signature, timestamp = map(str, sent)
        passphrase_of, secret = self.exchange.keys.get(key, ("", ""))
        try:
            age_ms = abs(self.exchange.wall_ms() - float(timestamp) * 1000)
            given = base64.b64decode(signature, validate=True)
        except (ValueError, binascii.Error):
            self.send(_error("Authentication Failed", "{}"))
            return False
        message = f"{timestamp}GET/users/self/verify".encode()
        expected = hmac.new(base64.b64decode(secret), message, hashlib.sha256).digest()
        if age_ms > CLOCK_MS or not secret or passphrase != passphrase_of:
            self.send(_error("Authentication Failed", "{}"))
            return False
        if not hmac.compare_digest(given, expected):
            self.send(_error("Authentication Failed", '{"message":"Invalid Signature"}'))
            return False
        return True


def _wanted(request: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(channel, product) of a request: a channel has products of its own, or those of the request."""
    common = list(request.get("product_ids") or [])
    wanted: list[tuple[str, str]] = []
    for channel in request["channels"]:
        name, own = (channel, common) if isinstance(channel, str) else (channel["name"], None)
        products = own if own is not None else channel.get("product_ids") or common
        wanted += [(str(name), str(product)) for product in products]
    return wanted


def _error(message: str, reason: str) -> str:
    return _text({"type": "error", "message": message, "reason": reason})


def _text(message: Mapping[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"))
