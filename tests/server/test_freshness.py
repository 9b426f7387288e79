"""How fresh a file in memory is said to be."""

from typing import TYPE_CHECKING

import pytest

from depthcast.store import StoredObject
from server.edition import Edition
from server.freshness import Freshness, State
from server.hot import HotFile

if TYPE_CHECKING:
    from tests.server.conftest import WatchedStore

KEY = "api/v3/depth?symbol=ETHUSDT&limit=5"


def hot_file(store: "WatchedStore", status: str, confirmed_at: float) -> HotFile:
    file = HotFile(KEY)
    file.take(StoredObject(store.body(160, 5), '"x"', store.metadata(status=status)), Edition.of)
    file.confirmed_at = confirmed_at
    return file


@pytest.mark.parametrize(
    ("status", "age_s", "state"),
    [
        ("TRADING", 0.0, State.LIVE),
        ("TRADING", 3.0, State.LIVE),
        ("TRADING", 3.1, State.STALE),
        ("HALT", 3.0, State.HALTED),
        ("DELISTED", 0.0, State.HALTED),
        ("HALT", 3.1, State.STALE),
    ],
)
def test_a_file_is_as_fresh_as_the_store_and_its_symbol_let_it_be(
    store: "WatchedStore", status: str, age_s: float, state: State
) -> None:
    file = hot_file(store, status, confirmed_at=100.0)
    assert Freshness(stale_after_s=3.0).of(file, 100.0 + age_s).state is state
