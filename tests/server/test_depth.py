"""The depth endpoint: a query string to a prepared answer, or to the file it needs."""

import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from depthcast.errors import StoreUnavailable
from server.answers import Answer, Asked
from server.catalogue import Catalogue
from server.depth import Depth
from server.freshness import Freshness
from server.hot import HotFiles
from server.parsing import MAX_QUERY_BYTES

if TYPE_CHECKING:
    from tests.server.conftest import StillClock, WatchedStore


@pytest.fixture
async def catalogue(store: "WatchedStore") -> Catalogue:
    await store.publish("ETHUSDT", 10, 160)
    await store.publish("ETHUSDT", 5000, 160, levels=300)
    await store.publish("BTCUSDT", 20, 7)
    catalogue = Catalogue(store)
    await catalogue.refresh()
    return catalogue


@pytest.fixture
async def hot(store: "WatchedStore", clock: "StillClock") -> AsyncIterator[HotFiles]:
    hot = HotFiles(store, clock=clock, sleep=clock.sleep)
    yield hot
    hot.check()
    await hot.close()


@pytest.fixture
def depth(catalogue: Catalogue, hot: HotFiles, clock: "StillClock") -> Depth:
    return Depth(catalogue, hot, Freshness(stale_after_s=3.0, wall_ms=clock.wall_ms), clock=clock)


async def fetch(depth: Depth, query: str, if_none_match: bytes | None = None) -> Answer:
    answer = depth.answer(Asked(query.encode(), if_none_match))
    return answer if isinstance(answer, Answer) else await answer


def header(answer: Answer, name: str) -> str | None:
    return next((value.decode() for key, value in answer.headers if key == name.encode()), None)


def code(answer: Answer) -> tuple[int, int]:
    return answer.status, json.loads(answer.body)["code"]


@pytest.mark.parametrize(
    ("limit", "key", "levels"),
    [
        (1, "api/v3/depth?symbol=ETHUSDT&limit=10", 1),
        (10, "api/v3/depth?symbol=ETHUSDT&limit=10", 10),
        (11, "api/v3/depth?symbol=ETHUSDT&limit=5000", 11),
        (100, "api/v3/depth?symbol=ETHUSDT&limit=5000", 100),
        (5000, "api/v3/depth?symbol=ETHUSDT&limit=5000", 300),
        (99999, "api/v3/depth?symbol=ETHUSDT&limit=5000", 300),
    ],
)
async def test_any_limit_is_cut_from_the_next_larger_file_there_is(
    depth: Depth, store: "WatchedStore", limit: int, key: str, levels: int
) -> None:
    answer = await fetch(depth, f"symbol=ETHUSDT&limit={limit}")
    assert answer.status == 200
    assert answer.body == store.body(160, levels)
    assert list(store.reads) == [key]


async def test_what_is_in_memory_is_answered_without_waiting(depth: Depth, store: "WatchedStore") -> None:
    first = await fetch(depth, "symbol=ETHUSDT&limit=7")
    again = depth.answer(Asked(b"limit=7&symbol=ETHUSDT"))
    assert isinstance(again, Answer)
    assert again.body is first.body
    assert again == first
    assert store.reads.total() == 1


async def test_ten_thousand_requests_for_unknown_symbols_never_reach_the_store(
    depth: Depth, store: "WatchedStore"
) -> None:
    listings = store.listings
    for n in range(10_000):
        assert code(await fetch(depth, f"symbol=X{n}")) == (400, -1121)
    assert store.reads.total() == 0
    assert store.listings == listings


@pytest.mark.parametrize("query", ["symbol=ethusdt", "symbol=ETHUSDT&limit=x", "", "symbol=ETHUSDT&a=1"])
async def test_a_bad_request_never_reaches_the_store(depth: Depth, store: "WatchedStore", query: str) -> None:
    assert (await fetch(depth, query)).status == 400
    assert store.reads.total() == 0


async def test_before_the_first_listing_no_symbol_is_called_unknown(
    store: "WatchedStore", hot: HotFiles
) -> None:
    answer = await fetch(Depth(Catalogue(store), hot, Freshness()), "symbol=ETHUSDT")
    assert code(answer) == (503, -1001)
    assert header(answer, "retry-after") == "1"


@pytest.mark.parametrize(
    ("status", "asked", "expected"),
    [
        ("TRADING", "TRADING", 200),
        ("TRADING", "HALT", (400, -1220)),
        ("TRADING", "BREAK", (400, -1220)),
        ("BREAK", "BREAK", 200),
        ("BREAK", "TRADING", (400, -1220)),
        ("DELISTED", "TRADING", (400, -1220)),
        ("DELISTED", "BREAK", (400, -1220)),
    ],
)
async def test_the_status_asked_for_is_compared_with_the_file_s(
    depth: Depth, store: "WatchedStore", status: str, asked: str, expected: int | tuple[int, int]
) -> None:
    await store.publish("ETHUSDT", 10, 160, status=status)
    assert (await fetch(depth, "symbol=ETHUSDT&limit=5")).status == 200
    for _ in ("from the store, then", "from memory"):
        answer = await fetch(depth, f"symbol=ETHUSDT&limit=5&symbolStatus={asked}")
        assert (answer.status if isinstance(expected, int) else code(answer)) == expected


async def test_a_symbol_that_is_not_there_has_no_status(depth: Depth) -> None:
    assert code(await fetch(depth, "symbol=NOSUCH&symbolStatus=BREAK")) == (400, -1121)


async def test_a_mark_is_seen_by_who_has_the_book_and_taken_back(
    depth: Depth, store: "WatchedStore", clock: "StillClock"
) -> None:
    query = "symbol=ETHUSDT&limit=10"
    first = await fetch(depth, query)
    tag = (header(first, "etag") or "").encode()
    for status, state in (("BREAK", "halted"), ("TRADING", "live")):
        await store.publish("ETHUSDT", 10, 160, status=status)
        await clock.advance(0.1)
        answer = await fetch(depth, query, tag)
        assert answer.status == 304
        assert (header(answer, "depthcast-state"), header(answer, "depthcast-status")) == (state, status)


async def test_fewer_levels_than_asked_for_are_never_given(depth: Depth, store: "WatchedStore") -> None:
    # ETHUSDT has 5000, so BTCUSDT's larger files may be on their way.
    assert code(await fetch(depth, "symbol=BTCUSDT&limit=21")) == (503, -1001)
    assert store.reads.total() == 0


async def test_a_limit_beyond_all_published_ones_is_not_valid(store: "WatchedStore", hot: HotFiles) -> None:
    await store.publish("BTCUSDT", 20, 7)
    catalogue = Catalogue(store)
    await catalogue.refresh()
    depth = Depth(catalogue, hot, Freshness())
    assert code(await fetch(depth, "symbol=BTCUSDT&limit=21")) == (400, -1130)
    assert (await fetch(depth, "symbol=BTCUSDT&limit=20")).status == 200


async def test_a_listed_file_that_cannot_be_read_is_503(depth: Depth, store: "WatchedStore") -> None:
    store.failure = StoreUnavailable("away")
    assert code(await fetch(depth, "symbol=ETHUSDT&limit=5")) == (503, -1001)


async def test_a_listed_file_that_is_not_there_is_503(depth: Depth, store: "WatchedStore") -> None:
    store.instead["api/v3/depth?symbol=ETHUSDT&limit=10"] = None
    assert code(await fetch(depth, "symbol=ETHUSDT&limit=5")) == (503, -1001)


async def test_a_damaged_file_is_503(depth: Depth, store: "WatchedStore") -> None:
    await store.put("api/v3/depth?symbol=ETHUSDT&limit=10", b"{}", {})
    assert code(await fetch(depth, "symbol=ETHUSDT&limit=5")) == (503, -1001)


async def test_a_file_the_store_no_longer_confirms_is_served_and_marked(
    depth: Depth, store: "WatchedStore", clock: "StillClock"
) -> None:
    first = await fetch(depth, "symbol=ETHUSDT&limit=10")
    assert header(first, "depthcast-state") == "live"
    store.failure = StoreUnavailable("away")
    await clock.advance(2.9)
    later = await fetch(depth, "symbol=ETHUSDT&limit=10")
    assert (header(later, "depthcast-state"), later.body) == ("live", first.body)
    assert (header(first, "age"), header(later, "age")) == (None, "2")
    await clock.advance(0.2)
    late = await fetch(depth, "symbol=ETHUSDT&limit=10")
    assert (late.status, late.body) == (200, first.body)
    assert header(late, "depthcast-state") == "stale"
    store.failure = None
    await clock.advance(2.1)
    back = await fetch(depth, "symbol=ETHUSDT&limit=10")
    assert (header(back, "depthcast-state"), header(back, "age")) == ("stale", None), "no writer was seen"
    await store.publish("ETHUSDT", 10, 161)
    await clock.advance(0.1)
    again = await fetch(depth, "symbol=ETHUSDT&limit=10")
    assert (header(again, "depthcast-state"), header(again, "age")) == ("live", None)


@pytest.mark.parametrize("limit", [7, 10])
async def test_who_has_the_version_gets_304_until_there_is_a_new_one(
    depth: Depth, store: "WatchedStore", clock: "StillClock", limit: int
) -> None:
    query = f"symbol=ETHUSDT&limit={limit}"
    tag = (header(await fetch(depth, query), "etag") or "").encode()
    assert (await fetch(depth, query, tag)).status == 304
    await store.publish("ETHUSDT", 10, 161)
    await clock.advance(0.1)
    answer = await fetch(depth, query, tag)
    assert (answer.status, answer.body) == (200, store.body(161, limit))


async def test_304_is_given_for_a_first_read_too(depth: Depth) -> None:
    assert (await fetch(depth, "symbol=ETHUSDT&limit=10", b'"1-160-10-10-10"')).status == 304


async def test_a_query_of_any_length_is_answered(depth: Depth) -> None:
    room = MAX_QUERY_BYTES - len("symbol=")
    assert (await fetch(depth, "symbol=" + "A" * room)).status == 400
    assert (await fetch(depth, "symbol=" + "A" * (room + 1))).status == 414


async def test_the_time_unit_is_checked_though_a_book_has_no_time(depth: Depth) -> None:
    answer = depth.answer(Asked(b"symbol=ETHUSDT&limit=10", None, b"SECOND"))
    assert isinstance(answer, Answer)
    assert code(answer) == (400, -1194)
    pending = depth.answer(Asked(b"symbol=ETHUSDT&limit=10", None, b"MICROSECOND"))
    assert not isinstance(pending, Answer)
    assert (await pending).status == 200
