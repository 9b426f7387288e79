"""``TradingStatus``: what each symbol does, with the evidence: a document of its own, with its history.

It is composed of three sources, the first that has something to say counts:

================  ======================================  ================================================
``source``        what is claimed                         who says so
================  ======================================  ================================================
``exchangeInfo``  any status but ``TRADING``;             the exchange, in its list
                  ``DELISTED``: it is not in the list
``systemStatus``  ``MAINTENANCE``                         the exchange, of all symbols at once
``feed``          ``SILENT``, ``ONE_SIDED``, ``EMPTY``    who writes the symbol's files, of what it hears
                                                          (:mod:`updater.suspicions`): a suspicion
``exchangeInfo``  ``TRADING``                             the exchange, and nothing speaks against it
================  ======================================  ================================================

In place of ``exchangeInfo`` stands the name of the venue's own list: ``products``, ``instrument``.

::

    {"symbols":[{"symbol":"ETHUSDT","status":"SILENT","source":"feed","sinceMs":…,"listed":"TRADING"},…]}

``listed`` is the exchange's word, ``sinceMs`` (of what the feed shows) its clock of the last diff before. One
replica writes it, the one that asks for the list. Pure.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from depthcast.files import TRADING
from depthcast.heartbeat import Heartbeat, Role, SymbolBeat

MAINTENANCE: Final = "MAINTENANCE"


def compose(
    statuses: Mapping[str, str], beats: Iterable[Heartbeat], *, listed_by: str = "exchangeInfo"
) -> bytes:
    """The document: ``statuses`` is the exchange's word by symbol, ``beats`` are those of all who live.
    ``listed_by`` is the name of the exchange's list.

    Equal for all who know the same; symbols in alphabetical order.
    """
    living = tuple(beats)
    maintenance = any(beat.maintenance for beat in living)
    suspected = suspicions(living)
    entries = []
    for symbol in sorted(statuses):
        listed, held = statuses[symbol], suspected.get(symbol)
        entry: dict[str, Any] = {"symbol": symbol, "status": listed, "source": listed_by}
        if listed == TRADING and maintenance:
            entry.update(status=MAINTENANCE, source="systemStatus")
        elif listed == TRADING and held is not None:
            entry.update(status=held.suspicion, source="feed", sinceMs=held.suspected_since_ms)
        entries.append({**entry, "listed": listed})
    return orjson.dumps({"symbols": entries})


def suspicions(beats: Iterable[Heartbeat]) -> dict[str, SymbolBeat]:
    """What is suspected of each symbol by who writes its files."""
    return {
        symbol: held
        for beat in beats
        for symbol, held in beat.symbols.items()
        if held.suspicion and held.role is not Role.STANDBY
    }
