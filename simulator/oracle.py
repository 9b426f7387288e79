"""The truth and the faults over HTTP, for programs beside this one. Sans-I/O; no exchange has such calls.

``GET /sim/truth?symbol=&id=&limit=[&generation=]``
    the exact bytes REST would have answered at that id, or 404 and why; of the newest generation that has
    the id unless one is named. The header ``X-Sim-Generations`` lists all that have it, newest first.
    (Coinbase has ``level`` in place of ``limit``, BitMEX ``depth`` and steps or a ``time``:
    :mod:`simulator.coinbase.app`, :mod:`simulator.bitmex.app`.)
``GET /sim/state``
    every symbol with its status, present id and best prices, and what else its exchange has to say.
``GET /sim/faults``
    counts, orders that wait, rates, and what happened (``since=N``: from the N-th on).
``POST /sim/faults``
    ``{"kind":"gap","symbol":"ETHUSDT","count":3,…}`` orders one (:meth:`simulator.faults.Faults.inject`),
    ``{"rates":{"gap":0.01,…}}`` replaces the rates, ``{"clear":true}`` withdraws all.
``GET /sim/metadata``
    what was changed of what the exchange says about itself (``since=N``: from the N-th on).
``POST /sim/metadata``
    an order, or a list of them, as :mod:`simulator.changes` has them; of Binance.
"""

import json
from dataclasses import asdict
from typing import Any, Final
from urllib.parse import parse_qsl

from simulator.answer import Answer
from simulator.changes import Changes
from simulator.faults import Kind
from simulator.floor import Floor
from simulator.truth import TruthError

_ORDER: Final = {"kind", "symbol", "connection", "count", "form", "ids", "delay_s"}


class Oracle:
    """Answers ``/sim/…`` for one exchange."""

    def __init__(self, exchange: Floor, changes: Changes | None = None) -> None:
        self._exchange = exchange
        self._changes = changes

    def answer(self, method: str, path: str, query: str, body: bytes) -> Answer:
        """The answer to a request; ``query`` is raw."""
        sent = dict(parse_qsl(query, keep_blank_values=True))
        try:
            match method, path:
                case "GET", "/sim/truth":
                    return self._exchange.true_answer(sent)
                case "GET", "/sim/state":
                    return _json(200, self._state())
                case "GET", "/sim/faults":
                    return _json(200, self._faults(int(sent.get("since", "0"))))
                case "POST", "/sim/faults":
                    return _json(200, self._order(json.loads(body)))
                case "GET", "/sim/metadata" if self._changes is not None:
                    return _json(200, _changed(self._changes, int(sent.get("since", "0"))))
                case "POST", "/sim/metadata" if self._changes is not None:
                    return _json(200, _change(self._changes, json.loads(body)))
        except TruthError as error:
            return _json(404, {"error": str(error)})
        except (ValueError, TypeError) as error:
            return _json(400, {"error": str(error)})
        return _json(404, {"error": f"no {method} {path} here"})

    def _state(self) -> dict[str, Any]:
        exchange = self._exchange
        return {
            "time_ms": exchange.wall_ms(),
            "connections": len(exchange.connections),
            "symbols": {symbol: exchange.state_of(symbol) for symbol in exchange.symbols},
        }

    def _faults(self, since: int) -> dict[str, Any]:
        faults = self._exchange.faults
        total = faults.counts.total()
        # Of everything that ever happened the list holds the last part.
        forgotten = total - len(faults.happened)
        return {
            "total": total,
            "counts": dict(faults.counts),
            "rates": dict(faults.rates),
            "waiting": [asdict(fault) for fault in faults.waiting],
            "happened": [
                happened.as_json() for happened in list(faults.happened)[max(0, since - forgotten) :]
            ],
        }

    def _order(self, order: Any) -> dict[str, Any]:
        faults = self._exchange.faults
        if not isinstance(order, dict):
            raise ValueError("an order is a JSON object")
        if order.get("clear") is True and len(order) == 1:
            faults.clear()
            return {"cleared": True}
        if isinstance(order.get("rates"), dict) and len(order) == 1:
            faults.set_rates({Kind(kind): float(rate) for kind, rate in order["rates"].items()})
            return {"rates": dict(faults.rates)}
        unknown = order.keys() - _ORDER
        if unknown or "kind" not in order:
            raise ValueError(f"an order has a kind and may have {', '.join(sorted(_ORDER - {'kind'}))}")
        return {"happened": faults.inject(**order)}


def _changed(changes: Changes, since: int) -> dict[str, Any]:
    forgotten = changes.count - len(changes.happened)
    happened = list(changes.happened)[max(0, since - forgotten) :]
    return {"total": changes.count, "happened": [asdict(each) for each in happened]}


def _change(changes: Changes, orders: Any) -> dict[str, Any]:
    orders = orders if isinstance(orders, list) else [orders]
    if not all(isinstance(order, dict) for order in orders):
        raise ValueError("a change is a JSON object")
    for order in orders:
        changes.order(order)
    return {"total": changes.count}


def _json(status: int, content: dict[str, Any]) -> Answer:
    body = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    return Answer(status, body, {"Content-Type": "application/json"})
