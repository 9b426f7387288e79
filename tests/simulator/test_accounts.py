"""Signed requests as the simulated exchange checks them, with signatures made by OpenSSL and by hand."""

import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from simulator.accounts import Account
from simulator.answer import Answer
from simulator.rest import Rest

KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"


def signed(payload: str, secret: str = SECRET) -> str:
    return f"{payload}&signature={hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()}"


def ask(bench: Any, target: str, key: str = KEY) -> Answer:
    path, _, query = target.partition("?")
    headers = {"x-mbx-apikey": key} if key else {}
    return Rest(bench.exchange).answer("GET", path, query, headers=headers, address="::1")


def refused(answer: Answer) -> tuple[int, int]:
    return answer.status, json.loads(answer.body)["code"]


@pytest.fixture
def now(bench: Any) -> int:
    bench.exchange.accounts.add(Account.of(f"{KEY}\n{SECRET}"))
    return int(bench.clock.wall_ms())


def test_a_signed_request_is_answered_with_the_account(bench: Any, now: int) -> None:
    answer = ask(bench, f"/api/v3/account?{signed(f'timestamp={now}')}")
    body = json.loads(answer.body)
    assert answer.status == 200
    assert body["commissionRates"]["maker"] == "0.00100000"
    assert {each["asset"] for each in body["balances"]} == {"BTC", "LTC"}
    bench.exchange.accounts.of_key(KEY).set_balance("LTC", "0", "0", now_ms=now)
    query = signed(f"omitZeroBalances=true&recvWindow=60000&timestamp={now}")
    body = json.loads(ask(bench, f"/api/v3/account?{query}").body)
    assert [each["asset"] for each in body["balances"]] == ["BTC"]
    assert answer.headers["x-mbx-used-weight-1m"] == "20"


def test_commission_is_told_by_symbol(bench: Any, now: int) -> None:
    bench.exchange.accounts.of_key(None).set_fee("taker", "0.0005", symbol="ETHUSDT", now_ms=now)
    rates = {}
    for symbol in ("ETHUSDT", "BTCUSDT"):
        answer = ask(bench, f"/api/v3/account/commission?{signed(f'symbol={symbol}&timestamp={now}')}")
        rates[symbol] = json.loads(answer.body)["standardCommission"]["taker"]
    assert rates == {"ETHUSDT": "0.00050000", "BTCUSDT": "0.00100000"}
    unknown = ask(bench, f"/api/v3/account/commission?{signed(f'symbol=NOSUCH&timestamp={now}')}")
    assert refused(unknown) == (400, -1121)


@pytest.mark.parametrize(
    ("query", "key", "expected"),
    [
        ("timestamp={now}", "", (401, -2014)),
        ("timestamp={now}", "x y", (401, -2014)),
        ("timestamp={now}", "A" * 64, (401, -2015)),
        ("recvWindow=5000", KEY, (400, -1102)),
        ("timestamp=soon", KEY, (400, -1100)),
        ("timestamp={now}&recvWindow=60001", KEY, (400, -1131)),
        ("timestamp={ahead}", KEY, (400, -1021)),
        ("timestamp={late}", KEY, (400, -1021)),
        ("timestamp={late}&recvWindow=6000", KEY, (200, 0)),
        ("timestamp={now}&a=1&b=2", KEY, (400, -1104)),
        ("timestamp={now}&a=1&b=2&c=3", KEY, (400, -1101)),
    ],
)
def test_keys_and_clocks_are_checked(
    bench: Any, now: int, query: str, key: str, expected: tuple[int, int]
) -> None:
    payload = query.format(now=now, ahead=now + 1000, late=now - 5001)
    answer = ask(bench, f"/api/v3/account?{signed(payload)}", key)
    assert answer.status == expected[0]
    assert json.loads(answer.body).get("code", 0) == expected[1]


def test_another_signature_than_the_payloads_is_refused(bench: Any, now: int) -> None:
    good = signed(f"timestamp={now}")
    for query in (
        good.replace("timestamp=", "recvWindow=5000&timestamp="),
        signed(f"timestamp={now}", "another-secret"),
        f"timestamp={now}&signature=zz",
    ):
        assert refused(ask(bench, f"/api/v3/account?{query}")) == (400, -1022)
    assert refused(ask(bench, f"/api/v3/account?timestamp={now}")) == (400, -1102)
    upper = "signature=".join((good.partition("signature=")[0], good.partition("signature=")[2].upper()))
    assert ask(bench, f"/api/v3/account?{upper}").status == 200, "HMAC signatures are not case-sensitive"
    # *"any non-ASCII characters must be percent-encoded before signing"*
    payload = f"symbol=币&timestamp={now}"
    assert refused(ask(bench, f"/api/v3/account/commission?{signed(payload)}")) == (400, -1022)


def test_an_ed25519_key_is_known_by_its_public_half(bench: Any, now: int) -> None:
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    key = "B" * 64
    bench.exchange.accounts.add(Account.of(f"{key}\n{public}"))
    payload = f"timestamp={now}"
    signature = base64.b64encode(private.sign(payload.encode())).decode()
    assert ask(bench, f"/api/v3/account?{payload}&signature={quote(signature, safe='')}", key).status == 200
    other = base64.b64encode(private.sign(b"timestamp=1")).decode()
    assert refused(ask(bench, f"/api/v3/account?{payload}&signature={quote(other, safe='')}", key)) == (
        400,
        -1022,
    )


def test_what_is_no_key_file_is_no_account() -> None:
    for text in ("", KEY, f"a b\n{SECRET}"):
        with pytest.raises(ValueError, match="first line"):
            Account.of(text)
