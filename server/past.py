"""What was in force at a time, and what changed: answers from the history that the updaters keep.

======================================================  ================================================
``GET /api/v3/exchangeInfo?at=TIME`` and its filters    the list of symbols as it was then
``GET /sapi/v1/system/status``, with ``at=`` or not     the exchange's maintenance
``GET /metadata/tradingStatus``, with ``at=`` or not    what each symbol does
``GET /history/KIND?symbol=&from=&to=&limit=``          changes, the newest first
======================================================  ================================================

``TIME`` is milliseconds since 1970 or ISO 8601. A document is answered as the exchange wrote it,
``serverTime`` and all. What a later change cannot alter any more may be kept by caches for good. The newest
change's metadata are read at most every ``refresh_s``; of the documents that were read some are held.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from depthcast.files import BINANCE, Scheme, valid_symbol
from depthcast.metadata.document import write_json
from depthcast.metadata.history import MAX_PAGE, Found, History, Page
from depthcast.metadata.kinds import (
    CURRENT_PREFIX,
    EXCHANGE_INFO,
    SYSTEM_STATUS,
    Kind,
    public,
    trading_status,
)
from depthcast.metadata.moments import parse_moment
from depthcast.metadata.record import MAX_TIME_MS, HeadInfo
from depthcast.store import Store
from depthcast.venues.binance_lists import parse_exchange_info
from depthcast.venues.binance_lists import select as binance_select
from depthcast.venues.binance_rest import (
    SYMBOL_ILLEGAL,
    UNAVAILABLE,
    empty,
    not_valid,
    parameters,
    parse_time_unit,
    unread,
)
from depthcast.venues.requests import ApiError
from server.answers import QUERY_TOO_LONG, Answer, Asked, Endpoint, Header, json_answer, refusal
from server.encoded import encoded
from server.exchange_info import Listing, Select, Wanted, change_headers
from server.parsing import MAX_QUERY_BYTES
from server.reads import OnRead, read_or_tell

SYSTEM_STATUS_PATH: Final = "/sapi/v1/system/status"
TRADING_STATUS_PATH: Final = "/metadata/tradingStatus"


def trading_status_path(scheme: Scheme) -> str:
    """Where what a venue's symbols do is answered.

    >>> from depthcast.files import COINBASE
    >>> trading_status_path(BINANCE), trading_status_path(COINBASE)
    ('/metadata/tradingStatus', '/metadata/coinbaseexchange/tradingStatus')
    """
    return f"/metadata/{trading_status(scheme).name}"


def history_paths(scheme: Scheme) -> dict[str, Kind]:
    """Where a venue's changes are answered: of which kind.

    >>> from depthcast.files import COINBASE
    >>> list(history_paths(COINBASE))
    ['/history/coinbaseexchange/products', '/history/coinbaseexchange/tradingStatus']
    """
    return {f"/history/{kind.name}": kind for kind in public(scheme)}


HISTORY_PATHS: Final = history_paths(BINANCE)

STATUS_WEIGHT: Final = 1
HISTORY_WEIGHT: Final = 20

DEFAULT_REFRESH_S: Final = 1.0
DEFAULT_READ_TIMEOUT_S: Final = 10.0
DEFAULT_MAX_KEPT: Final = 4
DEFAULT_MAX_WAITING: Final = 64
DEFAULT_LIMIT: Final = 100

TIME_RANGE: Final = "milliseconds since 1970, or ISO 8601 as 2026-11-20T14:03:00Z"

_IMMUTABLE: Final[Header] = (b"cache-control", b"public, max-age=31536000, immutable")
_VARY: Final[Header] = (b"vary", b"accept-encoding, x-mbx-time-unit")
_LOG: Final = ("symbol", "from", "to", "limit")
_READS_AT_ONCE: Final = 4

T = TypeVar("T")


def illegal_time(name: str) -> ApiError:
    """-1100: the parameter is no time."""
    return ApiError(
        400, -1100, f"Illegal characters found in parameter '{name}'; legal range is {TIME_RANGE}."
    )


NOTHING_BY_THEN: Final = ApiError(
    400, -1130, "Data sent for parameter 'at' is not valid; nothing that was recorded by then is kept."
)
IN_THE_FUTURE: Final = ApiError(400, -1130, "Data sent for parameter 'at' is not valid; it is in the future.")


class _Opened(NamedTuple):
    """A document of a time, ready to be answered from; ``listing`` where it is a list of symbols."""

    found: Found
    listing: Listing | None


class Past:
    """The endpoints. ``clock`` is monotonic, in seconds; ``wall_ms`` is milliseconds since 1970.

    At most ``max_waiting`` requests wait for the store at a time; who is one too many is answered 503.
    ``schemes`` are those of the venues whose documents are answered.
    """

    def __init__(
        self,
        store: Store,
        *,
        on_read: OnRead = lambda *_: None,
        refresh_s: float = DEFAULT_REFRESH_S,
        read_timeout_s: float = DEFAULT_READ_TIMEOUT_S,
        max_kept: int = DEFAULT_MAX_KEPT,
        max_waiting: int = DEFAULT_MAX_WAITING,
        schemes: Sequence[Scheme] = (BINANCE,),
        clock: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._store = store
        self._on_read = on_read
        self._refresh_s = refresh_s
        self._read_timeout_s = read_timeout_s
        self._max_kept = max_kept
        self._max_waiting = max_waiting
        self._clock = clock
        self._wall_ms = wall_ms
        self._schemes = tuple(schemes)
        self._histories = {kind: History(store, kind) for each in self._schemes for kind in public(each)}
        self._heads: dict[Kind, tuple[HeadInfo | ApiError | None, float]] = {}
        self._kept: OrderedDict[tuple[Kind, str, int], _Opened] = OrderedDict()
        self._reads = asyncio.Semaphore(_READS_AT_ONCE)
        self._waiting = 0

    def exchange_info(
        self,
        now: Endpoint,
        *,
        kind: Kind = EXCHANGE_INFO,
        parse: Callable[[bytes], Any] = parse_exchange_info,
        select: Select = binance_select,
        units: bool = True,
        worded: Callable[[ApiError], ApiError] = lambda refused: refused,
    ) -> Endpoint:
        """``GET /api/v3/exchangeInfo`` or another call for the list of ``kind``: ``now`` answers what is not
        asked about another time. ``units``: the time unit is looked at, as Binance does; ``worded`` puts
        refusals into the venue's form."""

        def answer(asked: Asked) -> Answer | Awaitable[Answer]:
            if b"at=" not in asked.query or len(asked.query) > MAX_QUERY_BYTES:
                return now(asked)
            parts = asked.query.split(b"&")
            of_time = [part for part in parts if part.partition(b"=")[0] == b"at"]
            if not of_time:
                return now(asked)
            unit = parse_time_unit(asked.time_unit if units else None)
            if isinstance(unit, ApiError):
                return refusal(unit)
            at_ms = self._at(b"&".join(of_time))
            if isinstance(at_ms, ApiError):
                return refusal(worded(at_ms))
            query = b"&".join(part for part in parts if part not in of_time)
            request = parse(b"%b?%b" % (asked.place, query) if asked.place else query)
            if isinstance(request, ApiError):
                return refusal(request)
            wanted = Wanted(request, select, unit == "MICROSECOND", asked.accept_encoding)
            return self._bounded(self._list_at(kind, wanted, at_ms, worded))

        return answer

    def document(self, kind: Kind) -> Endpoint:
        """A document as it is, or as it was with ``at=``."""

        def answer(asked: Asked) -> Answer | Awaitable[Answer]:
            refused = _refused_early(asked)
            if refused is not None:
                return refused
            at_ms = self._at(asked.query)
            if isinstance(at_ms, ApiError):
                return refusal(at_ms)
            return self._bounded(self._document_at(kind, at_ms, asked.accept_encoding))

        return answer

    def log(self, kind: Kind) -> Endpoint:
        """The changes of one kind."""

        def answer(asked: Asked) -> Answer | Awaitable[Answer]:
            refused = _refused_early(asked)
            if refused is not None:
                return refused
            request = parse_log(asked.query)
            if isinstance(request, ApiError):
                return refusal(request)
            return self._bounded(self._log(kind, request, asked.accept_encoding))

        return answer

    def endpoints(self) -> dict[str, tuple[Endpoint, int]]:
        """All but the lists of symbols, by path, with what each weighs."""
        found = {SYSTEM_STATUS_PATH: (self.document(SYSTEM_STATUS), STATUS_WEIGHT)}
        for scheme in self._schemes:
            found[trading_status_path(scheme)] = (self.document(trading_status(scheme)), STATUS_WEIGHT)
            found |= {path: (self.log(kind), HISTORY_WEIGHT) for path, kind in history_paths(scheme).items()}
        return found

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        assert len(self._kept) <= self._max_kept
        assert 0 <= self._waiting <= self._max_waiting

    def _at(self, query: bytes) -> int | ApiError | None:
        """The time asked for; ``None`` for now."""
        sent = parameters(query, ("at",))
        if isinstance(sent, ApiError):
            return sent
        at_ms = moment_of(sent, "at", None)
        if isinstance(at_ms, ApiError):
            return at_ms
        refused = unread(sent, ("at",))
        if refused is not None:
            return refused
        return IN_THE_FUTURE if at_ms is not None and at_ms > self._wall_ms() else at_ms

    async def _bounded(self, answering: Coroutine[Any, Any, Answer]) -> Answer:
        if self._waiting >= self._max_waiting:
            answering.close()
            return refusal(UNAVAILABLE)
        self._waiting += 1
        try:
            return await answering
        finally:
            self._waiting -= 1

    async def _list_at(
        self, kind: Kind, wanted: Wanted, at_ms: int | None, worded: Callable[[ApiError], ApiError]
    ) -> Answer:
        opened = await self._open(kind, at_ms)
        if isinstance(opened, ApiError):
            return refusal(worded(opened))
        assert opened.listing is not None
        after = opened.listing.select(wanted.request, wanted.select)
        if isinstance(after, ApiError):
            return refusal(after)
        body = opened.listing.whole.beginning(in_us=wanted.in_us) + after
        return await _given(body, opened.found, wanted.accept_encoding)

    async def _document_at(self, kind: Kind, at_ms: int | None, accept_encoding: bytes | None) -> Answer:
        opened = await self._open(kind, at_ms)
        if isinstance(opened, ApiError):
            return refusal(opened)
        found = opened.found if at_ms is not None else opened.found._replace(final=False)
        return await _given(found.document, found, accept_encoding)

    async def _log(self, kind: Kind, request: "LogRequest", accept_encoding: bytes | None) -> Answer:
        history = self._histories[kind]
        page = await self._read(
            kind,
            lambda: history.log(request.from_ms, request.to_ms, symbol=request.symbol, limit=request.limit),
        )
        if page is None:
            return refusal(UNAVAILABLE)
        answer = json_answer(write_json(page_json(kind, page)))
        given = encoded(answer._replace(headers=(*answer.headers, _VARY)), accept_encoding)
        return given if isinstance(given, Answer) else await given

    async def _open(self, kind: Kind, at_ms: int | None) -> _Opened | ApiError:
        """What was in force, or why that cannot be told."""
        head = await self._head(kind)
        if isinstance(head, ApiError):
            return head
        if head is None:
            return UNAVAILABLE if at_ms is None else NOTHING_BY_THEN
        time_ms = MAX_TIME_MS if at_ms is None else at_ms
        history = self._histories[kind]
        if head.observed_ms <= time_ms:
            key: str | None = kind.head_key
        else:
            located = await self._read(kind, lambda: _some(history.locate(time_ms, head)))
            if located is None:
                return UNAVAILABLE
            key = located[0]
        if key is None:
            return NOTHING_BY_THEN
        name = (kind, key, head.sequence if key == kind.head_key else 0)
        opened = self._kept.get(name)
        if opened is None:
            opened = await self._read(kind, lambda: self._opened(history, kind, key, time_ms))
            if opened is None:
                return UNAVAILABLE
            if opened.found.record.sequence == head.sequence or key != kind.head_key:
                self._keep(name, opened)
        else:
            self._kept.move_to_end(name)
        return opened

    async def _opened(self, history: History, kind: Kind, key: str, time_ms: int) -> _Opened | None:
        found = await history.open(key, time_ms)
        if found is None:
            return None
        if kind.layout is None or kind.key.startswith(CURRENT_PREFIX):
            return _Opened(found, None)
        return _Opened(found, await asyncio.to_thread(Listing, found.document, (), kind.layout))

    def _keep(self, name: tuple[Kind, str, int], opened: _Opened) -> None:
        self._kept[name] = opened
        while len(self._kept) > self._max_kept:
            self._kept.popitem(last=False)

    async def _head(self, kind: Kind) -> HeadInfo | ApiError | None:
        """The newest change as last read; ``None`` where nothing was recorded yet."""
        held = self._heads.get(kind)
        if held is None or self._clock() - held[1] >= self._refresh_s:
            history = self._histories[kind]
            read = await self._read(kind, lambda: _some(history.head()))
            # A store that cannot be read is asked again after the same time, and the last answer stays.
            info = read[0] if read is not None else (UNAVAILABLE if held is None else held[0])
            self._heads[kind] = (info, self._clock())
        return self._heads[kind][0]

    async def _read(self, kind: Kind, reading: Callable[[], Awaitable[T]]) -> T | None:
        """What the store has; ``None`` where it cannot be had, which is told."""
        return await read_or_tell(
            kind.head_key,
            reading,
            url=self._store.url,
            timeout_s=self._read_timeout_s,
            on_read=self._on_read,
            clock=self._clock,
            slots=self._reads,
        )


class LogRequest(NamedTuple):
    """A request for changes. Times are inclusive."""

    symbol: str | None
    from_ms: int
    to_ms: int
    limit: int


def parse_log(query: bytes) -> LogRequest | ApiError:
    """The request that the raw query string of ``GET /history/KIND`` makes, or the refusal.

    >>> parse_log(b"symbol=ETHUSDT&from=5&to=2024-08-08")
    LogRequest(symbol='ETHUSDT', from_ms=5, to_ms=1723075200000, limit=100)
    """
    sent = parameters(query, _LOG)
    if isinstance(sent, ApiError):
        return sent
    symbol = sent.get("symbol")
    if symbol == "":
        return empty("symbol")
    if symbol is not None and (not valid_symbol(symbol) or symbol in (".", "..")):
        return SYMBOL_ILLEGAL
    page = page_of(sent)
    if isinstance(page, ApiError):
        return page
    return unread(sent, _LOG) or page._replace(symbol=symbol)


def page_of(sent: dict[str, str]) -> LogRequest | ApiError:
    """Which changes are asked for by ``from``, ``to`` and ``limit``."""
    from_ms, to_ms = moment_of(sent, "from", 0), moment_of(sent, "to", MAX_TIME_MS)
    if isinstance(from_ms, ApiError):
        return from_ms
    if isinstance(to_ms, ApiError):
        return to_ms
    text = sent.get("limit", str(DEFAULT_LIMIT))
    if not text:
        return empty("limit")
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= MAX_PAGE):
        return not_valid("limit")
    assert from_ms is not None
    assert to_ms is not None
    return LogRequest(None, from_ms, to_ms, int(text))


def page_json(kind: Kind, page: Page) -> dict[str, Any]:
    """A page as it is answered. ``nextTo``: ask again with ``to`` being this for what is older."""
    return {
        "kind": kind.name,
        "changes": [record.to_json() for record in page.records],
        "nextTo": page.more_to_ms,
    }


def moment_of(sent: dict[str, str], name: str, default: int | None) -> int | ApiError | None:
    """The time that a parameter tells; ``default`` where it was not sent."""
    text = sent.get(name)
    if text is None:
        return default
    if not text:
        return empty(name)
    try:
        return parse_moment(text)
    except ValueError:
        return illegal_time(name)


def _refused_early(asked: Asked) -> Answer | None:
    """The checks that come first everywhere."""
    if len(asked.query) > MAX_QUERY_BYTES:
        return QUERY_TOO_LONG
    unit = parse_time_unit(asked.time_unit)
    return refusal(unit) if isinstance(unit, ApiError) else None


async def _some(reading: Awaitable[T]) -> tuple[T]:
    """A result that is never ``None``, whatever was read."""
    return (await reading,)


async def _given(body: bytes, found: Found, accept_encoding: bytes | None) -> Answer:
    answer = json_answer(body)
    told = change_headers(found.record.sequence, found.record.observed_ms)
    headers = [
        _IMMUTABLE if found.final and name == b"cache-control" else (name, value)
        for name, value in answer.headers
    ]
    given = encoded(answer._replace(headers=(*headers, *told, _VARY)), accept_encoding)
    return given if isinstance(given, Answer) else await given
