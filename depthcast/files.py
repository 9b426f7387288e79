"""THE CONTRACT: which key answers which request, what its bytes are, and which of two files is newer.

A key *is* the request it answers, with canonical parameters in a fixed order::

    api/v3/depth?symbol=ETHUSDT&limit=5

The body is exactly the venue's own answer, compact, and a pure function of (symbol, update id, limit) and
of how deep the writer's book is certain::

    {"lastUpdateId":N,"bids":[["price","quantity"],…],"asks":[["price","quantity"],…]}

Which path and which limits those are is the venue's :class:`Scheme`. Binance's futures have the times of the
last diff before the bids, ``"E":…,"T":…``; whoever reads or cuts a body need not know whose it is. Coinbase's
``products/BTC-USD/book?level=2`` is never cut: a level is a kind of detail, and the id, its ``sequence``,
comes at the end, so its metadata tell it, too.

Whatever else a reader may want to know travels beside the body, as object metadata (:class:`FileInfo`).
Keys are built and parsed here and nowhere else. Pure: no I/O, no clock.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple, Self

from depthcast.errors import BadFile, BadKey

MAX_LIMIT: Final = 5000
"""The most levels a side that Binance's ``GET /api/v3/depth`` shows; a larger limit means this one."""

LIMITS: Final = (5, 10, 20, 50, 100, 500, 1000, 5000)
"""The limits published by default. Any other one is cut from the next larger file."""

FUTURES_LIMITS: Final = (5, 10, 20, 50, 100, 500, 1000)
"""The limits that Binance's futures know: another one is refused."""

DETAILS: Final = (1, 2, 3)
"""Coinbase's levels of detail: the best prices, all prices, all orders."""

CONTENT_TYPE: Final = "application/json"

PEEK_BYTES: Final = 64
"""So many first bytes of a file always hold its update id."""

MAX_NUMBER: Final = 2**63 - 1
"""The largest update id, epoch, count or time that a file tells, 64 bits with a sign, as the exchange's own
numbers have; what is larger is damage, and would overflow where times are reckoned or tables are made."""

_MOST_DIGITS: Final = len(str(MAX_NUMBER))

PUBLIC_PREFIX: Final = "api/"
"""What lies below it is published: anybody may read it."""

FUTURES_PREFIX: Final = "fapi/"
BINANCE_US_PREFIX: Final = "binanceus/"
BOOK_PREFIXES: Final = (PUBLIC_PREFIX, FUTURES_PREFIX, BINANCE_US_PREFIX)
"""The same of all venues."""

DEPTH_PREFIX: Final = "api/v3/depth?symbol="

EXCHANGE_INFO_KEY: Final = "api/v3/exchangeInfo"
"""The key of the venue's list of symbols, as the venue answers it (:mod:`depthcast.symbol_list`)."""

TRADING: Final = "TRADING"
"""The status of a symbol that is traded; any other one means that its book stands still."""

STATUS_NAME: Final = "status"
"""The name of the status among the metadata."""

UPDATE_ID_NAME: Final = "update-id"
"""The name of the update id among the metadata, of files whose first bytes do not tell it."""

DELISTED: Final = "DELISTED"
"""Our own word for a symbol that the venue lists no more."""

OPERATOR: Final = "operator"
"""The ``replica`` of a file that an operator wrote by hand: no process goes on writing it."""

FLEET_PREFIX: Final = "fleet/"
"""Where replicas' heartbeats are (:mod:`depthcast.heartbeat`)."""

# A symbol as Binance spells one since December 2025: 1 to 50 word characters (any alphabet), '-', '.', '_',
# none of them a lower-case ASCII letter. Binance's own words: '^[\w\-._&&[^a-z]]{1,50}$'.
_SYMBOL = re.compile(r"(?:(?![a-z])[\w\-.]){1,50}")
_KEY = re.compile(r"(?P<root>[a-z0-9/]+/)depth\?symbol=(?P<symbol>[^&=]+)&limit=(?P<limit>[1-9][0-9]{0,3})")
_BOOK_KEY = re.compile(r"(?P<root>products/)(?P<symbol>[^/?&=]+)/book\?level=(?P<limit>[1-9])")
_STATUS = re.compile(r"[A-Z][A-Z0-9_]{0,31}")
_REPLICA = re.compile(r"[A-Za-z0-9._-]{1,100}")
_HEARTBEAT = re.compile(rf"(?P<prefix>{FLEET_PREFIX}(?:[a-z]+/)?)(?P<replica>{_REPLICA.pattern})\.json")
# Behind the id come the bids, or the times that are told of futures, which may not end within a peek.
_HEAD = re.compile(rb'\{"lastUpdateId":(0|[1-9][0-9]{0,18}),"(?:bids":\[|E":[0-9])')

# Coinbase's come last, and end the file.
_TAIL = re.compile(
    rb'\],"sequence":(0|[1-9][0-9]{0,18}),"auction_mode":false,"auction":null,"time":"[^"]{0,64}"\}$'
)
_TAIL_BYTES: Final = 192

_ASKS = b'],"asks":['
_END = b"]}"
_BETWEEN_LEVELS = b"],["


class Version(NamedTuple):
    """Which of two files of one key is newer: compared by epoch, then by update id.

    Update ids can go down (relisting, maintenance); then a new epoch begins.

    >>> Version(1, 900) < Version(2, 7) < Version(2, 8)
    True
    """

    epoch: int
    update_id: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.update_id}"


class DepthKey(NamedTuple):
    """The request a depth file answers."""

    symbol: str
    limit: int


@dataclass(frozen=True, slots=True)
class Scheme:
    """What a venue's files are called, and which there are.

    ``root`` is where its REST paths begin; ``limits`` are published by default, and the last of them is the
    most levels a side that the venue shows. ``ladder``: no other limits may be asked for. ``room`` is the
    folder, below those of heartbeats and of metadata, that is this venue's alone; the first one has none.
    ``by_detail``: the limits are levels of detail, as Coinbase has them, and not numbers of prices.
    """

    venue: str
    root: str
    limits: tuple[int, ...] = LIMITS
    ladder: bool = False
    room: str = ""
    by_detail: bool = False

    @property
    def max_limit(self) -> int:
        """The most levels a side that the venue shows."""
        return self.limits[-1]

    @property
    def depth_prefix(self) -> str:
        """All keys of books begin so."""
        return self.root if self.by_detail else f"{self.root}depth?symbol="

    def key(self, symbol: str, limit: int) -> str:
        """The key of a book's file, whether it could be one or not."""
        if self.by_detail:
            return f"{self.root}{symbol}/book?level={limit}"
        return f"{self.root}depth?symbol={symbol}&limit={limit}"

    @property
    def exchange_info_key(self) -> str:
        """The key of the venue's list of symbols, as the venue answers it."""
        # Where the list is called as the folder of the books is, some stores could not keep both.
        return f"{self.room}products" if self.by_detail else f"{self.root}exchangeInfo"

    @property
    def fleet_prefix(self) -> str:
        """Where the heartbeats of the replicas are that keep this venue's books."""
        return f"{FLEET_PREFIX}{self.room}"


BINANCE: Final = Scheme("binance", "api/v3/")
BINANCE_US: Final = Scheme("binanceus", f"{BINANCE_US_PREFIX}api/v3/", room="binanceus/")
"""Its paths are Binance's own, so its keys begin with its name."""
BINANCE_USDM: Final = Scheme(
    "binanceusdm", f"{FUTURES_PREFIX}v1/", FUTURES_LIMITS, ladder=True, room="binanceusdm/"
)
COINBASE: Final = Scheme(
    "coinbaseexchange", "products/", DETAILS, ladder=True, room="coinbaseexchange/", by_detail=True
)

SCHEMES: Final[Mapping[str, Scheme]] = {
    scheme.venue: scheme for scheme in (BINANCE, BINANCE_US, BINANCE_USDM)
}
"""By the venue's name: those whose books the services publish."""

_BY_ROOT: Final = {scheme.root: scheme for scheme in (*SCHEMES.values(), COINBASE)}


def valid_symbol(text: str) -> bool:
    """Whether ``text`` is spelled like a symbol (it need not exist).

    >>> valid_symbol("ETHUSDT"), valid_symbol("币安人生USDT"), valid_symbol("ethusdt"), valid_symbol("A/B")
    (True, True, False, False)
    """
    return _SYMBOL.fullmatch(text) is not None


def valid_status(text: str) -> bool:
    """Whether ``text`` is spelled like a symbol's status: up to 32 upper-case letters, digits and ``_``.

    >>> valid_status("CANCEL_ONLY"), valid_status("halt"), valid_status("")
    (True, False, False)
    """
    return _STATUS.fullmatch(text) is not None


def depth_key(symbol: str, limit: int, scheme: Scheme = BINANCE) -> str:
    """The key of the file that answers ``GET /api/v3/depth?symbol=…&limit=…``, or its like in ``scheme``.

    Raises :class:`~depthcast.errors.BadKey` for a misspelled symbol or a limit outside 1…5000, or that the
    scheme does not know.

    >>> depth_key("ETHUSDT", 5), depth_key("ETHUSDT", 5, BINANCE_USDM)
    ('api/v3/depth?symbol=ETHUSDT&limit=5', 'fapi/v1/depth?symbol=ETHUSDT&limit=5')
    """
    key = scheme.key(symbol, limit)
    if not valid_symbol(symbol):
        raise BadKey(key, "the symbol is misspelled")
    if scheme.ladder:
        if limit not in scheme.limits:
            raise BadKey(key, f"the limit is none of {', '.join(map(str, scheme.limits))}")
    elif not 1 <= limit <= scheme.max_limit:
        raise BadKey(key, f"the limit is not within 1 and {scheme.max_limit}")
    return key


@lru_cache(maxsize=8192)
def parse_key(key: str) -> DepthKey:
    """The reverse of :func:`depth_key`, of any scheme; accepts the canonical spelling only.

    >>> parse_key("api/v3/depth?symbol=ETHUSDT&limit=5")
    DepthKey(symbol='ETHUSDT', limit=5)
    """
    match = _KEY.fullmatch(key) or _BOOK_KEY.fullmatch(key)
    scheme = _BY_ROOT.get(match["root"]) if match is not None else None
    if match is None or scheme is None or scheme.by_detail is not (match.re is _BOOK_KEY):
        raise BadKey(key, "not of the form api/v3/depth?symbol=SYMBOL&limit=LIMIT")
    parsed = DepthKey(match["symbol"], int(match["limit"]))
    try:
        depth_key(parsed.symbol, parsed.limit, scheme)
    except BadKey:
        raise BadKey(key, "the symbol is misspelled or the limit too large") from None
    return parsed


def scheme_of(key: str) -> Scheme:
    """Whose file a key names. Raises as :func:`parse_key`.

    >>> scheme_of("fapi/v1/depth?symbol=ETHUSDT&limit=5").venue
    'binanceusdm'
    """
    parse_key(key)
    return COINBASE if key.startswith(COINBASE.root) else _BY_ROOT[key.partition("depth?")[0]]


def heartbeat_key(replica: str, scheme: Scheme = BINANCE) -> str:
    """The key of a replica's heartbeat. Raises :class:`~depthcast.errors.BadKey` for a misspelled name.

    >>> heartbeat_key("a"), heartbeat_key("a", BINANCE_USDM)
    ('fleet/a.json', 'fleet/binanceusdm/a.json')
    """
    key = f"{scheme.fleet_prefix}{replica}.json"
    if _REPLICA.fullmatch(replica) is None:
        raise BadKey(key, "a replica's name is 1 to 100 letters, digits, '.', '_' and '-'")
    return key


def parse_heartbeat_key(key: str, scheme: Scheme = BINANCE) -> str:
    """The reverse of :func:`heartbeat_key`: of a replica that keeps this venue's books, and no other's.

    >>> parse_heartbeat_key("fleet/a.json")
    'a'
    """
    match = _HEARTBEAT.fullmatch(key)
    if match is None or match["prefix"] != scheme.fleet_prefix:
        raise BadKey(key, f"not of the form {scheme.fleet_prefix}REPLICA.json")
    return match["replica"]


def covering_limit(limit: int, published: tuple[int, ...] = LIMITS) -> int | None:
    """The smallest published limit that holds ``limit`` levels; ``None`` where none is large enough.

    ``published`` is sorted ascending.

    >>> covering_limit(7), covering_limit(5000), covering_limit(101, (5, 100))
    (10, 5000, None)
    """
    for candidate in published:
        if candidate >= limit:
            return candidate
    return None


def update_id_of(key: str, head: bytes) -> int:
    """The update id in the first :data:`PEEK_BYTES` (or all) bytes of a file; of Coinbase's in all of them.

    Raises :class:`~depthcast.errors.BadFile` where the bytes do not begin like a file.

    >>> update_id_of("k", b'{"lastUpdateId":160,"bids":[["0.1","2"]],"asks":[]}')
    160
    """
    match = _HEAD.match(head) or (
        _TAIL.search(head, max(0, len(head) - _TAIL_BYTES)) if head.startswith(b'{"bids":[') else None
    )
    if match is None:
        raise BadFile(key, "it does not begin with an update id and bids")
    update_id = int(match[1])
    if update_id > MAX_NUMBER:
        raise BadFile(key, f"no update id is as large as {update_id}")
    return update_id


def check_body(key: str, body: bytes) -> int:
    """The update id of a file's whole ``body``.

    Raises :class:`~depthcast.errors.BadFile` unless it begins, divides and ends like a whole file.

    Tells a foreign or a truncated object from a file at the cost of a search, not of a parse: what stands
    between the three marks is the store's to keep.

    >>> check_body("k", b'{"lastUpdateId":160,"bids":[["0.1","2"]],"asks":[]}')
    160
    """
    update_id = update_id_of(key, body)
    # Where the id was found at the end, that is whole.
    if _ASKS not in body or not (body.endswith(_END) or body.startswith(b'{"bids":[')):
        raise BadFile(key, "it has no asks or no end")
    return update_id


def cut(body: bytes, limit: int) -> bytes:
    """The file for a smaller ``limit`` (at least 1), out of a larger one's ``body``, without parsing it.

    O(bytes kept). Returns ``body`` itself where nothing is to be cut. Works on bytes that
    :mod:`depthcast.book` wrote: compact, so ``],[`` stands between two levels and nowhere else.

    >>> cut(b'{"lastUpdateId":1,"bids":[["3","1"],["2","1"]],"asks":[["4","1"]]}', 1)
    b'{"lastUpdateId":1,"bids":[["3","1"]],"asks":[["4","1"]]}'
    """
    asks_at = body.find(_ASKS)
    if asks_at < 0 or not body.endswith(_END):
        raise BadFile("?", "it has no asks or no end")
    bids_end = _end_of(body, body.find(b"[") + 1, asks_at, limit)
    asks_from = asks_at + len(_ASKS)
    asks_end = _end_of(body, asks_from, len(body) - len(_END), limit)
    if bids_end == asks_at and asks_end == len(body) - len(_END):
        return body
    view = memoryview(body)
    return b"".join((view[:bids_end], view[asks_at:asks_end], _END))


def _end_of(body: bytes, start: int, stop: int, limit: int) -> int:
    """Where the first ``limit`` levels of ``body[start:stop]`` end."""
    # Levels are short: looking at 64 bytes for each wanted one saves copying 150 kB to cut five levels.
    window = start + 64 * (limit + 1)
    if window < stop:
        pieces = body[start:window].split(_BETWEEN_LEVELS, limit)
        if len(pieces) > limit:
            return window - len(pieces[-1]) - len(_BETWEEN_LEVELS) + 1
    pieces = body[start:stop].split(_BETWEEN_LEVELS, limit)
    if len(pieces) <= limit:
        return stop
    return stop - len(pieces[-1]) - len(_BETWEEN_LEVELS) + 1


@dataclass(frozen=True, slots=True)
class FileInfo:
    """What a writer knows about a file beside its body; travels as the object's metadata.

    ``bids`` and ``asks`` count the levels that are *certain* on each side: below them the writer's book
    is complete. ``bids_complete``: no bid exists beyond them. Times are milliseconds since 1970;
    ``event_time_ms`` is the venue's clock of the last applied diff (0 where none came yet),
    ``publish_time_ms`` the writer's own. ``status`` is the venue's word for what the symbol does, or
    :data:`DELISTED`; it alone may change while the version stays (:mod:`depthcast.marking`). ``update_id`` is
    the book's, where the first bytes of the body do not tell it.
    """

    epoch: int
    bids: int
    asks: int
    bids_complete: bool
    asks_complete: bool
    event_time_ms: int
    publish_time_ms: int
    replica: str
    status: str = TRADING
    update_id: int | None = None

    def to_metadata(self) -> dict[str, str]:
        """As S3 user metadata: lower-case names, ASCII values.

        >>> info = FileInfo(0, 5000, 812, False, True, 1723161253000, 1723161253021, "host-1")
        >>> info.to_metadata()["certain-asks"]
        '812+'
        >>> FileInfo.from_metadata("k", info.to_metadata()) == info
        True
        """
        told = {} if self.update_id is None else {UPDATE_ID_NAME: str(self.update_id)}
        return {
            **told,
            "epoch": str(self.epoch),
            "certain-bids": f"{self.bids}{'+' * self.bids_complete}",
            "certain-asks": f"{self.asks}{'+' * self.asks_complete}",
            "event-time": str(self.event_time_ms),
            "publish-time": str(self.publish_time_ms),
            "replica": self.replica,
            STATUS_NAME: self.status,
        }

    @classmethod
    def from_metadata(cls, key: str, metadata: Mapping[str, str]) -> Self:
        """The reverse of :meth:`to_metadata`; names in any case. Without a status it is :data:`TRADING`:
        files written before there was one.

        Raises :class:`~depthcast.errors.BadFile` where a member is missing or malformed.
        """
        fields = {name.lower(): value for name, value in metadata.items()}
        try:
            bids, asks = fields["certain-bids"], fields["certain-asks"]
            return cls(
                epoch=_count(fields["epoch"]),
                bids=_count(bids.removesuffix("+")),
                asks=_count(asks.removesuffix("+")),
                bids_complete=bids.endswith("+"),
                asks_complete=asks.endswith("+"),
                event_time_ms=_count(fields["event-time"]),
                publish_time_ms=_count(fields["publish-time"]),
                replica=fields["replica"],
                status=_status(fields.get(STATUS_NAME, TRADING)),
                update_id=_count(fields[UPDATE_ID_NAME]) if UPDATE_ID_NAME in fields else None,
            )
        except KeyError as missing:
            raise BadFile(key, f"its metadata has no {missing.args[0]!r}") from None
        except ValueError as error:
            raise BadFile(key, f"its metadata is malformed: {error}") from None


def _count(text: str) -> int:
    # A text of any length would take long to read, too.
    if not (len(text) <= _MOST_DIGITS and text.isascii() and text.isdecimal() and int(text) <= MAX_NUMBER):
        raise ValueError(f"{text!r:.40} is not a whole number up to {MAX_NUMBER}")
    return int(text)


def _status(text: str) -> str:
    if not valid_status(text):
        raise ValueError(f"{text!r:.40} is not a status")
    return text


def version_of(key: str, head: bytes, metadata: Mapping[str, str]) -> Version:
    """The version of a stored file from its first bytes and its metadata.

    Raises :class:`~depthcast.errors.BadFile` where either is not ours.
    """
    info = FileInfo.from_metadata(key, metadata)
    return Version(info.epoch, update_id_of(key, head) if info.update_id is None else info.update_id)
