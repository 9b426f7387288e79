"""``Asking``: what both exchanges know of whom they ask: options, the server, the exchange, and its pauses.

What takes I/O is not done here but yielded, as a function to be called: :mod:`depthcast.ccxt` calls it,
:mod:`depthcast.ccxt.aio` awaits what it returns; both hand back the result, or throw in the error.
"""

import time
from collections.abc import Callable, Generator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from ccxt.base.errors import BadResponse, BaseError, NetworkError

from depthcast.backoff import Backoff
from depthcast.ccxt.dialects import Dialect
from depthcast.ccxt.options import Options, parse_options
from depthcast.ccxt.restraint import Restraint
from depthcast.ccxt.served import Marks, read_marks
from depthcast.ccxt.wish import Wish, parse_wish
from depthcast.errors import DepthcastError

if TYPE_CHECKING:
    _Exchange = Any
else:
    _Exchange = object

Steps = Generator[Callable[[], Any], Any, Any]
"""Yields what is to be called (or awaited), is sent what that returned, and returns the answer."""

_headers: Final[ContextVar[dict[str, Any] | None]] = ContextVar("headers of a server's answer", default=None)
"""Where the headers of the answer go that this task or thread waits for, if it is a server's."""


class PassedOver(Exception):
    """This source has no good answer; the text says why."""


class Asking(_Exchange):  # type: ignore[misc]
    """Mixed into ccxt's classes. ccxt spells every attribute anew that has no underscore in front."""

    _dialect: Dialect

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        self._restraint = Restraint(self._dialect.venue_here)
        self._parsed: tuple[Any, Options] = (None, Options())
        self._usual = parse_wish(self._parsed[1], {})
        self._server_pause = Backoff(0.5, maximum_s=15.0)
        self._server_rests_until = 0.0
        super().__init__(dict(config or {}))
        self._chosen()

    # What the two exchanges do in their own way

    def _silence(self, ms: int | None = None) -> float:
        """Tell the books of a pause in ms that the exchange asks for; how many seconds of one are left."""
        raise NotImplementedError

    # What was asked for

    def _chosen(self) -> Options:
        """``options["depthcast"]`` as it is now; parsed again after each change."""
        given = self.options.get("depthcast")
        if given != self._parsed[0]:
            options = parse_options(given)
            self._usual = parse_wish(options, {})
            self._parsed = (None if given is None else dict(given), options)
        return self._parsed[1]

    def _wished(self, params: Mapping[str, Any], *, local: bool = True) -> Wish:
        """What a call asks for; ``local``: whether a book in this process might do."""
        options = self._chosen()
        if not params and local:
            return self._usual
        return parse_wish(options, params, local=local, understood=self._dialect.understood)

    def _place(self) -> tuple[str, str | None, str | None]:
        """What says where the books of this process come from: other books belong to another place."""
        options = self._chosen()
        return self.urls["api"][self._dialect.apis[0]], options.rest_url, options.ws_url

    def _books_arguments(self) -> dict[str, Any]:
        """What the books of this process are made with."""
        options = self._chosen()
        dialect = self._dialect
        rest_url, ws_url = dialect.exchange_urls(options, self._own_urls()[0])
        arguments: dict[str, Any] = {
            "venue": dialect.venue,
            "rest_url": rest_url,
            "ws_url": ws_url,
            "depth": options.depth,
        }
        if options.weight_share is not None:
            arguments["weight_share"] = options.weight_share
        return arguments | dialect.credentials(self) | self._proxies()

    def _proxies(self) -> dict[str, str]:
        """What ccxt was told of proxies, for the books' snapshots and sockets."""
        url = self._own_urls()[0]
        http, https, socks = self.check_proxy_settings(url, "GET", None, None)
        if socks:
            # Without it they would go another way than the program chose.
            raise DepthcastError("the exchange is behind a SOCKS proxy, which snapshots cannot go through")
        by_kind = {"rest_proxy": http or https, "ws_proxy": next(filter(None, self._ws_proxies()), None)}
        return {name: proxy for name, proxy in by_kind.items() if proxy}

    def _ws_proxies(self) -> list[str | None]:
        proxies: list[str | None] = self.check_ws_proxy_settings()
        return proxies

    def _own_urls(self) -> tuple[str, ...]:
        """The exchange's addresses, as this object has them now."""
        return tuple(self.implode_hostname(self.urls["api"][name]) for name in self._dialect.apis)

    # Asking a server

    def _server(self) -> str:
        server = self._chosen().server
        assert server is not None  # it is among the ways only where there is one
        return server

    def _from_server(
        self, url: str, wish: Wish, expected: Callable[[Any], bool], *, refusable: bool = True
    ) -> Steps:
        """An answer of the server that is as ``expected`` and young enough, and its marks.

        ``refusable``: what the server refuses, another one may answer. A server that does not answer is left
        alone for a while, a little longer each time, where there is somebody else to ask.
        """
        more = wish.ways[-1] != "server"
        began = time.monotonic()
        if more and began < self._server_rests_until:
            raise PassedOver("it did not answer a moment ago")
        heard: dict[str, Any] = {}
        token = _headers.set(heard)
        try:
            body = yield lambda: self.fetch(url, "GET", None, None)
            if not expected(body):
                raise BadResponse(f"depthcast: {url} did not answer what the exchange would")
        except BaseError as error:
            if isinstance(error, NetworkError):
                self._server_rests_until = time.monotonic() + self._server_pause.next_s()
            if not refusable or not more:
                raise
            raise PassedOver(" ".join(str(error).split())[:200]) from error
        finally:
            _headers.reset(token)
        self._server_pause.reset()
        elapsed_ms = (time.monotonic() - began) * 1000
        marks = read_marks(heard, now_ms=self.milliseconds(), elapsed_ms=elapsed_ms)
        if wish.max_age_ms is not None and (marks.age_ms is None or marks.age_ms > wish.max_age_ms):
            age = "an unknown time" if marks.age_ms is None else f"{marks.age_ms / 1000:.1f} s"
            raise PassedOver(f"what it has was last known to be the exchange's {age} ago")
        return body, marks

    def _time_of(self, marks: Marks) -> int:
        """When an answer's book last changed, ms since 1970; by our clock where nobody says so."""
        time_ms: int = self.milliseconds() if marks.time_ms is None else marks.time_ms
        return time_ms

    # Asking the exchange

    def _from_exchange(self, call: Callable[[], Any], weight: int, passed_over: list[str]) -> Steps:
        """What ``call`` comes to, unless the exchange is not to be asked now.

        Weight is spared where we ask in another one's place (``passed_over`` says whose and why); who names
        the exchange itself has the whole of it. Pauses are kept in any case.
        """
        try:
            refusal = self._restraint.refusal(weight if passed_over else None, silent_for_s=self._silence())
            if refusal is not None:
                raise refusal
            return (yield call)
        except BaseError as error:
            for why in passed_over:
                error.add_note(f"depthcast asked before: {why}")
            raise

    def on_rest_response(
        self,
        code: int,
        reason: str,
        url: str,
        method: str,
        response_headers: Mapping[str, str],
        response_body: str,
        request_headers: Any,
        request_body: Any,
    ) -> Any:
        """ccxt's hook: it is called with every answer."""
        heard = _headers.get()
        if heard is not None:
            heard.update(response_headers)
        elif url.startswith(self._own_urls()):
            silence_ms = self._restraint.hear(code, response_headers, response_body)
            if silence_ms:
                self._silence(silence_ms)
        return super().on_rest_response(
            code, reason, url, method, response_headers, response_body, request_headers, request_body
        )
