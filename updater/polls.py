"""``Polls``: questions to the exchange about itself, each asked at its own pace, by one replica of the fleet.

A poll asks and sees to what becomes of the answer; here is when. One that fails is asked again after a
growing pause, and once it failed often enough another replica asks (:mod:`updater.poll_duty`). Where a key is
refused (:class:`~depthcast.errors.KeyRefused`) no waiting helps: that poll rests for ``rest_s``, and the
others go on.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

from depthcast.backoff import Backoff
from depthcast.errors import BadFile, KeyRefused, StoreError, VenueError
from depthcast.heartbeat import Heartbeat, PollBeat
from depthcast.logs import get_logger
from updater.poll_duty import PollDuty

NUDGED_AFTER_S: Final = 10.0
"""So long after a question it may be asked again out of turn."""

LOOK_EVERY_S: Final = 1.0
"""How often a replica that stands by looks whether it is to ask."""

Outcome = Literal["answered", "failed", "refused"]
OnPoll = Callable[[str, Outcome, Exception | None], None]
"""Told of each question: its kind, what became of it, and why it failed."""

_log = get_logger("updater")


@dataclass(frozen=True, slots=True)
class Poll:
    """One kind of question. ``ask`` does all of it and raises VenueError, StoreError or BadFile.

    ``every_s`` 0: it is asked until there was one answer.
    """

    kind: str
    every_s: float
    ask: Callable[[], Awaitable[None]]

    @property
    def patience_s(self) -> float:
        """How long there may be no answer before the next replica asks."""
        return 2 * self.every_s + 5


class _State:
    def __init__(self, poll: Poll) -> None:
        self.poll = poll
        self.duty = PollDuty(poll.kind, patience_s=poll.patience_s)
        self.answered = 0
        self.active = False
        self.forced = False
        self.asked_at = float("-inf")
        self.nudged = asyncio.Event()


class Polls:
    """All polls of one replica. :meth:`run` them until cancelled.

    ``begin`` is awaited before the first question. A replica that ``knows`` nothing of a kind yet waits for
    others a short while only.
    """

    def __init__(
        self,
        polls: Sequence[Poll],
        *,
        begin: Callable[[], Awaitable[object]],
        knows: Callable[[str], bool] = lambda _: True,
        on_poll: OnPoll = lambda *_: None,
        # Times
        rest_s: float = 600.0,
        look_every_s: float = LOOK_EVERY_S,
        nudged_after_s: float = NUDGED_AFTER_S,
        backoff: Callable[[], Backoff] = lambda: Backoff(1.0, minimum_s=0.5, maximum_s=15.0),
        # Surroundings
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._states = {poll.kind: _State(poll) for poll in polls}
        self._begin = begin
        self._knows = knows
        self._on_poll = on_poll
        self._rest_s = rest_s
        self._look_every_s = look_every_s
        self._nudged_after_s = nudged_after_s
        self._backoff = backoff
        self._clock = clock

    def read(self, living: Mapping[str, Heartbeat], own: Heartbeat) -> None:
        """These replicas live."""
        for state in self._states.values():
            state.duty.read(living, own, self._clock())

    def beats(self) -> Mapping[str, PollBeat]:
        """What the heartbeat says of them."""
        return {
            kind: PollBeat(answered=state.answered, active=state.active)
            for kind, state in self._states.items()
        }

    def nudge(self, kind: str) -> None:
        """Ask now rather than when it is due, unless it was asked a moment ago, whoever's turn it is."""
        self._push(kind, self._nudged_after_s)

    def force(self, kind: str) -> None:
        """Ask now, whoever's turn it is."""
        self._push(kind, 0.0)

    def _push(self, kind: str, after_s: float) -> None:
        state = self._states.get(kind)
        if state is not None and self._clock() - state.asked_at >= after_s:
            state.forced = True
            state.nudged.set()

    async def run(self) -> None:
        """Ask what is to be asked, until cancelled. What a poll raises beside its own errors ends it."""
        await self._begin()
        async with asyncio.TaskGroup() as group:
            for state in self._states.values():
                group.create_task(self._follow(state))

    async def _follow(self, state: _State) -> None:
        retry = self._backoff()
        poll, due = state.poll, self._clock()
        while True:
            now = self._clock()
            hurried = not self._knows(poll.kind)
            state.active = state.duty.mine(now, hurried=hurried)
            if not state.forced and (not state.active or now < due):
                wait_s = due - now if state.active else self._look_every_s
                await self._wait(state, min(wait_s, self._look_every_s))
                continue
            state.forced = False
            state.asked_at = now
            pause_s = await self._ask(state, retry)
            if not poll.every_s and state.answered:
                return
            due = self._clock() + pause_s if pause_s else now + poll.every_s

    async def _ask(self, state: _State, retry: Backoff) -> float:
        """Ask once; returns how long to pause after a failure."""
        kind = state.poll.kind
        try:
            await state.poll.ask()
        except KeyRefused as error:
            self._on_poll(kind, "refused", error)
            _log.error(
                "the exchange refuses the key; this is not asked again soon", asked=kind, error=str(error)
            )
            return self._rest_s
        except (VenueError, StoreError, BadFile) as error:
            self._on_poll(kind, "failed", error)
            _log.warning("waiting for the exchange", asked=kind, error=str(error))
            return retry.next_s()
        state.answered += 1
        retry.reset()
        self._on_poll(kind, "answered", None)
        return 0.0

    async def _wait(self, state: _State, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await state.nudged.wait()
        state.nudged.clear()

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        for kind, state in self._states.items():
            assert state.poll.kind == kind
            state.duty.check()
