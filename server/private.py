"""``GET /private/…``: what the updaters keep of an account, for who brings a token. Off unless there is a
file of tokens.

Promises: without a good token every path, method and query is answered alike, 401 with nothing in it, and
before the store is asked; so nobody learns what there is. Tokens are compared by their digests, all of them,
in constant time. The file of tokens is looked at again at most once in ``look_every_s`` and read when it
changed, so a token is given or taken without a restart; while it cannot be read, nobody is let in. An answer
is for no cache, is kept in no memory, and is counted under no name.

One token a line; blank lines and those that begin with ``#`` are none. While tokens change, both stand there.
"""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from depthcast.errors import BadFile, BadKey, SettingsError, StoreError
from depthcast.logs import Seldom, get_logger
from depthcast.metadata import kinds
from depthcast.metadata.record import HeadInfo
from depthcast.store import Store
from depthcast.venues.binance_rest import ERROR_CONTENT_TYPE, UNAVAILABLE

PATH: Final = "/private/{path:path}"
MIN_TOKEN_CHARACTERS: Final = 16
MAX_TOKENS: Final = 1000
MAX_TOKEN_BYTES: Final = 4096
LOOK_EVERY_S: Final = 1.0

_ACCOUNT_PATH: Final = "api/v3/account"
_COMMISSION_PATH: Final = "api/v3/account/commission"
_NO_STORE: Final = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")

_LOG: Final = get_logger("server")


class Tokens:
    """The tokens in a file. ``clock`` is monotonic, in seconds.

    Raises :class:`~depthcast.errors.SettingsError` where the file cannot be read now, or holds what is none.
    """

    def __init__(
        self,
        file: Path,
        *,
        look_every_s: float = LOOK_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file = file
        self._look_every_s = look_every_s
        self._clock = clock
        self._looked_at = clock()
        self._seldom = Seldom(clock=clock)
        self._seen = self._mark()
        self._digests = self._read()

    def let_in(self, token: bytes) -> bool:
        """Whether ``token`` is one of them."""
        self._look()
        digest = hashlib.sha256(token[: MAX_TOKEN_BYTES + 1]).digest()
        found = False
        for each in self._digests:
            # No way out of the loop: how long it takes tells nothing of which one it was.
            found |= hmac.compare_digest(digest, each)
        return found

    def _look(self) -> None:
        now = self._clock()
        if now - self._looked_at < self._look_every_s:
            return
        self._looked_at = now
        try:
            mark = self._mark()
            if mark == self._seen:
                return
            self._digests = self._read()
            self._seen = mark
            _LOG.info("tokens were read anew", tokens=len(self._digests))
        except SettingsError as error:
            self._digests, self._seen = (), None
            if self._seldom.held_back("tokens") is not None:
                _LOG.error("tokens cannot be read; nobody is let in", why=str(error))

    def _mark(self) -> tuple[int, int, int] | None:
        """What changes when the file does."""
        try:
            found = self._file.stat()
        except OSError as error:
            raise self._unreadable(error) from None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> tuple[bytes, ...]:
        try:
            lines = self._file.read_bytes().splitlines()
        except OSError as error:
            raise self._unreadable(error) from None
        tokens = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith(b"#")]
        if len(tokens) > MAX_TOKENS:
            raise SettingsError(f"private_token_file has more than {MAX_TOKENS} tokens")
        for number, token in enumerate(tokens, 1):
            if (
                not MIN_TOKEN_CHARACTERS <= len(token) <= MAX_TOKEN_BYTES
                or not token.isascii()
                or b" " in token
            ):
                raise SettingsError(
                    f"token {number} in private_token_file is none",
                    hint=f"one a line, of {MIN_TOKEN_CHARACTERS} characters at least: openssl rand -hex 32",
                )
        return tuple(hashlib.sha256(token).digest() for token in tokens)

    def _unreadable(self, error: OSError) -> SettingsError:
        return SettingsError(f"cannot read private_token_file {self._file}: {error.strerror}")


class Private:
    """The endpoint. Every answer with content is read from the store for that one request."""

    def __init__(
        self, store: Store, tokens: Tokens, *, read_timeout_s: float = 5.0, reads_at_once: int = 4
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._read_timeout_s = read_timeout_s
        self._reads = asyncio.Semaphore(reads_at_once)

    @property
    def route(self) -> Route:
        """All that lies below ``/private/``, whatever the method."""
        return Route(PATH, self.answer, methods=list(_METHODS))

    async def answer(self, request: Request) -> Response:
        """The document, to who brings a token."""
        if not self._tokens.let_in(_bearer(request)):
            return Response(
                status_code=401, headers={**_NO_STORE, "WWW-Authenticate": 'Bearer realm="private"'}
            )
        if request.method not in ("GET", "HEAD"):
            return Response(status_code=405, headers={**_NO_STORE, "Allow": "GET, HEAD"})
        key = key_of(request.path_params["path"], request.url.query)
        if key is None:
            return Response(status_code=404, headers=_NO_STORE)
        try:
            async with asyncio.timeout(self._read_timeout_s), self._reads:
                found = await self._store.get(key)
        except (StoreError, TimeoutError) as error:
            _LOG.warning("a private document cannot be read", why=type(error).__name__)
            headers = {**_NO_STORE, "Retry-After": "1"}
            return Response(UNAVAILABLE.body(), 503, headers, media_type=ERROR_CONTENT_TYPE)
        if found is None:
            return Response(status_code=404, headers=_NO_STORE)
        headers = dict(_NO_STORE)
        try:
            info = HeadInfo.from_metadata(key, found.metadata)
            headers["Depthcast-Sequence"] = str(info.sequence)
            headers["Depthcast-Observed-Time"] = str(info.observed_ms)
        except BadFile:
            pass  # somebody put it there by hand: it is answered, and nothing is said of its time
        return Response(found.body, headers=headers, media_type=ERROR_CONTENT_TYPE)


def key_of(path: str, query: str) -> str | None:
    """The key of what is asked for below ``/private/``; ``None`` where no document is.

    >>> key_of("main/api/v3/account", "")
    'private/main/api/v3/account'
    >>> key_of("main/api/v3/account/commission", "symbol=ETHUSDT")
    'private/main/api/v3/account/commission?symbol=ETHUSDT'
    """
    name, _, rest = path.partition("/")
    sent = parse_qsl(query, keep_blank_values=True)
    try:
        if rest == _ACCOUNT_PATH and not sent:
            return kinds.account(name).key
        if rest == _COMMISSION_PATH and [each for each, _ in sent] == ["symbol"]:
            return kinds.commission(name, sent[0][1]).key
    except BadKey:
        pass
    return None


def _bearer(request: Request) -> bytes:
    """The token in the one ``Authorization`` header (RFC 6750, 2.1); empty where there is none, or two."""
    sent = [value for name, value in request.scope["headers"] if name == b"authorization"]
    if len(sent) != 1:
        return b""
    scheme, _, token = sent[0].partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""
