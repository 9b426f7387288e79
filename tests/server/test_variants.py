"""One body in several codings: which one is given to whom, under which tag, and what is kept."""

import asyncio
import gzip
from collections.abc import Awaitable

import pytest
import zstandard

from server import variants as module
from server.answers import Answer, Asked
from server.encodings import ASIDE_BYTES, WORTHWHILE_BYTES, Coding, encode
from server.freshness import Currency, State
from server.variants import Variants

LIVE, STALE = Currency(State.LIVE), Currency(State.STALE)
SMALL = b"x" * (WORTHWHILE_BYTES - 1)
MIDDLING = b'["1.00000000","2.00000000"],' * 100
LONG = b'["1.00000000","2.00000000"],' * 1000
assert WORTHWHILE_BYTES <= len(MIDDLING) <= ASIDE_BYTES < len(LONG)

HEADERS = ((b"cache-control", b"no-cache"), (b"vary", b"accept-encoding"))


def variants(body: bytes) -> Variants:
    return Variants(body, b"1-2-3", HEADERS)


def header(answer: Answer, name: str) -> str | None:
    found = [value.decode() for key, value in answer.headers if key == name.encode()]
    assert len(found) <= 1
    return found[0] if found else None


async def given(
    made: Variants, accept: str | None = None, have: str | None = None, *, now: Currency = LIVE
) -> Answer:
    asked = Asked(
        accept_encoding=accept.encode() if accept is not None else None,
        if_none_match=have.encode() if have is not None else None,
    )
    answer = made.answer(asked, now)
    if not isinstance(answer, Answer):
        answer = await answer
    assert header(answer, "vary") == "accept-encoding"
    if answer.status == 200:
        assert header(answer, "content-length") == str(len(answer.body))
    return answer


@pytest.mark.parametrize("body", [MIDDLING, LONG], ids=len)
@pytest.mark.parametrize("accept", [None, "gzip, deflate", "gzip, deflate, br, zstd"])
async def test_each_client_gets_the_body_as_it_reads_it_best(body: bytes, accept: str | None) -> None:
    answer = await given(variants(body), accept)
    coding = header(answer, "content-encoding")
    if accept is None:
        assert coding is None
        assert answer.body == body
    elif "zstd" in accept:
        assert coding == "zstd"
        assert zstandard.ZstdDecompressor().decompress(answer.body) == body
    else:
        assert coding == "gzip"
        assert gzip.decompress(answer.body) == body


async def test_a_small_body_is_given_as_it_is_to_who_takes_it() -> None:
    made = variants(SMALL)
    for accept in ("gzip", "zstd;q=1, identity;q=0.1", "*"):
        answer = await given(made, accept)
        assert (header(answer, "content-encoding"), answer.body) == (None, SMALL)
    answer = await given(made, "gzip, identity;q=0")
    assert gzip.decompress(answer.body) == SMALL


async def test_each_coding_has_a_tag_of_its_own() -> None:
    made = variants(MIDDLING)
    tags = [header(await given(made, accept), "etag") for accept in ("identity", "gzip", "zstd")]
    assert tags == ['"1-2-3"', '"1-2-3-gzip"', '"1-2-3-zstd"']


@pytest.mark.parametrize(
    ("accept", "have", "tag"),
    [
        # Who has what it would be given
        (None, '"1-2-3"', '"1-2-3"'),
        ("gzip", '"1-2-3-gzip"', '"1-2-3-gzip"'),
        ("gzip, zstd", '"1-2-3-zstd"', '"1-2-3-zstd"'),
        ("gzip", 'W/"1-2-3-gzip"', '"1-2-3-gzip"'),
        ("gzip", '"0-0-0", "1-2-3-gzip"', '"1-2-3-gzip"'),
        # ... or the same book in another coding that it accepts
        ("gzip", '"1-2-3"', '"1-2-3"'),
        ("gzip, zstd", '"1-2-3-gzip"', '"1-2-3-gzip"'),
        ("gzip, zstd", '"1-2-3", "1-2-3-gzip"', '"1-2-3-gzip"'),
        ("gzip", "*", '"1-2-3-gzip"'),
        (None, " * ", '"1-2-3"'),
        # ... but not in one that it could not read, nor another book
        (None, '"1-2-3-gzip"', None),
        ("gzip", '"1-2-3-zstd"', None),
        ("gzip;q=0", '"1-2-3-gzip"', None),
        ("gzip, identity;q=0", '"1-2-3"', None),
        ("gzip", '"1-2-33", "11-2-3"', None),
        ("gzip", '"1-2-3-gzi"', None),
        ("gzip", "1-2-3", None),
        ("gzip", "", None),
    ],
)
async def test_who_has_the_book_is_not_sent_it(accept: str | None, have: str, tag: str | None) -> None:
    for body in (MIDDLING, LONG):
        answer = await given(variants(body), accept, have)
        assert answer.status == (200 if tag is None else 304)
        if tag is not None:
            assert (header(answer, "etag"), answer.body) == (tag, b"")
            assert header(answer, "content-encoding") is header(answer, "content-length") is None


async def test_304_needs_no_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise AssertionError("nothing is to be encoded")

    monkeypatch.setattr(module, "encode", fail)
    monkeypatch.setattr(module, "encode_aside", fail)
    for body in (MIDDLING, LONG):
        made = variants(body)
        assert (await given(made, "gzip", '"1-2-3-gzip"')).status == 304
        assert made.kept_bytes() == 0


async def test_a_body_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Coding] = []
    real = encode

    def counted(coding: Coding, body: bytes) -> bytes:
        calls.append(coding)
        return real(coding, body)

    monkeypatch.setattr(module, "encode", counted)
    made = variants(MIDDLING)
    first = await given(made, "gzip")
    assert (await given(made, "gzip")) is first
    marked = await given(made, "gzip", now=STALE)
    assert marked.body is first.body
    assert (header(first, "depthcast-state"), header(marked, "depthcast-state")) == ("live", "stale")
    assert calls == [Coding.GZIP]
    assert made.kept_bytes() == len(first.body)


async def test_a_long_body_is_encoded_aside_once_for_all_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    gate = asyncio.get_running_loop().create_future()

    def aside(_coding: Coding, _body: bytes) -> "asyncio.Future[bytes]":
        nonlocal calls
        calls += 1
        return gate

    monkeypatch.setattr(module, "encode_aside", aside)
    made = variants(LONG)
    waiting = [asyncio.create_task(given(made, "zstd", now=now)) for now in (LIVE, LIVE, STALE)]
    impatient = asyncio.create_task(given(made, "zstd"))
    await asyncio.sleep(0)
    impatient.cancel()
    # Others do not wait with them.
    assert (await given(made)).body is LONG
    await asyncio.sleep(0)
    gate.set_result(b"encoded")
    answers = await asyncio.gather(*waiting)
    assert {answer.body for answer in answers} == {b"encoded"}
    assert [header(answer, "depthcast-state") for answer in answers] == ["live", "live", "stale"]
    assert calls == 1
    at_once = made.answer(Asked(accept_encoding=b"zstd"), LIVE)
    assert isinstance(at_once, Answer)
    assert at_once.body == b"encoded"


@pytest.mark.filterwarnings("error")
async def test_an_answer_that_is_to_come_may_be_left_alone() -> None:
    made = variants(LONG)
    answer = made.answer(Asked(accept_encoding=b"gzip"), LIVE)
    assert isinstance(answer, Awaitable)
    assert not isinstance(answer, Answer)
    del answer
    assert made.kept_bytes() == 0


async def test_a_failed_encoding_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made = variants(LONG)
    with monkeypatch.context() as patched:

        def full(_coding: Coding, _body: bytes) -> "asyncio.Future[bytes]":
            failed: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            failed.set_exception(MemoryError())
            return failed

        patched.setattr(module, "encode_aside", full)
        with pytest.raises(MemoryError):
            await given(made, "gzip")
    await asyncio.sleep(0)
    assert gzip.decompress((await given(made, "gzip")).body) == LONG


async def test_a_request_between_the_end_of_an_encoding_and_its_taking_is_answered_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What waits for the encoding hears of its end in a later turn of the loop than it ends in."""
    coming: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    monkeypatch.setattr(module, "encode_aside", lambda *_: coming)
    kept: list[int] = []
    made = Variants(LONG, b"1-2-3", HEADERS, lambda _, length: kept.append(length))
    first = asyncio.ensure_future(given(made, "gzip"))
    await asyncio.sleep(0)
    coming.set_result(encode(Coding.GZIP, LONG))
    later = made.answer(Asked(accept_encoding=b"gzip"), LIVE)
    assert not isinstance(later, Answer)
    with pytest.raises(StopIteration) as ended:
        later.__await__().send(None)
    answer: Answer = ended.value.value
    assert (answer.status, gzip.decompress(answer.body)) == (200, LONG)
    assert (await first).body == answer.body
    assert kept == [len(answer.body)]
