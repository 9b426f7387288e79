"""Who holds what, and when a symbol may be let go."""

from collections import Counter
from collections.abc import Iterable

import pytest

from depthcast.fleet import ranked
from depthcast.heartbeat import Heartbeat, State, SymbolBeat
from updater.assignment import Place, may_let_go, place

SYMBOLS = [f"S{number}USDT" for number in range(400)]


def beats(names: Iterable[str], *, redundancy: int = 0, **given: object) -> dict[str, Heartbeat]:
    return {
        name: Heartbeat.model_validate(
            {"replica": name, "beat": 1, "redundancy": redundancy, "selection": "same", **given}
        )
        for name in names
    }


def holding(beat: Heartbeat, symbol: str, *, live: bool) -> Heartbeat:
    return beat.model_copy(update={"symbols": {symbol: SymbolBeat(live=live)}})


def test_all_hold_everything_and_one_is_first() -> None:
    living = beats("abc")
    for symbol in SYMBOLS:
        places = [place(symbol, living, own) for own in living.values()]
        assert all(each.holder for each in places)
        assert sorted(each.rank for each in places) == [0, 1, 2]


def test_each_of_four_holds_about_half_where_two_are_to_hold_a_symbol() -> None:
    living = beats("abcd", redundancy=2)
    held = Counter(name for name, own in living.items() for s in SYMBOLS if place(s, living, own).holder)
    assert sum(held.values()) == 2 * len(SYMBOLS)
    assert all(150 < count < 250 for count in held.values())


def test_a_replica_that_joins_takes_its_share_and_moves_nothing_else() -> None:
    before, after = beats("abc", redundancy=2), beats("abcd", redundancy=2)
    moved = 0
    for symbol in SYMBOLS:
        old = {name for name in before if place(symbol, before, before[name]).holder}
        new = {name for name in after if place(symbol, after, after[name]).holder}
        assert new - old <= {"d"}
        moved += "d" in new
    assert moved / (2 * len(SYMBOLS)) == pytest.approx(1 / 4, abs=0.05)


def test_one_that_leaves_ranks_behind_those_who_stay() -> None:
    living = beats("abc")
    living["a"] = living["a"].model_copy(update={"state": State.LEAVING})
    for symbol in SYMBOLS[:20]:
        assert place(symbol, living, living["a"]) == Place(2, False, tuple(ranked(symbol, "bc")))
        assert {place(symbol, living, living[name]).rank for name in "bc"} == {0, 1}


def test_the_last_one_that_leaves_has_nobody_before_it() -> None:
    living = beats("a", state="leaving")
    assert place("S", living, living["a"]) == Place(0, False, ())


def test_replicas_that_publish_other_limits_or_lack_the_symbol_take_no_work_over() -> None:
    living = beats("a") | beats("b", limits=(5,)) | beats("c", selection="other")
    assert place("S", living, living["a"]) == Place(0, True, ())
    living["c"] = holding(living["c"], "S", live=True)
    assert {place("S", living, living[name]).rank for name in "ac"} == {0, 1}


def test_a_symbol_moves_when_all_its_new_holders_have_the_book_and_one_writes() -> None:
    living = beats("abc", redundancy=2)
    symbol = next(s for s in SYMBOLS if not place(s, living, living["a"]).holder)
    here = place(symbol, living, living["a"])

    def may(b_live: bool, c_live: bool, yielded: bool) -> bool:
        now = living | {
            "b": holding(living["b"], symbol, live=b_live),
            "c": holding(living["c"], symbol, live=c_live),
        }
        return may_let_go(symbol, here, now, living["a"], yielded=yielded)

    assert may(True, True, True)
    assert not may(True, True, False)
    assert not may(True, False, True)
    assert not may_let_go(symbol, here, living, living["a"], yielded=True)


def test_a_holder_never_lets_go() -> None:
    living = beats("ab")
    living = {name: holding(beat, "S", live=True) for name, beat in living.items()}
    assert not any(
        may_let_go("S", place("S", living, own), living, own, yielded=True) for own in living.values()
    )


def test_one_that_leaves_waits_for_one_other_only() -> None:
    living = beats("abc")
    living["a"] = living["a"].model_copy(update={"state": State.LEAVING})
    here = place("S", living, living["a"])
    assert not may_let_go("S", here, living, living["a"], yielded=True)
    living["b"] = holding(living["b"], "S", live=True)
    assert may_let_go("S", here, living, living["a"], yielded=True)


def test_what_a_missing_replica_held_is_not_given_to_others_at_once() -> None:
    living, missing = beats("abd", redundancy=2), beats("c", redundancy=2)
    everybody = living | missing
    for symbol in SYMBOLS:
        holding_now = {name for name in everybody if place(symbol, everybody, everybody[name]).holder}
        places = {name: place(symbol, living, living[name], missing) for name in living}
        assert {name for name, each in places.items() if each.holder} == holding_now - {"c"}
        assert sorted(each.rank for each in places.values() if each.holder) == list(
            range(len(holding_now - {"c"}))
        )


def test_where_nobody_else_holds_a_missing_replicas_symbol_it_moves_at_once() -> None:
    for redundancy, gone in ((1, "c"), (2, "bc"), (0, "c")):
        living, missing = (
            beats(names, redundancy=redundancy) for names in (sorted(set("abcd") - set(gone)), gone)
        )
        for symbol in SYMBOLS:
            places = [place(symbol, living, own, missing) for own in living.values()]
            assert [each.rank for each in places if each.holder].count(0) == 1
