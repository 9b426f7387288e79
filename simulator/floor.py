"""What every exchange here has: a seed, a clock, connections, and faults that happen to all of it. Sans-I/O.

An exchange derives from :class:`Floor`, calls :meth:`Floor.strike` and :meth:`Floor.beat` in its tick, and
says what a symbol is and how requests are refused. Faults of one diff or answer belong to
:mod:`simulator.delivery` and :mod:`simulator.answer`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any, Final

from simulator.answer import Answer
from simulator.connection import Connection
from simulator.faults import Fault, Faults, Kind

_OF_CONNECTIONS: Final = (Kind.DISCONNECT, Kind.HALF_OPEN, Kind.SHUTDOWN)


class Floor(ABC):
    """``seed`` settles every market and fault; ``wall_ms`` is the clock, milliseconds since 1970."""

    def __init__(self, *, wall_ms: Callable[[], int], seed: int) -> None:
        self.wall_ms = wall_ms
        self.seed = seed
        self.connections: dict[int, Connection] = {}
        self.faults = Faults(Random(f"{seed}/faults"), wall_ms, self._act)
        self._ticked_ms = wall_ms()

    halted_status = "HALT"
    """The status of a symbol that does not trade."""

    # What an exchange says

    @property
    @abstractmethod
    def symbols(self) -> Iterable[str]:
        """What is listed."""

    @abstractmethod
    def rebase(self, symbol: str, ids: int) -> int:
        """Let what numbers a symbol's messages go on from ``ids`` below; returns the new present number."""

    @abstractmethod
    def number_of(self, symbol: str) -> int:
        """The present number of a symbol's messages."""

    @abstractmethod
    def throttle(self, for_ms: int, *, ban: bool) -> None:
        """Refuse every request for so long."""

    @abstractmethod
    def true_answer(self, sent: Mapping[str, str]) -> Answer:
        """What REST would have answered at an earlier time, as ``/sim/truth`` asks for it.

        Raises TruthError where that is not known, ValueError for what cannot be asked.
        """

    @abstractmethod
    def state_of(self, symbol: str) -> dict[str, Any]:
        """A symbol as ``/sim/state`` tells it."""

    @abstractmethod
    def set_status(self, symbol: str, status: str) -> None:
        """Change a symbol's status. Raises ValueError."""

    @abstractmethod
    def tick(self) -> None:
        """A while has passed: markets move, sessions send, faults strike."""

    # The clock

    def strike(self) -> int:
        """Give the faults that take time their chance; returns the time, and is called once a tick."""
        now_ms = self.wall_ms()
        elapsed_s = max(0, now_ms - self._ticked_ms) / 1000
        self._ticked_ms = now_ms
        if self.faults.rates:
            for number in tuple(self.connections):
                self.faults.strike(_OF_CONNECTIONS, elapsed_s, connection=number)
            for symbol in tuple(self.symbols):
                self.faults.strike((Kind.REBASE,), elapsed_s, symbol=symbol)
            self.faults.strike((Kind.THROTTLE, Kind.BAN), elapsed_s)
        return now_ms

    def beat(self, now_ms: int) -> None:
        """Let every connection do what is due."""
        for connection in tuple(self.connections.values()):
            connection.on_tick(now_ms)

    # Faults

    def _act(self, fault: Fault) -> int:
        """Do a fault that happens at once; returns how many times it did."""
        match fault.kind:
            case Kind.THROTTLE | Kind.BAN:
                self.throttle(int(fault.delay_s * 1000), ban=fault.kind is Kind.BAN)
            case Kind.REBASE:
                return self._act_on_numbers(fault)
            case _:
                return self._act_on_connections(fault)
        self.faults.record(fault, None, None, f"{fault.delay_s:.3f} s")
        return 1

    def _act_on_numbers(self, fault: Fault) -> int:
        symbols = [symbol for symbol in self.symbols if fault.symbol in (None, symbol)]
        for symbol in symbols:
            old = self.number_of(symbol)
            new = self.rebase(symbol, fault.ids)
            self.faults.record(fault, symbol, None, f"{old} -> {new}")
        return len(symbols)

    def _act_on_connections(self, fault: Fault) -> int:
        happened = 0
        for connection in tuple(self.connections.values()):
            if fault.connection not in (None, connection.id):
                continue
            if fault.symbol is not None and not connection.listens_to(fault.symbol):
                continue
            match fault.kind:
                case Kind.DISCONNECT:
                    connection.disconnect(fault.form)
                case Kind.HALF_OPEN:
                    connection.freeze()
                case Kind.SHUTDOWN:
                    connection.shut_down(fault.delay_s)
                case _:
                    connection.silence(fault.symbol)
            self.faults.record(fault, fault.symbol, connection.id)
            happened += 1
        return happened
