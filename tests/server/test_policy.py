"""What the depth endpoint answers in place of a stale file, by each policy."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from depthcast.errors import StoreUnavailable, VenueUnavailable
from depthcast.venues.requests import ApiError
from server.answers import Answer, Asked
from server.catalogue import Catalogue
from server.depth import Depth
from server.freshness import Freshness
from server.hot import HotFiles
from server.upstream import FAILED, Given, Outcome, Upstream
from tests.server.conftest import WROTE_MS

if TYPE_CHECKING:
    from tests.server.conftest import StillClock, WatchedStore

QUERY = b"symbol=ETHUSDT&limit=5"
ASKED_MS = WROTE_MS + 10_000

Make = Callable[..., Awaitable[Depth]]


class Exchange(Upstream):
    """Says ``outcome`` to whoever asks, and keeps nothing unless told to."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.asked: list[tuple[str, int]] = []
        self.keeps = False

    def kept(self, symbol: str, limit: int) -> Outcome | None:
        return self.outcome if self.keeps else None

    async def ask(self, symbol: str, limit: int) -> Outcome:
        self.asked.append((symbol, limit))
        return self.outcome


@pytest.fixture
async def make(store: "WatchedStore", clock: "StillClock") -> AsyncIterator[Make]:
    """Makes an endpoint over one published symbol, whose file is in memory."""
    hot = HotFiles(store, clock=clock, sleep=clock.sleep)

    async def make(*, upstream: Upstream | None = None, unavailable: bool = False) -> Depth:
        await store.publish("ETHUSDT", 5, 160, epoch=3)
        catalogue = Catalogue(store)
        await catalogue.refresh()
        freshness = Freshness(stale_after_s=5.0, wall_ms=clock.wall_ms)
        depth = Depth(
            catalogue,
            hot,
            freshness,
            unavailable_when_stale=unavailable,
            upstream=upstream,
            clock=clock,
        )
        first = await fetch(depth)
        assert (first.status, headers(first)["depthcast-state"]) == (200, "live")
        return depth

    yield make
    await hot.close()


async def fetch(depth: Depth, query: bytes = QUERY, if_none_match: bytes | None = None) -> Answer:
    answer = depth.answer(Asked(query, if_none_match))
    return answer if isinstance(answer, Answer) else await answer


def headers(answer: Answer) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in answer.headers}


async def test_a_stale_file_is_served_and_marked_by_default(
    make: Make, clock: "StillClock", store: "WatchedStore"
) -> None:
    depth = await make()
    await clock.advance(6.0)
    answer = await fetch(depth)
    assert (answer.status, answer.body) == (200, store.body(160, 5))
    assert headers(answer)["depthcast-state"] == "stale"
    assert headers(answer)["depthcast-current-time"] == str(WROTE_MS - 21)


async def test_a_stale_file_may_be_refused_with_its_marks(make: Make, clock: "StillClock") -> None:
    depth = await make(unavailable=True)
    await clock.advance(6.0)
    for if_none_match in (None, b"*", b'"3-160-5-5-5"'):
        answer = await fetch(depth, if_none_match=if_none_match)
        assert (answer.status, json.loads(answer.body)["code"]) == (503, -1001)
        marks = headers(answer)
        assert marks["retry-after"] == "1"
        assert marks["cache-control"] == "no-store"
        assert marks["depthcast-state"] == "stale"
        assert marks["depthcast-version"] == "3:160"
        assert marks["depthcast-epoch"] == "3"
        assert marks["depthcast-current-time"] == str(WROTE_MS - 21)
        assert answer.hold is None, "it is asked for anew each time"


async def test_what_is_current_again_is_served_again(
    make: Make, clock: "StillClock", store: "WatchedStore"
) -> None:
    depth = await make(unavailable=True)
    await clock.advance(6.0)
    assert (await fetch(depth)).status == 503
    await store.publish("ETHUSDT", 5, 161, epoch=3)
    await clock.advance(0.1)
    assert (await fetch(depth)).status == 200


@pytest.mark.parametrize("unavailable", [True, False])
async def test_halted_is_not_stale(
    make: Make, clock: "StillClock", store: "WatchedStore", unavailable: bool
) -> None:
    exchange = Exchange(FAILED)
    depth = await make(unavailable=unavailable, upstream=None if unavailable else exchange)
    await store.publish("ETHUSDT", 5, 160, epoch=3, status="DELISTED")
    await clock.advance(20.0)
    answer = await fetch(depth)
    assert (answer.status, headers(answer)["depthcast-state"]) == (200, "halted")
    assert exchange.asked == []


@pytest.mark.parametrize("keeps", [False, True])
async def test_the_exchange_s_own_answer_goes_in_its_place_byte_for_byte(
    make: Make, clock: "StillClock", keeps: bool
) -> None:
    body = b'{"lastUpdateId":200,"bids":[["1.0","2.0"]],"asks":[]}'
    exchange = Exchange(Given(body, 200, ASKED_MS))
    exchange.keeps = keeps
    depth = await make(upstream=exchange)
    await clock.advance(6.0)
    answer = await fetch(depth, if_none_match=b"*")
    assert (answer.status, answer.body) == (200, body)
    marks = headers(answer)
    assert marks["depthcast-state"] == "proxied"
    assert marks["depthcast-current-time"] == str(ASKED_MS)
    assert (marks["depthcast-version"], marks["depthcast-epoch"]) == ("3:200", "3")
    assert marks["cache-control"] == "no-store"
    assert marks["content-length"] == str(len(body))
    assert not {"etag", "last-modified", "age"} & set(marks)
    assert exchange.asked == ([] if keeps else [("ETHUSDT", 5)])
    assert answer.hold is None


async def test_ids_below_the_file_s_are_given_no_epoch(make: Make, clock: "StillClock") -> None:
    exchange = Exchange(Given(b'{"lastUpdateId":7,"bids":[],"asks":[]}', 7, ASKED_MS))
    depth = await make(upstream=exchange)
    await clock.advance(6.0)
    marks = headers(await fetch(depth))
    assert marks["depthcast-state"] == "proxied"
    assert not {"depthcast-version", "depthcast-epoch"} & set(marks)


async def test_what_the_exchange_refuses_is_refused(make: Make, clock: "StillClock") -> None:
    depth = await make(upstream=Exchange(ApiError(400, -1121, "Invalid symbol.")))
    await clock.advance(6.0)
    answer = await fetch(depth)
    assert (answer.status, answer.body) == (400, b'{"code":-1121,"msg":"Invalid symbol."}')


@pytest.mark.parametrize("keeps", [False, True])
async def test_where_the_exchange_fails_the_file_is_served_and_marked(
    make: Make, clock: "StillClock", store: "WatchedStore", keeps: bool
) -> None:
    exchange = Exchange(FAILED)
    exchange.keeps = keeps
    depth = await make(upstream=exchange)
    await clock.advance(6.0)
    answer = await fetch(depth)
    assert (answer.status, answer.body) == (200, store.body(160, 5))
    assert headers(answer)["depthcast-state"] == "stale"
    assert answer.hold is None, "the exchange may answer the next one"


async def test_a_file_that_cannot_be_had_is_asked_for_too(make: Make, store: "WatchedStore") -> None:
    exchange = Exchange(Given(b'{"lastUpdateId":200,"bids":[],"asks":[]}', 200, ASKED_MS))
    depth = await make(upstream=exchange)
    await store.publish("BTCUSDT", 5, 7)
    await depth._catalogue.refresh()
    store.failure = StoreUnavailable("away")
    answer = await fetch(depth, b"symbol=BTCUSDT&limit=5")
    assert (answer.status, headers(answer)["depthcast-state"]) == (200, "proxied")
    # Whether it has a status the exchange's book does not tell.
    assert (await fetch(depth, b"symbol=BTCUSDT&limit=5&symbolStatus=HALT")).status == 503
    exchange.outcome = FAILED
    assert (await fetch(depth, b"symbol=BTCUSDT&limit=5")).status == 503


async def test_symbols_that_are_not_published_never_reach_the_exchange(
    make: Make, clock: "StillClock"
) -> None:
    exchange = Exchange(FAILED)
    depth = await make(upstream=exchange)
    await clock.advance(6.0)
    for n in range(1000):
        assert (await fetch(depth, b"symbol=X%d" % n)).status == 400
    for query in (b"symbol=ethusdt", b"symbol=ETHUSDT&limit=x", b"symbol=ETHUSDT&symbolStatus=HALT"):
        assert (await fetch(depth, query)).status == 400
    assert exchange.asked == []


async def test_before_the_first_listing_the_exchange_is_not_asked(
    store: "WatchedStore", clock: "StillClock"
) -> None:
    exchange = Exchange(VenueUnavailable("never reached"))  # type: ignore[arg-type]
    hot = HotFiles(store, clock=clock, sleep=clock.sleep)
    depth = Depth(Catalogue(store), hot, Freshness(), upstream=exchange, clock=clock)
    assert (await fetch(depth)).status == 503
    assert exchange.asked == []
