"""Books of an exchange that tells of every order, over real sockets, beside its own."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from depthcast.books import Books, BookView
from depthcast.errors import SettingsError
from depthcast.orders import Tolerance
from depthcast.venues.coinbase_signing import VARIABLES, CoinbaseKey
from simulator.coinbase.app import CoinbaseSimulator
from tests.depthcast.books.coinbase import KEY, KEY_TEXT, PRODUCTS, coinbase
from tests.depthcast.books.exchange import until


def compare(sim: CoinbaseSimulator, books: Books, name: str) -> None:
    """What a view shows is the exchange's at that sequence: orders, levels, bodies."""
    view = books[name]
    orders = view.orders(strings=True)
    true = json.loads(sim.exchange.markets[name].journal.body(orders.update_id, 3))
    assert [list(each) for each in orders.bids] == true["bids"]
    assert [list(each) for each in orders.asks] == true["asks"]
    for level in (1, 2, 3):
        assert view.body(level) == sim.exchange.markets[name].journal.body(view.update_id, level)
    by_price = json.loads(view.body(2))
    top = view.top(strings=True)
    assert top.bids == [[price, size] for price, size, _ in by_price["bids"]]
    assert view.top(3).asks == [[float(price), float(size)] for price, size, _ in by_price["asks"][:3]]


@pytest.mark.parametrize("given", ["value", "file", "environment"])
async def test_books_by_order_are_the_exchange_s(
    tmp_path: Path, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in zip(VARIABLES, KEY, strict=True):
        if given == "environment":
            monkeypatch.setenv(name, value)
        else:
            monkeypatch.delenv(name, raising=False)
    async with coinbase(tmp_path) as sim:
        keys: dict[str, Any] = {
            "value": CoinbaseKey.parse(KEY_TEXT),
            "file": tmp_path / "key",
            "environment": None,
        }
        books = Books("coinbaseexchange", PRODUCTS, rest_url=sim.rest_url, ws_url=sim.ws_url, key=keys[given])
        async with books:
            # Nothing of a quiet product comes before something is traded.
            await until(lambda: len(sim.exchange.connections) == 1)
            changes = books.changes(PRODUCTS[0], strings=True)
            await until(lambda: all(books[name].ready for name in PRODUCTS), lambda: str(books._failures))
            assert (await anext(changes)).rebuilt
            known = _levels(books, PRODUCTS[0])
            for _ in range(5):
                await sim.tick()
                for name in PRODUCTS:
                    market, view = sim.exchange.markets[name], books[name]
                    target = market.sequence
                    await until(partial(_reached, view, target))
                    compare(sim, books, name)
            change = await anext(changes)
            assert not change.rebuilt
            for side, levels in (("bids", change.bids), ("asks", change.asks)):
                known[side].update((price, size) for price, size in levels)
            standing = {
                side: {price: size for price, size in levels.items() if size != "0"}
                for side, levels in known.items()
            }
            assert change.update_id == books[PRODUCTS[0]].update_id
            assert standing == _levels(books, PRODUCTS[0])
            assert books[PRODUCTS[0]].certainty.bids_complete
            books.check()


def _levels(books: Books, name: str) -> dict[str, dict[str, str]]:
    top = books[name].top(strings=True)
    sides = {"bids": top.bids, "asks": top.asks}
    return {side: {price: size for price, size in levels} for side, levels in sides.items()}  # noqa: C416


def _reached(view: BookView, target: int) -> bool:
    return view.update_id >= target


async def test_a_product_that_the_stream_refuses_is_waited_for_with_its_words(tmp_path: Path) -> None:
    async with coinbase(tmp_path) as sim:
        books = Books(
            "coinbaseexchange",
            ["NO-SUCH"],
            rest_url=sim.rest_url,
            ws_url=sim.ws_url,
            key=str(tmp_path / "key"),
            tolerance=Tolerance(bears=0),
        )
        async with books:
            view = books["NO-SUCH"]
            await until(lambda: "NO-SUCH is not a valid product" in str(view.not_ready()))
            assert not view.ready


def test_without_a_key_it_is_said_that_one_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingsError, match="coinbaseexchange wants an account's key"):
        Books("coinbaseexchange", PRODUCTS)
