"""``GET /api/v3/ticker/bookTicker``: the best prices of one symbol, of some, or of all, from the files.

One symbol is answered from its smallest file among the hot ones, so it is as new as its book. Lists are
answered from files of their own, of which only the best level of each side is kept: they are refreshed every
``ticker_refresh_ms``, so that a request for all of 400 symbols costs no 400 reads of the store, and are hot
as long as somebody asks for lists. A list's prices are therefore up to that much older.

A list says ``stale`` if any of its files is, and was last current when the least current of them was.

What is to happen in place of stale prices is as for books, but for lists the exchange is never asked: one
stale symbol would cost a request for each of them.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final, Self

import orjson

from depthcast.errors import BadFile, StoreError
from depthcast.files import (
    BINANCE,
    DELISTED,
    MAX_LIMIT,
    Layout,
    Scheme,
    check_body,
    depth_key,
    layout_of,
    parse_key,
)
from depthcast.scheme import Level
from depthcast.store import StoredObject
from depthcast.venues.binance_lists import TickerRequest, parse_book_ticker
from depthcast.venues.binance_rest import STATUS_MISMATCH, UNAVAILABLE, UNKNOWN_SYMBOL
from depthcast.venues.requests import ApiError
from server.answers import (
    COMMON,
    JSON_TYPE,
    NOWHERE,
    VARY,
    Answer,
    Asked,
    Header,
    Hold,
    refusal,
)
from server.catalogue import Catalogue
from server.edition import DEFAULT_CACHE_CONTROL, Edition, version_headers
from server.encoded import encoded, takes_long
from server.encodings import Coding, acceptable
from server.freshness import Currency, Freshness, State
from server.hot import HotFile, HotFiles
from server.parsing import Parsing
from server.upstream import FAILED, Upstream

DEFAULT_LIST_HOLDS_S: Final = 0.1
"""So long the answer to a request for a list may be given again to the same request, though one of its files
be replaced or turn stale meanwhile."""

# A list needs the key of each of its symbols, and checking their spelling takes longer than all the rest.
_key_of: Final = lru_cache(maxsize=8192)(depth_key)

# Behind the id of a futures body come the times of its last diff, and before those what names it.
_TIMED: Final = re.compile(
    rb'\{"lastUpdateId":([0-9]+),(?:"symbol":"[^"]{1,64}","pair":"([^"]{1,64})",)?"E":[0-9]+,"T":([0-9]+),'
)

_FIRST: Final = BINANCE.layout(MAX_LIMIT)
_READS_AT_ONCE: Final = 64
_KEPT: Final = 64
_NO_DIGITS: Final = "0.00000000"


class Top(Edition):
    """A published file of which only the best level of each side is kept, its ``ticker``, and its ``pair``
    where it names one."""

    __slots__ = ("pair", "ticker")

    pair: str | None
    ticker: bytes

    @classmethod
    def of(cls, key: str, found: StoredObject, *, cache_control: str | None = None) -> Self:
        """The top of what a stored object is. Raises :class:`~depthcast.errors.BadFile`."""
        check_body(key, found.body)
        first = layout_of(key).cut(found.body, 1)
        top = super().of(key, replace(found, body=first), cache_control=cache_control)
        top.ticker = ticker(parse_key(key).symbol, top.body, top.layout)
        named = _TIMED.match(top.body)
        top.pair = named[2].decode() if named is not None and named[2] is not None else None
        return top


class Tickers:
    """The endpoint over what is published. ``hot`` are the files in memory, ``tops`` those kept for lists,
    made by :meth:`Top.of`. ``clock`` is theirs. ``scheme`` and ``parse`` are the venue's.
    ``unavailable_when_stale`` and ``upstream`` are those of :class:`~server.depth.Depth`."""

    def __init__(
        self,
        catalogue: Catalogue,
        hot: HotFiles,
        tops: HotFiles,
        freshness: Freshness,
        *,
        scheme: Scheme = BINANCE,
        parse: Callable[[bytes], TickerRequest | ApiError] = parse_book_ticker,
        unavailable_when_stale: bool = False,
        upstream: Upstream | None = None,
        cache_control: str = DEFAULT_CACHE_CONTROL,
        list_holds_s: float = DEFAULT_LIST_HOLDS_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalogue = catalogue
        self._hot = hot
        self._tops = tops
        self._freshness = freshness
        self._unavailable_when_stale = unavailable_when_stale
        self._upstream = upstream
        self._cache_control: Header = (b"cache-control", cache_control.encode())
        self._list_holds_s = list_holds_s
        self._clock = clock
        self._kept: dict[tuple[TickerRequest, tuple[Coding, ...]], Answer] = {}
        self._reading_all: asyncio.Task[list[HotFile] | None] | None = None
        self._scheme = scheme
        self._parsing = Parsing(parse, remembered=1024)
        self._unknown_symbol = refusal(UNKNOWN_SYMBOL)
        self._status_mismatch = refusal(STATUS_MISMATCH)
        self._unavailable = refusal(UNAVAILABLE)

    def answer(self, asked: Asked) -> Answer | Awaitable[Answer]:
        """The answer: to be awaited only where a file has to be read first."""
        request = self._parsing.read(asked)
        if isinstance(request, Answer):
            return request
        if not self._catalogue.known:
            # Before the first listing nobody can say which symbols there are.
            return self._unavailable
        if request.symbol is not None:
            return self._one(request, request.symbol)
        kept = self._kept.get((request, acceptable(asked.accept_encoding)))
        if kept is not None and kept.hold is not None and self._clock() < kept.hold.until:
            return kept
        return self._list(request, asked.accept_encoding)

    async def close(self) -> None:
        """End the reads that are under way."""
        if self._reading_all is not None:
            self._reading_all.cancel()
            await asyncio.gather(self._reading_all, return_exceptions=True)

    # One symbol

    def _one(self, request: TickerRequest, symbol: str) -> Answer | Awaitable[Answer]:
        key = self._key(symbol)
        if key is None:
            return self._unknown_symbol
        file = self._hot.get(key)
        return self._read_one(key, request, symbol) if file is None else self._from(file, request, symbol)

    async def _read_one(self, key: str, request: TickerRequest, symbol: str) -> Answer:
        try:
            file = await self._hot.read(key)
        except (StoreError, BadFile):
            file = None
        if file is None:
            # What the exchange would say tells nothing of the status.
            if self._upstream is None or request.symbol_status is not None:
                return self._unavailable
            return await self._ask(None, symbol)
        given = self._from(file, request, symbol)
        return given if isinstance(given, Answer) else await given

    def _from(self, file: HotFile, request: TickerRequest, symbol: str) -> Answer | Awaitable[Answer]:
        edition = file.edition
        assert edition is not None  # what HotFiles hands out has been read
        if request.symbol_status not in (None, edition.info.status):
            return self._status_mismatch
        now = self._clock()
        currency = self._freshness.of(file, now)
        if currency.state is State.STALE:
            if self._unavailable_when_stale:
                return self._refused(currency, version_headers(edition.version))
            if self._upstream is not None:
                return self._ask(file, symbol)
        return self._of_file(file, symbol, currency, now)

    def _of_file(self, file: HotFile, symbol: str, currency: Currency, now: float) -> Answer:
        edition = file.edition
        assert edition is not None  # what HotFiles hands out has been read
        about = (
            *version_headers(edition.version),
            (b"depthcast-event-time", b"%d" % edition.info.event_time_ms),
            (b"depthcast-publish-time", b"%d" % edition.info.publish_time_ms),
            (b"depthcast-status", edition.info.status.encode()),
        )
        hold = Hold(file, edition, self._freshness.holds_until(file, now))
        try:
            body = ticker(symbol, edition.body, edition.layout)
        except BadFile:
            # Its frame is a file's: what is in it shows only here.
            return self._unavailable
        return self._whole(body, currency, about, hold)

    # In place of stale prices

    def _refused(self, currency: Currency, about: Iterable[Header] = ()) -> Answer:
        base, state = self._unavailable, currency.state.value
        return base._replace(headers=(*base.headers, *about, *currency.headers()), state=state)

    async def _ask(self, file: HotFile | None, symbol: str) -> Answer:
        """The exchange's answer, or the file's where it has none. Not held: the next may differ."""
        assert self._upstream is not None
        outcome = await self._upstream.ask(symbol, 1)
        if isinstance(outcome, ApiError):
            return refusal(outcome)
        if outcome is not FAILED:
            with contextlib.suppress(BadFile):
                body = ticker(symbol, outcome.body)
                return self._whole(body, Currency(State.PROXIED, outcome.asked_ms), (), None)
        if file is None:
            return self._unavailable
        now = self._clock()
        return self._of_file(file, symbol, self._freshness.of(file, now), now)._replace(hold=None)

    # Lists

    def _list(self, request: TickerRequest, accept_encoding: bytes | None) -> Answer | Awaitable[Answer]:
        symbols: Iterable[str] = self._catalogue.symbols if request.symbols is None else request.symbols
        keys: list[str] = []
        for symbol in symbols:
            key = self._key(symbol)
            if key is None:
                return self._unknown_symbol
            keys.append(key)
        files = [self._tops.get(key) for key in keys]
        if None in files:
            return self._read_list(request, keys, accept_encoding)
        return self._encoded(
            self._from_list(request, [file for file in files if file is not None]), request, accept_encoding
        )

    def _encoded(
        self, answer: Answer, request: TickerRequest, accept_encoding: bytes | None
    ) -> Answer | Awaitable[Answer]:
        if takes_long(len(answer.body), accept_encoding):
            return self._encoded_later(answer, request, accept_encoding)
        given = encoded(answer, accept_encoding)
        assert isinstance(given, Answer)  # it takes no time
        return self._keep(given, request, accept_encoding)

    async def _encoded_later(
        self, answer: Answer, request: TickerRequest, accept_encoding: bytes | None
    ) -> Answer:
        given = encoded(answer, accept_encoding)
        return self._keep(given if isinstance(given, Answer) else await given, request, accept_encoding)

    def _keep(self, answer: Answer, request: TickerRequest, accept_encoding: bytes | None) -> Answer:
        """All who want everything share what was encoded, for as long as it holds."""
        if request.symbols is None:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            self._kept[request, acceptable(accept_encoding)] = answer
        return answer

    async def _read_list(
        self, request: TickerRequest, keys: Sequence[str], accept_encoding: bytes | None
    ) -> Answer:
        if request.symbols is not None:
            files = await self._read(keys)
            whole = files is not None and len(files) == len(keys)
        else:
            # Whoever asks for all of them meanwhile waits for the same reads.
            if self._reading_all is None or self._reading_all.done():
                self._reading_all = asyncio.create_task(self._read(keys))
            files = await asyncio.shield(self._reading_all)
            whole = files is not None
        if files is None or not whole:
            return self._unavailable
        given = self._encoded(self._from_list(request, files), request, accept_encoding)
        return given if isinstance(given, Answer) else await given

    async def _read(self, keys: Sequence[str]) -> list[HotFile] | None:
        """The files, without those that are missing or damaged; ``None`` where the store fails.

        What cannot be read ever would take the list of all symbols with it; what cannot be read now would
        seem not to exist.
        """
        files: list[HotFile] = []
        for begin in range(0, len(keys), _READS_AT_ONCE):
            batch = map(self._tops.read, keys[begin : begin + _READS_AT_ONCE])
            for found in await asyncio.gather(*batch, return_exceptions=True):
                if isinstance(found, HotFile):
                    files.append(found)
                elif isinstance(found, StoreError):
                    return None
                elif isinstance(found, BaseException) and not isinstance(found, BadFile):
                    raise found
        return files

    def _from_list(self, request: TickerRequest, files: Sequence[HotFile]) -> Answer:
        now = self._clock()
        lines: list[bytes] = []
        currencies: list[Currency] = []
        for file in files:
            top = file.edition
            assert isinstance(top, Top)  # the files kept for lists are made so
            status = top.info.status
            # The exchange lists no more what is delisted; who names such a symbol gets its last prices.
            if request.symbol_status not in (None, status) or (
                request.symbols is None and status == DELISTED
            ):
                continue
            if request.pair not in (None, top.pair):
                continue
            lines.append(top.ticker)
            currencies.append(self._freshness.of(file, now))
        body = b"[%s]" % b",".join(lines)
        currency = worst(currencies) if currencies else None
        if self._unavailable_when_stale and currency is not None and currency.state is State.STALE:
            return self._refused(currency)
        return self._whole(body, currency, (), Hold(NOWHERE, None, now + self._list_holds_s))

    def _key(self, symbol: str) -> str | None:
        limits = self._catalogue.limits(symbol)
        return _key_of(symbol, limits[0], self._scheme) if limits else None

    def _whole(
        self, body: bytes, currency: Currency | None, about: Iterable[Header], hold: Hold | None
    ) -> Answer:
        length: Header = (b"content-length", b"%d" % len(body))
        fresh = currency.headers() if currency is not None else ()
        headers = (JSON_TYPE, length, self._cache_control, VARY, *COMMON, *about, *fresh)
        return Answer(200, headers, body, hold, currency.state.value if currency is not None else b"")


def best(name: str, body: bytes, layout: Layout = _FIRST) -> tuple[Level, Level]:
    """The best bid and ask of a file; the strings are its own.

    A side without levels is zeros, as Binance writes it, with as many digits as the other side's. Raises
    :class:`~depthcast.errors.BadFile`, about ``name``, where there are no such levels to read.

    >>> best("A", b'{"lastUpdateId":1,"bids":[["3.10","2.0"]],"asks":[["4.20","1.0"]]}')
    (('3.10', '2.0'), ('4.20', '1.0'))
    >>> best("A", b'{"lastUpdateId":1,"bids":[["3.10","2.0"]],"asks":[]}')
    (('3.10', '2.0'), ('0.00', '0.0'))
    """
    bids, asks = layout.levels(name, body, 1)
    bid, ask = bids[0] if bids else None, asks[0] if asks else None
    some = bid or ask or (_NO_DIGITS, _NO_DIGITS)
    nothing = (_zero_like(some[0]), _zero_like(some[1]))
    return bid or nothing, ask or nothing


def ticker(symbol: str, body: bytes, layout: Layout = _FIRST) -> bytes:
    """The best prices of a file, in Binance's words; of futures with when and where they changed last, and
    with the pair that a file of COIN-M names.

    Raises as :func:`best`.

    >>> ticker("A", b'{"lastUpdateId":1,"bids":[["3.10","2.0"]],"asks":[["4.20","1.0"]]}')
    b'{"symbol":"A","bidPrice":"3.10","bidQty":"2.0","askPrice":"4.20","askQty":"1.0"}'
    """
    bid, ask = best(symbol, body, layout)
    told: dict[str, str | int] = {
        "symbol": symbol,
        "bidPrice": bid[0],
        "bidQty": bid[1],
        "askPrice": ask[0],
        "askQty": ask[1],
    }
    timed = _TIMED.match(body)
    if timed is not None:
        told |= {"time": int(timed[3]), "lastUpdateId": int(timed[1])}
        if timed[2] is not None:
            told = {"symbol": symbol, "pair": timed[2].decode(), **told}
    return orjson.dumps(told)


def _zero_like(number: str) -> str:
    _, point, digits = number.partition(".")
    return "0" + point + "0" * len(digits)


def worst(currencies: Sequence[Currency]) -> Currency:
    """How fresh a list of files is: stale if one of them is, halted if all are, else live; as current as the
    least current of them, which is unknown if it is of one; confirmed by the store as long ago as one was."""
    states = {currency.state for currency in currencies}
    state = next(state for state in (State.STALE, State.LIVE, State.HALTED) if state in states)
    times = [currency.current_ms for currency in currencies if currency.current_ms is not None]
    current_ms = min(times) if len(times) == len(currencies) else None
    return Currency(state, current_ms, max(currency.age_s for currency in currencies))
