"""``SignedRest``: what the exchange tells an account's owner alone, asked for with his key.

Promises: a request is stamped with the exchange's own time, measured beside ours and again when the exchange
finds it wrong, once; no error names more of a request than its path, for its query carries the signature.
Leaves to others: how requests are signed (:mod:`depthcast.venues.binance_signing`), pace and retries
(:mod:`depthcast.rest`).
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import orjson

from depthcast.errors import KeyRefused, MalformedAnswer, Refused, SettingsError
from depthcast.rest import Request, Rest
from depthcast.venues.binance_signing import (
    CLOCK_ERROR,
    DEFAULT_RECV_WINDOW_MS,
    KEY_ERRORS,
    ApiKey,
    ExchangeClock,
)

ACCOUNT_PATH: Final = "/api/v3/account"
COMMISSION_PATH: Final = "/api/v3/account/commission"
STATUS_PATH: Final = "/sapi/v1/system/status"
TIME_PATH: Final = "/api/v3/time"

ACCOUNT_WEIGHT: Final = 20
COMMISSION_WEIGHT: Final = 20
STATUS_WEIGHT: Final = 1
TIME_WEIGHT: Final = 1

KEY_VARIABLE: Final = "BINANCE_API_KEY"
SECRET_VARIABLE: Final = "BINANCE_API_SECRET"


class SignedRest:
    """Signed requests over ``rest``, one account's. ``wall_ms`` is our clock, milliseconds since 1970."""

    def __init__(
        self,
        rest: Rest,
        key: ApiKey,
        *,
        recv_window_ms: int = DEFAULT_RECV_WINDOW_MS,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._rest = rest
        self._key = key
        self._recv_window_ms = recv_window_ms
        self._wall_ms = wall_ms
        self.clock = ExchangeClock()

    async def get(self, path: str, parameters: Mapping[str, str | int], weight: int) -> bytes:
        """The exchange's answer, unread.

        Raises :class:`~depthcast.errors.KeyRefused` where no waiting will help, and any other
        :class:`~depthcast.errors.VenueError` as it comes.
        """
        if self.clock.stale(self._wall_ms()):
            await self._measure()

        def signed() -> Request:
            query = self._key.query(
                parameters,
                timestamp_ms=self.clock.now_ms(self._wall_ms()),
                recv_window_ms=self._recv_window_ms,
            )
            return Request(f"{path}?{query}", self._key.headers, shown=path)

        try:
            try:
                return await self._rest.ask(signed, weight, background=True)
            except Refused as error:
                if error.code != CLOCK_ERROR:
                    raise
                # The clock may have been set since it was measured: theirs, or ours.
                self.clock.doubt()
                await self._measure()
                return await self._rest.ask(signed, weight, background=True)
        except Refused as error:
            if error.code in KEY_ERRORS or error.status in (401, 403) or error.code == CLOCK_ERROR:
                raise _explained(error) from None
            raise

    async def _measure(self) -> None:
        sent_ms = 0

        def question() -> Request:
            nonlocal sent_ms
            sent_ms = self._wall_ms()
            return Request(TIME_PATH)

        body = await self._rest.ask(question, TIME_WEIGHT, background=True)
        received_ms = self._wall_ms()
        try:
            server_ms = orjson.loads(body)["serverTime"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            server_ms = None
        if type(server_ms) is not int or not 0 < server_ms < 10**14:
            raise MalformedAnswer(TIME_PATH, "no serverTime in it")
        self.clock.measured(sent_ms=sent_ms, server_ms=server_ms, received_ms=received_ms)


def read_key(file: Path | None, env: Mapping[str, str]) -> ApiKey:
    """The key in a file, or in the environment where no file is named.

    Raises :class:`~depthcast.errors.SettingsError`, which shows nothing of what it read.
    """
    if file is not None:
        try:
            return ApiKey.parse(file.read_text("utf-8"))
        except OSError as error:
            raise SettingsError(f"cannot read account_key_file {file}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise SettingsError(f"account_key_file {file} is not text") from None
    key, secret = env.get(KEY_VARIABLE, ""), env.get(SECRET_VARIABLE, "")
    if not key or not secret:
        raise SettingsError(
            "an account is named, and there is no key of it",
            hint=f"name a file with account_key_file, or set {KEY_VARIABLE} and {SECRET_VARIABLE}",
        )
    return ApiKey(key, secret.strip())


def _explained(error: Refused) -> KeyRefused:
    hints = {
        -2014: "the API key is damaged: look at the first line of its file",
        -2015: "the key is unknown, not allowed from this address, or may not read the account",
        -1022: "the secret is not this key's, or its kind is another one",
        CLOCK_ERROR: "this machine's clock runs unevenly, or answers take too long: see recv_window_ms",
    }
    hint = hints.get(error.code or 0, "the exchange does not let this key, or this address, ask for that")
    return KeyRefused(error.status, error.code, error.text, hint=hint)
