"""Slots: bounded, as many together as wanted, first come first served, and nobody waits for what is free."""

import pytest

from updater.slots import Slots


class Waiter:
    """Who wants slots; counts how often it was woken."""

    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1


def test_no_more_than_all_slots_are_taken() -> None:
    slots = Slots(3)
    assert [slots.take(1, Waiter().wake), slots.take(2, Waiter().wake), slots.take(1, Waiter().wake)] == [
        1,
        2,
        0,
    ]
    assert slots.taken == 3


def test_it_is_all_that_is_wanted_or_none() -> None:
    slots = Slots(4)
    waiting = Waiter()
    assert slots.take(3, Waiter().wake) == 3
    assert slots.take(2, waiting.wake) == 0
    assert slots.taken == 3
    slots.give()
    assert waiting.woken == 1
    assert slots.take(2, waiting.wake) == 2
    assert not slots.queued(waiting.wake)


def test_who_wants_more_than_there_are_gets_all_and_stays_in_the_queue_for_the_rest() -> None:
    slots = Slots(3)
    waiting = Waiter()
    assert slots.take(5, waiting.wake) == 3
    assert slots.queued(waiting.wake)
    slots.give()
    assert waiting.woken == 0
    slots.give()
    assert waiting.woken == 1
    assert slots.take(2, waiting.wake) == 2
    assert not slots.queued(waiting.wake)


def test_the_first_who_waits_is_woken_and_goes_before_others() -> None:
    slots = Slots(1)
    holder, first, second, late = Waiter(), Waiter(), Waiter(), Waiter()
    assert slots.take(1, holder.wake)
    assert not slots.take(1, first.wake)
    assert not slots.take(1, second.wake)
    slots.give()
    assert (first.woken, second.woken) == (1, 0)
    assert not slots.take(1, late.wake)
    assert not slots.take(1, second.wake)
    assert slots.take(1, first.wake)


def test_who_wants_many_is_not_overtaken_by_those_who_want_few() -> None:
    slots = Slots(3)
    many, few = Waiter(), Waiter()
    assert slots.take(3, Waiter().wake) == 3
    assert not slots.take(3, many.wake)
    assert not slots.take(1, few.wake)
    slots.give(2)
    assert not slots.take(1, few.wake)
    assert (many.woken, few.woken) == (0, 0)
    slots.give()
    assert (many.woken, few.woken) == (1, 0)
    assert slots.take(3, many.wake) == 3


def test_all_for_whom_there_is_enough_are_woken() -> None:
    slots = Slots(4)
    waiters = [Waiter() for _ in range(3)]
    slots.take(4, Waiter().wake)
    for waiter in waiters:
        slots.take(2, waiter.wake)
    slots.give(4)
    assert [waiter.woken for waiter in waiters] == [1, 1, 0]


def test_what_is_wanted_may_change_while_waiting_and_the_place_is_kept() -> None:
    slots = Slots(2)
    first, second = Waiter(), Waiter()
    slots.take(2, Waiter().wake)
    slots.take(1, first.wake)
    slots.take(1, second.wake)
    slots.give()
    assert not slots.take(2, first.wake)
    assert not slots.take(1, second.wake)
    slots.give()
    assert slots.take(2, first.wake) == 2


def test_who_withdraws_lets_the_next_one_in() -> None:
    slots = Slots(1)
    first, second = Waiter(), Waiter()
    slots.take(1, Waiter().wake)
    slots.take(1, first.wake)
    slots.take(1, second.wake)
    slots.give()
    slots.withdraw(first.wake)
    assert second.woken == 1
    assert slots.take(1, second.wake)


def test_withdrawing_without_waiting_does_nothing() -> None:
    slots = Slots(1)
    waiting = Waiter()
    slots.withdraw(Waiter().wake)
    slots.take(1, Waiter().wake)
    slots.take(1, waiting.wake)
    slots.withdraw(Waiter().wake)
    assert waiting.woken == 0
    slots.give()
    assert waiting.woken == 1


def test_slots_that_nobody_waits_for_are_taken_though_others_wait() -> None:
    slots = Slots(3)
    waiting = Waiter()
    slots.take(3, Waiter().wake)
    slots.take(1, waiting.wake)
    slots.give(2)
    assert slots.take(1, Waiter().wake)
    assert not slots.take(1, Waiter().wake)
    assert slots.take(1, waiting.wake)


def test_giving_back_what_was_not_taken_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="more slots"):
        Slots(1).give()
    with pytest.raises(ValueError, match="at least one"):
        Slots(0)
