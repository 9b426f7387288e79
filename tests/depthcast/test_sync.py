"""``Sync``: its table row by row, and a run over a faulty stream against the truth."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from depthcast.book import DEFERRED_LEVELS, Audit, Book
from depthcast.building import Building
from depthcast.building import step as next_piece
from depthcast.errors import BadLevel
from depthcast.events import Diff, PlainLevels, Snapshot
from depthcast.sync import FILE_LAG_MS, LATE_AFTER, REBASED_AFTER, UNREACHED_AFTER, State, Sync, Verdict


def diff(first: int, last: int, *, bid: str = "1", time: int | None = None) -> Diff:
    """A diff that sets the bid at 10 to its own last id, so that the body shows which one came last."""
    event_time_ms = last * 100 if time is None else time
    return Diff("X", first, last, event_time_ms, [["10", str(last) if bid == "1" else bid]], [])


def snapshot(update_id: int) -> Snapshot:
    return Snapshot(update_id, [["10", str(update_id)]] if update_id else [], [["11", "1"]], True, True)


def body(update_id: int) -> bytes:
    return f'{{"lastUpdateId":{update_id},"bids":[["10","{update_id}"]],"asks":[["11","1"]]}}'.encode()


def live(update_id: int) -> Sync:
    sync = Sync("X")
    assert sync.snapshot(snapshot(update_id)) is Verdict.SYNCED
    return sync


def shown(sync: Sync) -> bytes:
    sync.check()
    assert sync.book is not None
    return sync.book.body(5)


def test_what_breaks_a_book_says_so() -> None:
    assert {verdict for verdict in Verdict if verdict.broken} == {Verdict.GAP, Verdict.BAD, Verdict.REBASED}


def test_a_book_begins_waiting_and_empty() -> None:
    sync = Sync("X")
    assert (sync.state, sync.book, sync.buffered, sync.wanted_id) == (State.WAITING, None, 0, 0)


def test_a_snapshot_that_ends_where_a_diff_ended_is_followed_by_the_next_one() -> None:
    # The usual case, in which the documents' "lastUpdateId inside [U, u]" fails.
    sync = Sync("X")
    for change in (diff(1, 4), diff(5, 7), diff(8, 9)):
        assert sync.diff(change) is Verdict.BUFFERED
    assert sync.snapshot(snapshot(7)) is Verdict.SYNCED
    assert sync.state is State.LIVE
    assert shown(sync) == body(9)


def test_a_snapshot_inside_a_diff_is_right_at_the_diffs_end() -> None:
    sync = Sync("X")
    sync.diff(diff(5, 9))
    assert sync.snapshot(snapshot(7)) is Verdict.SYNCED
    assert shown(sync) == body(9)


def test_a_snapshot_newer_than_all_that_is_buffered_waits_for_the_stream() -> None:
    sync = Sync("X")
    sync.diff(diff(5, 9))
    assert sync.snapshot(snapshot(12)) is Verdict.SYNCED
    assert shown(sync) == body(12)
    assert sync.diff(diff(10, 11)) is Verdict.STRAGGLER
    assert sync.diff(diff(12, 14)) is Verdict.APPLIED
    assert shown(sync) == body(14)


@pytest.mark.parametrize(("update_id", "verdict"), [(3, Verdict.TOO_OLD), (4, Verdict.SYNCED)])
def test_a_snapshot_must_reach_the_first_buffered_diff(update_id: int, verdict: Verdict) -> None:
    sync = Sync("X")
    sync.diff(diff(5, 9))
    assert sync.wanted_id == 4
    assert sync.snapshot(snapshot(update_id)) is verdict
    sync.check()
    # The buffer stays: a newer snapshot will do.
    if verdict is Verdict.TOO_OLD:
        assert sync.snapshot(snapshot(6)) is Verdict.SYNCED
    assert shown(sync) == body(9)


def test_a_hole_inside_the_buffer_wants_a_snapshot_from_behind_it() -> None:
    sync = Sync("X")
    for change in (diff(1, 4), diff(5, 7), diff(9, 10), diff(11, 12)):
        sync.diff(change)
    assert sync.snapshot(snapshot(6)) is Verdict.TOO_OLD
    assert sync.snapshot(snapshot(8)) is Verdict.SYNCED
    assert shown(sync) == body(12)


def test_a_venues_snapshot_will_do_before_any_diff_but_a_file_will_not() -> None:
    sync = Sync("X")
    assert sync.snapshot(snapshot(7), proven=False) is Verdict.UNPROVEN
    assert sync.state is State.WAITING
    assert sync.snapshot(snapshot(7)) is Verdict.SYNCED


def test_a_file_is_a_snapshot_where_the_buffer_reaches_back_to_it() -> None:
    sync = Sync("X")
    sync.diff(diff(8, 9))
    assert sync.snapshot(snapshot(6), proven=False) is Verdict.TOO_OLD
    assert sync.snapshot(snapshot(7), proven=False) is Verdict.SYNCED
    assert shown(sync) == body(9)


def test_diffs_follow_one_on_the_other() -> None:
    sync = live(7)
    assert sync.diff(diff(8, 8)) is Verdict.APPLIED
    # Another connection may cut the same changes elsewhere; quantities are absolute.
    assert sync.diff(diff(6, 12)) is Verdict.APPLIED
    assert shown(sync) == body(12)


@pytest.mark.parametrize("old", [diff(3, 5), diff(3, 7), diff(7, 7)])
def test_a_straggler_is_ignored(old: Diff) -> None:
    sync = live(7)
    assert sync.diff(old) is Verdict.STRAGGLER
    assert shown(sync) == body(7)


def test_a_gap_keeps_the_last_good_book_and_buffers_the_diff_that_showed_it() -> None:
    sync = live(7)
    assert sync.diff(diff(9, 9)) is Verdict.GAP
    assert (sync.state, sync.buffered) == (State.WAITING, 1)
    assert shown(sync) == body(7)
    assert sync.diff(diff(10, 10)) is Verdict.BUFFERED
    assert sync.snapshot(snapshot(7)) is Verdict.TOO_OLD
    assert sync.snapshot(snapshot(8)) is Verdict.SYNCED
    assert shown(sync) == body(10)


def test_the_diff_that_showed_a_gap_is_not_applied_twice() -> None:
    sync = live(7)
    sync.diff(diff(9, 9, bid="5"))
    sync.diff(diff(10, 11, bid="6"))
    # The snapshot has moved on: were the buffered diffs applied over it, the bid would be 6.
    assert sync.snapshot(snapshot(11)) is Verdict.SYNCED
    assert shown(sync) == body(11)


def test_a_bad_level_drops_the_diff_and_wants_a_newer_snapshot() -> None:
    sync = live(7)
    assert sync.diff(diff(8, 8, bid="x")) is Verdict.BAD
    assert (sync.state, sync.buffered) == (State.WAITING, 0)
    assert shown(sync) == body(7)
    sync.diff(diff(9, 9))
    assert sync.snapshot(snapshot(7)) is Verdict.TOO_OLD
    assert sync.snapshot(snapshot(8)) is Verdict.SYNCED
    assert shown(sync) == body(9)


def test_a_bad_level_in_the_buffer_is_dropped_with_all_before_it() -> None:
    sync = Sync("X")
    for change in (diff(5, 5), diff(6, 6, bid="x"), diff(7, 7)):
        sync.diff(change)
    with pytest.raises(BadLevel):
        sync.snapshot(snapshot(4))
    assert (sync.state, sync.wanted_id) == (State.WAITING, 6)
    sync.check()
    assert sync.snapshot(snapshot(6)) is Verdict.SYNCED
    assert shown(sync) == body(7)


def test_what_follows_a_bad_diff_in_the_buffer_stays_unbroken_where_another_connection_cut_it() -> None:
    sync = Sync("X")
    # 5 is told by the other connection's diff alone, and that begins before the bad one ends.
    for change in (diff(1, 3, bid="x"), diff(4, 4), diff(3, 5), diff(6, 6)):
        assert sync.diff(change) is Verdict.BUFFERED
    with pytest.raises(BadLevel):
        sync.snapshot(snapshot(2))
    sync.check()
    assert (sync.buffered, sync.wanted_id) == (3, 3)
    assert sync.snapshot(snapshot(3)) is Verdict.SYNCED
    assert shown(sync) == body(6)


def test_a_bad_snapshot_changes_nothing() -> None:
    sync = Sync("X")
    sync.diff(diff(5, 5))
    with pytest.raises(BadLevel):
        sync.snapshot(Snapshot(5, [["1", "x"]], [], True, True))
    assert (sync.state, sync.buffered) == (State.WAITING, 1)


def test_a_live_book_takes_no_first_snapshot() -> None:
    with pytest.raises(ValueError, match="live"):
        live(7).snapshot(snapshot(8))


def test_a_restart_waits_for_a_snapshot_and_keeps_the_book() -> None:
    sync = live(7)
    sync.restart()
    assert (sync.state, sync.buffered) == (State.WAITING, 0)
    assert shown(sync) == body(7)
    sync.diff(diff(9, 9))
    sync.restart()
    assert sync.buffered == 1


def test_ids_that_neither_the_stream_nor_the_venue_reaches_are_waited_for_no_longer() -> None:
    sync = live(7)
    # As far ahead in time: none of the diffs to come looks younger, as those of a new count would.
    assert sync.diff(diff(10**6, 10**6, time=10**12)) is Verdict.GAP
    for n in range(8, 8 + REBASED_AFTER):
        assert sync.snapshot(snapshot(n)) is Verdict.TOO_OLD
        assert sync.buffered == 1, "the stream has yet to show it"
        assert sync.diff(diff(n, n)) is Verdict.STRAGGLER
    assert sync.snapshot(snapshot(17)) is Verdict.TOO_OLD
    sync.check()
    assert (sync.buffered, sync.wanted_id) == (0, 0)
    assert sync.diff(diff(18, 18)) is Verdict.BUFFERED
    assert sync.snapshot(snapshot(17)) is Verdict.SYNCED
    assert shown(sync) == body(18)


@pytest.mark.parametrize("grows", [True, False])
def test_the_buffer_stays_where_it_grows_or_few_snapshots_lie_behind_it(grows: bool) -> None:
    sync = Sync("X")
    for n in range(20, 20 + 2 * REBASED_AFTER):
        assert sync.diff(diff(100, 100) if n == 20 else diff(n, n)).value in ("buffered", "straggler")
        if grows:
            assert sync.diff(diff(n + 81, n + 81)) is Verdict.BUFFERED
            assert sync.snapshot(snapshot(n)) is Verdict.TOO_OLD
    for _ in range(UNREACHED_AFTER - 1):
        assert sync.snapshot(snapshot(50)) is Verdict.TOO_OLD
    # Files are of any age: they show nothing.
    assert sync.snapshot(snapshot(50), proven=False) is Verdict.TOO_OLD
    assert sync.wanted_id == 99
    assert sync.snapshot(snapshot(99)) is Verdict.SYNCED


def test_stragglers_in_the_buffer_are_dropped() -> None:
    sync = Sync("X")
    sync.diff(diff(5, 9))
    assert sync.diff(diff(4, 6)) is Verdict.STRAGGLER
    assert sync.diff(diff(5, 9)) is Verdict.STRAGGLER
    assert sync.buffered == 1
    assert sync.snapshot(snapshot(4)) is Verdict.SYNCED
    assert shown(sync) == body(9)


def test_the_buffer_is_bounded_and_then_wants_a_newer_snapshot() -> None:
    sync = Sync("X", buffer=3)
    for number in range(1, 11):
        sync.diff(diff(number, number))
    assert sync.buffered == 3
    assert sync.snapshot(snapshot(6)) is Verdict.TOO_OLD
    assert sync.snapshot(snapshot(7)) is Verdict.SYNCED
    assert shown(sync) == body(10)


def rebased(sync: Sync, time: int, *, count: int = REBASED_AFTER) -> list[Verdict]:
    return [sync.diff(diff(n, n, time=time + n)) for n in range(1, count + 1)]


def test_ids_that_begin_anew_are_noticed_while_live() -> None:
    sync = live(700)
    sync.diff(diff(701, 701, time=5000))
    assert rebased(sync, 5000) == [Verdict.STRAGGLER] * (REBASED_AFTER - 1) + [Verdict.REBASED]
    assert (sync.state, sync.wanted_id) == (State.WAITING, 0)
    assert shown(sync) == body(701)
    assert sync.snapshot(snapshot(3)) is Verdict.SYNCED
    assert shown(sync) == body(REBASED_AFTER)


def test_ids_that_begin_anew_are_noticed_while_waiting() -> None:
    sync = Sync("X")
    sync.diff(diff(700, 701, time=5000))
    assert rebased(sync, 5000)[-1] is Verdict.REBASED
    assert sync.snapshot(snapshot(3)) is Verdict.SYNCED
    assert shown(sync) == body(REBASED_AFTER)


@pytest.mark.parametrize(("later_ms", "count"), [(FILE_LAG_MS, REBASED_AFTER), (FILE_LAG_MS + 1, LATE_AFTER)])
def test_a_quiet_books_new_ids_are_noticed_sooner_where_they_are_much_younger(
    later_ms: int, count: int
) -> None:
    sync = live(700)
    sync.diff(diff(701, 701, time=5000))
    verdicts = [sync.diff(diff(n, n, time=5000 + later_ms)) for n in range(1, count + 1)]
    assert verdicts == [Verdict.STRAGGLER] * (count - 1) + [Verdict.REBASED]


def test_old_diffs_sent_again_are_not_taken_for_new_ids() -> None:
    sync = live(700)
    sync.diff(diff(701, 701, time=5000))
    assert set(rebased(sync, 4000, count=3 * REBASED_AFTER)) == {Verdict.STRAGGLER}


def test_a_run_of_stragglers_is_ended_by_progress_or_by_a_hole_in_it() -> None:
    sync = live(700)
    assert REBASED_AFTER < 700
    rebased(sync, 10**6, count=REBASED_AFTER - 1)
    sync.diff(diff(701, 701, time=5000))
    rebased(sync, 5000, count=REBASED_AFTER - 1)
    sync.check()
    assert sync.diff(diff(100, 100, time=5100)) is Verdict.STRAGGLER
    assert sync.state is State.LIVE


def test_ids_that_went_down_by_less_than_a_run_are_noticed_where_they_pass_the_old_ones() -> None:
    sync = live(7)
    sync.diff(diff(8, 9, time=5000))
    # From here on the venue counts from 4 again, and its diffs are not those that led to 9.
    verdicts = [sync.diff(diff(n, n + 1, time=5000 + n)) for n in (5, 7, 9)]
    assert verdicts == [Verdict.STRAGGLER, Verdict.STRAGGLER, Verdict.REBASED]
    assert shown(sync) == body(9)
    assert sync.snapshot(snapshot(6)) is Verdict.SYNCED
    assert shown(sync) == body(10)


def test_ids_that_went_down_by_less_than_a_run_are_noticed_in_the_buffer_too() -> None:
    sync = Sync("X")
    sync.diff(diff(8, 9, time=5000))
    verdicts = [sync.diff(diff(n, n + 1, time=5000 + n)) for n in (5, 7, 9)]
    assert verdicts == [Verdict.STRAGGLER, Verdict.STRAGGLER, Verdict.REBASED]
    assert sync.wanted_id == 4


@pytest.mark.parametrize("state", State)
def test_a_diff_that_tells_the_books_last_change_again_much_later_is_of_new_ids(state: State) -> None:
    # Nothing was heard while the ids went down and came back: the first diff heard fits by them.
    sync = live(7) if state is State.LIVE else Sync("X")
    sync.diff(diff(8, 9, time=5000))
    assert sync.diff(diff(9, 11, time=5000 + FILE_LAG_MS + 1)) is Verdict.REBASED
    assert (sync.state, sync.wanted_id) == (State.WAITING, 8)
    assert sync.book is None or shown(sync) == body(9)
    assert sync.snapshot(snapshot(10)) is Verdict.SYNCED
    assert shown(sync) == body(11)


@pytest.mark.parametrize("next_one", [diff(9, 11, time=5000 + FILE_LAG_MS), diff(10, 11, time=10**9)])
def test_another_connections_pieces_and_a_long_silence_are_not_taken_for_new_ids(next_one: Diff) -> None:
    sync = live(7)
    sync.diff(diff(8, 9, time=5000))
    assert sync.diff(next_one) is Verdict.APPLIED
    assert shown(sync) == body(11)


def test_a_run_of_stragglers_goes_on_where_two_connections_tell_it() -> None:
    sync = live(7)
    sync.diff(diff(8, 9, time=5000))
    # During an overlap everything comes twice, and not always in the same pieces.
    pieces = ((4, 5, 5010), (4, 4, 5010), (5, 5, 5020), (6, 7, 5100), (6, 7, 5100))
    assert {sync.diff(diff(a, b, time=at)) for a, b, at in pieces} == {Verdict.STRAGGLER}
    sync.check()
    assert sync.diff(diff(8, 11, time=5200)) is Verdict.REBASED
    assert sync.wanted_id == 3


def test_a_run_of_stragglers_is_ended_by_ids_that_go_down_again() -> None:
    sync = live(700)
    sync.diff(diff(701, 701, time=5000))
    for first, last, time in ((201, 202, 5100), (203, 204, 5200), (101, 102, 6300), (103, 104, 6400)):
        assert sync.diff(diff(first, last, time=time)) is Verdict.STRAGGLER
    sync.check()
    assert sync.diff(diff(105, 105, time=6500)) is Verdict.REBASED
    assert sync.wanted_id == 100


def test_one_straggler_much_younger_than_the_book_is_a_run_where_the_next_diff_goes_beyond_it() -> None:
    for time, verdict in ((5000 + FILE_LAG_MS, Verdict.APPLIED), (5001 + FILE_LAG_MS, Verdict.REBASED)):
        sync = live(7)
        sync.diff(diff(8, 9, time=5000))
        assert sync.diff(diff(7, 9, time=time)) is Verdict.STRAGGLER
        assert sync.diff(diff(10, 12, time=time)) is verdict


def test_another_connections_diffs_that_end_at_other_ids_are_not_taken_for_new_ids() -> None:
    sync = live(7)
    sync.diff(diff(8, 9, time=5000))
    # Its successor tells the same changes in other pieces, one of them a little later.
    assert sync.diff(diff(6, 8, time=5100)) is Verdict.STRAGGLER
    assert sync.diff(diff(9, 12, time=5200)) is Verdict.APPLIED
    assert shown(sync) == body(12)


def test_a_book_whose_time_is_not_known_yet_takes_diffs_that_it_is_ahead_of() -> None:
    sync = live(9)
    verdicts = [sync.diff(diff(n, n + 1, time=5000 + n)) for n in (5, 7, 9)]
    assert verdicts == [Verdict.STRAGGLER, Verdict.STRAGGLER, Verdict.APPLIED]


@pytest.mark.parametrize(("later_ms", "verdict"), [(1000, Verdict.SYNCED), (1001, Verdict.UNPROVEN)])
def test_a_file_of_an_earlier_count_of_ids_is_not_believed(later_ms: int, verdict: Verdict) -> None:
    sync = Sync("X")
    for change in (diff(5, 8, time=6000 + later_ms - 100), diff(9, 9, time=6000 + later_ms), diff(10, 12)):
        sync.diff(change)
    assert sync.snapshot(snapshot(9)._replace(event_time_ms=6000), proven=False) is verdict


def test_a_file_before_a_long_silence_is_believed() -> None:
    sync = Sync("X")
    sync.diff(diff(10, 12, time=10**9))
    assert sync.snapshot(snapshot(9)._replace(event_time_ms=6000), proven=False) is Verdict.SYNCED
    assert sync.book is not None
    assert sync.book.event_time_ms == 10**9


# Refills


def refilled(sync: Sync) -> Audit | None:
    sync.check()
    return sync.take_audit()


def test_a_refill_at_the_books_own_id_is_compared_at_once() -> None:
    sync = live(7)
    sync.begin_refill()
    assert sync.refill(snapshot(7)) is Verdict.APPLIED
    assert refilled(sync) == Audit(2, 0, 0, 0)
    assert refilled(sync) is None


def test_a_refill_older_than_the_book_is_brought_up_to_it() -> None:
    sync = live(7)
    sync.begin_refill()
    for change in (diff(8, 9), diff(10, 12)):
        sync.diff(change)
    fresh = Snapshot(8, [["10", "8"], ["9", "3"]], [["11", "1"]], True, True)
    assert sync.refill(fresh) is Verdict.APPLIED
    assert refilled(sync) == Audit(matching=2, different=0, ghost=0, missing=1)
    assert sync.book is not None
    assert sync.book.body(5) == b'{"lastUpdateId":12,"bids":[["10","12"],["9","3"]],"asks":[["11","1"]]}'


def test_a_refill_ahead_of_the_book_waits_for_it() -> None:
    sync = live(7)
    sync.begin_refill()
    assert (sync.awaited_id, sync.state) == (None, State.LIVE)
    assert sync.refill(snapshot(10)) is Verdict.BUFFERED
    assert (sync.awaited_id, sync.state) == (10, State.LIVE)
    sync.diff(diff(8, 9))
    assert refilled(sync) is None
    sync.diff(diff(10, 12))
    assert (sync.awaited_id, sync.state) == (None, State.LIVE)
    assert refilled(sync) == Audit(2, 0, 0, 0)
    assert shown(sync) == body(12)


def test_a_refill_from_before_the_recording_is_too_old() -> None:
    sync = live(7)
    sync.begin_refill()
    assert sync.refill(snapshot(6)) is Verdict.TOO_OLD
    sync.begin_refill()
    sync.diff(diff(8, 9))
    assert sync.refill(snapshot(6)) is Verdict.TOO_OLD
    assert refilled(sync) is None
    assert shown(sync) == body(9)


def test_a_refill_is_given_up_with_the_book() -> None:
    sync = live(7)
    sync.begin_refill()
    sync.refill(snapshot(10))
    sync.diff(diff(9, 9))
    sync.begin_refill()
    assert sync.refill(snapshot(9)) is Verdict.TOO_OLD
    sync.check()


def test_a_bad_refill_is_refused_while_the_book_goes_on() -> None:
    sync = live(7)
    sync.begin_refill()
    with pytest.raises(BadLevel):
        sync.refill(Snapshot(10, [["1", "x"]], [], True, True))
    assert sync.diff(diff(8, 12)) is Verdict.APPLIED
    assert shown(sync) == body(12)


@pytest.mark.parametrize("seed", range(30))
def test_through_any_stream_the_book_is_the_truth_at_its_id(seed: int) -> None:
    """Lost, late, doubled and regrouped diffs, old and new snapshots: what is live is right."""
    rng = Random(seed)
    truth: dict[int, str] = {0: "1"}
    sync = Sync("X")
    at, wire, lived = 0, list[Diff](), 0
    for step in range(600):
        last = at + rng.randrange(1, 5)
        for update_id in range(at + 1, last + 1):
            truth[update_id] = str(rng.randrange(1, 9))
        first = max(1, at + 1 - rng.choice((0, 0, 0, 2)))
        wire.append(Diff("X", first, last, step, [["10", truth[last]]], []))
        at = last
        if rng.random() < 0.03:
            wire.pop()
        if wire and rng.random() < 0.05:
            wire.append(wire[rng.randrange(len(wire))])
        while wire and rng.random() < 0.8:
            sync.diff(wire.pop(0))
        if sync.state is State.WAITING and rng.random() < 0.3:
            update_id = max(0, at - rng.randrange(20))
            first_book = Snapshot(update_id, [["10", truth[update_id]]], [], True, True)
            sync.snapshot(first_book, proven=rng.random() < 0.5)
        if sync.state is State.LIVE and rng.random() < 0.1:
            sync.begin_refill()
        if sync.state is State.LIVE and rng.random() < 0.1:
            update_id = max(0, at - rng.randrange(20))
            sync.refill(Snapshot(update_id, [["10", truth[update_id]]], [], True, True))
        sync.check()
        audit = sync.take_audit()
        assert audit is None or audit.clean
        if sync.book is not None:
            lived += sync.state is State.LIVE
            assert sync.book.best_bid == ("10", truth[sync.book.update_id])
    assert lived > 100


# Diffs that are deferred


def told(update_id: int, *levels: tuple[str, str]) -> Diff:
    return Diff("X", update_id, update_id, update_id, PlainLevels(map(list, levels)), PlainLevels())


class Guarded:
    """A guard that knows how often it was entered."""

    def __init__(self) -> None:
        self.entered = 0
        self.inside = False

    def __enter__(self) -> None:
        assert not self.inside
        self.entered += 1
        self.inside = True

    def __exit__(self, *_: object) -> None:
        self.inside = False


def deferring(update_id: int, guard: Guarded | None = None) -> tuple[Sync, Book]:
    sync = Sync("X", guard=guard, deferring=True)
    sync.snapshot(Snapshot(update_id, [["1.0", "1.0"]], [], True, True))
    assert sync.book is not None
    return sync, sync.book


def test_levels_are_deferred_and_written_within_the_guard() -> None:
    guard = Guarded()
    sync, book = deferring(10, guard)
    assert sync.diff(told(11, ("2.0", "1.0"))) is Verdict.APPLIED
    assert sync.diff(told(12, ("2.0", "3.0"))) is Verdict.APPLIED
    assert (book.update_id, book.unsettled, guard.entered) == (12, 2, 2)
    assert sync.settle()
    assert (book.unsettled, guard.entered) == (0, 3)
    assert sync.settle()
    assert guard.entered == 3, "there was nothing to write"
    assert book.best_bid == ("2.0", "3.0")
    assert Sync("X", deferring=True).settle(), "there is no book yet"


def test_what_breaks_a_book_shows_at_once_although_levels_are_deferred() -> None:
    for breaking, verdict in (
        (told(13, ("2.0", "1.0")), Verdict.GAP),
        (Diff("X", 12, 12, 12, [["2.0", "x"]], []), Verdict.BAD),
    ):
        sync, book = deferring(10)
        sync.diff(told(11, ("2.0", "1.0")))
        assert sync.diff(breaking) is verdict
        assert sync.state is State.WAITING
        assert (book.update_id, book.best_bid) == (11, ("2.0", "1.0")), "the last good book"


def test_levels_are_deferred_only_while_it_is_wished_for() -> None:
    sync, book = deferring(10)
    sync.diff(told(11, ("2.0", "1.0")))
    sync.deferring = False
    sync.diff(told(12, ("3.0", "1.0")))
    assert book.unsettled == 0
    assert book.best_bid == ("3.0", "1.0")


def test_what_cannot_be_written_is_told_and_no_level_deferred_any_more() -> None:
    sync, _ = deferring(10)
    sync.diff(told(11, ("2.0", ".")))
    assert not sync.settle()
    sync.restart()
    sync.snapshot(Snapshot(12, [["1.0", "1.0"]], [], True, True))
    sync.check()
    assert sync.diff(told(13, ("2.0", "."))) is Verdict.BAD, "it shows at the diff now"


def test_a_diff_that_makes_too_many_wait_finds_what_cannot_be_written() -> None:
    sync, _ = deferring(10)
    verdicts = [sync.diff(told(11, ("0.0", ".")))]
    while verdicts[-1] is Verdict.APPLIED:
        price = len(verdicts)
        verdicts.append(sync.diff(told(11 + price, (f"{price}.0", "1.0"))))
    assert verdicts[-1] is Verdict.BAD
    assert len(verdicts) == DEFERRED_LEVELS + 1


def test_no_level_is_deferred_while_a_refill_is_recorded() -> None:
    sync, book = deferring(10)
    sync.diff(told(11, ("4.0", "1.0")))
    sync.begin_refill()
    fresh = Snapshot(13, [["5.0", "1.0"], ["4.0", "1.0"], ["1.0", "1.0"]], [], True, True)
    assert sync.refill(fresh) is Verdict.BUFFERED
    sync.diff(told(12, ("5.0", "2.0")))
    assert book.unsettled == 0
    # Merged, its bad quantity would be hidden by the next one, and meet the snapshot alone.
    assert sync.diff(told(13, ("5.0", "."))) is Verdict.BAD
    sync.check()


def test_a_refill_settles_first_and_ends_where_that_fails() -> None:
    guard = Guarded()
    for bid, verdict in (("2.0", Verdict.APPLIED), (".", Verdict.TOO_OLD)):
        sync, book = deferring(10, guard)
        sync.diff(told(11, (bid, "1.0")))
        sync.begin_refill()
        snapshot = Snapshot(11, [["2.0", "1.0"], ["1.0", "1.0"]], [], True, True)
        assert sync.refill(snapshot) is verdict
        audit = sync.take_audit()
        assert audit is None or audit.clean
        assert bool(book.unsettled) == (verdict is Verdict.TOO_OLD)


# Ids with holes, as futures have them


def after(previous: int, first: int, last: int) -> Diff:
    return diff(first, last)._replace(previous=previous, transaction_time_ms=last * 100 - 1)


def timed_body(update_id: int) -> bytes:
    head = f'{{"lastUpdateId":{update_id},"E":{update_id * 100},"T":{update_id * 100 - 1},'
    return f'{head}"bids":[["10","{update_id}"]],"asks":[["11","1"]]}}'.encode()


def test_holes_between_ids_are_no_gap_where_the_next_diff_tells_of_the_one_before() -> None:
    sync = live(7)
    assert sync.diff(after(7, 20, 31)) is Verdict.APPLIED
    assert sync.diff(after(31, 40, 40)) is Verdict.APPLIED
    assert shown(sync) == timed_body(40)


def test_consecutive_ids_are_a_gap_where_the_next_diff_tells_of_another_one_before() -> None:
    sync = live(7)
    assert sync.diff(after(9, 10, 12)) is Verdict.GAP
    assert sync.wanted_id == 9
    assert sync.diff(after(12, 15, 15)) is Verdict.BUFFERED
    assert sync.snapshot(snapshot(8)) is Verdict.TOO_OLD
    assert sync.snapshot(snapshot(11)) is Verdict.SYNCED
    assert shown(sync) == timed_body(15)


@pytest.mark.parametrize("update_id", [9, 10, 11, 12])
def test_the_first_diff_may_cover_the_snapshot_or_begin_where_it_ends(update_id: int) -> None:
    sync = Sync("X")
    sync.diff(after(5, 7, 9))
    sync.diff(after(9, 11, 12))
    sync.diff(after(12, 20, 25))
    assert sync.snapshot(snapshot(update_id)) is Verdict.SYNCED
    assert shown(sync) == timed_body(25)


def test_a_diff_cut_elsewhere_leads_on_and_an_old_one_is_ignored() -> None:
    sync = live(7)
    assert sync.diff(after(5, 6, 12)) is Verdict.APPLIED
    assert sync.diff(after(2, 3, 5)) is Verdict.STRAGGLER
    assert sync.diff(after(7, 8, 12)) is Verdict.STRAGGLER
    assert shown(sync) == timed_body(12)


def test_whoever_wants_to_know_is_told_from_what_a_book_began() -> None:
    told: list[tuple[int, list[int]]] = []
    sync = Sync(
        "X", on_began=lambda start, buffered: told.append((start.update_id, [diff.last for diff in buffered]))
    )
    for last in (8, 9, 10):
        sync.diff(Diff("X", last, last, last, [], []))
    assert sync.snapshot(Snapshot(6, [], [], True, True)) is Verdict.TOO_OLD
    assert told == []
    assert sync.snapshot(Snapshot(8, [], [], True, True)) is Verdict.SYNCED
    # All that was buffered is told, with what is in the snapshot already.
    assert told == [(8, [8, 9, 10])]


# In pieces


def begun(*changes: Diff, at: int = 4, buffer: int = 600) -> Sync:
    sync = Sync("X", buffer=buffer)
    for change in changes:
        sync.diff(change)
    assert sync.begin_from(snapshot(at)) is Verdict.BUFFERED
    return sync


def test_what_is_buffered_may_be_applied_in_pieces_while_more_comes() -> None:
    sync = begun(diff(1, 3), diff(4, 5), diff(6, 7), diff(8, 9))
    assert sync.state is State.WAITING
    assert sync.replay(1) is Verdict.BUFFERED
    assert sync.buffered == 2
    sync.check()
    assert sync.diff(diff(10, 11)) is Verdict.BUFFERED
    assert sync.replay(2) is Verdict.BUFFERED
    assert sync.book is None, "not before all is applied"
    assert sync.replay(1) is Verdict.SYNCED
    assert shown(sync) == body(11)
    assert sync.diff(diff(12, 12)) is Verdict.APPLIED


def test_whoever_wants_to_know_is_told_of_all_pieces() -> None:
    told: list[tuple[int, list[int]]] = []
    sync = Sync("X", on_began=lambda first, diffs: told.append((first.update_id, [d.last for d in diffs])))
    for change in (diff(1, 3), diff(4, 5), diff(6, 7)):
        sync.diff(change)
    sync.begin_from(snapshot(4))
    while sync.replay(1) is Verdict.BUFFERED:
        assert not told
    assert told == [(4, [3, 5, 7])]


def test_a_hole_that_comes_between_pieces_wants_another_snapshot() -> None:
    sync = begun(diff(4, 5), diff(6, 7), diff(8, 9))
    assert sync.replay(1) is Verdict.BUFFERED
    sync.diff(diff(20, 21))
    assert sync.replay(1) is Verdict.TOO_OLD
    sync.check()
    assert sync.replay(1) is Verdict.TOO_OLD, "nothing is begun any more"
    assert sync.snapshot(snapshot(19)) is Verdict.SYNCED
    assert shown(sync) == body(21)


def test_a_file_that_new_ids_pass_between_pieces_begins_no_book() -> None:
    sync = Sync("X")
    for change in (diff(96, 97, time=10_000), diff(98, 98, time=10_100)):
        sync.diff(change)
    file = snapshot(100)._replace(event_time_ms=10_300)
    assert sync.begin_from(file, proven=False) is Verdict.BUFFERED
    # The ids went down unheard and came back: the same numbers, other changes.
    sync.diff(diff(99, 100, time=20_000))
    sync.diff(diff(101, 102, time=20_100))
    assert sync.replay() is Verdict.UNPROVEN
    assert sync.state is State.WAITING
    sync.check()
    assert sync.replay() is Verdict.TOO_OLD, "nothing is begun any more"


def test_a_buffer_that_overflows_between_pieces_wants_another_snapshot() -> None:
    sync = begun(diff(5, 5), diff(6, 6), buffer=2)
    sync.diff(diff(7, 7))
    assert sync.replay(1) is Verdict.TOO_OLD
    assert sync.snapshot(snapshot(5)) is Verdict.SYNCED
    assert shown(sync) == body(7)


def test_ids_that_go_down_between_pieces_end_what_is_being_made() -> None:
    sync = begun(diff(1004, 1005), diff(1006, 1007), diff(1008, 1009), at=1004)
    assert sync.replay(1) is Verdict.BUFFERED
    verdicts = [sync.diff(diff(n, n, time=200_000 + n)) for n in range(1, REBASED_AFTER + 1)]
    assert Verdict.REBASED in verdicts
    assert sync.replay(1) is Verdict.TOO_OLD
    assert sync.book is None


def test_a_bad_level_in_a_later_piece_leaves_what_follows_it() -> None:
    sync = begun(diff(4, 5), diff(6, 7, bid="x"), diff(8, 9))
    assert sync.replay(1) is Verdict.BUFFERED
    with pytest.raises(BadLevel):
        sync.replay(1)
    assert sync.wanted_id == 7
    assert sync.snapshot(snapshot(7)) is Verdict.SYNCED
    assert shown(sync) == body(9)


def test_another_snapshot_takes_the_place_of_the_first() -> None:
    sync = begun(diff(4, 5), diff(6, 7), diff(8, 9))
    assert sync.replay(1) is Verdict.BUFFERED
    assert sync.begin_from(snapshot(4)) is Verdict.TOO_OLD, "its diffs were taken from the buffer"
    assert sync.begin_from(snapshot(8)) is Verdict.BUFFERED
    assert sync.replay() is Verdict.SYNCED
    assert shown(sync) == body(9)


# A book that is made in pieces


def in_pieces(made_of: Snapshot) -> Building[Book]:
    """Three pieces, the second of which looks at the levels."""
    yield
    book = Book.of(made_of)
    yield
    return book


def test_a_book_is_made_in_pieces_while_diffs_go_on_to_be_buffered() -> None:
    sync = Sync("X", book_of=in_pieces)
    sync.diff(diff(8, 9))
    assert sync.begin_from(snapshot(7)) is Verdict.BUFFERED
    assert sync.replay(1) is Verdict.BUFFERED
    assert sync.diff(diff(10, 12)) is Verdict.BUFFERED
    sync.check()
    assert sync.replay(1) is Verdict.BUFFERED
    assert sync.replay(1) is Verdict.BUFFERED, "it is made, and has one diff more to go"
    assert sync.replay(1) is Verdict.SYNCED
    assert shown(sync) == body(12)


def test_in_one_go_all_pieces_are_made() -> None:
    sync = Sync("X", book_of=in_pieces)
    assert sync.snapshot(snapshot(7)) is Verdict.SYNCED
    assert shown(sync) == body(7)


def test_what_turns_out_to_be_no_book_leaves_the_buffer_to_another_snapshot() -> None:
    sync = Sync("X", book_of=in_pieces)
    sync.diff(diff(8, 9))
    bad = snapshot(7)._replace(asks=[["nothing", "1"]])
    assert sync.begin_from(bad) is Verdict.BUFFERED
    assert sync.replay(1) is Verdict.BUFFERED
    with pytest.raises(BadLevel):
        sync.replay(1)
    sync.check()
    assert sync.replay(1) is Verdict.TOO_OLD, "nothing is begun any more"
    with pytest.raises(BadLevel):
        sync.snapshot(bad)
    assert sync.snapshot(snapshot(7)) is Verdict.SYNCED
    assert shown(sync) == body(9)


def test_a_book_that_is_being_made_is_given_up_where_another_snapshot_comes() -> None:
    sync = Sync("X", book_of=in_pieces)
    sync.diff(diff(8, 9))
    sync.begin_from(snapshot(7))
    sync.replay(1)
    sync.begin_from(snapshot(8))
    while sync.replay(1) is Verdict.BUFFERED:
        sync.check()
    assert shown(sync) == body(9)


@pytest.mark.parametrize("building", [Book.of, in_pieces], ids=["at once", "in pieces"])
def test_the_book_of_a_second_snapshot_may_be_made_in_pieces_too(building: Callable[[Snapshot], Any]) -> None:
    sync = Sync("X", book_of=building)
    sync.snapshot(snapshot(7))
    sync.begin_refill()
    made = sync.building(snapshot(8))
    while (fresh := next_piece(made)) is None:
        sync.check()
    assert sync.diff(diff(8, 9)) is Verdict.APPLIED
    assert sync.refill_with(fresh) is Verdict.APPLIED
    audit = sync.take_audit()
    assert audit is not None
    assert audit.clean
    assert sync.refill_with(fresh) is Verdict.TOO_OLD, "there is nothing to refill any more"
    sync.begin_refill()
    assert sync.refill(snapshot(9)) is Verdict.APPLIED
    assert shown(sync) == body(9)
