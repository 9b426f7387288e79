"""One websocket connection to an exchange, sans-I/O, as far as all protocols have it alike.

What is received goes in, frames come out: :attr:`Connection.outbox` holds what is to be sent, in order. A
protocol says what a text frame means, who listens to what, and when the connection has outlived its time.
Leaves sockets to :mod:`simulator.host`.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple, Protocol

POLICY_VIOLATION: Final = 1008
GOING_AWAY: Final = 1001


class Ping(NamedTuple):
    """A ping frame to send."""

    payload: bytes


class Pong(NamedTuple):
    """A pong frame to send."""

    payload: bytes


class Close(NamedTuple):
    """A close frame to send; nothing comes after it."""

    code: int
    reason: str


class Abort(NamedTuple):
    """The TCP connection is to be cut without a word."""


Frame = str | bytes | Ping | Pong | Close | Abort
"""What :attr:`Connection.outbox` holds; text and binary data frames are ``str`` and ``bytes``."""


class Owner(Protocol):
    """The exchange, as far as a connection needs it."""

    seed: int
    connections: "dict[int, Connection]"

    @property
    def wall_ms(self) -> Callable[[], int]: ...


class Connection(ABC):
    """``wake`` is called whenever something was put into :attr:`outbox`, which holds ``bound`` frames at
    most: who reads slower is cut off. More than ``frames_a_second`` from the other side end the connection.
    """

    def __init__(
        self,
        owner: Owner,
        number: int,
        *,
        bound: int,
        frames_a_second: int,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.id = number
        self.frozen = False
        self.outbox: deque[Frame] = deque()
        self.rng = Random(f"{owner.seed}/connection/{number}")
        self.opened_ms = owner.wall_ms()
        self.ends_at_ms: int | None = None
        """When it says goodbye, whatever happens."""
        self.ended = False
        self._owner = owner
        self._bound = bound
        self._frames_a_second = frames_a_second
        self._wake = wake
        self._arrivals: deque[float] = deque(maxlen=frames_a_second + 1)
        owner.connections[number] = self

    # What a protocol says

    @abstractmethod
    def read(self, text: str) -> None:
        """A text frame came that may be answered."""

    @abstractmethod
    def listens_to(self, symbol: str) -> bool:
        """Whether some subscription of this connection delivers ``symbol``."""

    @abstractmethod
    def silence(self, symbol: str | None) -> None:
        """Let the subscriptions to ``symbol`` (``None``: all) deliver nothing any more."""

    @abstractmethod
    def leave(self) -> None:
        """End every subscription: the connection is gone."""

    @abstractmethod
    def beat(self, now_ms: int) -> None:
        """The exchange's clock ticked: do what is due. Not called of a frozen connection."""

    # What the connection's owner calls

    def receive(self, text: str, now_s: float) -> None:
        """A text frame came; ``now_s`` is a monotonic clock."""
        if not self.frozen and self.allow(now_s):
            self.read(text)

    def receive_binary(self, now_s: float) -> None:
        """A binary frame came. No protocol here has any: it counts, and says nothing."""
        if not self.frozen:
            self.allow(now_s)

    def receive_ping(self, payload: bytes, now_s: float) -> None:
        """A ping came: it counts, and is answered with its own payload."""
        if not self.frozen and self.allow(now_s):
            self.send(Pong(payload))

    def receive_pong(self, payload: bytes, now_s: float) -> None:
        """A pong came: it counts."""
        if not self.frozen:
            self.allow(now_s)

    def close(self) -> None:
        """The connection is gone."""
        self.ended = True
        self._owner.connections.pop(self.id, None)
        self.leave()

    # What the exchange calls

    def on_tick(self, now_ms: int) -> None:
        """Do what is due; end what has outlived its time."""
        if self.frozen:
            return
        if self.ends_at_ms is not None and now_ms >= self.ends_at_ms:
            self.end(Close(GOING_AWAY, "Going away"))
        else:
            self.beat(now_ms)

    def disconnect(self, form: str) -> None:
        """End the connection: cut it (``abort``) or say goodbye (``close``)."""
        self.end(Close(GOING_AWAY, "Going away") if form == "close" else Abort())

    def freeze(self) -> None:
        """Become a half-open socket: TCP stays, nothing is sent or answered any more."""
        self.frozen = True
        self.outbox.clear()

    def shut_down(self, delay_s: float) -> None:
        """The end after ``delay_s``; a protocol that announces it says so."""
        ends_at_ms = self._owner.wall_ms() + int(delay_s * 1000)
        self.ends_at_ms = ends_at_ms if self.ends_at_ms is None else min(self.ends_at_ms, ends_at_ms)

    # What a protocol calls

    def send(self, frame: Frame) -> None:
        """Put a frame into the outbox; a reader that is too slow is cut off."""
        if self.frozen or self.ended:
            return
        if len(self.outbox) >= self._bound:
            self.outbox.clear()
            self.end(Abort())
            return
        self.outbox.append(frame)
        self._wake()

    def end(self, last: Close | Abort) -> None:
        """Send the last frame; nothing comes after it."""
        self.frozen = False
        self.send(last)
        self.close()

    def allow(self, now_s: float) -> bool:
        """Count a frame that came; whether it may be answered."""
        arrivals = self._arrivals
        arrivals.append(now_s)
        if len(arrivals) > self._frames_a_second and now_s - arrivals[0] < 1:
            self.end(Close(POLICY_VIOLATION, "Too many requests"))
            return False
        return not self.ended
