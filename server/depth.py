"""``GET /api/v3/depth``: a query string to a prepared answer, without waiting where the file is in memory.

:meth:`Depth.answer` is synchronous: it reads the request, looks the symbol up in the catalogue and the file
up in memory. Only where a file has to be read, or the exchange asked, is the answer to be awaited. Which
answer a request gets depends on nothing but the request, the published files and how fresh they are.

A stale file is answered all the same, marked; or, where that is wanted, with 503 in its place, or with what
the exchange says itself (:mod:`server.upstream`). A file that is halted is not stale, and a symbol that is
not published never reaches the exchange.
"""

import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from depthcast.errors import BadFile, StoreError
from depthcast.files import BINANCE, Scheme, Version, depth_key
from depthcast.venues.answering import BINANCE_REFUSALS, Refusals
from depthcast.venues.binance_rest import parse_depth
from depthcast.venues.requests import ApiError, DepthRequest
from server.answers import COMMON, JSON_TYPE, NO_STORE, VARY, Answer, Asked, Header, Hold, refusal
from server.catalogue import Catalogue
from server.edition import Edition, version_headers
from server.freshness import Currency, Freshness, State
from server.hot import HotFile, HotFiles
from server.parsing import Parsing
from server.upstream import FAILED, Outcome, Upstream


class Sought(NamedTuple):
    """A request that can be answered: from the file at ``key``."""

    key: str
    request: DepthRequest


class Depth:
    """The depth endpoint over what is published and what is in memory. ``clock`` is the one of ``hot``.
    ``scheme``, ``parse``, ``units`` and ``refusals`` are the venue's (:mod:`depthcast.venues.answering`).

    ``unavailable_when_stale``: a stale file is not answered. ``upstream``: where a file is stale or cannot be
    had, the exchange is asked, and the file is answered only if that fails.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        hot: HotFiles,
        freshness: Freshness,
        *,
        scheme: Scheme = BINANCE,
        parse: Callable[[bytes], DepthRequest | ApiError] = parse_depth,
        units: bool = True,
        refusals: Refusals = BINANCE_REFUSALS,
        unavailable_when_stale: bool = False,
        upstream: Upstream | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalogue = catalogue
        self._hot = hot
        self._freshness = freshness
        self._unavailable_when_stale = unavailable_when_stale
        self._upstream = upstream
        self._clock = clock
        self._scheme = scheme
        self._parsing = Parsing(parse, units=units)
        self._unknown_symbol = refusal(refusals.unknown_symbol)
        self._status_mismatch = refusal(refusals.status_mismatch)
        self._unavailable = refusal(refusals.unavailable)
        self._no_such_file = refusal(refusals.no_such_file)

    def answer(self, asked: Asked) -> Answer | Awaitable[Answer]:
        """The answer: to be awaited only where the file has to be read or the exchange asked."""
        sought = self.find(asked)
        if isinstance(sought, Answer):
            return sought
        key, request = sought
        file = self._hot.get(key)
        return self._read(key, request, asked) if file is None else self._from(file, request, asked)

    def find(self, asked: Asked) -> Sought | Answer:
        """What is asked for, or its refusal: of all but the status, which only the file tells."""
        request = self._parsing.read(asked)
        if isinstance(request, Answer):
            return request
        key = self._key(request)
        return Sought(key, request) if isinstance(key, str) else key

    async def _read(self, key: str, request: DepthRequest, asked: Asked) -> Answer:
        """The answer after reading the file: 503 where neither the store nor memory has it."""
        try:
            file = await self._hot.read(key)
        except (StoreError, BadFile):
            file = None
        if file is None:
            # The exchange's book says nothing of the status, which is the file's to tell.
            if self._upstream is None or request.symbol_status is not None:
                return self._unavailable
            return await self._ask(None, request, asked)
        given = self._from(file, request, asked)
        return given if isinstance(given, Answer) else await given

    def _key(self, request: DepthRequest) -> str | Answer:
        """The key of the file that holds the answer, or the refusal where there is none."""
        limits = self._catalogue.limits(request.symbol)
        if limits is None:
            # Before the first listing nobody can say that a symbol does not exist.
            return self._unknown_symbol if self._catalogue.known else self._unavailable
        covering = self._scheme.covering(request.limit, limits)
        if covering is None:
            # Fewer levels than asked for would look like a thin book. Where other symbols have such a file,
            # this one's is still to come.
            coming = self._scheme.covering(request.limit, self._catalogue.published) is not None
            return self._unavailable if coming else self._no_such_file
        return depth_key(request.symbol, covering, self._scheme)

    def _from(self, file: HotFile, request: DepthRequest, asked: Asked) -> Answer | Awaitable[Answer]:
        assert file.edition is not None  # what HotFiles hands out has been read
        if request.symbol_status not in (None, file.edition.info.status):
            return self._status_mismatch
        now = self._clock()
        currency = self._freshness.of(file, now)
        if currency.state is State.STALE:
            if self._unavailable_when_stale:
                return self._refused(file.edition, currency)
            if self._upstream is not None:
                outcome = self._upstream.kept(request.symbol, request.limit)
                if outcome is None:
                    return self._ask(file, request, asked)
                return self._instead(outcome, file, request, asked)
        hold = Hold(file, file.edition, self._freshness.holds_until(file, now))
        given = file.edition.answer(request.limit, asked, currency)
        return given._replace(hold=hold) if isinstance(given, Answer) else _held(given, hold)

    # In place of a stale file

    def _refused(self, edition: Edition, currency: Currency) -> Answer:
        """503. Conditions are not looked at: they are about answers that succeed (RFC 9110, 13.2.1)."""
        base = self._unavailable
        headers = (*base.headers, *version_headers(edition.version), *currency.headers())
        return Answer(base.status, headers, base.body, state=currency.state.value)

    async def _ask(self, file: HotFile | None, request: DepthRequest, asked: Asked) -> Answer:
        assert self._upstream is not None
        outcome = await self._upstream.ask(request.symbol, request.limit)
        given = self._instead(outcome, file, request, asked)
        return given if isinstance(given, Answer) else await given

    def _instead(
        self, outcome: Outcome, file: HotFile | None, request: DepthRequest, asked: Asked
    ) -> Answer | Awaitable[Answer]:
        """The exchange's answer, or the file's where there is none. Neither is held: the next may differ."""
        edition = file.edition if file is not None else None
        if outcome is FAILED:
            if file is None or edition is None:
                return self._unavailable
            return edition.answer(request.limit, asked, self._freshness.of(file, self._clock()))
        if isinstance(outcome, ApiError):
            return refusal(outcome)
        length: Header = (b"content-length", b"%d" % len(outcome.body))
        headers: list[Header] = [JSON_TYPE, length, NO_STORE, VARY, *COMMON]
        if edition is not None and outcome.update_id >= edition.version.update_id:
            # Lower ids count in an epoch that nobody has claimed yet.
            headers += version_headers(Version(edition.version.epoch, outcome.update_id))
        headers += Currency(State.PROXIED, outcome.asked_ms).headers()
        return Answer(200, headers, outcome.body, state=State.PROXIED.value)


async def _held(coming: Awaitable[Answer], hold: Hold) -> Answer:
    return (await coming)._replace(hold=hold)
