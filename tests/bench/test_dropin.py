"""The measurement of the ccxt drop-in runs, and the books that it compares are equal; times mean nothing."""

from tests.bench.test_benches import figures_of


def test_dropin_compares_books_and_ends_with_its_ratios() -> None:
    figures = figures_of("dropin")
    assert figures["books_equal"] == 12
    assert {"us_100", "us_async_100", "rest_100", "pro_100", "rest_paced_100"} <= figures.keys()


def test_another_exchange_is_compared_and_timed_at_one_limit() -> None:
    figures = figures_of("dropin", "--venue=bitmex")
    assert figures["levels"] == 200
    assert {"us", "rest_us", "ratio"} <= figures.keys()
