"""One symbol's diffs, cut into intervals: where a segment ends, what is a hole, what is none."""

from collections.abc import Iterable, Sequence

import pytest

from depthcast.errors import BadLevel
from depthcast.events import Diff, Snapshot
from depthcast.tape.keys import start_of
from depthcast.tape.segment import Segment, merge
from updater.tape.packed import PackedBook, PackedDiff, Take, book_after, pack_book, pack_diff
from updater.tape.reel import MOST_QUIET, Reel

START_MS = 1_723_161_240_000


def diff(last: int, at_ms: int, *, first: int | None = None) -> Diff:
    """A diff of one id, at so many ms of the first interval."""
    return Diff("X", last if first is None else first, last, START_MS + at_ms, [["1.0", f"{last}.0"]], [])


def snapshot(update_id: int) -> Snapshot:
    return Snapshot(update_id, [["1.0", f"{update_id}.0"]], [["2.0", "1.0"]], True, True)


def packed(*diffs: Diff) -> list[tuple[Diff, PackedDiff]]:
    return [(each, pack_diff(each, 7)) for each in diffs]


class Symbol:
    """A reel, and the book that its diffs are applied to."""

    def __init__(self, update_id: int = 10) -> None:
        self.reel = Reel("X")
        self.book = book_after(snapshot(update_id), [])
        self.epoch = 0
        self.done: list[Take] = []

    def frame(self) -> PackedBook:
        return pack_book(self.book, 5)

    def take(self, *diffs: Diff) -> None:
        for each in diffs:
            expected = self.reel.expects(self.book.update_id, self.epoch, each.event_time_ms)
            frame = None if expected else self.frame()

            def given(frame: PackedBook | None = frame) -> PackedBook:
                assert frame is not None, "it was expected to need none"
                return frame

            upon_id = self.book.update_id
            self.book.apply(each)
            self.done += self.reel.add(pack_diff(each, 7), upon_id, self.epoch, given)
            self.reel.check()

    def anew(self, from_: Snapshot, *buffered: Diff) -> None:
        self.done += self.reel.began(from_, packed(*buffered), self.epoch, 6)
        self.book = book_after(from_, buffered)
        self.reel.check()

    def tick(self, at_ms: int, *, sure: bool = True, live: bool = True) -> None:
        book_id = self.book.update_id if live else None
        self.done += self.reel.tick(
            START_MS + at_ms, book_id=book_id, epoch=self.epoch, sure=sure, frame=self.frame
        )
        self.reel.check()

    def segments(self) -> list[Segment]:
        made = [take.segment("binance") for take in self.done]
        for segment in made:
            segment.check()
        return made


def ids(segments: Iterable[Segment]) -> list[list[list[int]]]:
    """The ids of the diffs, by segment and piece."""
    return [[[each.last for each in piece.diffs] for piece in segment.pieces] for segment in segments]


def test_an_interval_ends_with_a_later_diff_of_the_chain() -> None:
    symbol = Symbol()
    symbol.take(diff(11, 59_000), diff(12, 60_000), diff(13, 119_999), diff(14, 120_000))
    first, second = symbol.segments()
    assert ids([first, second]) == [[[11]], [[12, 13]]]
    assert not first.from_start
    assert first.to_end
    assert second.whole
    assert second.pieces[0].keyframe.update_id == 11
    assert second.pieces[0].keyframe.bids == [["1.0", "11.0"]]
    assert second.pieces[0].keyframe.event_time_ms == START_MS + 59_000
    assert [each.local_time_us for each in second.diffs] == [7, 7]


def test_a_diff_belongs_to_the_interval_of_the_greatest_time_before_it() -> None:
    symbol = Symbol()
    symbol.take(diff(11, 10), diff(12, 60_005), diff(13, 59_995), diff(14, 120_000))
    assert ids(symbol.segments()) == [[[11]], [[12, 13]]]


def test_quiet_intervals_between_two_diffs_are_whole_and_hold_the_book_alone() -> None:
    symbol = Symbol()
    symbol.take(diff(11, 10), diff(12, 200_000))
    done = symbol.segments()
    assert [(each.start_ms - START_MS, each.whole) for each in done] == [
        (0, False),
        (60_000, True),
        (120_000, True),
    ]
    assert [each.first_id for each in done[1:]] == [each.last_id for each in done[1:]] == [11, 11]


def test_a_time_far_ahead_does_not_fill_the_tape_with_nothing() -> None:
    symbol = Symbol()
    symbol.take(diff(11, 10), diff(12, 60_000 * 10_000))
    assert len(symbol.done) == 1 + MOST_QUIET
    assert symbol.done[-1].start_ms == START_MS + 60_000 * 9_999


def test_a_gap_begins_another_piece_with_the_book_that_was_built_anew() -> None:
    symbol = Symbol()
    symbol.take(diff(11, 100), diff(12, 200))
    symbol.reel.broke("gap")
    symbol.anew(snapshot(20), diff(16, 600, first=15), diff(21, 700), diff(22, 800))
    symbol.take(diff(23, 900), diff(24, 60_000))
    [segment] = symbol.segments()
    assert ids([segment]) == [[[11, 12], [21, 22, 23]]]
    assert [(hole.after_id, hole.before_id) for hole in segment.holes] == [(None, 10), (12, 20)]
    assert segment.pieces[1].keyframe.bids == [["1.0", "20.0"]]


def test_a_doubted_book_whose_diffs_follow_on_costs_nothing() -> None:
    symbol = Symbol()
    symbol.take(diff(11, 100))
    symbol.reel.broke("silent since its connection was lost")
    # The snapshot has the first two of them already; the tape wants them all the same.
    symbol.anew(snapshot(13), diff(12, 200), diff(13, 300), diff(14, 400))
    symbol.take(diff(15, 60_000))
    [segment] = symbol.segments()
    assert ids([segment]) == [[[11, 12, 13, 14]]]


def test_a_doubted_book_that_stayed_the_same_costs_nothing() -> None:
    symbol = Symbol()
    symbol.take(diff(11, 100))
    symbol.reel.broke("silent since its connection was lost")
    symbol.anew(snapshot(11))
    symbol.take(diff(12, 60_000))
    assert ids(symbol.segments()) == [[[11]]]


def test_an_interval_may_end_among_the_diffs_that_were_buffered() -> None:
    symbol = Symbol()
    symbol.take(diff(11, 100))
    symbol.reel.broke("gap")
    symbol.anew(snapshot(20), diff(21, 59_000), diff(22, 61_000), diff(23, 62_000))
    symbol.take(diff(24, 120_000))
    first, second = symbol.segments()
    assert ids([first, second]) == [[[11], [21]], [[22, 23]]]
    assert second.whole
    assert second.pieces[0].keyframe.bids == [["1.0", "21.0"]]


def test_no_interval_begins_where_the_book_is_not_known() -> None:
    symbol = Symbol()
    symbol.take(diff(11, 100))
    symbol.reel.broke("silent since its connection was lost")
    symbol.anew(snapshot(13), diff(12, 61_000), diff(13, 62_000), diff(14, 63_000))
    symbol.take(diff(15, 120_000))
    first, second = symbol.segments()
    assert ids([first, second]) == [[[11]], [[14]]]
    assert not first.to_end
    assert not second.from_start


@pytest.mark.parametrize("reason", ["crossed", "exhausted", "bad"])
def test_a_book_that_was_wrong_is_not_trusted_beyond_where_the_new_one_begins(reason: str) -> None:
    symbol = Symbol()
    symbol.take(diff(11, 100), diff(12, 200), diff(13, 300))
    symbol.reel.broke(reason)
    symbol.anew(snapshot(12), diff(13, 300), diff(14, 400))
    symbol.take(diff(15, 60_000))
    [segment] = symbol.segments()
    assert ids([segment]) == [[[11], [13, 14]]]
    assert segment.pieces[1].keyframe.update_id == 12


def test_a_wrong_book_from_before_the_new_one_is_forgotten() -> None:
    symbol = Symbol()
    symbol.take(diff(11, 100), diff(12, 200))
    symbol.reel.broke("crossed")
    symbol.anew(snapshot(9), diff(10, 50), diff(11, 100), diff(12, 200), diff(13, 300))
    symbol.take(diff(14, 60_000))
    [segment] = symbol.segments()
    assert ids([segment]) == [[[10, 11, 12, 13]]]
    assert not segment.from_start


def test_ids_that_went_down_are_of_the_next_epoch() -> None:
    symbol = Symbol(1000)
    symbol.take(diff(1001, 100))
    symbol.reel.broke("rebased")
    symbol.anew(snapshot(5), diff(6, 200))
    symbol.take(diff(7, 300), diff(8, 60_000))
    # The epoch is claimed in the store by and by, and changes nothing.
    symbol.epoch = 1
    symbol.take(diff(9, 60_100), diff(10, 120_000))
    first, second = symbol.segments()
    assert [(piece.epoch, piece.last_id) for piece in first.pieces] == [(0, 1001), (1, 7)]
    assert second.whole
    assert [piece.epoch for piece in second.pieces] == [1]


def test_a_bad_level_among_what_was_buffered_ends_the_piece_before_it() -> None:
    symbol = Symbol()
    bad = Diff("X", 21, 21, START_MS + 61_000, [["x", "1"]], [])
    with pytest.raises(BadLevel):
        book_after(snapshot(20), [bad])
    symbol.take(diff(11, 100))
    symbol.reel.broke("gap")
    symbol.done += symbol.reel.began(snapshot(20), packed(bad, diff(22, 122_000)), 0, 6)
    assert [take.start_ms for take in symbol.done] == [START_MS]
    symbol.reel.check()


# Time


def test_a_quiet_symbol_s_interval_ends_with_the_exchange_s_clock() -> None:
    symbol = Symbol()
    symbol.take(diff(11, 100))
    symbol.tick(74_999)
    assert symbol.done == []
    symbol.tick(75_000)
    symbol.tick(135_000)
    symbol.take(diff(12, 130_000), diff(13, 180_000))
    first, second, third = symbol.segments()
    assert [first.to_end, second.whole, third.whole] == [True, True, True]
    assert ids([first, second, third]) == [[[11]], [[]], [[12]]]


def test_a_symbol_without_any_diff_is_recorded_too() -> None:
    symbol = Symbol()
    symbol.tick(30_000)
    symbol.tick(75_000)
    symbol.tick(135_000)
    first, second = symbol.segments()
    assert (first.from_start, first.to_end, second.whole) == (False, True, True)
    assert second.first_id == second.last_id == 10


def test_an_interval_whose_end_nobody_saw_waits_a_while_for_a_diff_that_shows_it() -> None:
    symbol = Symbol()
    symbol.take(diff(11, 100))
    symbol.tick(119_999, sure=False)
    assert symbol.done == []
    symbol.take(diff(12, 119_000))
    [first] = symbol.segments()
    assert first.to_end
    symbol.tick(180_000, sure=False)
    second = symbol.segments()[1]
    assert second.from_start
    assert not second.to_end
    assert not symbol.reel.open


def test_a_book_that_is_being_built_ends_its_interval_when_it_is_over() -> None:
    symbol = Symbol()
    symbol.take(diff(11, 100))
    symbol.reel.broke("gap")
    symbol.tick(75_000, live=False)
    [segment] = symbol.segments()
    assert not segment.to_end


def test_after_a_long_sleep_nothing_is_made_up() -> None:
    symbol = Symbol()
    symbol.take(diff(11, 100))
    symbol.tick(60_000 * (MOST_QUIET + 3))
    assert not symbol.segments()[0].to_end
    assert len(symbol.done) == 1


def test_the_end_is_a_hole_and_another_start_in_the_same_interval_fills_it() -> None:
    before, after, other = Symbol(), Symbol(12), Symbol()
    before.take(diff(11, 100), diff(12, 200))
    before.done += before.reel.end()
    assert before.reel.end() == []
    after.take(diff(13, 300), diff(14, 60_000))
    [left], [right] = before.segments(), after.segments()
    assert not left.to_end
    assert ids([merge(left, right)]) == [[[11, 12, 13]]]
    assert other.reel.size == 0


def test_what_is_dropped_is_a_hole() -> None:
    symbol = Symbol()
    symbol.take(diff(11, 100), diff(12, 200))
    assert symbol.reel.size > 600
    assert symbol.reel.drop() == 2
    assert symbol.reel.size == 0
    symbol.take(diff(13, 300), diff(14, 60_000))
    [segment] = symbol.segments()
    assert ids([segment]) == [[[13]]]
    assert not segment.from_start


def test_a_take_knows_its_size_and_what_is_in_it() -> None:
    symbol = Symbol()
    symbol.take(diff(11, 100), diff(12, 200), diff(13, 60_000))
    [take] = symbol.done
    assert take.diffs == 2
    assert take.size == sum(piece.size for piece in take.pieces)
    assert start_of(take.start_ms) == START_MS


def test_check_finds_a_broken_piece() -> None:
    symbol = Symbol()
    symbol.take(diff(11, 100), diff(12, 200), diff(13, 300))
    broken: Sequence[PackedDiff] = symbol.reel._pieces[0].diffs
    lost = broken[1]
    symbol.reel._pieces[0].diffs.remove(lost)
    symbol.reel.size -= lost.size
    with pytest.raises(AssertionError, match="broken"):
        symbol.reel.check()
