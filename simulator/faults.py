"""What can go wrong: on request, or at random at given rates, and the record of what did.

=================  =============================================  =====================================
kind               what happens                                   its rate is a chance per
=================  =============================================  =====================================
gap                a diff is not sent on one connection           diff sent
straggler          an old diff is sent again after a newer one    diff sent
duplicate          a diff is sent twice                           diff sent
reorder            a diff is sent after the one that follows it   diff sent
malformed          a diff arrives damaged (``form``)              diff sent
silent             a subscription is acknowledged, then nothing   stream subscribed
grouping           a connection's diffs are cut at ids of its own connection opened
refuse             a connection is refused (``form``)             connection attempt
disconnect         a connection ends (``form``)                   connection and second
half_open          no frames, no pongs; the TCP connection stays  connection and second
shutdown           serverShutdown, the end after ``delay_s``      connection and second
stale_snapshot     REST answers the book of ``ids`` ids ago       depth answer
slow_snapshot      REST answers after ``delay_s``                 depth answer
failed_snapshot    REST fails (``form``)                          depth answer
rebase             a symbol's ids go down by ``ids``              symbol and second
throttle           429 to everybody for ``delay_s``               second
ban                418 to everybody for ``delay_s``               second
error              a subscription is refused with an error        subscription of a book
=================  =============================================  =====================================

Promises: with the same seed and the same opportunities the same faults happen; each that happened is counted
and listed. Leaves to others: doing them, at the place where each belongs.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from random import Random
from typing import Any, Final


class Kind(StrEnum):
    """The table above."""

    GAP = "gap"
    STRAGGLER = "straggler"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    MALFORMED = "malformed"
    SILENT = "silent"
    GROUPING = "grouping"
    REFUSE = "refuse"
    DISCONNECT = "disconnect"
    HALF_OPEN = "half_open"
    SHUTDOWN = "shutdown"
    STALE_SNAPSHOT = "stale_snapshot"
    SLOW_SNAPSHOT = "slow_snapshot"
    FAILED_SNAPSHOT = "failed_snapshot"
    REBASE = "rebase"
    THROTTLE = "throttle"
    BAN = "ban"
    ERROR = "error"


DIFF_KINDS: Final = (Kind.GAP, Kind.STRAGGLER, Kind.DUPLICATE, Kind.REORDER, Kind.MALFORMED)
"""What can happen to one diff on its way; at most one of them does."""

TIMED_KINDS: Final = (
    *(Kind.DISCONNECT, Kind.HALF_OPEN, Kind.SHUTDOWN),
    *(Kind.REBASE, Kind.THROTTLE, Kind.BAN),
)
"""What happens at once when it is injected; the others wait for their opportunity."""

FORMS: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.MALFORMED: ("json", "missing", "number", "type", "binary", "empty"),
    Kind.SILENT: ("next", "now"),
    Kind.REFUSE: ("status", "abort"),
    Kind.DISCONNECT: ("abort", "close"),
    Kind.FAILED_SNAPSHOT: ("500", "503", "html", "truncated", "cut", "hang"),
}
"""The variants of a kind. Where none is asked for one is drawn, but a silence begins with the next stream."""

_IDS: Final = {Kind.STALE_SNAPSHOT: (50, 800), Kind.REBASE: (100, 5000)}
_DELAYS_S: Final = {
    Kind.SLOW_SNAPSHOT: (0.3, 3.0),
    Kind.SHUTDOWN: (0.5, 3.0),
    Kind.THROTTLE: (1.0, 3.0),
    Kind.BAN: (2.0, 5.0),
}

ALL_RATES: Final[Mapping[Kind, float]] = {
    Kind.GAP: 0.001,
    Kind.STRAGGLER: 0.005,
    Kind.DUPLICATE: 0.005,
    Kind.REORDER: 0.001,
    Kind.MALFORMED: 0.0005,
    Kind.SILENT: 0.02,
    Kind.GROUPING: 0.5,
    Kind.REFUSE: 0.2,
    Kind.DISCONNECT: 1 / 60,
    Kind.HALF_OPEN: 1 / 240,
    Kind.SHUTDOWN: 1 / 120,
    Kind.STALE_SNAPSHOT: 0.2,
    Kind.SLOW_SNAPSHOT: 0.1,
    Kind.FAILED_SNAPSHOT: 0.1,
    Kind.REBASE: 1 / 1800,
    Kind.THROTTLE: 1 / 120,
    Kind.BAN: 1 / 600,
    Kind.ERROR: 0.02,
}
"""Everything at once, at rates that leave 20 symbols time to recover between two faults."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One order. ``symbol`` and ``connection`` narrow it (``None``: any); it happens ``count`` times.

    ``form``, ``ids`` and ``delay_s`` as in the table; left empty, they are drawn when it happens.
    """

    kind: Kind
    symbol: str | None = None
    connection: int | None = None
    count: int = 1
    form: str = ""
    ids: int = 0
    delay_s: float = 0.0

    def __post_init__(self) -> None:
        forms = FORMS.get(self.kind, ())
        if self.form and self.form not in forms:
            known = f"one of {', '.join(forms)}" if forms else "none"
            raise ValueError(f"{self.kind} has no form {self.form!r:.40}; it has {known}")
        if self.count < 1 or self.ids < 0 or self.delay_s < 0:
            raise ValueError(f"{self.kind}: count is at least 1, ids and delay_s are not negative")
        if (self.ids and self.kind not in _IDS) or (self.delay_s and self.kind not in _DELAYS_S):
            raise ValueError(
                f"{self.kind} has no {'ids' if self.kind not in _IDS and self.ids else 'delay_s'}"
            )

    def fits(self, kind: Kind, symbol: str | None, connection: int | None) -> bool:
        """Whether this order is about such an opportunity."""
        return (
            self.kind is kind
            and (self.symbol is None or self.symbol == symbol)
            and (self.connection is None or self.connection == connection)
        )


@dataclass(frozen=True, slots=True)
class Happened:
    """A fault that happened: when (the exchange's clock), to what, and how."""

    kind: Kind
    at_ms: int
    symbol: str | None
    connection: int | None
    detail: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Faults:
    """The orders that wait, the rates, and the record.

    ``act`` does what is in :data:`TIMED_KINDS` and tells how often it happened. ``history`` bounds the list
    of what happened; the counts are never cut.
    """

    def __init__(
        self,
        rng: Random,
        wall_ms: Callable[[], int],
        act: Callable[[Fault], int],
        *,
        rates: Mapping[Kind, float] | None = None,
        history: int = 100_000,
    ) -> None:
        self._rng = rng
        self._wall_ms = wall_ms
        self._act = act
        self._waiting: list[Fault] = []
        self.rates: dict[Kind, float] = {}
        self.counts: Counter[Kind] = Counter()
        self.happened: deque[Happened] = deque(maxlen=history)
        self.set_rates(rates or {})

    def set_rates(self, rates: Mapping[Kind, float]) -> None:
        """Replace all rates; what is not named does not happen at random. Raises ValueError."""
        for kind, rate in rates.items():
            if not 0 <= rate <= 1:
                raise ValueError(f"the rate of {kind} is a chance between 0 and 1, not {rate}")
        self.rates = {Kind(kind): rate for kind, rate in rates.items() if rate}

    def inject(
        self,
        kind: Kind | str,
        *,
        symbol: str | None = None,
        connection: int | None = None,
        count: int = 1,
        form: str = "",
        ids: int = 0,
        delay_s: float = 0.0,
    ) -> int:
        """Order a fault. Returns how often it happened at once: 0 for one that waits for its opportunity.

        Without ``symbol`` and ``connection`` a timed kind hits everything it can, another kind whatever comes
        first. Raises ValueError for an order that makes no sense.
        """
        fault = Fault(Kind(kind), symbol, connection, count, form, ids, delay_s)
        if fault.kind in TIMED_KINDS or (fault.kind is Kind.SILENT and fault.form == "now"):
            return self._act(self._complete(fault))
        self._waiting.append(fault)
        return 0

    def clear(self) -> None:
        """Withdraw every waiting order and every rate; the record stays."""
        self._waiting.clear()
        self.rates.clear()

    @property
    def waiting(self) -> tuple[Fault, ...]:
        """The orders whose opportunity has not come."""
        return tuple(self._waiting)

    def take(
        self, kinds: Iterable[Kind], symbol: str | None = None, connection: int | None = None
    ) -> Fault | None:
        """The fault that one opportunity meets, if any; waiting orders first, then chance.

        The caller does it and calls :meth:`record`.
        """
        if not self._waiting and not self.rates:
            return None
        for kind in kinds:
            for index, fault in enumerate(self._waiting):
                if fault.fits(kind, symbol, connection):
                    if fault.count > 1:
                        self._waiting[index] = replace(fault, count=fault.count - 1)
                    else:
                        del self._waiting[index]
                    return self._complete(fault)
            rate = self.rates.get(kind)
            if rate and self._rng.random() < rate:
                return self._complete(Fault(kind, symbol, connection))
        return None

    def strike(
        self,
        kinds: Iterable[Kind],
        elapsed_s: float,
        *,
        symbol: str | None = None,
        connection: int | None = None,
    ) -> None:
        """Give the timed ``kinds`` their chance over a time that has passed."""
        for kind in kinds:
            rate = self.rates.get(kind)
            if rate and self._rng.random() < rate * elapsed_s:
                self._act(self._complete(Fault(kind, symbol, connection)))

    def record(self, fault: Fault, symbol: str | None, connection: int | None, detail: str = "") -> None:
        """Note that ``fault`` happened now."""
        self.counts[fault.kind] += 1
        self.happened.append(Happened(fault.kind, self._wall_ms(), symbol, connection, detail or fault.form))

    def _complete(self, fault: Fault) -> Fault:
        """Draw what the order left open."""
        kind, rng = fault.kind, self._rng
        forms = FORMS.get(kind, ())
        if forms and not fault.form:
            fault = replace(fault, form=forms[0] if kind is Kind.SILENT else rng.choice(forms))
        if kind in _IDS and not fault.ids:
            fault = replace(fault, ids=rng.randint(*_IDS[kind]))
        if kind in _DELAYS_S and not fault.delay_s:
            fault = replace(fault, delay_s=rng.uniform(*_DELAYS_S[kind]))
        return fault
