"""What ``up`` reads off an updater's ``/status``, and what it shows of several of them together. Pure.

The answer's form is the updater's to define (``updater/status.py``); the library does not import services, so
the members that are shown are read here one by one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class BookReading:
    """One symbol's book at one updater. ``certain``: the levels that are surely complete, of the side with
    fewer of them."""

    symbol: str
    state: str
    epoch: int
    update_id: int | None
    best_bid: str | None
    best_ask: str | None
    age_ms: int | None
    certain: int
    resyncs: int
    written: int
    writes: bool
    """Whether the updater writes its files, rather than standing by."""

    @classmethod
    def of(cls, document: Mapping[str, Any], prefix: str = "") -> Self:
        """From a member of ``symbols``, which is called ``prefix`` and its symbol."""
        bid, ask = document["best_bid"], document["best_ask"]
        return cls(
            symbol=f"{prefix}{document['symbol']}",
            state=document["state"],
            epoch=document["epoch"],
            update_id=document["update_id"],
            best_bid=None if bid is None else bid[0],
            best_ask=None if ask is None else ask[0],
            age_ms=document["age_ms"],
            certain=min(document["certain_bids"], document["certain_asks"]),
            resyncs=document["resyncs"],
            written=document["written"],
            writes=document["role"] != "standby",
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """One updater. Counts are totals since its start; latencies are of its last minute's writes."""

    replica: str
    ready: bool
    written: int
    lost: int
    p50_ms: float | None
    p99_ms: float | None
    weight_used: int
    weight_limit: int
    silent_for_ms: int
    expected_wait_ms: int
    """How long the exchange's request weight makes the snapshots wait that are asked for."""
    takeovers: int
    connections: int
    books: tuple[BookReading, ...]

    @classmethod
    def of(cls, document: Mapping[str, Any], prefix: str = "") -> Self:
        """From the whole answer; symbols are called ``prefix`` and their name, where updaters of several
        venues are read. Raises KeyError, TypeError or IndexError for something else."""
        writes, rest = document["writes"], document["rest"]
        return cls(
            replica=document["replica"],
            ready=document["ready"],
            written=writes["written"],
            lost=writes["lost"],
            p50_ms=writes["p50_ms"],
            p99_ms=writes["p99_ms"],
            weight_used=rest["weight_used"],
            weight_limit=rest["weight_limit"],
            silent_for_ms=rest["silent_for_ms"],
            expected_wait_ms=rest["expected_wait_ms"],
            takeovers=document["fleet"]["takeovers"],
            connections=len(document["feed"]["connections"]),
            books=tuple(BookReading.of(each, prefix) for each in document["symbols"]),
        )

    @property
    def built(self) -> int:
        """How many books there are."""
        return sum(book.update_id is not None for book in self.books)

    @property
    def writes(self) -> int:
        """How many symbols it writes; it stands by for the others."""
        return sum(book.writes for book in self.books)

    @property
    def resyncs(self) -> int:
        """How many books had to be built anew."""
        return sum(book.resyncs for book in self.books)


@dataclass(frozen=True, slots=True)
class Measured:
    """A reading, the moment it was made, and how many files a second were written lately: in all, and by
    symbol."""

    reading: Reading
    at_s: float
    files_per_s: float
    by_symbol: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Row:
    """One symbol over all updaters: the newest of its books, everyone's writes and resyncs."""

    symbol: str
    state: str
    update_id: int | None
    best_bid: str | None
    best_ask: str | None
    age_ms: int | None
    certain: int
    files_per_s: float
    resyncs: int


def rows(measured: Iterable[Measured]) -> list[Row]:
    """The symbols in the order in which the updaters list them. O(symbols)."""
    books: dict[str, list[tuple[BookReading, float]]] = {}
    for each in measured:
        for book in each.reading.books:
            books.setdefault(book.symbol, []).append((book, each.by_symbol.get(book.symbol, 0.0)))
    return [_row(symbol, held) for symbol, held in books.items()]


def waiting_ms(measured: Iterable[Measured]) -> int:
    """How long the last of the snapshots waits that the updaters still need for books; 0: none waits."""
    readings = [each.reading for each in measured]
    return max((each.expected_wait_ms for each in readings if each.built < len(each.books)), default=0)


def _row(symbol: str, held: list[tuple[BookReading, float]]) -> Row:
    newest = max((book for book, _ in held), key=_newness)
    return Row(
        symbol=symbol,
        state=newest.state,
        update_id=newest.update_id,
        best_bid=newest.best_bid,
        best_ask=newest.best_ask,
        age_ms=newest.age_ms,
        certain=newest.certain,
        files_per_s=sum(rate for _, rate in held),
        resyncs=sum(book.resyncs for book, _ in held),
    )


def _newness(book: BookReading) -> tuple[bool, int, int]:
    return book.state == "live", book.epoch, book.update_id if book.update_id is not None else -1
