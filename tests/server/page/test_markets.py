"""Which venue and symbol an address names, and how fresh a file of any venue is."""

import pytest

from depthcast.files import BINANCE, BINANCE_USDM, depth_key
from depthcast.store.memory import MemoryStore
from server.catalogue import Catalogue
from server.freshness import Currency, Freshness, State
from server.hot import HotFile
from server.page.markets import Freshnesses, Market, Markets


@pytest.fixture
async def markets() -> Markets:
    store = MemoryStore()
    for scheme, symbol in ((BINANCE, "ETHUSDT"), (BINANCE_USDM, "ETHUSDT"), (BINANCE_USDM, "XRPUSDT")):
        await store.put_if(depth_key(symbol, 5, scheme), b"", match=None)
    made = Markets(
        [Market(scheme, Catalogue(store, scheme=scheme), Freshness()) for scheme in (BINANCE, BINANCE_USDM)]
    )
    assert not made.known
    for market in made:
        await market.catalogue.refresh()
    return made


async def test_an_address_names_a_symbol_of_a_venue(markets: Markets) -> None:
    addresses = [*markets.addresses]
    assert addresses == ["ETHUSDT", "binanceusdm/ETHUSDT", "binanceusdm/XRPUSDT"]
    for address in addresses:
        found = markets.find(address)
        assert found is not None
        assert found.address == address
    assert markets.find("elsewhere/ETHUSDT") is None
    assert (len(markets), markets.known) == (2, True)


async def test_what_a_page_asks_for_is_at_the_venue_s_own_paths(markets: Markets) -> None:
    spot, futures = markets
    assert spot.book_url("币A", 5) == "/api/v3/depth?symbol=%E5%B8%81A&limit=5"
    assert futures.book_url("ETHUSDT", 20) == "/fapi/v1/depth?symbol=ETHUSDT&limit=20"
    assert (spot.stream_path, futures.stream_path) == ("/stream/depth", "/binanceusdm/stream/depth")


def test_a_file_is_as_fresh_as_its_venue_says() -> None:
    class Says(Freshness):
        def __init__(self, state: State) -> None:
            super().__init__()
            self.state = state

        def of(self, file: HotFile, now: float) -> Currency:
            return Currency(self.state)

    of_venues = {"binance": Says(State.LIVE), "binanceusdm": Says(State.STALE)}
    judge = Freshnesses(of_venues.__getitem__)
    for scheme, state in ((BINANCE, State.LIVE), (BINANCE_USDM, State.STALE)):
        assert judge.of(HotFile(depth_key("ETHUSDT", 5, scheme)), 0.0).state is state
