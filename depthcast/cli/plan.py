"""``depthcast plan``: what symbols × limits × cadence × replicas cost on several stores."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar, Final

import orjson
from pydantic import BeforeValidator, Field, field_validator
from rich.console import Console
from rich.table import Table

from depthcast.errors import SettingsError
from depthcast.files import LIMITS, MAX_LIMIT
from depthcast.heat.zooms import suits
from depthcast.plan import Bill, Prices, Workload, bill, load_prices
from depthcast.plan.workload import LEVEL_BYTES, Kind, Purpose
from depthcast.settings import Counts, Settings
from depthcast.tape.keys import LENGTH_S, valid_length

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

        symbols: Annotated[int, BeforeValidator(_counted)] = Field(
            20, ge=1, description="how many symbols, or their names: A,B"
        )
        limits: Counts = Field(LIMITS, description="levels a side, a file for each", min_length=1)
        updates_per_s: float = Field(10.0, gt=0, le=1000, description="updates a second of each symbol")
        level_bytes: float = Field(LEVEL_BYTES, gt=0, description="bytes of a level in a file")
        cadence: str = Field(
            "100:0,1000:250,5000:1000",
            description="as of the updater: limit:ms pairs, how often a file is written",
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
        read_limit: int = Field(100, ge=1, le=MAX_LIMIT, description="levels of the books they ask for")
        outside: bool = Field(
            False, description="updaters and servers are not in the store's cloud: what they read leaves it"
        )
        store: str = Field(ALL, description="s3, s3-express, r2, gcs, own, a store of --prices, or all")
        prices: Path | None = Field(None, description="TOML file with prices that go before those known here")
        json: bool = Field(False, description="JSON for machines")  # type: ignore[assignment]

        @field_validator("limits")
        @classmethod
        def _published(cls, limits: tuple[int, ...]) -> tuple[int, ...]:
            if not all(1 <= limit <= MAX_LIMIT for limit in limits):
                raise ValueError(f"should be limits from 1 to {MAX_LIMIT}")
            return tuple(sorted(set(limits)))

        @field_validator("tape_segment_s")
        @classmethod
        def _divides_a_day(cls, length_s: int) -> int:
            if not valid_length(length_s):
                raise ValueError("should divide a day")
            return length_s


@dataclass(frozen=True)
class Plan:
    """One store's: the workload as it would run there, its bill, and what is to be said about it."""

    store: str
    prices: Prices
    workload: Workload
    bill: Bill
    floor_ms: int
    """What the store's own limit made of ``store_floor_ms``; 0: nothing."""


def main(argv: Sequence[str]) -> int:
    """Print the plan. Raises :class:`~depthcast.errors.SettingsError`."""
    settings = PlanSettings.load(argv, program="depthcast plan", about=_ABOUT)
    known = load_prices(settings.prices)
    if settings.store not in (ALL, *known):
        raise SettingsError(
            f"--store: there are no prices for {settings.store!r:.40}",
            hint=f"known: {', '.join(known)}, {ALL}",
        )
    chosen = {store: each for store, each in known.items() if settings.store in (ALL, store)}
    plans = [plan(store, each, settings) for store, each in chosen.items()]
    if settings.json:
        print(document(plans, settings))
    else:
        for line in shown(plans, settings):
            print(line)
    return 0


def workload(settings: PlanSettings, *, floor_ms: int = 0) -> Workload:
    """What the settings mean, on a store that takes a write to a key every ``floor_ms`` only."""
    from updater.cadence import Cadence

    try:
        cadence = Cadence.parse(settings.cadence, floor_ms=max(floor_ms, settings.store_floor_ms))
    except ValueError as error:
        raise SettingsError(f"--cadence: {error}") from None
    return Workload(
        symbols=settings.symbols,
        every_s={limit: cadence.every_s(limit) for limit in settings.limits},
        updates_per_s=settings.updates_per_s,
        level_bytes=settings.level_bytes,
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


def plan(store: str, prices: Prices, settings: PlanSettings) -> Plan:
    """The month at one store."""
    here = workload(settings, floor_ms=prices.store_floor_ms)
    floor_ms = prices.store_floor_ms if here.every_s != workload(settings).every_s else 0
    return Plan(store, prices, here, bill(store, prices, here, outside=settings.outside), floor_ms)


# Advice


def advice(plans: Sequence[Plan], settings: PlanSettings) -> Iterator[str]:
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
        writes_per_s = sum(flow.per_s for flow in each.workload.flows() if flow.kind is Kind.PUT)
        if writes_per_s > each.prices.prefix_writes_per_s:
            yield (
                f"{name} promises {each.prices.prefix_writes_per_s:,.0f} writes a second under a prefix from "
                f"the start, and this is {writes_per_s:,.0f}: it says 503 Slow Down until it has divided it."
            )
        if not each.prices.caution or len(plans) == 1:
            yield from _cheaper(each, settings)


def _cheaper(each: Plan, settings: PlanSettings) -> Iterator[str]:
    """What other settings would cost where that is a tenth less at least."""

    def other(changed: Workload, words: str) -> Iterator[str]:
        usd = bill(each.store, each.prices, changed, outside=settings.outside).usd
        if usd <= 0.9 * each.bill.usd:
            now = _usd(each.bill.usd)
            yield f"{each.prices.name}: {words} would cost {_usd(usd)} in place of {now} a month."

    every_s = each.workload.every_s
    slower = {limit: max(seconds, SLOWER_S) for limit, seconds in every_s.items()}
    if slower != every_s:
        yield from other(replace(each.workload, every_s=slower), "a cadence of 1 s (--store-floor-ms 1000)")
    fewer = {limit: every_s[limit] for limit in every_s if limit in FEWER}
    if len(fewer) < len(every_s) and max(every_s) in fewer:
        words = f"limits {','.join(map(str, fewer))}, the others cut from them by the server,"
        yield from other(replace(each.workload, every_s=fewer), words)
    refresh_s = min(each.workload.write_interval_s(limit) for limit in every_s)
    if each.workload.refresh_s < refresh_s:
        words = f"servers that refresh as often as files are written (--refresh-ms {refresh_s * 1000:.0f})"
        yield from other(replace(each.workload, refresh_s=refresh_s), words)


# Showing


def shown(plans: Sequence[Plan], settings: PlanSettings) -> Iterator[str]:
    """The plan as people read it: a table and sentences."""
    console = Console(width=_WIDTH, highlight=False, no_color=True)
    with console.capture() as captured:
        console.print(_table(plans))
    yield from (line.rstrip() for line in captured.get().splitlines())
    yield ""
    yield from advice(plans, settings)
    yield ""
    for each in plans:
        prices = each.prices
        yield f"{each.store}: {prices.name}, {prices.region}; prices of {prices.date}: {prices.source}."


def _table(plans: Sequence[Plan]) -> Table:
    whole = plans[0].workload
    title = (
        f"{whole.symbols} symbols × {len(whole.every_s)} limits, {whole.updates_per_s:g} updates a second, "
        f"{whole.replicas} updaters, {whole.servers} servers: US dollars a month"
    )
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    # Stores that are written less often make other counts; those shown are of the first that is not.
    shown = next((each for each in plans if not each.floor_ms), plans[0])
    table.add_column("a second", justify="right")
    table.add_column("a month", justify="right")
    for each in plans:
        table.add_column(each.store + "*" * (each.floor_ms != shown.floor_ms), justify="right")
    for flow in shown.workload.flows():
        item = next(item for item in shown.bill.items if item.what == flow.purpose.value)
        table.add_row(
            f"{flow.purpose.value} ({flow.kind.value})",
            _count(flow.per_s),
            _millions(item.amount),
            *(_usd(each.bill.of(flow.purpose.value)) for each in plans),
        )
    purposes = {purpose.value for purpose in Purpose}
    names = dict.fromkeys(
        item.what for each in plans for item in each.bill.items if item.what not in purposes and item.amount
    )
    for name in names:
        amounts = [item for item in shown.bill.items if item.what == name]
        amount = f"{_count(amounts[0].amount)} {amounts[0].unit}" if amounts else ""
        table.add_row(name, "", amount, *(_usd(each.bill.of(name)) for each in plans))
    table.add_section()
    table.add_row("sum", "", "", *(_usd(each.bill.usd) for each in plans))
    if any(each.floor_ms != shown.floor_ms for each in plans):
        table.caption, table.caption_justify = "* written less often, as this store wants it", "left"
    return table


def document(plans: Sequence[Plan], settings: PlanSettings) -> str:
    """The plan as JSON: an object with ``stores``, each with its requests, items and sum, and ``advice``."""
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
            "requests": [
                {
                    "what": flow.purpose.value,
                    "kind": flow.kind.value,
                    "per_s": round(flow.per_s, 6),
                    "bytes_per_s": round(flow.bytes_per_s, 1),
                }
                for flow in each.workload.flows()
            ],
            "items": [asdict(item) | {"usd": round(item.usd, 4)} for item in each.bill.items],
        }
        for each in plans
    ]
    told: Mapping[str, object] = {"stores": stores, "advice": list(advice(plans, settings))}
    return orjson.dumps(told, option=orjson.OPT_INDENT_2).decode()


def _usd(value: float) -> str:
    return f"${value:,.0f}" if value >= 10 else f"${value:.2f}"


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _millions(value: float) -> str:
    return f"{value / 1e6:,.1f} million" if value >= 1e6 else f"{value:,.0f}"
