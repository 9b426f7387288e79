"""Limits by address: request weight with its 429 and 418, and connection attempts.

Binance's rules: weight is counted per IP and UTC clock minute; a request that is refused costs weight too;
*"bans scale in duration for repeat offenders, from 2 minutes to 3 days"*.
"""

import json
from collections import deque
from dataclasses import dataclass
from typing import Final, NamedTuple

DAY_S: Final = 86_400

_TOO_MUCH: Final = (
    "Too much request weight used; current limit is {limit} request weight per 1 MINUTE. "
    "Please use WebSocket Streams for live updates to avoid polling the API."
)
_WAY_TOO_MUCH: Final = (
    "Way too much request weight used; IP banned until {until}. "
    "Please use WebSocket Streams for live updates to avoid bans."
)


class Refusal(NamedTuple):
    """``status`` 429 or 418, whole seconds for ``Retry-After``, and the JSON body."""

    status: int
    retry_after_s: int
    body: bytes


class Charge(NamedTuple):
    """The weight this address used in this minute, this request's included, and the refusal if it got one."""

    used: int
    refusal: Refusal | None


@dataclass(slots=True)
class _Account:
    minute: int = -1
    used: int = 0
    refused: int = 0
    bans: int = 0
    banned_until_ms: int = 0


class AttemptMeter:
    """*"There is a limit of 300 connections per attempt every 5 minutes per IP."*

    Attempts of more than ``max_addresses`` addresses are not kept: the oldest goes.
    """

    def __init__(self, limit: int = 300, *, window_ms: int = 300_000, max_addresses: int = 10_000) -> None:
        self.limit = limit
        self.window_ms = window_ms
        self.max_addresses = max_addresses
        self._attempts: dict[str, deque[int]] = {}

    def allow(self, address: str, now_ms: int) -> bool:
        """Whether ``address`` may connect now; if so the attempt is counted."""
        if address not in self._attempts and len(self._attempts) >= self.max_addresses:
            del self._attempts[next(iter(self._attempts))]
        attempts = self._attempts.setdefault(address, deque())
        while attempts and attempts[0] <= now_ms - self.window_ms:
            attempts.popleft()
        if len(attempts) >= self.limit:
            return False
        attempts.append(now_ms)
        return True

    def left(self, address: str) -> int:
        """How many more connections ``address`` may open now."""
        return self.limit - len(self._attempts.get(address, ()))


class RequestMeter(AttemptMeter):
    """Requests in a window, by address; and nobody's for a while, where that was ordered."""

    def __init__(self, limit: int, *, window_ms: int, max_addresses: int = 10_000) -> None:
        super().__init__(limit, window_ms=window_ms, max_addresses=max_addresses)
        self._refused_until_ms = 0
        self._banned_until_ms = 0

    def allow(self, address: str, now_ms: int) -> bool:
        """Whether a request of ``address`` may be answered now; if so it is counted."""
        return now_ms >= self._refused_until_ms and super().allow(address, now_ms)

    def banned(self, now_ms: int) -> bool:
        """Whether nobody is answered at all."""
        return now_ms < self._banned_until_ms

    def retry_after_s(self, address: str, now_ms: int) -> int:
        """When a refused request may come again."""
        oldest_ms = next(iter(self._attempts.get(address, ())), now_ms)
        until_ms = max(self._refused_until_ms, oldest_ms + self.window_ms)
        return max(1, -(-(until_ms - now_ms) // 1000))

    def refuse_all(self, for_ms: int, now_ms: int, *, ban: bool = False) -> None:
        """Refuse everybody for ``for_ms`` from now."""
        self._refused_until_ms = now_ms + for_ms
        if ban:
            self._banned_until_ms = now_ms + for_ms


class WeightMeter:
    """``limit`` weight a minute and address; the request number ``ban_after`` that is refused in one minute
    bans the address, for ``ban_s`` seconds at first, twice as long each further time, at most
    ``max_ban_s``. Accounts of more than ``max_addresses`` addresses are not kept: the oldest goes.
    """

    def __init__(
        self,
        limit: int = 6000,
        *,
        ban_after: int = 20,
        ban_s: int = 120,
        max_ban_s: int = 3 * DAY_S,
        max_addresses: int = 10_000,
    ) -> None:
        self.limit = limit
        self.ban_after = ban_after
        self.ban_s = ban_s
        self.max_ban_s = max_ban_s
        self.max_addresses = max_addresses
        self._accounts: dict[str, _Account] = {}
        self._throttled_until_ms = 0
        self._banned_until_ms = 0

    def charge(self, address: str, weight: int, now_ms: int) -> Charge:
        """Enter a request into the account of ``address``."""
        account = self._account(address)
        minute = now_ms // 60_000
        if account.minute != minute:
            account.minute, account.used, account.refused = minute, 0, 0
        banned_until_ms = max(account.banned_until_ms, self._banned_until_ms)
        if now_ms < banned_until_ms:
            return Charge(account.used, _banned(banned_until_ms, now_ms))
        account.used += weight
        if now_ms < self._throttled_until_ms:
            return Charge(account.used, self._throttled(self._throttled_until_ms, now_ms))
        if account.used <= self.limit:
            return Charge(account.used, None)
        account.refused += 1
        if account.refused < self.ban_after:
            return Charge(account.used, self._throttled((minute + 1) * 60_000, now_ms))
        account.refused = 0
        account.banned_until_ms = now_ms + 1000 * min(self.ban_s * 2**account.bans, self.max_ban_s)
        account.bans += 1
        return Charge(account.used, _banned(account.banned_until_ms, now_ms))

    def throttle_all(self, for_ms: int, now_ms: int) -> None:
        """Answer 429 to everybody for ``for_ms`` from now."""
        self._throttled_until_ms = now_ms + for_ms

    def ban_all(self, for_ms: int, now_ms: int) -> None:
        """Answer 418 to everybody for ``for_ms`` from now."""
        self._banned_until_ms = now_ms + for_ms

    def forgive(self) -> None:
        """End every pause and ban, and empty all accounts."""
        self._accounts.clear()
        self._throttled_until_ms = self._banned_until_ms = 0

    def _account(self, address: str) -> _Account:
        if address not in self._accounts and len(self._accounts) >= self.max_addresses:
            del self._accounts[next(iter(self._accounts))]
        return self._accounts.setdefault(address, _Account())

    def _throttled(self, until_ms: int, now_ms: int) -> Refusal:
        return Refusal(
            429, _seconds(until_ms - now_ms), error_body(-1003, _TOO_MUCH.format(limit=self.limit))
        )


def error_body(code: int, msg: str) -> bytes:
    """``{"code":…,"msg":…}``"""
    return json.dumps({"code": code, "msg": msg}, separators=(",", ":"), ensure_ascii=False).encode()


def _banned(until_ms: int, now_ms: int) -> Refusal:
    return Refusal(418, _seconds(until_ms - now_ms), error_body(-1003, _WAY_TOO_MUCH.format(until=until_ms)))


def _seconds(ms: int) -> int:
    return -(-ms // 1000)
