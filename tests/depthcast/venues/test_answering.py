"""Each venue whose books can be kept can be answered for."""

from typing import Any

import pytest

from depthcast.files import SCHEMES
from depthcast.venues.answering import ANSWERING, default_limit
from depthcast.venues.registry import VENUES
from depthcast.venues.requests import ApiError


def test_every_venue_has_its_answers_and_its_files() -> None:
    assert ANSWERING.keys() == SCHEMES.keys()
    assert VENUES.keys() <= SCHEMES.keys()


@pytest.mark.parametrize("name", ANSWERING)
def test_what_is_published_can_be_asked_for_by_the_very_request_that_its_key_is(name: str) -> None:
    words, scheme = ANSWERING[name], SCHEMES[name]
    for limit in scheme.limits:
        path, _, query = f"/{scheme.key('ETHUSDT', limit)}".partition("?")
        for call in words.books:
            before, _, behind = call.path.partition("{symbol}")
            if path == call.path or (behind and path == f"{before}ETHUSDT{behind}"):
                break
        else:
            pytest.fail(f"{path} is no call")
        request = call.parse(f"ETHUSDT?{query}".encode() if behind else query.encode())
        assert not isinstance(request, ApiError)
        assert (request.symbol, request.limit) == ("ETHUSDT", limit)
        if name in VENUES:
            venue = VENUES[name].make("http://a", "ws://a", scheme)
            assert call.weight(query.encode()) == venue.depth_weight(limit)


@pytest.mark.parametrize("name", ANSWERING)
def test_no_two_calls_are_at_one_path(name: str) -> None:
    words = ANSWERING[name]
    calls: list[Any] = [*words.books, *words.plain, *words.lists, *filter(None, [words.ticker])]
    assert len({call.path for call in calls}) == len(calls)
    assert all(call.path.startswith("/") and call.weight(b"") > 0 for call in calls)


def test_refusals_have_bodies_in_the_venue_s_own_form() -> None:
    for words in ANSWERING.values():
        assert {refusal.status for refusal in words.refusals} <= {400, 404, 503}
        assert all(refusal.body().startswith(b"{") for refusal in words.refusals)


def test_a_refusal_of_ours_is_worded_in_the_venue_s_form() -> None:
    ours = ApiError(400, -1130, "It is in the future.")
    for name, words in ANSWERING.items():
        worded = words.worded(ours)
        assert worded.status == 400
        assert b"It is in the future." in worded.body()
        assert (worded.body() == ours.body()) == name.startswith("binance")


def test_a_venue_s_default_limit_is_one_that_its_own_parser_means() -> None:
    assert [default_limit(name) for name in ("binance", "binanceusdm", "coinbaseexchange")] == [100, 500, 1]
