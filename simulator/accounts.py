"""Accounts of the exchange: their keys, balances and fees, and whether a request is signed by one of them.

What is checked and the words of each refusal follow request-security.md and errors.md; the order of the
checks is *chosen*. A key's secret is an HMAC secret, or the public half of an Ed25519 key. Sans-I/O.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import parse_qsl, unquote

from simulator.parameters import ApiError

KEY_HEADER: Final = "x-mbx-apikey"
DEFAULT_RECV_WINDOW_MS: Final = 5000
MAX_RECV_WINDOW_MS: Final = 60_000
AHEAD_MS: Final = 1000
"""*"timestamp < (serverTime + 1 second)"*"""

_KEY: Final = re.compile(r"[A-Za-z0-9]{16,128}")
_NUMBER: Final = re.compile(r"[0-9]{1,20}")
_FEES: Final = ("maker", "taker", "buyer", "seller")

Verify = Callable[[bytes, str], bool]
"""Whether a text is the signature of a payload."""


def hmac_verifier(secret: str) -> Verify:
    """*"HMAC: Signatures generated using HMAC are not case-sensitive."*"""

    def verify(payload: bytes, signature: str) -> bool:
        wanted = hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()
        return hmac.compare_digest(wanted.encode(), signature.lower().encode())

    return verify


def ed25519_verifier(pem: str) -> Verify:
    """Of a public key, or of a private one's public half, in PEM. Raises ValueError for what is neither."""
    # The package belongs to whoever signs so: others need not have it.
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

    loaded: object
    if "PRIVATE" in pem:
        loaded = load_pem_private_key(pem.encode(), None)
    else:
        loaded = load_pem_public_key(pem.encode())
    key = loaded.public_key() if isinstance(loaded, Ed25519PrivateKey) else loaded
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("an account's PEM key is an Ed25519 one")

    def verify(payload: bytes, signature: str) -> bool:
        try:
            key.verify(base64.b64decode(signature, validate=True), payload)
        except (InvalidSignature, binascii.Error):
            return False
        return True

    return verify


@dataclass
class Account:
    """One account: its ``key`` and what ``verify`` s its signatures, its balances and its fees."""

    key: str
    verify: Verify = field(repr=False)
    uid: int = 354937868
    fees: dict[str, str] = field(
        default_factory=lambda: {
            **dict.fromkeys(_FEES[:2], "0.00100000"),
            **dict.fromkeys(_FEES[2:], "0.00000000"),
        }
    )
    symbol_fees: dict[str, dict[str, str]] = field(default_factory=dict)
    balances: dict[str, tuple[str, str]] = field(
        default_factory=lambda: {
            "BTC": ("4723846.89208129", "0.00000000"),
            "LTC": ("4763368.68006011", "0.00000000"),
        }
    )
    can_trade: bool = True
    updated_ms: int = 0

    @classmethod
    def of(cls, text: str) -> Self:
        """An account from a key's file: the key on the first line, then an HMAC secret or a PEM key."""
        key, _, rest = text.strip().partition("\n")
        key, secret = key.strip(), rest.strip()
        if _KEY.fullmatch(key) is None or not secret:
            raise ValueError("a key's file has the key on its first line and the secret below it")
        return cls(
            key, ed25519_verifier(secret) if secret.startswith("-----BEGIN") else hmac_verifier(secret)
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """The same, from a file. Raises OSError and ValueError."""
        return cls.of(path.read_text("utf-8"))

    def info(self, *, omit_zero_balances: bool) -> dict[str, Any]:
        """What ``GET /api/v3/account`` shows."""
        return {
            "makerCommission": _basis_points(self.fees["maker"]),
            "takerCommission": _basis_points(self.fees["taker"]),
            "buyerCommission": _basis_points(self.fees["buyer"]),
            "sellerCommission": _basis_points(self.fees["seller"]),
            "commissionRates": {name: self.fees[name] for name in _FEES},
            "canTrade": self.can_trade,
            "canWithdraw": True,
            "canDeposit": True,
            "brokered": False,
            "requireSelfTradePrevention": False,
            "preventSor": False,
            "updateTime": self.updated_ms,
            "accountType": "SPOT",
            "balances": [
                {"asset": asset, "free": free, "locked": locked}
                for asset, (free, locked) in self.balances.items()
                if not omit_zero_balances or float(free) or float(locked)
            ],
            "permissions": ["SPOT"],
            "uid": self.uid,
        }

    def commission(self, symbol: str) -> dict[str, Any]:
        """What ``GET /api/v3/account/commission`` shows of a symbol."""
        none = dict.fromkeys(_FEES, "0.00000000")
        return {
            "symbol": symbol,
            "standardCommission": {**self.fees, **self.symbol_fees.get(symbol, {})},
            "specialCommission": none,
            "taxCommission": none,
            "discount": {
                "enabledForAccount": True,
                "enabledForSymbol": True,
                "discountAsset": "BNB",
                "discount": "0.75000000",
            },
        }

    def set_fee(self, member: str, rate: str, *, symbol: str | None, now_ms: int) -> None:
        """Change one of the fees, of a symbol or of all that have none of their own. Raises ValueError."""
        if member not in _FEES:
            raise ValueError(f"{member!r:.40} is not a fee, only {', '.join(_FEES)}")
        (self.fees if symbol is None else self.symbol_fees.setdefault(symbol, {}))[member] = (
            f"{float(rate):.8f}"
        )
        self.updated_ms = now_ms

    def set_balance(self, asset: str, free: str, locked: str, *, now_ms: int) -> None:
        """Change what the account has of an asset. Raises ValueError."""
        self.balances[asset] = (f"{float(free):.8f}", f"{float(locked):.8f}")
        self.updated_ms = now_ms


class Accounts:
    """The accounts by their keys."""

    def __init__(self, accounts: Iterable[Account] = ()) -> None:
        self._by_key = {account.key: account for account in accounts}

    def add(self, account: Account) -> None:
        """From now on this account is known."""
        self._by_key[account.key] = account

    def of_key(self, key: str | None) -> Account:
        """The account of a key; of ``None`` the first one. Raises ValueError."""
        try:
            return next(iter(self._by_key.values())) if key is None else self._by_key[key]
        except (KeyError, StopIteration):
            raise ValueError("no such account") from None

    def signer(self, query: str, headers: Mapping[str, str], now_ms: int) -> Account:
        """Whose request this is. ``query`` as it was sent. Raises ApiError."""
        key = headers.get(KEY_HEADER, "")
        if _KEY.fullmatch(key) is None:
            raise ApiError(-2014, "API-key format invalid.", 401)
        sent = dict(parse_qsl(query, keep_blank_values=True))
        _timely(sent, now_ms)
        signature = sent.get("signature")
        if not signature:
            raise _missing("signature")
        account = self._by_key.get(key)
        if account is None:
            raise ApiError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        parts = query.split("&")
        payload = "&".join(part for part in parts if not part.startswith("signature="))
        raw = next(part for part in parts if part.startswith("signature=")).partition("=")[2]
        # "+" is a plus sign in base64, and no blank: whoever does not encode it is refused.
        decoded = unquote(raw.replace("+", " "))
        if not payload.isascii() or not account.verify(payload.encode(), decoded):
            raise ApiError(-1022, "Signature for this request is not valid.")
        return account


def _timely(sent: Mapping[str, str], now_ms: int) -> None:
    """*"timestamp < (serverTime + 1 second) && (serverTime - timestamp) <= recvWindow"*."""
    timestamp, window = sent.get("timestamp"), sent.get("recvWindow", str(DEFAULT_RECV_WINDOW_MS))
    if not timestamp:
        raise _missing("timestamp")
    for name, text in (("timestamp", timestamp), ("recvWindow", window)):
        if _NUMBER.fullmatch(text) is None:
            raise ApiError(
                -1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
            )
    if int(window) > MAX_RECV_WINDOW_MS:
        raise ApiError(-1131, "recvWindow must be less than 60000.")
    if int(timestamp) >= now_ms + AHEAD_MS:
        raise ApiError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    if now_ms - int(timestamp) > int(window):
        raise ApiError(-1021, "Timestamp for this request is outside of the recvWindow.")


def _missing(name: str) -> ApiError:
    return ApiError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def _basis_points(rate: str) -> int:
    return round(float(rate) * 10_000)
