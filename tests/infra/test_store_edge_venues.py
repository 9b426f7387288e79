"""The edge with no server for the venues beside the first: their paths, their refusals, their lists."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from depthcast.files import BINANCE_USDM, COINBASE, SCHEMES, Scheme
from depthcast.heat.keys import HEAT_PREFIX
from depthcast.metadata.kinds import PUBLIC_PREFIXES, exchange_info
from depthcast.store.embedded import SeaweedFS
from depthcast.venues import bitmex_rest
from depthcast.venues.answering import ANSWERING
from depthcast.venues.binance_futures_rest import DEFAULT_LIMIT, depth_limit_not_valid
from depthcast.venues.binance_rest import LIMIT_NOT_VALID, UNKNOWN_SYMBOL
from depthcast.venues.bitmex_files import BITMEX, DEFAULT_DEPTH
from depthcast.venues.coinbase_rest import NOT_FOUND
from depthcast.venues.requests import ApiError
from tests.infra.conftest import Origin, script
from tests.infra.store_edge import BUCKET, StoreEdge, running_edge, store_names
from tests.infra.venue_requests import BINANCES, contracts, paths, products, rows

ROWS = rows()
UNREAD = "Not all sent parameters were read; read '{}' parameter(s) but was sent '{}'."


@pytest.fixture(scope="module")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    folder = tmp_path_factory.mktemp("store")
    with SeaweedFS(folder, bucket=BUCKET, anonymous_prefixes=(*PUBLIC_PREFIXES, HEAT_PREFIX)) as server:
        yield server


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory, seaweedfs: SeaweedFS) -> Iterator[StoreEdge]:
    folder = tmp_path_factory.mktemp("edge")
    with running_edge(folder, seaweedfs, EDGE_COLD_READS="5000") as running:
        yield running


def test_the_edge_knows_the_paths_and_limits_of_every_venue() -> None:
    start = script("edge/start.py")
    told = start.SPOT | start.FUTURES | start.COINBASE | start.BITMEX
    known = {venue: f"{path}/" for venue, path in told.items()}
    assert known == {scheme.venue: scheme.root for scheme in SCHEMES.values()}
    assert tuple(start.FUTURES_LIMITS) == BINANCE_USDM.limits
    assert start.FUTURES_DEFAULT_LIMIT == DEFAULT_LIMIT
    assert start._DEFAULTS["EDGE_DEPTHS"] == ",".join(map(str, BITMEX.limits))
    assert start.DEFAULT_DEPTH == DEFAULT_DEPTH


async def test_every_row_is_answered_as_the_venue_words_it_at_its_path_and_below_its_name(
    edge: StoreEdge,
) -> None:
    published: dict[str, bytes] = {}
    for number, row in enumerate(ROWS):
        if row.error is None and row.limit in row.scheme.limits and row.key not in published:
            body = await edge.publish(row.symbol, row.limit, 1000 + number, scheme=row.scheme)
            published[row.key] = body
    assert len(published) > 4 * len(BINANCES)
    wrong = []
    for row in ROWS:
        error = row.error
        if error is None and row.limit not in row.scheme.limits:
            error = LIMIT_NOT_VALID
        wanted = (error.status, error.body()) if error else (200, published[row.key])
        for path in row.paths:
            got = edge.get(f"{path}?{row.query}".encode())
            if (got.status, got.body) != wanted:
                wrong.append((path, row.query, got.status, got.body[:120], wanted[1][:120]))
            cached = got.headers["Cache-Control"].partition(",")[0]
            if cached != ("no-store" if error else "public"):
                wrong.append((path, row.query, got.status, cached.encode(), b""))
    assert wrong == []


async def test_products_are_answered_by_their_level_and_refused_in_coinbases_words(edge: StoreEdge) -> None:
    published = {
        level: await edge.publish("BTC-USD", level, 70 + level, scheme=COINBASE) for level in COINBASE.limits
    }
    table = products()
    assert len(table) > len(published)
    wrong = []
    for row in table:
        wanted = (row.error.status, row.error.body()) if row.error else (200, published[row.limit])
        for target in (f"/products/{row.query}", f"/coinbaseexchange/products/{row.query}"):
            got = edge.get(target)
            if (got.status, got.body) != wanted:
                wrong.append((target, got.status, got.body[:120], wanted[1][:120]))
    assert wrong == []
    got = edge.get("/products/BTC-USD/book?level=2", X_MBX_TIME_UNIT="s")
    assert (got.status, got.headers["Depthcast-Epoch"]) == (200, "3")
    assert got.headers["Cache-Control"].startswith("public")
    assert store_names(str(got.headers)) == [], str(got.headers)
    unknown = edge.get("/products/NO-USD/book?level=2")
    assert (unknown.status, unknown.body) == (404, NOT_FOUND.body())
    assert edge.get("/products/BTC-USD/book", "POST").status == 405
    assert edge.get("/products/BTC-USD/other").status == 404


async def test_contracts_are_answered_by_their_depth_and_refused_in_bitmexs_words(edge: StoreEdge) -> None:
    published = {
        depth: await edge.publish("XBTUSD", depth, 70 + depth, scheme=BITMEX) for depth in BITMEX.limits
    }
    table = contracts()
    wrong = []
    for row in table:
        if row.error is not None:
            wanted = (row.error.status, row.error.body())
        elif row.limit in published:
            wanted = (200, published[row.limit])
        else:
            wanted = (400, b'{"error":{"message":"This depth is not published.","name":"HTTPError"}}')
        for path in ("/api/v1/orderBook/L2", "/bitmex/api/v1/orderBook/L2"):
            got = edge.get(f"{path}?{row.query}")
            if (got.status, got.body) != wanted:
                wrong.append((path, row.query, got.status, got.body[:120], wanted[1][:120]))
    assert wrong == []
    unknown = edge.get("/api/v1/orderBook/L2?symbol=NOUSD&depth=10")
    assert (unknown.status, unknown.body) == (404, bitmex_rest.NOT_FOUND.body())


async def test_with_the_store_away_each_venue_says_so_in_its_own_words(
    tmp_path: Path, seaweedfs: SeaweedFS
) -> None:
    with running_edge(tmp_path, seaweedfs) as away:
        away.counter.go_away()
        for target, venue in {
            "/fapi/v1/depth?symbol=A&limit=5": "binanceusdm",
            "/products/BTC-USD/book": "coinbaseexchange",
            "/api/v1/orderBook/L2?symbol=XBTUSD": "bitmex",
        }.items():
            got = away.get(target)
            said = ANSWERING[venue].refusals.unavailable
            assert (got.status, got.body) == (503, said.body())
            assert got.headers["Retry-After"] == "1"


@pytest.mark.parametrize("own", BINANCES, ids=lambda scheme: scheme.venue)
async def test_a_venue_does_not_answer_for_another_and_says_what_it_always_says(
    edge: StoreEdge, own: Scheme
) -> None:
    body = await edge.publish(f"{own.venue.upper()}X", 100, 7, scheme=own)
    for each in BINANCES:
        got = edge.get(f"/{each.root}depth?symbol={own.venue.upper()}X&limit=100")
        assert (got.status, got.body) == ((200, body) if each == own else (400, UNKNOWN_SYMBOL.body()))
        if each == own:
            assert got.headers["Depthcast-Current-Time"] == "1723161253000"
            assert store_names(str(got.headers)) == [], str(got.headers)
    assert edge.get(f"/{own.root}ping").body == b"{}"
    assert json.loads(edge.get(f"/{own.root}time").body)["serverTime"] > 1_700_000_000_000
    assert edge.get(f"/{own.root}depth?symbol=A", "POST").status == 405
    assert edge.get(f"/{own.root}depth?symbol=A&x={'1' * 8200}").status == 414
    bad_unit = edge.get(f"/{own.root}depth?symbol=A", X_MBX_TIME_UNIT="s")
    assert json.loads(bad_unit.body)["code"] == -1194


@pytest.mark.parametrize("own", BINANCES, ids=lambda scheme: scheme.venue)
async def test_a_venues_list_is_its_file_but_for_the_time(edge: StoreEdge, own: Scheme) -> None:
    kind = exchange_info(own)
    entry = b'{"symbol":"%b","status":"TRADING"}' % own.venue.encode()
    listed = b'{"serverTime":1723161253000,"symbols":[%b]}' % entry
    await edge.publish_document(kind, kind.key, listed, 1_723_161_253_000)
    for path in paths(own, "exchangeInfo"):
        got = edge.get(path)
        told = json.loads(got.body)
        assert (got.status, told["symbols"]) == (200, json.loads(listed)["symbols"])
        assert told["serverTime"] > 1_723_161_253_000
        assert got.headers["Cache-Control"] == "no-store"
    twice = edge.get(f"/{own.root}exchangeInfo?a=1&a=2")
    assert json.loads(twice.body)["code"] == -1101


async def test_what_files_cannot_answer_goes_to_the_server_at_the_path_that_was_asked(
    tmp_path: Path, seaweedfs: SeaweedFS
) -> None:
    origin = Origin()
    with running_edge(
        tmp_path, seaweedfs, EDGE_SERVER=f"127.0.0.1:{origin.port}", EDGE_LIMITS="5,20"
    ) as edge:
        body = await edge.publish("SERVED", 20, 7, scheme=BINANCE_USDM)
        assert edge.get("/binanceusdm/fapi/v1/depth?symbol=SERVED&limit=20").body == body
        asked = [
            "/fapi/v1/depth?symbol=served&limit=20",
            "/binanceusdm/fapi/v1/depth?symbol=SERVED",
            "/binanceus/api/v3/depth?symbol=SERVED&limit=7",
            "/fapi/v1/depth?symbol=SERVED&limit=20&at=2026-11-20",
            "/fapi/v1/ticker/bookTicker?symbol=SERVED",
            "/binanceusdm/fapi/v1/ticker/bookTicker",
            "/products",
            "/products/BTC-USD",
            "/coinbaseexchange/time",
            "/time",
        ]
        for target in asked:
            assert edge.get(target).status == 200, target
        assert origin.asked == [f"GET {target}" for target in asked]
    origin.go_away()


async def test_without_a_server_small_letters_and_what_is_not_published_are_refused(
    tmp_path: Path, seaweedfs: SeaweedFS
) -> None:
    with running_edge(tmp_path, seaweedfs, EDGE_LIMITS="5,20") as edge:
        for query, error in {
            "symbol=btcusdt&limit=20": UNKNOWN_SYMBOL,
            "symbol=BTCUSDT": depth_limit_not_valid("500"),
            "symbol=BTCUSDT&limit=100": depth_limit_not_valid("100"),
            "symbol=BTCUSDT&limit=20&at=2026-11-20": ApiError(400, -1104, UNREAD.format(2, 3)),
            "%61t=5&symbol=BTCUSDT": ApiError(400, -1104, UNREAD.format(1, 2)),
        }.items():
            got = edge.get(f"/fapi/v1/depth?{query}")
            assert (got.status, got.body) == (error.status, error.body()), query
        assert edge.counter.asked == []
