"""Answers of the moment in every coding."""

import gzip
import random
import warnings

import pytest
import zstandard

from server.answers import Answer, json_answer
from server.encoded import encoded, takes_long


def body_of(length: int) -> bytes:
    return bytes(random.Random(length).choices(b"0123456789", k=length))


async def fetch(length: int, accept_encoding: bytes | None) -> Answer:
    answer = json_answer(body_of(length))
    given = encoded(answer, accept_encoding)
    assert isinstance(given, Answer) is not takes_long(len(answer.body), accept_encoding)
    return given if isinstance(given, Answer) else await given


@pytest.mark.parametrize("length", [1500, 100_000])
@pytest.mark.parametrize(
    ("accept_encoding", "coding"),
    [(b"gzip", b"gzip"), (b"zstd, gzip", b"zstd"), (b"gzip;q=0, zstd;q=0.1, identity;q=0", b"zstd")],
)
async def test_a_long_body_is_given_in_the_coding_that_is_preferred(
    length: int, accept_encoding: bytes, coding: bytes
) -> None:
    answer = await fetch(length, accept_encoding)
    headers = dict(answer.headers)
    assert headers[b"content-encoding"] == coding
    assert headers[b"content-length"] == b"%d" % len(answer.body)
    assert len([name for name, _ in answer.headers if name == b"content-length"]) == 1
    assert len(answer.body) < length
    decode = gzip.decompress if coding == b"gzip" else zstandard.ZstdDecompressor().decompress
    assert decode(answer.body) == body_of(length)


@pytest.mark.parametrize(
    ("length", "accept_encoding"),
    [(100_000, None), (100_000, b"br"), (100_000, b"identity, gzip;q=0.1"), (300, b"gzip")],
)
async def test_a_body_is_given_as_it_is_to_who_wants_it_so_and_where_it_is_short(
    length: int, accept_encoding: bytes | None
) -> None:
    assert await fetch(length, accept_encoding) == json_answer(body_of(length))


async def test_nothing_is_left_behind_by_who_does_not_wait() -> None:
    given = encoded(json_answer(body_of(100_000)), b"gzip")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        given.close()  # type: ignore[union-attr]
