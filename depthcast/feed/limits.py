"""Every bound of a feed and its default, with the reason. Values only."""

from dataclasses import dataclass, replace
from typing import Final, Self

from depthcast.venues import Venue

MAX_STREAMS: Final = 1024
"""*"A single connection can listen to a maximum of 1024 streams."* (Binance, web-socket-streams.md)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedLimits:
    """The bounds of a :class:`~depthcast.feed.Feed`; :class:`ValueError` for those that cannot hold."""

    # Connections

    streams_per_connection: int = 200
    """A lost connection costs all its books a resync, by REST up to 250 weight each: 200 of them are ten
    minutes of an address's weight, 1,024 nearly an hour. 200 busy streams are about 2,000 frames a second."""

    connects_per_5_min: int = 60
    """*"There is a limit of 300 connections per attempt every 5 minutes per IP"*, which replicas share."""

    open_timeout_s: float = 10.0
    close_timeout_s: float = 1.0
    """How long the closing handshake may take before the socket is cut."""

    reconnect_initial_s: float = 0.5
    reconnect_maximum_s: float = 30.0
    stable_after_s: float = 10.0
    """A connection that lived so long ends the growth of the pauses between attempts."""

    # Control messages

    control_interval_s: float = 0.35
    """*"5 incoming messages per second … a PING frame, a PONG frame, a JSON controlled message"*: three of
    ours in any second leave room for the pongs that the server's pings are answered with."""

    names_per_message: int = 100
    ack_timeout_s: float = 10.0
    """A control message not answered by then is a fault of the connection."""

    refused_initial_s: float = 5.0
    refused_maximum_s: float = 300.0
    """The pause before a refused SUBSCRIBE is tried again."""

    # Liveness

    idle_timeout_s: float = 30.0
    """A connection on which nothing at all was heard, not even the pong to our own ping, is half open."""

    probe_after_s: float = 1.2
    """A ping goes out after so long without a frame, or after a third of ``idle_timeout_s`` where that is
    less. Readers are told until when a quiet book is known to be current: until its connection was heard."""

    malformed_in_a_row: int = 20
    """So many malformed frames without a good one between them are a fault of the connection."""

    silent_after_s: float = 60.0
    silent_maximum_s: float = 3600.0
    """An acknowledged stream that has not delivered anything by then is subscribed anew; the time doubles
    with each attempt, up to the maximum, since a really quiet symbol is possible."""

    renewals_before_move: int = 2
    """After so many attempts on its connection a silent stream is moved to another one, once."""

    # Rotation

    max_age_s: float = 23 * 3600.0
    """*"A single connection … is only valid for 24 hours"*. Infinite: none is retired before its end."""

    age_jitter: float = 0.1
    """Connections are retired up to this share earlier, so that they do not all rotate together."""

    overlap_s: float = 30.0
    """How long a successor may run beside the connection it replaces before it counts as failed."""

    handover_initial_s: float = 5.0
    handover_maximum_s: float = 300.0
    """The pause before another successor is tried."""

    # Memory

    max_frame_bytes: int = 16 * 1024 * 1024
    """A venue may begin a stream with the whole book: BitMEX's 9,346 rows of XBTUSD are 1.5 MB."""

    max_queue_frames: int = 64
    """Frames received and not yet read, beyond which the socket is not read any further."""

    max_waiting_bytes: int = 4 * 1024 * 1024
    """Frames that were read and wait for their symbols' turns, beyond which a connection reads no further:
    200 diffs of 1,000 levels, a tenth of a second's work. Their values take ten times as much memory."""

    compression: str | None = None
    """permessage-deflate (``"deflate"``) saves traffic and costs 6 to 8 µs a frame, a fifth of its price."""

    # Time

    tick_s: float = 0.1
    """How often decisions are taken. Frames do not wait for it."""

    @classmethod
    def of(cls, venue: Venue) -> Self:
        """The bounds that keep to a venue's own: of the messages that it takes, some are left for pongs."""
        limits = cls(
            control_interval_s=1.75 / venue.messages_per_s,
            connects_per_5_min=max(1, venue.connects_per_hour // 12),
            max_age_s=venue.connection_s,
        )
        if venue.heartbeat is None:
            return limits
        return replace(limits, probe_after_s=venue.heartbeat_s, idle_timeout_s=2 * venue.heartbeat_s)

    def __post_init__(self) -> None:
        if not 1 <= self.streams_per_connection <= MAX_STREAMS:
            raise ValueError(f"streams_per_connection is not within 1 and {MAX_STREAMS}")
        if self.names_per_message < 1 or self.connects_per_5_min < 1 or self.max_waiting_bytes < 1:
            raise ValueError("names_per_message, connects_per_5_min and max_waiting_bytes are at least 1")
        if not 0 <= self.age_jitter < 1:
            raise ValueError("age_jitter is a share: at least 0, less than 1")
