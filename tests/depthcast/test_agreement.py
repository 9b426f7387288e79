"""A second stream's views: ahead of the book, behind it, throttled, and at odds with it."""

from depthcast.agreement import KEPT, SLACK_MS, Agreement
from depthcast.events import TopLevels

Levels = list[tuple[float, int]]


def side(size: int) -> Levels:
    return [(2.0, size), (1.9, 1)]


ASKS: Levels = [(2.1, 3)]


def view(time_ms: int, size: int) -> TopLevels:
    return TopLevels("X", time_ms, side(size), list(ASKS), 10)


def test_a_view_of_what_the_book_looks_like_agrees() -> None:
    agreement = Agreement()
    agreement.book_shows(1000, side(5), ASKS)
    agreement.hear(view(1000, 5))
    assert (agreement.heard, agreement.agreed, agreement.disagreement) == (1, 1, None)


def test_a_view_of_an_earlier_state_agrees_where_it_is_of_that_time() -> None:
    agreement = Agreement()
    for time_ms, size in ((1000, 5), (5000, 6), (9000, 7)):
        agreement.book_shows(time_ms, side(size), ASKS)
    agreement.hear(view(1000, 5))
    agreement.hear(view(4900, 5))
    assert agreement.agreed == 2
    # The book looked so, but seconds before the view says.
    agreement.hear(view(9000 - SLACK_MS + 1, 5))
    assert agreement.disagreement is not None
    agreement.check()


def test_a_view_that_is_ahead_agrees_when_the_book_gets_there() -> None:
    agreement = Agreement()
    agreement.book_shows(1000, side(5), ASKS)
    agreement.hear(view(1200, 6))
    assert agreement.disagreement == 1
    agreement.book_shows(1200, side(6), ASKS)
    assert agreement.disagreement is None


def test_a_state_of_another_time_is_no_agreement() -> None:
    agreement = Agreement()
    for step in range(10):
        agreement.book_shows(1000 + 10_000 * step, side(5 + step), ASKS)
    agreement.hear(view(91_000, 6))
    assert agreement.disagreement is not None


def test_a_disagreement_keeps_its_number_until_there_is_an_agreement() -> None:
    agreement = Agreement()
    agreement.book_shows(1000, side(5), ASKS)
    agreement.hear(view(1001, 6))
    first = agreement.disagreement
    agreement.hear(view(1002, 7))
    assert agreement.disagreement == first
    agreement.hear(view(1003, 5))
    assert agreement.disagreement is None
    agreement.hear(view(1004, 7))
    assert agreement.disagreement not in (None, first)


def test_a_book_that_begins_anew_is_not_measured_by_what_was_heard_of_the_former() -> None:
    agreement = Agreement()
    agreement.book_shows(1000, side(5), ASKS)
    agreement.hear(view(1001, 6))
    agreement.restart()
    assert agreement.disagreement is None
    agreement.book_shows(1002, side(8), ASKS)
    agreement.hear(view(1002, 8))
    assert agreement.agreed == 1
    agreement.check()


def test_no_more_states_are_kept_than_are_bounded() -> None:
    agreement = Agreement()
    for step in range(KEPT + 1):
        agreement.book_shows(1000, side(1 + step), ASKS)
    agreement.hear(view(1000, 1))
    assert agreement.disagreement is not None
    agreement.hear(view(1000, 2))
    assert agreement.disagreement is None


def test_a_book_that_goes_on_is_unseen_until_a_view_shows_it() -> None:
    agreement = Agreement(10)
    found = [(agreement.unseen, agreement.attested)]
    agreement.book_shows(1000, side(5), ASKS)
    found.append((agreement.unseen, agreement.attested))
    agreement.hear(view(1000, 5))
    found.append((agreement.unseen, agreement.attested))
    agreement.book_shows(2000, side(6), ASKS)
    found.append((agreement.unseen, agreement.attested))
    # What is as it was needs no other view.
    agreement.book_shows(3000, side(5), ASKS)
    found.append((agreement.unseen, agreement.attested))
    agreement.restart()
    found.append((agreement.unseen, agreement.attested))
    assert found == [
        (False, False),
        (True, False),
        (False, True),
        (True, True),
        (False, True),
        (False, False),
    ]
    agreement.check()
