"""When questions are asked: in virtual time."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from depthcast.backoff import Backoff
from depthcast.errors import KeyRefused, VenueUnavailable
from depthcast.heartbeat import Heartbeat, State
from tests import virtual
from updater.polls import Poll, Polls

LATER: Exception = VenueUnavailable("not now")
WRONG_KEY: Exception = KeyRefused(401, -2015, "Invalid API-key, IP, or permissions for action.")


class Asked:
    """Questions as they come, with their times; ``errors`` are raised in turn."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.errors: list[Exception | None] = []

    async def __call__(self) -> None:
        self.at.append(virtual.clock() - 1000)
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error


async def nothing() -> None:
    """Does not wait."""


def polls_of(*polls: Poll, **more: object) -> Polls:
    options: dict[str, object] = {
        "begin": nothing,
        "clock": virtual.clock,
        "backoff": lambda: Backoff(1.0, minimum_s=1.0, maximum_s=15.0, rng=Random(1)),
    }
    return Polls(polls, **(options | more))  # type: ignore[arg-type]


async def run_for(polls: Polls, seconds: float, *meanwhile: Callable[[], Awaitable[None]]) -> None:
    task = asyncio.ensure_future(polls.run())
    for each in meanwhile:
        await each()
    await asyncio.sleep(seconds)
    polls.check()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_each_kind_is_asked_at_its_own_pace() -> None:
    fast, slow, once = Asked(), Asked(), Asked()
    polls = polls_of(Poll("fast", 10, fast), Poll("slow", 60, slow), Poll("once", 0, once))
    virtual.run(run_for(polls, 125))
    assert fast.at == pytest.approx([10 * number for number in range(13)])
    assert slow.at == pytest.approx([0, 60, 120])
    assert once.at == pytest.approx([0])
    assert {kind: each.answered for kind, each in polls.beats().items()} == {"fast": 13, "slow": 3, "once": 1}


def test_what_fails_is_asked_again_after_growing_pauses_and_then_at_its_pace() -> None:
    asked, told = Asked(), Counter[str]()
    asked.errors = [LATER] * 5
    polls = polls_of(Poll("list", 60, asked), on_poll=lambda kind, outcome, error: told.update([outcome]))
    virtual.run(run_for(polls, 200))
    pauses = [later - earlier for earlier, later in zip(asked.at, asked.at[1:], strict=False)]
    assert all(1 <= pause <= 15 for pause in pauses[:5])
    assert pauses[5:] == pytest.approx([60] * len(pauses[5:]))
    assert told["failed"] == 5
    assert told["answered"] == len(asked.at) - 5


def test_a_key_that_is_refused_rests_and_the_others_go_on() -> None:
    account, status = Asked(), Asked()
    account.errors = [WRONG_KEY]
    polls = polls_of(Poll("account", 60, account), Poll("status", 30, status), rest_s=600)
    virtual.run(run_for(polls, 605))
    assert account.at == pytest.approx([0, 600])
    assert len(status.at) == 21


def test_a_defect_ends_it() -> None:
    async def broken() -> None:
        raise RuntimeError("a defect")

    with pytest.raises(ExceptionGroup, match="unhandled"):
        virtual.run(polls_of(Poll("list", 60, broken)).run())


def test_a_nudge_asks_out_of_turn_but_not_again_and_again() -> None:
    asked = Asked()
    polls = polls_of(Poll("list", 60, asked), nudged_after_s=10.0)

    async def nudging() -> None:
        for _ in range(35):
            await asyncio.sleep(1)
            polls.nudge("list")
            polls.nudge("unknown")

    virtual.run(run_for(polls, 1, nudging))
    assert asked.at == pytest.approx([0, 10, 20, 30])


def test_of_two_one_asks_and_the_other_takes_over_when_it_dies_or_gets_no_answer() -> None:
    async def scene() -> None:
        asked = {name: Asked() for name in "ab"}
        fleet = {name: polls_of(Poll("list", 10, asked[name])) for name in "ab"}
        alive = set("ab")

        def beat(name: str) -> Heartbeat:
            return Heartbeat(replica=name, beat=1, state=State.LIVE, polls=fleet[name].beats())

        async def hear() -> None:
            while True:
                living = {name: beat(name) for name in alive}
                for name in alive:
                    fleet[name].read(living, living[name])
                await asyncio.sleep(0.5)

        tasks = {name: asyncio.ensure_future(polls.run()) for name, polls in fleet.items()}
        hearing = asyncio.ensure_future(hear())
        await asyncio.sleep(60)
        asking = max("ab", key=lambda name: len(asked[name].at))
        other = "b" if asking == "a" else "a"
        assert len(asked[asking].at) >= 6
        assert len(asked[other].at) <= 1, "it may have begun before it heard of the other"
        # It lives, and gets no answers: within twice the pace and five seconds the other one asks, too.
        asked[asking].errors = [LATER] * 1000
        silent_from = virtual.clock() - 1000
        await asyncio.sleep(40)
        first = next(at for at in asked[other].at if at > silent_from)
        assert first - silent_from <= 10 + 25 + 2
        assert fleet[other].beats()["list"].active
        asked[asking].errors = []
        await asyncio.sleep(20)
        count = len(asked[other].at)
        await asyncio.sleep(60)
        assert len(asked[other].at) == count, "the first one gets answers again"
        tasks[asking].cancel()
        alive.discard(asking)
        died_at = virtual.clock() - 1000
        await asyncio.sleep(15)
        assert min(at for at in asked[other].at if at > died_at) - died_at <= 2
        for task in (*tasks.values(), hearing):
            task.cancel()
        await asyncio.gather(*tasks.values(), hearing, return_exceptions=True)

    virtual.run(scene())
