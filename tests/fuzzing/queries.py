"""What clients ask, read without a socket: query strings, websocket control messages, names and keys."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from depthcast.errors import BadFile, BadKey
from depthcast.files import (
    MAX_LIMIT,
    check_body,
    cut,
    depth_key,
    heartbeat_key,
    parse_heartbeat_key,
    parse_key,
    valid_symbol,
)
from depthcast.venues import binance_lists, binance_rest
from depthcast.venues.binance_streams import MAX_NAME_LENGTH, parse_name
from depthcast.venues.requests import ApiError, DepthRequest
from server.push.control import Request, parse_request
from server.push.names import parse_target
from tests.fuzzing.campaign import Case, Target, Verdict
from tests.fuzzing.examples import Market, read_json, read_levels
from tests.fuzzing.mutation import Mutator

QUERIES: Final[tuple[bytes, ...]] = (
    b"symbol=ETHUSDT&limit=5",
    b"limit=5000&symbol=ETHUSDT&symbolStatus=TRADING",
    b"symbol=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT&limit=100",
    b"symbols=[%22BTCUSDT%22,%22ETHUSDT%22]&symbolStatus=HALT",
    b'symbols=["BTCUSDT"]',
    b"symbol=BTCUSDT&permissions=SPOT&showPermissionSets=false",
    b"permissions=[%22SPOT%22,%22MARGIN%22]",
    b"symbol=ETHUSDT&limit=10&lastEventId=1000",
    b"streams=ethusdt@depth5/btcusdt@bookTicker&timeUnit=MICROSECOND",
    b"",
)
MESSAGES: Final[tuple[bytes, ...]] = (
    b'{"method":"SUBSCRIBE","params":["ethusdt@depth5@100ms","btcusdt@bookTicker"],"id":1}',
    b'{"method":"UNSUBSCRIBE","params":["ethusdt@depth5@100ms"],"id":"abc"}',
    b'{"method":"LIST_SUBSCRIPTIONS","id":3}',
    b'{"method":"SET_PROPERTY","params":["combined",true],"id":4}',
    b'{"method":"GET_PROPERTY","params":["combined"],"id":null}',
    b'{"method":[[["\\ud83d\\ude00"]]],"id":5}',
    b'{"method":"SUBSCRIBE","params":[],"id":6}',
)
NAMES: Final[tuple[bytes, ...]] = (
    b"api/v3/depth?symbol=ETHUSDT&limit=5",
    "api/v3/depth?symbol=币安人生USDT&limit=5000".encode(),
    b"fleet/host-1.json",
    b"ethusdt@depth20@100ms",
    b"ethusdt@bookTicker",
    b"/ws/ethusdt@depth5",
)

Parser = Callable[[bytes], object]

PARSERS: Final[tuple[Parser, ...]] = (
    binance_rest.parse_depth,
    binance_rest.refuse_parameters,
    binance_lists.parse_book_ticker,
    binance_lists.parse_exchange_info,
)


class Queries(Target):
    """Query strings, control messages and names: a request that can be carried out, or the exchange's refusal
    as a body that is JSON."""

    name = "queries"
    rounds = 700

    def draw(self, mutator: Mutator) -> Case:
        rng = mutator.rng
        market = Market(rng, levels=4)
        return (
            mutator.in_bytes(rng.choice(QUERIES), QUERIES)[:8192],
            mutator.either(rng.choice(MESSAGES), MESSAGES),
            mutator.in_bytes(rng.choice(NAMES), NAMES),
            mutator.either(market.body(), NAMES),
        )

    async def run(self, case: Case) -> Verdict:
        query, message, name, body = case
        accepted = [self._query(parse, query) for parse in PARSERS]
        accepted.append(self._message(message))
        self._name(name)
        accepted.append(self._file(body))
        return Verdict.ACCEPTED if any(accepted) else Verdict.REJECTED

    def _query(self, parse: Parser, query: bytes) -> bool:
        given = parse(query)
        if isinstance(given, ApiError):
            told = read_json(given.body())
            assert set(told) == {"code", "msg"}
            assert -1300 < given.code <= -1000
            assert 400 <= given.status < 500
            return False
        if isinstance(given, DepthRequest):
            assert valid_symbol(given.symbol)
            assert 1 <= given.limit <= MAX_LIMIT
            assert parse_key(depth_key(given.symbol, given.limit)) == (given.symbol, given.limit)
        assert binance_lists.depth_weight(query) > 0
        return True

    def _message(self, message: bytes) -> bool:
        try:
            text = message.decode()
        except UnicodeDecodeError:
            return False  # the connection is closed for it
        given = parse_request(text)
        carried_out = isinstance(given, Request)
        answer = given.result(list(given.params)[:1]) if isinstance(given, Request) else given.answer
        # What is said to a client is a frame of text, so it has to have UTF-8.
        answer.encode()
        try:
            told = json.loads(answer)
        except RecursionError:
            return False
        assert isinstance(told, dict)
        return carried_out

    def _name(self, name: bytes) -> None:
        text = name.decode("utf-8", "surrogateescape")
        with suppress(BadKey):
            assert depth_key(*parse_key(text)) == text
        with suppress(BadKey):
            assert heartbeat_key(parse_heartbeat_key(text)) == text
        stream = parse_name(text)
        assert stream is None or (valid_symbol(stream.symbol) and len(text) <= MAX_NAME_LENGTH)
        path, _, query = text.partition("?")
        parse_target(path, query)

    def _file(self, body: bytes) -> bool:
        """A file's frame is looked at, and it is cut: what is whole stays what it was, level by level."""
        try:
            update_id = check_body("k", body)
            parts = [cut(body, limit) for limit in (1, 3)]
        except BadFile:
            return False
        try:
            book = read_json(body)
            whole = book["lastUpdateId"] == update_id and list(book) == ["lastUpdateId", "bids", "asks"]
            sides = [read_levels(book[side]) for side in ("bids", "asks")]
        except (ValueError, KeyError, TypeError, RecursionError):
            return False
        if whole and None not in sides and json.dumps(book, separators=(",", ":")).encode() == body:
            for limit, part in zip((1, 3), parts, strict=True):
                shown = {
                    "lastUpdateId": update_id,
                    "bids": book["bids"][:limit],
                    "asks": book["asks"][:limit],
                }
                assert read_json(part) == shown
        return True
