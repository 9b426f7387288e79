"""One file as a value: what is taken from body, metadata and headers, and what is refused."""

import json

import pytest

from depthcast.errors import BadFile, BadKey
from depthcast.files import SCHEMES
from depthcast.reading.file import About, DepthFile
from tests.depthcast.reading.conftest import METADATA, body_of


def test_a_body_comes_back_exactly_and_as_floats() -> None:
    body = body_of(77, 3)
    file = DepthFile.of("ETHUSDT", 5, body, About())
    true = json.loads(body)
    assert (file.symbol, file.limit, file.update_id, file.body) == ("ETHUSDT", 5, 77, body)
    assert [list(level) for level in file.exact_bids] == true["bids"]
    assert [list(level) for level in file.exact_asks] == true["asks"]
    assert file.bids[0] == (2000.1, 0.5)
    assert [list(level) for level in file.asks] == [[float(text) for text in each] for each in true["asks"]]


def test_numbers_that_no_float_holds_stay_exact_as_strings() -> None:
    body = b'{"lastUpdateId":1,"bids":[["0.123456789012345678","100000000000000000.1"]],"asks":[]}'
    file = DepthFile.of("ETHUSDT", 5, body, About())
    assert file.exact_bids == (("0.123456789012345678", "100000000000000000.1"),)
    assert file.bids == ((0.12345678901234568, 1e17),)
    assert file.asks == ()


def test_metadata_tells_all_that_its_writer_knew() -> None:
    file = DepthFile.of("ETHUSDT", 5, body_of(9, 1), About.of_metadata("k", METADATA))
    assert (file.epoch, file.version) == (3, (3, 9))
    assert (file.certain_bids, file.bids_complete) == (4870, False)
    assert (file.certain_asks, file.asks_complete) == (113, True)
    assert (file.event_time_ms, file.publish_time_ms) == (1723161253000, 1723161253021)
    assert file.current_time_ms == 1723161253000
    assert (file.replica, file.status, file.state) == ("host-1", "TRADING", None)


def test_a_file_without_a_diff_has_no_event_time() -> None:
    about = About.of_metadata("k", METADATA | {"event-time": "0"})
    assert (about.event_time_ms, about.current_time_ms) == (None, None)


def test_headers_tell_the_rest_and_what_is_odd_is_not_known() -> None:
    about = About.of_headers(
        {
            "depthcast-epoch": "3",
            "depthcast-certain": "bids=4870, asks=113;complete",
            "depthcast-event-time": "0",
            "depthcast-publish-time": "1723161253021",
            "depthcast-current-time": "soon",
            "depthcast-status": "HALT",
            "depthcast-state": "halted",
        }
    )
    assert (about.epoch, about.certain_bids, about.bids_complete) == (3, 4870, False)
    assert (about.certain_asks, about.asks_complete) == (113, True)
    assert (about.event_time_ms, about.current_time_ms) == (None, None)
    assert (about.publish_time_ms, about.status, about.state) == (1723161253021, "HALT", "halted")
    assert About.of_headers({"depthcast-certain": "bids=many"}) == About()
    assert DepthFile.of("ETHUSDT", 5, body_of(9, 1), About()).version is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"lastUpdateId":1,"bids":[["1","2"]',
        b'{"lastUpdateId":1,"bids":[["1","2"],"asks":[]}',
        b'{"lastUpdateId":1,"bids":[["1","2","3"]],"asks":[]}',
        b'{"lastUpdateId":1,"bids":[["1"]],"asks":[]}',
        b'{"lastUpdateId":1,"bids":[["one","2"]],"asks":[]}',
        b'{"lastUpdateId":1,"bids":[[null,"2"]],"asks":[]}',
        b'{"lastUpdateId":1,"bids":[7],"asks":[]}',
        b'{"lastUpdateId":1,"bids":[[1,"2"]],"asks":[]}',
        b'{"lastUpdateId":1,"bids":["12","34"],"asks":[]}',
        b'{"lastUpdateId":1,"bids":[],"asks":{"12":[]},"x":[],"asks":[["1","2"],"34"]}',
        b'{"lastUpdateId":1,"bids":[["NaN","2"]],"asks":[]}',
        b'{"lastUpdateId":1,"bids":[["1e555","2"]],"asks":[]}',
        b'{"lastUpdateId":1,"bids":[["1_0"," 2"]],"asks":[]}',
        b'{"lastUpdateId":1,"bids":[["-1","2"]],"asks":[]}',
        b'{"lastUpdateId":1,"bids":[["' + b"9" * 400 + b'","2"]],"asks":[]}',
    ],
)
def test_what_is_no_file_is_refused(body: bytes) -> None:
    with pytest.raises(BadFile, match="is not a published file"):
        DepthFile.of("ETHUSDT", 5, body, About())


def test_a_symbol_that_cannot_be_is_refused() -> None:
    with pytest.raises(BadKey, match="misspelled"):
        DepthFile.of("eth/usdt", 5, body_of(1, 1), About())


BITMEX = (
    b'[{"symbol":"XBTUSD","id":17,"side":"Sell","size":100,"price":98459.9,'
    b'"timestamp":"2026-11-20T10:00:00.100Z","transactTime":"2026-11-20T10:00:00.019Z"},'
    b'{"symbol":"XBTUSD","id":99,"side":"Buy","size":5000,"price":5e-7,'
    b'"timestamp":"2026-11-20T10:00:00.100Z","transactTime":"2026-11-20T10:00:00.019Z"}]'
)


def test_another_venue_s_rows_tell_more_than_levels_and_may_have_exponents() -> None:
    file = DepthFile.of("XBTUSD", 25, BITMEX, About(update_id=7), SCHEMES["bitmex"])
    assert (file.venue, file.update_id, file.asks) == ("bitmex", 7, ((98459.9, 100.0),))
    assert file.bids == ((5e-7, 5000.0),)
    bids, asks = file.rows()
    assert asks == [{"price": "98459.9", "amount": "100", "id": 17, "time": "2026-11-20T10:00:00.019Z"}]
    assert [(row["id"], row["price"]) for row in bids] == [(99, "5e-7")]


def test_it_is_shown_in_one_short_line() -> None:
    assert repr(DepthFile.of("ETHUSDT", 5000, body_of(7, 1500), About(state="live"))) == (
        "DepthFile(ETHUSDT at 7, 1500 bids, 1500 asks, live)"
    )


def test_a_file_is_its_own_table() -> None:
    file = DepthFile.of("ETHUSDT", 5, b'{"lastUpdateId":7,"bids":[["1.50","2"]],"asks":[]}', About(epoch=3))
    row = {"symbol": "ETHUSDT", "side": "bid", "level": 1, "price": 1.5, "amount": 2.0, "update_id": 7}
    row |= {"epoch": 3, "event_time_ms": None, "publish_time_ms": None}
    assert file.to_records() == [row]
    assert file.to_records(strings=True) == [row | {"price": "1.50", "amount": "2"}]
    assert file.to_pandas().shape == file.to_polars().shape == (1, len(row))
