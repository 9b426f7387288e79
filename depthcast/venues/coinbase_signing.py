"""Coinbase Exchange's signed subscriptions: an account's key, and the members that prove it. Pure.

The rules are *exchange websocket authentication*'s: ``timestamp + "GET" + "/users/self/verify"`` is signed by
HMAC-SHA256 with the key's secret, which is base64, and the signature is base64 again; the timestamp is in
seconds and at most half a minute off. The passphrase travels with it.

Nothing here shows a secret: not ``repr``, not an error.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Final, Self

from depthcast.errors import SettingsError

VARIABLES: Final = ("COINBASE_API_KEY", "COINBASE_PASSPHRASE", "COINBASE_API_SECRET")
"""The environment variables that hold a key where no file does."""

_KEY: Final = re.compile(r"[\x21-\x7e]{8,256}")
_PASSPHRASE: Final = re.compile(r"[\x20-\x7e]{1,256}")
_HINT: Final = (
    "a key file has the API key, its passphrase and its secret in base64, each on a line of its own"
)


class CoinbaseKey:
    """One account's key: ``api_key`` and the passphrase are sent, the secret is kept to itself."""

    __slots__ = ("_passphrase", "_secret", "api_key")

    def __init__(self, api_key: str, passphrase: str, secret: str) -> None:
        """Raises :class:`~depthcast.errors.SettingsError` for what is no key."""
        if _KEY.fullmatch(api_key) is None or _PASSPHRASE.fullmatch(passphrase) is None:
            raise SettingsError("the API key or its passphrase is not spelled like one", hint=_HINT)
        try:
            decoded = base64.b64decode(secret, validate=True)
        except (binascii.Error, ValueError):
            decoded = b""
        if not decoded:
            raise SettingsError("the API key's secret is not base64", hint=_HINT)
        self.api_key = api_key
        self._passphrase = passphrase
        self._secret = decoded

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key in the text of a file. Raises :class:`~depthcast.errors.SettingsError`."""
        lines = [line.strip() for line in text.strip().splitlines()]
        if len(lines) != 3:
            raise SettingsError(f"a key file of {len(lines)} lines", hint=_HINT)
        return cls(*lines)

    @classmethod
    def made_up(cls) -> str:
        """A key of no account, the same each time.

        >>> CoinbaseKey.parse(CoinbaseKey.made_up())
        CoinbaseKey(…)
        """
        return f"{'0' * 32}\nsimulated\n{base64.b64encode(b'simulated').decode()}\n"

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> Self | None:
        """The key in :data:`VARIABLES`; ``None`` where none of them is set. Raises SettingsError."""
        values = [environment.get(name, "") for name in VARIABLES]
        if not any(values):
            return None
        if not all(values):
            missing = VARIABLES[values.index("")]
            raise SettingsError(f"{missing} is not set", hint=f"set all of {', '.join(VARIABLES)}, or none")
        return cls(*values)

    def __repr__(self) -> str:
        return "CoinbaseKey(…)"

    def members(self, now_ms: int) -> dict[str, str]:
        """What a subscription is to be sent with; ``now_ms`` is the time since 1970.

        >>> key = CoinbaseKey("0123456789abcdef", "pass", "c2VjcmV0")
        >>> key.members(1_700_000_000_000)["signature"]
        'lhmJXK08fk9SI1ZwFXKFRrPtzfbNOwC+D1xMJJ/1KZg='
        """
        timestamp = f"{now_ms // 1000}"
        message = f"{timestamp}GET/users/self/verify".encode()
        signature = base64.b64encode(hmac.new(self._secret, message, hashlib.sha256).digest()).decode()
        return {
            "signature": signature,
            "key": self.api_key,
            "passphrase": self._passphrase,
            "timestamp": timestamp,
        }
