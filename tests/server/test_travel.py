"""The depth endpoint with ``at``: the book as it was, or what there is in its place."""

import asyncio
import builtins
import gzip
import json
import sys
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

import pytest

from depthcast.book import Book
from depthcast.errors import StoreUnavailable
from depthcast.files import depth_key
from depthcast.tape.keys import segment_key
from depthcast.tape.segment import Keyframe, Piece, RecordedDiff, Segment
from depthcast.venues.answering import ANSWERING
from depthcast.venues.coinbase_files import COINBASE
from server.answers import Answer, Asked
from server.catalogue import Catalogue
from server.reads import ReadOutcome
from server.travel import ASIDE_LIMIT, NO_TAPE_READ, Travel, parse_travel, travel_weight
from tests.depthcast.tape.stored import put, store_segments

if TYPE_CHECKING:
    from tests.server.conftest import StillClock, WatchedStore

NOT_ASKED = Answer(200, (), b"now")
SYMBOL = "ETHUSDT"
START_MS = 1_723_161_240_000
SIDE = [(f"{1000 - at}.50", f"{at + 1}.250") for at in range(1000)]
FRAME = Keyframe(100, START_MS - 100, 0, SIDE, [(f"{1001 + at}.00", "7.000") for at in range(3)], False, True)
DIFFS = tuple(
    RecordedDiff(101 + 10 * at, 110 + 10 * at, START_MS + 1000 * at, 0, [("1000.50", f"{at}.500")], [])
    for at in range(50)
)


def minute(number: int, *, to_end: bool = True) -> Segment:
    start_ms = START_MS + 60_000 * number
    frame, diffs = FRAME, DIFFS
    if number:
        then = book(len(DIFFS))
        frame = Keyframe(600, then.event_time_ms, 0, *then.strings(), False, True)
        diffs = (RecordedDiff(601, 601, start_ms + 5, 0, [("1000.50", "9.000")], []),)
    piece = Piece(2, frame, diffs)
    return Segment.of("binance", SYMBOL, start_ms, 60, [piece], from_start=True, to_end=to_end)


def book(count: int) -> Book:
    """The book after so many diffs of the first minute."""
    made = Book.of(FRAME.snapshot())
    for diff in DIFFS[:count]:
        made.apply(diff.diff(SYMBOL))
    return made


class Site:
    """The endpoint over a store with two minutes of tape, of which the second one is not whole."""

    def __init__(self, store: "WatchedStore", clock: "StillClock") -> None:
        self.store = store
        self.clock = clock
        self.told: list[tuple[str, ReadOutcome]] = []
        self.catalogue = Catalogue(store)
        self.travel = self.made()

    def made(self, **options: Any) -> Travel:
        return Travel(
            self.store,
            self.catalogue,
            on_read=lambda key, outcome, *_: self.told.append((key, outcome)),
            clock=self.clock,
            **options,
        )

    async def ask(self, query: str, travel: Travel | None = None, **more: Any) -> Answer:
        given = (travel or self.travel).depth(lambda _: NOT_ASKED)(Asked(query.encode(), **more))
        answer = await given if isinstance(given, Awaitable) else given
        self.travel.check()
        return answer


@pytest.fixture
async def site(store: "WatchedStore", clock: "StillClock") -> Site:
    await store_segments(store.inner, [minute(0), minute(1, to_end=False)])
    await store.inner.put_if(depth_key(SYMBOL, 5), b"", match=None)
    made = Site(store, clock)
    await made.catalogue.refresh()
    store.reads.clear()
    return made


def header(answer: Answer, name: bytes) -> bytes | None:
    return dict(answer.headers).get(name)


def refused(answer: Answer) -> tuple[int, int]:
    return answer.status, json.loads(answer.body)["code"]


async def test_the_book_of_a_moment_is_what_a_book_had_then(site: Site) -> None:
    for count, moment in (
        (0, "id:100"),
        (0, "109"),
        (1, "110"),
        (1, f"{START_MS}"),
        (31, f"{START_MS + 30_999}"),
        (31, "2024-08-08T23:54:30.500Z"),
        (31, "2024-08-09T01:54:30.500%2B02:00"),
        (31, "2024-08-09T01:54:30.500+02:00"),
        (50, "2:600"),
    ):
        then = book(count)
        for limit in (5, 20, 1000, 5000, 7000):
            answer = await site.ask(f"symbol={SYMBOL}&at={moment}&limit={limit}")
            assert answer.status == 200
            assert answer.body == then.body(min(limit, 5000))
            assert header(answer, b"content-length") == b"%d" % len(answer.body)
            assert header(answer, b"depthcast-version") == b"2:%d" % then.update_id
            assert header(answer, b"depthcast-epoch") == b"2"
            assert header(answer, b"depthcast-event-time") == b"%d" % then.event_time_ms
            assert header(answer, b"depthcast-certain") == b"bids=1000, asks=3;complete"
    answer = await site.ask(f"at=110&symbol={SYMBOL}")
    assert answer.body == book(1).body(100)


async def test_without_a_moment_the_book_of_now_is_asked_for(site: Site) -> None:
    for query in (f"symbol={SYMBOL}", f"symbol={SYMBOL}&xat=5", "chat=1&" + "x" * 9000, "at=7&" + "x" * 9000):
        assert await site.ask(query) is NOT_ASKED
    assert not site.store.reads


async def test_reads_are_three_at_most_and_none_for_what_is_held(site: Site) -> None:
    for moment, reads in (("115", 3), (f"{START_MS + 30_000}", 2)):
        travel = site.made()
        site.store.reads.clear()
        for _ in range(3):
            await site.ask(f"symbol={SYMBOL}&at={moment}", travel)
        assert site.store.reads.total() == reads


@pytest.mark.parametrize(
    ("moment", "kept"),
    [
        (f"{START_MS + 3}", b"public, max-age=31536000, immutable"),
        ("2:115", b"public, max-age=31536000, immutable"),
        # It may come again in a later epoch.
        ("115", b"public, max-age=60"),
        # Another replica may know more.
        (f"{START_MS + 60_001}", b"no-cache"),
        ("2:601", b"no-cache"),
    ],
)
async def test_caches_are_told_what_can_change_no_more(site: Site, moment: str, kept: bytes) -> None:
    answer = await site.ask(f"symbol={SYMBOL}&at={moment}")
    assert header(answer, b"cache-control") == kept
    assert answer.hold is None


async def test_a_body_is_encoded_for_who_takes_it(site: Site) -> None:
    answer = await site.ask(f"symbol={SYMBOL}&at=110&limit=5000", accept_encoding=b"gzip")
    assert gzip.decompress(answer.body) == book(1).body(5000)
    assert header(answer, b"content-encoding") == b"gzip"
    assert header(answer, b"content-length") == b"%d" % len(answer.body)
    assert ASIDE_LIMIT < 5000


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("symbol=ETHUSDT&at=", 400, -1105),
        ("symbol=ETHUSDT&at=now", 400, -1100),
        ("symbol=ETHUSDT&at=99999999999999999999", 400, -1100),
        ("symbol=ETHUSDT&at=7&at=8", 400, -1101),
        ("at=7", 400, -1102),
        ("symbol=ETHUSDT&at=7&limit=0", 400, -1130),
        ("symbol=ETHUSDT&at=7&what=1", 400, -1104),
        ("symbol=ETHUSDT&at=7&symbolStatus=TRADING", 400, -1128),
        ("symbol=NOSUCH&at=7", 400, -1121),
    ],
)
async def test_refusals_are_in_the_exchanges_form(site: Site, query: str, status: int, code: int) -> None:
    answer = await site.ask(query)
    assert refused(answer) == (status, code)
    assert header(answer, b"cache-control") == b"no-store"
    assert not site.store.reads
    assert refused(await site.ask("symbol=ETHUSDT&at=7", time_unit=b"hours")) == (400, -1194)


@pytest.mark.parametrize(
    ("moment", "why"),
    [
        (f"{START_MS - 1}", f"the time {START_MS - 1} is outside of what was recorded"),
        (f"{START_MS + 120_000}", "is outside of what was recorded"),
        ("99", "update id 99 is outside of what was recorded"),
        ("602", "update id 602 is outside of what was recorded"),
        ("0:110", "update id 0:110 is outside of what was recorded"),
        (
            f"{START_MS + 61_000}",
            f"a hole from {START_MS + 60_005} to {START_MS + 120_000}, after update id 601",
        ),
    ],
)
async def test_what_was_not_recorded_is_404_and_says_what_was(site: Site, moment: str, why: str) -> None:
    answer = await site.ask(f"symbol={SYMBOL}&at={moment}")
    told = json.loads(answer.body)
    assert (answer.status, told["code"]) == (404, -1130)
    assert why in told["msg"]
    assert told["tape"] == {"from": START_MS, "to": START_MS + 60_005, "first": "2:100", "last": "2:601"}
    assert header(answer, b"content-length") == b"%d" % len(answer.body)
    assert header(answer, b"cache-control") == b"no-store"


async def test_a_symbol_without_a_tape_has_none(site: Site) -> None:
    await site.store.inner.put_if(depth_key("OTHER", 5), b"", match=None)
    await site.catalogue.refresh()
    told = json.loads((await site.ask("symbol=OTHER&at=7")).body)
    assert told == {
        "code": -1130,
        "msg": "Data sent for parameter 'at' is not valid; there is no tape of that symbol.",
        "tape": None,
    }


async def test_a_store_that_is_away_is_503_and_told(site: Site) -> None:
    site.store.failure = StoreUnavailable("away")
    assert refused(await site.ask(f"symbol={SYMBOL}&at=110")) == (503, -1001)
    assert site.told == [(f"tape of {SYMBOL}", ReadOutcome.FAILED)]
    site.store.failure = None
    assert (await site.ask(f"symbol={SYMBOL}&at=110")).status == 200
    site.store.gate = asyncio.Event()
    hasty = site.made(read_timeout_s=0.001)
    assert refused(await site.ask(f"symbol={SYMBOL}&at=110", hasty)) == (503, -1001)
    site.store.gate.set()
    assert site.told[-1] == (f"tape of {SYMBOL}", ReadOutcome.FAILED)
    await hasty.close()


async def test_a_damaged_segment_is_503_and_told(site: Site) -> None:
    await put(site.store.inner, segment_key("binance", SYMBOL, START_MS), b"PAR1 and more PAR1")
    assert refused(await site.ask(f"symbol={SYMBOL}&at=110")) == (503, -1001)
    assert site.told == [(f"tape of {SYMBOL}", ReadOutcome.DAMAGED)]


async def test_before_the_symbols_are_known_nobody_is_told_that_one_is_not(site: Site) -> None:
    early = Travel(site.store, Catalogue(site.store))
    assert refused(await site.ask(f"symbol={SYMBOL}&at=110", early)) == (503, -1001)
    await early.close()


async def test_who_is_one_too_many_is_told_to_come_again(site: Site) -> None:
    site.store.gate = asyncio.Event()
    travel = site.made(max_waiting=2)
    asked = [asyncio.create_task(site.ask(f"symbol={SYMBOL}&at=110", travel)) for _ in range(2)]
    await site.store.reading.wait()
    assert refused(await site.ask(f"symbol={SYMBOL}&at=110", travel)) == (503, -1001)
    travel.check()
    site.store.gate.set()
    assert [answer.status for answer in await asyncio.gather(*asked)] == [200, 200]
    assert travel.bytes_held > 0


async def test_a_server_that_reads_no_tape_says_so(site: Site) -> None:
    none = site.made(memory_bytes=0)
    answer = await site.ask(f"symbol={SYMBOL}&at=110", none)
    assert refused(answer) == (NO_TAPE_READ.status, NO_TAPE_READ.code)
    assert none.bytes_held == 0


async def test_a_server_without_the_extra_says_so_and_goes_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "pyarrow":
            raise ModuleNotFoundError("No module named 'pyarrow'", name="pyarrow")
        return real(name, *rest)

    for name in list(sys.modules):
        if name.startswith("depthcast.tape.") and name.rpartition(".")[2] in ("parquet", "reading"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    answer = await site.ask(f"symbol={SYMBOL}&at=110", site.made())
    assert refused(answer) == (501, -1020)
    assert site.told == [("tape", ReadOutcome.FAILED)]


def test_what_it_weighs_is_what_a_book_of_now_does() -> None:
    assert travel_weight(b"symbol=A&limit=500&at=2024-08-08") == travel_weight(b"symbol=A&limit=500") == 25
    assert parse_travel(b"symbol=A&limit=5") is None


async def test_a_venue_by_order_answers_for_prices_in_its_own_words(
    store: "WatchedStore", clock: "StillClock"
) -> None:
    time = "2024-08-08T23:54:00.000001Z"
    frame = Keyframe(9, START_MS - 100, 0, [("4.0", "1", "2")], [("6.0", "1", "1")], True, True)
    diffs = [RecordedDiff(10, 10, START_MS, 0, [("5.0", "0.5", "3")], [], -1, 0, time)]
    piece = Piece(0, frame, diffs)
    segment = Segment.of("coinbaseexchange", "BTC-USD", START_MS, 60, [piece], from_start=True, to_end=True)
    await store_segments(store.inner, [segment])
    await store.inner.put_if(depth_key("BTC-USD", 2, COINBASE), b"", match=None)
    catalogue, words = Catalogue(store, scheme=COINBASE), ANSWERING["coinbaseexchange"]
    await catalogue.refresh()
    travel = Travel(
        store,
        catalogue,
        venue="coinbaseexchange",
        parse=words.books[0].parse,
        placed=True,
        units=words.units,
        refusals=words.refusals,
        clock=clock,
    )

    async def ask(text: str, **more: Any) -> Answer:
        place, _, query = text.encode().partition(b"?")
        given = travel.depth(lambda _: NOT_ASKED)(Asked(query, place=place, **more))
        return await given if isinstance(given, Awaitable) else given

    assert await ask("BTC-USD?level=2") is NOT_ASKED
    end = f'"sequence":10,"auction_mode":false,"auction":null,"time":"{time}"}}'
    whole = f'{{"bids":[["5.0","0.5",3],["4.0","1",2]],"asks":[["6.0","1",1]],{end}'.encode()
    best = f'{{"bids":[["5.0","0.5",3]],"asks":[["6.0","1",1]],{end}'.encode()
    for text, body in (
        ("BTC-USD?at=10&level=2", whole),
        ("BTC-USD?level=1&at=0:10", best),
        ("BTC-USD?at=10", best),
    ):
        answer = await ask(text, time_unit=b"hours")
        assert (answer.status, answer.body) == (200, body)
        tag = header(answer, b"etag")
        again = await ask(text, if_none_match=tag)
        assert (again.status, again.body, header(again, b"etag")) == (304, b"", tag)
    for text, status, message in (
        ("BTC-USD?at=10&level=3", 400, "the tape is by price"),
        ("BTC-USD?at=10&level=4", 400, "unexpected level: _"),
        ("BTC-USD?at=now", 400, "parameter 'at'"),
        ("ETH-USD?at=10", 404, "NotFound"),
        ("BTC-USD?at=8", 404, "outside of what was recorded"),
    ):
        answer = await ask(text)
        told = json.loads(answer.body)
        assert (answer.status, message in told["message"]) == (status, True), told
    assert told["tape"]["first"] == "0:9"
    await travel.close()
