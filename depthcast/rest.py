"""A venue's REST interface: snapshots and the list of symbols, paced by the request weight the venue reports.

Promises: no more requests at once than ``concurrency``; weight kept below a share of the venue's limit,
foreground before background, first come first served; silence for everybody while the venue asks for it
(429, 418), longer each time it has to ask again; bounded retries of what failed by network or on the
venue's side.

Replicas that reach the venue from one address share its limits: :attr:`Rest.peers` divides the weight and the
requests at once among them, and a pause that one was asked for holds for all (``on_silence``,
:meth:`Rest.silence`). Who they are, and the telling, is the caller's.

Leaves to others: what a path, a body or a status means (:mod:`depthcast.venues`), and how much weight is left
(:mod:`depthcast.weight`).
"""

import asyncio
import heapq
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from random import Random
from types import MappingProxyType
from typing import Final, NamedTuple, Self

from depthcast.backoff import Backoff
from depthcast.errors import MalformedAnswer, RateLimited, Refused, VenueError, VenueUnavailable
from depthcast.http_client import AiohttpClient, HttpClient
from depthcast.orders.messages import AnySnapshot
from depthcast.uncollected import uncollected
from depthcast.venues import ExchangeInfo, Venue
from depthcast.weight import Reservation, WeightBudget

FIREWALL_PAUSE_MS: Final = 60_000
"""The silence after a 403: a firewall that turned us away is not asked again at once."""

LONG_BYTES: Final = 256 * 1024
"""A list of symbols that is shorter is read in a few milliseconds."""

_log = logging.getLogger(__name__)


class Request(NamedTuple):
    """What to ask: ``path`` with its query, and headers. Errors name it as ``shown``, where that is given: a
    signed query is nobody's to read."""

    path: str
    headers: Mapping[str, str] = MappingProxyType({})
    shown: str = ""


async def parsed(parse: Callable[[bytes], ExchangeInfo], body: bytes) -> ExchangeInfo:
    """A list of symbols, read. Binance's takes 60 ms, for which no book is to wait: a long one has a thread.

    Raises what ``parse`` does.
    """
    if len(body) < LONG_BYTES:
        return parse(body)

    def long() -> ExchangeInfo:
        with uncollected():
            return parse(body)

    return await asyncio.to_thread(long)


@dataclass(order=True, slots=True)
class _Waiter:
    """A request that waits for its turn; the smallest one is next."""

    background: bool
    number: int
    weight: int = field(compare=False)
    turn: asyncio.Future[Reservation] = field(compare=False)


class Rest:
    """One venue's REST interface, for use in one event loop. Close it, or use it as a context manager.

    Calls wait for their turn; the queue in front of them is bounded by ``max_waiting``. Where the venue asks
    for a silence longer than ``max_silence_wait_s``, calls do not wait but raise
    :class:`~depthcast.errors.RateLimited`, so that a book can be looked for elsewhere.

    A ``cautious`` client shares its address with others and hears of them a little late. It sends one request
    at a time until :attr:`peers` is set, and for ``cautious_s`` whenever it begins to ask: what broke its
    books may have broken everybody's, and until the others are heard of, only the reports tell of them.

    ``on_silence`` is told, in milliseconds, of pauses that the venue asked this client for. Those heard of by
    :meth:`silence` are not told on: each would come back a little longer, round and round.

    All calls raise :class:`~depthcast.errors.VenueError`: Refused and MalformedAnswer at once,
    VenueUnavailable and RateLimited after ``attempts``. A cancelled call gives its turn back; its weight
    counts as used where the request was already sent.

    ``weight_limit``: what an address may use in a minute; ``None``: what the venue's documents say, until its
    own list of symbols tells. ``http`` sends the requests; the bounds of a body and of the time for an answer
    are those of the one made by default.
    """

    def __init__(
        self,
        venue: Venue,
        *,
        # Limits
        weight_limit: int | None = None,
        share: float = 0.8,
        background_share: float = 0.4,
        concurrency: int = 4,
        max_waiting: int = 10_000,
        max_body_bytes: int = 64 * 1024 * 1024,
        cautious: bool = False,
        # Timeouts
        connect_timeout_s: float = 5.0,
        answer_timeout_s: float = 30.0,
        max_silence_wait_s: float = 600.0,
        cautious_s: float = 2.0,
        # Retries
        attempts: int = 5,
        retry_initial_s: float = 0.25,
        retry_maximum_s: float = 15.0,
        silence_initial_s: float = 1.0,
        silence_maximum_s: float = 300.0,
        # Hooks
        on_silence: Callable[[int], None] | None = None,
        # Surroundings
        http: HttpClient | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: Random | None = None,
    ) -> None:
        self._venue = venue
        self._budget = WeightBudget(
            venue.request_weight_per_minute if weight_limit is None else weight_limit,
            share=share,
            background_share=background_share,
        )
        self._concurrency = concurrency
        self._cautious_s = cautious_s if cautious else 0.0
        self._peers_known = not cautious
        self._max_waiting = max_waiting
        self._max_silence_wait_s = max_silence_wait_s
        self._attempts = attempts
        self._rng = rng or Random()
        self._retry_initial_s = retry_initial_s
        self._retry_maximum_s = retry_maximum_s
        self._growing_pause = Backoff(silence_initial_s, maximum_s=silence_maximum_s, rng=self._rng)
        self._on_silence = on_silence
        self._clock = clock
        self._wall_ms = wall_ms
        self._sleep = sleep

        self._http = http or AiohttpClient(
            connections=concurrency,
            max_body_bytes=max_body_bytes,
            connect_timeout_s=connect_timeout_s,
            answer_timeout_s=answer_timeout_s,
        )
        self._closed = False
        self._waiting: list[_Waiter] = []
        self._numbers = count()
        self._in_flight = 0
        self._answered = 0
        self._began_at = float("-inf")
        self._silent_until = float("-inf")
        self._limited = False
        self._waker: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # What can be asked

    async def snapshot(self, symbol: str, limit: int, background: bool = False) -> AnySnapshot:
        """The venue's book of ``symbol``, ``limit`` levels a side. ``background``: it can wait."""
        return self._venue.parse_snapshot(await self.snapshot_body(symbol, limit, background), limit)

    async def snapshot_body(self, symbol: str, limit: int, background: bool = False) -> bytes:
        """The same as the venue sent it, unread."""
        weight = self._venue.depth_weight(limit)
        return await self._get(self._venue.depth_path(symbol, limit), weight, background)

    async def exchange_info(self, background: bool = False) -> ExchangeInfo:
        """The venue's list of symbols; from here on its own weight limit holds.

        ``background``: it can wait.
        """
        *others, last = self._venue.exchange_info_paths
        body = None
        for path in others:
            try:
                body = await self._get(path, self._venue.exchange_info_weight, background)
                break
            except Refused as error:
                if error.code is None:
                    raise
        if body is None:
            body = await self._get(last, self._venue.exchange_info_weight, background)
        info = await parsed(self._venue.parse_exchange_info, body)
        self.learn(info)
        return info

    def learn(self, info: ExchangeInfo) -> None:
        """Keep to the weight limit that a list tells, whoever asked for it."""
        self._budget.limit = info.request_weight_per_minute

    async def ping(self) -> None:
        """Returns if the venue answers."""
        await self._get(self._venue.ping_path, self._venue.ping_weight, False)

    async def ask(
        self, request: Callable[[], Request], weight: int, *, background: bool = False, attempts: int = 0
    ) -> bytes:
        """The venue's body to any other request, which is made anew for each attempt, when its turn has come.

        ``attempts`` 0: as many as for all others.
        """
        return await self._get(request, weight, background, attempts or self._attempts)

    # What is known about the pace

    @property
    def weight_used(self) -> int:
        """What this address used in the current minute, as last reported."""
        return self._budget.used(self._wall_ms())

    @property
    def weight_limit(self) -> int:
        """What an address may use in a minute."""
        return self._budget.limit

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        return len(self._waiting)

    @property
    def pending(self) -> int:
        """How many requests wait for their turn or for their answer."""
        return len(self._waiting) + self._in_flight

    @property
    def answered(self) -> int:
        """How many requests the venue has answered as they were meant; it grows where there is progress."""
        return self._answered

    @property
    def silent_for_s(self) -> float:
        """How long no request will be sent; 0 where none is held back."""
        return max(0.0, self._silent_until - self._clock())

    @property
    def peers(self) -> int:
        """How many replicas, this one included, ask from the same address now; 1 until it is set.

        Setting it divides the weight and the requests at once; raises :class:`ValueError` for less than 1.
        """
        return self._budget.peers

    @peers.setter
    def peers(self, peers: int) -> None:
        self._budget.peers = peers
        self._peers_known = True
        self._admit()

    def expected_wait_ms(self, weight: int, background: bool = False) -> int:
        """How long it takes until requests of ``weight`` in all, asked for now, have been sent.

        Counts those that wait before them; 20 snapshots of 5,000 levels are ``20 * 250``, and 0 tells how
        long those take that wait already.
        """
        before = [waiter.weight for waiter in self._waiting if background or not waiter.background]
        return self._budget.time_for_ms(
            sum(before) + weight,
            background=background,
            now_ms=self._wall_ms(),
            each=max(before, default=1),
            after_ms=round(self.silent_for_s * 1000),
        )

    def silence(self, ms: int) -> None:
        """Send nothing for ``ms`` milliseconds: the venue asked another user of this address to pause.

        A pause only ever gets longer by this. After it one request goes first, as after a pause of our own.
        """
        until = self._clock() + ms / 1000
        if ms <= 0 or until <= self._silent_until:
            return
        self._silent_until = until
        self._limited = True
        if self.silent_for_s > self._max_silence_wait_s:
            for waiter in self._waiting:
                if not waiter.turn.done():
                    waiter.turn.set_exception(self._too_long())
            self._waiting.clear()

    async def close(self) -> None:
        """Let go of the connections; calls that wait raise VenueUnavailable, and no call may follow."""
        self._closed = True
        for waiter in self._waiting:
            if not waiter.turn.done():
                waiter.turn.set_exception(VenueUnavailable("the REST client was closed"))
        self._waiting.clear()
        if self._waker is not None:
            self._waker.cancel()
        await self._http.close()

    # One request

    async def _get(
        self, path: str | Callable[[], Request], weight: int, background: bool, attempts: int = 0
    ) -> bytes:
        request = path if callable(path) else lambda: Request(path)
        attempts = attempts or self._attempts
        retry = Backoff(self._retry_initial_s, maximum_s=self._retry_maximum_s, rng=self._rng)
        attempt = 0
        while True:
            attempt += 1
            answer = await self._attempt(request, weight, background)
            if isinstance(answer, bytes):
                return answer
            if isinstance(answer, Refused | MalformedAnswer) or attempt >= attempts:
                raise answer
            if not isinstance(answer, RateLimited):
                await self._sleep(retry.next_s())

    async def _attempt(
        self, make: Callable[[], Request], weight: int, background: bool
    ) -> bytes | VenueError:
        """Wait for a turn, ask once, and learn from the answer what the pace is."""
        reservation = await self._turn(weight, background)
        reported = None
        try:
            request = make()
            url = self._venue.rest_url + (request.shown or request.path)
            status, headers, body = await self._http.get(
                self._venue.rest_url + request.path,
                headers=request.headers,
                shown=url if request.shown else "",
            )
            reported = self._venue.used_weight(headers)
        except (MalformedAnswer, VenueUnavailable) as failed:
            return failed
        finally:
            self._in_flight -= 1
            self._budget.settle(reservation, reported, self._wall_ms())
            self._admit()
        error = self._venue.refusal(status, headers, body, url=url, now_ms=self._wall_ms())
        if error is None:
            self._answered += 1
            if self.silent_for_s == 0:
                # An answer from before a pause tells nothing of the time after it.
                self._limited = False
                self._growing_pause.reset()
            self._admit()
            return body
        if isinstance(error, RateLimited):
            self._obey(error.retry_after_ms)
        elif status == 403:
            self._obey(FIREWALL_PAUSE_MS)
        return error

    def _obey(self, pause_ms: int) -> None:
        """The venue asks for silence. What it asks for again, it gets longer.

        Requests that were in flight together are told together: only the first of them makes it longer.
        """
        if self.silent_for_s == 0:
            pause_ms += round(self._growing_pause.next_s() * 1000)
        self._limited = True
        if self._clock() + pause_ms / 1000 <= self._silent_until:
            return
        self.silence(pause_ms)
        if self._on_silence is not None:
            try:
                self._on_silence(pause_ms)
            except Exception:
                _log.exception("on_silence raised")

    # Turns

    async def _turn(self, weight: int, background: bool) -> Reservation:
        """Wait until a request of ``weight`` may be sent."""
        if self._closed:
            raise VenueUnavailable("the REST client was closed")
        if self.silent_for_s > self._max_silence_wait_s:
            raise self._too_long()
        if len(self._waiting) >= self._max_waiting:
            raise VenueUnavailable(
                f"{self._max_waiting} requests wait for the exchange already", hint="ask again later"
            )
        if self.pending == 0:
            self._began_at = self._clock()
        turn: asyncio.Future[Reservation] = asyncio.get_running_loop().create_future()
        waiter = _Waiter(background, next(self._numbers), weight, turn)
        heapq.heappush(self._waiting, waiter)
        self._admit()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                with suppress(ValueError):
                    self._waiting.remove(waiter)
                heapq.heapify(self._waiting)
            elif turn.exception() is None:
                # The turn came and the call was cancelled in the same round: nothing was sent.
                self._in_flight -= 1
                self._budget.withdraw(turn.result())
            self._admit()
            raise

    def _admit(self) -> None:
        """Give turns to those in front while the pace allows, and come back when it will."""
        at_once = self._at_once()
        while self._waiting and self._in_flight < at_once:
            waiter = self._waiting[0]
            if waiter.turn.done():
                # Cancelled a moment ago, its call has not come round to leave the queue.
                heapq.heappop(self._waiting)
                continue
            now_ms = self._wall_ms()
            pacing_ms = self._budget.wait_ms(waiter.weight, background=waiter.background, now_ms=now_ms)
            wait_s = max(self.silent_for_s, pacing_ms / 1000)
            if wait_s > 0:
                # A waker that exists comes no later: pauses only ever get longer, the minute turns for all.
                if self._waker is None:
                    self._waker = asyncio.get_running_loop().create_task(self._wake(wait_s))
                return
            heapq.heappop(self._waiting)
            self._in_flight += 1
            waiter.turn.set_result(self._budget.reserve(waiter.weight, now_ms))

    def _at_once(self) -> int:
        """How many requests may be in flight now."""
        # After a 429 one request goes first and the others follow once it was answered well.
        if self._limited or not self._peers_known or self._clock() - self._began_at < self._cautious_s:
            return 1
        return max(1, self._concurrency // self._budget.peers)

    async def _wake(self, after_s: float) -> None:
        await self._sleep(after_s)
        self._waker = None
        self._admit()

    def _too_long(self) -> RateLimited:
        return RateLimited(round(self.silent_for_s * 1000), banned=False)
