"""Slots: bounded, first come first served, and nobody waits for what is free."""

import pytest

from updater.slots import Slots


class Waiter:
    """Who wants a slot; counts how often it was woken."""

    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1


def test_no_more_than_all_slots_are_taken() -> None:
    slots = Slots(2)
    assert [slots.take(Waiter().wake) for _ in range(3)] == [True, True, False]
    assert slots.taken == 2


def test_the_first_who_waits_is_woken_and_goes_before_others() -> None:
    slots = Slots(1)
    holder, first, second, late = Waiter(), Waiter(), Waiter(), Waiter()
    assert slots.take(holder.wake)
    assert not slots.take(first.wake)
    assert not slots.take(second.wake)
    slots.give()
    assert (first.woken, second.woken) == (1, 0)
    assert not slots.take(late.wake)
    assert not slots.take(second.wake)
    assert slots.take(first.wake)


def test_who_withdraws_lets_the_next_one_in() -> None:
    slots = Slots(1)
    first, second = Waiter(), Waiter()
    slots.take(Waiter().wake)
    slots.take(first.wake)
    slots.take(second.wake)
    slots.give()
    slots.withdraw(first.wake)
    assert second.woken == 1
    assert slots.take(second.wake)


def test_withdrawing_without_waiting_does_nothing() -> None:
    slots = Slots(1)
    waiting = Waiter()
    slots.withdraw(Waiter().wake)
    slots.take(Waiter().wake)
    slots.take(waiting.wake)
    slots.withdraw(Waiter().wake)
    assert waiting.woken == 0
    slots.give()
    assert waiting.woken == 1


def test_slots_that_nobody_waits_for_are_taken_though_others_wait() -> None:
    slots = Slots(3)
    waiting = Waiter()
    for _ in range(3):
        slots.take(Waiter().wake)
    slots.take(waiting.wake)
    slots.give()
    slots.give()
    assert slots.take(Waiter().wake)
    assert not slots.take(Waiter().wake)
    assert slots.take(waiting.wake)


def test_giving_back_what_was_not_taken_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="more slots"):
        Slots(1).give()
    with pytest.raises(ValueError, match="at least one"):
        Slots(0)
