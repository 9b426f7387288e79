"""What an exchange looks like from here: one pure module an exchange, all of them a :class:`Venue`.

A venue module knows the exchange's urls, how its websocket frames and REST bodies read, what a request
weighs and what its error answers mean. It takes bytes and returns values; sockets, clocks and pacing belong
to :mod:`depthcast.feed` and :mod:`depthcast.rest`, which know a venue only by the types below.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol, runtime_checkable

from depthcast.errors import VenueError
from depthcast.events import Diff, LevelSnapshot, Snapshot, TopLevels
from depthcast.orders.messages import MESSAGES, Message, OrderSnapshot
from depthcast.rows.messages import RowsChanged, RowSnapshot
from depthcast.scheme import Scheme

OLDEST: Final = 0
"""In place of a control message's id: the venue answers in order, so it is the oldest one unanswered."""


class Ack(NamedTuple):
    """The venue took the control message with this id, or the :data:`OLDEST`."""

    id: int


class StreamAck(NamedTuple):
    """The venue took the subscription to this symbol's stream: it answers for each, not for each request."""

    symbol: str


class RequestFailed(NamedTuple):
    """The venue refused a control message; ``id`` is ``None`` where the answer does not name it."""

    id: int | None
    code: int | None
    text: str


class Shutdown(NamedTuple):
    """This connection is about to end: open another one at once.

    ``event_time_ms`` is the venue's clock, ``None`` where the frame does not tell it.
    """

    event_time_ms: int | None


class Welcome(NamedTuple):
    """The connection is open, and so many more may be opened from this address within the venue's period."""

    connects_left: int


class Reached(NamedTuple):
    """The stream has told all of a symbol up to this update id, though not necessarily on this connection."""

    symbol: str
    update_id: int


class Ignored(NamedTuple):
    """A well-formed frame that carries nothing for a book; ``about`` names it for people."""

    about: str


Told = Diff | Message | RowsChanged | LevelSnapshot | TopLevels
"""What one websocket frame says of a symbol's book."""

TOLD: Final = frozenset((Diff, *MESSAGES, RowsChanged, LevelSnapshot, TopLevels))
"""Their types."""

Event = Told | Ack | StreamAck | RequestFailed | Shutdown | Welcome | Reached | Ignored
"""What one websocket frame says."""


@dataclass(frozen=True, slots=True)
class SymbolInfo:
    """One symbol as the venue lists it.

    ``status`` is the venue's word (Binance: ``TRADING``, ``HALT``, ``BREAK``, …). The precisions are the
    numbers of decimals to which quantities (base) and prices (quote) are padded in every message.
    """

    symbol: str
    status: str
    base_asset: str
    quote_asset: str
    base_precision: int
    quote_precision: int


@dataclass(frozen=True, slots=True)
class ExchangeInfo:
    """The venue's list of symbols, in its own order, and what an address may ask of it in a minute.

    ``body`` is the answer this was read from.
    """

    symbols: Mapping[str, SymbolInfo]
    request_weight_per_minute: int
    body: bytes = field(default=b"", repr=False, compare=False)


class Venue(Protocol):
    """The seam between an exchange's protocol and the sockets that carry it. Implementations are pure.

    How diffs join each other and snapshots is no rule of code here: each diff carries the id that it goes on
    from (:attr:`depthcast.events.Diff.after`), which a venue's :meth:`parse_frame` fills.
    """

    # What is published

    @property
    def scheme(self) -> Scheme:
        """What the venue's files are called, and which limits there are."""
        ...

    @property
    def snapshot_limits(self) -> Sequence[int]:
        """The most levels a side that each weight of a snapshot buys, ascending; the last is all there is."""
        ...

    @property
    def unknown_symbol(self) -> frozenset[int]:
        """The codes of refusals that deny that there is such a symbol."""
        ...

    # Websocket

    @property
    def stream_url(self) -> str:
        """Where a feed connects to."""
        ...

    @property
    def messages_per_s(self) -> int:
        """How many messages a connection may send in a second: controls, pings and pongs."""
        ...

    @property
    def numbered(self) -> bool:
        """Whether numbers in a stream show that something of it is missing."""
        ...

    @property
    def connects_per_hour(self) -> int:
        """How many connections an address may open in an hour; some of them are other replicas'."""
        ...

    @property
    def connection_s(self) -> float:
        """After how long a connection is replaced by a second one beside it, before the venue ends it.

        Infinite where it ends none; and where nothing numbers messages, since two connections tell the same
        changes twice.
        """
        ...

    @property
    def heartbeat_s(self) -> float:
        """After so long without a frame :attr:`heartbeat` is sent, and as long is an answer waited for."""
        ...

    @property
    def heartbeat(self) -> str | None:
        """The text that asks whether the other end is there; ``None``: a websocket's own ping does.

        Whatever comes then is an answer.
        """
        ...

    def stream_name(self, symbol: str) -> str:
        """The name of a symbol's diff stream."""
        ...

    def subscribe_message(self, names: Sequence[str], request_id: int) -> str:
        """The control message that asks for the streams ``names``."""
        ...

    def unsubscribe_message(self, names: Sequence[str], request_id: int) -> str:
        """The control message that gives the streams ``names`` up."""
        ...

    def parse_frame(self, frame: str | bytes) -> Event:
        """What a frame says; raises :class:`~depthcast.errors.MalformedFrame`."""
        ...

    # REST

    @property
    def rest_url(self) -> str:
        """The base that paths are appended to, without a slash at its end."""
        ...

    @property
    def ping_path(self) -> str:
        """A path that does nothing but answer."""
        ...

    @property
    def exchange_info_paths(self) -> Sequence[str]:
        """Paths that answer the list of symbols, the preferred one first; an old engine may refuse it."""
        ...

    def depth_path(self, symbol: str, limit: int) -> str:
        """The path, query included, that answers a snapshot of ``limit`` levels a side."""
        ...

    @property
    def request_weight_per_minute(self) -> int:
        """What an address may use, where the list of symbols does not say otherwise."""
        ...

    @property
    def ping_weight(self) -> int:
        """The request weight of :attr:`ping_path`."""
        ...

    @property
    def exchange_info_weight(self) -> int:
        """The request weight of :attr:`exchange_info_paths`."""
        ...

    def depth_weight(self, limit: int) -> int:
        """The request weight of a snapshot."""
        ...

    def used_weight(self, headers: Mapping[str, str]) -> int | None:
        """The weight this address used in the current minute, as an answer's headers report it."""
        ...

    def refusal(
        self, status: int, headers: Mapping[str, str], body: bytes, *, url: str, now_ms: int
    ) -> VenueError | None:
        """The error that an answer means; ``None`` for a 200. ``now_ms``: milliseconds since 1970."""
        ...

    def parse_snapshot(self, body: bytes, limit: int) -> Snapshot | OrderSnapshot | RowSnapshot:
        """The body of a snapshot asked for with ``limit``; raises MalformedAnswer."""
        ...

    def parse_exchange_info(self, body: bytes) -> ExchangeInfo:
        """The body of the list of symbols; raises MalformedAnswer."""
        ...


@runtime_checkable
class NamesSymbols(Protocol):
    """A :class:`Venue` whose frames tell the symbol of a diff where it costs nothing to look."""

    def symbol_of(self, frame: bytes) -> str | None:
        """The symbol of a frame that holds a diff, by the beginning of it; ``None`` where that does not tell.

        Whether it is one :meth:`Venue.parse_frame` finds out when it is the symbol's turn.
        """
        ...
