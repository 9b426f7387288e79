"""``Mirror``: one venue's REST calls answered from its published files, at its own paths.

Every venue but the first has one; what a service has for all of them, memory and weights, they share. A call
is answered at its own path and once more below the venue's name: ``/fapi/v1/depth`` and
``/binanceusdm/fapi/v1/depth``. A stale book is marked, or 503 where that is wanted; the venue is not asked in
its place.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import NamedTuple

from depthcast.files import Scheme
from depthcast.metadata.kinds import exchange_info
from depthcast.store import Store
from depthcast.venues.answering import ANSWERING
from server.answers import JSON_TYPE, Answer, Asked, Endpoint, Header
from server.catalogue import Catalogue
from server.depth import Depth
from server.exchange_info import ExchangeInfo
from server.freshness import Freshness
from server.hot import HotFiles
from server.listener import Hearing, Listener
from server.past import Past
from server.ping import ping_endpoint, time_endpoint
from server.pulse import Pulse
from server.push.requests import parse_stream
from server.reads import OnRead
from server.settings import ServerSettings
from server.tickers import Tickers
from server.travel import Travel, travel_weight
from server.weights import Weight, Weights


class Weighed(NamedTuple):
    """An endpoint, and what a request to it weighs."""

    endpoint: Endpoint
    weight: Weight


def named_path(scheme: Scheme, path: str) -> str:
    """Where a call is answered below its venue's name.

    >>> from depthcast.files import SCHEMES
    >>> usdm, us = SCHEMES["binanceusdm"], SCHEMES["binanceus"]
    >>> named_path(usdm, "/fapi/v1/ping"), named_path(us, "/binanceus/api/v3/ping")
    ('/binanceusdm/fapi/v1/ping', '/binanceus/api/v3/ping')
    """
    below = f"/{scheme.venue}"
    return path if path.startswith(f"{below}/") else below + path


class Mirror:
    """One venue's endpoints. ``hot`` and ``tops`` are the service's files in memory; ``tape_bytes`` is what
    its tape may take. ``past`` answers what its list was at other times."""

    def __init__(
        self,
        scheme: Scheme,
        settings: ServerSettings,
        store: Store,
        *,
        hot: HotFiles,
        tops: HotFiles,
        tape_bytes: int,
        past: Past,
        on_read: OnRead,
        on_hearing: Callable[[Hearing], None],
    ) -> None:
        self.scheme = scheme
        words = ANSWERING[scheme.venue]
        self._meter = words.meter
        self._content_type: Header = (JSON_TYPE[0], words.content_type.encode())
        stale_after_s = settings.stale_after_ms / 1000
        unavailable = settings.stale_policy == "unavailable"
        pulse = Pulse(trust_s=stale_after_s)
        self.freshness = freshness = Freshness(pulse, stale_after_s=stale_after_s)
        self.catalogue = Catalogue(store, scheme=scheme)
        self.listener = Listener(
            store,
            pulse,
            scheme=scheme,
            on_reading=on_hearing,
            every_s=settings.heartbeats_ms / 1000,
            timeout_s=settings.read_timeout_ms / 1000,
        )
        self.books = Depth(
            self.catalogue,
            hot,
            freshness,
            scheme=scheme,
            parse=parse_stream(scheme),
            units=False,
            refusals=words.refusals,
            unavailable_when_stale=unavailable,
        )
        """The venue's books as streams of them are asked for."""
        self.stream_weight = words.books[0].weight
        self._endpoints: dict[str, Weighed] = {}
        self._closing: list[Callable[[], Awaitable[None]]] = []
        for book in words.books:
            depth = Depth(
                self.catalogue,
                hot,
                freshness,
                scheme=scheme,
                parse=book.parse,
                units=words.units,
                refusals=words.refusals,
                unavailable_when_stale=unavailable,
            )
            answer: Endpoint = depth.answer
            weight = book.weight
            if book.at_times:
                travel = Travel(
                    store,
                    self.catalogue,
                    venue=scheme.venue,
                    parse=book.parse,
                    placed="{" in book.path,
                    units=words.units,
                    refusals=words.refusals,
                    on_read=on_read,
                    memory_bytes=tape_bytes,
                    read_timeout_s=settings.read_timeout_ms / 1000,
                )
                answer, weight = (
                    travel.depth(answer),
                    partial(travel_weight, weight=weight),
                )
                self._closing.append(travel.close)
            self._endpoints[book.path] = Weighed(answer, weight)
        if words.ticker is not None:
            tickers = Tickers(
                self.catalogue,
                hot,
                tops,
                freshness,
                scheme=scheme,
                parse=words.ticker.parse,
                unavailable_when_stale=unavailable,
                cache_control=settings.answer_cache_control,
                list_holds_s=min(settings.refresh_ms, settings.ticker_refresh_ms) / 1000,
            )
            self._endpoints[words.ticker.path] = Weighed(tickers.answer, words.ticker.weight)
            self._closing.append(tickers.close)
        kind = exchange_info(scheme)
        assert kind.layout is not None
        listed = ExchangeInfo(
            store,
            key=kind.key,
            layout=kind.layout,
            unavailable=words.refusals.unavailable,
            units=words.units,
            on_read=on_read,
            refresh_s=settings.exchange_info_refresh_s,
        )
        self._closing.append(listed.close)
        for call in words.lists:
            of_list = past.exchange_info(
                listed.endpoint(call.parse, call.select),
                kind=kind,
                parse=call.parse,
                select=call.select,
                units=words.units,
                worded=words.worded,
            )
            self._endpoints[call.path] = Weighed(of_list, call.weight)
        for plain in words.plain:
            if plain.body is None:
                endpoint = ping_endpoint(plain.refuse, units=words.units)
            else:
                endpoint = time_endpoint(refuse=plain.refuse, body=plain.body, units=words.units)
            self._endpoints[plain.path] = Weighed(endpoint, plain.weight)

    def endpoints(self, weights: Weights) -> Mapping[str, Endpoint]:
        """The endpoints by their paths, of which a part may be in braces (:mod:`server.app`)."""
        made = {
            path: called(weights.around(each.endpoint, each.weight, self._meter), self._content_type)
            for path, each in self._endpoints.items()
        }
        return made | {named_path(self.scheme, path): each for path, each in made.items()}

    async def run(self) -> None:
        """Hear the venue's fleet until cancelled."""
        await self.listener.run()

    async def close(self) -> None:
        """End the reads that are under way."""
        await asyncio.gather(*(close() for close in self._closing))


def called(endpoint: Endpoint, content_type: Header) -> Endpoint:
    """The endpoint, whose answers in JSON have this ``Content-Type``."""
    if content_type == JSON_TYPE:
        return endpoint

    def named(answer: Answer) -> Answer:
        headers = tuple(content_type if header == JSON_TYPE else header for header in answer.headers)
        return answer._replace(headers=headers)

    async def awaited(coming: Awaitable[Answer]) -> Answer:
        return named(await coming)

    def answer(asked: Asked) -> Answer | Awaitable[Answer]:
        given = endpoint(asked)
        return named(given) if isinstance(given, Answer) else awaited(given)

    return answer
