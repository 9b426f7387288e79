"""Signed requests to an exchange that checks them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from depthcast.errors import KeyRefused, MalformedAnswer, SettingsError, VenueError, VenueUnavailable
from depthcast.rest import Rest
from depthcast.venues.binance import Binance
from depthcast.venues.binance_signing import ApiKey
from simulator.accounts import Account
from simulator.app import Simulator
from simulator.clock import ManualClock
from simulator.settings import Settings
from updater.account import (
    ACCOUNT_PATH,
    COMMISSION_PATH,
    KEY_VARIABLE,
    SECRET_VARIABLE,
    TIME_PATH,
    SignedRest,
    read_key,
)

KEY = "K3y" * 20
SECRET = "s3cr3t" * 10
KEY_TEXT = f"{KEY}\n{SECRET}\n"


class Place:
    """An exchange whose clock stands, a client of it, and our own clock beside it."""

    def __init__(self, sim: Simulator, clock: ManualClock) -> None:
        self.sim = sim
        self.exchange_clock = clock
        self.ahead_ms = 0
        self.rest = Rest(
            Binance(rest_url=sim.rest_url),
            rng=Random(1),
            attempts=2,
            sleep=self._no_sleep,
            answer_timeout_s=20,
        )
        self.signed = self.open(KEY_TEXT)

    def open(self, key: str) -> SignedRest:
        return SignedRest(self.rest, ApiKey.parse(key), wall_ms=self.wall_ms)

    def wall_ms(self) -> int:
        return self.exchange_clock.wall_ms() + self.ahead_ms

    async def get(self, signed: SignedRest | None = None) -> bytes:
        return await (signed or self.signed).get(ACCOUNT_PATH, {}, 20)

    @staticmethod
    async def _no_sleep(_: float) -> None:
        await asyncio.sleep(0)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    clock = ManualClock()
    async with Simulator(Settings(symbols=("ETHUSDT",), depth=50), manual=True, clock=clock) as sim:
        sim.exchange.accounts.add(Account.of(KEY_TEXT))
        made = Place(sim, clock)
        yield made
        await made.rest.close()


@pytest.mark.parametrize("ahead_ms", [0, 3_600_000, -3_600_000])
async def test_a_clock_that_is_wrong_by_an_hour_is_measured_and_does_no_harm(
    place: Place, ahead_ms: int
) -> None:
    place.ahead_ms = ahead_ms
    assert b'"balances"' in await place.get()
    assert place.signed.clock.offset_ms == -ahead_ms
    body = await place.signed.get(COMMISSION_PATH, {"symbol": "ETHUSDT"}, 20)
    assert b'"standardCommission"' in body


async def test_a_clock_that_was_set_meanwhile_is_measured_once_more(place: Place) -> None:
    await place.get()
    place.ahead_ms = 30_000
    assert b'"balances"' in await place.get()
    assert place.signed.clock.offset_ms == -30_000


async def test_a_clock_that_never_fits_is_an_error_after_one_more_measurement(place: Place) -> None:
    jumps = iter(range(0, 10**9, 20_000))

    def jumping() -> int:
        return place.exchange_clock.wall_ms() + next(jumps)

    signed = SignedRest(
        place.rest, read_key(None, {KEY_VARIABLE: KEY, SECRET_VARIABLE: SECRET}), wall_ms=jumping
    )
    with pytest.raises(KeyRefused, match="clock") as raised:
        await place.get(signed)
    assert raised.value.code == -1021
    assert place.rest.answered == 2, "the exchange's clock was read twice"


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (f"{KEY}\nwrong-secret", -1022),
        (f"{'Z' * 60}\n{SECRET}", -2015),
        (f"under_scores_\n{SECRET}", -2014),
    ],
)
async def test_a_key_that_is_not_taken_is_an_error_that_shows_no_secret(
    place: Place, key: str, code: int
) -> None:
    with pytest.raises(KeyRefused) as raised:
        await place.get(place.open(key))
    assert raised.value.code == code
    assert raised.value.hint
    assert not any(secret in str(raised.value) for secret in (*key.split(), "signature"))


@pytest.mark.parametrize(
    ("path", "form", "attempts", "error"),
    [
        (ACCOUNT_PATH, "html", 2, VenueUnavailable),
        (ACCOUNT_PATH, "cut", 2, VenueUnavailable),
        (TIME_PATH, "page", 1, MalformedAnswer),
        (TIME_PATH, "shrunk", 1, MalformedAnswer),
    ],
)
async def test_answers_that_are_none_are_errors_that_name_the_path_alone(
    place: Place, path: str, form: str, attempts: int, error: type[VenueError]
) -> None:
    place.sim.changes.order({"change": "spoil", "path": path, "form": form, "count": attempts})
    with pytest.raises(error) as raised:
        await place.get()
    seen: Any = raised.value
    while seen is not None:
        assert not any(secret in str(seen) for secret in (KEY, SECRET, "signature"))
        seen = seen.__cause__
    assert path in str(raised.value)
    assert b'"balances"' in await place.get(), "the next one is whole"


def test_a_key_comes_from_a_file_or_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY_TEXT)
    env = {KEY_VARIABLE: "other-key", SECRET_VARIABLE: SECRET}
    assert read_key(file, env).api_key == KEY
    assert read_key(None, env).api_key == "other-key"
    for wrong, words in ((tmp_path / "none", "cannot read"), (tmp_path, "cannot read")):
        with pytest.raises(SettingsError, match=words):
            read_key(wrong, env)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not text"):
        read_key(file, env)
    with pytest.raises(SettingsError, match=SECRET_VARIABLE):
        read_key(None, {KEY_VARIABLE: KEY})
