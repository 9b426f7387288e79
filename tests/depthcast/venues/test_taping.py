"""What a venue's tape holds: bodies as the venue writes them."""

from depthcast.book import Book
from depthcast.events import Diff, Snapshot
from depthcast.tape.keys import segment_key
from depthcast.venues.registry import VENUES
from depthcast.venues.taping import PAIR, TAPINGS, Told, taping_of


def test_every_venue_that_is_published_says_what_its_tape_holds() -> None:
    assert TAPINGS.keys() >= VENUES.keys()
    for venue in TAPINGS:
        assert segment_key(venue, "X", 0)
    assert taping_of("another") == taping_of("binance")


def test_a_body_is_what_a_book_writes() -> None:
    book = Book.of(Snapshot(7, [["2.0", "5"]], [["2.1", "3"]], True, True, 9, 8))
    for changed_ms in (0, 8):
        book.apply(Diff("X", 8, book.update_id + 1, 12, [["2.0", "6.5"]], [], transaction_time_ms=changed_ms))
        bids, asks = (",".join(PAIR.format(*level) for level in side) for side in book.strings())
        made = taping_of("binanceusdm").body(Told(book.update_id, 12, changed_ms), bids, asks)
        assert made.encode() == book.body(5)
