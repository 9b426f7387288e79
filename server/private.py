"""``GET /private/…``: what the updaters keep of an account, for who brings a token. Off unless there is a
file of tokens.

Promises: without a good token every path, method and query is answered alike, 401 with nothing in it, and
before the store is asked; so nobody learns what there is. Tokens are compared by their digests, all of them,
in constant time. The file of tokens is looked at again at most once in ``look_every_s`` and read when it
changed, so a token is given or taken without a restart; while it cannot be read, nobody is let in. An answer
is for no cache, is kept in no memory, and is counted under no name. What can be asked for:
:mod:`server.private_requests`.

One token a line; blank lines and those that begin with ``#`` are none. While tokens change, both stand there.
"""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from depthcast.errors import BadFile, SettingsError, StoreError
from depthcast.logs import Seldom, get_logger
from depthcast.metadata.document import write_json
from depthcast.metadata.history import History
from depthcast.metadata.kinds import Kind
from depthcast.metadata.record import HeadInfo
from depthcast.store import Store
from depthcast.venues.binance_rest import ERROR_CONTENT_TYPE, UNAVAILABLE
from depthcast.venues.requests import ApiError
from server.past import NOTHING_BY_THEN, page_json
from server.private_requests import PrivateRequest, parse_private

PATH: Final = "/private/{path:path}"
MIN_TOKEN_CHARACTERS: Final = 16
MAX_TOKENS: Final = 1000
MAX_TOKEN_BYTES: Final = 4096
LOOK_EVERY_S: Final = 1.0

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
    """The endpoint. Every answer with content is read from the store for that one request.

    ``wall_ms`` is milliseconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        tokens: Tokens,
        *,
        read_timeout_s: float = 5.0,
        reads_at_once: int = 4,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._read_timeout_s = read_timeout_s
        self._reads = asyncio.Semaphore(reads_at_once)
        self._wall_ms = wall_ms

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
        asked = parse_private(request.path_params["path"], request.scope["query_string"], self._wall_ms())
        if asked is None:
            return _not_there()
        if isinstance(asked, ApiError):
            return _refusal(asked)
        try:
            async with asyncio.timeout(self._read_timeout_s), self._reads:
                return await self._given(asked)
        except (StoreError, BadFile, TimeoutError) as error:
            _LOG.warning("a private document cannot be read", why=type(error).__name__)
            return _refusal(UNAVAILABLE)

    async def _given(self, asked: PrivateRequest) -> Response:
        history = History(self._store, asked.kind)
        if asked.page is not None:
            page = asked.page
            if await history.head() is None:
                return _not_there()
            found = await history.log(page.from_ms, page.to_ms, limit=page.limit)
            return _document(write_json(page_json(asked.kind, found)))
        if asked.at_ms is None:
            return await self._current(asked.kind)
        was = await history.at(asked.at_ms)
        if was is not None:
            return _document(was.document, was.record.sequence, was.record.observed_ms)
        return _not_there() if await history.head() is None else _refusal(NOTHING_BY_THEN)

    async def _current(self, kind: Kind) -> Response:
        found = await self._store.get(kind.key)
        if found is None:
            return _not_there()
        try:
            info = HeadInfo.from_metadata(kind.key, found.metadata)
        except BadFile:
            # Somebody put it there by hand: it is answered, and nothing is said of its time.
            return _document(found.body)
        return _document(found.body, info.sequence, info.observed_ms)


def _not_there() -> Response:
    return Response(status_code=404, headers=_NO_STORE)


def _document(body: bytes, sequence: int | None = None, observed_ms: int | None = None) -> Response:
    headers = dict(_NO_STORE)
    if sequence is not None:
        headers |= {"Depthcast-Sequence": str(sequence), "Depthcast-Observed-Time": str(observed_ms)}
    return Response(body, headers=headers, media_type=ERROR_CONTENT_TYPE)


def _refusal(error: ApiError) -> Response:
    headers = _NO_STORE | ({"Retry-After": "1"} if error.status == 503 else {})
    return Response(error.body(), error.status, headers, media_type=ERROR_CONTENT_TYPE)


def _bearer(request: Request) -> bytes:
    """The token in the one ``Authorization`` header (RFC 6750, 2.1); empty where there is none, or two."""
    sent = [value for name, value in request.scope["headers"] if name == b"authorization"]
    if len(sent) != 1:
        return b""
    scheme, _, token = sent[0].partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""
