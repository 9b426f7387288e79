"""A dictionary at every step, beside copies of it that were made at the time."""

from random import Random

import pytest

from simulator import history as module
from simulator.history import History


def test_every_step_is_as_it_was_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEYFRAME", 10)
    rng = Random(4)
    history: History[int, int] = History(100, 5, kept=10_000, entries={1: 1})
    plain, copies, times, time = {1: 1}, [[(1, 1)]], [5], 5
    for _ in range(400):
        effects: list[tuple[int, int | None]] = []
        for _ in range(rng.randrange(4)):
            key = rng.randrange(30)
            value = rng.choice((None, rng.randrange(1000)))
            effects.append((key, value))
            if value is None:
                plain.pop(key, None)
            else:
                plain[key] = value
        time += rng.randrange(3)
        history.append(effects, time)
        copies.append(list(plain.items()))
        times.append(time)
    assert history.step == 500
    for index, (copy, at) in enumerate(zip(copies, times, strict=True)):
        assert list(history.at(100 + index).items()) == copy
        assert history.time_of(100 + index) == at
    for at in range(4, time + 3):
        steps = [100 + index for index, each in enumerate(times) if each == at]
        assert list(history.steps_of(at)) == steps
        earlier = [100 + index for index, each in enumerate(times) if each <= at]
        assert history.last_step_at(at) == (earlier[-1] if earlier else None)
    assert not history.holds(99)
    assert not history.holds(501)


def test_what_is_older_than_it_was_told_to_keep_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEYFRAME", 10)
    history: History[int, int] = History(0, 0, kept=25)
    for step in range(1, 201):
        history.append([(step % 3, step)], step)
    assert 150 <= history.oldest <= 175
    assert history.last_step_at(history.oldest - 1) is None
    assert history.at(history.oldest)[history.oldest % 3] == history.oldest


def test_a_successor_goes_on_with_the_same_entries() -> None:
    history: History[str, int] = History(7, 3, kept=100)
    history.append([("b", 1), ("a", 2)], 4)
    history.append([("b", None), ("b", 3)], 4)
    made = history.successor(2, 1)
    assert list(made.head.items()) == [("a", 2), ("b", 3)]
    made.append([("a", None)], 2)
    assert (made.step, made.at(2), made.at(3)) == (3, {"a": 2, "b": 3}, {"b": 3})
    assert history.head == {"a": 2, "b": 3}
