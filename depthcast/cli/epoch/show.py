"""``depthcast epoch show``: the files of symbols, one line a limit, and whether they differ."""

import asyncio
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from depthcast.cli.epoch.published import PublishedFile, published
from depthcast.cli.epoch.settings import read, symbol_of
from depthcast.errors import SettingsError
from depthcast.files import Scheme
from depthcast.store import Store

_ABOUT: Final = "Show the published files of symbols, and whether they differ. Nothing is written."


def main(argv: Sequence[str]) -> int:
    """Print them. Raises :class:`~depthcast.errors.DepthcastError`."""
    words, settings = read(argv, program="depthcast epoch show SYMBOL…", about=_ABOUT)
    symbols = list(dict.fromkeys(map(symbol_of, words)))
    if not symbols:
        raise SettingsError("no symbol is named", hint="depthcast epoch show ETHUSDT")
    found = asyncio.run(_read(settings.open_store(), symbols, settings.scheme))
    now_ms = time.time_ns() // 1_000_000
    if settings.json:
        print(json.dumps([document(symbol, files) for symbol, files in found.items()]))
        return 0
    console = Console(highlight=False)
    for symbol, files in found.items():
        console.print(table(symbol, files, now_ms))
        console.print(Text(f"{symbol}: {'; '.join(differences(files)) or 'all files agree'}"))
    return 0


async def _read(store: Store, symbols: Sequence[str], scheme: Scheme) -> dict[str, list[PublishedFile]]:
    try:
        return {symbol: await published(store, symbol, scheme=scheme) for symbol in symbols}
    finally:
        await store.close()


def differences(files: Sequence[PublishedFile]) -> list[str]:
    """In which way the files differ though they should not. Ids within one epoch do: each limit has its
    own cadence."""
    infos = [file.info for file in files if file.info is not None]
    epochs = sorted({info.epoch for info in infos})
    statuses = sorted({info.status for info in infos})
    damaged = [str(file.limit) for file in files if file.info is None]
    told = []
    if len(epochs) > 1:
        told.append(f"the epochs differ: {', '.join(map(str, epochs))}")
    if len(statuses) > 1:
        told.append(f"the statuses differ: {', '.join(statuses)}")
    if damaged:
        told.append(f"no file of ours at limit {', '.join(damaged)}")
    return told


def document(symbol: str, files: Sequence[PublishedFile]) -> dict[str, Any]:
    """One symbol for machines. Times are milliseconds since 1970."""
    shown = []
    for file in files:
        members: dict[str, Any] = {"key": file.key, "limit": file.limit, "etag": file.etag}
        if file.version is None or file.info is None:
            members["fault"] = file.fault
        else:
            info = file.info
            members |= {
                "epoch": info.epoch,
                "id": file.version.update_id,
                "event_time_ms": info.event_time_ms,
                "publish_time_ms": info.publish_time_ms,
                "certain_bids": info.bids,
                "certain_asks": info.asks,
                "bids_complete": info.bids_complete,
                "asks_complete": info.asks_complete,
                "status": info.status,
                "replica": info.replica,
            }
        shown.append(members)
    return {"symbol": symbol, "files": shown, "differences": differences(files)}


def table(symbol: str, files: Sequence[PublishedFile], now_ms: int) -> Table:
    """One symbol for people."""
    shown = Table(title=symbol, title_justify="left", box=None, pad_edge=False)
    for heading in ("key", "epoch", "id", "event", "published", "certain", "status", "replica"):
        shown.add_column(heading, justify="right" if heading in ("epoch", "id") else "left")
    for file in files:
        if file.version is None or file.info is None:
            shown.add_row(Text(file.key), "", "", "", "", "", Text("no file", style="bold red"), "")
            continue
        info = file.info
        shown.add_row(
            Text(file.key),
            str(info.epoch),
            str(file.version.update_id),
            when(info.event_time_ms, now_ms),
            when(info.publish_time_ms, now_ms),
            f"{info.bids}{'+' * info.bids_complete} / {info.asks}{'+' * info.asks_complete}",
            info.status,
            Text(info.replica),
        )
    return shown


def when(time_ms: int, now_ms: int) -> str:
    """A time and its age; of 0, which stands for an unknown one, neither.

    >>> when(1_723_161_253_000, 1_723_161_343_500)
    '23:54:13 (90 s ago)'
    >>> when(1_723_161_253_000, 1_723_361_253_000)
    '2024-08-08 23:54:13 (2.3 d ago)'
    """
    if time_ms == 0:
        return "unknown"
    age_s = (now_ms - time_ms) / 1000
    for unit, seconds, until in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if age_s < until:
            age = f"{age_s / seconds:.{0 if unit == 's' and age_s >= 10 else 1}f} {unit}"
            break
    else:
        age = f"{age_s / 86400:.1f} d"
    try:
        time_of_day = datetime.fromtimestamp(time_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{time_ms} ms"
    return f"{time_of_day:{'%H:%M:%S' if age_s < 43_200 else '%Y-%m-%d %H:%M:%S'}} ({age} ago)"
