"""Outage: who waits for the store goes on when it answers again, and not before."""

import pytest

from updater.outage import Outage, Resume


class World:
    """An outage on an own clock, and who was told to go on."""

    def __init__(self) -> None:
        self.now = 0.0
        self.resumed: list[str] = []
        self.outage = Outage(after_s=1.0, clock=lambda: self.now)
        self.waiters = {name: self.waiter(name) for name in "abc"}

    def waiter(self, name: str) -> Resume:
        return lambda: self.resumed.append(name)

    def fails(self, name: str, begun: float) -> None:
        self.outage.failed(begun, self.waiters[name])

    def answers(self, what: str) -> None:
        (self.outage.read if what == "read" else self.outage.wrote)()


@pytest.mark.parametrize("what", ["read", "write"])
def test_the_first_answer_after_a_while_without_any_lets_everybody_go_on_once(what: str) -> None:
    world = World()
    world.answers(what)
    for name in "aba":
        world.fails(name, 0.0)
    world.now = 5.0
    world.answers(what)
    assert (world.resumed, world.outage.waiting) == (["a", "b"], 0)
    world.now = 10.0
    world.answers(what)
    assert world.resumed == ["a", "b"]


@pytest.mark.parametrize("what", ["read", "write"])
def test_a_store_that_fails_now_and_then_ends_no_pauses(what: str) -> None:
    world = World()
    for n in range(1, 40):
        world.now = n * 0.5
        world.fails("abc"[n % 3], world.now)
        world.answers(what)
    assert (world.resumed, world.outage.waiting) == ([], 3)


def test_reads_that_are_answered_do_not_hide_that_writes_are_again() -> None:
    world = World()
    for n in range(1, 20):
        world.now = n * 0.5
        world.fails("a", world.now)
        world.answers("read")
    assert world.resumed == []
    world.answers("write")
    assert world.resumed == ["a"]


def test_a_request_from_before_that_fails_when_the_store_is_back_is_not_waited_for() -> None:
    world = World()
    world.fails("a", 0.0)
    world.now = 5.0
    world.answers("write")
    world.now = 6.0
    world.fails("b", 4.0)
    world.fails("c", 5.5)
    assert (world.resumed, world.outage.waiting) == (["a", "b"], 1)


def test_who_withdraws_is_not_called() -> None:
    world = World()
    world.fails("a", 0.0)
    world.outage.withdraw(world.waiters["a"])
    world.outage.withdraw(world.waiters["b"])
    world.now = 5.0
    world.answers("write")
    assert world.resumed == []
