"""``GET /api/v3/exchangeInfo`` and its like: a venue's list of symbols, from the file that updaters publish.

What is not filtered is the file's bytes but for ``serverTime``, which is the moment of the answer by this
server's clock, as at Binance; what is filtered is made of the entries' own bytes. The file is read when
somebody asks, at most every ``refresh_s``, on condition that it changed, by one reader for all. Where it
cannot be read, the last list goes on being answered; where there never was one, the answer is 503.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, Final, NamedTuple

from depthcast.errors import BadFile, DepthcastError, StoreError
from depthcast.files import EXCHANGE_INFO_KEY
from depthcast.metadata.record import HeadInfo
from depthcast.store import UNCHANGED, Store, StoredObject
from depthcast.symbol_list import LAYOUT, Layout, Parts, SymbolList
from depthcast.venues.binance_lists import parse_exchange_info
from depthcast.venues.binance_lists import select as binance_select
from depthcast.venues.binance_rest import UNAVAILABLE
from depthcast.venues.requests import ApiError
from server.answers import VARY, Answer, Asked, Endpoint, Header, json_answer, refusal
from server.encoded import encoded, takes_long
from server.parsing import Parsing, time_unit
from server.reads import OnRead, ReadOutcome, no_answer

DEFAULT_REFRESH_S: Final = 10.0
DEFAULT_READ_TIMEOUT_S: Final = 10.0

_CACHED_SELECTIONS: Final = 8
_ENCODED_AT_ONCE: Final = 2
"""So many lists are encoded at a time. Each is megabytes that nobody shares, for each tells its own time: who
waits for his turn has none yet."""


Select = Callable[[Parts, Any], bytes | ApiError]
"""What of a list answers a request."""


class Listing:
    """One version of the list, ready to be filtered by ``select``."""

    def __init__(
        self,
        body: bytes,
        told: Sequence[Header] = (),
        layout: Layout = LAYOUT,
    ) -> None:
        """Parses the whole of it. Raises :class:`~depthcast.errors.BadFile`. ``told`` is said beside it."""
        self.told = told
        self.whole = SymbolList.of(body, layout)
        between, entries, behind = self.whole.divide()
        self._parts = Parts(self.whole.after, between, {entry.symbol: entry for entry in entries}, behind)
        self._selected: dict[tuple[Select, Hashable], bytes | ApiError] = {}

    def select(self, request: Hashable, select: Select = binance_select) -> bytes | ApiError:
        """What stands behind the digits of ``serverTime``, or the whole of what tells none; the refusal where
        there is no such symbol."""
        asked = select, request
        if asked not in self._selected:
            if len(self._selected) >= _CACHED_SELECTIONS:
                self._selected.clear()
            self._selected[asked] = select(self._parts, request)
        return self._selected[asked]


class ExchangeInfo:
    """The endpoints of one list: :meth:`endpoint` makes them, and they share what is read.

    ``key`` is the list's and ``layout`` how it is written; ``unavailable`` is the answer where there is none,
    ``units``: whether the time unit is looked at, as Binance does. ``clock`` is monotonic, in seconds;
    ``wall_us`` is microseconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        *,
        key: str = EXCHANGE_INFO_KEY,
        layout: Layout = LAYOUT,
        unavailable: ApiError = UNAVAILABLE,
        units: bool = True,
        on_read: OnRead = lambda *_: None,
        refresh_s: float = DEFAULT_REFRESH_S,
        read_timeout_s: float = DEFAULT_READ_TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
        wall_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._store = store
        self._key = key
        self._layout = layout
        self._unavailable = unavailable
        self._units = units
        self._on_read = on_read
        self._refresh_s = refresh_s
        self._read_timeout_s = read_timeout_s
        self._clock = clock
        self._wall_us = wall_us
        self._listing: Listing | None = None
        self._seen_etag: str | None = None
        self._read_at: float | None = None
        self._reading: asyncio.Task[None] | None = None
        self._encoding = asyncio.Semaphore(_ENCODED_AT_ONCE)
        self.answer = self.endpoint(parse_exchange_info)
        """Binance's call."""

    def endpoint(self, parse: Callable[[bytes], Any], select: Select = binance_select) -> Endpoint:
        """A call for the list or for part of it. Its answer is to be awaited only where the file is to be
        read first, or where it is long."""
        parsing = Parsing(parse, remembered=256, units=self._units)

        def answer(asked: Asked) -> Answer | Awaitable[Answer]:
            request = parsing.read(asked)
            if isinstance(request, Answer):
                return request
            in_us = self._units and time_unit(asked) == "MICROSECOND"
            wanted = Wanted(request, select, in_us, asked.accept_encoding)
            if self._read_at is not None and self._clock() - self._read_at < self._refresh_s:
                return self._given(wanted)
            return self._read_first(wanted)

        return answer

    async def close(self) -> None:
        """End the read that is under way."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _read_first(self, wanted: "Wanted") -> Answer:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        await asyncio.shield(self._reading)
        given = self._given(wanted)
        return given if isinstance(given, Answer) else await given

    def _given(self, wanted: "Wanted") -> Answer | Awaitable[Answer]:
        after = None if self._listing is None else self._listing.select(wanted.request, wanted.select)
        if not isinstance(after, bytes) or not takes_long(len(after), wanted.accept_encoding):
            return encoded(self._from(wanted), wanted.accept_encoding)
        return self._encoded_later(wanted)

    async def _encoded_later(self, wanted: "Wanted") -> Answer:
        async with self._encoding:
            # Made now: its time is that of the answer, and what waits before is only the request.
            given = encoded(self._from(wanted), wanted.accept_encoding)
            return given if isinstance(given, Answer) else await given

    async def _read(self) -> None:
        """Learn what the store has. What it has not, or cannot say, leaves what is held."""
        began = self._clock()
        error: DepthcastError | None = None
        outcome = ReadOutcome.UNCHANGED
        try:
            async with asyncio.timeout(self._read_timeout_s):
                if self._seen_etag is None:
                    found = await self._store.get(self._key)
                else:
                    changed = await self._store.get_if_changed(self._key, self._seen_etag)
                    if changed is UNCHANGED:
                        return
                    found = changed
            if found is None:
                outcome = ReadOutcome.MISSING
                return
            # Parsing millions of bytes would keep everybody waiting.
            self._seen_etag = found.etag
            outcome = ReadOutcome.DAMAGED
            self._listing = await asyncio.to_thread(Listing, found.body, told_of(found), self._layout)
            outcome = ReadOutcome.CHANGED
        except BadFile as bad:
            error = bad
        except StoreError as failed:
            outcome, error = ReadOutcome.FAILED, failed
        except TimeoutError:
            outcome, error = ReadOutcome.FAILED, no_answer(self._store.url, self._read_timeout_s)
        finally:
            # A store that fails is not asked by each reader, either.
            self._read_at = self._clock()
            self._on_read(self._key, outcome, self._read_at - began, error)

    def _from(self, wanted: "Wanted") -> Answer:
        if self._listing is None:
            return refusal(self._unavailable)
        after = self._listing.select(wanted.request, wanted.select)
        if isinstance(after, ApiError):
            return refusal(after)
        whole = self._listing.whole
        before = b""
        if whole.server_time_ms is not None:
            now_us = self._wall_us()
            before = b"%s%d" % (whole.before, now_us if wanted.in_us else now_us // 1000)
        answer = json_answer(before + after)
        return answer._replace(headers=(*answer.headers, *self._listing.told, VARY))


class Wanted(NamedTuple):
    """What is asked for, how it is selected, in which unit times are told, and what coding is taken."""

    request: Any
    select: Select
    in_us: bool
    accept_encoding: bytes | None


def told_of(found: StoredObject) -> Sequence[Header]:
    """The headers that say what change a current file is of; none where its writer did not say."""
    try:
        info = HeadInfo.from_metadata(EXCHANGE_INFO_KEY, found.metadata)
    except BadFile:
        return ()
    return change_headers(info.sequence, info.observed_ms)


def change_headers(sequence: int, observed_ms: int) -> Sequence[Header]:
    """What change of the exchange's metadata an answer is of, and when that was seen."""
    return ((b"depthcast-sequence", b"%d" % sequence), (b"depthcast-observed-time", b"%d" % observed_ms))
