"""The server's parts wired together, and the work in the background: listing symbols, sweeping memory."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from starlette.routing import Route

from depthcast.backoff import Backoff
from depthcast.errors import AccessDenied, DepthcastError, StoreError
from depthcast.files import BINANCE, SCHEMES, scheme_of
from depthcast.logs import Seldom, get_logger
from depthcast.store import Store
from depthcast.venues.answering import ANSWERING
from depthcast.venues.binance_lists import (
    EXCHANGE_INFO_WEIGHT,
    PING_WEIGHT,
    book_ticker_weight,
)
from depthcast.venues.binance_rest import (
    BOOK_TICKER_PATH,
    DEPTH_PATH,
    EXCHANGE_INFO_PATH,
    PING_PATH,
    TIME_PATH,
)
from server import openapi
from server.answers import Endpoint
from server.app import App
from server.catalogue import Catalogue
from server.clients import Clients, parse_networks
from server.depth import Depth
from server.edition import Edition
from server.exchange_info import ExchangeInfo
from server.fast import FastAnswers
from server.freshness import Freshness
from server.health import Health
from server.heat import HeatFiles
from server.hot import HotFiles
from server.listener import Listener
from server.metrics import Metrics
from server.mirror import Mirror
from server.page import boards as page_boards
from server.page.boards import Boards
from server.page.fleet import FleetView
from server.page.markets import Freshnesses, Market, Markets, stream_path
from server.page.pages import Pages
from server.past import Past
from server.ping import ping, time_endpoint
from server.private import Private, Tokens
from server.pulse import Pulse
from server.push import websocket
from server.push.channels import Channels
from server.push.events import STREAM_PATH, Events, stream_weight
from server.push.hub import Hub
from server.reads import ReadOutcome
from server.settings import ServerSettings
from server.tickers import Tickers, Top
from server.travel import Travel, travel_weight
from server.upstream import Upstream
from server.weights import Weights

_TOPS_PART: Final = 8
"""One part in so many of the memory is for the files that lists are made of: 4.4 kB each, so that by default
there is room for 15,000 symbols."""

_LOG: Final = get_logger("server")


class Service:
    """One server over one store: ``app`` answers requests, :meth:`run` works until it is cancelled.

    The store stays the caller's to close, after :meth:`close`. ``wall_s`` is the clock whose minutes weight
    is counted in, in seconds since 1970.
    """

    def __init__(
        self,
        settings: ServerSettings,
        store: Store,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._store = store
        self._sleep = sleep
        self._seldom = Seldom()
        self._store_failed = False
        self.metrics = Metrics()
        self.catalogue = Catalogue(store)
        kept = partial(
            HotFiles,
            store,
            on_read=self._note_read,
            hot_for_s=settings.hot_for_s,
            keep_for_s=settings.keep_for_s,
            read_timeout_s=settings.read_timeout_ms / 1000,
            max_reads=settings.max_reads,
            spread=random.random,
        )
        cache_control = settings.answer_cache_control
        chosen = cache_control if "answer_cache_control" in settings.model_fields_set else None
        max_bytes = settings.memory_mb * 2**20
        tops_bytes = max_bytes // _TOPS_PART
        self.hot = kept(
            edition_of=partial(Edition.of, cache_control=chosen),
            refresh_s=settings.refresh_ms / 1000,
            max_bytes=max_bytes - tops_bytes,
        )
        self.tops = kept(
            edition_of=partial(Top.of, cache_control=cache_control),
            refresh_s=settings.ticker_refresh_ms / 1000,
            max_bytes=tops_bytes,
        )
        self.clients = Clients(parse_networks(settings.trusted_proxies))
        self.weights = Weights(settings.client_weight_limit, self.clients, wall_s=wall_s)
        stale_after_s = settings.stale_after_ms / 1000
        self.pulse = Pulse(trust_s=stale_after_s)
        self._listener = Listener(
            store,
            self.pulse,
            on_reading=self.metrics.heard,
            every_s=settings.heartbeats_ms / 1000,
            timeout_s=settings.read_timeout_ms / 1000,
            sleep=sleep,
        )
        self._upstream = _upstream(settings, self.metrics) if settings.stale_policy == "proxy" else None
        freshness = Freshness(self.pulse, stale_after_s=stale_after_s)
        # Each of the venues has its part.
        tape_bytes = settings.tape_memory_mb * 2**20 // max(1, len({BINANCE.venue, *settings.venues}))
        self.past = Past(
            store,
            schemes=[SCHEMES[name] for name in dict.fromkeys((BINANCE.venue, *settings.venues))],
            on_read=self._note_read,
            read_timeout_s=settings.read_timeout_ms / 1000,
            wall_ms=lambda: round(wall_s() * 1000),
        )
        self.mirrors = [
            Mirror(
                SCHEMES[name],
                settings,
                store,
                hot=self.hot,
                tops=self.tops,
                past=self.past,
                tape_bytes=tape_bytes,
                on_read=self._note_read,
                on_hearing=self.metrics.heard,
            )
            for name in settings.venues
            if name != BINANCE.venue
        ]
        """The venues beside the first."""
        self.metrics.watch(
            files=lambda: len(self.hot) + len(self.tops),
            hot_files=lambda: self.hot.hot_count() + self.tops.hot_count(),
            file_bytes=lambda: self.hot.bytes_held + self.tops.bytes_held,
            symbols=lambda: len(self.catalogue) + sum(len(mirror.catalogue) for mirror in self.mirrors),
            stale_symbols=lambda: freshness.stale_symbols(
                (file for file in self.hot.hot_files() if scheme_of(file.key) is BINANCE), time.monotonic()
            ),
            fleet_age_s=lambda: time.monotonic() - self.pulse.heard_at,
        )
        depth = Depth(
            self.catalogue,
            self.hot,
            freshness,
            unavailable_when_stale=settings.stale_policy == "unavailable",
            upstream=self._upstream,
        )
        of_venues = {mirror.scheme.venue: mirror.freshness for mirror in self.mirrors}
        self.hub = Hub(
            self.hot,
            Freshnesses(lambda venue: of_venues.get(venue, freshness)),
            max_streams=settings.max_streams,
            max_streams_per_client=settings.max_streams_per_client,
            max_subscriptions=settings.max_subscriptions,
            max_kept_bytes=settings.stream_memory_mb * 2**20,
            slow_after_s=settings.stream_stalled_s,
        )
        self.metrics.stream(self.hub)
        self.channels = {websocket.FIRST: Channels(self.hub, self.catalogue)}
        """What each venue's own websocket sends, by the venue's name."""
        for mirror in self.mirrors:
            streams = ANSWERING[mirror.scheme.venue].streams
            if streams is not None:
                made = Channels(self.hub, mirror.catalogue, mirror.scheme, streams)
                self.channels[mirror.scheme.venue] = made
        self.events = Events(depth, self.hot, self.hub, self.clients)
        self.markets = Markets(
            [
                Market(BINANCE, self.catalogue, freshness, self._listener),
                *(
                    Market(mirror.scheme, mirror.catalogue, mirror.freshness, mirror.listener)
                    for mirror in self.mirrors
                ),
            ]
        )
        self.tickers = Tickers(
            self.catalogue,
            self.hot,
            self.tops,
            freshness,
            unavailable_when_stale=settings.stale_policy == "unavailable",
            upstream=self._upstream,
            cache_control=cache_control,
            list_holds_s=min(settings.refresh_ms, settings.ticker_refresh_ms) / 1000,
        )
        self.exchange_info = ExchangeInfo(
            store,
            on_read=self._note_read,
            refresh_s=settings.exchange_info_refresh_s,
        )
        self.boards = Boards(
            self.markets,
            self.tops,
            self.hub,
            read_timeout_s=settings.read_timeout_ms / 1000,
            sleep=sleep,
        )
        self.pages = Pages(
            self.markets,
            self.hot,
            self.boards,
            FleetView(self.markets, clock=time.monotonic, shown=settings.page_fleet),
        )
        self.travel = Travel(
            store,
            self.catalogue,
            on_read=self._note_read,
            memory_bytes=tape_bytes,
            read_timeout_s=settings.read_timeout_ms / 1000,
        )
        self.heat = HeatFiles(
            store,
            {market.venue: market.catalogue for market in self.markets},
            on_read=self._note_read,
            read_timeout_s=settings.read_timeout_ms / 1000,
            wall_ms=lambda: round(wall_s() * 1000),
        )
        health = Health(self.catalogue)
        self.fast_answers = FastAnswers(
            on_answers=self.metrics.answered,
            on_state=self.metrics.marked,
            admit=self.weights.admit if self.weights.limit else None,
        )
        self.metrics.before_scrape(self.fast_answers.fold)
        self.app = App(
            self._weighed(depth),
            [
                Route("/healthz", health.alive),
                Route("/readyz", health.ready),
                Route("/metrics", self.metrics.endpoint),
                Route(openapi.PATH, openapi.endpoint_for(settings.venues)),
                self.heat.route,
                *(
                    route
                    for venue in self.channels
                    for route in websocket.routes(f"/{venue}" if venue else "")
                ),
                *_private(settings, store),
                *(self.pages.routes if settings.page else ()),
            ],
            on_answer=self.metrics.answered,
            on_state=self.metrics.marked,
            fast_answers=self.fast_answers,
        )

    async def run(self) -> None:
        """Keep the catalogue fresh and memory swept.

        An unreachable store or a missing bucket is waited for: another process may yet bring it. Raises
        :class:`~depthcast.errors.AccessDenied` where the very first listing is refused: waiting does not
        make credentials right.
        """
        beside = [
            asyncio.create_task(self.fast_answers.keep_swept()),
            asyncio.create_task(self._listener.run()),
            asyncio.create_task(self.hub.run()),
            asyncio.create_task(self.boards.run()),
            *(asyncio.create_task(mirror.run()) for mirror in self.mirrors),
        ]
        try:
            await self._keep_listed()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    def end_streams(self) -> None:
        """End whatever books are pushed over: readers are to go to another server."""
        self.hub.stop()

    async def close(self) -> None:
        """End the reads that are under way."""
        await self.hub.close()
        await self.boards.close()
        self.fast_answers.close()
        if self._upstream is not None:
            await self._upstream.close()
        await self.travel.close()
        for mirror in self.mirrors:
            await mirror.close()
        await self.tickers.close()
        await self.exchange_info.close()
        await self.heat.close()
        await self.tops.close()
        await self.hot.close()

    def _weighed(self, depth: Depth) -> dict[str, Endpoint]:
        """The exchange's endpoints by path, each with what a request to it weighs."""
        weigh = self.weights.around
        page: dict[str, Endpoint] = {}
        if self._settings.page:
            page[page_boards.PATH] = page_boards.events(self.boards, self.hub, self.clients)
        return {
            **page,
            DEPTH_PATH: weigh(self.travel.depth(depth.answer), travel_weight),
            STREAM_PATH: weigh(self.events.answer, stream_weight),
            BOOK_TICKER_PATH: weigh(self.tickers.answer, book_ticker_weight),
            EXCHANGE_INFO_PATH: weigh(
                self.past.exchange_info(self.exchange_info.answer), lambda _: EXCHANGE_INFO_WEIGHT
            ),
            PING_PATH: weigh(ping, lambda _: PING_WEIGHT),
            TIME_PATH: weigh(time_endpoint(), lambda _: PING_WEIGHT),
            **{
                path: weigh(endpoint, partial(_always, weight))
                for path, (endpoint, weight) in self.past.endpoints().items()
            },
            **{
                stream_path(mirror.scheme.venue): weigh(
                    Events(mirror.books, self.hot, self.hub, self.clients).answer,
                    partial(stream_weight, weight=mirror.stream_weight),
                )
                for mirror in self.mirrors
            },
            **{
                path: endpoint
                for mirror in self.mirrors
                for path, endpoint in mirror.endpoints(self.weights).items()
            },
        }

    async def _keep_listed(self) -> None:
        every_s = self._settings.symbols_refresh_s
        retry = Backoff(min(0.5, every_s), maximum_s=every_s)
        while True:
            try:
                await self._list_symbols()
            except AccessDenied as denied:
                if not self.catalogue.known:
                    raise
                self._note_listing_failure(denied)
                pause_s = every_s
            except StoreError as error:
                self._note_listing_failure(error)
                pause_s = every_s if self.catalogue.known else retry.next_s()
            else:
                pause_s = every_s
            self.hot.sweep()
            self.tops.sweep()
            await self._sleep(pause_s)

    async def _list_symbols(self) -> None:
        first = not self.catalogue.known
        await self.catalogue.refresh()
        for mirror in self.mirrors:
            await mirror.catalogue.refresh()
        self.metrics.listed(done=True)
        if first:
            _LOG.info("ready", symbols=len(self.catalogue), store=self._store.url)
        foreign = self.catalogue.foreign_keys
        if foreign and self._seldom.held_back("foreign keys") is not None:
            _LOG.warning("keys in the store that are no files of ours are ignored", such_as=foreign[0])

    def _note_listing_failure(self, error: StoreError) -> None:
        self.metrics.listed(done=False)
        if self._seldom.held_back("listing") is not None:
            what = "serving what is known" if self.catalogue.known else "waiting for the store"
            _LOG.warning(f"cannot list the published symbols; {what}", why=str(error))

    def _note_read(
        self, key: str, outcome: ReadOutcome, seconds: float, error: DepthcastError | None
    ) -> None:
        self.metrics.read(outcome, seconds)
        if outcome is ReadOutcome.FAILED:
            self._store_failed = True
            if self._seldom.held_back("read") is not None:
                _LOG.warning("cannot read the store; serving what is in memory", why=str(error))
        elif outcome is ReadOutcome.DAMAGED:
            if error is not None and self._seldom.held_back(key) is not None:
                _LOG.warning("a damaged file is not served", why=str(error))
        elif self._store_failed:
            self._store_failed = False
            _LOG.info("the store answers again")


def _always(weight: int, _query: bytes) -> int:
    return weight


def _private(settings: ServerSettings, store: Store) -> list[Route]:
    """What lies below ``/private/``, where that is wanted. Raises SettingsError for a file of no tokens."""
    if settings.private_token_file is None:
        return []
    tokens = Tokens(settings.private_token_file)
    return [Private(store, tokens, read_timeout_s=settings.read_timeout_ms / 1000).route]


def _upstream(settings: ServerSettings, metrics: Metrics) -> Upstream:
    """The exchange, for answers in place of stale files: asked once and soon, or not at all."""
    # Only here, for an HTTP client takes its time to load.
    from depthcast.rest import Rest
    from depthcast.venues.binance import Binance

    wait_s = settings.read_timeout_ms / 1000
    rest = Rest(
        Binance(settings.rest_url, settings.ws_url),
        share=settings.proxy_weight_share,
        background_share=settings.proxy_weight_share,
        max_waiting=256,
        attempts=1,
        connect_timeout_s=wait_s,
        answer_timeout_s=wait_s,
        max_silence_wait_s=wait_s,
    )
    return Upstream(rest, on_asked=metrics.asked, wait_s=wait_s)
