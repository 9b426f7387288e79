"""What an exchange object may be told, and what it makes of it."""

from typing import Any

import ccxt
import pytest

from depthcast.ccxt.options import Options, parse_options


def test_without_any_option_books_are_local_and_the_exchange_is_the_way_out() -> None:
    options = parse_options(None)
    assert options == parse_options({}) == Options()
    assert options.ways("local", True) == ("local", "rest")


def test_who_is_asked_goes_down_from_the_first_and_never_up() -> None:
    options = parse_options({"server": "http://books:8080"})
    assert options.ways("local", True) == ("local", "server", "rest")
    assert options.ways("server", True) == ("server", "rest")
    assert options.ways("rest", True) == ("rest",)
    assert [options.ways(source, False) for source in ("local", "server", "rest")] == [
        ("local",),
        ("server",),
        ("rest",),
    ]


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"sauce": "local"}, "no option 'sauce', only source, server"),
        ({"source": "locl"}, "one of local, server, rest, not 'locl'"),
        ({"max_age_ms": 0}, "max_age_ms is a number above 0"),
        ({"max_age_ms": "5000"}, "max_age_ms"),
        ({"max_age_ms": True}, "max_age_ms"),
        ({"max_age_ms": float("nan")}, "max_age_ms"),
        ({"fallback": 1}, "fallback is True or False"),
        ({"depth": 0}, "depth is an integer from 1 to 5000"),
        ({"depth": 5001}, "depth"),
        ({"depth": 100.0}, "depth"),
        ({"max_books": 0}, "max_books"),
        ({"weight_share": 1.5}, "weight_share"),
        ({"server": "books:8080"}, "server is not a base url; write http or https"),
        ({"server": 8080}, "server is not a base url"),
        ({"server": "http://books:port"}, "server is not a base url"),
        ({"ws_url": "http://stream"}, "ws_url is not a base url; write ws or wss"),
        ({"rest_url": "http://api?x=1"}, "rest_url is not a base url"),
        ("local", "is a dict of options"),
    ],
)
def test_a_mistake_is_called_one(given: Any, complaint: str) -> None:
    with pytest.raises(ccxt.BadRequest, match=complaint):
        parse_options(given)


@pytest.mark.parametrize(("given", "most_ms"), [(None, None), (1, 1.0), (0.5, 0.5), (60_000, 60_000.0)])
def test_books_may_be_so_old_or_of_any_age(given: float | None, most_ms: float | None) -> None:
    assert parse_options({"max_age_ms": given}).max_age_ms == most_ms


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(ccxt.BadRequest) as caught:
        parse_options({"server": "http://user:hunter2@books"})
    assert "hunter2" not in str(caught.value)


def test_a_server_has_to_be_known_to_be_asked() -> None:
    with pytest.raises(ccxt.ArgumentsRequired, match="no server is known"):
        parse_options({"source": "server"})
    with pytest.raises(ccxt.ArgumentsRequired, match="no server is known"):
        Options().ways("server", True)
