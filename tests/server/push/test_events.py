"""Server-sent events: what each reader is given, held against the files themselves."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from depthcast.errors import StoreUnavailable
from depthcast.files import cut
from server.answers import Answer, Asked
from server.push.counts import Begin, End, Kind
from server.push.events import stream_weight
from server.push.history import changes

if TYPE_CHECKING:
    from tests.server.push.conftest import Site

ETH = "symbol=ETHUSDT&limit=20"


def moving_book(draw: random.Random, update_id: int) -> bytes:
    """A file as a writer makes it: 20 of 30 prices a side have an order, with few different quantities."""
    sides = []
    for prices in (range(1000, 970, -1), range(1001, 1031)):
        kept = sorted(draw.sample(prices, 20), reverse=prices.step < 0)
        sides.append([[f"{price}.50000000", f"{draw.randrange(1, 4)}.00000000"] for price in kept])
    members = {"lastUpdateId": update_id, "bids": sides[0], "asks": sides[1]}
    return json.dumps(members, separators=(",", ":")).encode()


async def test_a_stream_begins_with_the_pause_the_state_and_the_book(site: "Site") -> None:
    stream = await site.open(ETH)
    assert stream.take() == ["state", "snapshot"]
    assert stream.raw.startswith(b"retry: 2000\n\n")
    assert stream.book.body() == site.store.body(100, 20)
    assert stream.book.last_id == "100"
    assert stream.book.states == [
        {
            "state": "live",
            "status": "TRADING",
            "epoch": 0,
            "currentTime": stream.book.states[0]["currentTime"],
        }
    ]


@pytest.mark.parametrize("limit", [1, 5, 7, 20])
async def test_every_version_is_what_the_file_is(site: "Site", limit: int) -> None:
    draw = random.Random(limit)
    stream = await site.open(f"symbol=ETHUSDT&limit={limit}")
    stream.take()
    update_id = 100
    for _ in range(40):
        update_id += draw.randrange(1, 50)
        body = moving_book(draw, update_id)
        await site.put(body)
        assert stream.take() == ["diff"]
        assert stream.book.body() == cut(body, limit)
    site.hub.check()


async def test_a_slow_reader_is_given_the_newest_version_at_once_and_none_between(site: "Site") -> None:
    slow, fast = await site.open(ETH), await site.open(ETH)
    slow.take(), fast.take()
    slow.outlet.fill()
    draw = random.Random(5)
    for update_id in range(101, 111):
        body = moving_book(draw, update_id)
        await site.put(body)
        assert fast.take() == ["diff"]
    assert slow.outlet.written == b""
    slow.outlet.drain()
    assert slow.take() == ["diff"]
    assert slow.book.body() == fast.book.body() == body
    counts = site.hub.counts
    assert counts.skipped == {Kind.EVENTS: 9}
    assert counts.sent[Kind.EVENTS, "diff"] == 11


async def test_a_reader_slower_than_the_history_is_given_the_whole_book(
    make_site: "Callable[..., Awaitable[Site]]",
) -> None:
    site = await make_site(max_versions=3)
    stream = await site.open(ETH)
    stream.take()
    stream.outlet.fill()
    for update_id in range(101, 105):
        await site.publish(update_id, epoch=0)
    stream.outlet.drain()
    assert stream.take() == ["snapshot"]
    assert stream.book.body() == site.store.body(104, 20)


async def test_a_change_is_made_once_for_all_who_have_the_same(
    site: "Site", monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def counted(*which: object) -> bytes | None:
        made.append(which)
        return original(*which)  # type: ignore[arg-type]

    original = changes
    monkeypatch.setattr("server.push.events.changes", counted)
    streams = [await site.open(ETH) for _ in range(5)] + [await site.open("symbol=ETHUSDT&limit=5")]
    for stream in streams:
        stream.take()
    await site.publish(101, epoch=0)
    assert [stream.take() for stream in streams] == [["diff"]] * 6
    assert len(made) == 2


async def test_who_comes_back_goes_on_from_where_it_was(site: "Site") -> None:
    draw = random.Random(1)
    first = await site.open(ETH)
    await site.put(moving_book(draw, 110))
    first.take()
    first.outlet.abort()
    await site.put(moving_book(draw, 120))
    last = moving_book(draw, 130)
    await site.put(last)
    again = await site.open(ETH, last_id="110")
    again.book = first.book
    assert again.take() == ["state", "diff"]
    assert again.book.body() == last
    assert site.hub.counts.begun == {Begin.SNAPSHOT: 1, Begin.RESUMED: 1}


async def test_who_comes_back_with_the_newest_version_is_told_no_more_than_the_state(site: "Site") -> None:
    first = await site.open(ETH)
    first.take()
    again = await site.open(ETH, last_id="100")
    again.book = first.book
    assert again.take() == ["state"]
    await site.publish(101, epoch=0)
    assert again.take() == ["diff"]
    assert again.book.body() == site.store.body(101, 20)


@pytest.mark.parametrize("last_id", ["99", "", "abc", "-1", "1e3", "9" * 30, "1:100"])
async def test_an_id_that_says_nothing_is_answered_with_the_book(site: "Site", last_id: str) -> None:
    await site.open(ETH)
    assert (await site.open(ETH, last_id=last_id)).take() == ["state", "snapshot"]


async def test_the_id_may_be_a_parameter_and_the_header_goes_before_it(site: "Site") -> None:
    await site.open(ETH)
    for query in (
        "lastEventId=100&" + ETH,
        ETH + "&lastEventId=100",
        "symbol=ETHUSDT&lastEventId=100&limit=20",
    ):
        assert (await site.open(query)).take() == ["state"]
        assert (await site.open(query, last_id="7")).take() == ["state", "snapshot"]
    assert (await site.ask(ETH + "&lastEventId=1&lastEventId=1")).status == 400


@pytest.mark.parametrize(
    ("query", "weight"),
    [
        ("symbol=ETHUSDT&limit=5000", 250),
        ("symbol=ETHUSDT&limit=5000&lastEventId=100", 250),
        ("lastEventId=100&symbol=ETHUSDT&limit=500", 25),
        ("symbol=ETHUSDT&lastEventId=", 5),
        ("symbol=&limit=5000&lastEventId=1", 5),
    ],
)
def test_a_stream_weighs_what_its_book_does_whoever_comes_back(query: str, weight: int) -> None:
    assert stream_weight(query.encode()) == weight


async def test_another_epoch_is_a_new_book_and_its_ids_resume_nothing(site: "Site") -> None:
    stream = await site.open(ETH)
    stream.take()
    await site.publish(40, epoch=1)
    assert stream.take() == ["state", "snapshot"]
    assert stream.book.update_id == 40
    assert stream.book.states[-1]["epoch"] == 1
    await site.publish(100, epoch=1)
    assert stream.take() == ["diff"]
    # This reader has the 100 of the first epoch: another book.
    assert (await site.open(ETH, last_id="100")).take() == ["state", "snapshot"]


async def test_the_same_version_with_fewer_levels_is_a_new_book(site: "Site") -> None:
    stream = await site.open(ETH)
    stream.take()
    await site.publish(100, epoch=0, levels=15)
    assert stream.take() == ["snapshot"]
    assert stream.book.body() == site.store.body(100, 15)


async def test_changes_of_the_state_are_told_and_nothing_else_with_them(site: "Site") -> None:
    stream = await site.open(ETH)
    stream.take()
    await site.clock.advance(7)
    assert stream.take() == ["state"]
    await site.publish(100, epoch=0, status="HALT")
    assert stream.take() == ["state"]
    assert [state["state"] for state in stream.book.states] == ["live", "stale", "halted"]
    assert stream.book.states[-1]["status"] == "HALT"


async def test_the_store_away_is_told_as_stale_and_the_stream_goes_on(site: "Site") -> None:
    stream = await site.open(ETH)
    stream.take()
    site.store.failure = StoreUnavailable("away")
    await site.clock.advance(20)
    assert stream.take() == ["state"]
    assert stream.book.states[-1]["state"] == "stale"
    site.store.failure = None
    await site.publish(101, epoch=0)
    await site.clock.advance(3)
    assert "diff" in stream.take()
    assert stream.book.body() == site.store.body(101, 20)


async def test_a_heartbeat_is_a_comment_where_nothing_else_was_sent(site: "Site") -> None:
    stream = await site.open(ETH)
    await site.clock.advance(8)
    stream.take()
    for _ in range(3):
        await site.clock.advance(16)
        assert stream.take() == []
        assert stream.raw == b":\n\n"


async def test_a_reader_that_takes_nothing_is_cut_off(make_site: "Callable[..., Awaitable[Site]]") -> None:
    site = await make_site(slow_after_s=10.0)
    stream = await site.open(ETH)
    stream.outlet.fill()
    await site.clock.advance(9)
    assert not stream.task.done()
    await site.clock.advance(3)
    assert stream.task.done()
    assert stream.outlet.aborted
    assert site.hub.counts.ended == {(Kind.EVENTS, End.SLOW): 1}
    assert site.hub.count(Kind.EVENTS) == 0


async def test_a_connection_lost_ends_its_stream(site: "Site") -> None:
    stream = await site.open(ETH)
    stream.outlet.closed = True
    stream.reader.lost()
    await site.clock.settle()
    assert stream.task.done()
    assert site.hub.counts.ended == {(Kind.EVENTS, End.LEFT): 1}
    site.hub.check()


async def test_a_connection_lost_before_it_began_ends_at_once(site: "Site") -> None:
    answer = await site.ask(ETH)
    assert answer.stream is not None
    from tests.server.push.conftest import Outlet

    outlet = Outlet()
    outlet.closed = True
    await answer.stream(outlet)
    assert outlet.written == b""
    assert site.hub.count(Kind.EVENTS) == 0


async def test_a_server_that_stops_ends_its_streams_and_lets_nobody_in(site: "Site") -> None:
    reading, stuck = await site.open(ETH), await site.open(ETH)
    stuck.outlet.fill()
    site.hub.stop()
    await site.clock.settle()
    assert reading.task.done()
    assert not reading.outlet.aborted
    assert stuck.outlet.aborted
    assert (await site.ask(ETH)).status == 503


async def test_only_so_many_streams_are_let_in(make_site: "Callable[..., Awaitable[Site]]") -> None:
    site = await make_site(max_streams=2)
    first, _ = await site.open(ETH), await site.open(ETH)
    refused = await site.ask(ETH)
    assert (refused.status, json.loads(refused.body)["code"]) == (503, -1008)
    assert (b"retry-after", b"1") in refused.headers
    assert site.hub.counts.turned_away == {Kind.EVENTS: 1}
    first.outlet.abort()
    await site.clock.settle()
    await site.open(ETH)


async def test_no_more_are_let_in_who_waited_for_the_same_file(
    make_site: "Callable[..., Awaitable[Site]]",
) -> None:
    from tests.server.push.conftest import Outlet

    site = await make_site(max_streams=2)
    site.store.gate = asyncio.Event()
    refused = []

    async def come() -> None:
        answer = await site.ask(ETH)
        if answer.stream is None:
            refused.append(answer.status)
        else:
            await answer.stream(Outlet())

    coming = [asyncio.create_task(come()) for _ in range(5)]
    await site.clock.settle()
    assert site.store.reads.total() == 1
    site.store.gate.set()
    await site.clock.settle()
    assert (site.hub.count(Kind.EVENTS), refused) == (2, [503] * 3)
    assert site.hub.counts.turned_away == {Kind.EVENTS: 3}
    for task in coming:
        task.cancel()
    await asyncio.gather(*coming, return_exceptions=True)


async def test_one_client_may_be_held_to_fewer(make_site: "Callable[..., Awaitable[Site]]") -> None:
    site = await make_site(max_streams_per_client=1)
    await site.open(ETH)
    assert (await site.ask(ETH)).status == 503
    other = site.events.answer(Asked(ETH.encode(), client="5.6.7.8"))
    assert isinstance(other, Answer)
    assert other.status == 200


@pytest.mark.parametrize(
    "query",
    [
        "",
        "symbol=",
        "symbol=ethusdt",
        "symbol=NOSUCH",
        "symbol=ETHUSDT&limit=0",
        "symbol=ETHUSDT&limit=x",
        "symbol=ETHUSDT&limit=21",
        "symbol=ETHUSDT&depth=5",
        "symbol=ETHUSDT&symbol=ETHUSDT",
        "symbol=ETHUSDT&limit=5&symbolStatus=HALT",
        "symbol=ETHUSDT&limit=5&symbolStatus=X",
        "symbol=ETHUSDT&limit=5&a=1&b=2",
        "symbol=" + "A" * 9000,
    ],
)
async def test_what_depth_refuses_is_refused_in_the_same_words(site: "Site", query: str) -> None:
    streamed = await site.ask(query)
    given = site.depth.answer(Asked(query.encode()))
    plain = given if isinstance(given, Answer) else await given
    assert plain.status != 200
    assert streamed == plain


async def test_a_store_that_fails_before_the_first_book_is_503(site: "Site") -> None:
    site.store.failure = StoreUnavailable("away")
    assert (await site.ask(ETH)).status == 503
    site.store.failure = None
    await site.clock.advance(1)
    assert (await site.ask(ETH)).status == 200
