"""Where snapshots come from, and how deep they are."""

import pytest

from depthcast.book import Book
from depthcast.events import Snapshot
from depthcast.keeper import WarmStart
from depthcast.keeper.sources import Sources, Warm

LIMIT = 50


class Venue:
    def __init__(self) -> None:
        self.asked: list[tuple[str, int, bool]] = []

    async def snapshot(self, symbol: str, limit: int, background: bool = False) -> Snapshot:
        self.asked.append((symbol, limit, background))
        return Snapshot(7, [], [], True, True)


def sources(venue: Venue, warm: Warm | None = None) -> Sources:
    return Sources(
        venue, warm, may_ask=lambda _: True, leads=lambda _: True, limit=LIMIT, file_reads_at_once=1
    )


async def test_the_venue_is_asked_for_as_many_levels_as_were_set() -> None:
    venue = Venue()
    asked = sources(venue)
    await asked.venue("A")
    await asked.venue("B", background=True)
    assert venue.asked == [("A", LIMIT, False), ("B", LIMIT, True)]


async def test_without_a_store_there_are_no_files() -> None:
    bare = sources(Venue())
    assert not bare.has_files
    assert await bare.file("A", 0) is None


async def test_files_are_asked_of_the_store() -> None:
    async def warm(symbol: str, wanted_id: int) -> WarmStart | None:
        return WarmStart(2, wanted_id, None) if symbol == "A" else None

    stored = sources(Venue(), warm)
    assert stored.has_files
    assert await stored.file("A", 9) == WarmStart(2, 9, None)
    assert await stored.file("B", 9) is None


@pytest.mark.parametrize(
    ("bids", "asks", "bids_complete", "asks_complete", "depth"),
    [
        (3, 9, False, False, 3),
        (9, 3, False, False, 3),
        (3, 9, True, False, 9),
        (9, 3, False, True, 9),
        (3, 2, True, True, LIMIT),
        (0, 0, True, True, LIMIT),
        (0, 5, False, True, 0),
    ],
)
def test_a_book_or_file_is_as_deep_as_its_shallower_side_and_a_whole_side_as_deep_as_any(
    bids: int, asks: int, bids_complete: bool, asks_complete: bool, depth: int
) -> None:
    shown = Snapshot(
        7,
        [[f"{100 - n}", "1"] for n in range(bids)],
        [[f"{101 + n}", "1"] for n in range(asks)],
        bids_complete,
        asks_complete,
    )
    some = sources(Venue())
    assert some.levels(shown) == depth
    assert some.depth(Book.of(shown)) == depth
