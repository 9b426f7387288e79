"""Watch: when a standby looks, when a file lags, and when it only seems to."""

from random import Random
from typing import Any

import pytest

from depthcast.backoff import Backoff
from depthcast.files import Version
from updater.watch import MARKS, Watch
from updater.writing import NEVER

TOOK_S = 0.01


def watch(patience_s: float = 0.5, **more: Any) -> Watch:
    more.setdefault("backoff", Backoff(1.0, minimum_s=1.0, maximum_s=1.0))
    return Watch(patience_s=patience_s, **more)


def note(made: Watch, now: float, update_id: int, levels: int | None = None) -> None:
    """The book came to this id; its levels differ at each, unless they are told."""
    made.note(now, Version(0, update_id), lambda: update_id if levels is None else levels)
    made.check()


def look(made: Watch, now: float, update_id: int | None, levels: int | None = None, **more: Any) -> None:
    """A look at a file of this id, or at none."""
    made.looking(now, lambda: more.get("mine", -1))
    assert made.look_at == NEVER
    version = None if update_id is None else Version(0, update_id)
    made.saw(version, update_id if levels is None else levels, now + more.get("took_s", TOOK_S))
    made.check()


def test_it_looks_at_once_and_then_where_a_look_may_tell_something() -> None:
    made = watch()
    assert made.look_at <= 0.0
    note(made, 0.0, 10)
    look(made, 0.0, 10)
    # Nothing to tell before the book moves on.
    assert made.look_at == 300.0
    note(made, 5.0, 11)
    assert 5.5 < made.look_at < 5.6


def test_a_file_ahead_of_the_book_is_looked_at_now_and_then() -> None:
    made = watch(ahead_s=1.0)
    note(made, 0.0, 10)
    look(made, 0.0, 99)
    assert made.look_at == 1.0
    assert made.lag_s is None


@pytest.mark.parametrize("stored", [10, None])
def test_a_file_lags_that_is_older_than_what_the_book_was_a_patience_ago(stored: int | None) -> None:
    made = watch()
    note(made, 0.0, 10)
    look(made, 0.0, 10)
    note(made, 1.0, 11)
    look(made, 1.4, stored)
    assert made.lag_s is None
    look(made, 1.55, stored)
    assert made.lag_s == pytest.approx(0.55)
    assert made.behind_s(2.0) == pytest.approx(1.0)


def test_a_file_that_keeps_moving_behind_the_book_does_not_lag() -> None:
    made = watch()
    for tenth in range(100):
        note(made, tenth / 10, 10 + tenth)
        if tenth % 6 == 0:
            look(made, tenth / 10, max(10 + tenth - 3, 10))
            assert made.lag_s is None
    assert made.settled


def test_a_file_whose_levels_are_the_books_lags_only_after_the_time_in_which_it_is_rewritten() -> None:
    made = watch(same_levels_s=1.0)
    note(made, 0.0, 10, levels=7)
    look(made, 0.0, 10, levels=7)
    for tenth in range(1, 30):
        note(made, tenth / 10, 10 + tenth, levels=7)
        look(made, tenth / 10 + 0.01, 10, levels=7, mine=7)
        assert (made.lag_s is not None) == (tenth / 10 + 0.01 - 0.1 >= 0.5 + 1.0 + 2 * TOOK_S)


def test_levels_that_came_back_to_the_files_are_no_lag() -> None:
    made = watch()
    note(made, 0.0, 10, levels=7)
    look(made, 0.0, 10, levels=7)
    note(made, 1.0, 11, levels=8)
    note(made, 1.3, 12, levels=7)
    look(made, 1.6, 10, levels=7)
    assert made.lag_s is None


def test_a_slow_store_and_a_slow_cadence_ask_for_patience() -> None:
    made = watch(every_s=1.0)
    note(made, 0.0, 10)
    look(made, 0.0, 10, took_s=0.2)
    note(made, 1.0, 11)
    look(made, 2.85, 10, took_s=0.2)
    assert made.lag_s is None
    look(made, 2.95, 10, took_s=0.2)
    assert made.lag_s is not None


def test_after_failed_looks_the_patience_begins_anew() -> None:
    made = watch()
    note(made, 0.0, 10)
    look(made, 0.0, 10)
    note(made, 1.0, 11)
    made.looking(2.0, lambda: 11)
    made.saw_nothing(2.5)
    made.check()
    assert made.look_at == 3.5
    look(made, 3.5, 10)
    assert made.lag_s is None
    look(made, made.look_at, 10)
    assert made.lag_s is not None


def test_a_book_built_anew_at_a_lower_id_begins_anew() -> None:
    made = watch()
    note(made, 0.0, 10)
    look(made, 0.0, 10)
    note(made, 1.0, 20)
    note(made, 2.0, 15)
    look(made, 2.1, 10)
    assert made.lag_s is None
    assert made.behind_s(2.2) == pytest.approx(0.2)


def test_after_a_restart_nothing_from_before_counts() -> None:
    made = watch()
    note(made, 0.0, 10)
    look(made, 0.0, 5)
    made.restart(9.0, Version(0, 30))
    made.check()
    assert (made.stored, made.lag_s) == (Version(0, 30), None)
    note(made, 9.1, 31)
    look(made, 9.2, 30)
    assert made.lag_s is None


@pytest.mark.parametrize("seed", range(30))
def test_looks_keep_their_pace_and_no_writer_that_keeps_up_is_called_late(seed: int) -> None:
    """An own model of a writer that is at most ``delay`` late, and of a day of updates in bursts."""
    rng = Random(seed)
    patience_s, delay = rng.choice([0.5, 1.0, 2.5]), rng.uniform(0.0, 0.3)
    made = watch(patience_s)
    now, update_id, looks = 0.0, 0, []
    history = [(0.0, 0)]
    next_update = 0.0
    while now < 300.0:
        now = max(now, min(next_update, made.look_at, made.mark_at))
        if now >= next_update:
            update_id += rng.randint(1, 5)
            history.append((now, update_id))
            next_update = now + rng.choice([0.01, 0.1, 0.1, 1.0, 8.0]) * rng.uniform(0.5, 1.5)
        note(made, now, update_id)
        if now >= made.look_at:
            looks.append(now)
            look(
                made, now, max(each for at, each in history if at <= now - delay or each == 0), mine=update_id
            )
            assert made.lag_s is None
            now += TOOK_S
    assert all(later - at >= 1.0 - 1e-9 for at, later in zip(looks, looks[2:], strict=False))
    # From here on the writer is dead: it is found out in time, whenever it died.
    died, stored = now, update_id
    update_id += 1
    note(made, now, update_id)
    while made.lag_s is None:
        now = min(made.look_at, now + 0.1)
        if now < made.look_at:
            update_id += 1
        note(made, now, update_id)
        if now >= made.look_at:
            look(made, now, stored, mine=update_id)
        assert now - died < max(1.0, patience_s + 0.5)


def test_what_is_remembered_is_bounded_and_the_oldest_tells_the_age() -> None:
    made = watch(patience_s=1000.0)
    note(made, 0.0, 10)
    look(made, 0.0, 10)
    for second in range(1, 4 * MARKS):
        note(made, float(second), 10 + second)
    look(made, 500.0, 10)
    assert made.behind_s(500.0) == 499.0


def test_a_file_of_an_earlier_epoch_at_the_books_own_id_is_as_new_as_the_book() -> None:
    made = watch()
    made.note(0.0, Version(1, 10), lambda: 7)
    for at in (0.0, 5.0, 10.0):
        look(made, at, 10, levels=7)
        assert (made.lag_s, made.settled, made.behind_s(at)) == (None, True, 0.0)
    assert made.look_at == 310.0
    made.note(20.0, Version(1, 11), lambda: 8)
    look(made, 21.0, 10, levels=7)
    assert made.lag_s == 1.0


def test_it_remembers_since_when_one_unmoved_file_has_been_ahead() -> None:
    made = watch()
    note(made, 0.0, 10)
    look(made, 1.0, 99)
    note(made, 2.0, 11)
    made.looking(3.0, lambda: 11)
    made.saw_nothing(3.5)
    made.looking(5.0, lambda: 11)
    made.saw_the_same(5.1)
    made.check()
    since = [made.ahead_since]
    look(made, 7.0, 100)
    since.append(made.ahead_since)
    note(made, 8.0, 100)
    since.append(made.ahead_since)
    note(made, 9.0, 5)
    look(made, 10.0, 100)
    since.append(made.ahead_since)
    made.restart(11.0, Version(0, 100))
    assert [*since, made.ahead_since] == [1.0 + TOOK_S, 7.0 + TOOK_S, None, 10.0 + TOOK_S, None]


def test_a_file_of_another_epoch_is_not_ahead() -> None:
    made = watch()
    made.note(0.0, Version(1, 10), lambda: 10)
    look(made, 1.0, 99)
    assert made.ahead_since is None


def test_a_quiet_book_whose_file_was_seen_to_be_as_new_before_it_was_watched_is_settled() -> None:
    for stored, reached, settled in ((10, False, True), (9, False, False), (9, True, True)):
        made = watch()
        made.restart(0.0, Version(0, stored), reached=reached)
        note(made, 0.0, 10)
        assert made.settled is settled
