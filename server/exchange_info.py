"""``GET /api/v3/exchangeInfo``: the exchange's list of symbols, from the file that the updaters publish.

What is not filtered is the file's bytes but for ``serverTime``, which is the moment of the answer by this
server's clock, as at Binance; what is filtered is made of the entries' own bytes. The file is read when
somebody asks, at most every ``refresh_s``, on condition that it changed, by one reader for all. Where it
cannot be read, the last list goes on being answered; where there never was one, the answer is 503.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from depthcast.errors import BadFile, DepthcastError, StoreError, StoreUnavailable
from depthcast.files import EXCHANGE_INFO_KEY
from depthcast.metadata.record import HeadInfo
from depthcast.store import UNCHANGED, Store, StoredObject
from depthcast.symbol_list import Entry, SymbolList, without_permission_sets
from depthcast.venues.binance_lists import DEFAULT_PERMISSIONS, ExchangeInfoRequest, parse_exchange_info
from depthcast.venues.binance_rest import UNAVAILABLE, UNKNOWN_SYMBOL, ApiError
from server.answers import VARY, Answer, Asked, Header, json_answer, refusal
from server.encoded import encoded, takes_long
from server.hot import OnRead, ReadOutcome
from server.parsing import Parsing, time_unit

DEFAULT_REFRESH_S: Final = 10.0
DEFAULT_READ_TIMEOUT_S: Final = 10.0

_CACHED_SELECTIONS: Final = 8
_ENCODED_AT_ONCE: Final = 2
"""So many lists are encoded at a time. Each is megabytes that nobody shares, for each tells its own time: who
waits for his turn has none yet."""


class Listing:
    """One version of the list, ready to be filtered."""

    def __init__(self, body: bytes, told: Sequence[Header] = ()) -> None:
        """Parses the whole of it. Raises :class:`~depthcast.errors.BadFile`. ``told`` is said beside it."""
        self.told = told
        self.whole = SymbolList.of(body)
        self._between, entries, self._behind = self.whole.divide()
        self._entries = {entry.symbol: entry for entry in entries}
        self._selected: dict[ExchangeInfoRequest, bytes | None] = {}

    def select(self, request: ExchangeInfoRequest) -> bytes | None:
        """What stands behind the digits of ``serverTime``; ``None`` where a symbol is not listed."""
        if request not in self._selected:
            if len(self._selected) >= _CACHED_SELECTIONS:
                self._selected.clear()
            self._selected[request] = self._select(request)
        return self._selected[request]

    def _select(self, request: ExchangeInfoRequest) -> bytes | None:
        if request.everything:
            return self.whole.after
        if request.symbols is None:
            # The file is what the exchange lists where no permissions are asked for.
            some = request.permissions != DEFAULT_PERMISSIONS
            chosen: Iterable[Entry] = (
                entry
                for entry in self._entries.values()
                if request.symbol_status in (None, entry.status)
                and not (some and request.permissions.isdisjoint(entry.permissions))
            )
        else:
            if not self._entries.keys() >= set(request.symbols):
                return None
            chosen = (self._entries[symbol] for symbol in request.symbols)
        entries = b",".join(entry.body for entry in chosen)
        if not request.show_permission_sets:
            entries = without_permission_sets(entries)
        return b"".join((self._between, entries, self._behind))


class ExchangeInfo:
    """The endpoint. ``key`` and ``parse`` are the venue's. ``clock`` is monotonic, in seconds; ``wall_us`` is
    microseconds since 1970."""

    def __init__(
        self,
        store: Store,
        *,
        key: str = EXCHANGE_INFO_KEY,
        parse: Callable[[bytes], ExchangeInfoRequest | ApiError] = parse_exchange_info,
        on_read: OnRead = lambda *_: None,
        refresh_s: float = DEFAULT_REFRESH_S,
        read_timeout_s: float = DEFAULT_READ_TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
        wall_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._store = store
        self._key = key
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
        self._parsing = Parsing(parse, remembered=256)

    def answer(self, asked: Asked) -> Answer | Awaitable[Answer]:
        """The answer: to be awaited only where the file is to be read first."""
        request = self._parsing.read(asked)
        if isinstance(request, Answer):
            return request
        in_us = time_unit(asked) == "MICROSECOND"
        if self._read_at is not None and self._clock() - self._read_at < self._refresh_s:
            return self._given(request, in_us, asked.accept_encoding)
        return self._read_first(request, in_us, asked.accept_encoding)

    async def close(self) -> None:
        """End the read that is under way."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _read_first(
        self, request: ExchangeInfoRequest, in_us: bool, accept_encoding: bytes | None
    ) -> Answer:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        await asyncio.shield(self._reading)
        given = self._given(request, in_us, accept_encoding)
        return given if isinstance(given, Answer) else await given

    def _given(
        self, request: ExchangeInfoRequest, in_us: bool, accept_encoding: bytes | None
    ) -> Answer | Awaitable[Answer]:
        after = None if self._listing is None else self._listing.select(request)
        if after is None or not takes_long(len(after), accept_encoding):
            return encoded(self._from(request, in_us), accept_encoding)
        return self._encoded_later(request, in_us, accept_encoding)

    async def _encoded_later(
        self, request: ExchangeInfoRequest, in_us: bool, accept_encoding: bytes | None
    ) -> Answer:
        async with self._encoding:
            # Made now: its time is that of the answer, and what waits before is only the request.
            given = encoded(self._from(request, in_us), accept_encoding)
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
            self._listing = await asyncio.to_thread(Listing, found.body, told_of(found))
            outcome = ReadOutcome.CHANGED
        except BadFile as bad:
            error = bad
        except StoreError as failed:
            outcome, error = ReadOutcome.FAILED, failed
        except TimeoutError:
            outcome = ReadOutcome.FAILED
            error = StoreUnavailable(f"{self._store.url} did not answer within {self._read_timeout_s:g} s")
        finally:
            # A store that fails is not asked by each reader, either.
            self._read_at = self._clock()
            self._on_read(self._key, outcome, self._read_at - began, error)

    def _from(self, request: ExchangeInfoRequest, in_us: bool) -> Answer:
        if self._listing is None:
            return refusal(UNAVAILABLE)
        after = self._listing.select(request)
        if after is None:
            return refusal(UNKNOWN_SYMBOL)
        now_us = self._wall_us()
        whole = self._listing.whole
        answer = json_answer(b"%s%d%s" % (whole.before, now_us if in_us else now_us // 1000, after))
        return answer._replace(headers=(*answer.headers, *self._listing.told, VARY))


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
