"""``WebFiles``: files read over HTTP, from a Depthcast server, an edge, or a bucket that anybody may read.

A server and an edge answer ``GET /api/v3/depth?symbol=…&limit=…``, or what another venue has in its place. A
bucket has the same request as the *name* of an object: there ``?`` is sent as ``%3F``. Which of the two is at
an address shows with the first answer: a bucket asked as a server has no such object, and says so in no words
of the exchange's.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

import aiohttp
from yarl import URL

import depthcast
from depthcast.errors import (
    AccessDenied,
    BadFile,
    FileMissing,
    SettingsError,
    StoreError,
    StoreUnavailable,
    UnknownSymbol,
)
from depthcast.files import BINANCE, Scheme, depth_key
from depthcast.reading.file import About, DepthFile
from depthcast.venues.answering import ANSWERING
from depthcast.venues.requests import ApiError

MAX_BODY_BYTES: Final = 4 * 2**20
"""No file is as long: 10,000 levels take about 300 kB."""

_METADATA: Final = "x-amz-meta-"


class _Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def refusal(self) -> dict[str, Any] | None:
        """The members of an error of the exchange's, where that is what the body is: a JSON object."""
        try:
            said = json.loads(self.body)
        except (ValueError, RecursionError):
            return None  # deeper than a parser goes, it is no refusal either
        return said if isinstance(said, dict) and said else None

    def says(self, refusal: ApiError) -> bool:
        """Whether it is this refusal: by its code, where it has one, else by its words."""
        said, words = self.refusal, json.loads(refusal.body())
        if said is None:
            return False
        return bool(said["code"] == words.get("code")) if "code" in said else said == words


class WebFiles:
    """What is published below ``url``: ``http(s)://HOST[:PORT][/PATH]``, all that stands before ``/api/v3``,
    or before what the venue of ``scheme`` has in its place.

    Raises :class:`~depthcast.errors.SettingsError` for a URL that cannot be used.
    """

    def __init__(
        self,
        url: str,
        scheme: Scheme = BINANCE,
        *,
        # Time-outs
        connect_timeout_s: float = 5.0,
        request_timeout_s: float = 15.0,
        # Limits
        max_in_flight: int = 16,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._base = _base(url)
        self._scheme = scheme
        self._refusals = ANSWERING[scheme.venue].refusals
        self._timeout = aiohttp.ClientTimeout(total=request_timeout_s, connect=connect_timeout_s)
        self._max_in_flight = max_in_flight
        self._max_body_bytes = max_body_bytes
        self._session: aiohttp.ClientSession | None = None
        self._is_bucket: bool | None = None

    @property
    def where(self) -> str:
        """Where they are, for people."""
        return self._base

    async def file(self, symbol: str, limit: int) -> DepthFile:
        """The book of ``symbol`` that answers ``limit``, cut from the next larger file where whoever answers
        has no such limit.

        Raises :class:`~depthcast.errors.UnknownSymbol`, :class:`~depthcast.errors.FileMissing`,
        :class:`~depthcast.errors.BadFile` or a :class:`~depthcast.errors.StoreError`.
        """
        depth_key(symbol, limit, self._scheme)  # raises for what nobody could answer
        if self._is_bucket:
            return await self._from_bucket(symbol, limit)
        answer = await self._ask_server(symbol, limit)
        if answer.status == 200:
            self._is_bucket = False
            return self._served(symbol, limit, answer)
        if answer.refusal is None and self._is_bucket is None and answer.status in (400, 403, 404):
            return await self._from_bucket(symbol, limit)
        if answer.says(self._refusals.no_such_file) and self._larger(limit):
            return await self._from_larger(symbol, limit)
        raise self._failure(answer, symbol)

    async def close(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()

    async def _from_larger(self, symbol: str, limit: int) -> DepthFile:
        """From an edge that cannot cut: it answers the published limits alone."""
        for larger in self._larger(limit):
            answer = await self._ask_server(symbol, larger)
            if answer.status == 200:
                return self._served(symbol, limit, answer)
            if not answer.says(self._refusals.no_such_file):
                raise self._failure(answer, symbol)
        raise FileMissing(
            depth_key(symbol, limit, self._scheme),
            f"{self._base} has no file with so many levels",
            hint="ask for fewer",
        )

    def _larger(self, limit: int) -> list[int]:
        """The usual limits from whose files this one can be cut, without itself."""
        scheme = self._scheme
        return [each for each in scheme.limits if each != limit and scheme.covering(limit, (each,)) == each]

    async def _from_bucket(self, symbol: str, limit: int) -> DepthFile:
        """From objects by name. What is missing cannot be told from a symbol that never was."""
        denied: _Answer | None = None
        scheme = self._scheme
        for published in (each for each in scheme.limits if scheme.covering(limit, (each,)) == each):
            key = depth_key(symbol, published, scheme)
            answer = await self._ask_bucket(symbol, published)
            if answer.status == 200:
                self._is_bucket = True
                scheme.layout(published).check(key, answer.body)
                metadata = {
                    name.removeprefix(_METADATA): value
                    for name, value in answer.headers.items()
                    if name.startswith(_METADATA)
                }
                body = scheme.layout(published).cut(answer.body, limit)
                return DepthFile.of(symbol, limit, body, About.of_metadata(key, metadata), scheme)
            if answer.status in (401, 403):
                denied = answer
            elif answer.status != 404:
                raise self._failure(answer, symbol)
        if denied is not None:
            raise AccessDenied(
                f"{self._base} denies access ({denied.status})",
                hint="a bucket says so of what is not there, too: check the symbol, and that anybody may read"
                f" {scheme.public_prefixes[0]}",
            )
        raise await self._missing(symbol, limit)

    async def _missing(self, symbol: str, limit: int) -> FileMissing | UnknownSymbol:
        """What to raise where no object has so many levels: smaller ones tell whether there is the symbol."""
        scheme = self._scheme
        smaller = [each for each in scheme.limits if scheme.size(each) < scheme.size(limit)]
        for published in reversed(smaller):
            if (await self._ask_bucket(symbol, published)).status == 200:
                self._is_bucket = True
                why = f"of {symbol} the limit {published} is published at most"
                return FileMissing(depth_key(symbol, limit, scheme), why, hint=f"ask for {published} at most")
        return UnknownSymbol(
            symbol,
            self._base,
            hint="symbols are spelled as the exchange does, and the URL is all that stands before"
            f" /{scheme.root}",
        )

    def _served(self, symbol: str, limit: int, answer: _Answer) -> DepthFile:
        layout = self._scheme.layout(limit)
        layout.check(depth_key(symbol, limit, self._scheme), answer.body)
        body = layout.cut(answer.body, limit)
        return DepthFile.of(symbol, limit, body, About.of_headers(answer.headers), self._scheme)

    def _failure(self, answer: _Answer, symbol: str) -> Exception:
        """What to raise for an answer that is no book."""
        status, refusal = answer.status, answer.refusal
        said = str(status) if refusal is None else f"{status} {' '.join(map(str, refusal.values()))}"
        if answer.says(self._refusals.unknown_symbol):
            return UnknownSymbol(symbol, self._base)
        if status in (401, 403):
            return AccessDenied(f"{self._base} denies access ({said:.200})", hint="ask whoever runs it")
        if status in (418, 429):
            return StoreError(
                f"{self._base} asks for fewer requests ({said:.200})",
                hint="wait a minute, then ask less often",
            )
        if status >= 500:
            return StoreUnavailable(f"{self._base} failed ({said:.200})", hint="try again")
        return StoreError(
            f"{self._base} refused the request ({said:.200})",
            hint=f"the URL is all that stands before /{self._scheme.root}",
        )

    async def _ask_server(self, symbol: str, limit: int) -> _Answer:
        return await self._ask(f"{self._base}/{self._scheme.key(quote(symbol, safe=''), limit)}")

    async def _ask_bucket(self, symbol: str, limit: int) -> _Answer:
        return await self._ask(f"{self._base}/{quote(depth_key(symbol, limit, self._scheme), safe='-._~/')}")

    async def _ask(self, url: str) -> _Answer:
        try:
            async with self._open_session().get(URL(url, encoded=True), max_redirects=3) as response:
                body = bytearray()
                async for piece in response.content.iter_any():
                    body += piece
                    if len(body) > self._max_body_bytes:
                        raise BadFile(url, f"it has more than {self._max_body_bytes} bytes")
                headers = {name.lower(): value for name, value in response.headers.items()}
                return _Answer(response.status, headers, bytes(body))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = str(error) or type(error).__name__
            raise StoreUnavailable(
                f"{self._base} did not answer: {why:.200}", hint="check the network and the URL"
            ) from error

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._max_in_flight),
                timeout=self._timeout,
                headers={"User-Agent": f"depthcast/{depthcast.__version__}"},
                trust_env=True,
            )
        return self._session


def _base(url: str) -> str:
    """The URL without slashes at its end."""
    try:
        parts = urlsplit(url)
        sound = bool(parts.hostname) and parts.port != 0 and parts.scheme in ("http", "https")
    except ValueError:
        sound = False
    if not sound or parts.query or parts.fragment or any(map(str.isspace, url)):
        shown = url.rpartition("@")[2]
        raise SettingsError(f"not a URL to read from: {shown!r:.120}", hint="write http(s)://HOST[:PORT]")
    if parts.username or parts.password:
        raise SettingsError("the URL holds credentials", hint="files are public: leave them out")
    return url.rstrip("/")
