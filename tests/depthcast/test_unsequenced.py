"""Books from streams that number nothing: how they begin, break and are numbered."""

from random import Random
from typing import Any

import pytest

from depthcast.book import Audit
from depthcast.events import Diff, LevelSnapshot, PlainLevels, Snapshot, TopLevels
from depthcast.rows import Action, Row, RowBook, RowsChanged, RowSnapshot
from depthcast.sync import State, Verdict
from depthcast.unsequenced import (
    BITS_OF_MS,
    BITS_OF_US,
    SET_BACK_MS,
    StreamSync,
    made_of_time,
    stream_syncs,
)

BITS = 8


def whole(time: int, *bids: tuple[str, str]) -> LevelSnapshot:
    return LevelSnapshot("X", Snapshot(time, list(map(list, bids)), [["9", "1"]], True, True, time))


def change(time: int, *bids: tuple[str, str], first: int | None = None) -> Diff:
    return Diff("X", time if first is None else first, time, time, list(map(list, bids)), [])


def version(time: int, count: int) -> int:
    return (time << BITS) + count


def live(*events: object, quiet: bool = False) -> StreamSync:
    sync = StreamSync("X", bits=BITS)
    for event in events:
        sync.diff(event)
    assert sync.begin(quiet=quiet) is Verdict.SYNCED
    sync.check()
    return sync


def test_changes_before_the_whole_book_are_ignored() -> None:
    sync = StreamSync("X", bits=BITS)
    assert sync.diff(change(5, ("2", "1"))) is Verdict.STRAGGLER
    assert not sync.begun
    assert sync.begin(quiet=True) is Verdict.UNPROVEN
    assert sync.book is None


def test_a_book_is_ready_when_a_second_time_was_heard_since_its_beginning() -> None:
    sync = StreamSync("X", bits=BITS)
    sync.diff(whole(5, ("2", "1")))
    for time, ready in ((6, False), (6, False), (7, True)):
        assert sync.diff(change(time, ("2", str(time)))) is Verdict.BUFFERED
        assert sync.ready is ready
    assert sync.begin() is Verdict.SYNCED
    assert sync.book is not None
    assert sync.book.update_id == version(7, 1)
    assert sync.book.body(1) == b'{"lastUpdateId":%d,"bids":[["2","7"]],"asks":[["9","1"]]}' % version(7, 1)


def test_one_message_with_two_times_is_as_good_as_two() -> None:
    sync = StreamSync("X", bits=BITS)
    sync.diff(whole(5, ("2", "1")))
    sync.diff(change(8, ("2", "2"), ("1", "1"), first=7))
    assert sync.ready


def test_where_nothing_comes_the_whole_books_own_time_is_its_id() -> None:
    sync = live(whole(5, ("2", "1")), quiet=True)
    assert sync.book is not None
    assert sync.book.update_id == version(5, 0)
    assert sync.diff(change(5, ("2", "2"))) is Verdict.APPLIED
    assert sync.book.update_id == version(5, 1)


def test_changes_of_one_time_are_counted_one_by_one() -> None:
    sync = live(whole(5, ("2", "1")), change(6), change(7, ("2", "2")))
    assert sync.book is not None
    ids = [sync.book.update_id]
    for event in (change(7, ("2", "3"), ("1", "1")), change(8, ("2", "4")), change(7, ("2", "5"))):
        assert sync.diff(event) is Verdict.APPLIED
        ids.append(sync.book.update_id)
    # The last one is told late; its time counts as the one before it.
    assert ids == [version(7, 1), version(7, 3), version(8, 1), version(8, 2)]
    sync.check()


def test_more_changes_of_one_time_than_there_is_room_for_still_only_grow() -> None:
    sync = live(whole(5, ("2", "1")), change(6), change(7, ("2", "2")))
    many = [(str(price), "1") for price in range(1, 2**BITS)]
    before = sync.number
    sync.diff(change(7, *many))
    sync.diff(change(8, ("2", "1")))
    assert sync.number > before + len(many)


def test_replicas_that_begin_anywhere_give_the_same_book_the_same_id() -> None:
    """Messages are cut otherwise for each of them, as they are for connections that are read slowly."""
    rng = Random(9)
    time, rows = 1000, dict[int, Row]()
    single: list[RowsChanged] = []
    pictures: list[tuple[int, list[Row]]] = [(time, [])]
    for row_id in range(400):
        time += rng.choice((0, 0, 0, 1, 7))
        old = rng.choice(list(rows)) if rows and rng.random() < 0.6 else None
        if old is None:
            row: Row = (row_id, True, rng.randint(1, 99), f"{1000 + row_id}.5", f"t{time}")
            rows[row_id], action = row, Action.INSERT
        elif rng.random() < 0.5:
            row = (old, True, None, None, f"t{time}")
            del rows[old]
            action = Action.DELETE
        else:
            row = (old, True, rng.randint(1, 99), None, f"t{time}")
            rows[old] = (old, True, row[2], rows[old][3], row[4])
            action = Action.UPDATE
        single.append(RowsChanged("X", time, time, time, action, [row]))
        pictures.append((time, list(rows.values())))

    seen: dict[int, bytes] = {}
    for _ in range(30):
        begin = rng.randrange(300)
        sync = StreamSync("X", bits=BITS, book_of=RowBook.of)
        sync.diff(LevelSnapshot("X", RowSnapshot("X", pictures[begin][0] + 3, pictures[begin][1])))
        last = 0
        for event in merged(single[begin:], rng):
            sync.diff(event)
            if sync.ready:
                sync.begin()
            book = sync.book
            if book is None or sync.state is not State.LIVE:
                continue
            assert book.update_id > last
            last = book.update_id
            body = book.body(0)
            assert seen.setdefault(last, body) == body
        assert last
        sync.check()


def merged(changes: list[RowsChanged], rng: Random) -> list[RowsChanged]:
    """Neighbours that do the same with different rows, in one message here and in two there."""
    found: list[RowsChanged] = []
    for each in changes:
        before = found[-1] if found else None
        if (
            before is not None
            and before.action is each.action
            and rng.random() < 0.5
            and each.rows[0][0] not in {row[0] for row in before.rows}
        ):
            at_last = before.at_last + 1 if before.last == each.last else 1
            found[-1] = before._replace(
                last=each.last,
                event_time_ms=each.last,
                rows=[*before.rows, *each.rows],
                at_last=at_last,
            )
        else:
            found.append(each)
    return found


def test_what_contradicts_the_book_breaks_it_and_leaves_the_last_good_one() -> None:
    sync = StreamSync("X", bits=BITS_OF_MS, book_of=RowBook.of)
    row: Row = (1, True, 5, "2.5", "")
    sync.diff(LevelSnapshot("X", RowSnapshot("X", 5, [row])))
    sync.begin(quiet=True)
    assert sync.book is not None
    before = sync.book.body(0)
    assert sync.diff(RowsChanged("X", 6, 6, 6, Action.DELETE, [(2, True, None, None, "")])) is Verdict.BAD
    assert sync.state is State.WAITING
    assert sync.book.body(0) == before
    # Until the next whole book, whatever comes is of before it.
    assert sync.diff(RowsChanged("X", 7, 7, 7, Action.DELETE, [row])) is Verdict.STRAGGLER
    assert sync.book.body(0) == before


def test_what_contradicts_a_pending_book_breaks_that() -> None:
    sync = StreamSync("X", bits=BITS, book_of=RowBook.of)
    sync.diff(LevelSnapshot("X", RowSnapshot("X", 5, [])))
    assert sync.diff(RowsChanged("X", 6, 6, 6, Action.DELETE, [(2, True, None, None, "")])) is Verdict.BAD
    assert not sync.begun
    assert sync.diff(LevelSnapshot("X", RowSnapshot("X", 7, [(1, True, 0, "2", "")]))) is Verdict.BAD
    assert not sync.begun


def test_a_lost_connection_is_made_good_by_the_next_whole_book() -> None:
    sync = live(whole(5, ("2", "1")), change(6), change(7, ("2", "2")))
    assert sync.book is not None
    sync.lost()
    assert sync.state is State.WAITING
    assert sync.diff(change(8, ("2", "9"))) is Verdict.STRAGGLER
    assert sync.book.update_id == version(7, 1)
    sync.diff(whole(20, ("2", "3")))
    sync.diff(change(21, ("2", "4")))
    assert not sync.ready
    sync.diff(change(22, ("2", "5")))
    assert sync.begin() is Verdict.SYNCED
    assert sync.book.update_id == version(22, 1)


def test_a_quiet_book_goes_on_under_its_id_after_a_lost_connection() -> None:
    sync = live(whole(5, ("2", "1")), change(6), change(7, ("2", "2")))
    sync.lost()
    sync.diff(whole(20, ("2", "2")))
    assert sync.ready
    sync.begin()
    assert sync.book is not None
    assert sync.book.update_id == version(7, 1)
    assert sync.diff(change(7, ("2", "3"))) is Verdict.APPLIED
    assert sync.book.update_id == version(7, 2)
    sync.check()


def test_a_whole_book_that_nobody_asked_for_is_believed_only_where_it_changes_nothing() -> None:
    sync = live(whole(5, ("2", "1")), change(6), change(7, ("2", "2")))
    assert sync.diff(whole(8, ("2", "2"))) is Verdict.STRAGGLER
    states: list[State] = [sync.state]
    assert sync.diff(whole(9, ("2", "3"))) is Verdict.GAP
    assert [*states, sync.state] == [State.LIVE, State.WAITING]


def test_a_clock_that_is_set_back_begins_the_book_anew_with_lower_ids() -> None:
    late = 1000 + SET_BACK_MS
    sync = live(whole(late - 9, ("2", "1")), change(late - 1), change(late, ("2", "2")))
    assert sync.diff(change(1000, ("2", "3"))) is Verdict.APPLIED
    assert sync.number == version(late, 2)
    assert sync.diff(change(999, ("2", "2"))) is Verdict.REBASED
    # Though it holds what the last good one did, it is of another count.
    sync.diff(whole(1001, ("2", "3")))
    assert not sync.ready
    sync.diff(change(1002, ("2", "4")))
    sync.diff(change(1003, ("2", "5")))
    sync.begin()
    assert sync.book is not None
    assert sync.book.update_id == version(1003, 1)
    sync.check()


def test_a_book_that_is_given_up_waits_for_a_whole_one() -> None:
    sync = live(whole(5, ("2", "1")), quiet=True)
    sync.diff(change(6, ("2", "2")))
    sync.restart()
    assert sync.state is State.WAITING
    assert sync.diff(change(7, ("2", "3"))) is Verdict.STRAGGLER
    sync.diff(whole(8, ("2", "4")))
    sync.check()
    assert sync.begun


def test_a_last_good_book_that_turns_out_unreadable_is_not_compared() -> None:
    sync = live(whole(5, ("2", "1")), quiet=True)
    sync.deferring = True
    for time in (6, 7):
        levels = PlainLevels([["1." + "1" * 70, "1"]])
        sync.diff(Diff("X", time, time, time, levels, PlainLevels()))
    sync.lost()
    sync.diff(whole(8, ("2", "1"), ("1", "1")))
    assert sync.begun
    assert not sync.ready


def test_no_snapshot_from_elsewhere_is_taken() -> None:
    sync = StreamSync("X", bits=BITS)
    assert sync.snapshot(Snapshot(7, [], [], True, True)) is Verdict.TOO_OLD
    assert sync.snapshot(Snapshot(7, [], [], True, True), proven=False) is Verdict.UNPROVEN
    sync = live(whole(5, ("2", "1")), quiet=True)
    sync.begin_refill()
    assert sync.refill(Snapshot(7, [], [], True, True)) is Verdict.TOO_OLD


def test_a_second_stream_is_compared_with_pending_and_with_live_books() -> None:
    sync = StreamSync("X", bits=BITS, book_of=RowBook.of)
    bid: Row = (1, True, 5, "2.5", "")
    sync.diff(TopLevels("X", 4, [(2.5, 5)], [], 10))
    assert sync.agreement.disagreement is None
    sync.diff(LevelSnapshot("X", RowSnapshot("X", 5, [bid], 5)))
    sync.diff(TopLevels("X", 5, [(2.5, 5)], [], 10))
    assert sync.agreement.agreed == 1
    sync.begin(quiet=True)
    sync.diff(RowsChanged("X", 9, 9, 9, Action.UPDATE, [(1, True, 6, None, "")]))
    sync.diff(TopLevels("X", 9, [(2.5, 6)], [], 10))
    assert sync.agreement.agreed == 2
    sync.diff(TopLevels("X", 9, [(2.5, 7)], [], 10))
    disagreements = [sync.agreement.disagreement]
    sync.lost()
    disagreements.append(sync.agreement.disagreement)
    assert [each is None for each in disagreements] == [False, True]


def test_a_comparison_notes_what_changes_and_ends_with_the_book() -> None:
    sync = stream_syncs(BITS_OF_MS, witness=10, compared=True)("X", book_of=RowBook.of)
    assert sync.agreement.depth == 10
    assert sync.compare() is None
    bid: Row = (1, True, 5, "2.5", "")
    sync.diff(LevelSnapshot("X", RowSnapshot("X", 5, [bid, (2, True, 5, "2.4", "")], 5)))
    assert sync.compare() is None
    sync.begin(quiet=True)
    comparison = sync.compare()
    assert comparison is not None
    assert comparison is sync.comparison
    sync.diff(RowsChanged("X", 9, 9, 9, Action.UPDATE, [(1, True, 6, None, "")]))
    assert sync.time_ms == 9
    sync.check()
    assert comparison.hear(RowSnapshot("X", 9, [bid], 9))
    kept: Any = sync.book
    assert comparison.result(kept) == Audit(matching=0, different=0, ghost=1, missing=0)
    sync.lost()
    assert sync.comparison is None


def test_what_is_not_whole_or_not_of_rows_is_not_compared() -> None:
    best = StreamSync("X", bits=BITS_OF_MS, compared=True, book_of=RowBook.of)
    best.diff(LevelSnapshot("X", RowSnapshot("X", 5, [], 5, complete=False)))
    best.begin(quiet=True)
    assert best.compare() is None
    assert live(whole(5, ("2", "1")), quiet=True).compare() is None


def test_a_listener_is_told_the_book_by_price() -> None:
    told: list[Snapshot] = []
    make = stream_syncs(BITS_OF_US)
    sync = make("X", on_began=lambda snapshot, buffered: told.append(snapshot))
    sync.diff(whole(5, ("2", "1")))
    sync.begin(quiet=True)
    assert told == [Snapshot(5 << BITS_OF_US, [["2", "1"]], [["9", "1"]], True, True, 5)]


@pytest.mark.parametrize(("bits", "per_second"), [(BITS_OF_MS, 10**3), (BITS_OF_US, 10**6)])
def test_ids_of_this_century_fit_in_63_bits(bits: int, per_second: int) -> None:
    year_2100 = 4_102_444_800
    assert (year_2100 * per_second + 1) << bits < 2**63


def test_an_id_of_either_unit_shows_that_it_is_made_of_a_time() -> None:
    assert made_of_time(1_135_000_000_000 << BITS_OF_MS)
    assert made_of_time(1_135_000_000_000_000 << BITS_OF_US)
    assert not made_of_time(179_534_366_991_384)
