"""The edge: what is kept and for how long, what is asked once, and what is said when nobody answers."""

import subprocess
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.infra.conftest import INFRA, Edge, Said, configure, private_paths, script
from tests.infra.venue_requests import BINANCES, rows
from tests.programs import program

DEPTH = "/api/v3/depth"


class Got(NamedTuple):
    status: int
    headers: Message
    body: bytes

    @property
    def cache(self) -> str | None:
        return self.headers["X-Cache"]


def get(edge: Edge, path: str, method: str = "GET", **headers: str) -> Got:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(edge.url + path, method=method, headers=sent)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return Got(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        return Got(error.code, error.headers, error.read())


def test_nginx_takes_the_configuration(tmp_path: Path) -> None:
    nginx = program("nginx")
    configuration = configure(tmp_path, {"EDGE_RESOLVER": "[::1]"})
    done = subprocess.run(
        [nginx, "-t", "-e", "stderr", "-c", configuration],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "test is successful" in done.stderr


def test_a_book_is_kept_as_long_as_the_server_says_and_then_asked_for_anew(edge: Edge) -> None:
    edge.origin.book(1, max_age_s=3)
    first = get(edge, f"{DEPTH}?symbol=ETHUSDT&limit=5")
    assert (first.status, first.cache) == (200, "MISS")
    edge.origin.book(2, max_age_s=3)
    kept = get(edge, f"{DEPTH}?symbol=ETHUSDT&limit=5")
    assert (kept.cache, kept.body) == ("HIT", first.body)
    for name in ("Content-Type", "ETag", "Cache-Control", "Depthcast-Version", "Depthcast-State"):
        assert kept.headers.get_all(name) == [edge.origin.says.headers[name].replace("2", "1")]
    deadline = time.monotonic() + 60
    while (then := get(edge, f"{DEPTH}?symbol=ETHUSDT&limit=5")).cache == "HIT":
        assert time.monotonic() < deadline
    # Nobody is given the old one for the sake of a refresh behind his back.
    assert (then.cache, then.headers["Depthcast-Version"]) == ("EXPIRED", "0:2")
    assert len(edge.origin.asked) == 2


def test_many_at_once_are_one_request(edge: Edge) -> None:
    edge.origin.book(1, max_age_s=600)
    edge.origin.takes_s = 0.3
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: get(edge, f"{DEPTH}?symbol=ETHUSDT&limit=5"), range(20)))
    assert {each.body for each in answers} == {edge.origin.says.body}
    assert edge.origin.asked == [f"GET {DEPTH}?symbol=ETHUSDT&limit=5"]


def test_tiles_of_the_heatmap_are_kept_as_long_as_they_say(edge: Edge) -> None:
    tile = "/heat/venue=binance/symbol=ETHUSDT/zoom=0/date=2024-08-08/23-54-00.heat"
    headers = {
        "Content-Type": "application/octet-stream",
        "Cache-Control": "public, max-age=31536000, immutable",
    }
    edge.origin.says = Said(200, b"\x1f\x8btile", headers)
    got = [get(edge, path) for path in (tile, f"{tile}?anything", tile.replace("=", "%3D"))]
    assert [(each.status, each.body, each.cache) for each in got] == [
        (200, b"\x1f\x8btile", cache) for cache in ("MISS", "HIT", "HIT")
    ]
    assert {each.headers["Cache-Control"] for each in got} == {headers["Cache-Control"]}
    assert edge.origin.asked == [f"GET {tile}"]
    edge.origin.refuse(404, b"")
    other = tile.replace("54", "55")
    assert [get(edge, other).status for _ in range(2)] == [404, 404]
    assert len(edge.origin.asked) == 3
    edge.origin.go_away()
    assert get(edge, tile).body == got[0].body


@pytest.mark.parametrize(
    ("query", "canonical"),
    [
        ("limit=5&symbol=ETHUSDT", "symbol=ETHUSDT&limit=5"),
        ("symbol=ETHUSDT", "symbol=ETHUSDT&limit=100"),
        ("symbol=%E5%B8%81USDT&limit=20", "symbol=%E5%B8%81USDT&limit=20"),
    ],
)
def test_a_plain_request_is_one_entry_however_it_is_written(edge: Edge, query: str, canonical: str) -> None:
    edge.origin.book(1, max_age_s=600)
    get(edge, f"{DEPTH}?{query}")
    assert edge.origin.asked == [f"GET {DEPTH}?{canonical}"]
    assert get(edge, f"{DEPTH}?{canonical}").cache == "HIT"
    assert get(edge, f"{DEPTH}?{query}", "HEAD").body == b""
    assert len(edge.origin.asked) == 1


def test_a_book_of_another_venue_is_one_entry_at_its_path_and_below_its_name(edge: Edge) -> None:
    edge.origin.book(1, max_age_s=600)
    paths = [path for row in rows() for path in row.paths if not row.query]
    for path in paths:
        get(edge, f"{path}?symbol=ETHUSDT")
    asked = []
    for scheme in BINANCES:
        limit = 500 if scheme.ladder else 100
        asked.append(f"GET /{scheme.root}depth?symbol=ETHUSDT&limit={limit}")
        assert get(edge, f"/{scheme.root}depth?limit={limit}&symbol=ETHUSDT").cache == "HIT"
    for query in ("", "?level=1", "?level=2"):
        get(edge, f"/products/BTC-USD/book{query}")
        assert get(edge, f"/coinbaseexchange/products/BTC-USD/book{query}").cache == "HIT"
    asked += [f"GET /products/BTC-USD/book?level={level}" for level in (1, 2)]
    for query in ("symbol=XBTUSD", "symbol=XBTUSD&depth=25", "depth=0&symbol=XBTUSD"):
        get(edge, f"/api/v1/orderBook/L2?{query}")
        assert get(edge, f"/bitmex/api/v1/orderBook/L2?{query}").cache == "HIT"
    asked += [f"GET /api/v1/orderBook/L2?symbol=XBTUSD&depth={depth}" for depth in (25, 0)]
    assert edge.origin.asked == asked
    # What the server alone can tell is not kept.
    assert get(edge, "/products/BTC-USD/book?level=2&level=2").cache == "BYPASS"
    assert get(edge, "/fapi/v1/depth?symbol=ethusdt").cache == "BYPASS"
    edge.origin.says = Said(200, b"{}", {})
    for path in (
        "/fapi/v1/exchangeInfo",
        "/binanceusdm/fapi/v1/ticker/bookTicker",
        "/binanceus/api/v3/ping",
        "/time",
    ):
        assert get(edge, path).status == 200
        assert edge.origin.asked[-1] == f"GET {path}"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "symbol=ethusdt",
        "symbol=ETHUSDT&limit=0",
        "symbol=ETHUSDT&limit=05",
        "symbol=ETHUSDT&limit=50000",
        "symbol=ETHUSDT&limit=5&limit=10",
        "symbol=ETHUSDT&x=1",
        "symbol=ETHUSDT&symbolStatus=TRADING",
        "symbol=%45THUSDT",
        "symbol=ETHUSDT&limit=5&",
        "SYMBOL=ETHUSDT",
    ],
)
def test_anything_else_reaches_the_server_as_it_is_and_is_not_kept(edge: Edge, query: str) -> None:
    for _ in range(2):
        assert get(edge, f"{DEPTH}?{query}").cache == "BYPASS"
    assert edge.origin.asked == [f"GET {DEPTH}?{query}"] * 2


def test_a_header_that_the_exchange_checks_is_the_servers_to_check(edge: Edge) -> None:
    get(edge, f"{DEPTH}?symbol=ETHUSDT&limit=5")
    asked = get(edge, f"{DEPTH}?symbol=ETHUSDT&limit=5", X_MBX_TIME_UNIT="FORTNIGHT")
    assert asked.cache == "BYPASS"
    assert len(edge.origin.asked) == 2


def test_an_error_is_passed_on_and_never_kept(edge: Edge) -> None:
    edge.origin.refuse(400, b'{"code":-1121,"msg":"Invalid symbol."}')
    refused = get(edge, f"{DEPTH}?symbol=NONE&limit=5")
    assert (refused.status, refused.body) == (400, edge.origin.says.body)
    edge.origin.book(7)
    assert get(edge, f"{DEPTH}?symbol=NONE&limit=5").headers["Depthcast-Version"] == "0:7"


def test_who_has_a_book_is_told_so_without_a_body(edge: Edge) -> None:
    edge.origin.book(1, max_age_s=600)
    tag = get(edge, f"{DEPTH}?symbol=ETHUSDT&limit=5").headers["ETag"]
    again = get(edge, f"{DEPTH}?symbol=ETHUSDT&limit=5", If_None_Match=tag)
    assert (again.status, again.body) == (304, b"")
    assert len(edge.origin.asked) == 1


@pytest.mark.parametrize("how", ["no listener", "no name", "an error"])
def test_with_the_server_away_what_is_kept_is_served_marked(edge: Edge, how: str) -> None:
    book = get(edge, f"{DEPTH}?symbol=ETHUSDT&limit=5").body
    if how == "no listener":
        edge.origin.go_away()
    elif how == "no name":
        edge.names.known = False
    else:
        edge.origin.refuse(503, b"{}")
    deadline = time.monotonic() + 60
    while (answer := get(edge, f"{DEPTH}?symbol=ETHUSDT&limit=5")).headers["Depthcast-State"] != "stale":
        assert answer.body == book
        assert time.monotonic() < deadline
    assert (answer.status, answer.body, answer.cache) == (200, book, "STALE")
    if how == "no listener":
        edge.origin.come_back()
    edge.names.known = True
    edge.origin.book(2)
    while (answer := get(edge, f"{DEPTH}?symbol=ETHUSDT&limit=5")).headers["Depthcast-Version"] != "0:2":
        assert time.monotonic() < deadline
    assert answer.headers["Depthcast-State"] == "live"


@pytest.mark.parametrize("how", ["no listener", "no name"])
def test_with_nothing_kept_it_says_try_again_in_the_exchanges_words(edge: Edge, how: str) -> None:
    if how == "no listener":
        edge.origin.go_away()
    edge.names.known = how != "no name"
    for path in (f"{DEPTH}?symbol=ETHUSDT&limit=5", "/api/v3/ping"):
        answer = get(edge, path)
        assert answer.status == 503
        assert answer.body.startswith(b'{"code":-1001,"msg":"Internal error;')
        assert answer.headers["Retry-After"] == "1"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    if how == "no listener":
        edge.origin.come_back()


def test_a_server_that_marks_a_book_stale_is_believed(edge: Edge) -> None:
    edge.origin.book(1, state="stale")
    for _ in range(2):
        assert get(edge, f"{DEPTH}?symbol=ETHUSDT&limit=5").headers.get_all("Depthcast-State") == ["stale"]


def test_it_answers_for_its_own_health_and_shows_nobody_the_servers_metrics(edge: Edge) -> None:
    assert get(edge, "/healthz").body == b"ok\n"
    for path in ("/metrics", "/readyz", "/status", "/", "/historyx", *private_paths()):
        assert get(edge, path).status == 404, path
    assert edge.origin.asked == []
    assert get(edge, "/api/v3/time").status == 200
    assert edge.origin.asked == ["GET /api/v3/time"]


def test_what_the_exchange_says_of_itself_and_said_is_the_servers_to_answer(edge: Edge) -> None:
    targets = [
        "/api/v3/exchangeInfo?at=2026-11-20T14:03:00Z&symbol=ETHUSDT",
        "/sapi/v1/system/status?at=5",
        "/history/exchangeInfo?symbol=ETHUSDT&from=5",
        "/metadata/tradingStatus",
    ]
    for target in targets:
        get(edge, target)
    assert edge.origin.asked == [f"GET {target}" for target in targets]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EDGE_SERVER", "server"),
        ("EDGE_SERVER", "server:80; return 200"),
        ("EDGE_LISTEN", "all"),
        ("EDGE_WORKERS", "0"),
        ("EDGE_CACHE_MB", "1k"),
        ("EDGE_RESOLVER", "dns.example"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{name} cannot be"):
        script("edge/start.py").filled("@{SERVER}", {name: value}, resolv_conf="nameserver 127.0.0.1")


def test_every_variable_is_filled_in() -> None:
    start = script("edge/start.py")
    text = start.filled((INFRA / "edge/nginx.conf").read_text(), {}, resolv_conf="nameserver 127.0.0.11\n")
    assert "@{" not in text.partition("worker_processes")[2]
    assert "resolver 127.0.0.11 valid=1s" in text
    assert start.nameservers("nameserver 127.0.0.11\nnameserver fd00::1\n") == "127.0.0.11 [fd00::1]"
