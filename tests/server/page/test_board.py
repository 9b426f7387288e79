"""A board tells what changed since anybody's version, and no more."""

import json
import random

import pytest

from server.page.board import MEMBERS, UNKNOWN, Board, Row, shorten, spread

SYMBOLS = ("ADAUSDT", "BTCUSDT", "ETHUSDT")


class Reader:
    """Keeps a table from what it is told, as the page does."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, str]] = {}
        self.number = 0

    def take(self, board: Board) -> set[str]:
        told = json.loads(board.since(self.number))
        for symbol, members in told.items():
            self.rows.setdefault(symbol, {}).update(members)
        self.number = board.number
        return set(told)

    def has(self, board: Board) -> bool:
        return self.rows == {
            symbol: dict(zip(MEMBERS, row, strict=True)) for symbol, row in board.rows.items()
        }


def some_row(draw: random.Random) -> Row:
    return Row(*(str(draw.randrange(3)) for _ in MEMBERS))


def test_whoever_comes_whenever_has_the_board_after_one_message() -> None:
    draw = random.Random(3)
    board = Board("b", SYMBOLS)
    readers = [Reader() for _ in range(5)]
    for _ in range(300):
        board.put({symbol: some_row(draw) for symbol in draw.sample(SYMBOLS, draw.randrange(3))})
        board.check()
        # Some are slow, and some have never come before.
        for reader in draw.sample(readers, 2):
            reader.take(board)
            assert reader.has(board)


def test_only_what_is_another_is_told() -> None:
    board = Board("b", SYMBOLS)
    reader = Reader()
    assert reader.take(board) == set(SYMBOLS)
    row = Row("1", "2", "3", "4", "5", "0", "live", "TRADING")
    assert board.put({"BTCUSDT": row, "NOBODY": row})
    assert reader.take(board) == {"BTCUSDT"}
    assert not board.put({"BTCUSDT": row})
    assert board.since(reader.number) == b"{}"
    assert board.put({"BTCUSDT": row._replace(age="1")})
    assert json.loads(board.since(reader.number)) == {"BTCUSDT": {"age": "1"}}


def test_what_is_told_is_made_once() -> None:
    board = Board("b", SYMBOLS)
    board.put({"BTCUSDT": UNKNOWN._replace(bid="1")})
    assert board.since(0) is board.since(0)


def test_digits_stay_where_they_are() -> None:
    board = Board("b", SYMBOLS)
    assert board.shorten("ETHUSDT", ("2.50000000", "1.0"), ("2.5100", "3.25"))[0] == ("2.50", "1.00")
    assert board.shorten("ETHUSDT", ("2.5", "1.0"), ("2.6", "3.0")) == (("2.50", "1.00"), ("2.60", "3.00"))
    assert board.shorten("NOBODY", ("2.5", "1.0"), ("2.6", "3.0")) == (("2.5", "1"), ("2.6", "3"))
    board.check()


@pytest.mark.parametrize("number", ["0.00000000", "12", "12.340", "0.00000123", "100.000", "8e-7", "1.25e-6"])
@pytest.mark.parametrize("places", [0, 2, 8])
def test_a_shortened_number_is_the_same_number(number: str, places: int) -> None:
    text = shorten(number, places)
    assert float(text) == float(number)
    assert not text.endswith(".")
    assert "e" not in text
    assert len(text.partition(".")[2]) >= places


@pytest.mark.parametrize("pair", [("", "1"), ("0.0", "0.0"), ("NaN", "1"), ("x", "1"), ("1", "Infinity")])
def test_a_spread_of_nothing_is_nothing(pair: tuple[str, str]) -> None:
    assert spread(*pair) == ""
