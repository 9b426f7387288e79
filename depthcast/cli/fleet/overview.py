"""``Overview``: what the heartbeats of a fleet tell, replica by replica and symbol by symbol. Pure.

Its dataclasses are also the JSON of ``depthcast fleet --json``: members may be added, those here keep their
names and meanings. Durations and ages are milliseconds; what is not known is ``None``.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Final, Literal

from depthcast.cli.fleet.trouble import LAGS_MS, MEANING, Trouble
from depthcast.cli.up.figures import left
from depthcast.files import BINANCE
from depthcast.fleet import candidates
from depthcast.heartbeat import Heartbeat, Role, State, SymbolBeat
from depthcast.unsequenced import made_of_time

Life = Literal["live", "leaving", "dead", "gone"]

RECENT_MS: Final = 600_000
"""A replica that ended longer ago is counted and not shown, and its symbols are forgotten."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A heartbeat as last seen: ``lives`` as judged by its beats, ``age_ms`` since it changed last;
    ``writes_per_s`` from the difference of beats, ``None`` before the second one."""

    heartbeat: Heartbeat
    lives: bool
    age_ms: int
    writes_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class ReplicaLine:
    """One replica. Counts are totals since its start, latencies of its last minute's won writes."""

    replica: str
    life: Life
    beat_age_ms: int
    uptime_ms: int
    version: str
    held: int
    listed: int
    writer: int
    acting: int
    standby: int
    feed_live: int
    feed_symbols: int
    writes_per_s: float | None
    written: int
    lost: int
    lost_percent: float
    takeovers: int
    p50_ms: float | None
    p99_ms: float | None
    weight_used: int
    weight_limit: int
    silent_for_ms: int
    waiting: int
    expected_wait_ms: int

    @property
    def lives(self) -> bool:
        """Whether it still does something."""
        return self.life in ("live", "leaving")


@dataclass(frozen=True, slots=True)
class SymbolLine:
    """One symbol over all living replicas. ``writers`` and ``acting`` (a part of them) are in order of rank.

    ``epoch``, ``id``, ``bids``, ``asks`` and ``behind_ms`` (how much older than the book the most frequent
    file is) are the most advanced writer's, or holder's where nobody writes; ``ids_behind``: by how many
    update ids that book is behind the most advanced one, as far as beats of different moments tell, ``None``
    where ids are made of times and count nothing.
    """

    symbol: str
    writers: tuple[str, ...]
    acting: tuple[str, ...]
    standbys: tuple[str, ...]
    live: bool
    epoch: int
    id: int | None
    bids: str
    asks: str
    behind_ms: int | None
    ids_behind: int | None
    status: str
    troubles: tuple[Trouble, ...] = ()


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole. ``warnings`` are sentences about the fleet and its symbols, the worst first."""

    store: str
    replicas: tuple[ReplicaLine, ...]
    symbols: tuple[SymbolLine, ...]
    warnings: tuple[str, ...]
    settled: bool = True
    """Whether it is known by now who lives: each replica was seen to beat, or to stand still."""
    fault: str = ""
    """Why the last reading failed; the rest is of the one before then."""
    venue: str = BINANCE.venue
    """Whose fleet it is."""

    @property
    def living(self) -> int:
        """How many replicas live."""
        return sum(line.lives for line in self.replicas)


def overview(
    store: str,
    seen: Sequence[Seen],
    *,
    globs: Sequence[str] = (),
    steady: Callable[[Iterable[tuple[str, Trouble]]], Collection[tuple[str, Trouble]]] = set,
    damaged: Iterable[str] = (),
    settled: bool = True,
) -> Overview:
    """``globs`` choose the symbols; ``steady`` chooses which troubles are told; ``damaged`` are keys of
    objects that are no heartbeats. O(replicas × symbols)."""
    lines = [line for line in _symbol_lines(seen) if _chosen(line.symbol, globs)]
    told = steady((line.symbol, trouble) for line in lines for trouble in line.troubles)
    lines = [
        replace(line, troubles=tuple(each for each in line.troubles if (line.symbol, each) in told))
        for line in lines
    ]
    order = list(Trouble)
    lines.sort(key=lambda line: (min((order.index(e) for e in line.troubles), default=99), line.symbol))
    rank: Mapping[Life, int] = {"live": 0, "leaving": 0, "dead": 1, "gone": 2}
    replicas = sorted(
        map(_replica_line, seen),
        key=lambda line: (rank[line.life], 0 if line.lives else line.beat_age_ms, line.replica),
    )
    return Overview(
        store,
        tuple(replicas),
        tuple(lines),
        (*_of_symbols(lines, severe=True), *_of_fleet(seen, damaged), *_of_symbols(lines, severe=False)),
        settled,
    )


def _chosen(symbol: str, globs: Sequence[str]) -> bool:
    return not globs or any(fnmatchcase(symbol, glob) for glob in globs)


def _life(each: Seen) -> Life:
    if each.lives:
        return "live" if each.heartbeat.state is State.LIVE else "leaving"
    return "gone" if each.heartbeat.state is State.GONE else "dead"


def _replica_line(each: Seen) -> ReplicaLine:
    beat = each.heartbeat
    roles = [held.role for held in beat.symbols.values()]
    writes = beat.writes
    tried = writes.written + writes.lost
    return ReplicaLine(
        replica=beat.replica,
        life=_life(each),
        beat_age_ms=each.age_ms,
        uptime_ms=max(0, beat.time_ms - beat.started_ms),
        version=beat.version,
        held=len(roles),
        listed=beat.listed,
        writer=roles.count(Role.WRITER),
        acting=roles.count(Role.ACTING),
        standby=roles.count(Role.STANDBY),
        feed_live=beat.feed.live,
        feed_symbols=beat.feed.symbols,
        writes_per_s=_rounded(each.writes_per_s) if each.lives else 0.0,
        written=writes.written,
        lost=writes.lost,
        lost_percent=round(100 * writes.lost / tried, 2) if tried else 0.0,
        takeovers=writes.takeovers,
        p50_ms=writes.p50_ms,
        p99_ms=writes.p99_ms,
        weight_used=beat.rest.weight_used,
        weight_limit=beat.rest.weight_limit,
        silent_for_ms=max(0, beat.rest.silent_for_ms - each.age_ms),
        waiting=beat.rest.waiting,
        expected_wait_ms=beat.rest.expected_wait_ms,
    )


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 2)


# Symbols


def _symbol_lines(seen: Sequence[Seen]) -> Iterator[SymbolLine]:
    living = {each.heartbeat.replica: each.heartbeat for each in seen if each.lives}
    held: dict[str, list[Heartbeat]] = {}
    for beat in living.values():
        for symbol in beat.symbols:
            held.setdefault(symbol, []).append(beat)
    for symbol, holders in held.items():
        yield _symbol_line(symbol, holders, living)
    # What a replica held that has ended has to be held by another one.
    for each in seen:
        if not each.lives and each.age_ms < RECENT_MS:
            for symbol, part in each.heartbeat.symbols.items():
                if symbol not in held:
                    held[symbol] = []
                    yield SymbolLine(
                        *(symbol, (), (), (), False, part.epoch, part.id, part.bids, part.asks, None, 0),
                        *(part.status, (Trouble.UNHELD,)),
                    )


def _symbol_line(symbol: str, holders: Sequence[Heartbeat], living: Mapping[str, Heartbeat]) -> SymbolLine:
    order = sorted(holders, key=lambda beat: (beat.symbols[symbol].rank, beat.replica))
    parts = {beat.replica: beat.symbols[symbol] for beat in order}
    writers = [name for name, part in parts.items() if part.role is not Role.STANDBY]
    acting = [name for name in writers if parts[name].role is Role.ACTING]
    newest = max(parts.values(), key=_newness)
    writing = [parts[name] for name in writers]
    shown = max(writing, key=_newness) if writing else newest
    behind: int | None = 0
    if shown.id is not None and made_of_time(shown.id):
        behind = None
    elif newest.id is not None and shown.id is not None and newest.epoch == shown.epoch:
        behind = newest.id - shown.id
    line = SymbolLine(
        symbol=symbol,
        writers=tuple(writers),
        acting=tuple(acting),
        standbys=tuple(name for name in parts if name not in writers),
        live=any(part.live for part in parts.values()),
        epoch=shown.epoch,
        id=shown.id,
        bids=shown.bids,
        asks=shown.asks,
        behind_ms=min((part.behind_ms for part in writing), default=newest.behind_ms),
        ids_behind=behind,
        status=shown.status,
    )
    return replace(line, troubles=tuple(_troubles(line, order, _expected(symbol, order, living))))


def _newness(part: SymbolBeat) -> tuple[bool, int, int]:
    return part.live, part.epoch, part.id if part.id is not None else -1


def _expected(symbol: str, holders: Sequence[Heartbeat], living: Mapping[str, Heartbeat]) -> int:
    """How many are to hold a symbol, by the settings of the first holder."""
    able = len(candidates(symbol, living, holders[0]))
    return min(able, holders[0].redundancy or able)


def _troubles(line: SymbolLine, holders: Sequence[Heartbeat], expected: int) -> Iterator[Trouble]:
    if not line.writers:
        yield Trouble.UNWRITTEN
    if not line.live:
        yield Trouble.NOT_LIVE
    if line.behind_ms is not None and line.behind_ms > LAGS_MS:
        yield Trouble.LAGS
    # Without a book there is nothing to write.
    writing = sum(beat.symbols[line.symbol].live for beat in holders if beat.replica in line.writers)
    if writing > 1 and all(beat.takeover_after_ms for beat in holders):
        yield Trouble.CONTENDED
    if len(holders) < expected:
        yield Trouble.NO_STANDBY if len(holders) == 1 else Trouble.TOO_FEW


# Warnings


def _of_symbols(lines: Sequence[SymbolLine], *, severe: bool) -> Iterator[str]:
    for trouble in Trouble:
        names = [line.symbol for line in lines if trouble in line.troubles]
        if names and trouble.severe is severe:
            more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
            yield f"{MEANING[trouble]} {', '.join(names[:5])}{more}"


def _of_fleet(seen: Sequence[Seen], damaged: Iterable[str]) -> Iterator[str]:
    living = [each.heartbeat for each in seen if each.lives]
    staying = [beat for beat in living if beat.state is State.LIVE]
    if not living:
        yield "no replica lives; start one with depthcast updater"
    elif not staying:
        yield "all replicas that live are about to stop"
    elif len(living) == 1:
        yield f"{living[0].replica} is alone: nobody takes over when it fails"
    wait_ms = max((beat.rest.expected_wait_ms for beat in living), default=0)
    if wait := left(wait_ms):
        yield f"books wait for the exchange's request weight, {wait}"
    for what, setting in _SETTINGS.items():
        values: dict[str, list[str]] = {}
        for beat in staying:
            if not beat.listed:
                continue  # it has just begun
            values.setdefault(setting(beat), []).append(beat.replica)
        if len(values) > 1:
            said = "; ".join(f"{value}: {', '.join(names)}" for value, names in sorted(values.items()))
            yield f"replicas differ in {what} ({said})"
    for key in sorted(damaged):
        yield f"{key} is no heartbeat"


_SETTINGS: Final[Mapping[str, Callable[[Heartbeat], str]]] = {
    "what symbols they list": lambda beat: f"{beat.listed} symbols, {beat.selection or '?'}",
    "limits": lambda beat: "/".join(map(str, beat.limits)),
    "redundancy": lambda beat: str(beat.redundancy),
    "takeover_after_ms": lambda beat: str(beat.takeover_after_ms),
    "version": lambda beat: beat.version,
}
"""What all replicas of a fleet should agree in, and how it is shown."""
