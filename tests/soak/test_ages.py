from random import Random

import pytest

from soak.ages import Marks, Sample, Samples, buckets, percentile, spread


def test_a_file_is_current_until_the_exchange_tells_more_and_ages_from_then_on() -> None:
    marks = Marks()
    marks.told("A", 0, 10, 100.0)
    assert marks.age_s("A", 0, 10, 107.0) == 0
    marks.told("A", 0, 15, 108.0)
    marks.told("A", 0, 20, 109.0)
    assert marks.age_s("A", 0, 10, 110.0) == 2.0
    assert marks.age_s("A", 0, 14, 110.0) == 2.0
    assert marks.age_s("A", 0, 15, 110.0) == 1.0
    assert marks.age_s("A", 0, 25, 110.0) == 0


def test_ids_that_went_down_are_later_all_the_same() -> None:
    marks = Marks()
    marks.told("A", 0, 1000, 1.0)
    marks.told("A", 1, 500, 2.0)
    assert marks.age_s("A", 0, 1000, 5.0) == 3.0
    assert marks.age_s("A", 1, 500, 5.0) == 0


def test_a_symbol_of_which_nothing_was_told_is_current() -> None:
    assert Marks().age_s("A", 0, 10, 5.0) == 0


def test_marks_are_bounded_and_a_file_older_than_all_of_them_has_the_age_of_the_oldest() -> None:
    marks = Marks(keep=10)
    for number in range(1000):
        marks.told("A", 0, number, float(number))
    marks.check()
    assert 989 - 11 <= 999 - marks.age_s("A", 0, 5, 999.0) <= 990


def test_ages_agree_with_a_search_through_all_marks() -> None:
    rng, marks, told = Random(3), Marks(), []
    generation = update_id = 0
    now = 0.0
    for _ in range(500):
        now += rng.random()
        if rng.random() < 0.02:
            generation, update_id = generation + 1, update_id // 2
        else:
            update_id += rng.randrange(4)
        marks.told("A", generation, update_id, now)
        told.append((generation, update_id, now))
        asked = (rng.randrange(generation + 1), rng.randrange(update_id + 2))
        since = min((at for *mark, at in told if tuple(mark) > asked), default=now)
        assert marks.age_s("A", *asked, now) == pytest.approx(now - since)
    marks.check()


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(value) for value in range(1, 101)]
    assert [percentile(values, share) for share in (0.01, 0.5, 0.99, 1.0)] == [1.0, 50.0, 99.0, 100.0]
    assert percentile([], 0.5) == 0
    assert spread([3.0, 1.0, 2.0]) == (3, 2.0, 3.0, 3.0)


def test_samples_are_found_by_time() -> None:
    samples = Samples()
    for second in range(10):
        samples.add(float(second), second % 3, second / 4)
    assert samples.between(2.0, 4.0) == [Sample(2.0, 2, 0.5), Sample(3.0, 0, 0.75)]
    assert len(samples) == 10


def test_buckets_leave_out_stretches_without_samples_and_the_last_part() -> None:
    samples = [Sample(10.5, 0, 1.0), Sample(11.5, 1, 3.0), Sample(16.0, 0, 2.0), Sample(18.5, 0, 9.0)]
    found = buckets(samples, 10.0, 19.0, 2.0)
    assert [(bucket.time, bucket.spread.most) for bucket in found] == [(10.0, 3.0), (16.0, 2.0)]
