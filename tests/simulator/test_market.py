"""The synthetic flow has the shape it promises, and the same seed gives the same market."""

from random import Random
from statistics import mean

import pytest

from simulator.market import MAX_CHANGES, Market, Profile, listing_of, names, profile_of
from simulator.truth import ASK, BID, Change, TrueBook


def traded(
    profile: Profile, ticks: int, *, seed: int = 1, symbol: str = "ETHUSDT"
) -> tuple[TrueBook, list[list[Change]]]:
    market = Market(listing_of(symbol), profile, Random(seed))
    book = market.opening()
    flow: list[list[Change]] = []
    for tick in range(ticks):
        flow.append([])
        for change in market.tick(book):
            book.apply(change)
            flow[-1].append(change)
        if tick % 20 == 0:
            book.check()
    book.check()
    return book, flow


def test_the_same_seed_gives_the_same_market_and_another_one_another() -> None:
    profile = Profile(bids=300, asks=300)
    assert traded(profile, 50)[1] == traded(profile, 50)[1]
    assert traded(profile, 50)[1] != traded(profile, 50, seed=2)[1]


def test_diffs_have_about_46_changes_with_a_heavy_tail_and_some_ticks_have_none() -> None:
    _, flow = traded(Profile(bids=1000, asks=1000), 3000)
    sizes = [len(changes) for changes in flow if changes]
    assert 41 < mean(sizes) < 51
    assert 300 < max(sizes) <= MAX_CHANGES
    assert 0.005 < 1 - len(sizes) / len(flow) < 0.05


def test_a_deep_book_stays_deeper_than_what_rest_shows() -> None:
    book, _ = traded(Profile(), 600)
    assert all(5500 < len(side) < 6500 for side in book.sides)


def test_changes_are_updates_inserts_and_deletes_near_the_top_more_often_than_far_from_it() -> None:
    market = Market(listing_of("ETHUSDT"), Profile(bids=2000, asks=2000), Random(5))
    book = market.opening()
    kinds = {"update": 0, "insert": 0, "delete": 0, "delete of nothing": 0}
    near = far = 0
    for _ in range(300):
        for change in market.tick(book):
            side = book.sides[change.side]
            known = change.price in side
            if known:
                rank = side.index(change.price)
                rank = len(side) - 1 - rank if change.side == BID else rank
                near, far = near + (rank < 45), far + (rank >= 45)
            kind = (
                ("update" if known else "insert")
                if change.quantity
                else ("delete" if known else "delete of nothing")
            )
            kinds[kind] += 1
            book.apply(change)
    total = sum(kinds.values())
    assert 0.6 < kinds["update"] / total < 0.8
    assert 0.08 < kinds["insert"] / total < 0.25
    assert 0.08 < kinds["delete"] / total < 0.25
    assert kinds["delete of nothing"] > 0
    # Log-uniform over 2,000 ranks: half of it is below the square root.
    assert 0.4 < near / (near + far) < 0.65


def test_the_mid_price_wanders() -> None:
    market = Market(listing_of("ETHUSDT"), Profile(bids=500, asks=500), Random(5))
    book, mids = market.opening(), set()
    for _ in range(300):
        for change in market.tick(book):
            book.apply(change)
        bid, ask = book.best(BID), book.best(ASK)
        assert bid is not None
        assert ask is not None
        mids.add(bid[0] + ask[0])
    assert len(mids) > 50


@pytest.mark.parametrize("symbol", ["ETHUSDT", "SOLBTC", "XLMUSD", "BTCIDRT", "ADATRY", "XRPFDUSD"])
def test_prices_and_quantities_stand_on_the_symbols_grid(symbol: str) -> None:
    listing = listing_of(symbol)
    _, flow = traded(Profile(bids=100, asks=100), 100, symbol=symbol)
    for change in [change for changes in flow for change in changes]:
        assert change.price % listing.tick == 0
        assert change.quantity % listing.lot == 0


def test_there_are_thin_quiet_one_sided_and_empty_books() -> None:
    profiles = [profile_of(index, depth=6000) for index in range(20)]
    quiet = [profile for profile in profiles if profile.quiet >= 0.9]
    thin = [profile for profile in profiles if 1 < profile.bids < 100]
    [one_sided] = [profile for profile in profiles if not profile.bids]
    [nearly_empty] = [profile for profile in profiles if profile.bids == 1]
    assert quiet
    assert thin
    _, flow = traded(quiet[0], 200)
    assert sum(map(bool, flow)) < 60
    book, flow = traded(one_sided, 200)
    assert not book.sides[BID]
    assert book.sides[ASK]
    market = Market(listing_of("ETHUSDT"), nearly_empty, Random(1))
    book, empty = market.opening(), set()
    for _ in range(400):
        for change in market.tick(book):
            book.apply(change)
        empty.add((bool(book.sides[BID]), bool(book.sides[ASK])))
    assert len(empty) == 4  # with both sides, with either and with none


def test_symbol_names_are_distinct_and_one_is_not_ascii() -> None:
    assert len(set(names(200))) == 200
    assert any(not name.isascii() for name in names(20))
