"""Signed requests, against the exchange's published examples and against OpenSSL's own verification."""

import base64
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from depthcast.errors import ExtraMissing, SettingsError
from depthcast.venues.binance_signing import ApiKey, ExchangeClock, encoded

# request-security.md, "SIGNED request example (HMAC)": the key is the documents' own, and nobody's.
API_KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
ORDER: dict[str, str | int] = {
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "1",
    "price": "0.1",
    "recvWindow": 5000,
    "timestamp": 1499827319559,
}


def pem_of(key: object) -> str:
    assert isinstance(key, Ed25519PrivateKey | ec.EllipticCurvePrivateKey)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    ("symbol", "signature"),
    [
        ("LTCBTC", "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"),
        ("１２３４５６", "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3"),
    ],
)
def test_the_documents_own_examples_have_the_documents_signatures(symbol: str, signature: str) -> None:
    payload = encoded({"symbol": symbol, **ORDER})
    assert payload.isascii()
    assert ApiKey(API_KEY, SECRET).signature(payload) == signature


def test_a_query_is_stamped_and_ends_with_the_signature_of_all_before_it() -> None:
    key = ApiKey(API_KEY, SECRET)
    query = key.query({"symbol": "币USDT"}, timestamp_ms=1499827319559, recv_window_ms=6000)
    payload, _, signature = query.rpartition("&signature=")
    assert payload == "symbol=%E5%B8%81USDT&recvWindow=6000&timestamp=1499827319559"
    done = subprocess.run(
        ["openssl", "dgst", "-sha256", "-hmac", SECRET],
        input=payload.encode(),
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode().split()[-1] == signature


def test_an_ed25519_signature_is_verified_by_openssl(tmp_path: Path) -> None:
    private = Ed25519PrivateKey.generate()
    (tmp_path / "public.pem").write_bytes(
        private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    query = ApiKey.parse(f"{API_KEY}\n{pem_of(private)}").query({}, timestamp_ms=1668481559918)
    payload, _, raw = query.rpartition("&signature=")
    assert not set("+/=") & set(raw)
    (tmp_path / "payload").write_text(payload)
    (tmp_path / "signature").write_bytes(base64.b64decode(dict(parse_qsl(query))["signature"]))
    command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "public.pem", "-in", "payload"]
    done = subprocess.run([*command, "-sigfile", "signature"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    (tmp_path / "payload").write_text(payload.replace("timestamp=1", "timestamp=2"))
    done = subprocess.run([*command, "-sigfile", "signature"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode != 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        API_KEY,
        f"short\n{SECRET}",
        f"{API_KEY}\nse cret",
        f"{API_KEY}\nschlüssel-{SECRET}",
        f"{API_KEY}\n-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----",
        f"{API_KEY}\n{pem_of(ec.generate_private_key(ec.SECP256R1()))}",
    ],
)
def test_what_is_no_key_is_refused_in_one_line_that_shows_nothing_of_it(text: str) -> None:
    with pytest.raises(SettingsError) as raised:
        ApiKey.parse(text)
    shown = f"{raised.value} {raised.value.__cause__}"
    assert "\n" not in shown
    assert SECRET not in shown
    assert API_KEY not in shown


def test_a_key_shows_neither_itself_nor_its_secret() -> None:
    key = ApiKey(API_KEY, SECRET)
    assert API_KEY not in repr(key)
    assert SECRET not in f"{key!r} {key}"
    assert key.headers == {"X-MBX-APIKEY": API_KEY}
    assert not hasattr(key, "__dict__")


@pytest.mark.parametrize("window_ms", [0, -1, 60_001])
def test_a_window_that_the_exchange_would_refuse_is_none(window_ms: int) -> None:
    with pytest.raises(ValueError, match="60000"):
        ApiKey(API_KEY, SECRET).query({}, timestamp_ms=1, recv_window_ms=window_ms)


def test_the_clock_is_measured_to_half_of_the_time_that_the_answer_took() -> None:
    clock = ExchangeClock(good_for_ms=1000)
    assert clock.stale(0)
    # Theirs is 5,000 ms ahead; the request takes 30 ms to get there, and the answer 10 ms back.
    clock.measured(sent_ms=10_000, server_ms=15_030, received_ms=10_040)
    assert (clock.offset_ms, clock.uncertain_ms) == (5010, 20)
    assert abs(clock.now_ms(20_000) - 25_000) <= clock.uncertain_ms
    assert not clock.stale(11_039)
    assert clock.stale(11_040)
    assert clock.stale(10_000), "our clock was set back"
    clock.measured(sent_ms=20_000, server_ms=19_000, received_ms=20_000)
    assert (clock.offset_ms, clock.uncertain_ms) == (-1000, 0)
    clock.doubt()
    assert clock.stale(20_001)


def test_without_its_package_an_ed25519_key_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    pem = pem_of(Ed25519PrivateKey.generate())
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(ExtraMissing, match=r"depthcast\[signing\]"):
        ApiKey(API_KEY, pem)
    assert ApiKey(API_KEY, SECRET).signature("x"), "an HMAC secret needs none"
