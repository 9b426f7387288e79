"""What clients send to the server, over sockets: requests, whatever is wrong with them, and websocket
frames."""

import struct
from collections.abc import Mapping
from random import Random
from typing import Final

from tests.fuzzing.campaign import Case, Target, Verdict
from tests.fuzzing.mutation import Mutator
from tests.fuzzing.queries import MESSAGES, QUERIES
from tests.fuzzing.site import Client, Site, answers, is_book, timeless, turns

PATHS: Final = (
    b"/api/v3/depth",
    b"/api/v3/depth",
    b"/api/v3/ticker/bookTicker",
    b"/api/v3/exchangeInfo",
    b"/api/v3/ping",
    b"/api/v3/time",
    b"/stream/depth",
    b"/healthz",
    b"/metrics",
    b"/openapi.json",
    b"/nowhere",
    b"/ws",
)
VALID: Final[tuple[bytes, ...]] = (
    b"GET /api/v3/depth?symbol=ETHUSDT&limit=5 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /api/v3/depth?symbol=ETHUSDT&limit=73 HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n",
    "GET /api/v3/depth?symbol=币安人生USDT&limit=20 HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    b"GET /api/v3/depth?symbol=NOSUCH&limit=5 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /api/v3/ticker/bookTicker?symbol=BTCUSDT HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /api/v3/exchangeInfo?symbol=BTCUSDT HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\n\r\n",
    b"HEAD /api/v3/depth?symbol=ETHUSDT&limit=5 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"OPTIONS /api/v3/depth HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /api/v3/depth HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
    b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
)

HIDDEN: Final = b"GET /api/v3/depth?symbol=ETHUSDT&limit=3 HTTP/1.1\r\nHost: x\r\n\r\n"
"""Stands where by one reading of a request's length its body is, and by another one the next request. Nobody
else asks for three levels: an answer with them shows that the body was taken for a request."""

LENGTHS: Final[tuple[tuple[bytes, ...], ...]] = (
    (b"Content-Length: %(n)d", b"Transfer-Encoding: chunked"),
    (b"Transfer-Encoding: chunked", b"Content-Length: %(n)d"),
    (b"Content-Length: %(n)d", b"Content-Length: 0"),
    (b"Content-Length: 0", b"Content-Length: %(n)d"),
    (b"Content-Length: %(n)d, 0",),
    (b"Content-Length: +0", b"X: %(n)d"),
    (b"Content-Length: 0x0",),
    (b"Content-Length : %(n)d",),
    (b"Content-Length: -1",),
    (b"Content-Length:\x0b%(n)d", b"X: y"),
    (b"Content-Length: %(n)d\x00",),
    (b"Content-Length: 99999999999999999999",),
    (b"Transfer-Encoding: chunked, identity",),
    (b"Transfer-Encoding: xchunked",),
    (b"Transfer-Encoding: chunked\x00",),
    (b"Transfer-Encoding : chunked",),
    (b"Transfer-Encoding: \x0bchunked",),
    (b"Transfer-Encoding: gzip", b"Content-Length: %(n)d"),
    (b"X: y\n Transfer-Encoding: chunked", b"Content-Length: %(n)d"),
    (b" Content-Length: %(n)d",),
)
"""Headers by which a request's end can be read in two ways, or in none; whoever closes the connection after
it or refuses it is right."""

HEADER_LINES: Final = (
    b"Accept-Encoding: gzip, br;q=0.5, zstd",
    b"Accept-Encoding: " + b"gzip;q=1," * 300,
    b"If-None-Match: *",
    b'If-None-Match: "0-1000-5-5-5", W/"x", \xff',
    b"If-Modified-Since: Wed, 21 Oct 2015 07:28:00 GMT",
    b"If-Modified-Since: Wed, 99 Foo 99999 99:99:99 GMT",
    b"X-MBX-TIME-UNIT: MICROSECOND",
    b"X-MBX-TIME-UNIT: parsec",
    b"X-Forwarded-For: " + b"1.2.3.4, " * 500,
    b"X-Forwarded-For: [::1%\xff",
    b"Last-Event-ID: 1000",
    b"Last-Event-ID: " + b"9" * 5000,
    b"Last-Event-ID: -1\x00",
    b"Expect: 100-continue",
    b"Connection: close",
    b"Connection: keep-alive, Upgrade",
    b"Upgrade: h2c",
    b"Upgrade: websocket",
    b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    b"Range: bytes=0-1",
    b"Cookie: " + b"a" * 9000,
    b"Host: y",
)
BAD_LINES: Final = (
    b"Bad Name: 1",
    b": no name",
    b"no colon",
    b"folded: 1\r\n 2",
    b"nul: \x00",
)

METHODS: Final = (
    (b"GET",) * 30 + (b"POST",) * 6 + (b"OPTIONS", b"DELETE", b"PUT", b"get", b"PRI", b"CONNECT", b"")
)
VERSIONS: Final = (b"HTTP/1.1",) * 30 + (b"HTTP/1.0",) * 3 + (b"HTTP/0.9", b"HTTP/2.0", b"HTTP/9", b"")
MORE_TARGETS: Final = (
    b"http://x/api/v3/ping",
    b"http://x",
    b"https://user@[::1]:99999/api/v3/depth?symbol=ETHUSDT",
    b"*",
    b"x:443",
    b"//x/api/v3/ping",
    b"/api/v3/../v3/ping",
    b"/api/v3/%70ing",
    b"/%ff%fe%00",
    b"/api/v3/depth?symbol=%zz%",
    b"/api/v3/depth?symbol=ETHUSDT#fragment",
    b"/" + b"a" * 9000,
    b"/api/v3/depth?" + b"a=b&" * 3000,
    b"/api/v3/depth?symbol=" + b"A" * 70_000,
    b"/\xff\xfe\x80",
    b"/ a b",
    b"",
)
ALLOWED: Final = frozenset((100, 101, 200, 204, 304, 400, 404, 405, 414, 426, 431))
"""What may be answered to whatever is sent. No 5xx: the server does what it can, or refuses."""

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"


class Http(Target):
    """Requests over sockets. Each is answered by what may be answered, in whole answers of HTTP/1.1, or by
    the end of the connection; books that are answered are the published ones; a request hidden in another
    one's body is not answered; and valid requests, on connections of their own and on one that lasts, get
    byte for byte what they got before anything else was asked."""

    name = "http"
    rounds = 500
    # Answers that were prepared, requests that were read: each kind is kept in a cache with a bound.
    bounded: Mapping[str, int] = {
        "server.fast.Prepared": 4096,
        "server.answers.Asked": 4096,
        "server.answers.Answer": 4096,
        "server.answers.Hold": 4096,
        "server.variants.Variants": 4096,
        "server.variants.Variant": 4096,
        "depthcast.venues.requests.DepthRequest": 4096,
        "depthcast.venues.requests.ApiError": 4 * 4096,
        "depthcast.venues.binance_lists.TickerRequest": 4096,
        "depthcast.venues.binance_lists.ExchangeInfoRequest": 4096,
    }

    async def open(self) -> None:
        self.site = Site()
        await self.site.start()
        await self._learn()
        self._neighbour: Client | None = None

    async def _learn(self) -> None:
        """What valid requests are answered, by the library and by memory."""
        self._expected: dict[bytes, bytes] = {}
        for asked in VALID:
            told = [timeless(await self.site.talk(asked)) for _ in range(3)]
            assert told[0] == told[1] == told[2], f"{told[0]!r} and {told[1]!r}"
            self._expected[asked] = told[0]

    async def close(self) -> None:
        if self._neighbour is not None:
            self._neighbour.leave()
        await self.site.stop()

    async def quiet(self) -> None:
        if self._neighbour is not None:
            self._neighbour.leave()
            self._neighbour = None
        await self.site.quiet()

    def draw(self, mutator: Mutator) -> Case:
        rng = mutator.rng
        hidden = rng.random() < 0.2
        wire = (
            _smuggled(rng)
            if hidden
            else b"".join(_request(mutator) for _ in range(rng.choice((1, 1, 1, 2, 5))))
        )
        if not hidden and rng.random() < 0.3:
            wire = mutator.in_bytes(wire, (*VALID, _PREFACE))
        elif not hidden and rng.random() < 0.05:
            wire = _PREFACE
        return (b"%d" % rng.randrange(len(VALID)), b"hidden" if hidden else b"", *_pieces(rng, wire))

    async def run(self, case: Case) -> Verdict:
        asked = VALID[int(case[0])]
        hidden = bool(case[1])
        site = self.site
        client = await Client.to(site)
        try:
            await client.say(*case[2:])
            data = client.take()
            verdict = self._judge(data, hidden=hidden, head=b"HEAD" in b"".join(case[2:]))
        finally:
            client.leave()
        site.check()
        await self._interleave(asked)
        return verdict

    def _judge(self, data: bytes, *, hidden: bool, head: bool) -> Verdict:
        if head:  # without the question nobody can tell where an answer to HEAD ends
            return Verdict.ACCEPTED
        found, _ = answers(data)
        closing = [b"connection" in answer.headers and answer.status == 400 for answer in found]
        assert not any(closing[:-1]), "an answer after the one that ends the connection"
        for answer in found:
            assert answer.status in ALLOWED, f"{answer.status}: {answer.body[:200]!r}"
            if answer.status == 200 and answer.body.startswith(b'{"lastUpdateId"') and answer.whole:
                assert is_book(answer.body), f"no published book: {answer.body[:300]!r}"
                levels = answer.body.count(b'","')
                assert not (hidden and levels == 6), "a request that is another one's body was answered"
        return Verdict.ACCEPTED if any(answer.status < 400 for answer in found) else Verdict.REJECTED

    async def _interleave(self, asked: bytes) -> None:
        """A valid request on a connection of its own, and on one that has been there for long."""
        expected = self._expected[asked]
        answered = timeless(await self.site.talk(asked))
        assert answered == expected, f"{answered[:600]!r} in place of {expected[:600]!r}"
        neighbour = self._neighbour
        if neighbour is None or neighbour.closed:
            neighbour = self._neighbour = await Client.to(self.site)
        await neighbour.say(asked)
        answered = timeless(neighbour.take())
        assert answered == expected, f"{answered[:600]!r} in place of {expected[:600]!r}"


def _request(mutator: Mutator) -> bytes:
    """A request that a client might mean."""
    rng = mutator.rng
    if rng.random() < 0.2:
        return rng.choice([each for each in VALID if not each.startswith(b"HEAD")])
    changed = mutator.in_bytes(rng.choice(QUERIES), QUERIES)
    target = (
        rng.choice(PATHS) + b"?" + changed.translate(None, b" \r\n\x00" if rng.random() < 0.9 else b"\r\n")
    )
    if rng.random() < 0.5:
        target = rng.choice(PATHS) + b"?" + rng.choice(QUERIES)
    if rng.random() < 0.15:
        target = rng.choice(MORE_TARGETS)
    lines = [b"Host: x", *rng.sample(HEADER_LINES, rng.choice((0, 0, 1, 2, 6)))]
    if rng.random() < 0.1:
        lines.append(rng.choice(BAD_LINES))
    body = b""
    match rng.randrange(8):
        case 0:
            body = rng.randbytes(rng.choice((1, 100, 70_000)))
            lines.append(b"Content-Length: %d" % len(body))
        case 1:
            body = (
                b"".join(b"%x\r\n%b\r\n" % (n, b"x" * n) for n in rng.sample(range(1, 40), 3)) + b"0\r\n\r\n"
            )
            body = mutator.in_bytes(body) if rng.random() < 0.5 else body
            lines.append(b"Transfer-Encoding: chunked")
        case 2:
            lines += [b"X-%d: %d" % (n, n) for n in range(rng.choice((50, 500, 6000)))]
        case _:
            pass
    first = b" ".join((rng.choice(METHODS), target, rng.choice(VERSIONS)))
    end = b"\n" if rng.random() < 0.05 else b"\r\n"
    return end.join((first, *lines, b"", b"")) + body


def _smuggled(rng: Random) -> bytes:
    """A request in whose body there is another one, by one reading of its length."""
    chosen = rng.choice(LENGTHS)
    chunked = any(b"hunked" in line for line in chosen)
    body = b"0\r\n\r\n" + HIDDEN if chunked else HIDDEN
    lines = [line % {b"n": len(body)} if b"%(n)d" in line else line for line in chosen]
    method = rng.choice((b"POST", b"GET", b"PUT"))
    return b"\r\n".join((method + b" /api/v3/ping HTTP/1.1", b"Host: x", *lines, b"", b"")) + body


def _pieces(rng: Random, wire: bytes) -> Case:
    """The same bytes whole, in a few pieces, or one by one."""
    match rng.randrange(5):
        case 0 | 1:
            return (wire,)
        case 2 if len(wire) < 400:
            return tuple(wire[at : at + 1] for at in range(len(wire)))
        case _:
            cuts = sorted(rng.sample(range(len(wire) + 1), min(len(wire), rng.choice((1, 2, 5)))))
            return tuple(wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True) if a < b)


class Split(Target):
    """Each valid request, split at each position and alone or with the next one in the same bytes: the
    answers are those to whole ones. A case for each position, in turn, not by chance."""

    name = "split"
    rounds = 120

    async def open(self) -> None:
        self._http = Http()
        await self._http.open()

    async def close(self) -> None:
        await self._http.close()

    async def quiet(self) -> None:
        await self._http.quiet()

    def draw(self, mutator: Mutator) -> Case:
        rng = mutator.rng
        first, second = rng.choice(VALID), rng.choice(VALID)
        if not second.isascii():
            second = b""  # a URL in UTF-8 is understood where it begins what is read, and not in the middle
        wire = first + second
        at = rng.randrange(len(wire) + 1)
        return first, second, wire[:at], wire[at:]

    async def run(self, case: Case) -> Verdict:
        first, second, *pieces = case
        answered = timeless(await self._http.site.talk(*(piece for piece in pieces if piece)))
        expected = self._http._expected[first] + self._http._expected.get(second, b"")
        # Between its own requests a connection may be answered in other pieces, never in other bytes.
        assert answered == expected, f"{answered[:800]!r} in place of {expected[:800]!r}"
        return Verdict.ACCEPTED


HANDSHAKE: Final = (
    b"GET %b HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%b\r\n"
)
WS_TARGETS: Final = (
    b"/ws",
    b"/ws/ethusdt@depth5@100ms",
    b"/stream?streams=ethusdt@depth5/btcusdt@bookTicker",
    b"/stream?streams=" + b"/".join(b"x%dusdt@depth5" % n for n in range(300)),
    b"/ws/%ff%fe",
    b"/stream?streams=%00&timeUnit=\xff",
    b"/nowhere",
)


class Websockets(Target):
    """Handshakes and frames, well-formed and not: what comes back are well-formed frames of the server's and
    the end of the connection where there has to be one; then nobody listens any more."""

    name = "websockets"
    rounds = 250

    async def open(self) -> None:
        self.site = Site()
        await self.site.start()

    async def close(self) -> None:
        await self.site.stop()

    async def quiet(self) -> None:
        self.site.cut()
        await self.site.quiet()
        assert self.site.service.hub.subscriptions == 0
        assert not any(map(len, self.site.service.channels.values()))

    def draw(self, mutator: Mutator) -> Case:
        rng = mutator.rng
        head = HANDSHAKE % (
            rng.choice(WS_TARGETS),
            rng.choice((b"", b"Sec-WebSocket-Extensions: permessage-deflate\r\n")),
        )
        if rng.random() < 0.15:
            head = mutator.in_bytes(head, VALID)
        frames = b"".join(_frame(mutator) for _ in range(rng.choice((1, 2, 4, 8))))
        if rng.random() < 0.4:
            frames = mutator.in_bytes(frames)
        return (head, *_pieces(rng, frames))

    async def run(self, case: Case) -> Verdict:
        site = self.site
        client = await Client.to(site)
        try:
            await client.say(case[0])
            first = client.take()
            found, _ = answers(first)
            for answer in found:
                assert answer.status in ALLOWED, f"{answer.status}: {answer.body[:200]!r}"
            if not found or found[0].status != 101:
                return Verdict.REJECTED
            await client.say(*case[1:])
            for _ in range(8):
                await client.say()
            assert server_frames(found[0].body + client.take()) is not None
            site.check()
        finally:
            client.leave()
            await turns(lambda: not site.state.connections, lambda: f"{site.state.connections} stay")
        assert site.service.hub.subscriptions == 0, "somebody who is gone is counted as listening"
        assert not any(map(len, site.service.channels.values()))
        return Verdict.ACCEPTED


def _frame(mutator: Mutator) -> bytes:
    """A client's frame (RFC 6455, 5.2); now and then one that no client may send."""
    rng = mutator.rng
    payload = mutator.either(rng.choice(MESSAGES), MESSAGES) if rng.random() < 0.7 else rng.choice(MESSAGES)
    opcode = rng.choice((1, 1, 1, 1, 2, 0, 8, 9, 10, 3, 15))
    if opcode in (8, 9, 10) and rng.random() < 0.8:
        payload = rng.choice((b"", b"\x03\xe8bye", b"\x03", b"\xff\xff", b"\x03\xe8\xff\xfe", payload[:125]))
    first = opcode | rng.choice((0x80, 0x80, 0x80, 0x80, 0x00, 0xC0, 0xF0))
    mask = rng.randbytes(4) if rng.random() < 0.9 else b""
    length = rng.choice((len(payload),) * 12 + (0, 2**16, 2**31, 2**63, 2**64 - 1))
    bit = 0x80 if mask else 0
    if length < 126 and rng.random() < 0.95:
        head = bytes((first, bit | length))
    elif length < 2**16 and rng.random() < 0.95:
        head = bytes((first, bit | 126)) + struct.pack("!H", length)
    else:
        head = bytes((first, bit | 127)) + struct.pack("!Q", length)
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)) if mask else payload
    return head + mask + masked


def server_frames(data: bytes) -> list[tuple[int, bytes]]:
    """What a server said, as (opcode, payload). Raises AssertionError for frames that no server may send."""
    frames: list[tuple[int, bytes]] = []
    while len(data) >= 2:
        first, length = data[0], data[1]
        assert first & 0x70 == 0, "a reserved bit"
        assert first & 0x80, "a fragment"
        assert length < 128, "a server's frame is masked"
        at = 2
        if length == 126:
            length, at = struct.unpack("!H", data[2:4])[0], 4
        elif length == 127:
            length, at = struct.unpack("!Q", data[2:10])[0], 10
        payload = data[at : at + length]
        if len(payload) < length:
            break
        opcode = first & 0x0F
        assert opcode in (1, 8, 9, 10), f"opcode {opcode}"
        if opcode == 1:
            payload.decode()
        # A ping is answered until the other end closes too (RFC 6455, 5.5.2); nothing else is said.
        assert opcode == 10 or all(earlier != 8 for earlier, _ in frames), "it went on after its closing"
        frames.append((opcode, payload))
        data = data[at + length :]
    return frames
