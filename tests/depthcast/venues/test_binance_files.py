"""Binance's files: what their keys begin with, their levels, what of them changes though no level does."""

import pytest

from depthcast.errors import BadFile
from depthcast.scheme import ALL
from depthcast.venues.binance_files import BINANCE, BINANCE_USDM, LAYOUT

BODY = b'{"lastUpdateId":7,"bids":[["2.0","5"],["1.9","1"]],"asks":[["2.1","3"]]}'
TIMED = BODY.replace(b',"bids"', b',"E":9,"T":8,"bids"')


@pytest.mark.parametrize("body", [BODY, TIMED])
def test_levels_are_the_file_s_own_strings(body: bytes) -> None:
    bids, asks = [("2.0", "5"), ("1.9", "1")], [("2.1", "3")]
    assert LAYOUT.levels("k", body) == (bids, asks)
    assert LAYOUT.levels("k", body, 1) == (bids[:1], asks)
    assert LAYOUT.rows("k", body) == (
        [{"price": "2.0", "amount": "5"}, {"price": "1.9", "amount": "1"}],
        [{"price": "2.1", "amount": "3"}],
    )
    assert LAYOUT.unnumbered(body) == BODY[len('{"lastUpdateId":7,') :]


@pytest.mark.parametrize("level", [b'"2.0"', b'["2.0"]', b'["2.0",5]', b'[2.0,"5"]', b"{}", b"nil"])
def test_levels_that_are_none_are_a_bad_file(level: bytes) -> None:
    with pytest.raises(BadFile, match="cannot be read"):
        LAYOUT.levels("k", b'{"lastUpdateId":7,"bids":[%b],"asks":[]}' % level)


def test_what_a_symbol_s_keys_begin_with_is_in_no_other_s() -> None:
    for scheme in (BINANCE, BINANCE_USDM):
        key = scheme.key("ETHUSDT", 5)
        assert key.startswith(scheme.prefixes_of("ETHUSDT"))
        assert not key.startswith(scheme.prefixes_of("ETH"))
        assert key.startswith(scheme.depth_prefixes)
        assert key.startswith(scheme.public_prefixes)
        assert scheme.parse(key) == ("ETHUSDT", 5)
        assert scheme.cache_control(5) is None
        assert (scheme.size(5), scheme.depth(5), scheme.covering(7, scheme.limits)) == (5, 5, 10)
        assert scheme.covering(ALL, scheme.limits) is None
