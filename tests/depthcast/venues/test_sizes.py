"""How large the files of each venue are."""

import pytest

from depthcast.files import SCHEMES
from depthcast.venues.sizes import SIZES, size_of


def test_every_venue_that_is_published_has_its_sizes() -> None:
    assert SIZES.keys() == SCHEMES.keys()


@pytest.mark.parametrize("venue", SCHEMES)
def test_files_grow_with_their_limits(venue: str) -> None:
    sizes = [size_of(venue, limit) for limit in SCHEMES[venue].limits]
    each = [size.levels * size.level_bytes for size in sizes]
    assert each == sorted(set(each))


def test_what_is_known_better_goes_first() -> None:
    assert size_of("coinbaseexchange", 2, whole=20_000) == (20_000, 22.0)
    orders = size_of("coinbaseexchange", 3, whole=20_000)
    assert orders.levels == 30_000
    assert orders.level_bytes == pytest.approx(60)
    assert size_of("binance", 5, level_bytes=20, whole=7) == (5, 20)
