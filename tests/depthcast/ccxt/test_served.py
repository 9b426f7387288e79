"""How old a server's answer is, whatever the clocks say, and whether all of the book is in it."""

import pytest

from depthcast.ccxt.served import read_marks

DATE = "Thu, 08 Aug 2024 23:54:13 GMT"
DATE_MS = 1_723_161_253_000


def headers(**more: str) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return {"Date": DATE, "Depthcast-Version": "1:7", "Depthcast-State": "live"} | named


def age_ms(now_ms: int, **more: str) -> float | None:
    """Of an answer that came 20 ms after it was asked for."""
    return read_marks(headers(**more), now_ms=now_ms, elapsed_ms=20).age_ms


def test_a_clock_that_agrees_is_taken() -> None:
    assert age_ms(DATE_MS + 700, Depthcast_Current_Time=str(DATE_MS - 300)) == 1000


@pytest.mark.parametrize("wrong_by_ms", [-3_600_000, -10_000, -1, 1021, 10_000, 3_600_000])
def test_a_clock_that_does_not_agree_makes_no_book_younger_or_much_older(wrong_by_ms: int) -> None:
    # Made within the second of its date, and 20 ms on its way: no more than 1,320 ms old, by any clock.
    age = age_ms(DATE_MS + wrong_by_ms, Depthcast_Current_Time=str(DATE_MS - 300))
    assert age == 1320


def test_what_a_cache_kept_is_as_much_older() -> None:
    current = {"Depthcast_Current_Time": str(DATE_MS)}
    assert age_ms(DATE_MS + 7400, Age="7", **current) == 7400
    assert age_ms(DATE_MS + 100, Age="7", **current) == 8020


def test_no_age_is_below_zero_and_without_a_date_our_clock_counts() -> None:
    assert age_ms(DATE_MS + 10, Depthcast_Current_Time=str(DATE_MS + 500)) == 0
    marks = read_marks({"depthcast-current-time": "1000"}, now_ms=4000, elapsed_ms=1)
    assert marks.age_ms == 3000
    broken = read_marks({"date": "soon", "depthcast-current-time": "1000"}, now_ms=4000, elapsed_ms=1)
    assert broken.age_ms == 3000


def test_the_last_change_is_a_moment_at_which_it_was_current() -> None:
    marks = read_marks(headers(Depthcast_Event_Time=str(DATE_MS - 500)), now_ms=DATE_MS + 500, elapsed_ms=1)
    assert (marks.age_ms, marks.time_ms) == (1000, DATE_MS - 500)


@pytest.mark.parametrize("unknown", [{}, {"Depthcast_Event_Time": "0"}, {"Depthcast_Current_Time": "-5"}])
def test_nobody_knows_the_age_of_what_does_not_say(unknown: dict[str, str]) -> None:
    marks = read_marks(headers(**unknown), now_ms=DATE_MS, elapsed_ms=1)
    assert (marks.age_ms, marks.time_ms) == (None, None)


def test_a_halted_book_stands_where_a_server_says_so_and_not_by_an_edge_s_word() -> None:
    halted = headers(Depthcast_State="halted", Depthcast_Current_Time=str(DATE_MS - 86_400_000))
    assert read_marks(halted, now_ms=DATE_MS, elapsed_ms=5).age_ms == 5
    del halted["Depthcast-Version"]
    age = read_marks(halted, now_ms=DATE_MS, elapsed_ms=5).age_ms
    assert age is not None
    assert age >= 86_400_000


@pytest.mark.parametrize(
    ("certain", "whole"),
    [
        (None, False),
        ("", False),
        ("bids=4870, asks=113", False),
        ("bids=4870, asks=113;complete", False),
        ("bids=2;complete, asks=113", True),
        ("bids=2;complete, asks=113;complete", True),
    ],
)
def test_fewer_levels_than_asked_for_are_all_only_where_it_says_so(certain: str | None, whole: bool) -> None:
    marks = read_marks({} if certain is None else {"Depthcast-Certain": certain}, now_ms=0, elapsed_ms=0)
    assert marks.whole([1, 2], [1, 2, 3], 3) is whole
    assert marks.whole([1, 2, 3], [1, 2, 3], 3)


def test_the_exchange_s_own_answer_is_whole() -> None:
    assert read_marks({"Depthcast-State": "proxied"}, now_ms=0, elapsed_ms=0).whole([], [1], 5)
