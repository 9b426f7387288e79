"""Request weight: the headers that tell it, and the limit on each client where one is set.

Clients of Binance pace themselves by ``X-MBX-USED-WEIGHT-1M``, what their address used in this minute. Where
there is no limit each answer says what this one request would weigh there: a number far below Binance's limit
of 6,000, so nobody waits. With a limit the header is the true sum of the client's UTC clock minute, and who
goes over it is answered 429 until the minute ends, in Binance's words. A refused request counts, too. Of
other venues' calls clients are told in those venues' words (:class:`depthcast.venues.answering.Meter`).

The first minute of more than ``max_clients`` clients forgets the one that asked longest ago.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import lru_cache
from typing import Any, Final

from depthcast.venues.answering import BINANCE_METER, Meter
from server.answers import Answer, Asked, Endpoint, Header, refusal
from server.clients import Clients

DEFAULT_MAX_CLIENTS: Final = 65_536

_CACHED_QUERIES: Final = 4096
_CACHED_QUERY_BYTES: Final = 128
_MINUTE_S: Final = 60

Weight = Callable[[bytes], int]
"""What a request weighs, by its query string."""


class Weights:
    """The weight of every client in this minute. ``limit`` 0: no limit, and nothing is counted.

    ``wall_s`` is seconds since 1970.
    """

    def __init__(
        self,
        limit: int = 0,
        clients: Clients | None = None,
        *,
        max_clients: int = DEFAULT_MAX_CLIENTS,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self.limit = limit
        self._clients = clients or Clients()
        self._max_clients = max_clients
        self._wall_s = wall_s
        self._minute = 0
        self._used: OrderedDict[str, int] = OrderedDict()
        self._weights: dict[Endpoint, tuple[Weight, Meter]] = {}
        self.refused = 0
        """How many requests were over the limit."""

    def around(self, endpoint: Endpoint, weight: Weight, meter: Meter = BINANCE_METER) -> Endpoint:
        """``endpoint`` with its answers weighed; each request weighs as ``weight`` says, and clients are told
        so in the words of ``meter``."""

        cached = lru_cache(maxsize=_CACHED_QUERIES)(weight)

        def weigh(query: bytes) -> int:
            return cached(query) if len(query) <= _CACHED_QUERY_BYTES else weight(query)

        def weighed(asked: Asked) -> Answer | Awaitable[Answer]:
            if not self.limit:
                used = weigh(asked.query)
            elif asked.client:
                used = self._add(self._clients.name(asked.client, asked.forwarded_for), weigh(asked.query))
                if used > self.limit:
                    return self._refuse(used, meter)
            else:
                # An answer for nobody in particular, to be kept: who gets it is counted by admit().
                return endpoint(asked)
            given = endpoint(asked)
            return _told(given, used, meter) if isinstance(given, Answer) else _Later(given, used, meter)

        self._weights[weighed] = weigh, meter
        return weighed

    def admit(self, endpoint: Endpoint, client: str, asked: Asked) -> bytes | None:
        """The header lines for a client that gets a kept answer of ``endpoint``, which :meth:`around` made;
        ``None`` where it is over the limit: the ordinary way refuses it, and counts it there."""
        weigh, meter = self._weights[endpoint]
        weight = weigh(asked.query)
        name = self._clients.name(client, asked.forwarded_for)
        if self._used_by(name) + weight > self.limit:
            return None
        used = self._add(name, weight)
        return b"".join(b"%b: %d\r\n" % (told, used) for told in meter.told)

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken. O(clients)."""
        assert len(self._used) <= self._max_clients
        assert all(used > 0 for used in self._used.values())
        assert self.limit or not self._used, "counted without a limit"

    def __len__(self) -> int:
        """How many clients asked in this minute, as far as they are remembered."""
        return len(self._used)

    def _used_by(self, name: str) -> int:
        minute = int(self._wall_s()) // _MINUTE_S
        if minute != self._minute:
            self._minute = minute
            self._used.clear()
        return self._used.get(name, 0)

    def _add(self, name: str, weight: int) -> int:
        self._used[name] = used = self._used_by(name) + weight
        self._used.move_to_end(name)
        if len(self._used) > self._max_clients:
            self._used.popitem(last=False)
        return used

    def _refuse(self, used: int, meter: Meter) -> Answer:
        self.refused += 1
        left_s = _MINUTE_S - int(self._wall_s()) % _MINUTE_S
        retry: Header = (b"retry-after", b"%d" % left_s)
        answer = refusal(meter.too_much(self.limit, left_s))
        return _told(answer._replace(headers=(*answer.headers, retry)), used, meter)


def _told(answer: Answer, used: int, meter: Meter) -> Answer:
    if not meter.told:
        return answer
    value = b"%d" % used
    return answer._replace(headers=(*answer.headers, *((name, value) for name in meter.told)))


class _Later:
    """An answer to come that will say what was used. Closed, it closes what it waits for."""

    def __init__(self, given: Awaitable[Answer], used: int, meter: Meter) -> None:
        self._given = given
        self._used = used
        self._meter = meter

    def __await__(self) -> Generator[Any, Any, Answer]:
        answer = yield from self._given.__await__()
        return _told(answer, self._used, self._meter)

    def close(self) -> None:
        if isinstance(self._given, Coroutine):
            self._given.close()
