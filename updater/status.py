"""What ``/status`` answers: one replica as JSON, for people and for ``depthcast up``.

Times are milliseconds; ages and latencies are as of ``now_ms``. What is not known is ``null``. Members may be
added; those here keep their names and meanings.
"""

from typing import TypedDict


class FileStatus(TypedDict):
    """One file of a symbol."""

    limit: int
    epoch: int | None
    """With ``update_id``, the version in the store as this replica last saw it."""
    update_id: int | None
    behind_ms: int
    """For how long the file has been older than the book."""


class SymbolStatus(TypedDict):
    """One symbol."""

    symbol: str
    role: str
    """``writer``, ``acting`` or ``standby`` (:class:`depthcast.heartbeat.Role`)."""
    rank: int
    """Among the replicas that hold the symbol; 0 writes."""
    status: str
    """The exchange's word for what the symbol does, such as ``TRADING``."""
    state: str
    """``live``, ``building`` (the last good book stays published), or ``starting`` before the first."""
    epoch: int
    update_id: int | None
    best_bid: list[str] | None
    """``[price, quantity]``"""
    best_ask: list[str] | None
    age_ms: int | None
    """Since the book last changed."""
    certain_bids: int
    """Levels below which the book is complete."""
    certain_asks: int
    source: str | None
    """Where the book's snapshot came from: ``file`` or ``rest``."""
    resyncs: int
    written: int
    """Files written since the start."""
    lost: int
    """Writes that another replica was ahead of."""
    files: list[FileStatus]


class ConnectionStatus(TypedDict):
    """One open websocket."""

    line: int
    role: str
    """``current``, or ``successor`` while it takes over."""
    symbols: int
    acked: int
    age_ms: int
    last_frame_age_ms: int
    frames: int
    bytes: int


class FeedStatus(TypedDict):
    """The feed; counts are totals since the start."""

    url: str
    symbols: int
    live: int
    frames: int
    bytes: int
    malformed: int
    lost: int
    rotations: int
    connections: list[ConnectionStatus]


class RestStatus(TypedDict):
    """The pace of the exchange's REST interface."""

    url: str
    weight_used: int
    weight_limit: int
    waiting: int
    pending: int
    """Those that wait and those that were sent."""
    answered: int
    expected_wait_ms: int
    """How long it will take until what waits was sent."""
    silent_for_ms: int


class WriteStatus(TypedDict):
    """All symbols' writes. Latencies are of the won writes of the last minute."""

    written: int
    lost: int
    in_flight: int
    p50_ms: float | None
    p99_ms: float | None


class FleetStatus(TypedDict):
    """The replicas, as this one sees them."""

    state: str
    """``live``, or ``leaving`` after it was told to stop."""
    living: list[str]
    """All who live, by name, this one among them."""
    redundancy: int
    """How many hold each symbol; 0: all."""
    listed: int
    """The symbols that the settings mean, held here or not."""
    takeovers: int
    """How often this replica took over."""


class TapeStatus(TypedDict):
    """The tape, where some symbols are recorded."""

    recorded: int
    """Symbols that are recorded here."""
    waiting: int
    """Segments that are finished and not in the store yet."""
    bytes: int
    """What is recorded and not in the store yet, in memory."""


class Status(TypedDict):
    """The whole answer."""

    replica: str
    version: str
    now_ms: int
    uptime_ms: int
    ready: bool
    exchange: str
    store_url: str
    store_proven: bool
    """Whether the start-up probe has shown that the store honours conditions; nothing is written before."""
    writes: WriteStatus
    feed: FeedStatus
    rest: RestStatus
    fleet: FleetStatus
    tape: TapeStatus | None
    symbols: list[SymbolStatus]


class CrewStatus(TypedDict):
    """The answer of a process that serves several venues."""

    ready: bool
    errors: dict[str, str]
    """Why a venue's replica ended that waits to be begun anew, by venue."""
    venues: dict[str, Status]
