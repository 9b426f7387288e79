"""Binance's signed requests: an account's key, the exchange's clock, and a query that proves both. Pure.

The rules are *request-security.md*'s: parameters are percent-encoded **before** they are signed;
*"timestamp"* is the exchange's time in milliseconds; *"recvWindow"* is how much later the request may still
be carried out (5,000 unless sent, 60,000 at most); *"signature"* comes last: HMAC-SHA256 in hexadecimal, or
Ed25519 in base64, percent-encoded again. The key itself travels in the header ``X-MBX-APIKEY``.

A key is made of two lines or more: the API key, and below it the secret as the exchange gave it, or the PEM
of an Ed25519 private key. Nothing here shows a secret: not ``repr``, not an error.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from typing import Final, Self
from urllib.parse import quote

from depthcast.errors import ExtraMissing, SettingsError

KEY_HEADER: Final = "X-MBX-APIKEY"
DEFAULT_RECV_WINDOW_MS: Final = 5000
MAX_RECV_WINDOW_MS: Final = 60_000

CLOCK_ERROR: Final = -1021
"""*"Timestamp for this request is outside of the recvWindow"*, or ahead of the exchange's."""

KEY_ERRORS: Final = frozenset((-1022, -2014, -2015))
"""A bad signature; a key that is spelled like none; one that is unknown, of another address, or may not."""

_KEY: Final = re.compile(r"[\x21-\x7e]{8,256}")
_PEM: Final = "-----BEGIN"
_HINT: Final = "the file has the API key on its first line, and below it the secret or an Ed25519 key as PEM"

Sign = Callable[[bytes], str]


class ApiKey:
    """One account's key: ``api_key`` is sent with each request, what signs it is kept to itself."""

    __slots__ = ("_sign", "api_key")

    def __init__(self, api_key: str, secret: str) -> None:
        """Raises :class:`~depthcast.errors.SettingsError` for what is no key or no secret."""
        if _KEY.fullmatch(api_key) is None:
            raise SettingsError("the API key is not spelled like one", hint=_HINT)
        if not secret:
            raise SettingsError("the API key has no secret beside it", hint=_HINT)
        self.api_key = api_key
        self._sign = _ed25519(secret) if secret.startswith(_PEM) else _hmac_sha256(secret)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key in the text of a file. Raises :class:`~depthcast.errors.SettingsError`."""
        api_key, _, secret = text.strip().partition("\n")
        return cls(api_key.strip(), secret.strip())

    def __repr__(self) -> str:
        return "ApiKey(…)"

    @property
    def headers(self) -> Mapping[str, str]:
        """What a request is to be sent with."""
        return {KEY_HEADER: self.api_key}

    def query(
        self,
        parameters: Mapping[str, str | int],
        *,
        timestamp_ms: int,
        recv_window_ms: int = DEFAULT_RECV_WINDOW_MS,
    ) -> str:
        """The signed query string; the parameters keep their order.

        >>> key = ApiKey("vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zv", "secret")
        >>> key.query({"symbol": "ETHUSDT"}, timestamp_ms=1499827319559)[:60]
        'symbol=ETHUSDT&recvWindow=5000&timestamp=1499827319559&signa'
        """
        if not 0 < recv_window_ms <= MAX_RECV_WINDOW_MS:
            raise ValueError(f"recvWindow is at most {MAX_RECV_WINDOW_MS} ms, not {recv_window_ms}")
        payload = encoded({**parameters, "recvWindow": recv_window_ms, "timestamp": timestamp_ms})
        return f"{payload}&signature={quote(self.signature(payload), safe='')}"

    def signature(self, payload: str) -> str:
        """What proves that the payload, encoded as it is sent, comes from the key's owner."""
        return self._sign(payload.encode("ascii"))


def encoded(parameters: Mapping[str, str | int]) -> str:
    """``name=value&…``, percent-encoded: *"any non-ASCII characters must be percent-encoded before signing"*.

    >>> encoded({"symbol": "币USDT", "limit": 5})
    'symbol=%E5%B8%81USDT&limit=5'
    """
    return "&".join(
        f"{quote(name, safe='')}={quote(str(value), safe='')}" for name, value in parameters.items()
    )


class ExchangeClock:
    """The exchange's clock, as far as it is known beside ours: both in milliseconds since 1970.

    One question for its time says how far it is ahead, to within half of the time the answer took. Until
    there was one, and again after ``good_for_ms``, it is :meth:`stale` and to be measured.
    """

    def __init__(self, *, good_for_ms: int = 600_000) -> None:
        self._good_for_ms = good_for_ms
        self._measured_ms: int | None = None
        self.offset_ms = 0
        """How far the exchange's clock is ahead of ours."""
        self.uncertain_ms = 0
        """By how much :attr:`offset_ms` may be wrong."""

    def measured(self, *, sent_ms: int, server_ms: int, received_ms: int) -> None:
        """Asked at ``sent_ms``, it said ``server_ms``, which was heard at ``received_ms``."""
        took_ms = max(0, received_ms - sent_ms)
        self.offset_ms = server_ms - (sent_ms + took_ms // 2)
        self.uncertain_ms = -(-took_ms // 2)
        self._measured_ms = received_ms

    def doubt(self) -> None:
        """The exchange found a timestamp wrong: measure again."""
        self._measured_ms = None

    def stale(self, wall_ms: int) -> bool:
        """Whether it is to be measured. A clock of ours that was set back makes it so, too."""
        return self._measured_ms is None or not 0 <= wall_ms - self._measured_ms < self._good_for_ms

    def now_ms(self, wall_ms: int) -> int:
        """The exchange's time when ours is ``wall_ms``."""
        return wall_ms + self.offset_ms


def _hmac_sha256(secret: str) -> Sign:
    if not secret.isascii() or any(letter.isspace() for letter in secret):
        raise SettingsError("the API key's secret is not spelled like one", hint=_HINT)
    return lambda payload: hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()


def _ed25519(pem: str) -> Sign:
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ModuleNotFoundError as missing:
        raise ExtraMissing("an Ed25519 key", "signing", missing.name or "cryptography") from None
    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm, binascii.Error):
        # The reason may quote what is in the file.
        raise SettingsError(
            "the API key's PEM cannot be read", hint="an Ed25519 private key in PKCS #8, not encrypted"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError("the API key's PEM is of another kind", hint="make an Ed25519 key, or use HMAC")
    private = key
    return lambda payload: base64.b64encode(private.sign(payload)).decode()
