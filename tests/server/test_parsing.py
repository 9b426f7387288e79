"""Queries read, and the checks that come first everywhere."""

import pytest

from depthcast.venues.binance_rest import BAD_TIME_UNIT
from depthcast.venues.requests import ApiError
from server.answers import QUERY_TOO_LONG, Answer, Asked, refusal
from server.parsing import MAX_QUERY_BYTES, REMEMBERED_QUERY_BYTES, Parsing, time_unit

WRONG = ApiError(400, -1100, "wrong")


class Parser:
    """Reads a query as its length, and counts."""

    def __init__(self) -> None:
        self.read: list[bytes] = []

    def __call__(self, query: bytes) -> int | ApiError:
        self.read.append(query)
        return WRONG if query == b"wrong" else len(query)


def test_short_queries_are_read_once_and_long_ones_each_time() -> None:
    parser = Parser()
    parsing: Parsing[int] = Parsing(parser, remembered=2)
    short, long = b"a" * REMEMBERED_QUERY_BYTES, b"a" * (REMEMBERED_QUERY_BYTES + 1)
    for query in (short, long) * 3:
        assert parsing.read(Asked(query)) == len(query)
    assert parser.read == [short, long, long, long]
    for query in (b"b", b"c", short):  # two are remembered
        parsing.read(Asked(query))
    assert parser.read[4:] == [b"b", b"c", short]


def test_the_length_comes_before_the_time_unit_and_that_before_the_query() -> None:
    parser = Parser()
    parsing: Parsing[int] = Parsing(parser)
    whole = b"a" * MAX_QUERY_BYTES
    assert parsing.read(Asked(whole)) == MAX_QUERY_BYTES
    assert parsing.read(Asked(whole + b"a", time_unit=b"s")) is QUERY_TOO_LONG
    assert parsing.read(Asked(b"wrong", time_unit=b"s")) == refusal(BAD_TIME_UNIT)
    assert parser.read == [whole]
    assert parsing.read(Asked(b"wrong")) == refusal(WRONG)


@pytest.mark.parametrize(
    ("sent", "unit"),
    [(None, "MILLISECOND"), (b"millisecond", "MILLISECOND"), (b"MICROSECOND", "MICROSECOND")],
)
def test_the_unit_is_told_of_what_was_read(sent: bytes | None, unit: str) -> None:
    asked = Asked(b"", time_unit=sent)
    assert not isinstance(Parsing(Parser()).read(asked), Answer)
    assert time_unit(asked) == unit
