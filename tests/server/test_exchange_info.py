"""The list of symbols, whole and filtered."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest

from depthcast.errors import StoreUnavailable
from depthcast.files import COINBASE, EXCHANGE_INFO_KEY
from depthcast.metadata.kinds import exchange_info
from depthcast.metadata.recorder import Recorder
from depthcast.venues.answering import ANSWERING
from server.answers import Answer, Asked, Endpoint
from server.exchange_info import ExchangeInfo
from server.past import Past
from server.reads import ReadOutcome
from simulator.coinbase.exchange import CoinbaseExchange
from simulator.coinbase.products import products
from simulator.coinbase.rest import Rest as CoinbaseRest
from simulator.coinbase.traders import Habits

if TYPE_CHECKING:
    from tests.server.conftest import StillClock, WatchedStore

WALL_US = 1_723_161_253_000_123
STORED_MS = 1_700_000_000_000


def symbol(name: str, status: str = "TRADING", sets: Any = (("SPOT", "MARGIN"),)) -> dict[str, Any]:
    return {
        "symbol": name,
        "status": status,
        "filters": [{"tickSize": "0.01000000"}],
        "permissions": [],
        "permissionSets": [list(names) for names in sets],
    }


ETH = symbol("ETHUSDT")
OLD = symbol("OLDUSDT", "BREAK", (("SPOT",),))
UP = symbol("ETHUP", "HALT", (("LEVERAGED", "TRD_GRP_004"),))
CHINESE = symbol("币安人生USDT", "TRADING", (("SPOT",), ("TRD_GRP_005",)))
ALL = (ETH, OLD, UP, CHINESE)


def body_of(*symbols: dict[str, Any], server_time: int) -> bytes:
    whole = {
        "timezone": "UTC",
        "serverTime": server_time,
        "rateLimits": [{"rateLimitType": "REQUEST_WEIGHT", "limit": 6000}],
        "exchangeFilters": [],
        "symbols": list(symbols),
        "sors": [{"baseAsset": "BTC", "symbols": ["BTCUSDT"]}],
    }
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode()


def answered(*symbols: dict[str, Any]) -> bytes:
    return body_of(*symbols, server_time=WALL_US // 1000)


def bare(entry: dict[str, Any]) -> dict[str, Any]:
    return entry | {"permissionSets": []}


class Reads:
    """What was told of reads."""

    def __init__(self) -> None:
        self.outcomes: list[ReadOutcome] = []

    def __call__(self, _key: str, outcome: ReadOutcome, _seconds: float, _error: Exception | None) -> None:
        self.outcomes.append(outcome)


@pytest.fixture
def reads() -> Reads:
    return Reads()


@pytest.fixture
async def info(store: "WatchedStore", clock: "StillClock", reads: Reads) -> AsyncIterator[ExchangeInfo]:
    await store.put(EXCHANGE_INFO_KEY, body_of(*ALL, server_time=STORED_MS), {})
    info = ExchangeInfo(store, on_read=reads, clock=clock, wall_us=lambda: WALL_US)
    yield info
    await info.close()


async def fetch(info: ExchangeInfo, query: str = "", unit: bytes | None = None) -> Answer:
    given = info.answer(Asked(query.encode(), time_unit=unit))
    return given if isinstance(given, Answer) else await given


def code(answer: Answer) -> tuple[int, int]:
    return answer.status, json.loads(answer.body)["code"]


async def test_the_whole_list_is_the_file_but_for_the_time(info: ExchangeInfo) -> None:
    answer = await fetch(info)
    assert (answer.status, answer.body) == (200, answered(*ALL))
    assert dict(answer.headers)[b"content-type"] == b"application/json;charset=UTF-8"


async def test_the_time_is_in_the_unit_asked_for(info: ExchangeInfo) -> None:
    answer = await fetch(info, unit=b"MICROSECOND")
    assert answer.body == body_of(*ALL, server_time=WALL_US)
    assert code(await fetch(info, unit=b"s")) == (400, -1194)


@pytest.mark.parametrize(
    ("query", "symbols"),
    [
        ("symbol=ETHUSDT", [ETH]),
        ("symbol=ETHUP", [UP]),
        ("symbol=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT", [CHINESE]),
        ('symbols=["OLDUSDT","ETHUSDT"]', [OLD, ETH]),
        ("symbols=[]", []),
        ("symbolStatus=TRADING", [ETH, CHINESE]),
        ("symbolStatus=HALT", [UP]),
        ("symbolStatus=BREAK", [OLD]),
        ("permissions=SPOT", [ETH, OLD, CHINESE]),
        ("permissions=TRD_GRP_004", [UP]),
        ('permissions=["MARGIN","TRD_GRP_005"]', [ETH, CHINESE]),
        ("permissions=NONE_SUCH", []),
        ('permissions=["SPOT","MARGIN"]&symbolStatus=BREAK', [OLD]),
        ("showPermissionSets=true", list(ALL)),
        ("showPermissionSets=false", [bare(each) for each in ALL]),
        ("showPermissionSets=false&symbolStatus=HALT", [bare(UP)]),
        ("symbol=ETHUSDT&showPermissionSets=false", [bare(ETH)]),
    ],
)
async def test_filters_leave_the_entries_bytes_as_they_are(
    info: ExchangeInfo, query: str, symbols: list[dict[str, Any]]
) -> None:
    for _ in ("from the store, then", "from memory"):
        answer = await fetch(info, query)
        assert (answer.status, answer.body) == (200, answered(*symbols))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("symbol=NOSUCH", -1121),
        ('symbols=["ETHUSDT","NOSUCH"]', -1121),
        ("symbol=eth", -1100),
        ("symbol=ETHUSDT&symbols=[]", -1128),
        ("symbol=ETHUSDT&permissions=SPOT", -1128),
        ('symbols=["ETHUSDT","ETHUSDT"]', -1151),
    ],
)
async def test_refusals_are_binance_s(info: ExchangeInfo, query: str, expected: int) -> None:
    assert code(await fetch(info, query)) == (400, expected)


async def test_a_bad_request_never_reaches_the_store(info: ExchangeInfo, store: "WatchedStore") -> None:
    await fetch(info, "symbol=eth")
    await fetch(info, "symbol=" + "A" * 9000)
    assert store.reads.total() == 0


async def test_the_file_is_read_when_asked_for_at_most_once_a_while(
    info: ExchangeInfo, store: "WatchedStore", clock: "StillClock", reads: Reads
) -> None:
    for _ in range(3):
        answers = await asyncio.gather(*(fetch(info) for _ in range(50)))
        assert {answer.body for answer in answers} == {answered(*ALL)}
        await clock.advance(10)
    assert store.reads[EXCHANGE_INFO_KEY] == 3
    assert store.conditional[EXCHANGE_INFO_KEY] == 2
    assert reads.outcomes == [ReadOutcome.CHANGED, ReadOutcome.UNCHANGED, ReadOutcome.UNCHANGED]
    await clock.advance(1000)
    assert store.reads[EXCHANGE_INFO_KEY] == 3


async def test_a_new_list_is_answered_within_the_refresh(
    info: ExchangeInfo, store: "WatchedStore", clock: "StillClock"
) -> None:
    await fetch(info)
    await store.put(EXCHANGE_INFO_KEY, body_of(ETH, server_time=STORED_MS + 1), {})
    await clock.advance(9.9)
    assert (await fetch(info)).body == answered(*ALL)
    await clock.advance(0.2)
    assert (await fetch(info)).body == answered(ETH)


async def test_without_a_list_it_is_unavailable_until_there_is_one(
    store: "WatchedStore", clock: "StillClock", reads: Reads
) -> None:
    info = ExchangeInfo(store, on_read=reads, clock=clock, wall_us=lambda: WALL_US)
    for _ in range(5):
        answer = await fetch(info)
        assert code(answer) == (503, -1001)
        assert dict(answer.headers)[b"retry-after"] == b"1"
    assert store.reads[EXCHANGE_INFO_KEY] == 1
    assert reads.outcomes == [ReadOutcome.MISSING]
    await store.put(EXCHANGE_INFO_KEY, body_of(ETH, server_time=STORED_MS), {})
    await clock.advance(10)
    assert (await fetch(info)).body == answered(ETH)


@pytest.mark.parametrize("damage", [b"", b"{}", body_of(ETH, server_time=1)[:-30], b'{"serverTime":1}'])
async def test_a_damaged_list_does_not_take_the_place_of_a_good_one(
    info: ExchangeInfo, store: "WatchedStore", clock: "StillClock", reads: Reads, damage: bytes
) -> None:
    await fetch(info)
    await store.put(EXCHANGE_INFO_KEY, damage, {})
    await clock.advance(10)
    assert (await fetch(info)).body == answered(*ALL)
    assert reads.outcomes[-1] is ReadOutcome.DAMAGED


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_store_that_is_away_leaves_the_last_list(
    store: "WatchedStore", clock: "StillClock", reads: Reads, hangs: bool
) -> None:
    await store.put(EXCHANGE_INFO_KEY, body_of(*ALL, server_time=STORED_MS), {})
    info = ExchangeInfo(
        store, on_read=reads, clock=clock, wall_us=lambda: WALL_US, read_timeout_s=0.05 if hangs else 10
    )
    await fetch(info)
    if hangs:
        store.gate = asyncio.Event()
    else:
        store.failure = StoreUnavailable("away")
    await clock.advance(10)
    for _ in range(5):
        assert (await fetch(info)).body == answered(*ALL)
    assert reads.outcomes == [ReadOutcome.CHANGED, ReadOutcome.FAILED]
    await info.close()


async def test_one_who_gives_up_does_not_take_the_read_from_the_others(
    info: ExchangeInfo, store: "WatchedStore", clock: "StillClock"
) -> None:
    store.gate = asyncio.Event()
    first, second = (asyncio.create_task(fetch(info)) for _ in range(2))
    await clock.settle()
    first.cancel()
    await clock.settle()
    store.gate.set()
    assert (await second).body == answered(*ALL)


async def test_a_long_list_is_encoded(store: "WatchedStore", clock: "StillClock") -> None:
    many = [symbol(f"S{number:03}USDT") for number in range(300)]
    await store.put(EXCHANGE_INFO_KEY, body_of(*many, server_time=STORED_MS), {})
    info = ExchangeInfo(store, clock=clock, wall_us=lambda: WALL_US)
    for _ in ("from the store, then", "from memory"):
        given = info.answer(Asked(accept_encoding=b"gzip"))
        answer = given if isinstance(given, Answer) else await given
        headers = dict(answer.headers)
        assert gzip.decompress(answer.body) == answered(*many)
        assert (headers[b"content-encoding"], headers[b"vary"]) == (b"gzip", b"accept-encoding")
        assert headers[b"content-length"] == b"%d" % len(answer.body)


async def test_of_many_who_want_a_long_list_encoded_few_hold_one_and_each_has_its_own_time(
    store: "WatchedStore", clock: "StillClock", monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [symbol(f"S{number:03}USDT") for number in range(300)]
    await store.put(EXCHANGE_INFO_KEY, body_of(*many, server_time=STORED_MS), {})
    now_us = [WALL_US]
    info = ExchangeInfo(store, clock=clock, wall_us=lambda: now_us[0])
    await fetch(info)
    begun: list[tuple[asyncio.Future[bytes], bytes]] = []

    def encode_aside(_coding: object, body: bytes) -> asyncio.Future[bytes]:
        begun.append((asyncio.get_running_loop().create_future(), body))
        return begun[-1][0]

    monkeypatch.setattr("server.encoded.encode_aside", encode_aside)
    asked = [Asked(accept_encoding=b"gzip"), Asked(b"permissions=SPOT", accept_encoding=b"gzip")]
    coming = [asyncio.ensure_future(info.answer(asked[number % 2])) for number in range(50)]  # type: ignore[arg-type]
    done = 0
    while done < len(coming):
        await clock.settle()
        assert done < len(begun) <= done + 2
        now_us[0] += 1000
        begun[done][0].set_result(b"encoded")
        done += 1
    times_ms = [json.loads(body)["serverTime"] - WALL_US // 1000 for _, body in begun]
    assert times_ms == [0, 0, *range(1, 49)]
    assert {answer.body for answer in await asyncio.gather(*coming)} == {b"encoded"}


async def test_what_was_filtered_is_kept_for_few_requests(info: ExchangeInfo) -> None:
    await fetch(info)
    for number in range(100):
        answer = await fetch(info, f"permissions=P{number}")
        assert (answer.status, answer.body) == (200, answered())
    assert (await fetch(info, "permissions=SPOT")).body == answered(ETH, OLD, CHINESE)
    assert info._listing is not None
    assert len(info._listing._selected) <= 8


# A list that is no object and tells no time


class Products:
    """Coinbase's calls for products, as the exchange answers them and as they are answered in its place."""

    def __init__(self, store: "WatchedStore", clock: "StillClock") -> None:
        self.now_ms = 1_790_000_000_000
        self.exchange = CoinbaseExchange(wall_ms=lambda: self.now_ms, habits=Habits(2))
        for product in products(3):
            self.exchange.add(product)
        self.rest = CoinbaseRest(self.exchange)
        self.kind = exchange_info(COINBASE)
        assert self.kind.layout is not None
        self.words = words = ANSWERING[COINBASE.venue]
        listed = ExchangeInfo(
            store,
            key=self.kind.key,
            layout=self.kind.layout,
            unavailable=words.refusals.unavailable,
            units=False,
            clock=clock,
            refresh_s=1,
        )
        self.past = Past(store, schemes=[COINBASE], clock=clock, wall_ms=lambda: self.now_ms)
        self.endpoints: dict[str, Endpoint] = {
            call.path: self.past.exchange_info(
                listed.endpoint(call.parse, call.select),
                kind=self.kind,
                parse=call.parse,
                select=call.select,
                units=False,
            )
            for call in words.lists
        }
        self.recorder = Recorder(store, self.kind, replica="a", wall_ms=lambda: self.now_ms)

    def theirs(self, path: str) -> tuple[int, bytes]:
        given = self.rest.answer("GET", path, "", headers={}, address="x")
        return given.status, given.body

    async def record(self) -> None:
        self.now_ms += 60_000
        assert (await self.recorder.offer(self.theirs("/products")[1], self.now_ms)).record is not None

    async def ours(self, path: str, query: bytes = b"", unit: bytes | None = None) -> tuple[int, bytes]:
        place = path.removeprefix("/products").removeprefix("/")
        endpoint = self.endpoints["/products/{symbol}" if place else "/products"]
        given = endpoint(Asked(query, place=place.encode(), time_unit=unit))
        answer = given if isinstance(given, Answer) else await given
        return answer.status, answer.body


async def test_products_are_answered_as_the_exchange_answers_them(
    store: "WatchedStore", clock: "StillClock"
) -> None:
    at = Products(store, clock)
    assert await at.ours("/products") == (503, b'{"message":"Service Unavailable"}')
    clock.now += 2
    await at.record()
    rows = ("/products", "/products/BTC-USD", "/products/ETH-BTC", "/products/NO-USD")
    for _ in ("from the store, then", "from memory"):
        for row in rows:
            assert await at.ours(row, b"limit=5", b"s") == at.theirs(row), row
    assert await at.ours("/products/btc") == (404, b'{"message":"NotFound"}')
    at.exchange.markets["BTC-USD"].product.status = "offline"
    assert await at.ours("/products/BTC-USD") != at.theirs("/products/BTC-USD")
    await at.record()
    clock.now += 2
    for row in rows:
        assert await at.ours(row) == at.theirs(row), row


async def test_products_of_another_time_and_what_changed_between(
    store: "WatchedStore", clock: "StillClock"
) -> None:
    at = Products(store, clock)
    await at.record()
    first_ms, before = at.now_ms, {row: at.theirs(row) for row in ("/products", "/products/BTC-USD")}
    at.exchange.markets["BTC-USD"].product.status = "delisted"
    await at.record()
    for row, expected in before.items():
        assert await at.ours(row, b"at=%d" % first_ms) == expected
        assert await at.ours(row, b"at=%d" % at.now_ms) == at.theirs(row)
    assert (await at.ours("/products/NO-USD", b"at=%d" % first_ms))[0] == 404
    assert (await at.ours("/products", b"at=%d" % (first_ms - 1)))[0] == 400
    log, _ = at.past.endpoints()["/history/coinbaseexchange/products"]
    given = log(Asked(b"symbol=BTC-USD"))
    answer = given if isinstance(given, Answer) else await given
    [change] = json.loads(answer.body)["changes"]
    assert [each["path"] for each in change["changes"]] == [
        "symbols/BTC-USD/status",
        "symbols/BTC-USD/trading_disabled",
    ]
    assert "/metadata/coinbaseexchange/tradingStatus" in at.past.endpoints()
