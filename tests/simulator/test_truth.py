"""The truth against a replay as plain as can be: a list of all changes, and dictionaries."""

import json
from random import Random

import pytest

from simulator.scale import Scale
from simulator.truth import ASK, BID, Change, Journal, TrueBook, Truth, TruthError

SCALE = Scale(2, 3)


def naive_body(levels: dict[tuple[int, int], int], update_id: int, limit: int) -> bytes:
    sides = []
    for side, reverse in ((BID, True), (ASK, False)):
        prices = sorted((price for at, price in levels if at == side), reverse=reverse)[:limit]
        sides.append([[f"{p / 100:.2f}", f"{levels[side, p] / 1000:.3f}"] for p in prices])
    body = {"lastUpdateId": update_id, "bids": sides[0], "asks": sides[1]}
    return json.dumps(body, separators=(",", ":")).encode()


def random_change(rng: Random) -> Change:
    side = rng.choice((BID, ASK))
    price = rng.randint(1, 500) if side == BID else rng.randint(501, 1000)
    return Change(side, price, rng.choice((0, rng.randint(1, 9000))))


class Replay:
    """Every change by its id, from an empty book at ``base``."""

    def __init__(self, base: int) -> None:
        self.base = base
        self.changes: list[tuple[int, Change]] = []

    def body(self, update_id: int, limit: int) -> bytes:
        levels: dict[tuple[int, int], int] = {}
        for at, (side, price, quantity) in self.changes:
            if at > update_id:
                break
            levels[side, price] = quantity
        return naive_body({level: q for level, q in levels.items() if q}, update_id, limit)


def grown(truth: Truth, rng: Random, count: int, *, base: int = 1000) -> tuple[Journal, Replay]:
    journal = truth.begin("ABC", SCALE, TrueBook(), base, divisible=True)
    replay = Replay(base)
    for index in range(count):
        change = random_change(rng)
        journal.append(change)
        replay.changes.append((journal.update_id, change))
        if index % 10 == 0:
            truth.mark_time(journal, index)
    return journal, replay


def test_the_body_at_any_id_in_any_order_is_that_of_a_plain_replay() -> None:
    rng = Random(3)
    truth = Truth(keyframe_changes=100)
    journal, replay = grown(truth, rng, 1500)
    ids = [rng.randint(1000, journal.update_id) for _ in range(80)]
    # Askers that walk forward side by side, as auditors of files do, and one that jumps about.
    ids += [base + step for step in range(0, 600, 40) for base in (1000, 1700, 1300, 1301)]
    for update_id in [*ids, 1000, 2500]:
        assert truth.body("ABC", update_id, 5000) == replay.body(update_id, 5000), update_id
        assert truth.body("ABC", update_id, 7) == replay.body(update_id, 7), update_id
    journal.head.check()


def test_asking_for_the_past_leaves_the_present_alone() -> None:
    truth = Truth()
    journal, replay = grown(truth, Random(4), 300)
    for update_id in (1100, 1050, 1299):
        truth.body("ABC", update_id, 5)
    assert truth.body("ABC", journal.update_id, 5000) == replay.body(journal.update_id, 5000)
    journal.append(Change(BID, 499, 77))
    assert b'["4.99","0.077"]' in truth.body("ABC", journal.update_id, 5000)


def test_the_levels_are_told_to_their_full_depth_best_first() -> None:
    truth = Truth()
    bids, asks = dict.fromkeys(range(1, 6001), 5), dict.fromkeys(range(6001, 12002), 6)
    truth.begin("ABC", SCALE, TrueBook(bids.items(), asks.items()), 9, divisible=True)
    told_bids, told_asks = truth.levels("ABC", 9)
    assert (len(told_bids), len(told_asks)) == (6000, 6001)
    assert (told_bids[0], told_asks[0]) == (("60.00", "0.005"), ("60.01", "0.006"))
    body = json.loads(truth.body("ABC", 9, 99_999))
    assert (len(body["bids"]), len(body["asks"])) == (5000, 5000)


@pytest.mark.parametrize(
    ("symbol", "update_id", "why"),
    [
        ("XYZ", 1000, "no symbol 'XYZ'"),
        ("ABC", 999, "before its first id 1000"),
        ("ABC", 1011, "ahead of the present id 1010"),
    ],
)
def test_what_is_not_known_is_refused_with_the_reason(symbol: str, update_id: int, why: str) -> None:
    truth = Truth()
    grown(truth, Random(5), 10)
    with pytest.raises(TruthError, match=why):
        truth.body(symbol, update_id, 5)
    with pytest.raises(TruthError, match="no generation 3"):
        truth.body("ABC", 1000, 5, generation=3)


def test_history_is_bounded_by_number_and_by_age() -> None:
    few = Truth(history_changes=500, keyframe_changes=100)
    journal, replay = grown(few, Random(6), 2000)
    assert 500 <= journal.changes <= 700
    assert few.body("ABC", journal.oldest_id, 50) == replay.body(journal.oldest_id, 50)
    with pytest.raises(TruthError, match="forgotten"):
        few.body("ABC", journal.oldest_id - 1, 50)

    young = Truth(
        history_s=0.4, keyframe_changes=100
    )  # the clock of grown() advances one millisecond a change
    journal, replay = grown(young, Random(6), 2000)
    assert 400 <= journal.changes <= 620
    assert young.body("ABC", journal.oldest_id, 50) == replay.body(journal.oldest_id, 50)


def test_an_id_of_several_generations_is_answered_by_the_newest_unless_one_is_named() -> None:
    truth = Truth()
    old, old_replay = grown(truth, Random(7), 200, base=1000)
    new, new_replay = grown(truth, Random(8), 100, base=1050)
    assert (old.generation, new.generation) == (0, 1)
    assert [journal.generation for journal in truth.holding("ABC", 1100)] == [1, 0]
    assert truth.body("ABC", 1100, 9) == new_replay.body(1100, 9)
    assert truth.body("ABC", 1100, 9, generation=0) == old_replay.body(1100, 9)
    assert truth.bodies("ABC", 1100, 9) == [new_replay.body(1100, 9), old_replay.body(1100, 9)]
    assert truth.bodies("ABC", 1180, 9) == [old_replay.body(1180, 9)]
    assert truth.bodies("ABC", 2000, 9) == []


def test_an_old_generation_is_forgotten_with_its_age() -> None:
    truth = Truth(history_s=1)
    old, _ = grown(truth, Random(9), 50, base=1000)
    truth.begin("ABC", SCALE, TrueBook(), 10, divisible=True, time_ms=old.time_ms + 1001)
    assert [journal.base_id for journal in truth.generations("ABC")] == [10]


def test_inside_a_whole_diff_the_book_is_unknown() -> None:
    truth = Truth()
    journal = truth.begin("ABC", SCALE, TrueBook(), 10, divisible=False)
    journal.append_diff(14, [Change(BID, 100, 1), Change(ASK, 200, 2)])
    journal.append_diff(15, [Change(BID, 100, 0)])
    assert (
        truth.body("ABC", 14, 5) == b'{"lastUpdateId":14,"bids":[["1.00","0.001"]],"asks":[["2.00","0.002"]]}'
    )
    assert truth.body("ABC", 15, 5) == b'{"lastUpdateId":15,"bids":[],"asks":[["2.00","0.002"]]}'
    assert truth.body("ABC", 10, 5) == b'{"lastUpdateId":10,"bids":[],"asks":[]}'
    assert [journal.latest_known(update_id) for update_id in (10, 13, 14, 15)] == [10, 10, 14, 15]
    for update_id in (11, 13):
        with pytest.raises(TruthError, match="inside a recorded diff"):
            truth.body("ABC", update_id, 5)
    with pytest.raises(ValueError, match="cannot follow"):
        journal.append_diff(15, [])


@pytest.mark.parametrize("bad", [TrueBook([(5, 1)], [(5, 1)]), TrueBook([(5, 0)]), TrueBook([(0, 5)])])
def test_check_finds_a_crossed_book_and_levels_that_are_none(bad: TrueBook) -> None:
    with pytest.raises(AssertionError):
        bad.check()
