"""A moment of the tape is the book as it was, byte for byte, for every limit."""

from bisect import bisect_right
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthcast.book import Book
from depthcast.errors import NotOnTape
from depthcast.files import Version
from depthcast.rows.book import iso
from depthcast.tape.moment import Moments, book_at, hole_text
from depthcast.tape.parquet import columns, encode
from depthcast.tape.segment import Hole, Keyframe, Piece, RecordedDiff, Segment
from simulator.capture import Player, load
from simulator.exchange import Exchange
from tests.depthcast.tape.tapes import DATA, FILES, START_MS, SYMBOL, captured, chain, part, whole

needs_captures = pytest.mark.skipif(not DATA.is_dir(), reason=f"no captured exchange data in {DATA}")

BOOKS = 2000


def moments_of(segment: Segment) -> Moments:
    made = Moments(columns(encode(segment)))
    made.check()
    return made


def complete(segment: Segment) -> Segment:
    """The same, with keyframes beyond which there is nothing: the world of a capture ends there."""
    pieces = tuple(
        replace(piece, keyframe=piece.keyframe._replace(bids_complete=True, asks_complete=True))
        for piece in segment.pieces
    )
    return replace(segment, pieces=pieces)


@needs_captures
def test_at_2000_ids_and_times_of_the_capture_it_is_the_true_book() -> None:
    [run] = load([DATA / name for name in FILES])
    exchange = Exchange(wall_ms=lambda: START_MS)
    player = Player(run, exchange)
    while not player.done:
        player.play_next()
    [journal] = exchange.truth.generations(SYMBOL)
    segments = captured()
    every = [moments_of(complete(segment)) for segment in segments]
    diffs = [diff for segment in segments for diff in segment.diffs]
    rng = Random(11)
    asked: list[tuple[int, int, int | None]] = []
    for _ in range(BOOKS // 2):
        at = rng.randrange(len(diffs))
        # Within diffs, too, where the book is the one before.
        update_id = rng.randint(diffs[at].first, diffs[at].last)
        asked.append((journal.latest_known(update_id), update_id, None))
        time_ms = rng.randrange(diffs[0].event_time_ms, diffs[-1].event_time_ms)
        by_then = bisect_right(diffs, time_ms, key=lambda diff: diff.event_time_ms)
        asked.append((diffs[by_then - 1].last, 0, time_ms))
    assert len(asked) == BOOKS
    for true_id, update_id, time in sorted(asked):
        if time is None:
            segment = max(at for at, each in enumerate(segments) if each.first_id <= update_id)
            moment = every[segment].at_id(update_id)
        else:
            segment = max(at for at, each in enumerate(segments) if each.start_ms <= time)
            moment = every[segment].at_time(time)
        limit = rng.choice((1, 5, 20, 100, 1000, 5000, rng.randint(1, 5000)))
        assert moment.version == Version(0, true_id)
        assert moment.body(limit) == exchange.truth.body(SYMBOL, true_id, limit)


@st.composite
def pieces(draw: st.DrawFn) -> Piece:
    """A keyframe and diffs, with prices that floats tell apart and prices that they do not."""
    digits = draw(st.sampled_from(("", "00000000000000")))
    level = st.tuples(
        st.integers(1, 40).map(lambda price: f"{price}.{digits}5"),
        st.sampled_from(("0", "0.00", "1.50", "2", "0.00000001", "12345678901234567.5")),
    )

    def side(*, descending: bool) -> list[tuple[str, str]]:
        shown = {price: amount for price, amount in draw(st.lists(level, max_size=8)) if float(amount)}
        return sorted(shown.items(), key=lambda each: float(each[0]), reverse=descending)

    frame = Keyframe(
        100,
        draw(st.sampled_from((0, START_MS - 50))),
        1,
        side(descending=True),
        side(descending=False),
        draw(st.booleans()),
        draw(st.booleans()),
    )
    diffs: list[RecordedDiff] = []
    at, time_ms = 100, START_MS
    for _ in range(draw(st.integers(0, 5))):
        first, at = at + 1, at + draw(st.integers(1, 4))
        time_ms += draw(st.sampled_from((-5, 0, 100)))
        bids, asks = (tuple(draw(st.lists(level, max_size=5))) for _ in range(2))
        diffs.append(RecordedDiff(first, at, max(time_ms, START_MS), 2, bids, asks))
    return Piece(draw(st.integers(0, 2)), frame, tuple(diffs))


@given(pieces())
def test_it_is_what_a_book_that_went_on_from_the_keyframe_renders(piece: Piece) -> None:
    moments = moments_of(whole(piece))
    book = Book.of(piece.keyframe.snapshot())
    latest_ms = 0
    for diff in (None, *piece.diffs):
        if diff is not None:
            book.apply(diff.diff(SYMBOL))
        moment = moments.at_id(book.update_id)
        assert moment.version == Version(piece.epoch, book.update_id)
        assert moment.event_time_ms == book.event_time_ms
        assert moment.certainty == book.certainty
        assert moment.levels() == book.strings()
        for limit in (1, 2, 5000):
            assert moment.body(limit) == book.body(limit)
        latest_ms = max(latest_ms, book.event_time_ms)
    # The last of the same time, and what comes in between.
    assert moments.at_time(max(latest_ms, START_MS)).version.update_id == book.update_id


def test_between_two_diffs_the_earlier_book_stands() -> None:
    segment = chain(Random(3), 20)
    moments = moments_of(segment)
    [piece] = segment.pieces
    for number, diff in enumerate(piece.diffs):
        before = piece.diffs[number - 1].last if number else piece.first_id
        assert moments.at_id(diff.last - 1).version.update_id == before
        assert moments.at_time(diff.event_time_ms).version.update_id == diff.last
        if diff.event_time_ms > START_MS:
            assert moments.at_time(diff.event_time_ms - 1).version.update_id == before


def test_a_diff_told_late_counts_as_of_the_greater_time_before_it() -> None:
    frame = Keyframe(1, START_MS - 100, 0, [("1.0", "1")], [("2.0", "1")], True, True)
    diffs = [
        RecordedDiff(at, at, START_MS + ms, 0, [("1.0", str(at))], [])
        for at, ms in ((2, 100), (3, 300), (4, 200), (5, 400))
    ]
    moments = moments_of(whole(Piece(0, frame, tuple(diffs))))
    assert moments.at_time(START_MS + 250).version.update_id == 2
    at_300 = moments.at_time(START_MS + 300)
    assert (at_300.version.update_id, at_300.event_time_ms) == (4, START_MS + 200)


def test_a_diff_without_levels_moves_the_id_on() -> None:
    frame = Keyframe(1, START_MS - 100, 0, [("1.0", "1")], [], True, True)
    diffs = (
        RecordedDiff(2, 2, START_MS, 0, [("1.0", "2")], []),
        RecordedDiff(3, 4, START_MS + 100, 0, [], []),
        RecordedDiff(5, 5, START_MS + 200, 0, [("1.0", "5")], []),
    )
    moments = moments_of(whole(Piece(0, frame, diffs)))
    assert moments.at_id(3).body(5) == b'{"lastUpdateId":2,"bids":[["1.0","2"]],"asks":[]}'
    assert moments.at_id(4).body(5) == b'{"lastUpdateId":4,"bids":[["1.0","2"]],"asks":[]}'
    assert moments.at_time(START_MS + 150).version.update_id == 4
    assert moments.at_id(5).body(5) == b'{"lastUpdateId":5,"bids":[["1.0","5"]],"asks":[]}'


def test_a_segment_without_a_diff_is_its_keyframe_all_the_time() -> None:
    frame = Keyframe(7, 0, 0, [("1.0", "1")], [], True, False)
    moments = moments_of(whole(Piece(3, frame, ())))
    for moment in (moments.at_time(START_MS), moments.at_time(START_MS + 59_999), moments.at_id(7)):
        assert moment.version == Version(3, 7)
        assert moment.final
        # Of a side that was cut off before its first level nothing is certain.
        assert moment.certainty == (1, 0, True, False)
    for time_ms in (START_MS - 1, START_MS + 60_000):
        with pytest.raises(NotOnTape, match="outside"):
            moments.at_time(time_ms)


def test_what_is_in_a_hole_is_refused_and_what_stands_around_it_is_not() -> None:
    segment = chain(Random(5), 30)
    left, right = part(segment, 0, 10), part(segment, 20, 30)
    torn = Segment.of("binance", SYMBOL, START_MS, 60, (left, right), from_start=True, to_end=False)
    moments = moments_of(torn)
    truth = moments_of(segment)
    [between, behind] = torn.holes
    assert not moments.at_id(left.last_id).final
    for piece in (left, right):
        for diff in piece.diffs:
            assert moments.at_id(diff.last).body(100) == truth.at_id(diff.last).body(100)
    assert moments.at_time(between.from_ms - 1).version.update_id < left.last_id
    assert moments.at_time(between.to_ms).version.update_id == right.first_id
    for time_ms in (between.from_ms, between.to_ms - 1, behind.from_ms, START_MS + 59_999):
        with pytest.raises(NotOnTape, match="hole") as caught:
            moments.at_time(time_ms)
        assert caught.value.in_hole
    with pytest.raises(NotOnTape, match="hole"):
        moments.at_id(left.last_id + 1)
    with pytest.raises(NotOnTape, match="hole"):
        moments.at_id(right.last_id + 1)
    with pytest.raises(NotOnTape, match="outside"):
        moments.at_id(left.first_id - 1)


def test_a_hole_says_what_is_known_on_either_side() -> None:
    assert hole_text(Hole(None, 9, 1, 2)) == "a hole from 1 to 2, before update id 9"
    assert hole_text(Hole(7, 9, 1, 2)) == "a hole from 1 to 2, after update id 7, before update id 9"


def test_what_was_prepared_is_the_same() -> None:
    segment = chain(Random(4), 20)
    prepared, plain = moments_of(segment), moments_of(segment)
    prepared.prepare()
    assert prepared.at_id(segment.last_id).body(100) == plain.at_id(segment.last_id).body(100)


def test_an_id_that_came_again_is_the_latest_epochs_unless_one_is_named() -> None:
    def of_epoch(epoch: int, first_id: int, amount: str) -> Piece:
        frame = Keyframe(first_id, START_MS, 0, [("1.0", amount)], [], True, True)
        more = RecordedDiff(first_id + 1, first_id + 10, START_MS + 1000 * epoch, 0, [("2.0", amount)], [])
        return Piece(epoch, frame, (more,))

    moments = moments_of(whole(of_epoch(1, 100, "1"), of_epoch(2, 95, "2")))
    assert moments.at_id(105).version == Version(2, 105)
    assert moments.at_id(105, epoch=1).version == Version(1, 100)
    assert moments.at_id(110).version == Version(1, 110)
    with pytest.raises(NotOnTape):
        moments.at_id(110, epoch=2)
    with pytest.raises(NotOnTape):
        moments.at_id(105, epoch=3)


def test_a_segment_is_asked_once_by_its_columns() -> None:
    segment = chain(Random(2), 5)
    held = columns(encode(segment))
    assert book_at(held, update_id=segment.last_id).version.update_id == segment.last_id
    assert book_at(held, time_ms=START_MS + 59_999).version.update_id == segment.last_id
    with pytest.raises(ValueError, match="moment"):
        book_at(held)


def test_memory_is_told() -> None:
    segment = chain(Random(2), 50)
    moments = moments_of(segment)
    assert moments.cost_bytes > moments.columns.price.nbytes
    # Of futures each row has one more time.
    futures = moments_of(replace(segment, venue="binanceusdm"))
    assert futures.cost_bytes == moments.cost_bytes + 8 * len(moments.columns.price)


def test_rows_of_bitmex_are_the_body_of_a_book_of_them() -> None:
    changed_ms = START_MS - 500
    frame = Keyframe(
        1,
        START_MS - 100,
        0,
        [("98459.5", "5000", "99", str(changed_ms)), ("98000", "7", "3", "0")],
        [("98459.9", "100", "17", "0"), ("98460", "33000", "624", "0")],
        True,
        True,
    )
    diff = RecordedDiff(2, 2, START_MS + 100, 0, [], [("98459.9", "0", "17", "0")])
    moments = moments_of(replace(whole(Piece(0, frame, (diff,))), venue="bitmex"))

    def row(row_id: int, side: str, size: int, price: str, more: str = "") -> str:
        told = f'"side":"{side}","size":{size},"price":{price},"timestamp":"{iso(START_MS + 100)}"{more}'
        return f'{{"symbol":"{SYMBOL}","id":{row_id},{told}}}'

    # The worst ask comes first, and only the row that tells when it was changed shows it.
    ask = row(624, "Sell", 33000, "98460")
    bid = row(99, "Buy", 5000, "98459.5", f',"transactTime":"{iso(changed_ms)}"')
    assert moments.at_id(2).body(1).decode() == f"[{ask},{bid}]"
    assert moments.at_id(2).body(25).decode() == f"[{ask},{bid},{row(3, 'Buy', 7, '98000')}]"
    before = moments.at_id(1).body(25).decode()
    assert before.index('"id":624,') < before.index('"id":17,') < before.index('"id":99,')


def test_single_orders_are_on_no_tape() -> None:
    frame = Keyframe(9, START_MS - 3, 1, (("1.4", "0.5", "2"),), (("1.5", "2", "1"),), True, True, 0, "")
    moment = moments_of(replace(whole(Piece(0, frame, ())), venue="coinbaseexchange")).at_id(9)
    assert (moment.shown(1), moment.shown(3)) == (1, None)
    assert moment.body(1) == moment.body(2)
    with pytest.raises(ValueError, match="what limit 3 shows is not on the tape"):
        moment.body(3)
