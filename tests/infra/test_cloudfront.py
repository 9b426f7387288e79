"""CloudFront's functions, run by node: the table of depth requests, and what is said of a file."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import pytest

from depthcast.files import COINBASE, EXCHANGE_INFO_KEY, LIMITS, SCHEMES, FileInfo, Scheme
from depthcast.metadata.kinds import EXCHANGE_INFO, SYSTEM_STATUS_KEY, TRADING_STATUS_KEY, exchange_info
from depthcast.metadata.record import HeadInfo
from depthcast.venues.binance_rest import LIMIT_NOT_VALID, refuse_parameters
from depthcast.venues.bitmex_files import BITMEX
from depthcast.venues.requests import ApiError
from tests.conformance.depth_requests import Row, rows
from tests.infra.conftest import INFRA, private_paths, refused_part, script
from tests.infra.venue_requests import BINANCES, contracts, paths, products
from tests.infra.venue_requests import rows as rows_of_venues
from tests.programs import program

REQUEST = INFRA / "aws/request.js"
RESPONSE = INFRA / "aws/response.js"
RUNNER = Path(__file__).with_name("cloudfront.mjs")
ROWS = rows()
Json = dict[str, Any]


def run(function: Path, events: list[Json]) -> list[Json]:
    """What the function returns for each event, and which origin it chose."""
    lines = "".join(json.dumps(event) + "\n" for event in events)
    done = subprocess.run(
        [program("node"), RUNNER, function],
        input=lines,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def ask(
    query: str = "", uri: str = "/api/v3/depth", method: str = "GET", headers: Json | None = None
) -> Json:
    """A viewer's request, as CloudFront hands it over (and its query string as it was sent)."""
    held = {name: {"value": value} for name, value in (headers or {}).items()}
    return {"request": {"method": method, "uri": uri, "querystring": {}, "headers": held, "raw": query}}


def said(returned: Json) -> tuple[int, str | None]:
    """The status and the body of an answer that the function made itself."""
    return returned["statusCode"], returned.get("body", {}).get("data")


def refusal(error: ApiError) -> tuple[int, str]:
    return error.status, error.body().decode()


def alone(tmp_path: Path, venue: str = "binance", limits: tuple[int, ...] = LIMITS) -> Path:
    """The function as the template has it where there is no server to ask."""
    given = {"Limits": ",".join(map(str, limits)), "Venue": venue, "ServerOrigin": ""}
    path = tmp_path / f"{venue}.js"
    code: str = script("aws/embed.py").code("request.js")
    path.write_text(re.sub(r"\$\{(\w+)\}", lambda match: given[match[1]], code))
    return path


def as_sent(row: Row) -> str:
    return row.query.decode("utf-8", "surrogateescape")


def test_every_row_of_the_table_is_answered_as_it_says() -> None:
    answers = run(REQUEST, [ask(as_sent(row)) for row in ROWS])
    wrong = []
    for row, answer in zip(ROWS, answers, strict=True):
        returned, origin = answer["returned"], answer["origin"]
        if row.error is not None:
            good = said(returned) == refusal(row.error) and origin is None
        elif row.symbol_status is None and row.asked.limit in LIMITS:
            # The key as it is in the store, by what S3 makes of the path.
            key = unquote_to_bytes(returned["uri"].removeprefix("/")).decode()
            good = (key, returned["querystring"], origin) == (row.key, {}, None)
            good = good and "?" not in returned["uri"]
        else:
            wanted = {"symbol": quote(row.asked.symbol, safe=""), "limit": str(row.asked.limit)}
            if row.symbol_status is not None:
                wanted["symbolStatus"] = row.symbol_status
            asked = {name: sent["value"] for name, sent in returned["querystring"].items()}
            good = (asked, returned["uri"], origin) == (wanted, "/api/v3/depth", "server")
        if not good:
            wrong.append((row.query, answer))
    assert wrong == []


def test_without_a_server_what_files_cannot_answer_is_refused(tmp_path: Path) -> None:
    queries = ["symbol=ETHUSDT&limit=7", "symbol=ETHUSDT&symbolStatus=HALT", "symbol=ETHUSDT&limit=5"]
    between, status, plain = run(alone(tmp_path), [ask(query) for query in queries])
    assert said(between["returned"]) == refusal(LIMIT_NOT_VALID)
    msg = "Not all sent parameters were read; read '1' parameter(s) but was sent '2'."
    assert said(status["returned"]) == refusal(ApiError(400, -1104, msg))
    assert plain["returned"]["uri"].endswith("limit%3D5")


@pytest.mark.parametrize(
    "name", ["__proto__", "constructor", "hasOwnProperty", "%5F%5Fproto__", "币", "a%25E5", "%FF"]
)
def test_a_name_given_twice_is_told_whatever_it_is(name: str) -> None:
    once, twice = run(REQUEST, [ask(f"symbol=A&{name}=1"), ask(f"symbol=A&{name}=1&{name}=2")])
    assert json.loads(once["returned"]["body"]["data"])["code"] == -1104
    readable = unquote_to_bytes(name).decode("utf-8", "replace")
    error = ApiError(400, -1101, f"Duplicate values for parameter '{readable}'.")
    assert said(twice["returned"]) == refusal(error)


def test_what_the_function_answers_has_the_servers_headers() -> None:
    events = [
        ask("symbol=eth"),
        ask("", "/api/v3/ping"),
        ask("", "/api/v3/time", headers={"x-mbx-time-unit": "microsecond"}),
    ]
    for answer in run(REQUEST, events):
        headers = {name: header["value"] for name, header in answer["returned"]["headers"].items()}
        assert headers == {
            "content-type": "application/json;charset=UTF-8",
            "cache-control": "no-store",
            "access-control-allow-origin": "*",
            "x-content-type-options": "nosniff",
        }


def test_ping_and_time_take_no_parameters() -> None:
    queries = ["", "&", "=1", "a=1", "a=1&b=2", "a=1&a=2"]
    for uri in ("/api/v3/ping", "/api/v3/time"):
        for query, answer in zip(queries, run(REQUEST, [ask(q, uri) for q in queries]), strict=True):
            error = refuse_parameters(query.encode())
            if error is not None:
                assert said(answer["returned"]) == refusal(error)
                continue
            status, body = said(answer["returned"])
            assert status == 200
            assert re.fullmatch(
                r"\{\}" if uri.endswith("ping") else r'\{"serverTime":[0-9]{13}\}', body or ""
            )


def test_without_a_server_the_list_of_symbols_is_its_file_and_one_symbols_part_its_cut(
    tmp_path: Path,
) -> None:
    queries = {
        "": EXCHANGE_INFO.key,
        "&": EXCHANGE_INFO.key,
        "symbol=ETHUSDT": EXCHANGE_INFO.cut_key("ETHUSDT"),
        "&s%79mbol=%45THUSDT": EXCHANGE_INFO.cut_key("ETHUSDT"),
        "symbol=币安人生USDT": EXCHANGE_INFO.cut_key("币安人生USDT"),
    }
    uri = f"/{EXCHANGE_INFO_KEY}"
    answers = run(alone(tmp_path), [ask(query, uri) for query in queries])
    for (query, key), answer in zip(queries.items(), answers, strict=True):
        # The key as it is in the store, by what S3 makes of the path.
        returned = answer["returned"]
        assert unquote_to_bytes(returned["uri"].removeprefix("/")).decode() == key, query
        assert (returned["querystring"], answer["origin"]) == ({}, None)
    refused = ["symbol=", "symbol=eth", "symbol=A&symbol=B", "symbols=[]", "at=5", "symbol=A&at=5", "a=1&b=2"]
    for query, answer in zip(refused, run(alone(tmp_path), [ask(q, uri) for q in refused]), strict=True):
        error = refused_part(query.encode())
        assert error is not None
        assert said(answer["returned"]) == refusal(error)


def test_without_a_server_a_status_is_its_file_and_the_rest_is_not_there(tmp_path: Path) -> None:
    places = {f"/{SYSTEM_STATUS_KEY}": SYSTEM_STATUS_KEY, "/metadata/tradingStatus": TRADING_STATUS_KEY}
    for uri, key in places.items():
        for query, answer in zip(
            ["", "&", "at=5", "a=1&a=2"],
            run(alone(tmp_path), [ask(q, uri) for q in ("", "&", "at=5", "a=1&a=2")]),
            strict=True,
        ):
            error = refuse_parameters(query.encode())
            if error is not None:
                assert said(answer["returned"]) == refusal(error)
                continue
            assert answer["returned"]["uri"] == f"/{key}"
            assert answer["returned"]["querystring"] == {}
    gone = ["/", "/history/exchangeInfo", f"/{TRADING_STATUS_KEY}", "/metadata/exchangeInfo", "/fleet/a.json"]
    gone += ["/api/v3/depth%3Fsymbol%3DA%26limit%3D5", "/api/v3/ticker/bookTicker", "/constructor"]
    for answer in run(alone(tmp_path), [ask("", uri) for uri in gone]):
        assert said(answer["returned"]) == (404, None)


def test_with_a_server_what_is_no_book_goes_there_as_it_came() -> None:
    uris = [
        "/api/v3/exchangeInfo",
        "/sapi/v1/system/status",
        "/metadata/tradingStatus",
        "/history/exchangeInfo",
    ]
    for uri, answer in zip(uris, run(REQUEST, [ask("at=5&symbol=A", uri) for uri in uris]), strict=True):
        # The default origin of such paths is the servers'.
        assert (answer["returned"]["uri"], answer["origin"]) == (uri, None)
        assert "statusCode" not in answer["returned"]


def test_accounts_are_not_there_with_a_server_or_without(tmp_path: Path) -> None:
    paths = [*private_paths(), "/PRIVATE/main/api/v3/account", "//private/main/api/v3/account"]
    paths += ["/api/v3/../../private/metadata/main/account", "/private%2fmain"]
    for function in (REQUEST, alone(tmp_path)):
        for method in ("GET", "POST", "OPTIONS"):
            events = [ask("", path.partition("?")[0], method) for path in paths]
            for path, answer in zip(paths, run(function, events), strict=True):
                assert said(answer["returned"]) == (404, None), path


def test_a_list_of_symbols_is_json_that_is_not_kept_and_tells_nothing_of_the_bucket() -> None:
    about = HeadInfo(7, 1_723_161_253_000, "ab" * 32, "cd" * 32, "host-1", 1_723_161_253_000).to_metadata()
    held = {f"x-amz-meta-{name}": value for name, value in about.items()} | {"x-amz-request-id": "def"}
    held |= {"content-type": "application/json", "cache-control": "public", "etag": '"1"'}
    headers = {name: {"value": value} for name, value in held.items()}
    (answer,) = run(RESPONSE, [{"response": {"statusCode": 200, "headers": headers}}])
    assert {name: header["value"] for name, header in answer["returned"]["headers"].items()} == {
        "content-type": "application/json;charset=UTF-8",
        "cache-control": "no-store",
        "etag": '"1"',
        "depthcast-sequence": "7",
        "depthcast-observed-time": "1723161253000",
    }


def test_a_preflight_a_wrong_method_and_a_wrong_unit() -> None:
    preflight, posted, unit, micro, head = (
        answer["returned"]
        for answer in run(
            REQUEST,
            [
                ask("symbol=A", method="OPTIONS"),
                ask("symbol=A", method="POST"),
                ask("symbol=A", headers={"x-mbx-time-unit": "FORTNIGHT"}),
                ask("", "/api/v3/time", headers={"x-mbx-time-unit": "MICROSECOND"}),
                ask("symbol=A", method="HEAD"),
            ],
        )
    )
    assert preflight["statusCode"] == 204
    assert preflight["headers"]["access-control-allow-methods"]["value"] == "GET, HEAD, OPTIONS"
    assert (said(posted), posted["headers"]["allow"]["value"]) == ((405, None), "GET, HEAD, OPTIONS")
    assert json.loads(unit["body"]["data"])["code"] == -1194
    assert re.fullmatch(r'\{"serverTime":[0-9]{16}\}', micro["body"]["data"])
    assert head["uri"] == "/api/v3/depth%3Fsymbol%3DA%26limit%3D100"


def test_a_query_string_without_end_is_refused() -> None:
    (answer,) = run(REQUEST, [ask("symbol=A&x=" + "1" * 8192)])
    assert answer["returned"]["statusCode"] == 414


def file_headers(info: FileInfo, **more: str) -> Json:
    """What S3 answers for a file."""
    held = {f"x-amz-meta-{name}": value for name, value in info.to_metadata().items()}
    held |= {"x-amz-id-2": "abc", "x-amz-request-id": "def", "x-amz-server-side-encryption": "AES256"}
    held |= {"content-type": "application/json", "etag": '"1"', **more}
    return {name: {"value": value} for name, value in held.items()}


@pytest.mark.parametrize(
    ("status", "age", "state"),
    [("TRADING", "0", None), ("TRADING", "5", None), ("BREAK", "1", "halted"), ("BREAK", "60", "stale")],
)
def test_a_files_metadata_become_the_servers_headers(status: str, age: str, state: str | None) -> None:
    info = FileInfo(3, 4870, 113, False, True, 1723161253000, 1723161253021, "host-1", status)
    event = {"response": {"statusCode": 200, "headers": file_headers(info, age=age)}}
    (answer,) = run(RESPONSE, [event])
    headers = {name: header["value"] for name, header in answer["returned"]["headers"].items()}
    assert headers == {
        "age": age,
        "etag": '"1"',
        "content-type": "application/json;charset=UTF-8",
        "cache-control": "public, max-age=0, s-maxage=1, stale-while-revalidate=1",
        "depthcast-epoch": "3",
        "depthcast-certain": "bids=4870, asks=113;complete",
        "depthcast-current-time": "1723161253000",
        "depthcast-event-time": "1723161253000",
        "depthcast-publish-time": "1723161253021",
        "depthcast-status": status,
        **({"depthcast-state": state} if state is not None else {}),
    }


def test_an_answer_that_is_no_file_keeps_its_headers() -> None:
    headers = {"content-type": {"value": "application/json"}, "depthcast-state": {"value": "stale"}}
    (answer,) = run(RESPONSE, [{"response": {"statusCode": 200, "headers": headers}}])
    assert answer["returned"]["headers"] == headers


def test_a_304_says_what_a_file_says_but_its_type() -> None:
    info = FileInfo(3, 5, 5, False, False, 0, 2, "host-1", "HALT")
    (answer,) = run(RESPONSE, [{"response": {"statusCode": 304, "headers": file_headers(info)}}])
    assert "content-type" not in answer["returned"]["headers"]
    assert answer["returned"]["headers"]["depthcast-state"]["value"] == "halted"
    # Before the first diff nobody knows since when the book has been true.
    assert "depthcast-current-time" not in answer["returned"]["headers"]


@pytest.mark.parametrize("function", [REQUEST, RESPONSE])
def test_a_function_is_as_small_as_cloudfront_wants_it(function: Path) -> None:
    # Room for the parameters, which are filled in.
    assert len(script("aws/embed.py").code(function.name).encode()) < 9_900


# The venues beside the first, where files alone are served


def key_of(answer: Json) -> str:
    """The key that is read, by what S3 makes of the path."""
    returned = answer["returned"]
    assert "statusCode" not in returned, returned
    assert (returned["querystring"], answer["origin"]) == ({}, None)
    assert "?" not in returned["uri"]
    return unquote_to_bytes(returned["uri"].removeprefix("/")).decode()


def outcome(answer: Json) -> tuple[int, str | None] | str:
    """What was refused, or the key that is read."""
    return said(answer["returned"]) if "statusCode" in answer["returned"] else key_of(answer)


@pytest.mark.parametrize("own", BINANCES, ids=lambda scheme: scheme.venue)
def test_binances_other_venues_are_answered_as_they_word_it_at_their_paths(
    tmp_path: Path, own: Scheme
) -> None:
    function = alone(tmp_path, own.venue, own.limits)
    table = [(path, row) for row in rows_of_venues() if row.scheme == own for path in row.paths]
    answers = run(function, [ask(row.query, path) for path, row in table])
    wrong = []
    for (path, row), answer in zip(table, answers, strict=True):
        error = row.error
        if error is None and row.limit not in own.limits:
            error = LIMIT_NOT_VALID
        wanted = refusal(error) if error else row.key
        if outcome(answer) != wanted:
            wrong.append((path, row.query, outcome(answer), wanted))
    assert wrong == []
    assert sum(row.error is None for _, row in table) > 5
    for call, wanted in {"ping": r"\{\}", "time": r'\{"serverTime":[0-9]{13}\}'}.items():
        for answer in run(function, [ask("", path) for path in paths(own, call)]):
            assert re.fullmatch(wanted, said(answer["returned"])[1] or "")
    for answer in run(function, [ask("", path) for path in paths(own, "exchangeInfo")]):
        assert key_of(answer) == exchange_info(own).key
    (unit,) = run(function, [ask("symbol=A", f"/{own.root}depth", headers={"x-mbx-time-unit": "s"})])
    assert json.loads(unit["returned"]["body"]["data"])["code"] == -1194


def test_letters_of_a_contract_may_be_small_and_a_past_moment_is_a_servers(tmp_path: Path) -> None:
    function = alone(tmp_path, "binancecoinm", (5, 500))
    path = "/dapi/v1/depth"
    small, other, past = run(
        function, [ask(f"symbol=btcusd_perp{more}", path) for more in ("", "&limit=20", "&limit=5&at=1")]
    )
    assert key_of(small) == "dapi/v1/depth?symbol=BTCUSD_PERP&limit=500"
    assert said(other["returned"]) == refusal(ApiError(400, -4021, "20 is not valid depth limit"))
    msg = "Not all sent parameters were read; read '2' parameter(s) but was sent '3'."
    assert said(past["returned"]) == refusal(ApiError(400, -1104, msg))


def test_products_are_answered_by_their_level_and_refused_in_coinbases_words(tmp_path: Path) -> None:
    table = products()
    for folder in ("/products/", "/coinbaseexchange/products/"):
        events = []
        for row in table:
            path, _, query = row.query.partition("?")
            events.append(ask(query, folder + path, headers={"x-mbx-time-unit": "s"}))
        for row, answer in zip(
            table, run(alone(tmp_path, COINBASE.venue, COINBASE.limits), events), strict=True
        ):
            assert outcome(answer) == (refusal(row.error) if row.error else row.key), row.query
    assert {row.limit for row in table} >= set(COINBASE.limits)
    away = ["/products/../book", "/products/%2E%2E/book", "/products/BTC-USD/other", "/products/A/B/book"]
    function = alone(tmp_path, COINBASE.venue, COINBASE.limits)
    for answer in run(function, [ask("", uri) for uri in away]):
        assert answer["returned"]["statusCode"] == 404


def test_contracts_are_answered_by_their_depth_and_refused_in_bitmexs_words(tmp_path: Path) -> None:
    table = contracts()
    function = alone(tmp_path, BITMEX.venue, BITMEX.limits)
    for path in ("/api/v1/orderBook/L2", "/bitmex/api/v1/orderBook/L2"):
        for row, answer in zip(table, run(function, [ask(row.query, path) for row in table]), strict=True):
            if row.error is not None:
                wanted: tuple[int, str] | str = refusal(row.error)
            elif row.limit in BITMEX.limits:
                wanted = row.key
            else:
                body = '{"error":{"message":"This depth is not published.","name":"HTTPError"}}'
                wanted = (400, body)
            assert outcome(answer) == wanted, row.query
    assert any(row.error is None for row in table)


def test_only_the_stacks_venue_is_answered_beside_the_first(tmp_path: Path) -> None:
    asked = {
        "binanceus": ("/binanceus/api/v3/depth", "symbol=A"),
        "binanceusdm": ("/fapi/v1/depth", "symbol=A"),
        "binancecoinm": ("/dapi/v1/depth", "symbol=A"),
        "coinbaseexchange": ("/products/A/book", ""),
        "bitmex": ("/api/v1/orderBook/L2", "symbol=A"),
    }
    assert {"binance", *asked} == set(SCHEMES)
    events = [ask(query, path) for path, query in asked.values()]
    for venue in SCHEMES:
        answers = run(alone(tmp_path, venue, SCHEMES[venue].limits), events)
        for name, answer in zip(asked, answers, strict=True):
            if name == venue:
                assert key_of(answer)
            else:
                assert said(answer["returned"]) == (404, None)
    # With servers they are the servers', whatever the venue is.
    for (path, _), answer in zip(asked.values(), run(REQUEST, events), strict=True):
        assert (answer["returned"]["uri"], answer["origin"]) == (path, None)
