"""Segments and their union: nothing that either knows is lost, and a whole one is final."""

from dataclasses import replace
from random import Random

import pytest

from depthcast.book import Book
from depthcast.tape.segment import Hole, Piece, RecordedDiff, Segment, joined, merge
from tests.depthcast.tape.tapes import START_MS, NaiveBook, chain, exact, part, whole


def torn(of: Segment, *parts: tuple[int, int], from_start: bool = False, to_end: bool = False) -> Segment:
    """What somebody has of a whole segment: these stretches of its diffs."""
    pieces = [part(of, start, stop) for start, stop in parts]
    return Segment.of(
        of.venue, of.symbol, of.start_ms, of.length_s, pieces, from_start=from_start, to_end=to_end
    )


def known(segment: Segment) -> set[tuple[int, int]]:
    """The epoch and id of every diff in it."""
    return {(piece.epoch, diff.last) for piece in segment.pieces for diff in piece.diffs}


def test_one_piece_from_before_the_beginning_to_after_the_end_is_whole() -> None:
    segment = chain(Random(1), 10)
    segment.check()
    assert segment.whole
    assert segment.from_start
    assert segment.to_end
    assert (segment.first_id, segment.last_id) == (1000, segment.pieces[0].diffs[-1].last)
    assert list(segment.diffs) == list(segment.pieces[0].diffs)
    assert segment.end_ms == START_MS + 60_000
    assert segment.epoch == 0


def test_a_late_beginning_a_gap_and_an_early_end_are_holes() -> None:
    segment = chain(Random(2), 30)
    diffs = segment.pieces[0].diffs
    ours = torn(segment, (3, 10), (12, 20))
    ours.check()
    assert not ours.whole
    assert ours.holes == (
        Hole(None, diffs[2].last, START_MS, START_MS + 200),
        Hole(diffs[9].last, diffs[11].last, START_MS + 900, START_MS + 1100),
        Hole(diffs[19].last, None, START_MS + 1900, START_MS + 60_000),
    )
    assert not ours.from_start
    assert not ours.to_end


def test_a_keyframe_of_unknown_time_is_known_from_its_first_diff_on() -> None:
    segment = chain(Random(3), 10)
    late = part(segment, 4, 10)
    fresh = replace(late, keyframe=late.keyframe._replace(event_time_ms=0))
    alone = replace(fresh, diffs=())
    assert fresh.from_ms == START_MS + 400
    assert (alone.from_ms, alone.to_ms) == (0, 0)
    ours = Segment.of("binance", "X", START_MS, 60, [alone], from_start=False, to_end=False)
    assert [(hole.from_ms, hole.to_ms) for hole in ours.holes] == [
        (START_MS, START_MS),
        (START_MS, START_MS + 60_000),
    ]


def test_a_segment_without_a_piece_is_none() -> None:
    with pytest.raises(ValueError, match="a piece at least"):
        whole()


def test_two_that_miss_different_diffs_are_whole_together() -> None:
    segment = chain(Random(4), 30)
    one = torn(segment, (0, 10), (15, 30), from_start=True, to_end=True)
    other = torn(segment, (8, 20))
    assert merge(one, other) == merge(other, one) == segment


def test_a_restart_completes_what_was_cut_off() -> None:
    segment = chain(Random(5), 30)
    before, after = torn(segment, (0, 12), from_start=True), torn(segment, (20, 30), to_end=True)
    both = merge(before, after)
    assert len(both.pieces) == 2
    assert len(both.holes) == 1
    # A replica that was up meanwhile, told in other pieces, closes the hole.
    assert merge(both, torn(segment, (10, 25))) == segment


def test_a_union_of_diffs_cut_in_other_places_is_the_same_book() -> None:
    segment = chain(Random(6), 30)
    [piece] = segment.pieces
    left, right = piece.diffs[11], piece.diffs[12]
    book = NaiveBook(0, [], [])
    for diff in (left, right):
        book.apply(diff)
    both = right._replace(
        first=left.first,
        bids=tuple({**dict(exact(left.bids)), **dict(exact(right.bids))}.items()),
        asks=tuple({**dict(exact(left.asks)), **dict(exact(right.asks))}.items()),
    )
    other = part(segment, 5, 30)
    cut = Piece(0, other.keyframe, (*piece.diffs[5:11], both, *piece.diffs[13:]))
    joined_ = merge(
        torn(segment, (0, 12), from_start=True),
        Segment.of("binance", "ETHUSDT", START_MS, 60, [cut], from_start=False, to_end=True),
    )
    joined_.check()
    assert joined_.whole
    ours, theirs = (Book.of(each.pieces[0].keyframe.snapshot()) for each in (joined_, segment))
    for each, made in ((joined_, ours), (segment, theirs)):
        for diff in each.diffs:
            made.apply(diff.diff("ETHUSDT"))
    assert ours.body(5000) == theirs.body(5000)


def test_of_two_keyframes_of_one_book_the_deeper_one_stays() -> None:
    segment = chain(Random(7), 10)
    deep = part(segment, 3, 6)
    shallow = replace(part(segment, 3, 9), keyframe=deep.keyframe._replace(asks=(), asks_complete=False))
    for pieces in ([deep, shallow], [shallow, deep]):
        assert joined(pieces) == [part(segment, 3, 9)]


def test_pieces_of_different_epochs_stay_apart() -> None:
    segment = chain(Random(8), 10)
    old, new = part(segment, 0, 5), replace(part(segment, 3, 9), epoch=1)
    assert joined([new, old]) == [old, new]


def test_a_whole_one_is_final() -> None:
    segment = chain(Random(9), 20)
    other = replace(chain(Random(10), 20), holes=())
    assert merge(segment, other) is segment
    assert merge(torn(segment, (2, 8)), segment) is segment
    assert merge(segment, torn(segment, (2, 8))) is segment


def test_segments_of_different_intervals_have_no_union() -> None:
    segment = chain(Random(11), 5)
    with pytest.raises(ValueError, match="different intervals"):
        merge(segment, replace(segment, symbol="BTCUSDT"))


@pytest.mark.parametrize("seed", range(60))
def test_a_union_never_loses_and_grows_in_any_order(seed: int) -> None:
    rng = Random(seed)
    segment = chain(rng, 30)
    replicas = []
    for _ in range(rng.randrange(2, 5)):
        cuts = sorted(rng.sample(range(31), 2 * rng.randrange(1, 4)))
        parts = list(zip(cuts[::2], cuts[1::2], strict=True))
        ours = torn(
            segment,
            *parts,
            from_start=cuts[0] == 0 and rng.random() < 0.8,
            to_end=cuts[-1] == 30 and rng.random() < 0.8,
        )
        ours.check()
        replicas.append(ours)
    union = replicas[0]
    for each in replicas[1:]:
        before, union = union, merge(union, each)
        union.check()
        assert union.covers(before)
        assert union.covers(each)
        assert known(union) == known(before) | known(each) or union.whole
        assert len(union.holes) <= len(before.holes) + len(each.holes)
    backwards = replicas[-1]
    for each in reversed(replicas[:-1]):
        backwards = merge(backwards, each)
    assert known(backwards) == known(union)
    assert backwards.holes == union.holes
    assert union.whole == (union == segment)


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (lambda of: replace(of, pieces=()), "without a piece"),
        (lambda of: replace(of, start_ms=of.start_ms + 1), "no interval"),
        (lambda of: replace(of, holes=(Hole(1, 2, 3, 4),)), "not those between"),
        (lambda of: replace(of, pieces=(part(of, 0, 9), part(of, 5, 10))), "overlap"),
        (
            lambda of: replace(of, pieces=(replace(of.pieces[0], diffs=of.pieces[0].diffs[1:]),)),
            "does not follow",
        ),
        (
            lambda of: replace(
                of,
                pieces=(
                    replace(of.pieces[0], keyframe=of.pieces[0].keyframe._replace(bids=(("1", "2", "3"),))),
                ),
            ),
            "a price and an amount",
        ),
    ],
)
def test_check_finds_what_is_broken(broken: "object", why: str) -> None:
    assert callable(broken)
    with pytest.raises(AssertionError, match=why):
        broken(chain(Random(12), 10)).check()


def test_pieces_are_joined_where_a_diff_spans_the_book_that_a_piece_begins_with() -> None:
    # Ids of futures have holes: a snapshot's is often one that no diff ends at.
    before = Piece(0, NaiveBook(90, [], []).keyframe(), [_futures(90, 95, 100)])
    begun = Piece(0, NaiveBook(105, [], []).keyframe(), [_futures(100, 103, 110), _futures(110, 118, 120)])
    assert begun.after == 100
    [piece] = joined([begun, before])
    assert [diff.last for diff in piece.diffs] == [100, 110, 120]
    later = replace(begun, diffs=[_futures(101, 103, 110)])
    assert joined([before, later]) == [before, later]
    torn_one, other = (
        Segment.of("binanceusdm", "X", START_MS, 60, [each], from_start=first, to_end=not first)
        for each, first in ((before, True), (begun, False))
    )
    union = merge(torn_one, other)
    union.check()
    assert union.whole


def _futures(previous: int, first: int, last: int) -> RecordedDiff:
    return RecordedDiff(
        first, last, START_MS + last, 0, [("1.0", str(last))], [], previous, START_MS + last - 3
    )
