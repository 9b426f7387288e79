"""Segments of the tape -> spans."""

import math

import numpy as np

from depthcast.heat.spans import spans_of
from tests.depthcast.heat.recordings import ASKS, BIDS, START_MS, piece_of, read, segment_of

END_MS = START_MS + 60_000


def test_a_whole_segment_is_one_span_of_its_interval() -> None:
    told = [
        (START_MS + 5, [("2680.00", "0.0")], []),
        (START_MS + 9000, [], [("2681.00", "7.0"), ("2699.00", "1.0")]),
    ]
    [span] = spans_of(read(segment_of(START_MS, piece_of(7, told, at_ms=START_MS - 300))))
    span.check()
    assert (span.from_ms, span.to_ms) == (START_MS, END_MS)
    assert (span.low, span.high) == (2670.0, 2690.0)
    assert span.times_ms.tolist() == [START_MS] * 6 + [START_MS + 5] + [START_MS + 9000] * 2
    assert span.is_bid.tolist() == [True] * 3 + [False] * 3 + [True, False, False]
    assert span.prices[:3].tolist() == [float(price) for price, _ in BIDS]
    assert span.prices[6:].tolist() == [2680.0, 2681.0, 2699.0]
    assert span.amounts.tolist() == [1.5, 2.0, 3.0, 1.0, 2.5, 4.0, 0.0, 7.0, 1.0]


def test_a_book_that_is_complete_is_certain_everywhere() -> None:
    [span] = spans_of(read(segment_of(START_MS, piece_of(7, [], at_ms=START_MS, complete=True))))
    assert (span.low, span.high) == (0.0, math.inf)


def test_of_a_side_without_a_level_nothing_is_certain_but_what_the_other_shows() -> None:
    [span] = spans_of(read(segment_of(START_MS, piece_of(7, [], bids=()))))
    assert (span.low, span.high) == (2680.01, 2690.0)
    [span] = spans_of(read(segment_of(START_MS, piece_of(7, [], asks=()))))
    assert (span.low, span.high) == (2670.0, 2680.0)
    [span] = spans_of(read(segment_of(START_MS, piece_of(7, [], bids=(), asks=()))))
    assert (span.low, span.high) == (math.inf, -math.inf)
    span.check()


def test_each_piece_is_known_between_its_holes() -> None:
    first = piece_of(7, [(START_MS + 4000, [], []), (START_MS + 6000, BIDS, ASKS)])
    second = piece_of(90, [(START_MS + 20_500, BIDS, ASKS)], at_ms=START_MS + 20_000)
    third = piece_of(100, [(START_MS + 40_000, BIDS, ASKS)], at_ms=START_MS + 30_000)
    segment = segment_of(START_MS, first, second, third, from_start=False, to_end=False)
    spans = spans_of(read(segment))
    assert [(span.from_ms - START_MS, span.to_ms - START_MS) for span in spans] == [
        (4000, 6000),
        (20_000, 20_500),
        (30_000, 40_000),
    ]
    assert [len(span.prices) for span in spans] == [12, 12, 12]


def test_a_piece_that_was_known_for_no_time_is_no_span() -> None:
    moment = piece_of(7, [], at_ms=START_MS + 4000)
    later = piece_of(90, [], at_ms=START_MS + 5000)
    spans = spans_of(read(segment_of(START_MS, moment, later, from_start=False)))
    assert [(span.from_ms, span.to_ms) for span in spans] == [(START_MS + 5000, END_MS)]


def test_a_part_of_a_span() -> None:
    [span] = spans_of(read(segment_of(START_MS)))
    part = span.within(START_MS - 5, START_MS + 5)
    assert part is not None
    assert (part.from_ms, part.to_ms) == (START_MS, START_MS + 5)
    assert np.array_equal(part.prices, span.prices)
    assert span.within(START_MS - 5, START_MS) is None
    assert span.within(END_MS, END_MS + 5) is None
