"""The truth and the faults over HTTP, for programs beside this one. Sans-I/O; no part of Binance's scheme.

``GET /sim/truth?symbol=&id=&limit=[&generation=]``
    the exact bytes REST would have answered at that id, or 404 and why; of the newest generation that has
    the id unless one is named. The header ``X-Sim-Generations`` lists all that have it, newest first.
``GET /sim/state``
    every symbol with its present id, generation, event time, number of levels and best prices.
``GET /sim/faults``
    counts, orders that wait, rates, and what happened (``since=N``: from the N-th on).
``POST /sim/faults``
    ``{"kind":"gap","symbol":"ETHUSDT","count":3,…}`` orders one (:meth:`simulator.faults.Faults.inject`),
    ``{"rates":{"gap":0.01,…}}`` replaces the rates, ``{"clear":true}`` withdraws all.
``GET /sim/metadata``
    what was changed of what the exchange says about itself (``since=N``: from the N-th on).
``POST /sim/metadata``
    an order, or a list of them, as :mod:`simulator.changes` has them.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final
from urllib.parse import parse_qsl

from simulator.changes import Changes
from simulator.exchange import Exchange, Instrument
from simulator.faults import Kind
from simulator.rest import Answer
from simulator.truth import ASK, BID, MAX_DEPTH, TruthError

_ORDER: Final = {"kind", "symbol", "connection", "count", "form", "ids", "delay_s"}


class Oracle:
    """Answers ``/sim/…`` for one exchange."""

    def __init__(self, exchange: Exchange, changes: Changes | None = None) -> None:
        self._exchange = exchange
        self._changes = changes or Changes(exchange)

    def answer(self, method: str, path: str, query: str, body: bytes) -> Answer:
        """The answer to a request; ``query`` is raw."""
        sent = dict(parse_qsl(query, keep_blank_values=True))
        try:
            match method, path:
                case "GET", "/sim/truth":
                    return self._truth(sent)
                case "GET", "/sim/state":
                    return _json(200, self._state())
                case "GET", "/sim/faults":
                    return _json(200, self._faults(int(sent.get("since", "0"))))
                case "POST", "/sim/faults":
                    return _json(200, self._order(json.loads(body)))
                case "GET", "/sim/metadata":
                    return _json(200, self._changed(int(sent.get("since", "0"))))
                case "POST", "/sim/metadata":
                    return _json(200, self._change(json.loads(body)))
        except TruthError as error:
            return _json(404, {"error": str(error)})
        except (ValueError, TypeError) as error:
            return _json(400, {"error": str(error)})
        return _json(404, {"error": f"no {method} {path} here"})

    def _truth(self, sent: Mapping[str, str]) -> Answer:
        symbol, update_id = sent.get("symbol", ""), int(sent.get("id", ""))
        limit, generation = int(sent.get("limit", str(MAX_DEPTH))), sent.get("generation")
        if limit < 1:
            raise ValueError("limit is at least 1")
        truth = self._exchange.truth
        body = truth.body(symbol, update_id, limit, None if generation is None else int(generation))
        holding = ",".join(str(journal.generation) for journal in truth.holding(symbol, update_id))
        return Answer(200, body, {"Content-Type": "application/json", "X-Sim-Generations": holding})

    def _state(self) -> dict[str, Any]:
        exchange = self._exchange
        return {
            "time_ms": exchange.wall_ms(),
            "connections": len(exchange.connections),
            "symbols": {symbol: _state_of(i) for symbol, i in exchange.instruments.items()},
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

    def _changed(self, since: int) -> dict[str, Any]:
        changes = self._changes
        forgotten = changes.count - len(changes.happened)
        happened = list(changes.happened)[max(0, since - forgotten) :]
        return {"total": changes.count, "happened": [asdict(each) for each in happened]}

    def _change(self, orders: Any) -> dict[str, Any]:
        orders = orders if isinstance(orders, list) else [orders]
        if not all(isinstance(order, dict) for order in orders):
            raise ValueError("a change is a JSON object")
        for order in orders:
            self._changes.order(order)
        return {"total": self._changes.count}


def _state_of(instrument: Instrument) -> dict[str, Any]:
    journal = instrument.journal
    bid, ask = journal.head.best(BID), journal.head.best(ASK)
    return {
        "status": instrument.listing.status,
        "update_id": journal.update_id,
        "sent_id": instrument.sent_id,
        "generation": journal.generation,
        "oldest_id": journal.oldest_id,
        "event_time_ms": instrument.time_ms,
        "bids": len(journal.head.sides[BID]),
        "asks": len(journal.head.sides[ASK]),
        "best_bid": None if bid is None else journal.scale.price(bid[0]),
        "best_ask": None if ask is None else journal.scale.price(ask[0]),
    }


def _json(status: int, content: dict[str, Any]) -> Answer:
    body = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    return Answer(status, body, {"Content-Type": "application/json"})
