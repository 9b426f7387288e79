"""What a stream of a deep book costs beside the books themselves, on what the exchange really sent."""

from itertools import chain
from typing import TYPE_CHECKING

import pytest

from simulator.capture import read
from simulator.market import listing_of
from tests.server.page.screenshots import CAPTURES, DATA, Played

if TYPE_CHECKING:
    from tests.server.push.conftest import Site

LIMIT = 1000
EVERY = 3
"""Diffs of 100 ms to a version of the file: its cadence is 250 ms."""


@pytest.mark.captures
async def test_diffs_of_a_thousand_levels_are_a_twentieth_of_the_books(site: "Site") -> None:
    paths = [DATA / name for name in CAPTURES]
    if not all(path.exists() for path in paths):
        pytest.skip(f"the captured data is not at {DATA}")
    played = Played(chain.from_iterable(read(path) for path in paths))
    book, scale = played.opening(), listing_of("ETHUSDT").scale
    await site.put(book.body(1000, LIMIT, scale), limit=LIMIT)
    await site.catalogue.refresh()
    stream = await site.open(f"symbol=ETHUSDT&limit={LIMIT}")
    stream.take()
    whole = pushed = 0
    for version in range(1001, 1201):
        for _ in range(EVERY):
            for change in played.tick(book):
                book.apply(change)
        body = book.body(version, LIMIT, scale)
        await site.put(body, limit=LIMIT)
        written = len(stream.outlet.written)
        assert set(stream.take()) <= {"diff", "state"}
        assert stream.book.body() == body
        whole += len(body)
        pushed += written
    each = f"{pushed / 200:,.0f} bytes of diffs, {whole / 200:,.0f} of books"
    print(f"a version: {each}: 1 to {whole / pushed:.1f}")
    assert pushed * 20 <= whole
