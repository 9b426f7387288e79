"""BitMEX's keys and bodies, both ways."""

import json
from random import Random

import pytest

from depthcast.errors import BadFile, BadKey
from depthcast.file_info import FileInfo
from depthcast.files import depth_key, parse_key
from depthcast.rows import Row, RowBook, RowSnapshot
from depthcast.scheme import ALL, DepthKey
from depthcast.venues.bitmex_files import BITMEX, DEPTHS, WHOLE, RowLayout
from tests.depthcast.rows.naive import NaiveRows

LAYOUT = RowLayout()
TIME_MS = 1_684_486_303_911


def rows(bids: int, asks: int) -> list[Row]:
    rng = Random(5)
    made: list[Row] = []
    for buy, count in ((True, bids), (False, asks)):
        for away in range(count):
            price = f"{100 - away / 8 if buy else 101 + away / 8:g}"
            time = f"2023-05-19T08:51:43.{away:03d}Z" if away % 3 else ""
            made.append((rng.randrange(10**10), buy, rng.randint(1, 10**6), price, time))
    return made


def body(bids: int, asks: int, depth: int = WHOLE, time_ms: int = TIME_MS) -> bytes:
    return RowBook.of(RowSnapshot("XBTUSD", 7, rows(bids, asks), time_ms)).body(depth)


def info(bids: int, asks: int, update_id: int | None = 9) -> FileInfo:
    return FileInfo(0, bids, asks, True, True, TIME_MS, TIME_MS, "r", update_id=update_id)


@pytest.mark.parametrize("limit", [*DEPTHS, 1, 7])
def test_a_key_is_the_request_it_answers(limit: int) -> None:
    key = depth_key("XBT_USDT", limit, BITMEX)
    assert key == f"api/v1/orderBook/L2?symbol=XBT_USDT&depth={limit}"
    assert parse_key(key) == DepthKey("XBT_USDT", limit)
    assert key.startswith(BITMEX.prefixes_of("XBT_USDT"))


@pytest.mark.parametrize(
    "key",
    [
        "api/v1/orderBook/L2?symbol=XBTUSD&depth=",
        "api/v1/orderBook/L2?symbol=XBTUSD&depth=025",
        "api/v1/orderBook/L2?symbol=XBTUSD&depth=-1",
        "api/v1/orderBook/L2?symbol=XBTUSD&depth=9999999999",
        "api/v1/orderBook/L2?symbol=xbtusd&depth=25",
        "api/v1/orderBook/L2?depth=25&symbol=XBTUSD",
        "api/v1/orderBook/L2?symbol=&depth=25",
    ],
)
def test_no_other_spelling_is_a_key(key: str) -> None:
    with pytest.raises(BadKey):
        parse_key(key)


def test_what_is_published_is_below_its_api() -> None:
    assert BITMEX.exchange_info_key.startswith(BITMEX.public_prefixes)
    assert BITMEX.key("XBTUSD", 25).startswith(BITMEX.public_prefixes)
    assert BITMEX.fleet_prefix == "fleet/bitmex/"


def test_zero_shows_most() -> None:
    assert BITMEX.ordered((0, 100, 25, 25)) == (25, 100, 0)
    assert BITMEX.max_limit == WHOLE
    assert (BITMEX.depth(WHOLE), BITMEX.depth(25)) == (ALL, 25)
    assert [BITMEX.covering(limit, (10, 25, 0)) for limit in (1, 10, 11, 26, 0)] == [10, 10, 25, 0, 0]
    assert BITMEX.covering(26, (10, 25)) is None
    assert BITMEX.covering(0, (10, 25)) is None
    assert BITMEX.refusal(-1) is not None
    assert BITMEX.refusal(3) is None


@pytest.mark.parametrize(("bids", "asks"), [(40, 40), (3, 40), (40, 3), (0, 12), (12, 0), (0, 0), (1, 1)])
def test_a_smaller_file_is_cut_from_a_larger_one(bids: int, asks: int) -> None:
    model = NaiveRows(rows(bids, asks))
    whole = body(bids, asks)
    assert whole == model.body("XBTUSD", WHOLE, TIME_MS)
    for limit in (1, 2, 3, 11, 39, 40, 41, WHOLE):
        assert LAYOUT.cut(whole, limit) == model.body("XBTUSD", limit, TIME_MS), limit
        assert LAYOUT.cut(body(bids, asks, 30), min(limit, 20) or 1) == model.body(
            "XBTUSD", min(limit, 20) or 1, TIME_MS
        )


def test_a_file_is_told_from_another_thing() -> None:
    whole = body(5, 5)
    LAYOUT.check("k", whole)
    LAYOUT.check("k", b"[]")
    LAYOUT.update_id("k", whole[:64])
    for damaged in (b"", b"{}", whole[:-1], whole[1:], b'{"lastUpdateId":1,"bids":[],"asks":[]}'):
        with pytest.raises(BadFile):
            LAYOUT.check("k", damaged)
    with pytest.raises(BadFile):
        LAYOUT.cut(whole[:-1], 3)


def test_a_file_is_read_by_price_and_as_rows() -> None:
    made = rows(9, 8)
    model = NaiveRows(made)
    whole = body(9, 8)
    bids, asks = LAYOUT.levels("k", whole)
    assert ([list(level) for level in bids], [list(level) for level in asks]) == (
        model.levels(True),
        model.levels(False),
    )
    assert LAYOUT.levels("k", whole, 2) == (bids[:2], asks[:2])
    assert LAYOUT.levels("k", b"[]") == ([], [])
    shown = LAYOUT.rows("k", whole)
    assert [[(row["price"], row["amount"]) for row in side] for side in shown] == [bids, asks]
    assert {row["id"] for side in shown for row in side} == {row[0] for row in made}
    snapshot = LAYOUT.snapshot("k", whole, info(9, 8))
    assert (snapshot.symbol, snapshot.update_id, snapshot.complete) == ("XBTUSD", 9, True)
    assert sorted(snapshot.rows) == sorted(made)
    assert not LAYOUT.snapshot("k", LAYOUT.cut(whole, 3), info(9, 8)).complete
    assert RowBook.of(snapshot).body(WHOLE) == whole
    with pytest.raises(BadFile):
        LAYOUT.snapshot("k", whole, info(9, 8, update_id=None))


def test_rows_that_share_a_price_are_one_level() -> None:
    twice: list[Row] = [(1, True, 5, "2.5", ""), (2, True, 6, "2.50", "")]
    shown = RowBook.of(RowSnapshot("X", 7, twice, TIME_MS)).body(WHOLE)
    assert LAYOUT.levels("k", shown) == ([("2.5", "11")], [])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"side":"Buy"', b'"side":"buy"'),
        (b'"size":', b'"size":-'),
        (b'"price":', b'"price":"x'),
        (b'"XBTUSD"', b'"ETHUSD"'),
        (b"},{", b"} ,{"),
    ],
)
def test_rows_of_another_shape_cannot_be_read(old: bytes, new: bytes) -> None:
    with pytest.raises(BadFile):
        LAYOUT.levels("k", body(3, 3).replace(old, new, 1))


def test_a_body_without_its_time_tells_whether_rows_changed() -> None:
    assert LAYOUT.unnumbered(body(5, 5)) == LAYOUT.unnumbered(body(5, 5, time_ms=TIME_MS + 1))
    assert LAYOUT.unnumbered(body(5, 5)) != LAYOUT.unnumbered(body(5, 4))
    assert LAYOUT.unnumbered(b"[]") == b"[]"
    assert len(json.loads(body(5, 5))) == 10
