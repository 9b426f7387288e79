"""Each venue whose books can be kept can be answered for."""

import pytest

from depthcast.files import SCHEMES
from depthcast.venues.answering import ANSWERING
from depthcast.venues.binance_rest import ApiError
from depthcast.venues.registry import VENUES


def test_every_venue_has_its_answers_and_its_files() -> None:
    assert ANSWERING.keys() == VENUES.keys() == SCHEMES.keys()


@pytest.mark.parametrize("name", ANSWERING)
def test_what_is_published_can_be_asked_for_by_its_own_limits(name: str) -> None:
    words = ANSWERING[name]
    for limit in SCHEMES[name].limits:
        query = b"symbol=ETHUSDT&limit=%d" % limit
        request = words.parse_depth(query)
        assert not isinstance(request, ApiError)
        assert (request.symbol, request.limit) == ("ETHUSDT", limit)
        assert words.depth_weight(query) == VENUES[name].make(
            "http://a", "ws://a", SCHEMES[name]
        ).depth_weight(limit)
