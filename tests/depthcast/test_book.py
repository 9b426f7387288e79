"""``Book`` against a naive model, and its promises one by one."""

import json
from collections.abc import Callable
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthcast.book import DEFERRED_LEVELS, Audit, Book, Certainty
from depthcast.errors import BadLevel
from depthcast.events import Diff, PlainLevels, Snapshot
from depthcast.side import CHUNK, MAX_DIGITS

LIMITS = (5, 10, 20, 50, 100, 500, 1000, 5000)
ZEROS = ("0", "0.0", "0.000", "0.00000000", "00.0", ".0", "0.")

Levels = list[list[str]]


def snapshot(
    bids: Levels, asks: Levels, *, update_id: int = 1, bids_complete: bool = True, asks_complete: bool = True
) -> Snapshot:
    return Snapshot(update_id, bids, asks, bids_complete, asks_complete)


def diff(last: int, bids: Levels, asks: Levels, *, event_time_ms: int = 0) -> Diff:
    return Diff("X", last, last, event_time_ms, bids, asks)


class Naive:
    """The obvious book: two dictionaries by exact decimal, sorted when read."""

    def __init__(self, first: Snapshot) -> None:
        self.update_id = first.update_id
        self.sides = [{Decimal(p): [p, q] for p, q in side} for side in (first.bids, first.asks)]
        self.bounds = [
            None if complete else Decimal(side[-1][0]) if side else Decimal("Infinity") * sign
            for side, complete, sign in (
                (first.bids, first.bids_complete, 1),
                (first.asks, first.asks_complete, -1),
            )
        ]

    def apply(self, change: Diff) -> None:
        for side, levels in zip(self.sides, (change.bids, change.asks), strict=True):
            for price, quantity in levels:
                if Decimal(quantity) == 0:
                    side.pop(Decimal(price), None)
                else:
                    side[Decimal(price)] = [price, quantity]
        self.update_id = change.last

    def certain(self) -> tuple[Levels, Levels]:
        bids, asks = self.sides
        low, high = self.bounds
        return (
            [bids[p] for p in sorted(bids, reverse=True) if low is None or p >= low],
            [asks[p] for p in sorted(asks) if high is None or p <= high],
        )

    def body(self, limit: int) -> bytes:
        bids, asks = self.certain()
        document = {"lastUpdateId": self.update_id, "bids": bids[:limit], "asks": asks[:limit]}
        return json.dumps(document, separators=(",", ":")).encode()


def assert_same(book: Book, naive: Naive, limits: tuple[int, ...] = LIMITS) -> None:
    assert book.bodies(limits) == [naive.body(limit) for limit in limits]
    book.check()
    bids, asks = naive.certain()
    assert book.certainty[:2] == (len(bids), len(asks))
    assert book.best_bid == (tuple(bids[0]) if bids else None)
    assert book.best_ask == (tuple(asks[0]) if asks else None)
    for limit in (*limits, None):
        shown = bids[:limit], asks[:limit]
        assert book.strings(limit) == shown
        numbers = tuple(([float(p) for p, _ in side], [float(q) for _, q in side]) for side in shown)
        assert book.numbers(limit) == numbers
        columns = (([abs(price) for price in prices], list(q)) for prices, q in book.columns(limit))
        assert tuple(columns) == numbers


prices = st.one_of(
    st.integers(0, 400).map(lambda n: f"{n / 10:.8f}"),
    st.integers(0, 40).map(str),
    st.integers(1, 99).map(lambda n: f"12345678901234.{n:08d}"),
)
quantities = st.one_of(
    st.sampled_from(ZEROS), st.integers(1, 10**12).map(lambda n: f"{n / 10**4:.8f}"), st.just("1")
)
changes = st.lists(st.tuples(prices, quantities).map(list), max_size=30)


def side_of(draw: st.DrawFn, *, descending: bool) -> Levels:
    chosen = draw(st.lists(prices, max_size=60, unique_by=Decimal))
    return [[price, "1.5"] for price in sorted(chosen, key=Decimal, reverse=descending)]


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    bids, asks = side_of(draw, descending=True), side_of(draw, descending=False)
    return Snapshot(draw(st.integers(0, 2**62)), bids, asks, draw(st.booleans()), draw(st.booleans()))


@given(snapshots(), st.lists(st.tuples(changes, changes), max_size=12))
@settings(max_examples=150, deadline=None)
def test_agrees_with_the_naive_book_after_every_diff(
    first: Snapshot, diffs: list[tuple[Levels, Levels]]
) -> None:
    book, naive = Book.of(first), Naive(first)
    assert_same(book, naive, (1, 5, 7, 5000))
    for step, (bids, asks) in enumerate(diffs, first.update_id + 1):
        change = diff(step, bids, asks)
        book.apply(change)
        naive.apply(change)
        assert_same(book, naive, (1, 5, 7, 5000))


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_the_naive_book_through_growth_and_decay(seed: int) -> None:
    rng = Random(seed)
    first = snapshot(
        [[f"{1000 - n * 0.01:.8f}", "1.00000000"] for n in range(1, 700)],
        [[f"{1000 + n * 0.01:.8f}", "1.00000000"] for n in range(1, 700)],
        bids_complete=bool(seed & 1),
        asks_complete=bool(seed & 2),
    )
    book, naive = Book.of(first), Naive(first)
    for step in range(2, 400):
        # Phases that mostly add, then mostly remove, so that chunks are split, joined and emptied.
        zero = 0.15 if (step // 100) % 2 == 0 else 0.9
        levels: list[Levels] = [[], []]
        for side, sign in ((0, -1), (1, 1)):
            for _ in range(rng.randrange(40)):
                at = 1000 + sign * 0.01 * rng.randrange(1, 1200)
                levels[side].append([f"{at:.8f}", "0.00000000" if rng.random() < zero else f"{step}.0"])
        change = diff(step, *levels)
        book.apply(change)
        naive.apply(change)
        # Few levels and many in any order: what a small file left undone is done for a large one.
        limit = rng.choice(LIMITS)
        assert book.body(limit) == naive.body(limit)
        if step % 20 == 0:
            assert_same(book, naive)
    assert_same(book, naive)


def test_every_smaller_limit_is_what_it_would_be_alone() -> None:
    first = snapshot(
        [[f"{2000 - n}.5", f"{n + 1}"] for n in range(1500)], [[f"{3000 + n}.5", "2"] for n in range(3)]
    )
    book = Book.of(first)
    assert book.bodies(LIMITS) == [book.body(limit) for limit in LIMITS]
    assert book.bodies((5000, 5, 5, 100)) == [book.body(limit) for limit in (5000, 5, 5, 100)]


def test_strings_come_out_as_they_went_in() -> None:
    book = Book.of(snapshot([["10", "1"], ["9.50", "0.10"]], [["10.1000", "92233720368.54775807"]]))
    assert json.loads(book.body(5)) == {
        "lastUpdateId": 1,
        "bids": [["10", "1"], ["9.50", "0.10"]],
        "asks": [["10.1000", "92233720368.54775807"]],
    }


def test_order_is_numeric_across_a_power_of_ten() -> None:
    book = Book.of(snapshot([["9.9", "1"]], [["10.1", "1"]]))
    book.apply(
        diff(2, [["10.0", "1"], ["9.99", "1"], ["8", "1"]], [["100", "1"], ["99.9", "1"], ["11", "1"]])
    )
    assert json.loads(book.body(9))["bids"] == [["10.0", "1"], ["9.99", "1"], ["9.9", "1"], ["8", "1"]]
    assert json.loads(book.body(9))["asks"] == [["10.1", "1"], ["11", "1"], ["99.9", "1"], ["100", "1"]]


def test_prices_that_a_float_cannot_tell_apart_stay_apart() -> None:
    near = ["0.1000000000000000001", "0.1000000000000000002", "0.1000000000000000003"]
    assert len(set(map(float, near))) == 1
    book = Book.of(snapshot([], [["0.1", "9"]]))
    book.apply(diff(2, [["0.05", "1"]], [[near[2], "3"], [near[0], "1"], [near[1], "2"]]))
    book.check()
    assert json.loads(book.body(9))["asks"] == [["0.1", "9"], [near[0], "1"], [near[1], "2"], [near[2], "3"]]
    book.apply(diff(3, [], [[near[1], "0"], ["0.10", "8"]]))
    assert json.loads(book.body(9))["asks"] == [["0.10", "8"], [near[0], "1"], [near[2], "3"]]


def test_long_prices_with_few_significant_digits_are_no_exception() -> None:
    book = Book.of(snapshot([["1500000000.00000000", "1"]], [["1500000001.00000000", "1"]]))
    book.apply(diff(2, [["1500000000.0", "0"]], []))
    assert json.loads(book.body(1))["bids"] == []


def test_certainty_survives_the_change_to_exact_prices() -> None:
    first = snapshot([["5.0", "1"], ["4.0", "1"]], [], bids_complete=False)
    book, naive = Book.of(first), Naive(first)
    changes_ = [
        diff(2, [["4.0", "0"], ["3.0", "1"]], []),
        diff(3, [["4.1000000000000000001", "1"], ["3.9999999999999999999", "2"]], []),
        diff(4, [["4.0", "7"]], []),
    ]
    for change in changes_:
        book.apply(change)
        naive.apply(change)
        assert_same(book, naive)


@pytest.mark.parametrize("zero", ZEROS)
def test_zero_removes_however_it_is_spelled(zero: str) -> None:
    book = Book.of(snapshot([["2", "1"]], [["3", "1"]]))
    book.apply(diff(2, [["2.000", zero]], [["7", zero]]))
    assert book.body(5) == b'{"lastUpdateId":2,"bids":[],"asks":[["3","1"]]}'


def test_levels_beyond_the_certain_price_are_kept_but_not_shown() -> None:
    book = Book.of(snapshot([["5", "1"], ["4", "1"]], [["6", "1"]], bids_complete=False))
    book.apply(diff(2, [["3", "9"], ["4.5", "2"]], []))
    assert json.loads(book.body(50))["bids"] == [["5", "1"], ["4.5", "2"], ["4", "1"]]
    assert book.certainty == Certainty(3, 1, False, True)
    # The certain price stays where it is when its own level goes.
    book.apply(diff(3, [["4", "0"]], []))
    assert book.certainty == Certainty(2, 1, False, True)
    assert len(book) == 4


def test_certainty_beyond_the_last_level_left_is_all_of_them() -> None:
    book = Book.of(snapshot([], [["6", "1"], ["7", "1"]], asks_complete=False))
    book.apply(diff(2, [], [["7", "0"]]))
    assert book.certainty == Certainty(0, 1, True, False)
    assert json.loads(book.body(5))["asks"] == [["6", "1"]]


def test_a_small_chunk_beside_full_ones_stays_alone() -> None:
    many = [[f"{n}", "1"] for n in range(1, 2 * CHUNK + 1)]
    book, naive = Book.of(snapshot([], many)), Naive(snapshot([], many))
    fill = [[f"{CHUNK}.{n:03d}", "1"] for n in range(1, CHUNK)]
    empty = [[f"{n}", "0"] for n in range(1, CHUNK)]
    for change in (diff(2, [], fill), diff(3, [], empty)):
        book.apply(change)
        naive.apply(change)
        assert_same(book, naive)


def test_a_side_cut_off_before_its_first_level_is_certain_of_nothing() -> None:
    book = Book.of(snapshot([], [], bids_complete=False))
    book.apply(diff(2, [["1", "1"]], [["2", "1"]]))
    assert book.exhausted
    assert book.best_bid is None
    assert book.body(5) == b'{"lastUpdateId":2,"bids":[],"asks":[["2","1"]]}'


@pytest.mark.parametrize(
    "level",
    [
        ["1", "abc"],
        ["abc", "1"],
        ["1", "-1"],
        ["-1", "1"],
        ["1", "nan"],
        ["inf", "1"],
        ["1e5", "1"],
        ["1", "1e-3"],
        ["1_0", "1"],
        [" 1", "1"],
        ["1", "1 "],
        ["", "1"],
        ["1", ""],
        [".", "1"],
        ["1.2.3", "1"],
        ["1", "1..2"],
        ["1,2", "1"],
        ["1", "2,3"],
        ["\u0661", "1"],
        ["1", '1","2'],
        ["1", "1", "1"],
        ["1"],
        [],
        [1, "1"],
        ["1", 1.5],
        ["1", None],
        None,
        7,
        ["9" * (MAX_DIGITS + 1), "1"],
        ["1", "0." + "0" * MAX_DIGITS + "1"],
    ],
)
@pytest.mark.parametrize("company", [[], [["4", "1"], ["3.5", "0.5"]]])
def test_a_bad_level_is_named_and_changes_nothing(level: object, company: Levels) -> None:
    book = Book.of(snapshot([["5", "1"]], [["6", "1"]]))
    before = book.body(50)
    for bids, asks in (([*company, level], []), ([["5", "0"]], [level, *company])):
        with pytest.raises(BadLevel) as caught:
            book.apply(diff(2, bids, asks))  # type: ignore[arg-type]
        assert caught.value.level == level
        assert book.body(50) == before
        book.check()
    with pytest.raises(BadLevel):
        Book.of(snapshot([], [level]))  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("bids", "asks"),
    [
        ([["1", "1"], ["2", "1"]], []),
        ([], [["2", "1"], ["1", "1"]]),
        ([], [["2", "1"], ["2.0", "1"]]),
        ([["2", "0.000"]], []),
    ],
)
def test_a_snapshot_out_of_order_doubled_or_with_an_empty_level_is_refused(
    bids: Levels, asks: Levels
) -> None:
    with pytest.raises(BadLevel):
        Book.of(snapshot(bids, asks))


def test_a_diff_sets_id_and_event_time() -> None:
    book = Book.of(snapshot([], []))
    assert (book.update_id, book.event_time_ms) == (1, 0)
    book.apply(diff(9, [], [], event_time_ms=1700))
    assert (book.update_id, book.event_time_ms) == (9, 1700)
    assert book.body(5) == b'{"lastUpdateId":9,"bids":[],"asks":[]}'


@pytest.mark.parametrize(
    ("bid", "ask", "crossed"),
    [
        ("1", "2", False),
        ("2", "2.0", True),
        ("3", "2", True),
        ("1.0000000000000000001", "1.0000000000000000002", False),
        ("1.0000000000000000002", "1.0000000000000000001", True),
        ("1.1", "1.1000000000000000001", False),
        ("1.2", "1.1000000000000000001", True),
        ("1.1000000000000000001", "1.1", True),
        ("1." + 39 * "0" + "1", "1." + 39 * "0" + "2", False),
    ],
)
def test_a_crossed_book_is_known(bid: str, ask: str, crossed: bool) -> None:
    assert Book.of(snapshot([[bid, "1"]], [[ask, "1"]])).crossed is crossed
    assert not Book.of(snapshot([[bid, "1"]], [])).crossed


def test_an_audit_counts_levels_where_both_are_certain() -> None:
    ours = Book.of(snapshot([["9", "1"], ["8", "2"], ["7", "3"], ["2", "1"]], [["10", "1"]]))
    theirs = Book.of(snapshot([["9", "1"], ["8", "5"], ["6", "1"]], [["10", "1"]], bids_complete=False))
    audit = ours.audit(theirs)
    assert audit == Audit(matching=2, different=1, ghost=1, missing=1)
    assert not audit.clean
    assert theirs.audit(ours) == Audit(matching=2, different=1, ghost=1, missing=1)
    assert ours.audit(ours) == Audit(5, 0, 0, 0)
    assert ours.audit(ours).clean


@pytest.mark.parametrize("exact_first", [False, True])
def test_an_audit_compares_prices_where_only_one_of_the_books_needs_exact_ones(exact_first: bool) -> None:
    # 0.1 as a float is not 0.1 as a decimal: compared as keys, each level would be ghost and missing.
    plain = Book.of(snapshot([["0.1", "1"]], [["0.3", "1"], ["0.7", "2"]], asks_complete=False))
    exact = Book.of(
        snapshot(
            [["0.1", "1"], ["0.05000000000000000001", "1"]],
            [["0.3", "1"], ["0.7", "3"], ["0.70000000000000000001", "1"]],
            bids_complete=False,
            asks_complete=False,
        )
    )
    one, other = (exact, plain) if exact_first else (plain, exact)
    before = [book.bodies(LIMITS) for book in (one, other)]
    lonely = (1, 0) if exact_first else (0, 1)
    assert one.audit(other) == Audit(2, 1, *lonely)
    # Comparing changes neither: another thread may be reading them.
    assert [book.bodies(LIMITS) for book in (one, other)] == before
    for book in (one, other):
        book.check()


def test_a_refill_deepens_what_is_certain_and_keeps_what_was_certain_beyond() -> None:
    ours = Book.of(snapshot([["9", "1"], ["8", "1"]], [["10", "1"], ["11", "1"]], asks_complete=False))
    fresh = Book.of(
        snapshot(
            [["9", "1"]], [["10", "1"], ["11", "1"], ["12", "1"]], bids_complete=False, asks_complete=False
        )
    )
    ours.refill(fresh)
    ours.check()
    assert ours.certainty == Certainty(2, 3, True, False)
    assert json.loads(ours.body(9))["asks"] == [["10", "1"], ["11", "1"], ["12", "1"]]
    ours.apply(diff(2, [], [["12", "0"], ["13", "4"]]))
    assert ours.certainty == Certainty(2, 2, True, False)


def test_a_refill_replaces_what_is_wrong() -> None:
    ours = Book.of(snapshot([["9", "1"], ["8.5", "7"]], [["1.00000000000000000001", "1"]]))
    fresh = Book.of(snapshot([["9", "2"], ["8", "1"]], [["1", "1"]]))
    ours.refill(fresh)
    ours.check()
    assert ours.body(9) == b'{"lastUpdateId":1,"bids":[["9","2"],["8","1"]],"asks":[["1","1"]]}'


def test_books_at_different_ids_are_not_compared() -> None:
    one, two = Book.of(snapshot([], [])), Book.of(snapshot([], [], update_id=2))
    with pytest.raises(ValueError, match="different ids"):
        one.audit(two)
    with pytest.raises(ValueError, match="different ids"):
        one.refill(two)


def test_a_side_may_be_emptied_and_filled_again() -> None:
    many = [[f"{n}", "1"] for n in range(1, 5 * CHUNK)]
    book = Book.of(snapshot([], many))
    book.apply(diff(2, [], [[price, "0"] for price, _ in many]))
    book.check()
    assert book.certainty == Certainty(0, 0, True, True)
    assert not book.exhausted
    book.apply(diff(3, [], list(reversed(many))))
    book.check()
    assert json.loads(book.body(5000))["asks"] == many


@given(st.lists(st.decimals(0, 10**6, places=8), min_size=1, max_size=50))
def test_both_ways_of_reading_numbers_round_alike(numbers: list[Decimal]) -> None:
    # Levels are read in bulk, or one by one where the bulk reader does not know a spelling (".5").
    texts = sorted({f"{number:.8f}" for number in numbers}, key=Decimal)
    levels = [[text, "1"] for text in texts]
    book = Book.of(snapshot([], levels))
    book.apply(diff(2, [], [*([text, "0"] for text in texts), [".000000001", "1"]]))
    assert json.loads(book.body(5000))["asks"] == [[".000000001", "1"]]


# Deferred diffs


plain_prices = st.integers(0, 60).map(lambda n: f"{n / 10:.2f}") | st.integers(1, 9).map(
    lambda n: f"12345678901234.{n:04d}"
)
plain_quantities = st.sampled_from(["0.000", "0.0", "1.5", "2.250"])
plain_changes = st.lists(st.tuples(plain_prices, plain_quantities).map(list), max_size=8)


def plain(last: int, bids: Levels, asks: Levels) -> Diff:
    return Diff("X", last, last, last, PlainLevels(bids), PlainLevels(asks))


@given(snapshots(), st.lists(st.tuples(plain_changes, plain_changes, st.integers(0, 5)), max_size=20))
@settings(max_examples=150, deadline=None)
def test_a_book_whose_diffs_are_deferred_agrees_whenever_it_is_read(
    first: Snapshot, steps: list[tuple[Levels, Levels, int]]
) -> None:
    book, naive = Book.of(first), Naive(first)
    for last, (bids, asks, then) in enumerate(steps, first.update_id + 1):
        change = plain(last, bids, asks)
        book.defer(change)
        naive.apply(change)
        assert (book.update_id, book.event_time_ms) == (last, last)
        book.check()
        if then == 0:
            assert_same(book, naive, (1, 5, 5000))
        elif then == 1:
            # One that is not deferred comes in between.
            change = diff(last, [["3.00", "7"]], asks)
            book.apply(change)
            naive.apply(change)
    book.settle()
    book.settle()
    assert_same(book, naive, (1, 5, 5000))
    assert book.unsettled == 0


READS: list[Callable[[Book], object]] = [
    lambda book: book.certainty[0],
    lambda book: book.best_bid == ("9.0", "4.0"),
    lambda book: book.best_ask == ("10.5", "5.0"),
    lambda book: book.fault is None,
    lambda book: book.numbers(1)[0] == ([9.0], [4.0]),
    lambda book: book.strings(1)[0] == [["9.0", "4.0"]],
    lambda book: list(book.columns(1)[0][1]) == [4.0],
    lambda book: b"4.0" in book.body(1),
    lambda book: book.audit(Book.of(snapshot([["9.0", "4.0"]], [["10.5", "5.0"]], update_id=3))).clean,
    lambda book: len(book) == 2,
]


@pytest.mark.parametrize("read", READS)
def test_whatever_reads_a_book_sees_what_was_deferred(read: Callable[[Book], object]) -> None:
    book = Book.of(snapshot([["10.0", "1.0"]], [["10.5", "1.0"]]))
    book.defer(plain(2, [["10.0", "0.0"], ["9.0", "3.0"]], [["10.5", "5.0"]]))
    book.defer(plain(3, [["9.0", "4.0"]], []))
    assert book.unsettled == 2
    assert read(book)
    assert book.unsettled == 0


def test_a_refill_keeps_what_was_deferred_beyond_it() -> None:
    book = Book.of(snapshot([["10.0", "1.0"]], [], update_id=2))
    book.defer(plain(3, [["9.0", "3.0"]], []))
    book.refill(Book.of(snapshot([["10.0", "2.0"]], [], update_id=3, bids_complete=False)))
    assert book.strings() == ([["10.0", "2.0"], ["9.0", "3.0"]], [])


def test_no_more_levels_wait_than_may() -> None:
    book = Book.of(snapshot([], []))
    waited = []
    for last in range(2, 3 * DEFERRED_LEVELS):
        book.defer(plain(last, [[f"{last}.0", "1.0"]], []))
        waited.append(book.unsettled)
    assert max(waited) == DEFERRED_LEVELS
    assert len(book) == 3 * DEFERRED_LEVELS - 2


def test_levels_that_nobody_vouches_for_are_not_deferred() -> None:
    book = Book.of(snapshot([], []))
    book.defer(plain(2, [["1.0", "1.0"]], []))
    book.defer(diff(3, [["2.0", "1.0"]], []))
    assert book.unsettled == 0
    with pytest.raises(BadLevel):
        book.defer(diff(4, [["x", "1.0"]], []))
    assert book.strings() == ([["2.0", "1.0"], ["1.0", "1.0"]], [])


@pytest.mark.parametrize(
    "bids",
    [
        [["1.0", "."]],
        [[".", "1.0"]],
        [["1.0", "9" * MAX_DIGITS + ".0"]],
        [["9" * MAX_DIGITS + ".0", "1.0"]],
        [["5.0", "1.0"], ["5.00", "0.0"]],
        [["12345678901234.0001", "1.0"], ["12345678901234.00010", "0.0"]],
    ],
)
def test_what_cannot_be_written_later_spoils_the_book_for_every_reader(bids: Levels) -> None:
    book = Book.of(snapshot([["0.5", "1.0"]], []))
    book.defer(plain(2, bids, [["9.0", "1.0"]]))
    book.defer(plain(3, [["0.5", "2.0"]], []))
    for read in READS:
        with pytest.raises(BadLevel):
            read(book)
    with pytest.raises(BadLevel):
        book.apply(diff(4, [], []))
    book.check()


def test_a_book_of_a_venue_that_tells_transaction_times_has_times_in_its_bodies() -> None:
    book = Book.of(Snapshot(7, [["2.0", "5"], ["1.9", "1"]], [["2.1", "3"]], True, True, 90, 80))
    assert book.body(1) == b'{"lastUpdateId":7,"E":90,"T":80,"bids":[["2.0","5"]],"asks":[["2.1","3"]]}'
    later = Diff("X", 9, 12, 110, PlainLevels([["2.0", "0.0"]]), PlainLevels([["2.2", "4.0"]]), 7, 100)
    book.apply(later)
    assert book.bodies([1, 5]) == [
        b'{"lastUpdateId":12,"E":110,"T":100,"bids":[["1.9","1"]],"asks":[["2.1","3"]]}',
        b'{"lastUpdateId":12,"E":110,"T":100,"bids":[["1.9","1"]],"asks":[["2.1","3"],["2.2","4.0"]]}',
    ]
    book.defer(later._replace(last=13, event_time_ms=120, transaction_time_ms=115))
    assert book.body(1).startswith(b'{"lastUpdateId":13,"E":120,"T":115,"bids":')
