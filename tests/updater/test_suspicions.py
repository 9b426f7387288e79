"""What looks as if it stood still, and what is only quiet."""

from random import Random

import pytest

from updater.suspicions import LEAST_GAPS, Seen, Suspicion, Suspicions, What

SILENT_AFTER_S = 10.0


class Market:
    """Symbols, each with the times of its diffs; looked at once a second."""

    def __init__(self, **paces_s: float) -> None:
        self.told: list[tuple[str, Suspicion]] = []
        self.suspicions = Suspicions(
            silent_after_s=SILENT_AFTER_S,
            on_suspected=lambda symbol, found: self.told.append((symbol, found)),
        )
        self.paces_s = paces_s
        self.changed_at = dict.fromkeys(paces_s, 0.0)
        self.stopped: set[str] = set()
        self.deaf: set[str] = set()
        self.levels = dict.fromkeys(paces_s, (5, 5))
        self.now = 0.0

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1
            for symbol, pace_s in self.paces_s.items():
                if symbol not in self.stopped:
                    while self.changed_at[symbol] + pace_s <= self.now:
                        self.changed_at[symbol] += pace_s
            self.suspicions.look(
                [
                    Seen(symbol, symbol not in self.deaf, at, round(at * 1000), *self.levels[symbol])
                    for symbol, at in self.changed_at.items()
                ],
                self.now,
            )
            self.suspicions.check()

    def found(self) -> dict[str, What]:
        return {symbol: each.what for symbol in self.paces_s if (each := self.suspicions.of(symbol))}


def test_a_stream_that_falls_silent_while_its_neighbours_go_on_is_suspected_within_seconds() -> None:
    market = Market(A=0.1, B=0.2, C=1.0)
    market.run(60)
    assert market.found() == {}
    market.stopped.add("A")
    last_ms = round(market.changed_at["A"] * 1000)
    market.run(12)
    assert market.found() == {"A": What.SILENT}
    assert market.told == [("A", Suspicion(What.SILENT, last_ms))], "it is told once"
    market.stopped.clear()
    market.changed_at["A"] = market.now
    market.run(1)
    assert market.found() == {}


def test_a_neighbour_that_is_a_little_slower_goes_on_as_well() -> None:
    market = Market(A=2.1, B=2.3)
    market.run(120)
    market.stopped.add("A")
    market.run(15)
    assert market.found() == {"A": What.SILENT}


def test_a_quiet_symbol_is_not_silent() -> None:
    market = Market(A=0.1, B=0.1, QUIET=30.0, QUIETER=95.0)
    market.run(1000)
    assert market.told == []
    market.stopped.add("QUIET")
    market.run(135)
    assert market.found() == {}, "not yet five times its usual pauses"
    market.run(10)
    assert market.found() == {"QUIET": What.SILENT}, "and others go on"


def test_symbols_that_are_quiet_by_chance_are_seldom_suspected() -> None:
    rng, suspicions = Random(1), Suspicions(silent_after_s=SILENT_AFTER_S)
    means_s = {f"S{number}": 0.1 * 1.5**number for number in range(16)}
    due = {symbol: rng.expovariate(1 / mean_s) for symbol, mean_s in means_s.items()}
    changed_at = dict.fromkeys(due, 0.0)
    false_alarms = 0
    for now in range(1, 4000):
        for symbol, mean_s in means_s.items():
            while due[symbol] <= now:
                changed_at[symbol] = due[symbol]
                due[symbol] += rng.expovariate(1 / mean_s)
        suspicions.look([Seen(symbol, True, at, 0, 5, 5) for symbol, at in changed_at.items()], float(now))
        false_alarms += sum(suspicions.of(symbol) is not None for symbol in means_s)
    assert false_alarms <= 4000 * 16 / 1000


def test_where_all_fall_silent_together_it_is_not_one_symbol_that_stopped() -> None:
    market = Market(A=0.1, B=0.2, C=0.5, D=0.5)
    market.run(60)
    market.stopped.update("ABCD")
    market.run(60)
    assert market.found() == {}


def test_nothing_is_said_of_what_is_not_heard_or_hardly_known() -> None:
    market = Market(A=0.1, B=0.1, C=0.1, NEW=10.0)
    market.run(60)
    market.stopped.update(("A", "NEW"))
    market.deaf.add("A")
    market.run(400)
    assert market.found() == {}, f"fewer than {LEAST_GAPS} pauses, and a connection that is not heard"
    market.deaf.clear()
    market.run(1)
    assert market.found() == {"A": What.SILENT}


@pytest.mark.parametrize(
    ("levels", "what"), [((0, 5), What.ONE_SIDED), ((5, 0), What.ONE_SIDED), ((0, 0), What.EMPTY)]
)
def test_a_book_that_lost_a_side_is_suspected_and_one_that_never_had_it_is_not(
    levels: tuple[int, int], what: What
) -> None:
    market = Market(A=0.1, B=0.1, THIN=0.1)
    market.levels["THIN"] = levels
    market.run(20)
    assert market.found() == {}
    market.levels["A"] = levels
    market.run(1)
    assert market.found() == {"A": what}
    market.levels["A"] = (1, 1)
    market.run(1)
    assert market.found() == {}


def test_silence_can_be_left_unsuspected_and_what_is_not_held_is_forgotten() -> None:
    never = Suspicions(silent_after_s=0)
    for now in range(100):
        seen = [Seen("A", True, min(now, 50.0), 0, 5, 5), Seen("B", True, now, 0, 5, 5)]
        never.look(seen, float(now))
    assert never.of("A") is None
    never.look([], 101.0)
    never.check()
