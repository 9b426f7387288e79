"""Duty: each row of its table."""

import pytest

from depthcast.files import Version
from depthcast.heartbeat import Role
from updater.duty import Duty

WRITER, ACTING, STANDBY = Role.WRITER, Role.ACTING, Role.STANDBY


def test_the_first_in_rank_writes_and_the_others_stand_by() -> None:
    assert Duty(takeover_after_s=0.5).role is WRITER
    assert Duty(takeover_after_s=0.5, rank=1).role is STANDBY
    assert [Duty(takeover_after_s=0.5, rank=rank).patience_s for rank in (0, 1, 3)] == [0.0, 0.5, 1.5]


def test_without_a_takeover_time_everybody_writes() -> None:
    duty = Duty(takeover_after_s=0.0, rank=2)
    assert (duty.role, duty.writes, duty.yielded) == (WRITER, True, False)
    duty.saw_another(Version(0, 9))
    assert (duty.role, duty.yielded) == (WRITER, True)
    duty.set_rank(0)
    assert not duty.yielded
    duty.check()


def test_who_is_no_longer_first_writes_on_until_another_one_was_seen_to() -> None:
    duty = Duty(takeover_after_s=0.5)
    duty.wrote(Version(0, 10))
    duty.set_rank(2)
    duty.check()
    assert (duty.role, duty.yielded) == (ACTING, False)
    duty.saw_another(Version(0, 9))
    assert duty.role is ACTING
    duty.saw_another(Version(0, 11))
    assert (duty.role, duty.yielded) == (STANDBY, True)
    duty.check()


def test_who_has_written_nothing_yet_leaves_it_to_a_better_one_at_once() -> None:
    duty = Duty(takeover_after_s=0.5)
    duty.set_rank(1)
    assert (duty.role, duty.yielded) == (STANDBY, True)
    duty.check()


def test_the_first_in_rank_never_stands_back_whatever_it_loses() -> None:
    duty = Duty(takeover_after_s=0.5)
    duty.saw_another(Version(3, 99))
    assert (duty.role, duty.yielded) == (WRITER, False)
    duty.wrote(Version(3, 100))
    duty.saw_another(Version(3, 101))
    assert (duty.role, duty.yielded) == (WRITER, False)
    duty.set_rank(1)
    assert (duty.role, duty.yielded) == (ACTING, False)


def test_a_standby_that_took_over_is_relieved_or_becomes_the_first() -> None:
    for rank, role in ((1, ACTING), (0, WRITER)):
        duty = Duty(takeover_after_s=0.5, rank=2)
        duty.take_over(Version(0, 20))
        assert duty.role is ACTING
        duty.saw_another(Version(0, 19))
        duty.set_rank(rank)
        assert duty.role is role
        duty.check()
        duty.saw_another(Version(0, 20))
        assert duty.role is (WRITER if rank == 0 else STANDBY)
        duty.check()


def test_who_took_over_a_file_that_is_ahead_is_relieved_by_a_newer_one_alone() -> None:
    duty = Duty(takeover_after_s=0.5, rank=1)
    duty.take_over(Version(0, 20), ahead=Version(0, 90))
    duty.saw_another(Version(0, 90))
    assert duty.role is ACTING
    duty.saw_another(Version(0, 91))
    assert duty.role is STANDBY
    duty.check()


def test_a_rank_among_those_who_stand_by_changes_the_patience_alone() -> None:
    duty = Duty(takeover_after_s=0.5, rank=1)
    duty.set_rank(4)
    assert (duty.role, duty.patience_s) == (STANDBY, 2.0)


def test_who_acts_hands_over_to_the_first_in_rank_and_nobody_else_does() -> None:
    duty = Duty(takeover_after_s=0.5, rank=1)
    with pytest.raises(ValueError, match="acts"):
        duty.hand_over()
    duty.take_over(Version(0, 20))
    duty.hand_over()
    assert (duty.role, duty.yielded) == (STANDBY, True)
    duty.check()


def test_nobody_takes_over_what_it_writes() -> None:
    with pytest.raises(ValueError, match="standby"):
        Duty(takeover_after_s=0.5).take_over(Version(0, 1))


def test_a_write_that_ends_after_one_stood_back_is_nothing_to_keep_up() -> None:
    duty = Duty(takeover_after_s=0.5, rank=1)
    duty.take_over(Version(0, 20))
    duty.saw_another(Version(0, 21))
    duty.wrote(Version(0, 21))
    duty.set_rank(0)
    duty.set_rank(1)
    assert duty.role is STANDBY
    duty.check()
