"""The edge with no server: requests turned into keys, what is read of the store, and what is said without."""

import asyncio
import gzip
import http.client
import json
import math
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from depthcast.files import LIMITS, depth_key
from depthcast.heat.keys import HEAT_PREFIX
from depthcast.metadata.kinds import (
    EXCHANGE_INFO,
    PUBLIC_PREFIXES,
    SYSTEM_STATUS,
    TRADING_STATUS,
    Kind,
    account,
)
from depthcast.store.embedded import SeaweedFS
from depthcast.venues.binance_rest import LIMIT_NOT_VALID, UNAVAILABLE, UNKNOWN_SYMBOL, refuse_parameters
from depthcast.venues.requests import ApiError
from tests.conformance.depth_requests import Row, rows
from tests.infra.conftest import INFRA, Origin, private_paths, refused_part, script
from tests.infra.store_edge import (
    BUCKET,
    DEPTH,
    LIST,
    Got,
    StoreEdge,
    configure_store,
    running_edge,
    store_names,
)
from tests.programs import absent, program

ROWS = rows()
TILE = "zoom=0/date=2024-08-08/23-54-00.heat"

# What maps and regular expressions cannot tell, and what is said instead.
NAMELESS = ApiError(400, -1101, "Duplicate values for a parameter detected.")
SAID_INSTEAD = {b'"=1&"=2': NAMELESS}


@pytest.fixture(scope="module")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """A store of which anybody may read what is public, and nobody else may write."""
    folder = tmp_path_factory.mktemp("store")
    with SeaweedFS(folder, bucket=BUCKET, anonymous_prefixes=(*PUBLIC_PREFIXES, HEAT_PREFIX)) as server:
        yield server


@pytest.fixture
def edge(tmp_path: Path, seaweedfs: SeaweedFS) -> Iterator[StoreEdge]:
    with running_edge(tmp_path, seaweedfs) as running:
        yield running


def expected(row: Row) -> tuple[ApiError | None, str | None]:
    """What an edge without a server says to a row of the table: a refusal, or the key that it reads."""
    if row.error is not None:
        return SAID_INSTEAD.get(row.query, row.error), None
    sent = len([part for part in row.query.split(b"&") if part.partition(b"=")[0]])
    if row.symbol_status is not None:
        msg = f"Not all sent parameters were read; read '{sent - 1}' parameter(s) but was sent '{sent}'."
        return ApiError(400, -1104, msg), None
    if row.asked.limit not in LIMITS:
        return LIMIT_NOT_VALID, None
    return None, row.key


def news(edge: StoreEdge, query: str, holds: Callable[[Got], bool]) -> Got:
    """The first answer of which ``holds`` is true, after the store was written to just now.

    What was read of the store before is held to the end of its second, so who is answered otherwise has to
    have asked within the same one.
    """
    written = int(time.time())
    while True:
        asked = int(time.time())
        got = edge.depth(query)
        if holds(got):
            return got
        assert asked <= written, (got.status, got.body[:80])


async def test_every_row_of_the_table_is_answered_as_it_says(edge: StoreEdge) -> None:
    published: dict[str, bytes] = {}
    for number, row in enumerate(ROWS):
        _, key = expected(row)
        if key is not None and key not in published:
            published[key] = await edge.publish(row.asked.symbol, row.asked.limit, 1000 + number)
    assert len(published) >= 10
    wrong = []
    for row in ROWS:
        error, key = expected(row)
        got = await asyncio.to_thread(edge.get, DEPTH.encode() + b"?" + row.query)
        wanted = (error.status, error.body()) if error else (200, published[key or ""])
        if (got.status, got.body) != wanted:
            wrong.append((row.query, got.status, got.body[:120], wanted[1][:120]))
        said = (got.headers["Content-Type"], got.headers["Cache-Control"].partition(",")[0])
        if said != ("application/json;charset=UTF-8", "no-store" if error else "public"):
            wrong.append((row.query, got.status, b"", repr(said).encode()))
    assert wrong == []


async def test_a_book_comes_with_the_servers_headers_and_nothing_of_the_stores(edge: StoreEdge) -> None:
    body = await edge.publish("HEADERS", 5, 7)
    for got in (edge.depth("symbol=HEADERS&limit=5"), edge.depth("symbol=HEADERS&limit=5")):
        assert (got.status, got.body) == (200, body)
        for name, value in {
            "Content-Type": "application/json;charset=UTF-8",
            "Content-Length": str(len(body)),
            "Cache-Control": "public, max-age=0, s-maxage=1, stale-while-revalidate=1",
            "Access-Control-Allow-Origin": "*",
            "X-Content-Type-Options": "nosniff",
            "Depthcast-Epoch": "3",
            "Depthcast-Current-Time": "1723161253000",
            "Depthcast-Status": "TRADING",
            "Depthcast-Certain": "bids=4870, asks=113;complete",
            "Depthcast-Event-Time": "1723161253000",
            "Depthcast-Publish-Time": "1723161253021",
        }.items():
            assert got.headers.get_all(name) == [value], name
        assert got.headers["ETag"]
        # A file cannot tell whether anybody hears the exchange.
        assert got.state is None
        assert store_names(str(got.headers)) == [], str(got.headers)
        exposed = got.headers["Access-Control-Expose-Headers"]
        ours = [name.lower() for name in got.headers if name.lower().startswith("depthcast-")]
        assert set(ours) < set(exposed.split(", "))


async def test_tiles_of_the_heatmap_come_as_they_are_stored_and_are_kept_as_long_as_they_say(
    edge: StoreEdge,
) -> None:
    keys = [f"{HEAT_PREFIX}venue=binance/symbol=币安人生USDT/{rest}" for rest in (TILE, "index.json")]
    says = ["public, max-age=31536000, immutable", "public, max-age=10"]
    for key, cache_control in zip(keys, says, strict=True):
        result = await edge.store.put_if(key, b"\x1f\x8btile", match=None, cache_control=cache_control)
        assert result.etag
    for key, cache_control in zip(keys, says, strict=True):
        path = f"/{quote(key, safe='/=')}"
        for target, cache in ((path, "MISS"), (f"{path}?x=1", "HIT")):
            got = await asyncio.to_thread(edge.get, target, If_None_Match='"other"')
            assert (got.status, got.body, got.headers["X-Cache"]) == (200, b"\x1f\x8btile", cache)
            assert got.headers.get_all("Cache-Control") == [cache_control]
            assert got.headers["Content-Type"].startswith("application/")
            assert got.headers["Access-Control-Allow-Origin"] == "*"
            assert store_names(str(got.headers)) == [], str(got.headers)
    missing = f"/{HEAT_PREFIX}venue=binance/symbol=ETHUSDT/{TILE}"
    for target in (missing, f"/{HEAT_PREFIX}venue=binance/", f"/{HEAT_PREFIX}../fleet/a.json"):
        got = await asyncio.to_thread(edge.get, target)
        assert (got.status, got.headers["Cache-Control"]) == (404, "no-store")
    assert (await asyncio.to_thread(edge.get, missing, "POST")).status == 405
    # What is held is given while the store is away.
    edge.counter.go_away()
    got = await asyncio.to_thread(edge.get, f"/{quote(keys[0], safe='/=')}")
    assert (got.status, got.body) == (200, b"\x1f\x8btile")
    assert (await asyncio.to_thread(edge.get, missing.replace("23-5", "22-5"))).status == 503
    edge.counter.come_back()


async def test_a_symbol_that_stands_still_is_marked_within_a_second_of_its_mark(edge: StoreEdge) -> None:
    await edge.publish("HALTED", 5, 7)
    assert edge.depth("symbol=HALTED&limit=5").state is None
    # The same bytes, so the same ETag: only what stands beside them is new.
    await edge.publish("HALTED", 5, 7, status="BREAK")
    got = news(edge, "symbol=HALTED&limit=5", lambda got: got.headers["Depthcast-Status"] == "BREAK")
    assert got.state == "halted"


async def test_a_newer_file_is_visible_within_a_second_while_everybody_reads(edge: StoreEdge) -> None:
    await edge.publish("NEWER", 5, 0)
    began = int(time.time())
    for update_id in range(1, 5):
        edge.depth("symbol=NEWER&limit=5")
        body = await edge.publish("NEWER", 5, update_id)
        news(edge, "symbol=NEWER&limit=5", lambda got, body=body: got.body == body)  # type: ignore[misc]
    # Held meanwhile: one read a second, not one a reader.
    assert len(edge.counter.asked) <= 2 + int(time.time()) - began


async def test_a_symbol_published_a_moment_ago_is_there_a_second_later(edge: StoreEdge) -> None:
    refused = edge.depth("symbol=BRANDNEW&limit=5")
    assert (refused.status, refused.body) == (400, UNKNOWN_SYMBOL.body())
    await edge.publish("BRANDNEW", 5, 1)
    news(edge, "symbol=BRANDNEW&limit=5", lambda got: got.status == 200)


async def test_a_hundred_readers_of_a_file_that_is_not_held_are_one_read(edge: StoreEdge) -> None:
    body = await edge.publish("COLD", 100, 1)
    edge.counter.delay_s = 0.1
    # A file is held to the end of the second: begin with one, so that the hundred come within it.
    await asyncio.sleep(1 - time.time() % 1)
    began = int(time.time())
    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: edge.depth("symbol=COLD"), range(100)))
    assert {(got.status, got.body) for got in answers} == {(200, body)}
    assert set(edge.counter.asked) == {f"/{BUCKET}/api/v3/depth%3Fsymbol=COLD&limit=100"}
    # One, unless the machine is too busy for a hundred readers in a second.
    assert len(edge.counter.asked) <= 1 + int(time.time()) - began


async def test_unknown_symbols_read_the_store_so_often_and_held_files_are_not_held_up(
    tmp_path: Path, seaweedfs: SeaweedFS
) -> None:
    with running_edge(tmp_path, seaweedfs, EDGE_COLD_READS="20") as edge:
        await edge.publish("KNOWN", 5, 1)
        assert edge.depth("symbol=KNOWN&limit=5").status == 200
        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            made_up = pool.map(lambda n: edge.depth(f"symbol=MADEUP{n}&limit=5"), range(1000))
            known = [edge.depth("symbol=KNOWN&limit=5") for _ in range(50)]
            refused = {(got.status, got.body) for got in made_up}
        took_s = time.monotonic() - began
        assert refused == {(400, UNKNOWN_SYMBOL.body()), (503, UNAVAILABLE.body())}
        assert {(got.status, got.state) for got in known} == {(200, None)}
        reads = [target for target in edge.counter.asked if "MADEUP" in target]
        # Half of the 20 a second for one address, and as many at once.
        assert len(reads) <= 10 * took_s + 10 + 2, (len(reads), took_s)


async def test_spellings_of_one_symbol_are_read_no_more_often_than_made_up_ones(
    tmp_path: Path, seaweedfs: SeaweedFS
) -> None:
    with running_edge(tmp_path, seaweedfs, EDGE_COLD_READS="20") as edge:
        body = await edge.publish("SPELLED", 5, 1)
        letters = [(letter, f"%{ord(letter):02X}") for letter in "SPELLED"]
        spellings = [
            "".join(pair[number >> at & 1] for at, pair in enumerate(letters)) for number in range(128)
        ]
        began = time.monotonic()
        seen = set()
        for _ in range(4):
            with ThreadPoolExecutor(8) as pool:
                asked = pool.map(lambda spelling: edge.depth(f"symbol={spelling}&limit=5"), spellings)
                seen |= {(got.status, got.body) for got in asked}
            assert edge.depth("symbol=SPELLED&limit=5").body == body
        took_s = time.monotonic() - began
        assert seen <= {(200, body), (503, UNAVAILABLE.body())}
        odd = [target for target in edge.counter.asked if "SPELLED" not in target]
        assert 0 < len(odd) <= 10 * took_s + 10 + 2, (len(odd), took_s)


async def test_one_unknown_symbol_is_looked_for_once_a_second(edge: StoreEdge) -> None:
    began = time.monotonic()
    for _ in range(300):
        assert edge.depth("symbol=NONESUCH&limit=5").status == 400
    assert len(edge.counter.asked) <= math.ceil(time.monotonic() - began) + 2


@pytest.mark.parametrize("how", ["no listener", "hangs"])
async def test_with_the_store_away_what_is_held_is_served_marked_and_not_for_ever(
    how: str, tmp_path: Path, seaweedfs: SeaweedFS
) -> None:
    with running_edge(tmp_path, seaweedfs, EDGE_STALE_S="4") as edge:
        body = await edge.publish("AWAY", 5, 1)
        read_at = time.monotonic()
        assert edge.depth("symbol=AWAY&limit=5").state is None
        if how == "hangs":
            edge.counter.delay_s = 30
        else:
            edge.counter.go_away()
        gone_at = time.monotonic()
        while (got := edge.depth("symbol=AWAY&limit=5")).state != "stale":
            assert (got.status, got.body) == (200, body)
            assert time.monotonic() - gone_at < 60
        assert (got.status, got.body) == (200, body)
        while (got := edge.depth("symbol=AWAY&limit=5")).status == 200:
            assert got.body == body
            assert time.monotonic() - gone_at < 60
        # Four seconds of whole seconds' time.
        assert time.monotonic() - read_at > 3
        assert (got.status, got.body) == (503, UNAVAILABLE.body())
        assert got.headers["Retry-After"] == "1"
        assert got.headers["Cache-Control"] == "no-store"
        assert got.state is None
        if how == "hangs":
            # One read at a time, whoever asks.
            assert len(edge.counter.asked) <= 4 + time.monotonic() - read_at
            edge.counter.delay_s = 0
        else:
            edge.counter.come_back()
        body = await edge.publish("AWAY", 5, 2)
        back_at = time.monotonic()
        while (got := edge.depth("symbol=AWAY&limit=5")).body != body:
            assert time.monotonic() - back_at < 60
        assert got.state is None


async def test_a_store_that_is_killed_and_started_again_never_makes_a_symbol_unknown(tmp_path: Path) -> None:
    server = SeaweedFS(tmp_path / "store", bucket=BUCKET, anonymous_prefixes=PUBLIC_PREFIXES)
    server.start()
    (tmp_path / "edge").mkdir()
    try:
        with running_edge(tmp_path / "edge", server) as edge:
            body = await edge.publish("KILLED", 5, 1)
            assert edge.depth("symbol=KILLED&limit=5").body == body
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            server.stop()  # nothing is left to stop, but its end is noticed
            seen = set()
            starting = asyncio.create_task(asyncio.to_thread(server.start))
            deadline = time.monotonic() + 60
            got = edge.depth("symbol=KILLED&limit=5")
            while not (starting.done() and got.state is None):
                got = await asyncio.to_thread(edge.depth, "symbol=KILLED&limit=5")
                seen.add((got.status, got.state, got.body))
                assert time.monotonic() < deadline
                edge.counter.to_port = int((server.aws.endpoint or ":0").rpartition(":")[2])
                await asyncio.sleep(0.02)
            await starting
            assert seen <= {(200, None, body), (200, "stale", body)}
            assert (200, "stale", body) in seen
    finally:
        server.stop()


async def test_who_has_a_book_is_told_so_without_a_body(edge: StoreEdge) -> None:
    body = await edge.publish("TAGGED", 100, 1)
    got = edge.depth("symbol=TAGGED")
    for _ in range(2):
        again = edge.depth("symbol=TAGGED", If_None_Match=got.headers["ETag"])
        assert (again.status, again.body, again.state) == (304, b"", None)
        assert again.headers["Cache-Control"].startswith("public")
    assert edge.depth("symbol=TAGGED", If_None_Match='"other"').body == body
    packed = edge.depth("symbol=TAGGED", Accept_Encoding="gzip")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Vary"] == "Accept-Encoding"
    assert len(packed.body) < len(body)
    tag = packed.headers["ETag"]
    assert edge.depth("symbol=TAGGED", Accept_Encoding="gzip", If_None_Match=tag).status == 304


async def test_a_range_is_answered_with_the_whole(edge: StoreEdge) -> None:
    body = await edge.publish("RANGED", 5, 1)
    for _ in range(2):
        got = edge.depth("symbol=RANGED&limit=5", Range="bytes=0-9")
        assert (got.status, got.body, got.headers["Accept-Ranges"]) == (200, body, None)


async def test_head_options_and_the_rest(edge: StoreEdge) -> None:
    body = await edge.publish("METHODS", 5, 1)
    for path in (f"{DEPTH}?symbol=METHODS&limit=5", "/api/v3/ping", "/api/v3/time"):
        head = edge.get(path, "HEAD")
        assert (head.status, head.body) == (200, b"")
        assert head.headers["Content-Type"] == "application/json;charset=UTF-8"
        preflight = edge.get(path, "OPTIONS")
        assert (preflight.status, preflight.body) == (204, b"")
        for name, value in {
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
            "Access-Control-Allow-Headers": "*",
            "Access-Control-Max-Age": "86400",
        }.items():
            assert preflight.headers.get_all(name) == [value]
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            refused = edge.get(path, method)
            assert (refused.status, refused.body) == (405, b""), method
            assert refused.headers["Allow"] == "GET, HEAD, OPTIONS"
    assert edge.get(f"{DEPTH}?symbol=METHODS&limit=5", "HEAD").headers["Content-Length"] == str(len(body))


def server_time(body: bytes) -> int:
    told: int = json.loads(body)["serverTime"]
    return told


async def test_the_list_of_symbols_is_the_file_but_for_the_time(edge: StoreEdge) -> None:
    body = await edge.publish_list(1_723_161_253_000, "ETHUSDT", "币安人生USDT")
    for headers in ({}, {}, {"Accept_Encoding": "gzip"}, {"If_None_Match": '"x"'}, {"Range": "bytes=0-9"}):
        before_ms = time.time_ns() // 1_000_000
        got = edge.get(LIST, **headers)
        told = gzip.decompress(got.body) if got.headers["Content-Encoding"] == "gzip" else got.body
        assert got.status == 200
        # nginx looks at the clock when something happens, a moment before.
        assert before_ms - 1000 <= server_time(told) <= time.time_ns() // 1_000_000 + 1
        assert told == body.replace(b"1723161253000", b"%d" % server_time(told))
        assert got.headers["Content-Type"] == "application/json;charset=UTF-8"
        assert got.headers["Cache-Control"] == "no-store"
        assert got.headers["Access-Control-Allow-Origin"] == "*"
        ours = {name: value for name, value in got.headers.items() if name.startswith("Depthcast-")}
        assert ours == {"Depthcast-Sequence": "1", "Depthcast-Observed-Time": "1723161253000"}
        assert (got.headers["ETag"], got.headers["Last-Modified"]) == (None, None)
        assert store_names(str(got.headers)) == [], str(got.headers)
    micro = server_time(edge.get(LIST, X_MBX_TIME_UNIT="MICROSECOND").body)
    assert 0 <= micro // 1000 - before_ms + 1000 < 60_000
    assert edge.get(LIST, "HEAD").status == 200
    assert set(edge.counter.asked) == {f"/{BUCKET}/api/v3/exchangeInfo"}


async def test_a_published_symbols_part_of_the_list_is_its_cut(edge: StoreEdge) -> None:
    cuts = {"ETHUSDT": b"", "币安人生USDT": b""}
    for symbol in cuts:
        cuts[symbol] = await edge.publish_list(1_723_161_253_000, symbol, cut=symbol)
    spelled = ["symbol=ETHUSDT", "&s%79mbol=%45THUSDT&", f"symbol={quote('币安人生USDT')}"]
    for query, symbol in zip(spelled, ("ETHUSDT", "ETHUSDT", "币安人生USDT"), strict=True):
        before_ms = time.time_ns() // 1_000_000
        got = edge.get(f"{LIST}?{query}")
        assert got.status == 200, got.body
        assert before_ms - 1000 <= server_time(got.body) <= time.time_ns() // 1_000_000 + 1
        assert got.body == cuts[symbol].replace(b"1723161253000", b"%d" % server_time(got.body))
        assert got.headers["Cache-Control"] == "no-store"
        assert got.headers["Depthcast-Sequence"] == "1"
        assert store_names(str(got.headers)) == [], str(got.headers)
    # A cut is held for a second and no longer, as a book is.
    body = await edge.publish_list(1_723_161_254_000, "ETHUSDT", "HALTED", cut="ETHUSDT")
    written, asked = int(time.time()), int(time.time())
    while len(json.loads((got := edge.get(f"{LIST}?symbol=ETHUSDT")).body)["symbols"]) < 2:
        assert asked <= written, got.body
        asked = int(time.time())
    assert got.body == body.replace(b"1723161254000", b"%d" % server_time(got.body))
    unknown = edge.get(f"{LIST}?symbol=NOTTHERE")
    assert (unknown.status, unknown.body) == (400, UNKNOWN_SYMBOL.body())


async def test_another_part_of_the_list_is_refused_and_reads_nothing(edge: StoreEdge) -> None:
    for query in (
        "symbols=[%22ETHUSDT%22]",
        "showPermissionSets=false",
        "at=2026-11-20",
        "symbol=ETHUSDT&at=2026-11-20",
        "symbol=",
        "symbol=eth",
        "symbol=..%2F..%2Fprivate",
        "symbol=A&symbol=B",
        "symbol=A&s%79mbol=B",
        "a=1&b=2",
        "a=1&a=2",
    ):
        error = refused_part(query.encode())
        assert error is not None
        got = edge.get(f"{LIST}?{query}")
        assert (got.status, got.body) == (400, error.body()), query
    assert json.loads(edge.get(LIST, X_MBX_TIME_UNIT="s").body)["code"] == -1194
    assert edge.get(LIST, "POST").status == 405
    assert edge.get(f"{LIST}?x=" + "1" * 8200).status == 414
    assert edge.counter.asked == []


STATUSES = [
    (SYSTEM_STATUS, "/sapi/v1/system/status", b'{"status":0,"msg":"normal"}'),
    (TRADING_STATUS, "/metadata/tradingStatus", b'{"symbols":[{"symbol":"A","status":"HALT"}]}'),
]


@pytest.mark.parametrize(("kind", "path", "body"), STATUSES)
async def test_a_status_is_its_file_and_takes_no_parameters(
    edge: StoreEdge, kind: Kind, path: str, body: bytes
) -> None:
    missing = edge.get(path)
    assert (missing.status, missing.body) == (503, UNAVAILABLE.body())
    await edge.publish_document(kind, kind.key, body, 1_723_161_253_000)
    deadline = time.monotonic() + 60
    while (got := edge.get(path)).status == 503:
        assert time.monotonic() < deadline
    assert (got.status, got.body) == (200, body)
    assert got.headers["Content-Type"] == "application/json;charset=UTF-8"
    assert got.headers["Cache-Control"] == "no-store"
    assert got.headers["Depthcast-Observed-Time"] == "1723161253000"
    assert (got.headers["ETag"], got.headers["Depthcast-Status"]) == (None, None)
    assert store_names(str(got.headers)) == [], str(got.headers)
    assert edge.get(path, "HEAD").status == 200
    assert edge.get(path, "POST").status == 405
    for query in ("at=5", "a=1&a=2", "a&b"):
        error = refuse_parameters(query.encode())
        assert error is not None
        refused = edge.get(f"{path}?{query}")
        assert (refused.status, refused.body) == (400, error.body())
    assert set(edge.counter.asked) == {f"/{BUCKET}/{kind.key}"}


async def test_nothing_beside_the_current_documents_can_be_had(edge: StoreEdge) -> None:
    kept = [EXCHANGE_INFO.head_key, f"{EXCHANGE_INFO.changes_folder}1-1", account("main").key, "fleet/a.json"]
    for key in kept:
        await edge.publish_document(SYSTEM_STATUS, key, b'{"status":0}', 1_723_161_253_000)
        for path in (f"/{key}", f"/api/../{key}", f"/api/v3/..%2F..%2F{key}", f"/%2e/{key}", f"//{key}"):
            assert edge.get(path).status == 404, path
        # Nor without the edge: the store itself lets nobody.
        assert edge.counter.asked == []
        assert anonymous(edge, key) == 403
    assert anonymous(edge, "api/v3/none") == 404


def anonymous(edge: StoreEdge, key: str) -> int:
    """The status of a read of the store without credentials."""
    connection = http.client.HTTPConnection("127.0.0.1", edge.counter.to_port, timeout=10)
    connection.request("GET", f"/{BUCKET}/{key}")
    status = connection.getresponse().status
    connection.close()
    return status


async def test_without_a_list_it_is_unavailable_and_with_the_store_away_the_last_one_is_marked(
    tmp_path: Path,
) -> None:
    (tmp_path / "edge").mkdir()
    with (
        SeaweedFS(tmp_path / "store", bucket=BUCKET, anonymous_prefixes=PUBLIC_PREFIXES) as store,
        running_edge(tmp_path / "edge", store) as edge,
    ):
        missing = edge.get(LIST)
        assert (missing.status, missing.body) == (503, UNAVAILABLE.body())
        assert missing.headers["Retry-After"] == "1"
        await edge.publish_list(1_723_161_253_000, "ETHUSDT")
        published_at = time.monotonic()
        while edge.get(LIST).status != 200:
            assert time.monotonic() - published_at < 60
        reads = len(edge.counter.asked)
        edge.counter.go_away()
        gone_at = time.monotonic()
        while (got := edge.get(LIST)).state != "stale":
            assert (got.status, got.state) == (200, None)
            assert time.monotonic() - gone_at < 60
            await asyncio.sleep(0.05)
        # It is held for ten seconds, and each answer still tells its own time.
        assert time.monotonic() - published_at > 8
        assert len(edge.counter.asked) == reads
        assert abs(server_time(got.body) - time.time() * 1000) < 30_000


async def test_ping_and_time_are_the_edges_own(edge: StoreEdge) -> None:
    assert edge.get("/api/v3/ping").body == b"{}"
    before = time.time_ns() // 1_000_000
    told = json.loads(edge.get("/api/v3/time").body)
    assert told.keys() == {"serverTime"}
    assert before - 1000 <= told["serverTime"] <= time.time_ns() // 1_000_000 + 1
    for unit in ("MICROSECOND", "microsecond"):
        told = json.loads(edge.get("/api/v3/time", X_MBX_TIME_UNIT=unit).body)
        assert before - 1000 <= told["serverTime"] // 1000 <= time.time_ns() // 1_000_000 + 1
    for path in ("/api/v3/ping", "/api/v3/time", f"{DEPTH}?symbol=ETHUSDT"):
        refused = edge.get(path, X_MBX_TIME_UNIT="FORTNIGHT")
        assert refused.status == 400
        assert json.loads(refused.body)["code"] == -1194
    for query in ("a=1", "a=1&b=2", "a=1&a=2", "&", "=1", "a&b&c&d&e&f&g&h&i&j&k"):
        error = refuse_parameters(query.encode())
        for path in ("/api/v3/ping", "/api/v3/time"):
            got = edge.get(f"{path}?{query}")
            assert (got.status, error and got.body) == (400 if error else 200, error and error.body()), query
    assert edge.counter.asked == []


@pytest.mark.parametrize(
    "path",
    ["/", "/api/v1/depth", "/api/v3/depth/", "/api/v3/exchangeInfo/", "/books/api/v3/depth", "/metrics"],
)
def test_any_other_path_is_404_in_the_exchanges_manner(edge: StoreEdge, path: str) -> None:
    got = edge.get(path)
    assert (got.status, got.body) == (404, b"")
    page = edge.get(path, Accept="text/html,*/*")
    assert (page.status, page.body) == (404, b"<html><body><h2>404 Not found</h2></body></html>")
    assert page.headers["Content-Type"] == "text/html"
    assert edge.counter.asked == []


def test_a_query_string_without_end_is_refused_and_quickly(edge: StoreEdge) -> None:
    assert edge.depth("symbol=ETHUSDT&x=" + "1" * 8200).status == 414
    began = time.monotonic()
    for query in ("&".join(f"p{n}=1" for n in range(900)), "&" * 8192, "a" * 8192, "a=&" * 2700, "=&" * 4000):
        assert edge.depth(query).status == 400
    assert time.monotonic() - began < 20
    assert edge.counter.asked == []


@pytest.mark.parametrize("most", [0, 1, 5, 10, 32])
def test_parameters_are_counted(edge: StoreEdge, most: int) -> None:
    query = "&".join(["=x", *(f"p{n}" if n % 2 else f"p{n}={n}" for n in range(most)), ""])
    code, msg = (-1102, None) if most <= 3 else (-1101, f"expected '3' and received '{most}'.")
    told = json.loads(edge.depth(query).body)
    assert told["code"] == code
    if msg is not None:
        assert told["msg"].endswith(msg)


async def test_with_a_server_behind_it_is_asked_what_files_cannot_answer(
    tmp_path: Path, seaweedfs: SeaweedFS
) -> None:
    origin = Origin()
    try:
        with running_edge(tmp_path, seaweedfs, EDGE_SERVER=f"127.0.0.1:{origin.port}") as edge:
            body = await edge.publish("BOTH", 5, 1)
            assert edge.depth("limit=5&symbol=BOTH").body == body
            assert origin.asked == []
            beyond = [
                f"{DEPTH}?symbol=BOTH&limit=7",
                f"{DEPTH}?limit=5&symbol=BOTH&symbolStatus=TRADING",
                f"{LIST}?symbol=UNCUT",
                f"{LIST}?symbol=BOTH&at=2026-11-20",
                f"{LIST}?showPermissionSets=false&symbolStatus=TRADING",
                "/sapi/v1/system/status?at=5",
                "/metadata/tradingStatus?at=5",
                "/history/exchangeInfo?symbol=BOTH",
                "/api/v3/ticker/bookTicker?symbol=BOTH",
            ]
            for target in beyond * 2:
                got = edge.get(target)
                assert (got.status, got.body) == (200, origin.says.body)
                assert got.headers.get_all("Cache-Control") == [origin.says.headers["Cache-Control"]]
            assert origin.asked == [f"GET {target}" for target in beyond * 2]
            # The whole list is a file, though a server might compose it.
            await edge.publish_list(1_723_161_253_000, "BOTH")
            assert json.loads(edge.get(LIST).body)["symbols"] == [{"symbol": "BOTH", "status": "TRADING"}]
            await edge.publish_list(1_723_161_253_000, "BOTH", cut="BOTH")
            assert json.loads(edge.get(f"{LIST}?symbol=BOTH").body)["timezone"] == "UTC"
            for kind, path, body_of in STATUSES:
                await edge.publish_document(kind, kind.key, body_of, 1)
                assert edge.get(path).body == body_of
            for path in private_paths():
                assert edge.get(path).status == 404, path
            # What the edge can refuse by itself, it does.
            assert edge.get(f"{LIST}?symbol=BOTH", X_MBX_TIME_UNIT="FORTNIGHT").status == 400
            assert edge.depth("symbol=BOTH&limit=0").status == 400
            assert edge.get("/metrics").status == 404
            assert len(origin.asked) == len(beyond) * 2
            origin.go_away()
            got = edge.depth("symbol=BOTH&limit=7")
            assert (got.status, got.body) == (503, UNAVAILABLE.body())
            assert edge.depth("symbol=BOTH&limit=5").body == body
    finally:
        origin.go_away()


async def test_other_limits_can_be_published(tmp_path: Path, seaweedfs: SeaweedFS) -> None:
    with running_edge(tmp_path, seaweedfs, EDGE_LIMITS="7,20") as edge:
        body = await edge.publish("SEVEN", 7, 1)
        assert edge.depth("symbol=SEVEN&limit=%37").body == body
        for query in ("symbol=SEVEN&limit=5", "symbol=SEVEN", "symbol=SEVEN&limit=5000"):
            assert edge.depth(query).body == LIMIT_NOT_VALID.body()
        assert edge.counter.asked == [f"/{BUCKET}/{depth_key('SEVEN', 7).replace('?', '%3F')}"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EDGE_STORE", "ftp://store/books"),
        ("EDGE_STORE", "http://store/books; return 200"),
        ("EDGE_STORE", "http://user:secret@store/books"),
        ("EDGE_STORE", "http://store/books?x=1"),
        ("EDGE_LIMITS", "5,ten"),
        ("EDGE_LIMITS", "5,6000"),
        ("EDGE_STALE_S", "-1"),
        ("EDGE_COLD_READS", "0"),
        ("EDGE_CA", "ca.pem"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(name: str, value: str) -> None:
    env = {"EDGE_STORE": "http://store/books", name: value}
    with pytest.raises(ValueError, match=f"{name} cannot be"):
        script("edge/start.py").filled("@{STORE}", env, resolv_conf="nameserver 127.0.0.1")


def test_a_store_makes_the_choice_between_the_two_configurations() -> None:
    start = script("edge/start.py")
    assert start.template_for({}) == "nginx.conf"
    assert start.template_for({"EDGE_STORE": ""}) == "nginx.conf"
    assert start.template_for({"EDGE_STORE": "https://books.s3.amazonaws.com"}) == "store.conf"


@pytest.mark.parametrize("store", ["https://books.s3.eu-west-1.amazonaws.com", "http://store:8333/a/b/"])
def test_nginx_takes_the_configuration_for_any_store(store: str, tmp_path: Path) -> None:
    nginx = program("nginx")
    certificates = Path("/etc/ssl/certs/ca-certificates.crt")
    if not certificates.exists():
        absent("there are no certificates of authorities (Debian: apt-get install ca-certificates)")
    configuration = configure_store(tmp_path, {"EDGE_STORE": store, "EDGE_RESOLVER": "[::1]"})
    done = subprocess.run(
        [nginx, "-t", "-e", "stderr", "-c", configuration], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr
    text = configuration.read_text()
    assert f"proxy_pass {store.rstrip('/')}$request_uri;" in text
    assert ("proxy_ssl_verify on;" in text) == store.startswith("https:")


@pytest.mark.parametrize("bound", [9, 99, 5000, 5009, 2147483647])
def test_numbers_above_a_bound_are_told_from_the_others(bound: int) -> None:
    pattern = re.compile(script("edge/start.py").above(bound))
    for number in [0, 1, 4999, 5000, 5001, 5009, 5010, 9999, 10**9, 2**31 - 1, 2**31, 3 * 10**9, 10**19]:
        for near in (number, bound - 1, bound, bound + 1, bound * 2, bound * 10):
            assert bool(pattern.fullmatch(str(near))) == (near > bound), near


def test_the_compose_file_gives_the_edge_a_store_that_it_may_read() -> None:
    over = yaml.safe_load((INFRA / "edge/compose.yml").read_text("utf-8"))["services"]
    base = yaml.safe_load((INFRA.parent / "docker-compose.yml").read_text("utf-8"))["services"]
    assert over["store"]["environment"] == {"DEPTHCAST_ANONYMOUS_READ": "true"}
    given = over["edge"]["environment"]
    bucket = base["store"]["environment"]["DEPTHCAST_BUCKET"]
    assert given["EDGE_STORE"] == f"http://store:8333/{bucket}"
    assert set(base["store"]["networks"]) <= set(over["edge"]["networks"])
    copied = re.search(
        r"^COPY (infra/healthcheck.py [^$]*?) /opt/edge/$",
        (INFRA / "Dockerfile").read_text("utf-8"),
        re.MULTILINE,
    )
    assert copied is not None
    names = {path.name for part in copied[1].split() for path in INFRA.parent.glob(part)}
    needed = {"start.py", "nginx.conf", "store.conf", "held.conf", "hidden-headers.conf"}
    assert needed | {"others-alone.conf", "others-server.conf"} <= names
    # An empty name of a server is none.
    filled = script("edge/start.py").filled(
        (INFRA / "edge/store.conf").read_text("utf-8"),
        {"EDGE_STORE": "http://store:8333/binance", "EDGE_SERVER": ""},
        resolv_conf="nameserver 127.0.0.11",
    )
    assert "http://server" not in filled
    assert "@{" not in filled.partition("worker_processes")[2]
