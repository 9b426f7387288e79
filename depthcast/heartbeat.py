"""``Heartbeat``: what a replica says of itself once a second, as the object ``fleet/<replica>.json``.

Heartbeats are how replicas know each other, how a reader knows that a file whose book did not change is
current all the same, and what ``depthcast fleet`` shows. They decide who does the work and never what may be
written: safety rests on the write rule alone. Only the replica itself writes its heartbeat.

Pure: bytes in, values out. Members that a later version adds are passed over.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from depthcast.errors import BadFile

HEARTBEAT_CONTENT_TYPE: Final = "application/json"

MOST: Final = 10**24
"""No count or time comes near it; a number of hundreds of digits would overflow where ages are reckoned."""

Count = Annotated[int, Field(ge=0, le=MOST)]

Word = Annotated[str, Field(pattern=r"^(?:[^\p{C}\p{Z}]| )*$")]
"""Text that can be shown as it is: no control character of it reaches a terminal."""


class State(StrEnum):
    """What a replica means to do."""

    LIVE = "live"
    LEAVING = "leaving"
    """It was told to stop, and goes on until others have taken over what it alone writes."""
    GONE = "gone"
    """Its last word: it has stopped."""


class Role(StrEnum):
    """What a replica does for a symbol it holds."""

    WRITER = "writer"
    """First in rank: it writes at once."""
    ACTING = "acting"
    """It writes until another replica is seen to: it took over, or a better one has not begun yet."""
    STANDBY = "standby"
    """It keeps the book and watches the file."""


class _Part(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="ignore")


class FeedBeat(_Part):
    """The websocket side: ``live`` of ``symbols`` subscriptions are up."""

    symbols: Count = 0
    live: Count = 0
    connections: Count = 0
    last_frame_age_ms: Count | None = None


class RestBeat(_Part):
    """The pace of the exchange's REST interface, and whom it is shared with."""

    address: Word = ""
    """Replicas of one ``address`` reach the exchange from one IP address and share its limits."""
    weight_used: Count = 0
    weight_limit: Count = 0
    waiting: Count = 0
    """Requests that wait for their turn or their answer."""
    answered: Count = 0
    """Requests answered since the replica started; it grows where there is progress."""
    expected_wait_ms: Count = 0
    """How long what waits will take."""
    silent_for_ms: Count = 0
    """How long the exchange asked for silence (429, 418), counted from this beat."""


class WriteBeat(_Part):
    """Writes of all symbols since the replica started."""

    written: Count = 0
    lost: Count = 0
    takeovers: Count = 0
    p50_ms: float | None = None
    p99_ms: float | None = None
    """Of the won writes of the last minute."""


class PollBeat(_Part):
    """One kind of question about the exchange itself, which one replica asks for all."""

    answered: Count = 0
    """Answers since the replica started; it grows where there is progress."""
    active: bool = False
    """Whether this replica asks, rather than standing by."""


class SymbolBeat(_Part):
    """One symbol held."""

    role: Role = Role.STANDBY
    rank: Count = 0
    """Among the replicas that hold the symbol; 0 writes."""
    live: bool = False
    """Whether its book is up to date, rather than being built."""
    epoch: Count = 0
    id: Count | None = None
    """The book's update id; ``None`` where there is no book yet."""
    bids: Word = "0"
    asks: Word = "0"
    """Levels that are certain; a ``+`` behind them: none exist beyond (:class:`depthcast.files.FileInfo`)."""
    heard_age_ms: Count | None = None
    """How long before this beat the connection that delivers the symbol was last heard: the book was the
    exchange's then. ``None`` where it is not known to have been, because the symbol is not delivered or a
    diff may be missing."""
    behind_ms: Count = 0
    """For how long the most frequent file has been older than this book, as far as this replica knows."""
    status: Word = "TRADING"
    """The exchange's word for what the symbol does."""
    suspicion: Word = ""
    """What the feed makes look as if the symbol stood still, whatever the exchange's word is: ``SILENT``,
    ``ONE_SIDED``, ``EMPTY``; usually nothing."""
    suspected_since_ms: Count = 0
    """The exchange's clock of the last diff before that."""


class Heartbeat(_Part):
    """One beat. ``beat`` counts from 1; times in milliseconds since 1970 are the replica's own clock, for
    people: whether a replica lives is judged by its beats changing."""

    replica: Word
    beat: Count
    state: State = State.LIVE
    time_ms: Count = 0
    started_ms: Count = 0
    version: Word = ""
    selection: Word = ""
    """Equal for replicas that are set to the same symbols."""
    limits: tuple[Count, ...] = ()
    """The limits it publishes, ascending."""
    redundancy: Count = 0
    """How many replicas hold each symbol; 0: all."""
    takeover_after_ms: Count = 0
    listed: Count = 0
    """How many symbols the settings mean, held by this replica or not."""
    feed: FeedBeat = FeedBeat()
    rest: RestBeat = RestBeat()
    writes: WriteBeat = WriteBeat()
    maintenance: bool = False
    """Whether the exchange said last that it is under maintenance, as far as this replica asked it."""
    polls: Mapping[Word, PollBeat] = Field(default_factory=dict)
    """The questions that it can ask, by kind."""
    symbols: Mapping[Word, SymbolBeat] = Field(default_factory=dict)

    def without_symbols(self) -> Self:
        """The same without what it holds: all that is of use of a replica that ended a while ago."""
        return self.model_copy(update={"symbols": {}})

    def to_body(self) -> bytes:
        """The object's bytes: compact JSON."""
        return self.model_dump_json().encode()

    @classmethod
    def from_body(cls, key: str, body: bytes) -> Self:
        """The reverse of :meth:`to_body`. Raises :class:`~depthcast.errors.BadFile`.

        >>> heartbeat = Heartbeat.from_body("fleet/a.json", b'{"replica":"a","beat":3}')
        >>> heartbeat.beat, heartbeat.state, heartbeat.writes.lost
        (3, <State.LIVE: 'live'>, 0)
        """
        try:
            return cls.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "the whole"
            raise BadFile(key, f"it is no heartbeat: {where}: {first['msg']}") from None
