"""Which signs last."""

from depthcast.cli.fleet.trouble import MEANING, Steady, Trouble


def test_what_is_there_from_the_first_sure_reading_on_is_told_at_once() -> None:
    steady: Steady[str] = Steady(steady_s=2.5)
    assert steady.take({"a"}, 10.0) == {"a"}
    assert steady.take({"a", "b"}, 10.5) == {"a"}


def test_what_comes_later_has_to_last() -> None:
    steady: Steady[str] = Steady(steady_s=2.5)
    steady.take(set(), 0.0)
    assert steady.take({"b"}, 10.0) == set()
    assert steady.take({"b"}, 12.0) == set()
    assert steady.take({"b"}, 12.5) == {"b"}
    assert steady.take({"b"}, 100.0) == {"b"}


def test_what_went_away_begins_anew() -> None:
    steady: Steady[str] = Steady(steady_s=2.5)
    steady.take(set(), 0.0)
    steady.take({"b"}, 10.0)
    steady.take(set(), 11.0)
    assert steady.take({"b"}, 12.5) == set()
    assert steady.take({"b"}, 15.0) == {"b"}


def test_before_it_is_known_who_lives_everything_is_told() -> None:
    steady: Steady[str] = Steady(steady_s=2.5)
    assert steady.take({"a"}, 0.0, sure=False) == {"a"}
    assert steady.take({"a", "b"}, 2.0, sure=True) == {"a", "b"}
    assert steady.take({"a", "b", "c"}, 3.0, sure=False) == {"a", "b"}


def test_each_trouble_has_its_words_and_the_severe_come_first() -> None:
    assert MEANING.keys() == set(Trouble)
    assert [each.severe for each in Trouble] == sorted((each.severe for each in Trouble), reverse=True)
