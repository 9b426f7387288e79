"""What faults do to the diffs of one subscription on their way to a connection. Sans-I/O."""

from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from simulator.connection import Connection
from simulator.faults import DIFF_KINDS, Fault, Faults, Kind

RECENT: Final = 32
"""A straggler is one of the last so many diffs."""

Damage = Callable[[str, str, Random], str | bytes]
"""A frame that no reader may take for the one given; by a form of :data:`simulator.faults.FORMS`."""


class Delivery:
    """The diffs of ``symbol`` to one connection. At most one of ``kinds`` happens to a diff; ``damaged``
    makes the frames of ``malformed``.
    """

    def __init__(
        self,
        connection: Connection,
        faults: Faults,
        symbol: str,
        damaged: Damage,
        kinds: Sequence[Kind] = DIFF_KINDS,
    ) -> None:
        self._connection = connection
        self._faults = faults
        self._symbol = symbol
        self._damaged = damaged
        self._kinds = kinds
        # A straggler is an earlier diff: there has to be one.
        self._first_kinds = [kind for kind in kinds if kind is not Kind.STRAGGLER]
        self._recent: deque[str] = deque(maxlen=RECENT)
        self._held: str | None = None

    def forget(self) -> None:
        """What was sent before belongs to numbers that are no longer in force."""
        self._recent.clear()
        self._held = None

    def send(self, text: str, detail: str) -> None:
        """Send a diff, unless a fault says otherwise; ``detail`` names it in the record."""
        connection = self._connection
        if self._held is not None:
            connection.send(text)
            connection.send(self._held)
            self._held = None
            return
        kinds = self._kinds if self._recent else self._first_kinds
        fault = self._faults.take(kinds, self._symbol, connection.id)
        if fault is None:
            connection.send(text)
        else:
            self._send_with(fault, text, detail)
        self._recent.append(text)

    def _send_with(self, fault: Fault, text: str, detail: str) -> None:
        connection = self._connection
        match fault.kind:
            case Kind.GAP:
                pass
            case Kind.DUPLICATE:
                connection.send(text)
                connection.send(text)
            case Kind.STRAGGLER:
                connection.send(text)
                connection.send(connection.rng.choice(self._recent))
            case Kind.REORDER:
                self._held = text
            case _:
                detail += f" {fault.form}"
                connection.send(self._damaged(text, fault.form, connection.rng))
        self._faults.record(fault, self._symbol, connection.id, detail)
