"""Coinbase's books by price: the same files, with versions from time and without counts."""

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from depthcast.events import Diff, Snapshot
from depthcast.files import check_body
from depthcast.unsequenced import BITS_OF_US
from depthcast.venues.coinbase_files import COINBASE
from depthcast.venues.coinbase_prices import CoinbaseByPrice, PriceBook

sides = st.dictionaries(st.integers(1, 99).map(str), st.integers(1, 50).map(str), max_size=12)


@given(sides, sides, st.integers(0, 4 * 10**15), st.integers(0, 2**BITS_OF_US - 1))
def test_a_body_is_the_book_s_prices_at_its_time(
    bids: dict[str, str], asks: dict[str, str], at_us: int, count: int
) -> None:
    asks = {str(int(price) + 100): size for price, size in asks.items()}
    number = at_us << BITS_OF_US | count
    rows = (
        sorted(bids.items(), key=lambda row: -int(row[0])),
        sorted(asks.items(), key=lambda row: int(row[0])),
    )
    bought, sold = ([list(row) for row in side] for side in rows)
    book = PriceBook.of(Snapshot(number, bought, sold, True, True))
    for level, body in zip((2, 1), book.bodies([2, 1]), strict=True):
        told = json.loads(body)
        shown = [[[*row, 0] for row in (side if level == 2 else side[:1])] for side in rows]
        assert [told["bids"], told["asks"]] == shown
        assert told["sequence"] == check_body(COINBASE.key("BTC-USD", level), body) == number
        since = datetime.fromisoformat(told["time"]) - datetime(1970, 1, 1, tzinfo=UTC)
        assert since.days * 86_400_000_000 + since.seconds * 1_000_000 + since.microseconds == at_us
        assert json.dumps(told, separators=(",", ":")).encode() == body


def test_it_changes_as_books_by_price_do() -> None:
    book = PriceBook.of(Snapshot(7, [["2.0", "5"]], [["2.1", "3"]], True, True))
    book.apply(Diff("X", 8, 8, 0, [["2.0", "0"], ["1.9", "4"]], []))
    assert book.body(2).startswith(b'{"bids":[["1.9","4",0]],"asks":[["2.1","3",0]],"sequence":8,')


def test_a_snapshot_counts_as_the_stream_does() -> None:
    body = b'{"bids":[],"asks":[],"sequence":7,"auction_mode":false,"time":"1970-01-01T00:00:01Z"}'
    assert CoinbaseByPrice().parse_snapshot(body, 3).update_id == 1_000_000 << BITS_OF_US
