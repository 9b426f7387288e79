"""How much a book bears before it is rebuilt."""

import pytest

from depthcast.orders.anomalies import Anomaly, Slate, Tolerance


def test_weights_add_up_until_they_are_more_than_is_borne() -> None:
    slate = Slate(Tolerance(bears=9))
    assert not slate.exceeded_by(1, [Anomaly.UNKNOWN_MAKER])
    assert not slate.exceeded_by(2, [Anomaly.WRONG_SIZE] * 4)
    slate.check()
    assert slate.borne == 9
    assert slate.exceeded_by(3, [Anomaly.WRONG_SIZE])


def test_a_crossed_book_is_not_borne_by_default() -> None:
    assert Slate(Tolerance()).exceeded_by(1, [Anomaly.CROSSED])


def test_one_missing_order_is_borne_by_default_and_two_are_not() -> None:
    slate = Slate(Tolerance())
    assert not slate.exceeded_by(1, [Anomaly.UNKNOWN_MAKER])
    assert slate.exceeded_by(2, [Anomaly.UNKNOWN_MAKER])


@pytest.mark.parametrize("anomaly", Anomaly)
def test_nothing_may_be_borne(anomaly: Anomaly) -> None:
    assert Slate(Tolerance(bears=0)).exceeded_by(1, [anomaly])


def test_what_is_long_ago_is_forgiven() -> None:
    slate = Slate(Tolerance(bears=5, within=100))
    assert not slate.exceeded_by(1, [Anomaly.REOPENED])
    assert not slate.exceeded_by(101, [Anomaly.REOPENED])
    slate.check()
    assert slate.exceeded_by(200, [Anomaly.REOPENED])


def test_anomalies_are_counted_over_all_books() -> None:
    tolerance = Tolerance(bears=0)
    for _ in range(3):
        Slate(tolerance).exceeded_by(1, [Anomaly.CROSSED, Anomaly.REOPENED])
    assert tolerance.counts == {Anomaly.CROSSED: 3, Anomaly.REOPENED: 3}


@pytest.mark.parametrize(("bears", "within"), [(-1, 1), (0, 0)])
def test_a_tolerance_that_makes_no_sense_is_refused(bears: int, within: int) -> None:
    with pytest.raises(ValueError, match="weight"):
        Tolerance(bears=bears, within=within)
