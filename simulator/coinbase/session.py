"""One websocket connection to Coinbase Exchange, sans-I/O: what is received goes in, frames come out.

Speaks *exchange websocket*: *"a subscribe message must be sent within 5 seconds of connecting"*; the channels
``full``, ``level2``, ``level2_batch``, ``heartbeat``; *"subscriptions"* after each change; ``error`` for what
cannot be done. *full* and *level2* need a signature: HMAC-SHA256 by the key's secret, in base64, of
``timestamp + "GET" + "/users/self/verify"``.

Leaves to others: sockets (:mod:`simulator.coinbase.app`).
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final

from simulator.coinbase.exchange import HEARTBEAT_MS, CoinbaseExchange, Market
from simulator.coinbase.journal import rfc3339
from simulator.connection import POLICY_VIOLATION, Close, Connection
from simulator.damage import unreadable
from simulator.delivery import Delivery
from simulator.faults import DIFF_KINDS, Kind

SUBSCRIBE_WITHIN_MS: Final = 5000
BATCH_MS: Final = 50
CLOCK_MS: Final = 30_000
"""*"Your timestamp must be within 30 seconds of the API service time"*."""

SIGNED: Final = ("full", "level2", "level3")
CHANNELS: Final = ("full", "level2", "level2_batch", "heartbeat")
BOOK_CHANNELS: Final = ("full", "level2", "level2_batch")

_REFUSED: Final = (
    "level2, level3, and full channels now require authentication. "
    "https://docs.cloud.coinbase.com/exchange/docs/websocket-channels"
)
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
        # *"The level2 channel … guarantees delivery of all updates"*: no number tells of a loss.
        kinds = DIFF_KINDS if channel == "full" else (Kind.MALFORMED,)
        self._delivery = Delivery(session, session.exchange.faults, market.product.id, damaged, kinds)
        self._sequence = market.sequence

    def begin(self) -> None:
        """Send what the channel begins with."""
        if self.channel.startswith("level2"):
            self._send(
                {
                    "type": "snapshot",
                    "product_id": self.market.product.id,
                    "asks": self.market.levels("sell"),
                    "bids": self.market.levels("buy"),
                    "time": self.market.time,
                }
            )

    def on_message(self, message: dict[str, Any]) -> None:
        if self.channel == "full" and not self.silent and not self.session.frozen:
            if message["sequence"] <= self._sequence:
                self._delivery.forget()
            self._sequence = message["sequence"]
            self._delivery.send(_text(message), f"{message['sequence']} {message['type']}")

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
        product = self.market.product.id
        update = {"type": "l2update", "product_id": product, "changes": changes, "time": time}
        if not self.silent and not self.session.frozen:
            self._delivery.send(_text(update), f"l2update of {time}")

    def _send(self, message: Mapping[str, Any]) -> None:
        if not self.silent:
            self.session.send(_text(message))


def damaged(frame: str, form: str, rng: Random) -> str | bytes:
    """A frame that no reader may take for the one given; the forms are those of :mod:`simulator.damage`."""
    broken = unreadable(frame, form, rng)
    if broken is not None:
        return broken
    message: dict[str, Any] = json.loads(frame)
    numbers = [name for name in ("price", "size", "remaining_size", "new_size") if message.get(name)]
    match form:
        case "missing":
            gone = rng.choice(("changes" if "changes" in message else "sequence", "product_id", "type"))
            return _text({name: value for name, value in message.items() if name != gone})
        case "number" if "changes" in message:
            change = rng.choice(message["changes"])
            change[1 + rng.randrange(2)] = rng.choice(_BAD_NUMBERS)
            return _text(message)
        case "number" if numbers and message["type"] in ("open", "match"):
            return _text({**message, rng.choice(numbers): rng.choice(_BAD_NUMBERS)})
        case _ if "changes" in message:
            side, price, size = message["changes"][0]
            worse = [[side, price], ["neither", price, size], [None, price, size], 7]
            return _text({**message, "changes": rng.choice((None, "", 0, [rng.choice(worse)]))})
        case _:
            return _text({**message, "sequence": rng.choice((str(message["sequence"]), None, 1.5, []))})


class Session(Connection):
    """One connection. ``wake`` is called whenever something was put into the outbox."""

    def __init__(
        self,
        exchange: CoinbaseExchange,
        connection_id: int,
        *,
        outbox: int = 100_000,
        frames_a_second: int = 100,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(exchange, connection_id, bound=outbox, frames_a_second=frames_a_second, wake=wake)
        self.exchange = exchange
        self._feeds: dict[tuple[str, str], Feed] = {}
        self._subscribed = False

    # What a protocol says (simulator.connection.Connection)

    def read(self, text: str) -> None:
        """A request."""
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

    def leave(self) -> None:
        """End every feed."""
        for feed in self._feeds.values():
            feed.market.listeners.pop(feed, None)
        self._feeds.clear()

    def listens_to(self, symbol: str) -> bool:
        """Whether some channel of this connection delivers the product."""
        return any(product == symbol for _, product in self._feeds)

    def beat(self, now_ms: int) -> None:
        """End what never subscribed."""
        if not self._subscribed and now_ms - self.opened_ms >= SUBSCRIBE_WITHIN_MS:
            self.end(Close(POLICY_VIOLATION, "no subscribe within 5 seconds"))

    def silence(self, symbol: str | None) -> None:
        """Let the subscriptions to a product (``None``: all) deliver nothing any more."""
        for (_, product), feed in self._feeds.items():
            if symbol in (None, product):
                feed.silent = True

    # Requests

    def _subscribe(self, wanted: list[tuple[str, str]], request: Mapping[str, Any]) -> None:
        for _, product in wanted:
            if product not in self.exchange.markets:
                self.send(_error("Failed to subscribe", f"{product} is not a valid product"))
                return
        if any(name in SIGNED for name, _ in wanted) and not self._signed(request):
            return
        self._subscribed = True
        faults = self.exchange.faults
        new = [each for each in dict.fromkeys(wanted) if each not in self._feeds]
        books = [product for channel, product in new if channel in BOOK_CHANNELS]
        for product in books:
            refusal = faults.take((Kind.ERROR,), product, self.id)
            if refusal is not None:
                faults.record(refusal, product, self.id)
                self.send(_error("Failed to subscribe", "Internal server error"))  # chosen
                return
        for channel, product in new:
            market = self.exchange.markets[product]
            feed = self._feeds[channel, product] = Feed(self, channel, market)
            market.listeners[feed] = None
            if channel in BOOK_CHANNELS:
                silence = faults.take((Kind.SILENT,), product, self.id)
                if silence is not None:
                    feed.silent = True
                    faults.record(silence, product, self.id)
            feed.begin()
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
        if not self.exchange.keys and age_ms <= CLOCK_MS:
            return True
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
