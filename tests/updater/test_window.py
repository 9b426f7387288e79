"""Window: quantiles of the last while."""

from updater.window import Window


def test_quantiles_are_samples_at_their_rank() -> None:
    window = Window()
    for value in range(100, 0, -1):
        window.add(0.0, float(value))
    assert window.quantiles(0.0, 0.0, 0.5, 0.99, 1.0) == [1.0, 51.0, 100.0, 100.0]


def test_one_sample_is_every_quantile() -> None:
    window = Window()
    window.add(0.0, 7.0)
    assert window.quantiles(0.0, 0.5, 0.99) == [7.0, 7.0]


def test_old_samples_and_those_beyond_the_capacity_are_forgotten() -> None:
    window = Window(10.0, capacity=3)
    for at in range(5):
        window.add(float(at), float(at))
    assert window.quantiles(5.0, 0.0) == [2.0]
    assert window.quantiles(13.5, 0.0) == [4.0]
    assert window.quantiles(15.0, 0.5, 0.99) == [None, None]
