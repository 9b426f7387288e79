"""What is true of a file: each venue's simulated exchange, asked for the book at an update id.

The exchanges share no code with the product (``simulator``); what an update id stands for is the product's to
say, so it is translated here.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import Enum
from typing import Any, Protocol

from depthcast.files import BINANCE, BINANCE_USDM, COINBASE, FileInfo
from depthcast.scheme import Scheme
from depthcast.unsequenced import BITS_OF_MS
from depthcast.venues.binance_files import BINANCE_COINM
from depthcast.venues.bitmex_files import BITMEX
from simulator import truth
from simulator.app import Simulator
from simulator.bitmex.app import BitmexSimulator
from simulator.coinbase.app import CoinbaseSimulator
from simulator.coinbase.journal import OrderJournal, rfc3339

Simulated = Simulator | CoinbaseSimulator | BitmexSimulator


class Verdict(Enum):
    """What a file is, beside the true book: that, its best levels (and says so), or neither."""

    TRUE = "true"
    SHORTER = "shorter"
    UNTRUE = "untrue"


class Oracle(Protocol):
    """One venue's exchange."""

    scheme: Scheme

    @property
    def symbols(self) -> Iterable[str]:
        """What is listed."""
        ...

    def now(self, symbol: str) -> int:
        """The update id that a file of this moment has, or a smaller one of the same moment."""
        ...

    def judge(self, symbol: str, limit: int, update_id: int, body: bytes, info: FileInfo | None) -> Verdict:
        """What a body is, in whichever count of ids has its id; ``info`` is what a file says of itself."""
        ...

    def is_present(self, symbol: str, limit: int, update_id: int, body: bytes, info: FileInfo) -> bool:
        """Whether it is true in the present count of ids."""
        ...


class BinanceOracle:
    """Spot and futures: the book at an id, and of futures the times that its diff told."""

    def __init__(self, sim: Simulator) -> None:
        exchange = sim.exchange
        futures = BINANCE_COINM if exchange.coin_margined else BINANCE_USDM
        self.scheme: Scheme = futures if exchange.futures else BINANCE
        self._exchange = exchange
        self._truth = sim.truth

    @property
    def symbols(self) -> Iterable[str]:
        return self._exchange.instruments

    def now(self, symbol: str) -> int:
        return self._exchange.instruments[symbol].journal.update_id

    def judge(self, symbol: str, limit: int, update_id: int, body: bytes, info: FileInfo | None) -> Verdict:
        candidates = self._truth.bodies(symbol, update_id, limit)
        if body in candidates or any(_differs_in_times(body, candidate) for candidate in candidates):
            return Verdict.TRUE
        shorter = any(_is_shorter(body, candidate, info) for candidate in candidates)
        return Verdict.SHORTER if shorter else Verdict.UNTRUE

    def is_present(self, symbol: str, limit: int, update_id: int, body: bytes, info: FileInfo) -> bool:
        generation = self._truth.generations(symbol)[-1].generation
        try:
            true = self._truth.body(symbol, update_id, limit, generation)
        except truth.TruthError:
            return False
        return body == true or _is_shorter(body, true, info)


def _is_shorter(body: bytes, true_body: bytes, info: FileInfo | None) -> bool:
    file, true = json.loads(body), json.loads(true_body)
    if not _times_agree(file, true):
        return False
    for side in ("bids", "asks"):
        shown = len(file[side])
        if file[side] != true[side][:shown]:
            return False
        if shown < len(true[side]) and info is not None:
            certain = info.bids if side == "bids" else info.asks
            complete = info.bids_complete if side == "bids" else info.asks_complete
            if complete or certain != shown:
                return False
    return True


def _times_agree(file: Mapping[str, Any], true: Mapping[str, Any]) -> bool:
    """Whether a file's times are those of a futures diff, or of a snapshot that shows the same book.

    A snapshot tells when it was put out (``E``), which may be before a diff that ends at its id; where none
    ended nothing is known but that times are told.
    """
    if "E" not in true:
        return ("E" in file) == ("T" in file)
    transaction_ms, output_ms = file.get("T", 0), file.get("E", 0)
    return bool(transaction_ms == true["T"] and output_ms >= transaction_ms)


def _differs_in_times(body: bytes, true_body: bytes) -> bool:
    """Whether a file of futures is the true book, fresh from a snapshot."""
    file, true = json.loads(body), json.loads(true_body)
    return "E" in file and _times_agree(file, true) and all(file[n] == true[n] for n in ("bids", "asks"))


class CoinbaseOracle:
    """Books by order: an id is a sequence."""

    scheme: Scheme = COINBASE

    def __init__(self, sim: CoinbaseSimulator) -> None:
        self._markets = sim.exchange.markets

    @property
    def symbols(self) -> Iterable[str]:
        return self._markets

    def now(self, symbol: str) -> int:
        return self._markets[symbol].sequence

    def judge(self, symbol: str, limit: int, update_id: int, body: bytes, info: FileInfo | None) -> Verdict:
        true = body in self._markets[symbol].bodies(update_id, limit)
        return Verdict.TRUE if true else Verdict.UNTRUE

    def is_present(self, symbol: str, limit: int, update_id: int, body: bytes, info: FileInfo) -> bool:
        journal = self._markets[symbol].journal
        return journal.holds(update_id) and journal.body(update_id, limit) == body


class CoinbasePricesOracle(CoinbaseOracle):
    """Books by price: an id is a time, at which the market had these prices."""

    def judge(self, symbol: str, limit: int, update_id: int, body: bytes, info: FileInfo | None) -> Verdict:
        journal = self._markets[symbol].journal
        time = datetime.fromisoformat(json.loads(body)["time"])
        told = journal.sequence
        while told > journal.oldest and _moment_of(journal, told) > time:
            told -= 1
        true, shown = json.loads(journal.body(told, limit)), json.loads(body)
        sides = ("bids", "asks")
        same = all([row[:2] for row in shown[side]] == [row[:2] for row in true[side]] for side in sides)
        return Verdict.TRUE if same else Verdict.UNTRUE


def _moment_of(journal: OrderJournal, sequence: int) -> datetime:
    return datetime.fromisoformat(rfc3339(journal.time_of(sequence)))


class BitmexOracle:
    """Books of rows: an id is a time, and how many rows of that time were told."""

    scheme: Scheme = BITMEX

    def __init__(self, sim: BitmexSimulator) -> None:
        self._markets = sim.exchange.markets

    @property
    def symbols(self) -> Iterable[str]:
        return self._markets

    def now(self, symbol: str) -> int:
        return self._markets[symbol].time_ms << BITS_OF_MS

    def judge(self, symbol: str, limit: int, update_id: int, body: bytes, info: FileInfo | None) -> Verdict:
        time_ms, rows = _parts_of(update_id)
        true = body in self._markets[symbol].bodies_after(time_ms, rows, limit)
        return Verdict.TRUE if true else Verdict.UNTRUE

    def is_present(self, symbol: str, limit: int, update_id: int, body: bytes, info: FileInfo) -> bool:
        market, (time_ms, rows) = self._markets[symbol], _parts_of(update_id)
        steps = market.history.steps_of(time_ms)
        if not 0 < rows <= len(steps) or not market.history.holds(steps[rows - 1]):
            return False
        # Where the present count of time has the row, its body comes first.
        return market.bodies_after(time_ms, rows, limit)[0] == body


def _parts_of(update_id: int) -> tuple[int, int]:
    return update_id >> BITS_OF_MS, update_id & ((1 << BITS_OF_MS) - 1)


def oracle_of(sim: Simulated) -> Oracle:
    """The oracle of a simulated exchange."""
    match sim:
        case Simulator():
            return BinanceOracle(sim)
        case CoinbaseSimulator():
            return CoinbaseOracle(sim)
        case _:
            return BitmexOracle(sim)
