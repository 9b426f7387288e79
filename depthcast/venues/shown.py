"""``Shown``: one symbol of a venue's list as people are shown it, in the same columns for all. Pure."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple


class Shown(NamedTuple):
    """One symbol. ``note``: what else is to be known of it, in a few words; sizes are ``None`` where none are
    told."""

    symbol: str
    status: str
    note: str = ""
    tick: Decimal | None = None
    price_from: Decimal | None = None
    price_to: Decimal | None = None
    step: Decimal | None = None
    quantity_from: Decimal | None = None
    quantity_to: Decimal | None = None
    notional_from: Decimal | None = None


def size_of(entry: Mapping[str, Any], name: str) -> Decimal | None:
    """A size of an entry, which exchanges write as text or as a number; ``None`` for anything else.

    >>> size_of({"tickSize": "0.50"}, "tickSize"), size_of({"tickSize": None}, "tickSize")
    (Decimal('0.50'), None)
    """
    held = entry.get(name)
    if isinstance(held, bool) or not isinstance(held, str | int | Decimal):
        return None
    try:
        size = Decimal(held)
    except InvalidOperation:
        return None
    return size if size.is_finite() else None


def text_of(entry: Mapping[str, Any], name: str) -> str:
    """A text of an entry; empty where there is none."""
    held = entry.get(name)
    return held if isinstance(held, str) else ""


def binance_row(entry: Mapping[str, Any]) -> Shown:
    """An entry of any of Binance's lists: of futures its note is the kind of contract.

    >>> filters = [{"filterType": "PRICE_FILTER", "tickSize": "0.10"}]
    >>> binance_row({"symbol": "A", "status": "HALT", "contractType": "PERPETUAL", "filters": filters})[:4]
    ('A', 'HALT', 'PERPETUAL', Decimal('0.10'))
    """
    listed = entry.get("filters")
    filters: dict[Any, Mapping[str, Any]] = {
        each.get("filterType"): each
        for each in (listed if isinstance(listed, list) else ())
        if isinstance(each, dict)
    }
    price, lot = filters.get("PRICE_FILTER", {}), filters.get("LOT_SIZE", {})
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {}
    return Shown(
        text_of(entry, "symbol"),
        text_of(entry, "status") or text_of(entry, "contractStatus"),
        text_of(entry, "contractType"),
        size_of(price, "tickSize"),
        size_of(price, "minPrice"),
        size_of(price, "maxPrice"),
        size_of(lot, "stepSize"),
        size_of(lot, "minQty"),
        size_of(lot, "maxQty"),
        size_of(notional, "minNotional") or size_of(notional, "notional"),
    )
