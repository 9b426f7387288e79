"""``Metadata``: what the exchange says about itself: asked for at its own pace, published, and kept.

=============  ============================================  ==============================================
kind           asked                                         needs
=============  ============================================  ==============================================
exchangeInfo   every ``symbols_every_s``                     nothing; it is the venue's list, whatever the
                                                             venue calls it (:mod:`depthcast.venues.lists`)
systemStatus   every ``system_status_every_s``               ``api_url``: hosts of market data alone
                                                             have no ``/sapi``
account        every ``account_every_s``                     the same, and ``account`` with its key
commission     every ``account_every_s``, a request for      the same, and ``commission_symbols``
               each symbol
=============  ============================================  ==============================================

Each is a poll (:mod:`updater.polls`), so one replica asks; answers go through a writer
(:mod:`updater.documents`), so each change is written once. What is an account's lies below ``private/``.
"""

import asyncio
import time
from asyncio import TaskGroup
from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from typing import Final

import orjson

from depthcast.aside import Aside
from depthcast.backoff import Backoff
from depthcast.errors import MalformedAnswer
from depthcast.heartbeat import Heartbeat
from depthcast.http_client import HttpClient
from depthcast.logs import get_logger
from depthcast.metadata import kinds
from depthcast.metadata.kinds import Kind
from depthcast.metadata.record import Record
from depthcast.metadata.recorder import check_time
from depthcast.rest import LONG_BYTES, Request, Rest
from depthcast.store import Store
from depthcast.symbol_list import Layout
from depthcast.venues.binance import Binance
from depthcast.venues.binance_signing import ApiKey
from depthcast.venues.lists import list_of
from updater.account import (
    ACCOUNT_PATH,
    ACCOUNT_WEIGHT,
    COMMISSION_PATH,
    COMMISSION_WEIGHT,
    STATUS_PATH,
    STATUS_WEIGHT,
    SignedRest,
)
from updater.documents import DocumentWriter, Outcome
from updater.listings import Listings, Take
from updater.polls import OnPoll, Poll, Polls
from updater.settings import UpdaterSettings
from updater.trading_status import compose

EXCHANGE_INFO: Final = "exchangeInfo"
SYSTEM_STATUS: Final = "systemStatus"
ACCOUNT: Final = "account"
COMMISSION: Final = "commission"
TRADING_STATUS: Final = "tradingStatus"
POLLS: Final = (EXCHANGE_INFO, SYSTEM_STATUS, ACCOUNT, COMMISSION)
"""The kinds of polls, as heartbeats and metrics name them."""

DOCUMENTS: Final = (*POLLS, TRADING_STATUS)
"""The kinds of documents, as metrics name them: of which account or symbol is not told."""

OnDocument = Callable[[str, Outcome], None]
"""Told what became of a document: one of :data:`DOCUMENTS`, and the outcome."""

LOOK_EVERY_S: Final = 5.0
"""How often the stored list is looked at, at least: all replicas take it up within so long."""

API_SHARE: Final = 0.1
"""The share of the request weight that is kept to at a host of its own, whose limits others may share."""

_log = get_logger("updater")


class Metadata:
    """One replica's side of it. :meth:`run` until cancelled, then :meth:`close`.

    ``rest`` asks for market data. ``begin`` is awaited before the first question, ``ready`` before the first
    write. ``take`` is told of lists of symbols; ``key`` is the account's.
    """

    def __init__(
        self,
        settings: UpdaterSettings,
        store: Store,
        *,
        rest: Rest,
        key: ApiKey | None,
        take: Take,
        begin: Callable[[], Awaitable[object]],
        ready: Callable[[], Awaitable[object]],
        on_poll: OnPoll = lambda *_: None,
        on_document: OnDocument = lambda *_: None,
        on_silence: Callable[[int], None] = lambda _: None,
        backoff: Callable[[], Backoff],
        http: HttpClient | None = None,
        aside: Aside = asyncio.to_thread,
        clock: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        rng: Random | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._rest = rest
        self._begin = begin
        self._ready = ready
        self._backoff = backoff
        self._on_document = on_document
        self._wall_ms = wall_ms
        self._aside = aside
        self._writers: dict[str, DocumentWriter] = {}
        venue = settings.make_venue()
        self._list_kind = kinds.exchange_info(venue.scheme)
        self._list = list_of(venue.scheme.venue)
        self._list_writer = self._writer(EXCHANGE_INFO, self._list_kind, lambda _: self.listings.look())
        self.listings = Listings(
            store,
            settings.symbols,
            parse=venue.parse_exchange_info,
            take=take,
            ask=lambda: self.polls.force(EXCHANGE_INFO),
            kind=self._list_kind,
            look_every_s=min(LOOK_EVERY_S, max(settings.symbols_every_s, 0.1)),
        )
        self._trading_writer = self._writer(TRADING_STATUS, kinds.trading_status(venue.scheme))
        self._trading: bytes | None = None
        self.maintenance = False
        """Whether the exchange said so when this replica asked last, and goes on asking."""
        polls = [Poll(EXCHANGE_INFO, settings.symbols_every_s, self._ask_for_list)]
        self._api: Rest | None = None
        self._signed: SignedRest | None = None
        if settings.api_url:
            self._api = self._open_api(settings, on_silence, http, clock, rng)
            self._status_writer = self._writer(SYSTEM_STATUS, kinds.SYSTEM_STATUS)
            polls.append(Poll(SYSTEM_STATUS, settings.system_status_every_s, self._ask_for_status))
            if key is not None:
                self._signed = SignedRest(
                    self._api, key, recv_window_ms=settings.recv_window_ms, wall_ms=wall_ms
                )
                self._account_writer = self._writer(ACCOUNT, kinds.account(settings.account))
                polls.append(Poll(ACCOUNT, settings.account_every_s, self._ask_for_account))
                self._commission_writers = {
                    symbol: self._writer(COMMISSION, kinds.commission(settings.account, symbol))
                    for symbol in settings.commission_symbols
                }
                if self._commission_writers:
                    polls.append(Poll(COMMISSION, settings.account_every_s, self._ask_for_commission))
        else:
            _log.info("the exchange's system status is not asked for", because="no api_url is set")
        self.polls = Polls(
            polls,
            begin=begin,
            knows=lambda kind: kind != EXCHANGE_INFO or bool(self.listings.selected),
            on_poll=on_poll,
            backoff=backoff,
            clock=clock,
        )

    def _writer(
        self, name: str, kind: Kind, on_written: Callable[[Record], None] = lambda _: None
    ) -> DocumentWriter:
        made = DocumentWriter(
            self._store,
            kind,
            replica=self._settings.replica,
            cache_control=self._settings.cache_control,
            cuts=(lambda: self.listings.selected) if kind is self._list_kind else None,
            ready=self._ready,
            on_written=on_written,
            on_outcome=lambda outcome: self._on_document(name, outcome),
            backoff=self._backoff,
            wall_ms=self._wall_ms,
            aside=self._aside,
        )
        self._writers[kind.key] = made
        return made

    def _open_api(
        self,
        settings: UpdaterSettings,
        on_silence: Callable[[int], None],
        http: HttpClient | None,
        clock: Callable[[], float],
        rng: Random | None,
    ) -> Rest:
        if settings.api_url.rstrip("/") == settings.rest_url.rstrip("/"):
            return self._rest  # one host, one budget
        return Rest(
            Binance(settings.api_url, settings.ws_url),
            share=API_SHARE,
            background_share=API_SHARE,
            concurrency=1,
            on_silence=on_silence,
            http=http,
            clock=clock,
            wall_ms=self._wall_ms,
            rng=rng,
        )

    # Running

    async def run(self) -> None:
        """Ask, write, and take up the stored list."""
        async with TaskGroup() as group:
            group.create_task(self.polls.run())
            for writer in self._writers.values():
                group.create_task(writer.run())
            if self._settings.symbols_every_s:
                group.create_task(self._follow_list())

    async def _follow_list(self) -> None:
        await self._begin()
        await self.listings.run()

    async def close(self) -> None:
        """Let go of connections."""
        if self._api is not None and self._api is not self._rest:
            await self._api.close()

    def read(self, living: Mapping[str, Heartbeat], own: Heartbeat) -> None:
        """These replicas live."""
        self.polls.read(living, own)
        asks = self.polls.beats().get(SYSTEM_STATUS)
        if asks is None or not asks.active:
            self.maintenance = False  # another one asks, and says so

    def derive(self, statuses: Mapping[str, str], living: Mapping[str, Heartbeat]) -> None:
        """Keep what each symbol does: the exchange's word is ``statuses``. O(symbols).

        Only who asks for the list writes it; nothing happens where it says what it said before.
        """
        if not statuses or not self.polls.beats()[EXCHANGE_INFO].active:
            self._trading = None
            return
        body = compose(statuses, living.values(), listed_by=self._list.name)
        if body != self._trading:
            self._trading = body
            self._trading_writer.offer(body, self._exchange_ms())

    # Questions

    async def _ask_for_list(self) -> None:
        background = bool(self.listings.selected)
        ahead_ms = await self._ahead_ms(background)
        info = await self._rest.exchange_info(background=background)
        observed_ms = self._exchange_ms() if ahead_ms is None else self._wall_ms() + ahead_ms
        body = await kept(self._list.layout, info.body)
        if not self.listings.selected or not self._settings.symbols_every_s:
            # Books are not to wait for the store. Later on the stored list counts, which was looked at twice.
            await self.listings.offer(body, observed_ms)
        self._list_writer.offer(body, observed_ms)

    async def _ahead_ms(self, background: bool) -> int | None:
        """By how much the exchange's clock is ahead; ``None`` where its list tells the time itself.

        To half of the way there and back: how late a list is seen is known no better.
        """
        clock = self._list.clock
        if clock is None:
            return None
        asked_ms = self._wall_ms()
        told_ms = clock.read(
            await self._rest.ask(lambda: Request(clock.path), clock.weight, background=background)
        )
        answered_ms = self._wall_ms()
        check_time(self._list_kind, told_ms, answered_ms)
        return told_ms - (asked_ms + answered_ms) // 2

    async def _ask_for_status(self) -> None:
        assert self._api is not None
        body = await self._api.ask(lambda: Request(STATUS_PATH), STATUS_WEIGHT, background=True)
        self.maintenance = system_status(body)
        self._status_writer.offer(body, self._exchange_ms())

    async def _ask_for_account(self) -> None:
        assert self._signed is not None
        body = await self._signed.get(ACCOUNT_PATH, {}, ACCOUNT_WEIGHT)
        _check(body, ACCOUNT_PATH, ("balances", "commissionRates"))
        self._account_writer.offer(body, self._exchange_ms())

    async def _ask_for_commission(self) -> None:
        assert self._signed is not None
        for symbol, writer in self._commission_writers.items():
            body = await self._signed.get(COMMISSION_PATH, {"symbol": symbol}, COMMISSION_WEIGHT)
            _check(body, COMMISSION_PATH, ("symbol", "standardCommission"))
            writer.offer(body, self._exchange_ms())

    def _exchange_ms(self) -> int:
        """The present by the exchange's clock, where that was measured."""
        now_ms = self._wall_ms()
        return now_ms if self._signed is None else self._signed.clock.now_ms(now_ms)

    @property
    def writers(self) -> Sequence[DocumentWriter]:
        """One for each document."""
        return tuple(self._writers.values())

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        self.polls.check()
        self.listings.check()
        for writer in self.writers:
            writer.check()


async def kept(layout: Layout, body: bytes) -> bytes:
    """A list as it is kept. One that is long has a thread."""
    if len(body) < LONG_BYTES:
        return layout.kept(body)
    return await asyncio.to_thread(layout.kept, body)


def system_status(body: bytes) -> bool:
    """Whether there is maintenance: ``{"status":0,"msg":"normal"}``, or 1.

    Raises :class:`~depthcast.errors.MalformedAnswer`.
    """
    _check(body, STATUS_PATH, ("status",))
    status = orjson.loads(body)["status"]
    if status not in (0, 1) or isinstance(status, bool):
        raise MalformedAnswer(STATUS_PATH, "its status is neither 0 nor 1")
    return bool(status)


def _check(body: bytes, path: str, members: Sequence[str]) -> None:
    """Raise :class:`~depthcast.errors.MalformedAnswer` unless these are there. Shows nothing of the body."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise MalformedAnswer(path, "not JSON") from None
    missing = [name for name in members if not isinstance(answer, dict) or name not in answer]
    if missing:
        raise MalformedAnswer(path, f"it has no {missing[0]}")
