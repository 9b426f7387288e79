"""``Ladder``: who answers for an order book, step by step: this process, a server, the exchange itself.

Promises: a book that is answered is one version's, exactly as deep as asked for, and was known to be the
exchange's within ``max_age_ms``; errors are ccxt's. Leaves to others: the books (:mod:`depthcast.books`),
whom to ask and how (:mod:`depthcast.ccxt.asking`), and HTTP (ccxt).
"""

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from ccxt.base.errors import BadRequest, BadSymbol, ExchangeNotAvailable, RequestTimeout

from depthcast.ccxt.asking import Asking, PassedOver, Steps
from depthcast.ccxt.dialects import Shown
from depthcast.ccxt.options import Source
from depthcast.ccxt.wish import Wish, without_ours
from depthcast.errors import DepthcastError, SettingsError, UnknownSymbol

if TYPE_CHECKING:
    from depthcast.books import Top

_NO_PARAMS: Final[Mapping[str, Any]] = {}


class View(Protocol):
    """One symbol's book in this process (:class:`depthcast.books.BookView`)."""

    @property
    def ready(self) -> bool: ...
    @property
    def age_ms(self) -> float: ...
    @property
    def update_id(self) -> int: ...
    @property
    def event_time_ms(self) -> int: ...
    def age_at_most_ms(self, enough_ms: float) -> float: ...
    def top(self, limit: int | None = None, *, strings: bool = False) -> "Top[float] | Top[str]": ...
    def body(self, limit: int) -> bytes: ...
    def dated_top(self, limit: int | None = None, *, strings: bool = False) -> "tuple[Top[Any], int]": ...


class Answered(NamedTuple):
    """Where the last answer about a symbol came from, and how old it was when it was given.

    ``age_ms`` is an upper bound, and ``None`` where nobody knows; ``passed_over`` says who was asked before,
    and why that was not taken.
    """

    source: Source
    nonce: int
    age_ms: float | None
    state: str | None
    passed_over: tuple[str, ...]


class _Question(NamedTuple):
    """A call: ``limit`` as it was given, ``levels`` what it means (``None``: nothing that is known here)."""

    market_id: str
    symbol: str
    limit: Any
    levels: int | None
    wish: Wish
    passed_over: list[str]


class Ladder(Asking):
    """Mixed into ccxt's classes."""

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        # By market, what an Answered is made of: it is made of it when somebody asks.
        self._answered: dict[str, tuple[Source, int, float | None, str | None, tuple[str, ...]]] = {}
        # By market, of books that no diff has come for: the update id, and when it was first read.
        self._undated: dict[str, tuple[int, int]] = {}
        self._found: dict[tuple[Any, ...], str] = {}
        self._found_in: Any = None
        self._second = -1, ""
        super().__init__(config)

    def describe(self) -> dict[str, Any]:
        """ccxt's description of the exchange, with what it can do."""
        described: dict[str, Any] = self.deep_extend(super().describe(), {"has": {"fetchOrderBooks": True}})
        return described

    # What the two exchanges do in their own way

    def _view(self, market_id: str) -> View | None:
        """The book of a market, if it is kept; without I/O."""
        raise NotImplementedError

    def _begin(self, market_ids: list[str]) -> Any:
        """Begin to keep these markets' books, as far as ``max_books`` goes."""
        raise NotImplementedError

    def _waiting(self, market_ids: list[str], timeout_s: float) -> Any:
        """Wait until these markets' books, which are kept, are ready."""
        raise NotImplementedError

    # One book

    def _at_once(self, symbol: Any, limit: Any) -> dict[str, Any] | None:
        """What the steps of a call without ``params`` would come to, where the book in this process is good
        and its market was found before; ``None``: the steps are to be taken. A third of their time."""
        levels = self._dialect.levels(limit, _NO_PARAMS)
        if levels is None or type(symbol) is not str:
            return None
        options = self.options
        market_id = self._found.get((symbol, options.get("defaultType"), options.get("defaultSubType")))
        if market_id is None or self._found_in is not self.markets:
            return None
        view = self._view(market_id)
        wish = self._usual  # as the options are now: the view was looked for under them
        if view is None or wish.source != "local":
            return None
        try:
            shown, age_ms = self._read(market_id, view, levels, wish.max_age_ms, strings=False)
        except PassedOver:
            return None
        self._answered[market_id] = "local", shown.update_id, age_ms, None, ()
        return self._as_book(symbol, shown)

    def _order_book(self, symbol: str, limit: Any, params: Mapping[str, Any]) -> Steps:
        """The steps of ``fetch_order_book``; markets are loaded."""
        market, dialect = self.market(symbol), self._dialect
        if not dialect.keeps(market) or dialect.elsewhere & params.keys():
            return (yield partial(super().fetch_order_book, symbol, limit, without_ours(params)))
        levels = dialect.levels(limit, params)
        wish = self._wished(params, local=levels is not None)
        question = _Question(market["id"], symbol, limit, levels, wish, [])
        answer = {"local": self._local_book, "server": self._server_book, "rest": self._rest_book}
        for source in wish.ways:
            try:
                return (yield from answer[source](question))
            except PassedOver as why:
                question.passed_over.append(f"{source}: {why}")
        raise ExchangeNotAvailable(f"depthcast: no good book of {symbol}; {'; '.join(question.passed_over)}")

    def _local_book(self, question: _Question) -> Steps:
        wish, view = question.wish, self._view(question.market_id)
        if view is None:
            yield from self._begin_to_keep([question.market_id])
            view = self._view(question.market_id)
        market_id = question.market_id
        shown, age_ms = self._read(market_id, view, question.levels, wish.max_age_ms, strings=wish.strings)
        self._answered[market_id] = "local", shown.update_id, age_ms, None, ()
        if self._found_in is not self.markets:
            self._found, self._found_in = {}, self.markets
        named = question.symbol, self.options.get("defaultType"), self.options.get("defaultSubType")
        self._found[named] = market_id
        return self._as_book(question.symbol, shown, strings=wish.strings)

    def _read(
        self,
        market_id: str,
        view: View | None,
        levels: int | None,
        max_age_ms: float | None,
        *,
        strings: bool,
    ) -> tuple[Shown, float]:
        """A book in this process, and how old it is, in ms."""
        if view is None:
            raise PassedOver("as many books are kept as max_books allows")
        try:
            # Before the book is read: a moment later it can only be younger.
            age_ms = view.age_at_most_ms(math.inf if max_age_ms is None else max_age_ms)
            shown = self._dialect.read(view, levels, strings)
        except DepthcastError as error:
            raise PassedOver(str(error)) from error
        if max_age_ms is not None and age_ms > max_age_ms:
            raise PassedOver(f"its book was last known to be the exchange's {age_ms / 1000:.1f} s ago")
        return shown if shown.time_ms else self._dated_here(market_id, shown, age_ms), age_ms

    def _dated_here(self, market_id: str, shown: Shown, age_ms: float) -> Shown:
        """A book before its first diff, where the exchange's snapshots tell no time: that is the moment, by
        our clock, at which it was known to be the exchange's when it was first read."""
        update_id, time_ms = self._undated.get(market_id, (None, 0))
        if update_id != shown.update_id:
            time_ms = self.milliseconds() - int(age_ms)
            self._undated[market_id] = shown.update_id, time_ms
        return shown._replace(time_ms=time_ms)

    def _server_book(self, question: _Question) -> Steps:
        levels, wish, dialect = question.levels, question.wish, self._dialect
        asked = question.limit if levels is None else levels
        url = dialect.book_url(self._server(), question.market_id, asked, wish.passed)
        body, marks = yield from self._from_server(url, wish, dialect.is_book, refusable=levels is not None)
        shown = dialect.parse(body, wish.strings)
        if levels is not None and not dialect.whole(shown, levels, marks):
            raise PassedOver(f"its book is certain of fewer than {levels} levels")
        if not shown.time_ms:
            shown = shown._replace(time_ms=self._time_of(marks))
        before = tuple(question.passed_over)
        self._answered[question.market_id] = "server", shown.update_id, marks.age_ms, marks.state, before
        return self._as_book(question.symbol, shown, strings=wish.strings)

    def _rest_book(self, question: _Question) -> Steps:
        symbol, limit, passed = question.symbol, question.limit, question.wish.passed
        dialect = self._dialect
        weight = dialect.weight(question.levels)
        asked_ms = self.milliseconds()
        if question.wish.strings:
            raw = partial(getattr(self, dialect.raw), dialect.request(question.market_id, limit) | passed)
            answer = yield from self._from_exchange(raw, weight, question.passed_over)
            shown = dialect.parse(answer, True)
            book = self._as_book(
                symbol, shown if shown.time_ms else shown._replace(time_ms=asked_ms), strings=True
            )
        else:
            original = partial(super().fetch_order_book, symbol, limit, passed)
            book = yield from self._from_exchange(original, weight, question.passed_over)
            if book["timestamp"] is None:
                # The exchange does not say; at this moment of our clock or later it was the book.
                book["timestamp"], book["datetime"] = asked_ms, self.iso8601(asked_ms)
        age_ms, before = float(self.milliseconds() - asked_ms), tuple(question.passed_over)
        self._answered[question.market_id] = "rest", book["nonce"], age_ms, None, before
        return book

    def _as_book(self, symbol: str, shown: Shown, *, strings: bool = False) -> dict[str, Any]:
        """As ccxt's ``parse_order_book`` writes it: the same members in the same order."""
        if self._dialect.converts and not strings:
            shown = self._dialect.amounts(self, self.market(symbol), shown)
        bids, asks, update_id, time_ms = shown
        second, written = self._second
        if second != time_ms // 1000:
            second = time_ms // 1000
            written = self.iso8601(second * 1000).removesuffix("000Z")
            self._second = second, written
        return {
            "symbol": symbol,
            "bids": bids,
            "asks": asks,
            "timestamp": time_ms,
            "datetime": f"{written}{time_ms % 1000:03d}Z",
            "nonce": self._dialect.nonce(update_id),
        }

    # Several books

    def _missing(self, symbols: Iterable[str]) -> list[str]:
        """The exchange's names of those of these symbols whose books are not kept yet."""
        markets = [self.market(symbol) for symbol in symbols]
        return [m["id"] for m in markets if self._dialect.keeps(m) and self._view(m["id"]) is None]

    def _begin_all(self, symbols: Iterable[str], limit: Any, params: Mapping[str, Any]) -> Steps:
        """Begin to keep all books that calls with these arguments will read, in one go."""
        wish = self._wished(params, local=self._dialect.levels(limit, params) is not None)
        missing = self._missing(symbols) if wish.ways[0] == "local" else []
        if missing:
            # The calls themselves find out what it means for them.
            with suppress(PassedOver):
                yield from self._begin_to_keep(missing)

    def _begin_to_keep(self, market_ids: list[str]) -> Steps:
        """Begin to keep these markets' books. Errors of ours stop here."""
        try:
            yield partial(self._begin, market_ids)
        except SettingsError as error:
            raise BadRequest(f"depthcast: {error}") from error
        except (DepthcastError, RuntimeError) as error:
            raise PassedOver(str(error)) from error

    def _wait(self, symbols: Iterable[str], timeout_s: float) -> Steps:
        """Begin to keep these books, and wait until all are ready."""
        market_ids = []
        for symbol in symbols:
            market = self.market(symbol)
            if not self._dialect.keeps(market):
                kind = self._dialect.kind
                raise BadSymbol(f"depthcast: {symbol} is no {kind}, and only their books are kept here")
            market_ids.append(market["id"])
        if not market_ids:
            return
        try:
            yield from self._begin_to_keep(market_ids)
        except PassedOver as why:
            raise ExchangeNotAvailable(f"depthcast: {why}") from why
        kept = [market_id for market_id in market_ids if self._view(market_id) is not None]
        if len(kept) < len(market_ids):
            raise BadRequest(
                f"depthcast: of {len(market_ids)} books {len(kept)} are kept; "
                'raise options["depthcast"]["max_books"]'
            )
        try:
            yield partial(self._waiting, market_ids, timeout_s)
        except UnknownSymbol as error:
            raise BadSymbol(f"depthcast: {error}") from error
        except (DepthcastError, RuntimeError) as error:
            raise RequestTimeout(f"depthcast: {error}") from error

    # What is known

    def depthcast_status(self, symbol: str) -> dict[str, Any]:
        """What is known of a symbol's book here, and where the last answer about it came from.

        ``book`` is the one kept in this process (``None``: there is none): whether it is ``ready``, its
        ``age_ms``, ``nonce`` and ``timestamp``. ``answer`` is the last one of ``fetch_order_book``
        (``None`` before the first): its ``source``, its ``nonce``, its ``age_ms`` at most when it was
        given (``None`` where nobody knows), a server's ``state``, and who was ``passed_over`` before, and
        why.
        ``silent_for_s``: how long the exchange is not asked, by its own wish; ``weight_used``: what it said
        that this address used in the current minute.
        """
        market = self.market(symbol)
        kept = self._dialect.keeps(market)
        view = self._view(market["id"]) if kept else None
        answered = self._answered.get(market["id"]) if kept else None
        return {
            "symbol": market["symbol"],
            "book": None if view is None else _shown(view),
            "answer": None if answered is None else Answered(*answered)._asdict(),
            "silent_for_s": max(self._restraint.silent_for_s, self._silence()),
            "weight_used": self._restraint.weight_used,
        }


def _shown(view: View) -> dict[str, Any]:
    shown = {"ready": view.ready, "age_ms": None, "nonce": None, "timestamp": None}
    with suppress(DepthcastError):  # before there is a book
        return shown | {
            "age_ms": view.age_ms,
            "nonce": view.update_id,
            "timestamp": view.event_time_ms or None,
        }
    return shown
