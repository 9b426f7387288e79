"""Which coding a client is given, and that what is given is the body."""

import asyncio
import gzip
import zlib

import pytest
import zstandard

from server.encodings import Coding, acceptable, encode, encode_aside

PLAIN, Z, G = Coding.IDENTITY, Coding.ZSTD, Coding.GZIP


@pytest.mark.parametrize(
    ("field", "order"),
    [
        (None, [PLAIN]),
        # As real clients send it.
        (b"gzip, deflate", [G, PLAIN]),  # requests, aiohttp, ccxt
        (b"gzip, deflate, br, zstd", [Z, G, PLAIN]),  # httpx and requests with all extras; browsers
        (b"deflate, gzip, br, zstd", [Z, G, PLAIN]),  # curl --compressed
        (b"gzip, deflate, br", [G, PLAIN]),  # Safari, axios
        (b"br, gzip, deflate", [G, PLAIN]),  # node's fetch
        (b"gzip", [G, PLAIN]),  # Go
        (b"identity", [PLAIN]),  # Python's http.client
        # RFC 9110, 12.5.3, its examples
        (b"compress, gzip", [G, PLAIN]),
        (b"", [PLAIN]),
        (b"*", [PLAIN, G, Z]),
        (b"compress;q=0.5, gzip;q=1.0", [G, PLAIN]),
        (b"gzip;q=1.0, identity; q=0.5, *;q=0", [G, PLAIN]),
        # Weights
        (b"gzip;q=1, zstd;q=0.9", [G, Z, PLAIN]),
        (b"gzip;q=0.5, identity", [PLAIN, G]),
        (b"gzip;q=0.5, identity;q=0.5", [G, PLAIN]),
        (b"gzip;q=0", [PLAIN]),
        (b"gzip;q=0.001", [G, PLAIN]),
        (b"gzip;Q=0.000, zstd;q=1.000", [Z, PLAIN]),
        # What identity and the star may be
        (b"identity;q=0, gzip", [G]),
        (b"*;q=0, gzip", [G]),
        (b"gzip, *", [G, PLAIN, Z]),
        (b"gzip, *;q=0.1", [G, PLAIN, Z]),
        (b"zstd;q=0.5, *;q=0.5", [Z, PLAIN, G]),
        (b"identity;q=0, *", [G, Z]),
        # Nothing that we have
        (b"identity;q=0", [PLAIN]),
        (b"*;q=0", [PLAIN]),
        (b"br, identity;q=0", [PLAIN]),
        # Spelling
        (b"GZIP , Zstd", [Z, G, PLAIN]),
        (b"x-gzip", [G, PLAIN]),
        (b"gzip ; q=0.3 ,\tzstd\t;\tq=0.2", [G, Z, PLAIN]),
        # Not well-formed: as if not sent
        (b"gzip;q=2", [PLAIN]),
        (b"gzip;q=-1", [PLAIN]),
        (b"gzip;q=0.1234", [PLAIN]),
        (b"gzip;q=a, zstd", [Z, PLAIN]),
        (b"gzip;level=3", [PLAIN]),
        (b"gzip zstd", [PLAIN]),
        (b",, ,gzip", [G, PLAIN]),
        (b"\xff", [PLAIN]),
        (b"gzip," + b"x" * 512, [PLAIN]),
    ],
)
def test_the_best_coding_a_client_accepts(field: bytes | None, order: list[Coding]) -> None:
    assert list(acceptable(field)) == order


BODIES = [b"", b"{}", b'{"lastUpdateId":1,"bids":[],"asks":[]}', bytes(range(256)) * 2000]


@pytest.mark.parametrize("body", BODIES, ids=len)
def test_every_decoder_reads_the_body(body: bytes) -> None:
    zipped = encode(G, body)
    assert gzip.decompress(zipped) == body
    assert zlib.decompressobj(31).decompress(zipped) == body
    assert zstandard.ZstdDecompressor().decompressobj().decompress(encode(Z, body)) == body
    assert encode(PLAIN, body) is body


@pytest.mark.parametrize("coding", [G, Z])
def test_equal_bodies_are_equal_in_each_coding(coding: Coding) -> None:
    assert encode(coding, b"book" * 1000) == encode(coding, b"book" * 1000)


@pytest.mark.parametrize("coding", [G, Z])
async def test_what_is_encoded_aside_is_the_same(coding: Coding) -> None:
    body = b"book" * 100_000
    many = await asyncio.gather(*(encode_aside(coding, body) for _ in range(8)))
    assert set(many) == {encode(coding, body)}


def test_a_zstd_body_needs_no_larger_window_than_a_browser_has() -> None:
    """RFC 9659: at most 8 MB."""
    frame = zstandard.get_frame_parameters(encode(Z, b"[" * 500_000))
    assert frame.window_size <= 8 * 2**20
    assert frame.content_size == 500_000
