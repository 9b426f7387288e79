"""``depthcast plan``: what symbols × limits × cadence × replicas cost on several stores."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Annotated, ClassVar, Final, Self

import orjson
from pydantic import BeforeValidator, Field, field_validator, model_validator
from rich.console import Console
from rich.table import Table

from depthcast.cli.settings import VenueName
from depthcast.errors import SettingsError
from depthcast.files import BINANCE, LIMITS, MAX_LIMIT
from depthcast.heat.zooms import suits
from depthcast.plan import Bill, Prices, Together, Workload, bill, load_prices
from depthcast.plan.workload import LEVEL_BYTES, Kind, Purpose
from depthcast.settings import Counts, Given, Settings
from depthcast.tape.keys import LENGTH_S, valid_length
from depthcast.venues.answering import default_limit
from depthcast.venues.registry import VENUES, venue_named
from depthcast.venues.sizes import SIZES, size_of

_ABOUT: Final = (
    "Reckon what symbols, limits, cadence and replicas make of requests, storage and traffic, and what "
    "stores charge for them in a month of 30 days. Nothing is asked and nothing is written. Prices are US "
    "dollars without taxes and discounts, of the dates it names; --prices takes yours. The formulas: "
    "docs/costs.md."
)

ALL: Final = "all"
SLOWER_S: Final = 1.0
"""The cadence that advice compares with: what the most restrained stores take."""

FEWER: Final = (100, 1000, 5000)
"""The limits that advice compares with: a server cuts any other one from the next larger file."""

_WIDTH: Final = 110


def _counted(value: object) -> object:
    """A number, or a list of names that are counted."""
    if not isinstance(value, str) or value.strip().isdecimal():
        return value
    names = [name for name in value.split(",") if name.strip()]
    if any(set(name) & set("*?[") or name.strip().lower() == "all" for name in names):
        raise ValueError(
            "should be how many symbols there are, or their names: a glob cannot be counted here"
        )
    return len(names)


with warnings.catch_warnings():
    # pydantic warns that ``json`` hides its long deprecated method of that name, which nobody here calls.
    warnings.filterwarnings("ignore", message='Field name "json"')

    class PlanSettings(Settings):
        """What ``depthcast plan`` may be told."""

        SECTION: ClassVar[str] = "plan"
        TITLE: ClassVar[str] = "plan"

        venue: VenueName = Field(
            BINANCE.venue,
            description="whose books; several, A,B, are planned together, and what is one venue's is written "
            "A:…, as for the updater",
        )
        symbols: Annotated[int, BeforeValidator(_counted)] = Field(
            20, ge=1, description="how many symbols, or their names: A,B"
        )
        limits: Counts = Field(
            LIMITS, description="levels a side, a file for each; not given: the venue's", min_length=1
        )
        updates_per_s: float = Field(10.0, gt=0, le=1000, description="updates a second of each symbol")
        level_bytes: float = Field(
            LEVEL_BYTES, gt=0, description="bytes of a level in a file; not given: those of the venue"
        )
        whole_levels: float | None = Field(
            None, gt=0, description="levels a side of a whole book, where files show it; none: the venue's"
        )
        cadence: str = Field(
            "100:0,1000:250,5000:1000",
            description="as of the updater: limit:ms pairs, how often a file is written; not given: the "
            "venue's",
        )
        store_floor_ms: int = Field(
            0, ge=0, description="as of the updater: no file is written more often than this"
        )
        same_levels_ms: int = Field(
            1000,
            ge=0,
            description="as of the updater: a file whose levels did not change is written this often",
        )
        replicas: int = Field(3, ge=1, description="updaters")
        redundancy: int = Field(0, ge=0, description="how many updaters hold each symbol; 0: all")
        takeover_after_ms: int = Field(500, ge=1, description="as of the updater")
        starts: float = Field(4.0, ge=0, description="how often each updater is started in a month")
        servers: int = Field(2, ge=0, description="servers")
        hot_files: int | None = Field(
            None, ge=0, description="files that somebody asks each server for all the time; none: all of them"
        )
        refresh_ms: int = Field(
            100, ge=1, description="as of the server: how often such a file is read again"
        )
        heartbeats_ms: int = Field(
            1000, ge=100, description="as of the server: how often the replicas' heartbeats are read"
        )
        symbols_every_s: float = Field(
            60.0, ge=0, description="as of the updater: how often the exchange's list of symbols is asked for"
        )
        system_status_every_s: float = Field(
            0.0, ge=0, description="as of the updater; 0: it is not asked, for want of an api_url"
        )
        changes_per_day: float = Field(
            20.0, ge=0, description="changes of the exchange's rules and statuses that are recorded a day"
        )
        change_bytes: float = Field(
            150_000.0, ge=0, description="bytes of a change as it is kept: the whole document, compressed"
        )
        list_bytes: float = Field(4_000_000.0, ge=0, description="bytes of the exchange's list of symbols")
        history_days: float = Field(400.0, ge=0, description="how many days changes are kept")
        tape: Annotated[int, BeforeValidator(_counted)] = Field(
            0, ge=0, description="how many of the symbols are taped, or their names"
        )
        tape_segment_s: int = Field(LENGTH_S, ge=1, description="as of the updater")
        tape_days: float = Field(30.0, ge=0, description="how many days the tape is kept")
        heatmap: bool = Field(True, description="as of the updater: tiles are made of what is taped")
        heat_days: float = Field(30.0, ge=0, description="how many days the heatmap's tiles are kept")
        readers: int = Field(0, ge=0, description="clients on the internet")
        reads_per_s: float = Field(1.0, ge=0, description="books that each client asks for a second")
        read_limit: int = Field(
            100,
            ge=0,
            le=MAX_LIMIT,
            description="levels of the books they ask for; not given: 100, or what the venue's call means",
        )
        outside: bool = Field(
            False, description="updaters and servers are not in the store's cloud: what they read leaves it"
        )
        store: str = Field(ALL, description="s3, s3-express, r2, gcs, own, a store of --prices, or all")
        prices: Path | None = Field(None, description="TOML file with prices that go before those known here")
        json: bool = Field(False, description="JSON for machines")  # type: ignore[assignment]

        @field_validator("limits")
        @classmethod
        def _published(cls, limits: tuple[int, ...]) -> tuple[int, ...]:
            if not all(0 <= limit <= MAX_LIMIT for limit in limits):
                raise ValueError(f"should be limits from 1 to {MAX_LIMIT}")
            return tuple(sorted(set(limits)))

        @field_validator("tape_segment_s")
        @classmethod
        def _divides_a_day(cls, length_s: int) -> int:
            if not valid_length(length_s):
                raise ValueError("should divide a day")
            return length_s

        @model_validator(mode="after")
        def _of_its_venue(self) -> Self:
            """What is not said is the venue's."""
            known = VENUES[self.venue]
            own: dict[str, object] = {
                "limits": known.scheme.limits,
                "level_bytes": SIZES[self.venue].level_bytes,
                "read_limit": default_limit(self.venue),
                "cadence": ",".join(f"{limit}:{ms}" for limit, ms in known.keeping.steps_ms),
            }
            for name, value in own.items():
                if name not in self.model_fields_set:
                    # The model is frozen for its users; this is still its making.
                    object.__setattr__(self, name, value)
            for limit in (*self.limits, self.read_limit):
                if (why := known.scheme.refusal(limit)) is not None:
                    raise ValueError(f"{self.venue} has no limit {limit}: {why}")
            object.__setattr__(self, "limits", known.scheme.ordered(self.limits))
            return self

        @classmethod
        def load_each(cls, argv: Sequence[str]) -> tuple["PlanSettings", ...]:
            """What is said, for each venue that is named."""
            from updater.by_venue import by_venue

            given = cls._given(argv, None, program="depthcast plan", about=_ABOUT, warn=None)
            found = by_venue({name: each.value for name, each in given.items()})
            return tuple(
                cls._validated(
                    {
                        name: Given(value, given[name].place if name in given else name)
                        for name, value in values.items()
                    }
                )
                for values in found.values()
            )


@dataclass(frozen=True)
class Plan:
    """One store's: the workload as it would run there, its bill, and what is to be said about it."""

    store: str
    prices: Prices
    workloads: Mapping[str, Workload]
    """By venue."""
    bill: Bill
    floor_ms: int
    """What the store's own limit made of ``store_floor_ms``; 0: nothing."""

    @property
    def together(self) -> Together:
        """All venues' as one."""
        return Together(tuple(self.workloads.values()))


def main(argv: Sequence[str]) -> int:
    """Print the plan. Raises :class:`~depthcast.errors.SettingsError`."""
    every = PlanSettings.load_each(argv)
    settings = every[0]
    known = load_prices(settings.prices)
    if settings.store not in (ALL, *known):
        raise SettingsError(
            f"--store: there are no prices for {settings.store!r:.40}",
            hint=f"known: {', '.join(known)}, {ALL}",
        )
    chosen = {store: each for store, each in known.items() if settings.store in (ALL, store)}
    plans = [plan(store, each, every) for store, each in chosen.items()]
    if settings.json:
        print(document(plans, every))
    else:
        for line in shown(plans, every):
            print(line)
    return 0


def workload(settings: PlanSettings, *, floor_ms: int = 0) -> Workload:
    """What the settings mean, on a store that takes a write to a key every ``floor_ms`` only."""
    from updater.cadence import Cadence

    scheme = VENUES[settings.venue].scheme
    try:
        cadence = Cadence.parse(settings.cadence, floor_ms=max(floor_ms, settings.store_floor_ms))
    except ValueError as error:
        raise SettingsError(f"--cadence: {error}") from None
    sizes = {
        limit: size_of(settings.venue, limit, level_bytes=settings.level_bytes, whole=settings.whole_levels)
        for limit in (*settings.limits, settings.read_limit)
    }
    return Workload(
        symbols=settings.symbols,
        sizes=sizes,
        every_s={limit: cadence.every_s(scheme.size(limit)) for limit in settings.limits},
        updates_per_s=settings.updates_per_s,
        replicas=settings.replicas,
        redundancy=settings.redundancy,
        takeover_after_s=settings.takeover_after_ms / 1000,
        same_levels_s=settings.same_levels_ms / 1000,
        starts=settings.starts,
        servers=settings.servers,
        hot_files=settings.hot_files,
        refresh_s=settings.refresh_ms / 1000,
        heartbeats_s=settings.heartbeats_ms / 1000,
        symbols_every_s=settings.symbols_every_s,
        system_status_every_s=settings.system_status_every_s,
        changes_per_day=settings.changes_per_day,
        change_bytes=settings.change_bytes,
        list_bytes=settings.list_bytes,
        history_days=settings.history_days,
        taped=min(settings.tape, settings.symbols),
        segment_s=settings.tape_segment_s,
        heatmap=settings.heatmap and suits(settings.tape_segment_s),
        tape_days=settings.tape_days,
        heat_days=settings.heat_days,
        readers=settings.readers,
        reads_per_s=settings.reads_per_s,
        read_limit=settings.read_limit,
    )


def plan(store: str, prices: Prices, every: Sequence[PlanSettings]) -> Plan:
    """The month at one store; ``every`` venue's settings."""
    here = {each.venue: workload(each, floor_ms=prices.store_floor_ms) for each in every}
    slower = any(here[each.venue].every_s != workload(each).every_s for each in every)
    together = Together(tuple(here.values()))
    floor_ms = prices.store_floor_ms if slower else 0
    return Plan(store, prices, here, bill(store, prices, together, outside=every[0].outside), floor_ms)


@dataclass(frozen=True)
class Demand:
    """What one updater of a venue needs of the exchange.

    ``weight`` is that of the snapshots of all the symbols that it holds, which is the most that a start uses:
    books that the store has are gone on with. 0: the stream begins with whole books. ``start_s`` is how long
    they take at the share that an updater may use of ``weight_per_minute``, alone at its address.
    """

    venue: str
    symbols: int
    files: int
    cadence_ms: Mapping[int, int]
    connections: int
    weight: int
    weight_per_minute: int
    start_s: float


def demand(settings: PlanSettings) -> Demand:
    """Of one venue's updater."""
    from updater.settings import UpdaterSettings

    keys = VENUES[settings.venue].keys
    # Who has a key is sent numbered messages; what is planned signs none.
    key = keys.parse(keys.made_up()) if keys is not None else None
    whole, venue = workload(settings), venue_named(settings.venue, key=key, wall_ms=lambda: 0)
    held = -(-settings.symbols * whole.holders // settings.replicas)
    updater = UpdaterSettings(venue=settings.venue, limits=settings.limits)
    weight = held * venue.depth_weight(updater.snapshot_limit) if venue.numbered else 0
    per_minute = venue.request_weight_per_minute
    return Demand(
        settings.venue,
        held,
        whole.files,
        {limit: round(every_s * 1000) for limit, every_s in whole.every_s.items()},
        -(-held // updater.streams_per_connection),
        weight,
        per_minute,
        60 * max(0.0, weight / (updater.weight_share * per_minute) - 1),
    )


# Advice


def advice(plans: Sequence[Plan], every: Sequence[PlanSettings]) -> Iterator[str]:
    """What follows from the figures, as sentences."""
    usable = [each for each in plans if not each.prices.caution]
    if len(usable) > 1:
        best = min(usable, key=lambda each: each.bill.usd)
        yield f"The least is {_usd(best.bill.usd)} a month: {best.prices.name}."
    for each in plans:
        name = each.prices.name
        if each.prices.caution:
            yield f"{name}: {each.prices.caution}."
        if each.floor_ms:
            yield (
                f"{name} takes a write to a key every {each.floor_ms} ms at most and is planned so: "
                f"set --store-floor-ms {each.floor_ms}."
            )
        writes_per_s = sum(flow.per_s for flow in each.together.flows() if flow.kind is Kind.PUT)
        if writes_per_s > each.prices.prefix_writes_per_s:
            yield (
                f"{name} promises {each.prices.prefix_writes_per_s:,.0f} writes a second under a prefix from "
                f"the start, and this is {writes_per_s:,.0f}: it says 503 Slow Down until it has divided it."
            )
        if not each.prices.caution or len(plans) == 1:
            for venue in each.workloads:
                yield from _cheaper(each, venue, outside=every[0].outside)


def _cheaper(each: Plan, venue: str, *, outside: bool) -> Iterator[str]:
    """What other settings of a venue would cost where that is a tenth less at least."""
    now, known = each.workloads[venue], VENUES[venue].scheme
    named = f"{each.prices.name}: " + (f"{venue} with " if len(each.workloads) > 1 else "")

    def other(changed: Workload, words: str) -> Iterator[str]:
        together = Together(tuple({**each.workloads, venue: changed}.values()))
        usd = bill(each.store, each.prices, together, outside=outside).usd
        if usd <= 0.9 * each.bill.usd:
            yield f"{named}{words} would cost {_usd(usd)} in place of {_usd(each.bill.usd)} a month."

    every_s = now.every_s
    slower = {limit: max(seconds, SLOWER_S) for limit, seconds in every_s.items()}
    if slower != every_s:
        yield from other(replace(now, every_s=slower), "a cadence of 1 s (--store-floor-ms 1000)")
    fewer = {limit: every_s[limit] for limit in every_s if limit in FEWER}
    if fewer and len(fewer) < len(every_s) and known.ordered(tuple(every_s))[-1] in fewer:
        words = f"limits {','.join(map(str, fewer))}, the others cut from them by the server,"
        yield from other(replace(now, every_s=fewer), words)
    refresh_s = min(now.write_interval_s(limit) for limit in every_s)
    if now.refresh_s < refresh_s:
        words = f"servers that refresh as often as files are written (--refresh-ms {refresh_s * 1000:.0f})"
        yield from other(replace(now, refresh_s=refresh_s), words)


# Showing


def shown(plans: Sequence[Plan], every: Sequence[PlanSettings]) -> Iterator[str]:
    """The plan as people read it: tables and sentences."""
    console = Console(width=_WIDTH, highlight=False, no_color=True)
    with console.capture() as captured:
        console.print(_table(plans, every))
        console.print()
        console.print(_venues(every))
    yield from (line.rstrip() for line in captured.get().splitlines())
    yield ""
    yield from advice(plans, every)
    yield ""
    for each in plans:
        prices = each.prices
        yield f"{each.store}: {prices.name}, {prices.region}; prices of {prices.date}: {prices.source}."


def _table(plans: Sequence[Plan], every: Sequence[PlanSettings]) -> Table:
    several = len(plans[0].workloads) > 1
    names = [
        (f"{venue}: " if several or venue != BINANCE.venue else "")
        + f"{whole.symbols} symbols × {len(whole.every_s)} limits, {whole.updates_per_s:g} updates a second, "
        f"{whole.replicas} updaters, {whole.servers} servers"
        for venue, whole in plans[0].workloads.items()
    ]
    title = ";\n".join(names) + ": US dollars a month"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    # Stores that are written less often make other counts; those shown are of the first that is not.
    shown = next((each for each in plans if not each.floor_ms), plans[0])
    table.add_column("a second", justify="right")
    table.add_column("a month", justify="right")
    for each in plans:
        table.add_column(each.store + "*" * (each.floor_ms != shown.floor_ms), justify="right")
    for flow in shown.together.flows():
        item = next(item for item in shown.bill.items if item.what == flow.purpose.value)
        table.add_row(
            f"{flow.purpose.value} ({flow.kind.value})",
            _count(flow.per_s),
            _millions(item.amount),
            *(_usd(each.bill.of(flow.purpose.value)) for each in plans),
        )
    purposes = {purpose.value for purpose in Purpose}
    lines = dict.fromkeys(
        item.what for each in plans for item in each.bill.items if item.what not in purposes and item.amount
    )
    for name in lines:
        amounts = [item for item in shown.bill.items if item.what == name]
        amount = f"{_count(amounts[0].amount)} {amounts[0].unit}" if amounts else ""
        table.add_row(name, "", amount, *(_usd(each.bill.of(name)) for each in plans))
    if several:
        # What is free is counted for each, so these may come to a little less than the sum.
        for venue in plans[0].workloads:
            alone = (_usd(_alone(each, venue, every[0])) for each in plans)
            table.add_row(f"{venue} by itself", "", "", *alone)
    table.add_section()
    table.add_row("sum", "", "", *(_usd(each.bill.usd) for each in plans))
    if any(each.floor_ms != shown.floor_ms for each in plans):
        table.caption, table.caption_justify = "* written less often, as this store wants it", "left"
    return table


def _alone(each: Plan, venue: str, settings: PlanSettings) -> float:
    return bill(each.store, each.prices, each.workloads[venue], outside=settings.outside).usd


def _venues(every: Sequence[PlanSettings]) -> Table:
    table = Table(title="Each updater", title_justify="left", box=None, pad_edge=False)
    for name in ("", "symbols", "files", "limit:ms", "connections", "request weight of a start", "at least"):
        table.add_column(name, no_wrap=True)
    for each in map(demand, every):
        weight = (
            f"{each.weight:,} of {each.weight_per_minute:,} a minute" if each.weight else "none: streamed"
        )
        cadence = " ".join(_steps(each.cadence_ms))
        counts = (f"{each.symbols:,}", f"{each.files:,}", cadence, f"{each.connections:,}")
        table.add_row(each.venue, *counts, weight, f"{each.start_s:,.0f} s")
    return table


def _steps(cadence_ms: Mapping[int, int]) -> Iterator[str]:
    """The cadence by limit, those of one cadence together: ``5…100:0``."""
    for ms, found in groupby(cadence_ms, cadence_ms.__getitem__):
        first, *_, last = [*found] * 2
        yield f"{first}:{ms}" if first == last else f"{first}…{last}:{ms}"


def document(plans: Sequence[Plan], every: Sequence[PlanSettings]) -> str:
    """The plan as JSON: an object with ``stores``, each with its requests, items and sum, ``venues``, what an
    updater of each needs, and ``advice``."""
    stores = [
        {
            "store": each.store,
            "name": each.prices.name,
            "region": each.prices.region,
            "date": each.prices.date,
            "source": each.prices.source,
            "caution": each.prices.caution,
            "store_floor_ms": each.floor_ms,
            "usd_per_month": round(each.bill.usd, 2),
            "usd_by_venue": {venue: round(_alone(each, venue, every[0]), 2) for venue in each.workloads},
            "requests": [
                {
                    "what": flow.purpose.value,
                    "kind": flow.kind.value,
                    "per_s": round(flow.per_s, 6),
                    "bytes_per_s": round(flow.bytes_per_s, 1),
                }
                for flow in each.together.flows()
            ],
            "items": [asdict(item) | {"usd": round(item.usd, 4)} for item in each.bill.items],
        }
        for each in plans
    ]
    told: Mapping[str, object] = {
        "stores": stores,
        "venues": [asdict(demand(each)) for each in every],
        "advice": list(advice(plans, every)),
    }
    return orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode()


def _usd(value: float) -> str:
    return f"${value:,.0f}" if value >= 10 else f"${value:.2f}"


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _millions(value: float) -> str:
    return f"{value / 1e6:,.1f} million" if value >= 1e6 else f"{value:,.0f}"
