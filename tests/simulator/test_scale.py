"""Prices and quantities as whole numbers."""

from random import Random

import pytest

from simulator.scale import MAX_UNITS, Scale, scale_of


@pytest.mark.parametrize(
    ("scale", "units", "price", "quantity"),
    [
        (Scale(8, 8), 168, "0.00000168", "0.00000168"),
        (Scale(4, 8), 588231000, "58823.1000", "5.88231000"),
        (Scale(2, 0), 5, "0.05", "5"),
        (Scale(8, 8), MAX_UNITS, "92233720368.54775807", "92233720368.54775807"),
    ],
)
def test_numbers_are_padded_to_the_symbols_decimals(
    scale: Scale, units: int, price: str, quantity: str
) -> None:
    assert (scale.price(units), scale.quantity(units)) == (price, quantity)
    assert (scale.price_units(price), scale.quantity_units(quantity)) == (units, units)
    assert scale_of(price, quantity) == scale


@pytest.mark.parametrize("scale", [Scale(8, 8), Scale(4, 8), Scale(2, 0), Scale(0, 3)])
def test_levels_are_written_as_the_single_numbers_are(scale: Scale) -> None:
    rng = Random(7)
    levels = [(rng.randrange(10**12), rng.randrange(10**12)) for _ in range(200)]
    pairs = ",".join(f'["{scale.price(price)}","{scale.quantity(quantity)}"]' for price, quantity in levels)
    assert scale.levels(levels) == f"[{pairs}]"
    assert scale.levels([]) == "[]"


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "1",
        "1.0",
        "01.00",
        "1.000",
        "-1.00",
        "+1.00",
        " 1.00",
        "1e2.00",
        "１.00",
        "1.0 ",
        "92233720368547758.08",
    ],
)
def test_a_number_of_another_spelling_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number with 2 decimals"):
        Scale(2, 2).price_units(text)


def test_without_decimals_there_is_no_point() -> None:
    assert Scale(0, 0).price_units("12") == 12
    with pytest.raises(ValueError, match="with 0 decimals"):
        Scale(0, 0).price_units("12.")
