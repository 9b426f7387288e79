"""Entries of lists as rows for people: whatever an exchange sends, a row is made of it."""

from decimal import Decimal
from typing import Any

import pytest

from depthcast.venues.shown import Shown, binance_row, size_of, text_of


@pytest.mark.parametrize(
    ("held", "size"),
    [
        ("0.10", Decimal("0.10")),
        (5, Decimal(5)),
        (Decimal("1E-8"), Decimal("0.00000001")),
        (None, None),
        (True, None),
        (0.5, None),
        ("much", None),
        ("NaN", None),
        ([], None),
    ],
)
def test_a_size_is_a_finite_number_or_none(held: Any, size: Decimal | None) -> None:
    assert size_of({"x": held}, "x") == size


def test_a_symbol_of_spot_and_a_contract_have_the_same_columns() -> None:
    price = {"filterType": "PRICE_FILTER", "minPrice": "0.1", "maxPrice": "9", "tickSize": "0.01"}
    lot = {"filterType": "LOT_SIZE", "minQty": "2", "maxQty": "8", "stepSize": "0.5"}
    sizes = tuple(map(Decimal, ("0.01", "0.1", "9", "0.5", "2", "8", "5")))
    spot = {"symbol": "A", "status": "HALT"}
    notional = {"filterType": "NOTIONAL", "minNotional": "5"}
    assert binance_row({**spot, "filters": [price, lot, notional]}) == Shown("A", "HALT", "", *sizes)
    contract = {"symbol": "A_PERP", "contractStatus": "TRADING", "contractType": "PERPETUAL"}
    least = {"filterType": "MIN_NOTIONAL", "notional": "5"}
    assert binance_row({**contract, "filters": [price, lot, least]}) == Shown(
        "A_PERP", "TRADING", "PERPETUAL", *sizes
    )


@pytest.mark.parametrize("filters", [None, {}, [5], [{"filterType": "LOT_SIZE", "minQty": {}}]])
def test_filters_that_are_none_leave_cells_empty(filters: Any) -> None:
    assert binance_row({"symbol": 5, "filters": filters}) == Shown("", "")
    assert text_of({"x": 5}, "x") == ""
