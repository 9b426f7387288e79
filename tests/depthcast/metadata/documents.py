"""Documents as an exchange writes them, for the tests of this package."""

import json
from typing import Any

from depthcast.metadata.changes import Change


def symbol(name: str, status: str = "TRADING", *, step: str = "0.00010000", **members: Any) -> dict[str, Any]:
    """One symbol, with the members that matter here."""
    return {
        "symbol": name,
        "status": status,
        "baseAsset": name[:3],
        "quoteAsset": name[3:],
        "orderTypes": ["LIMIT", "MARKET"],
        "isSpotTradingAllowed": True,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "100000.00", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "9000.00000000", "stepSize": step},
        ],
        "permissionSets": [["SPOT", "MARGIN"], ["TRD_GRP_004"]],
        **members,
    }


def listing(time_ms: int, *symbols: dict[str, Any], **members: Any) -> bytes:
    """A list of symbols, compact."""
    whole = {
        "timezone": "UTC",
        "serverTime": time_ms,
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000},
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
        ],
        "exchangeFilters": [],
        "symbols": list(symbols),
        **members,
    }
    return compact(whole)


def compact(value: Any) -> bytes:
    """As exchanges write JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def told(changes: tuple[Change, ...]) -> list[tuple[str, str, Any, Any]]:
    """Changes as plain values."""
    return [(each.path, each.what.value, each.before, each.after) for each in changes]
