"""Changes of what the exchange says about itself, ordered by a test or over ``/sim/metadata``. Sans-I/O.

========================================================  ==============================================
order                                                     what changes
========================================================  ==============================================
``{"change":"list","symbol":S}``                          a symbol is listed, with a synthetic market
``{"change":"delist","symbol":S}``                        it is listed no more
``{"change":"rename","symbol":S,"to":T}``                 it is listed under another name
``{"change":"status","symbol":S,"status":"HALT"}``        its status; what is not TRADING stands still
``{"change":"filter","symbol":S,"filter":F,"set":{…}}``   members of one of its filters
``{"change":"fee","fee":"maker","rate":R[,"symbol":S]}``  an account's fee, for all symbols or for one
``{"change":"balance","asset":A,"free":F,"locked":L}``    what an account has of an asset
``{"change":"maintenance","on":true}``                    the system status; meanwhile nothing trades
``{"change":"spoil","path":P,"form":F[,"count":N]}``      how the next answers at a path are damaged
========================================================  ==============================================

``"key"`` names the account of a fee or a balance by its API key; without it the first one is meant.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from simulator.answer import SPOILED
from simulator.exchange import Exchange
from simulator.listing import Listing
from simulator.market import Profile, listing_of

HISTORY: Final = 100_000
"""So many changes are remembered."""

_MEMBERS: Final[Mapping[str, tuple[set[str], set[str]]]] = {
    "list": ({"symbol"}, set()),
    "delist": ({"symbol"}, set()),
    "rename": ({"symbol", "to"}, set()),
    "status": ({"symbol", "status"}, set()),
    "filter": ({"symbol", "filter", "set"}, set()),
    "fee": ({"fee", "rate"}, {"symbol", "key"}),
    "balance": ({"asset", "free", "locked"}, {"key"}),
    "maintenance": ({"on"}, set()),
    "spoil": ({"path", "form"}, {"count"}),
}
"""The members of an order, needed and allowed."""


@dataclass(frozen=True, slots=True)
class Changed:
    """An order that was carried out, and when by the exchange's clock."""

    at_ms: int
    order: Mapping[str, Any]


class Changes:
    """Carries orders out and remembers them. ``profile`` is how symbols trade that are listed here."""

    def __init__(self, exchange: Exchange, profile: Profile | None = None) -> None:
        self._exchange = exchange
        self._profile = profile or Profile(bids=200, asks=200, changes=8)
        self.happened: deque[Changed] = deque(maxlen=HISTORY)
        self.count = 0

    def order(self, order: Mapping[str, Any]) -> None:
        """Carry one out. Raises ValueError for one that makes no sense, which changes nothing."""
        needed, allowed = _MEMBERS.get(str(order.get("change")), (None, set()))
        if needed is None:
            raise ValueError(f"a change is one of {', '.join(_MEMBERS)}")
        given = order.keys() - {"change"}
        if not needed <= given or not given <= needed | allowed:
            raise ValueError(
                f"{order['change']} has {', '.join(sorted(needed))}, not {', '.join(sorted(given))}"
            )
        self._carry_out(order)
        self.count += 1
        self.happened.append(Changed(self._exchange.wall_ms(), dict(order)))

    def _listing_of(self, symbol: str) -> Listing:
        exchange = self._exchange
        return listing_of(symbol, futures=exchange.futures, coin_margined=exchange.coin_margined)

    def _carry_out(self, order: Mapping[str, Any]) -> None:
        exchange, now_ms = self._exchange, self._exchange.wall_ms()
        match order["change"]:
            case "list":
                exchange.add_market(self._listing_of(order["symbol"]), self._profile)
            case "delist":
                exchange.delist(order["symbol"])
            case "rename":
                exchange.rename(order["symbol"], order["to"], self._profile)
            case "status":
                exchange.set_status(order["symbol"], order["status"])
            case "filter":
                if order["symbol"] not in exchange.instruments:
                    raise ValueError(f"no symbol {order['symbol']!r:.80} is listed")
                exchange.instruments[order["symbol"]].listing.set_filter(order["filter"], order["set"])
            case "fee":
                account = exchange.accounts.of_key(order.get("key"))
                account.set_fee(order["fee"], str(order["rate"]), symbol=order.get("symbol"), now_ms=now_ms)
            case "balance":
                account = exchange.accounts.of_key(order.get("key"))
                account.set_balance(order["asset"], str(order["free"]), str(order["locked"]), now_ms=now_ms)
            case "maintenance":
                exchange.maintenance = bool(order["on"])
            case _:
                count = order.get("count", 1)
                if order["form"] not in SPOILED or not isinstance(count, int) or not 1 <= count <= 10_000:
                    raise ValueError(f"a form is one of {', '.join(SPOILED)}, and count up to 10,000")
                exchange.spoiled.setdefault(order["path"], deque()).extend([order["form"]] * count)
