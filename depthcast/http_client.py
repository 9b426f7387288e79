"""One HTTP request as far as a venue's REST interface needs it, and the client made of ``aiohttp``.

The seam between :class:`depthcast.rest.Rest` and the network, as :mod:`depthcast.feed.websocket` is the
feed's: tests and simulations pass another :class:`HttpClient`. Foreign exceptions end here.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

import aiohttp
from yarl import URL

import depthcast
from depthcast.errors import MalformedAnswer, VenueUnavailable

NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class HttpAnswer(NamedTuple):
    """An answer whole; names of headers in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient(Protocol):
    """Sends requests, as many at once as it is asked to."""

    async def get(self, url: str, *, headers: Mapping[str, str] = NO_HEADERS, shown: str = "") -> HttpAnswer:
        """The answer to one GET, whatever its status; redirections are not followed.

        ``shown`` is what errors call a ``url`` that is not to be seen; they then say no more than that.
        Raises :class:`~depthcast.errors.VenueUnavailable` where none came, and
        :class:`~depthcast.errors.MalformedAnswer` for one that is too long.
        """
        ...

    async def close(self) -> None:
        """Let go of the connections; no request may follow."""
        ...


class AiohttpClient:
    """An :class:`HttpClient` over ``aiohttp``, which keeps up to ``connections`` open. For one event loop.

    ``proxy``: the url of one that requests go through; ``None``: that of the environment, if any.
    """

    def __init__(
        self,
        *,
        # Limits
        connections: int = 4,
        max_body_bytes: int = 64 * 1024 * 1024,
        # Timeouts
        connect_timeout_s: float = 5.0,
        answer_timeout_s: float = 30.0,
        # Surroundings
        proxy: str | None = None,
    ) -> None:
        self._connections = connections
        self._proxy = proxy
        self._max_body_bytes = max_body_bytes
        self._timeout = aiohttp.ClientTimeout(total=answer_timeout_s, connect=connect_timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str, *, headers: Mapping[str, str] = NO_HEADERS, shown: str = "") -> HttpAnswer:
        """See :class:`HttpClient`."""
        called = shown or url
        try:
            async with self._open_session().get(
                URL(url, encoded=True), headers=headers, allow_redirects=False, proxy=self._proxy
            ) as response:
                body = bytearray()
                async for piece in response.content.iter_any():
                    body += piece
                    if len(body) > self._max_body_bytes:
                        raise MalformedAnswer(called, f"more than {self._max_body_bytes} bytes")
                return HttpAnswer(response.status, response.headers, bytes(body))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = type(error).__name__ if shown else str(error) or type(error).__name__
            raise VenueUnavailable(
                f"{called} did not answer: {why:.300}", hint="check the network and the REST url"
            ) from error

    async def close(self) -> None:
        """See :class:`HttpClient`."""
        if self._session is not None:
            await self._session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections),
                timeout=self._timeout,
                headers={"User-Agent": f"depthcast/{depthcast.__version__}"},
                trust_env=True,
            )
        return self._session
