"""What a call's ``params`` ask for, and what of them is the exchange's."""

from typing import Any

import ccxt
import pytest

from depthcast.ccxt.options import Options, parse_options
from depthcast.ccxt.wish import parse_wish, without_ours

SERVED = parse_options({"server": "http://books", "max_age_ms": 3000})


def test_a_call_may_ask_for_something_else_than_the_options() -> None:
    wish = parse_wish(SERVED, {"source": "server", "max_age_ms": None, "strings": True})
    assert (wish.ways, wish.max_age_ms, wish.strings, wish.passed) == (("server", "rest"), None, True, {})
    usual = parse_wish(SERVED, {})
    assert (usual.ways, usual.max_age_ms, usual.strings) == (("local", "server", "rest"), 3000.0, False)
    assert parse_wish(SERVED, {"fallback": False}).ways == ("local",)


def test_what_is_not_ours_is_passed_on_and_no_local_book_answers_it() -> None:
    wish = parse_wish(SERVED, {"symbolStatus": "TRADING", "max_age_ms": 10})
    assert wish.passed == {"symbolStatus": "TRADING"}
    assert wish.ways == ("server", "rest")
    assert parse_wish(Options(), {"symbolStatus": "TRADING"}).ways == ("rest",)


def test_what_only_the_exchange_can_answer_is_not_kept_from_it_in_silence() -> None:
    with pytest.raises(ccxt.BadRequest, match=r"'symbolStatus' is for the exchange, and fallback is off"):
        parse_wish(Options(), {"symbolStatus": "HALT", "fallback": False})
    with pytest.raises(ccxt.BadRequest, match="fallback is off"):
        parse_wish(Options(), {"fallback": False}, local=False)


@pytest.mark.parametrize(
    "params",
    [
        {"source": "exchange"},
        {"source": None},
        {"source": ["local"]},
        {"max_age_ms": -1},
        {"max_age_ms": "soon"},
        {"strings": "yes"},
        {"fallback": 0},
    ],
)
def test_what_no_call_can_mean_is_a_bad_request(params: dict[str, Any]) -> None:
    with pytest.raises(ccxt.BadRequest, match=r"^depthcast: "):
        parse_wish(SERVED, params)


def test_a_server_that_was_never_named_cannot_be_asked() -> None:
    with pytest.raises(ccxt.ArgumentsRequired, match="no server"):
        parse_wish(Options(), {"source": "server"})


def test_the_caller_s_params_stay_as_they_are() -> None:
    params = {"source": "rest", "rpi": True}
    parse_wish(SERVED, params)
    assert without_ours(params) == {"rpi": True}
    assert params == {"source": "rest", "rpi": True}


def test_what_the_exchange_s_dialect_understands_a_local_book_answers() -> None:
    wish = parse_wish(SERVED, {"level": 3}, understood=frozenset({"level"}))
    assert (wish.ways, wish.passed) == (("local", "server", "rest"), {"level": 3})
    assert parse_wish(SERVED, {"level": 3, "more": 1}, understood=frozenset({"level"})).ways[0] == "server"
