"""What requests of futures' REST scheme mean, and how they are refused."""

import pytest

from depthcast.files import FUTURES_LIMITS
from depthcast.venues.binance_futures_rest import (
    book_ticker_weight,
    depth_weight,
    parse_book_ticker,
    parse_coin_book_ticker,
    parse_depth,
    parse_exchange_info,
    refuse_parameters,
)
from depthcast.venues.binance_lists import TickerRequest
from depthcast.venues.requests import ApiError, DepthRequest


@pytest.mark.parametrize("limit", FUTURES_LIMITS)
def test_each_documented_limit_is_taken_as_it_is(limit: int) -> None:
    assert parse_depth(b"symbol=BTCUSDT&limit=%d" % limit) == DepthRequest("BTCUSDT", limit, None)


@pytest.mark.parametrize(
    ("query", "code", "msg"),
    [
        (b"symbol=BTCUSDT&limit=7", -4021, "7 is not valid depth limit"),
        (b"symbol=BTCUSDT&limit=1001", -4021, "1001 is not valid depth limit"),
        (b"symbol=BTCUSDT&limit=0", -4021, "0 is not valid depth limit"),
        (b"symbol=BTCUSDT&limit=", -1105, "Parameter 'limit' was empty."),
        (b"symbol=BTCUSDT&limit=abc", -1100, None),
        (b"symbol=BTCUSDT&limit=-5", -1100, None),
        (b"limit=5", -1102, None),
        (b"symbol=", -1105, "Parameter 'symbol' was empty."),
        (b"symbol=A/B", -1100, None),
        (b"symbol=A&symbol=B", -1101, "Duplicate values for parameter 'symbol'."),
    ],
)
def test_a_bad_depth_request_is_refused_in_the_exchanges_words(
    query: bytes, code: int, msg: str | None
) -> None:
    refused = parse_depth(query)
    assert isinstance(refused, ApiError)
    assert (refused.status, refused.code) == (400, code)
    assert msg in (None, refused.msg)


def test_small_letters_and_parameters_that_nobody_knows_are_taken() -> None:
    assert parse_depth(b"symbol=btcUsdt&timestamp=5") == DepthRequest("BTCUSDT", 500, None)


def test_best_prices_are_of_one_symbol_or_of_all() -> None:
    one, every = parse_book_ticker(b"symbol=btcusdt"), parse_book_ticker(b"")
    assert not isinstance(one, ApiError)
    assert not isinstance(every, ApiError)
    assert (one.symbol, every.symbol, every.symbols) == ("BTCUSDT", None, None)


@pytest.mark.parametrize(("query", "code"), [(b"symbol=", -1105), (b"symbol=A&symbol=A", -1101)])
def test_a_bad_request_for_best_prices_is_refused(query: bytes, code: int) -> None:
    refused = parse_book_ticker(query)
    assert isinstance(refused, ApiError)
    assert refused.code == code


def test_the_list_is_given_whole_whatever_is_asked_for_unless_twice() -> None:
    everything = parse_exchange_info(b"symbol=BTCUSDT&x=1")
    assert not isinstance(everything, ApiError)
    assert everything.everything
    for parse in (parse_exchange_info, refuse_parameters):
        twice = parse(b"a=1&a=2")
        assert isinstance(twice, ApiError)
        assert twice.code == -1101
    assert refuse_parameters(b"a=1") is None


def test_requests_weigh_what_the_documents_say() -> None:
    limits = (5, 10, 20, 50, 100, 500, 1000)
    weights = [depth_weight(b"symbol=A&limit=%d" % limit) for limit in limits]
    assert weights == [2, 2, 2, 2, 5, 10, 20]
    assert depth_weight(b"symbol=A") == depth_weight(b"symbol=A&limit=3") == 10
    assert [book_ticker_weight(query) for query in (b"symbol=A", b"", b"symbol=")] == [2, 5, 2]


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        (b"", TickerRequest(None, None, None)),
        (b"symbol=btcusd_perp", TickerRequest(None, ("BTCUSD_PERP",), None)),
        (b"pair=btcusd&a=1", TickerRequest(None, None, None, "BTCUSD")),
    ],
)
def test_coin_margined_tickers_are_by_symbol_or_by_pair_and_arrays_always(
    query: bytes, asked: TickerRequest
) -> None:
    assert parse_coin_book_ticker(query) == asked
    assert asked.symbol is None


@pytest.mark.parametrize(
    ("query", "code"),
    [(b"symbol=A&pair=B", -4084), (b"symbol=", -1105), (b"symbol=A/B", -1100), (b"pair=A&pair=A", -1101)],
)
def test_coin_margined_tickers_are_refused(query: bytes, code: int) -> None:
    refused = parse_coin_book_ticker(query)
    assert isinstance(refused, ApiError)
    assert refused.code == code
