"""What ``/openapi.json`` says of the venues beside the first, against a server that answers for them."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import jsonschema
import pytest
import pytest_asyncio
import schemathesis
import schemathesis.specs.openapi.checks as checks
from hypothesis import HealthCheck, Phase, given, settings

from depthcast.files import BINANCE, CONTENT_TYPE, SCHEMES, UPDATE_ID_NAME, FileInfo, depth_key
from depthcast.store.memory import MemoryStore
from server import heat
from server.openapi import document
from server.openapi_venues import DESCRIBED
from server.service import Service
from server.settings import ServerSettings
from tests.conformance.world import ask, serving

pytestmark = pytest.mark.xdist_group("openapi")
in_one_loop = pytest.mark.asyncio(loop_scope="module")

VENUES = tuple(venue for venue in SCHEMES if venue != BINANCE.venue)
SPOT_BODY = b'{"lastUpdateId":7,"bids":[["2.0","1.5"]],"asks":[["3.0","1"]]}'
TIMED_BODY = (
    b'{"lastUpdateId":7,"E":1790000000002,"T":1790000000001,"bids":[["2.0","1.5"]],"asks":[["3.0","1"]]}'
)
ENTRY = b'{"symbol":"BTCUSDT","status":"TRADING","contractStatus":"TRADING"}'
LISTED = b'{"timezone":"UTC","serverTime":1,"rateLimits":[],"symbols":[%b]}' % ENTRY
ROWS_BODY = (
    b'{"bids":[["2.0","1.5",1]],"asks":[["3.0","1",2]],"sequence":7,"auction_mode":false,"auction":null,'
    b'"time":"2026-11-20T14:03:00.201000Z"}'
)
BODIES: Mapping[str, bytes] = {
    "binanceus": SPOT_BODY,
    "binanceusdm": TIMED_BODY,
    "binancecoinm": b'{"lastUpdateId":7,"symbol":"BTCUSDT","pair":"B","E":1790000000002,"T":1790000000001,'
    + TIMED_BODY.partition(b"01,")[2],
    "coinbaseexchange": ROWS_BODY,
    "bitmex": b'[{"symbol":"BTCUSDT","id":2,"side":"Sell","size":7,"price":3.0,"timestamp":"t"},'
    b'{"symbol":"BTCUSDT","id":1,"side":"Buy","size":5,"price":2.5,"timestamp":"t","transactTime":"t"}]',
}
ASKED: Mapping[str, Mapping[str, int]] = {
    "binanceus": {
        "/binanceus/api/v3/depth?symbol=BTCUSDT&limit=5": 200,
        "/binanceus/api/v3/depth?symbol=NOUSDT": 400,
        "/binanceus/api/v3/depth?symbol=BTCUSDT&limit=0": 400,
        "/binanceus/api/v3/depth?symbol=BTCUSDT&at=id:5": 404,
        "/binanceus/api/v3/ticker/bookTicker": 200,
        "/binanceus/api/v3/exchangeInfo": 200,
        "/binanceus/api/v3/ping": 200,
        "/binanceus/api/v3/time": 200,
    },
    "binanceusdm": {
        "/fapi/v1/depth?symbol=btcusdt": 200,
        "/fapi/v1/depth?symbol=NOUSDT": 400,
        "/fapi/v1/depth?symbol=BTCUSDT&limit=7": 400,
        "/fapi/v1/depth?symbol=BTCUSDT&at=id:5": 404,
        "/fapi/v1/ticker/bookTicker?symbol=BTCUSDT": 200,
        "/fapi/v1/ticker/bookTicker": 200,
        "/fapi/v1/exchangeInfo?symbol=1": 200,
        "/fapi/v1/ping?a=1": 200,
        "/fapi/v1/ping?a=1&a=2": 400,
        "/fapi/v1/time": 200,
    },
    "binancecoinm": {
        "/dapi/v1/depth?symbol=btcusdt": 200,
        "/dapi/v1/depth?symbol=BTCUSDT&limit=7": 400,
        "/dapi/v1/depth?symbol=BTCUSDT&at=id:5": 404,
        "/dapi/v1/ticker/bookTicker?symbol=btcusdt": 200,
        "/dapi/v1/ticker/bookTicker?pair=B": 200,
        "/dapi/v1/ticker/bookTicker?symbol=BTCUSDT&pair=B": 400,
        "/dapi/v1/ticker/bookTicker": 200,
        "/dapi/v1/exchangeInfo": 200,
        "/dapi/v1/ping": 200,
        "/dapi/v1/time": 200,
    },
    "coinbaseexchange": {
        "/products/BTCUSDT/book": 200,
        "/products/BTCUSDT/book?level=3": 200,
        "/products/BTCUSDT/book?level=4": 400,
        "/products/NO-USD/book?level=2": 404,
        "/products": 200,
        "/products/BTCUSDT": 200,
        "/products/NO-USD": 404,
        "/products?at=x": 400,
        "/time": 200,
    },
    "bitmex": {
        "/api/v1/orderBook/L2?symbol=BTCUSDT": 200,
        "/api/v1/orderBook/L2?symbol=BTCUSDT&depth=3": 200,
        "/api/v1/orderBook/L2": 400,
        "/api/v1/orderBook/L2?symbol=BTCUSDT&depth=x": 400,
        "/api/v1/orderBook/L2?symbol=NOUSD&depth=0": 404,
        "/api/v1": 200,
        "/api/v1/instrument/active": 200,
        "/api/v1/instrument?symbol=BTCUSDT": 200,
        "/api/v1/instrument?count=0": 400,
        "/api/v1/instrument/active?at=x": 400,
    },
}
"""What is asked of each venue, and with which status it is answered."""
SPELLED: Mapping[str, str] = {"bitmex": "application/json; charset=utf-8"}
"""What a venue's answers are called, where it is not as the first one's."""
LISTS = {
    "coinbaseexchange": b'[{"id":"BTCUSDT","status":"online"}]',
    "bitmex": b'[{"symbol":"BTCUSDT","state":"Open"}]',
}

DOCUMENT: dict[str, Any] = document(VENUES)
OWN = [path for venue in VENUES for path in DESCRIBED[venue](SCHEMES[venue])]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port() -> AsyncIterator[int]:
    """The port of a server that answers for every venue, of each of which one symbol is published."""
    store = MemoryStore()
    info = FileInfo(0, 1000, 1000, False, False, 1_790_000_000_000, 1_790_000_000_001, "a").to_metadata()
    for venue in VENUES:
        scheme = SCHEMES[venue]
        for limit in scheme.limits:
            key = depth_key("BTCUSDT", limit, scheme)
            metadata = info | {UPDATE_ID_NAME: "7"}
            await store.put_if(key, BODIES[venue], match=None, metadata=metadata, content_type=CONTENT_TYPE)
        await store.put_if(scheme.exchange_info_key, LISTS.get(venue, LISTED), match=None)
    async with serving(store, venues=VENUES, symbols_refresh_s=600) as port:
        yield port


def test_every_venue_has_its_row() -> None:
    assert {BINANCE.venue, *DESCRIBED} == set(SCHEMES)


def test_every_path_that_is_answered_is_described_and_no_other() -> None:
    service = Service(ServerSettings(page=False, venues=VENUES), MemoryStore())
    answered = service.app.paths - {"/openapi.json", heat.PATH}
    braces = re.compile(r"{[^}]+}")
    assert {braces.sub("{}", path) for path in answered} == {
        braces.sub("{}", path) for path in DOCUMENT["paths"]
    }


def test_a_server_describes_the_venues_that_it_serves_and_no_other() -> None:
    alone = document(("binanceusdm",))
    assert {path for path in alone["paths"] if "fapi" in path} == {
        path for path in DOCUMENT["paths"] if "fapi" in path
    }
    assert not any("binanceus/" in path for path in alone["paths"])
    assert not any("fapi" in path for path in document()["paths"])
    names = [item["get"]["operationId"] for item in DOCUMENT["paths"].values()]
    assert len(set(names)) == len(names)
    assert {tag for item in DOCUMENT["paths"].values() for tag in item["get"]["tags"]} == {
        tag["name"] for tag in DOCUMENT["tags"]
    }


@in_one_loop
@pytest.mark.parametrize("venue", VENUES)
async def test_answers_are_as_they_are_described(port: int, venue: str) -> None:
    braces = {re.sub(r"{[^}]+}", "[^/]+", path): path for path in DESCRIBED[venue](SCHEMES[venue])}
    components = {"components": DOCUMENT["components"]}
    for target, status in ASKED[venue].items():
        got = await asyncio.to_thread(ask, port, f"GET {target}")
        (path,) = (path for form, path in braces.items() if re.fullmatch(form, target.partition("?")[0]))
        described = DOCUMENT["paths"][path]["get"]["responses"]
        assert got.status == status, (target, got.body)
        assert got.headers["Content-Type"] == SPELLED.get(venue, "application/json;charset=UTF-8"), target
        answer = described[str(got.status)]
        schema = answer["content"]["application/json"]["schema"]
        jsonschema.Draft202012Validator(schema | components).validate(json.loads(got.body))
        told = {name.lower() for name in answer["headers"]}
        ours = {name.lower() for name in got.headers if name.lower().startswith(("depthcast-", "x-mbx-"))}
        assert ours <= told, target


@in_one_loop
@pytest.mark.timeout(600)
@pytest.mark.parametrize("path", OWN)
async def test_whatever_may_be_asked_is_answered_as_described(port: int, path: str) -> None:
    url = f"http://127.0.0.1:{port}/openapi.json"
    schema = await asyncio.to_thread(schemathesis.openapi.from_url, url)
    cases = schema[path]["get"].as_strategy()

    @settings(
        max_examples=8,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def asked(case: Any) -> None:
        # A description cannot tell which symbols exist.
        case.call_and_validate(excluded_checks=[checks.positive_data_acceptance], timeout=60)

    await asyncio.to_thread(asked)
