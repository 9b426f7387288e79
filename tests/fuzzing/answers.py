"""What servers answer us: the exchange's REST bodies, and whole answers, byte by byte, of the exchange, of
object storage, and of a server of files.
"""

import asyncio
import gzip
import json
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from random import Random
from typing import Final, TypeVar

from depthcast.book import Book
from depthcast.errors import (
    BadFile,
    BadLevel,
    DepthcastError,
    SettingsError,
    StoreError,
    StoreUnavailable,
    VenueError,
    VenueUnavailable,
)
from depthcast.files import FileInfo, depth_key
from depthcast.reading import DepthFile, Reader
from depthcast.rest import Rest
from depthcast.store import UNCHANGED, StoredObject
from depthcast.store.aws import Aws
from depthcast.store.reading import ReadingS3Store
from depthcast.symbol_list import SymbolList
from depthcast.venues import ExchangeInfo, SymbolInfo
from depthcast.venues.binance import MAX_SILENCE_MS, Binance
from depthcast.venues.selection import select_symbols
from depthcast.weight import WeightBudget
from tests.fuzzing.campaign import Case, Target, Verdict
from tests.fuzzing.examples import EXCHANGE_INFO, Market, captured, read_json, read_levels
from tests.fuzzing.frames import told_book
from tests.fuzzing.mutation import Mutator

SYMBOL: Final = "ETHUSDT"
VENUE: Final = Binance()
QUICK_S: Final = 0.4

T = TypeVar("T")

ERRORS: Final[tuple[bytes, ...]] = (
    b'{"code":-1121,"msg":"Invalid symbol."}',
    b'{"code":-1003,"msg":"Way too much request weight used; IP banned until 1723161373000."}',
    b'{"code":-1000,"msg":"An unknown error occurred"}',
    b"<html><body><h2>404 Not found</h2></body></html>",
    b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code><Message>none</Message></Error>',
    b"",
)
STATUSES: Final = (200, 200, 200, 400, 403, 404, 418, 429, 451, 500, 503, 302, 204)
HEADERS: Final = (
    (
        "Retry-After",
        ("1", "120", "-1", "1e9", "9" * 400, "Wed, 21 Oct 2015 07:28:00 GMT", "x", "Mon, 99 Foo 0000", ""),
    ),
    ("X-MBX-USED-WEIGHT-1M", ("5", "6000", "-1", "9" * 400, "²", "", "1.5")),
    ("Content-Type", ("application/json", "text/html", "image/png; charset=\x00", "")),
    ("Content-Encoding", ("gzip", "br", "deflate", "zstd", "x", "gzip, gzip", "identity")),
    ("Location", ("/", "http://127.0.0.1:9/", "file:///etc/passwd", "http://[", "//", "")),
    ("ETag", ('"1"', "", '"' + "9" * 5000 + '"', 'W/"x"', "\xff")),
    ("Connection", ("close", "keep-alive", "upgrade")),
)


def one_line(error: DepthcastError) -> None:
    """An error is for people: one line, not too long."""
    assert "\n" not in str(error), f"an error of several lines: {error!s:.300}"
    assert len(str(error)) < 4000, f"an error of {len(str(error))} characters"


class Bodies(Target):
    """Bodies and refusals, read without a socket: what the documents show, or a VenueError."""

    name = "bodies"
    rounds = 700

    def draw(self, mutator: Mutator) -> Case:
        rng = mutator.rng
        market = Market(rng, SYMBOL)
        examples = (market.body(), EXCHANGE_INFO, EXCHANGE_INFO, rng.choice(ERRORS))
        body = mutator.either(rng.choice(examples), (*examples, *captured()[:50]))
        return body, b"%d" % rng.choice(STATUSES), *(part.encode() for part in _headers(rng))

    async def run(self, case: Case) -> Verdict:
        body, status, *headers = case
        given = dict(header.decode().split(": ", 1) for header in headers)
        self._refusal(body, int(status), given)
        accepted = self._snapshot(body)
        accepted |= self._info(body)
        accepted |= self._list(body)
        return Verdict.ACCEPTED if accepted else Verdict.REJECTED

    def _refusal(self, body: bytes, status: int, headers: dict[str, str]) -> None:
        error = VENUE.refusal(status, headers, body, url="http://x/y", now_ms=1_723_161_253_000)
        assert (error is None) == (status == 200)
        if error is not None:
            one_line(error)
            pause_ms = getattr(error, "retry_after_ms", 1000)
            assert 1000 <= pause_ms <= MAX_SILENCE_MS
        used = VENUE.used_weight(headers)
        assert used is None or used >= 0

    def _snapshot(self, body: bytes) -> bool:
        read = told_book(body)
        try:
            snapshot = VENUE.parse_snapshot(body, 5000)
            book = Book.of(snapshot)
        except (VenueError, BadLevel) as error:
            one_line(error)
            return False
        assert read is not None, "what is no book was taken for one"
        assert book.update_id == read[0]
        book.check()
        for side, levels in zip(book.strings(), (snapshot.bids, snapshot.asks), strict=True):
            assert side == list(map(list, levels))
        return True

    def _info(self, body: bytes) -> bool:
        try:
            info = VENUE.parse_exchange_info(body)
        except VenueError as error:
            one_line(error)
            return False
        check_info(info)
        try:
            selected = select_symbols(["all"], info)
        except SettingsError as error:
            one_line(error)
        else:
            assert all(info.symbols[symbol].status == "TRADING" for symbol in selected)
        # Nobody may be asked for at any pace, or for nothing any more, because of what it says.
        budget = WeightBudget(6000, share=0.8, background_share=0.4)
        budget.limit = info.request_weight_per_minute
        budget.reserve(250, 0)
        assert 0 <= budget.wait_ms(250, background=True, now_ms=1) <= 120_000
        assert budget.time_for_ms(5000, background=False, now_ms=1, each=250) >= 0
        budget.check()
        return True

    def _list(self, body: bytes) -> bool:
        try:
            whole = SymbolList.of(body)
            divided = whole.divide()
        except BadFile as error:
            one_line(error)
            return False
        assert body == whole.beginning() + whole.after or b'e":0' in body
        entries = b",".join(entry.body for entry in divided.entries)
        if b"".join((divided.between, entries, divided.behind)) == whole.after:
            for entry in divided.entries:
                assert isinstance(json.loads(entry.body), dict)
        return True


def check_info(info: ExchangeInfo) -> None:
    """What is believed of the exchange's list has the types that it is said to have."""
    assert type(info.request_weight_per_minute) is int
    assert info.request_weight_per_minute > 0
    for name, symbol in info.symbols.items():
        assert isinstance(symbol, SymbolInfo)
        assert name == symbol.symbol
        for text in (symbol.symbol, symbol.status, symbol.base_asset, symbol.quote_asset):
            assert type(text) is str, f"{text!r} is no text"
        for count in (symbol.base_precision, symbol.quote_precision):
            assert type(count) is int, f"{count!r} is no whole number"
            assert count >= 0


def _headers(rng: Random) -> list[str]:
    chosen = rng.sample(HEADERS, rng.choice((0, 1, 2, 4)))
    return [f"{name}: {rng.choice(values)}" for name, values in chosen]


# Whole answers over sockets


class Raw:
    """Answers every request on its socket with the bytes it was given, in their pieces, and closes.

    ``good``: what is answered by its path where nothing else is to be.
    """

    def __init__(self) -> None:
        self.pieces: Sequence[bytes] | None = None
        self.good: bytes = b""
        self.asked = 0
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> str:
        """Its URL."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**20)
        port = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    async def close(self) -> None:
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            self.asked += 1
            for piece in (self.good,) if self.pieces is None else self.pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
        self._open.discard(writer)
        writer.close()


def answer(body: bytes, *lines: str, status: str = "200 OK") -> bytes:
    """A whole answer, as it should be."""
    head = "\r\n".join((f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines, "Connection: close"))
    return head.encode() + b"\r\n\r\n" + body


def _bad_answers(mutator: Mutator, body: bytes, *lines: str) -> Case:
    """An answer that something is wrong with, in a few pieces."""
    rng = mutator.rng
    body = rng.choice((body, body, rng.choice(ERRORS)))
    if rng.random() < 0.5:
        body = mutator.either(body, (*ERRORS, EXCHANGE_INFO))
    if rng.random() < 0.2:
        packed = gzip.compress(body, mtime=0)
        body = mutator.in_bytes(packed) if rng.random() < 0.7 else packed
        lines = (*lines, "Content-Encoding: gzip")
    status = rng.choice(("200 OK", "200 OK", "200 OK", *map(str, STATUSES), "999 X", "-1", "200", "99999 Y"))
    whole = answer(body, *lines, *_headers(rng), status=status)
    head, _, rest = whole.partition(b"\r\n\r\n")
    match rng.randrange(8):
        case 0:
            whole = mutator.in_bytes(whole)
        case 1:
            whole = mutator.in_bytes(head) + b"\r\n\r\n" + rest
        case 2:  # another length than there is
            length = rng.choice((b"0", b"-1", b"1", b"99999999", b"9" * 30, b"1, 2", b"x", b"", b"0x10"))
            whole = head.replace(b"Content-Length: %d" % len(body), b"Content-Length: " + length)
            whole += b"\r\n\r\n" + rest
        case 3:  # chunks, and what is wrong with them
            chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(rest), rest)
            whole = head.replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked")
            whole += b"\r\n\r\n" + (mutator.in_bytes(chunks) if rng.random() < 0.7 else chunks)
        case 4:
            whole = whole[: rng.randrange(len(whole) + 1)]
        case 5:  # more than one
            whole = b"HTTP/1.1 100 Continue\r\n\r\n" * rng.choice((1, 3)) + whole + whole
        case 6:
            whole = head + b"\r\nX-Long: " + b"a" * rng.choice((8000, 9000, 70_000)) + b"\r\n\r\n" + rest
        case _:
            pass
    cuts = sorted(rng.sample(range(len(whole) + 1), min(len(whole), rng.choice((0, 0, 1, 4)))))
    return tuple(whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True) if a < b)


class RestAnswers(Target):
    """Answers to the exchange's REST client: a snapshot that is in them, or a VenueError; then a good one."""

    name = "rest"
    rounds = 250

    async def open(self) -> None:
        self._raw = Raw()
        url = await self._raw.start()
        self._now = 1000.0
        self._rest = Rest(
            Binance(url, VENUE.ws_url),
            attempts=1,
            # After some broken chunks aiohttp waits for more although the connection is closed.
            answer_timeout_s=QUICK_S,
            max_body_bytes=2**20,
            clock=lambda: self._now,
            wall_ms=lambda: round(self._now * 1000),
            sleep=self._sleep,
            rng=Random(1),
        )

    async def _sleep(self, seconds: float) -> None:
        self._now += seconds
        await asyncio.sleep(0)

    async def close(self) -> None:
        await self._rest.close()
        await self._raw.close()

    async def quiet(self) -> None:
        assert self._rest.pending == 0
        await _until_few(lambda: len(self._raw._open), 0)

    def draw(self, mutator: Mutator) -> Case:
        market = Market(mutator.rng, SYMBOL)
        return market.body(), *_bad_answers(mutator, market.body(), "Content-Type: application/json")

    async def run(self, case: Case) -> Verdict:
        good, *pieces = case
        raw = self._raw
        raw.pieces = pieces
        verdict = Verdict.ACCEPTED
        try:
            snapshot = await self._rest.snapshot(SYMBOL, 5000)
        except VenueError as error:
            one_line(error)
            verdict = Verdict.REJECTED
        else:
            assert type(snapshot.update_id) is int
        # Whatever pause was asked for is over, and a good answer is taken.
        self._now += MAX_SILENCE_MS / 1000 + 600
        raw.pieces, raw.good = None, answer(good)
        again = await _persistently(lambda: self._rest.snapshot(SYMBOL, 5000), VenueUnavailable)
        assert (again.update_id, list(map(list, again.bids))) == (
            json.loads(good)["lastUpdateId"],
            json.loads(good)["bids"],
        )
        assert self._rest.weight_used >= 0
        return verdict


async def _persistently(ask: Callable[[], Awaitable[T]], slow: type[DepthcastError]) -> T:
    """A good answer: that a machine is slow is no fault."""
    for _ in range(30):
        try:
            return await ask()
        except slow:
            continue
    return await ask()


async def _until_few(count: Callable[[], int], most: int) -> None:
    for _ in range(500):
        if count() <= most:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{count()} are left, more than {most}")


class StoreAnswers(Target):
    """Answers to the reading client of stores: an object, that there is none, or a StoreError; then a good
    one."""

    name = "store"
    rounds = 250

    async def open(self) -> None:
        self._raw = Raw()
        url = await self._raw.start()
        aws = Aws(endpoint=url, access_key_id="key", secret_access_key="secret")
        self._store = ReadingS3Store("bucket", aws=aws, max_body_bytes=2**20, request_timeout_s=QUICK_S)

    async def close(self) -> None:
        await self._store.close()
        await self._raw.close()

    async def quiet(self) -> None:
        self._store.check()
        await _until_few(lambda: len(self._raw._open), 0)

    def draw(self, mutator: Mutator) -> Case:
        market = Market(mutator.rng, SYMBOL)
        way = mutator.rng.choice((b"get", b"peek", b"if"))
        return way, market.body(), *_bad_answers(mutator, market.body(), 'ETag: "e"', "x-amz-meta-epoch: 1")

    async def run(self, case: Case) -> Verdict:
        way, good, *pieces = case
        raw, store = self._raw, self._store
        raw.pieces = pieces
        key = depth_key(SYMBOL, 5)
        verdict = Verdict.ACCEPTED
        try:
            match way:
                case b"get":
                    found = await store.get(key)
                case b"peek":
                    found = await store.peek(key, 64)
                    assert found is None or len(found.body) <= 64
                case _:
                    changed = await store.get_if_changed(key, '"f"')
                    found = None if changed is UNCHANGED else changed
        except StoreError as error:
            one_line(error)
            verdict = Verdict.REJECTED
        else:
            assert found is None or isinstance(found, StoredObject)
        raw.pieces, raw.good = None, answer(good, 'ETag: "g"', "x-amz-meta-epoch: 1")
        held = await _persistently(lambda: store.get(key), StoreUnavailable)
        assert held is not None
        assert (held.body, held.etag, held.metadata["epoch"]) == (good, '"g"', "1")
        return verdict


INFO: Final = FileInfo(0, 6, 6, True, True, 1_723_161_253_000, 1_723_161_253_021, "a")


class WebAnswers(Target):
    """Answers to who reads files over HTTP: a file that is in them, or one of our errors; then a good one."""

    name = "web"
    rounds = 200

    async def open(self) -> None:
        self._raw = Raw()
        self._url = await self._raw.start()

    async def close(self) -> None:
        await self._raw.close()

    async def quiet(self) -> None:
        await _until_few(lambda: len(self._raw._open), 0)

    def draw(self, mutator: Mutator) -> Case:
        rng = mutator.rng
        market = Market(rng, SYMBOL)
        metadata = [f"x-amz-meta-{name}: {value}" for name, value in INFO.to_metadata().items()]
        told = [
            "depthcast-epoch: 1",
            "depthcast-certain: bids=6;complete, asks=6",
            f"depthcast-event-time: {rng.choice(('1', '-1', '9' * 400, 'x'))}",
        ]
        return market.body(), *_bad_answers(mutator, market.body(), *rng.choice((metadata, told, [])))

    async def run(self, case: Case) -> Verdict:
        good, *pieces = case
        verdict = Verdict.ACCEPTED
        async with Reader(self._url, attempts=1, timeout_s=QUICK_S) as reader:
            self._raw.pieces = pieces
            try:
                found = await reader.read(SYMBOL, 5)
            except DepthcastError as error:
                one_line(error)
                verdict = Verdict.REJECTED
            else:
                check_file(found)
        async with Reader(self._url, attempts=3, sleep=_at_once, rng=Random(1)) as reader:
            self._raw.pieces, self._raw.good = None, answer(good)
            again = await reader.read(SYMBOL, 5)
            assert [list(level) for level in again.exact_bids] == json.loads(good)["bids"][:5]
        return verdict


async def _at_once(_seconds: float) -> None:
    await asyncio.sleep(0)


def check_file(file: DepthFile) -> None:
    """What is given out as a file is one: plain numbers, as they are in its body, and records of them."""
    book = read_json(file.body)
    assert type(book["lastUpdateId"]) is int
    for exact, numbers, side in ((file.exact_bids, file.bids, "bids"), (file.exact_asks, file.asks, "asks")):
        levels = read_levels(book[side])
        assert levels is not None, f"levels that are none were given out: {exact!r:.300}"
        assert list(exact) == levels
        assert all(math.isfinite(price) and math.isfinite(amount) for price, amount in numbers)
        assert len(exact) <= file.limit
    assert len(file.to_records()) == len(file.bids) + len(file.asks)
