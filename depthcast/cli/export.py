"""``depthcast export``: a stretch of the tape as files that backtesters read."""

import asyncio
import gzip
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Final, Literal, Protocol

import pyarrow as pa
from pyarrow import parquet as pq
from pydantic import Field
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from depthcast.cli.settings import own_variables
from depthcast.cli.stretch import Bounds, StretchSettings, bounds_of, symbols_of
from depthcast.errors import SettingsError
from depthcast.store import Store
from depthcast.tape.parquet import SCHEMA
from depthcast.tape.reading import Tape
from depthcast.tape.segment import Keyframe, RecordedDiff
from depthcast.tape.stretch import Run, stretch

_ABOUT: Final = (
    "Write the diffs of a stretch of the tape, of each symbol one file: as CSV exactly as Tardis' "
    "incremental_book_L2, which hftbacktest and others read, or as Parquet, with the update ids. A book "
    "comes first, and again behind each hole; its rows say is_snapshot."
)

COLUMNS: Final = (
    "exchange",
    "symbol",
    "timestamp",
    "local_timestamp",
    "is_snapshot",
    "side",
    "price",
    "amount",
)
"""Of Tardis' ``incremental_book_L2``; timestamps are microseconds since 1970."""

_SCHEMA: Final = pa.schema([SCHEMA.field(name) for name in (*COLUMNS, "first_update_id", "last_update_id")])
_GZIP_LEVEL: Final = 6


class ExportSettings(StretchSettings):
    """What ``depthcast export`` may be told."""

    SECTION: ClassVar[str] = "export"
    TITLE: ClassVar[str] = "export"

    format: Literal["csv", "parquet"] = Field("csv", description="csv (gzipped), or parquet")
    output: Path = Field(Path(), description="folder to write to")
    overwrite: bool = Field(False, description="write over files that are there")


class Writer(Protocol):
    """A file that takes one run after the other."""

    def write(self, run: Run) -> None: ...

    def close(self) -> None: ...


def main(argv: Sequence[str]) -> int:
    """Write the files. Raises :class:`~depthcast.errors.DepthcastError`."""
    env = own_variables(ExportSettings, os.environ)
    settings = ExportSettings.load(argv, env, program="depthcast export", about=_ABOUT)
    symbols = symbols_of(settings)
    asyncio.run(_export(settings, symbols, settings.open_store()))
    return 0


def file_name(venue: str, symbol: str, bounds: Bounds, form: str) -> str:
    """The name of a symbol's file.

    >>> file_name("binance", "ETHUSDT", Bounds(1723161240000, 1723161300000), "csv")
    'binance_incremental_book_L2_20240808T235400Z_20240808T235500Z_ETHUSDT.csv.gz'
    """
    begins, ends = (
        f"{datetime.fromtimestamp(time_ms // 1000, UTC):%Y%m%dT%H%M%S}"
        + (f".{time_ms % 1000:03d}" * (time_ms % 1000 > 0))
        for time_ms in bounds
    )
    ending = "csv.gz" if form == "csv" else form
    return f"{venue}_incremental_book_L2_{begins}Z_{ends}Z_{symbol}.{ending}"


class CsvWriter:
    """Gzipped CSV. The same runs make the same bytes."""

    def __init__(self, path: Path, venue: str, symbol: str) -> None:
        self._raw = path.open("wb")
        self._file = gzip.GzipFile("", "wb", _GZIP_LEVEL, self._raw, mtime=0)
        self._file.write((",".join(COLUMNS) + "\n").encode())
        self._named = f"{venue},{symbol}"

    def write(self, run: Run) -> None:
        lines: list[str] = []
        for each in events(run):
            when = f"{self._named},{told_us(run, each)},{each.local_time_us}"
            when += ",true," if isinstance(each, Keyframe) else ",false,"
            lines += [f"{when}bid,{price},{amount}\n" for price, amount, *_ in each.bids]
            lines += [f"{when}ask,{price},{amount}\n" for price, amount, *_ in each.asks]
        self._file.write("".join(lines).encode())

    def close(self) -> None:
        self._file.close()
        self._raw.close()


class ParquetWriter:
    """Parquet, a row group a run."""

    def __init__(self, path: Path, venue: str, symbol: str) -> None:
        self._file = pq.ParquetWriter(path, _SCHEMA, compression="zstd")
        self._named = venue, symbol

    def write(self, run: Run) -> None:
        columns: list[list[object]] = [[] for _ in range(8)]
        for each in events(run):
            ids = (each.update_id, each.update_id) if isinstance(each, Keyframe) else (each.first, each.last)
            shared = told_us(run, each), each.local_time_us, isinstance(each, Keyframe), *ids
            count = len(each.bids) + len(each.asks)
            for column, value in zip(columns, shared, strict=False):
                column += [value] * count
            columns[5] += ["bid"] * len(each.bids) + ["ask"] * len(each.asks)
            for levels in (each.bids, each.asks):
                columns[6] += [float(price) for price, *_ in levels]
                columns[7] += [float(amount) for _, amount, *_ in levels]
        told, local, snapshot, first, last, sides, prices, amounts = columns
        names = [[name] * len(told) for name in self._named]
        self._file.write_table(
            pa.table(
                [*names, told, local, snapshot, sides, prices, amounts, first, last],
                schema=_SCHEMA,
            )
        )

    def close(self) -> None:
        self._file.close()


def events(run: Run) -> list[Keyframe | RecordedDiff]:
    """A run's book, where it begins with one, and its diffs."""
    return [*(() if run.keyframe is None else (run.keyframe,)), *run.diffs]


def told_us(run: Run, event: Keyframe | RecordedDiff) -> int:
    """The exchange's time of an event; a book that does not tell its own has that of what follows."""
    time_ms = event.event_time_ms or next((diff.event_time_ms for diff in run.diffs), 0)
    return time_ms * 1000


async def _export(settings: ExportSettings, symbols: tuple[str, ...], store: Store) -> None:
    tape = Tape(store, settings.venue)
    try:
        bounds = await bounds_of(settings, symbols, tape)
        folder = settings.output
        paths = {
            symbol: folder / file_name(settings.venue, symbol, bounds, settings.format) for symbol in symbols
        }
        there = [path for path in paths.values() if path.exists()]
        if there and not settings.overwrite:
            raise SettingsError(f"{there[0]} is there already", hint="--overwrite replaces it")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with _progress() as progress:
                for symbol, path in paths.items():
                    await _write(settings, tape, symbol, bounds, path, progress)
        except OSError as error:
            raise SettingsError(f"cannot write to {folder}: {error.strerror or error}") from None
    finally:
        await tape.close()
        await store.close()


async def _write(
    settings: ExportSettings, tape: Tape, symbol: str, bounds: Bounds, path: Path, progress: Progress
) -> None:
    """One file, which bears its name only once it is whole."""
    unfinished = path.with_name(f".{path.name}.part")
    kind: Callable[[Path, str, str], Writer] = CsvWriter if settings.format == "csv" else ParquetWriter
    writer = kind(unfinished, settings.venue, symbol)
    task = progress.add_task(symbol, total=bounds.to_ms - bounds.from_ms)
    diffs = books = 0
    try:
        try:
            async for run in stretch(tape, symbol, *bounds):
                await asyncio.to_thread(writer.write, run)
                diffs += len(run.diffs)
                books += run.keyframe is not None
                if run.diffs:
                    done_ms = run.diffs[-1].event_time_ms - bounds.from_ms
                    progress.update(task, completed=max(0, done_ms))
        finally:
            writer.close()
        unfinished.replace(path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise
    progress.update(task, completed=bounds.to_ms - bounds.from_ms)
    holes = f", {books - 1} of them behind holes" if books > 1 else ""
    progress.console.print(
        f"{path}: {diffs:,} diffs, {books} book{'s' * (books != 1)}{holes}, {_size_mb(path):,.1f} MB"
    )


def _size_mb(path: Path) -> float:
    return path.stat().st_size / 1e6


def _progress() -> Progress:
    """A bar on a terminal; elsewhere only the lines that are printed."""
    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
