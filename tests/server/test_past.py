"""What was in force at a time, and what changed, over HTTP."""

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from depthcast.errors import StoreUnavailable
from depthcast.metadata.kinds import EXCHANGE_INFO, SYSTEM_STATUS, Kind
from depthcast.metadata.moments import moment_text
from depthcast.metadata.recorder import Recorder
from depthcast.store.memory import MemoryStore
from server.answers import Answer, Asked, Endpoint
from server.past import HISTORY_PATHS, Past
from server.reads import ReadOutcome

if TYPE_CHECKING:
    from tests.server.conftest import StillClock, WatchedStore

NOW = 1_800_000_000_000
NOT_ASKED = Answer(200, (), b"now")


def symbol(name: str, status: str, sets: Any = (("SPOT", "TRD_1"),)) -> dict[str, Any]:
    return {
        "symbol": name,
        "status": status,
        "filters": [{"filterType": "PRICE_FILTER", "tickSize": "0.01"}],
        "permissions": [],
        "permissionSets": [list(names) for names in sets],
    }


def listing(time_ms: int, *symbols: dict[str, Any]) -> bytes:
    whole = {"timezone": "UTC", "serverTime": time_ms, "rateLimits": [], "symbols": list(symbols), "sors": []}
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode()


TIMES = [NOW + 1000 * n for n in range(6)]
BODIES = [
    listing(time, symbol("ETHUSDT", ("TRADING", "HALT")[n % 2]), symbol("OLDUP", "BREAK", (("LEVERAGED",),)))
    for n, time in enumerate(TIMES)
]


async def record(store: MemoryStore, kind: Kind, bodies: list[bytes]) -> None:
    recorder = Recorder(store, kind, replica="a", wall_ms=lambda: NOW)
    for time, body in zip(TIMES, bodies, strict=False):
        assert (await recorder.offer(body, time)).record is not None


@pytest.fixture
async def past(store: "WatchedStore", clock: "StillClock") -> Past:
    await record(store.inner, EXCHANGE_INFO, BODIES)
    await record(store.inner, SYSTEM_STATUS, [b'{"status":0,"msg":"normal"}', b'{"status":1,"msg":"x"}'])
    return Past(store, clock=clock, wall_ms=lambda: TIMES[-1] + 60_000)


async def ask(endpoint: Endpoint, query: str, **more: Any) -> Answer:
    given = endpoint(Asked(query.encode(), **more))
    return await given if isinstance(given, Awaitable) else given


async def ask_list(past: Past, query: str, **more: Any) -> Answer:
    return await ask(past.exchange_info(lambda _: NOT_ASKED), query, **more)


def header(answer: Answer, name: bytes) -> bytes | None:
    return dict(answer.headers).get(name)


def refused(answer: Answer) -> tuple[int, int]:
    return answer.status, json.loads(answer.body)["code"]


async def test_a_list_of_another_time_is_the_one_that_was_in_force_byte_for_byte(past: Past) -> None:
    for n, time in enumerate(TIMES):
        for asked in (str(time), str(time + 999), moment_text(time + 5).replace(" ", "T") + "Z"):
            answer = await ask_list(past, f"at={asked}")
            assert (answer.status, answer.body) == (200, BODIES[n])
            assert header(answer, b"depthcast-sequence") == b"%d" % (n + 1)
            assert header(answer, b"depthcast-observed-time") == b"%d" % time
            immutable = b"immutable" in (header(answer, b"cache-control") or b"")
            assert immutable == (n < len(TIMES) - 1)
            past.check()


async def test_what_is_filtered_is_what_a_straightforward_reference_says(past: Past) -> None:
    cases: list[tuple[str, Callable[[dict[str, Any]], bool]]] = [
        ("symbol=ETHUSDT", lambda each: each["symbol"] == "ETHUSDT"),
        ("symbolStatus=HALT", lambda each: each["status"] == "HALT"),
        ("permissions=LEVERAGED", lambda each: "LEVERAGED" in each["permissionSets"][0]),
        ("symbols=%5B%22OLDUP%22%5D", lambda each: each["symbol"] == "OLDUP"),
        ("showPermissionSets=false", lambda each: True),
    ]
    rng = Random(3)
    for _ in range(200):
        n = rng.randrange(len(TIMES))
        whole = json.loads(BODIES[n])
        query, keep = rng.choice(cases)
        whole["symbols"] = [each for each in whole["symbols"] if keep(each)]
        if "show" in query:
            whole["symbols"] = [each | {"permissionSets": []} for each in whole["symbols"]]
        parts = [query, f"at={TIMES[n] + rng.randrange(1000)}"]
        rng.shuffle(parts)
        answer = await ask_list(past, "&".join(parts))
        assert answer.status == 200
        assert json.loads(answer.body) == whole


async def test_without_a_time_the_list_is_answered_as_ever(past: Past) -> None:
    for query in ("", "symbol=ETHUSDT", "format=1", "x=at=5"):
        assert (await ask_list(past, query)).body == b"now"


async def test_a_time_in_microseconds_and_a_coding_are_told_in_the_headers(past: Past) -> None:
    answer = await ask_list(past, f"at={NOW}", time_unit=b"MICROSECOND")
    assert json.loads(answer.body)["serverTime"] == NOW * 1000
    assert header(answer, b"vary") == b"accept-encoding, x-mbx-time-unit"
    many = [symbol(f"S{n}", "TRADING") for n in range(50)]
    store = MemoryStore()
    await record(store, EXCHANGE_INFO, [listing(NOW, *many)])
    answer = await ask_list(Past(store, wall_ms=lambda: NOW), f"at={NOW}", accept_encoding=b"gzip")
    assert gzip.decompress(answer.body) == listing(NOW, *many)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("at=", -1105),
        ("at=yesterday", -1100),
        ("at=2026-13-40", -1100),
        ("at=99999999999999", -1100),
        ("at=1&at=2", -1101),
        (f"at={NOW + 10**9}", -1130),
        (f"at={NOW - 1}", -1130),
        (f"at={NOW}&symbol=", -1105),
        (f"at={NOW}&symbol=NOTHERE", -1121),
        (f"at={NOW}&what=1", -1104),
        (f"at={NOW}&symbol=ETHUSDT&symbolStatus=HALT", -1128),
    ],
)
async def test_refusals_are_in_the_exchanges_form(past: Past, query: str, code: int) -> None:
    answer = await ask_list(past, query)
    assert refused(answer) == (400, code)
    assert header(answer, b"cache-control") == b"no-store"


async def test_a_time_costs_three_reads_and_what_was_read_is_held(
    past: Past, store: "WatchedStore", clock: "StillClock"
) -> None:
    store.reads.clear()
    await asyncio.gather(*(ask_list(past, f"at={TIMES[2] + n}") for n in range(3)))
    await ask_list(past, f"at={TIMES[2] + 9}")
    first = store.reads.total()
    await ask_list(past, f"at={TIMES[2] + 10}&symbolStatus=HALT")
    assert store.reads.total() == first  # a listing is no read of an object
    assert store.reads[EXCHANGE_INFO.head_key] <= 3
    await clock.advance(2.0)
    await ask_list(past, f"at={TIMES[2] + 11}")
    assert store.reads.total() == first + 1


async def test_a_new_change_is_seen_within_the_refresh(
    past: Past, store: "WatchedStore", clock: "StillClock"
) -> None:
    late = TIMES[-1] + 50_000
    await ask_list(past, f"at={late}")
    body = listing(late - 10, symbol("NEW", "TRADING"))
    await Recorder(store.inner, EXCHANGE_INFO, replica="b", wall_ms=lambda: NOW).offer(body, NOW)
    assert (await ask_list(past, f"at={late}")).body == BODIES[-1]
    await clock.advance(1.5)
    assert (await ask_list(past, f"at={late}")).body == body
    answer = await ask_list(past, f"at={TIMES[-1]}")
    assert answer.body == BODIES[-1]
    assert b"immutable" in (header(answer, b"cache-control") or b"")


async def test_the_systems_status_is_answered_as_it_is_and_as_it_was(past: Past) -> None:
    endpoint = past.document(SYSTEM_STATUS)
    answer = await ask(endpoint, "")
    assert (answer.body, header(answer, b"cache-control")) == (b'{"status":1,"msg":"x"}', b"no-store")
    assert (await ask(endpoint, f"at={TIMES[0] + 5}")).body == b'{"status":0,"msg":"normal"}'
    assert refused(await ask(endpoint, "x=1")) == (400, -1104)
    assert refused(await ask(endpoint, "", time_unit=b"x")) == (400, -1194)


async def test_the_log_is_the_changes_page_by_page(past: Past) -> None:
    endpoint = past.log(EXCHANGE_INFO)
    answer = json.loads((await ask(endpoint, "limit=2")).body)
    assert [each["sequence"] for each in answer["changes"]] == [6, 5]
    assert answer["changes"][0]["changes"] == [
        {"path": "symbols/ETHUSDT/status", "what": "changed", "from": "TRADING", "to": "HALT"}
    ]
    older = json.loads((await ask(endpoint, f"limit=500&to={answer['nextTo']}")).body)
    assert [each["sequence"] for each in older["changes"]] == [4, 3, 2, 1]
    assert older["nextTo"] is None
    of_one = json.loads((await ask(endpoint, f"symbol=ETHUSDT&from={TIMES[1]}&to={TIMES[2]}")).body)
    assert [each["sequence"] for each in of_one["changes"]] == [3, 2]
    assert json.loads((await ask(endpoint, "symbol=OLDUP")).body)["changes"] == []


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("symbol=", -1105),
        ("symbol=a", -1100),
        ("symbol=..", -1100),
        ("from=x", -1100),
        ("to=", -1105),
        ("limit=0", -1130),
        ("limit=501", -1130),
        ("limit=", -1105),
        ("a=1", -1104),
        ("from=1&from=2", -1101),
    ],
)
async def test_a_log_is_refused_in_the_exchanges_form(past: Past, query: str, code: int) -> None:
    for kind in HISTORY_PATHS.values():
        assert refused(await ask(past.log(kind), query)) == (400, code)


async def test_where_nothing_was_recorded_yet_no_time_can_be_asked_for(clock: "StillClock") -> None:
    past = Past(MemoryStore(), clock=clock, wall_ms=lambda: NOW)
    assert refused(await ask_list(past, "at=5")) == (400, -1130)
    assert refused(await ask(past.document(SYSTEM_STATUS), "at=5")) == (400, -1130)
    assert refused(await ask(past.document(SYSTEM_STATUS), "")) == (503, -1001)
    assert json.loads((await ask(past.log(SYSTEM_STATUS), "")).body)["changes"] == []


async def test_a_query_without_end_is_not_read(past: Past) -> None:
    query = "at=1&" + "x" * 9000
    assert (await ask(past.log(EXCHANGE_INFO), query)).status == 414
    assert (await ask(past.document(SYSTEM_STATUS), query)).status == 414
    assert (await ask_list(past, query)).body == b"now"


async def test_a_store_that_cannot_be_read_is_told_and_is_not_asked_by_everybody(
    store: "WatchedStore", clock: "StillClock"
) -> None:
    outcomes = []
    past = Past(store, clock=clock, wall_ms=lambda: NOW, on_read=lambda *told: outcomes.append(told[1]))
    store.failure = StoreUnavailable("away")
    for _ in range(3):
        assert refused(await ask_list(past, "at=5")) == (503, -1001)
    assert outcomes == [ReadOutcome.FAILED]
    assert refused(await ask(past.log(EXCHANGE_INFO), "")) == (503, -1001)


async def test_who_is_one_too_many_does_not_wait(store: "WatchedStore", clock: "StillClock") -> None:
    past = Past(store, clock=clock, wall_ms=lambda: NOW, max_waiting=2)
    store.gate = asyncio.Event()
    waiting = [asyncio.create_task(ask_list(past, "at=5")) for _ in range(2)]
    await clock.settle()
    assert refused(await ask_list(past, "at=5")) == (503, -1001)
    store.gate.set()
    assert [answer.status for answer in await asyncio.gather(*waiting)] == [400, 400]
    past.check()
