"""An account's documents: for who brings a token, and nothing for anybody else."""

import hmac
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from depthcast.errors import SettingsError, StoreUnavailable
from depthcast.metadata.kinds import Kind, account, commission
from depthcast.metadata.recorder import Recorder
from server import private
from server.private import Tokens
from server.service import Service
from server.settings import ServerSettings
from tests.server.conftest import WatchedStore

TOKEN = "a" * 32
OTHER = "b" * 32
BALANCE = "777123.45670000"
BODY = b'{"balances":[{"asset":"ETH","free":"%s"}]}' % BALANCE.encode()
FEES = b'{"symbol":"ETHUSDT"}'
INFO = {
    "sequence": "7",
    "observed-time": "1723161253021",
    "sha256": "0" * 64,
    "fingerprint": "0" * 64,
    "replica": "a",
}
ACCOUNT = "/private/main/api/v3/account"


class Place:
    """A server over a store with one account, and the clock that its tokens are looked at by."""

    def __init__(self, file: Path, monkeypatch: pytest.MonkeyPatch, *, on: bool = True) -> None:
        self.file = file
        self.store = WatchedStore()
        self.now = 0.0
        monkeypatch.setattr(private, "Tokens", lambda path: Tokens(path, clock=lambda: self.now))
        monkeypatch.setattr("server.service.Tokens", lambda path: Tokens(path, clock=lambda: self.now))
        settings = ServerSettings(private_token_file=file if on else None)
        self.service = Service(settings, self.store)
        transport = httpx.ASGITransport(self.service.app)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://server")

    async def fill(self) -> None:
        await self.store.put_if(account("main").key, BODY, match=None, metadata=INFO)
        await self.store.put_if(commission("main", "ETHUSDT").key, FEES, match=None, metadata=INFO)

    async def get(
        self, path: str = ACCOUNT, token: str | None = TOKEN, method: str = "GET"
    ) -> httpx.Response:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return await self.client.request(method, path, headers=headers)


@pytest.fixture
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    file = tmp_path / "tokens"
    file.write_text(f"# for the bots\n\n{TOKEN}\n  {OTHER}  \n")
    made = Place(file, monkeypatch)
    await made.fill()
    return made


async def test_who_brings_a_token_is_given_the_document_as_it_is(place: Place) -> None:
    for token in (TOKEN, OTHER):
        answer = await place.get(token=token)
        assert (answer.status_code, answer.content) == (200, BODY)
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.headers["depthcast-sequence"] == "7"
    assert answer.headers["depthcast-observed-time"] == "1723161253021"
    assert not {"etag", "last-modified", "access-control-allow-origin"} & set(answer.headers)
    fees = await place.get("/private/main/api/v3/account/commission?symbol=ETHUSDT")
    assert fees.content == FEES
    head = await place.get(method="HEAD")
    assert (head.status_code, head.content) == (200, b"")


async def test_without_a_token_every_request_is_answered_alike_and_the_store_is_not_asked(
    place: Place,
) -> None:
    before = place.store.reads.total()
    paths = (
        ACCOUNT,
        "/private/nobody/api/v3/account",
        "/private/main/api/v3/account/commission?symbol=NOSUCH",
        "/private/",
        "/private/metadata/main/account",
        "/private/%2e%2e/fleet/a.json",
    )
    seen = set()
    for path in paths:
        for token in (None, "", "x", TOKEN[:-1], TOKEN + "a", TOKEN.upper(), "ü" * 16):
            for method in ("GET", "POST", "OPTIONS", "DELETE"):
                if token is not None and not token.isascii():
                    continue
                answer = await place.get(path, token, method)
                seen.add((answer.status_code, answer.content, tuple(sorted(answer.headers.items()))))
    assert len(seen) == 1
    status, content, headers = seen.pop()
    assert (status, content) == (401, b"")
    assert dict(headers)["www-authenticate"].startswith("Bearer")
    assert dict(headers)["cache-control"] == "private, no-store"
    assert place.store.reads.total() == before


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", f"Basic {TOKEN}")],
        [("Authorization", TOKEN)],
        [("Authorization", f"Bearer {TOKEN}"), ("Authorization", f"Bearer {TOKEN}")],
        [("X-Authorization", f"Bearer {TOKEN}")],
        [("Cookie", f"token={TOKEN}")],
    ],
)
async def test_a_token_counts_in_its_one_place_alone(place: Place, headers: list[tuple[str, str]]) -> None:
    answer = await place.client.get(f"{ACCOUNT}?access_token={TOKEN}", headers=headers)
    assert answer.status_code == 401


async def test_what_is_no_document_is_not_found_even_with_a_token(place: Place) -> None:
    for path in (
        "/private/nobody/api/v3/account",
        "/private/metadata/main/account",
        "/private/history/main/account/changes/x",
        "/private/main/api/v3/order",
        "/private/main/history/exchangeInfo",
        "/private/main/%2e%2e/%2e%2e/fleet/a.json",
    ):
        assert (await place.get(path)).status_code in (404, 401), path
    for path, code in (
        ("/private/main/api/v3/account?x=1", -1104),
        ("/private/main/api/v3/account/commission", -1102),
        ("/private/main/api/v3/account/commission?symbol=eth", -1100),
        ("/private/main/api/v3/account/commission?symbol=ETHUSDT&symbol=ETHUSDT", -1101),
    ):
        assert (await place.get(path)).json()["code"] == code, path
    assert (await place.get(method="POST")).status_code == 405


async def test_tokens_are_given_and_taken_without_a_restart(place: Place) -> None:
    new = "c" * 40
    assert (await place.get(token=new)).status_code == 401
    fresh = place.file.with_suffix(".new")
    fresh.write_text(f"{new}\n{TOKEN}\n")
    os.replace(fresh, place.file)
    assert (await place.get(token=OTHER)).status_code == 200, "it is not looked at for each request"
    place.now += 1.1
    assert [(await place.get(token=token)).status_code for token in (new, TOKEN, OTHER)] == [200, 200, 401]
    place.file.write_text("short\n")
    place.now += 1.1
    assert (await place.get()).status_code == 401, "a damaged file lets nobody in"
    place.file.unlink()
    place.now += 1.1
    assert (await place.get(token=new)).status_code == 401
    place.file.write_text(f"{new}\n")
    place.now += 1.1
    assert (await place.get(token=new)).status_code == 200


def test_every_token_is_compared_in_constant_time_whichever_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tokens"
    file.write_text("\n".join(letter * 20 for letter in "abcdefgh"))
    compared: list[tuple[int, int]] = []

    def counting(one: bytes, two: bytes) -> bool:
        compared.append((len(one), len(two)))
        return one == two

    monkeypatch.setattr(hmac, "compare_digest", counting)
    tokens = Tokens(file)
    for token in (b"a" * 20, b"h" * 20, b"x", b"", b"y" * 100_000):
        compared.clear()
        assert tokens.let_in(token) is (token in (b"a" * 20, b"h" * 20))
        assert compared == [(32, 32)] * 8, "digests of one length, all of them"


async def test_a_store_that_does_not_answer_is_503_and_tells_nothing(place: Place) -> None:
    place.store.failure = StoreUnavailable(f"private/main {BALANCE}")
    answer = await place.get()
    assert answer.status_code == 503
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.json()["code"] == -1001


async def test_nothing_of_it_is_counted_kept_or_logged(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    for token in (TOKEN, "wrong" * 5):
        await place.get(token=token)
    metrics = (await place.client.get("/metrics")).text
    shown = capsys.readouterr()
    told = metrics + shown.out + shown.err
    assert [secret for secret in (TOKEN, OTHER, BALANCE, "private", "main") if secret in told] == []
    assert len(place.service.hot) == len(place.service.tops) == 0
    assert account("main").key not in place.service.catalogue.symbols


async def test_without_a_file_of_tokens_there_is_no_such_path(tmp_path: Path, monkeypatch: Any) -> None:
    place = Place(tmp_path / "none", monkeypatch, on=False)
    await place.fill()
    assert (await place.get()).status_code == 404
    assert place.store.reads.total() == 0


@pytest.mark.parametrize("content", [None, "short\n", "has a blank in the middle\n", "ü" * 20, "x" * 5000])
def test_a_file_of_no_tokens_is_refused_at_the_start_in_one_line(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "tokens"
    if content is not None:
        file.write_text(content, "utf-8")
    with pytest.raises(SettingsError, match="private_token_file") as raised:
        Service(ServerSettings(private_token_file=file), WatchedStore())
    assert content is None or content.strip() not in str(raised.value)


async def keep(store: WatchedStore, kind: Kind, *bodies: bytes) -> None:
    """These are recorded one after the other, from second 10 on, as updaters do it."""
    recorder = Recorder(store, kind, replica="a", wall_ms=lambda: 60_000)
    for number, body in enumerate(bodies):
        assert (await recorder.offer(body, 10_000 + number * 10_000)).record is not None


async def test_what_an_account_was_is_told_to_who_brings_a_token(place: Place) -> None:
    bodies = [b'{"balances":[],"makerCommission":%d}' % fee for fee in (10, 12, 8)]
    await keep(place.store, account("old"), *bodies)
    path = "/private/old/api/v3/account"
    for at, body in (("10000", bodies[0]), ("19999", bodies[0]), ("1970-01-01T00:00:25Z", bodies[1])):
        answer = await place.get(f"{path}?at={at}")
        assert (answer.status_code, answer.content) == (200, body), at
        assert answer.headers["cache-control"] == "private, no-store"
    assert (answer.headers["depthcast-sequence"], answer.headers["depthcast-observed-time"]) == ("2", "20000")
    assert (await place.get(f"{path}?at=30000")).content == (await place.get(path)).content == bodies[2]
    # Before the first change, in the future, and what is no time.
    for at, code in (("9999", -1130), ("99999999999999", -1100), ("9999999999999", -1130), ("soon", -1100)):
        refused = await place.get(f"{path}?at={at}")
        assert (refused.status_code, refused.json()["code"]) == (400, code), at
        assert refused.headers["cache-control"] == "private, no-store"
    assert (await place.get("/private/nobody/api/v3/account?at=30000")).status_code == 404
    assert (await place.get(f"{path}?at=10000", token=None)).status_code == 401


async def test_an_accounts_changes_are_told_to_who_brings_a_token(place: Place) -> None:
    fees = [b'{"symbol":"ETHUSDT","maker":"%d"}' % fee for fee in (1, 2, 3)]
    await keep(place.store, commission("old", "ETHUSDT"), *fees)
    path = "/private/old/history/commission?symbol=ETHUSDT"
    told = (await place.get(f"{path}&from=10001&limit=1")).json()
    assert told["kind"] == "old/commission/ETHUSDT"
    [change] = told["changes"]
    assert (change["sequence"], change["changes"][0]["from"], change["changes"][0]["to"]) == (3, "2", "3")
    older = (await place.get(f"{path}&from=10001&to={told['nextTo']}")).json()
    assert [each["sequence"] for each in older["changes"]] == [2]
    assert older["nextTo"] is None
    for query, code in (("&limit=0", -1130), ("&from=x", -1100), ("&x=1", -1104), ("&symbol=A", -1101)):
        refused = await place.get(path + query)
        assert (refused.status_code, refused.json()["code"]) == (400, code), query
    assert (await place.get("/private/old/history/account")).status_code == 404
    assert (await place.get(path, token=None)).content == b""


async def test_a_history_that_cannot_be_read_is_unavailable(place: Place) -> None:
    place.store.failure = StoreUnavailable("gone")
    for path in ("/private/main/api/v3/account?at=5", "/private/main/history/account"):
        answer = await place.get(path)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
