"""The exchange's time, from what it says."""

from updater.tape.clock import ExchangeClock


def test_before_the_first_diff_nothing_is_known() -> None:
    assert ExchangeClock().now_ms(5.0) is None


def test_the_diff_that_was_quickest_tells_the_time() -> None:
    clock = ExchangeClock()
    clock.saw(100_000, 10.5)
    clock.saw(101_000, 11.0)
    clock.saw(101_500, 12.4)
    assert clock.now_ms(20.0) == 110_000


def test_what_was_seen_long_ago_counts_no_more() -> None:
    clock = ExchangeClock(window_s=60.0)
    clock.saw(100_000, 0.0)
    clock.saw(159_000, 60.0)
    assert clock.now_ms(100.0) == 200_000
    clock.saw(219_000, 120.0)
    assert clock.now_ms(121.0) == 220_000
