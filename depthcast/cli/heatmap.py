"""``depthcast heatmap``: the heatmap's tiles of a tape that is there already.

The updaters make them as they record. This is for a tape from before, or one that came from elsewhere: it
reads the segments in their order and writes what is missing. What is there and complete stays; running it
again does no harm.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from typing import ClassVar, Final, NamedTuple

from pydantic import Field
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from depthcast.cli.settings import own_variables
from depthcast.errors import BadFile, BadKey, SettingsError
from depthcast.files import valid_symbol
from depthcast.heat.zooms import suits
from depthcast.metadata.moments import parse_moment
from depthcast.settings import StoreSettings
from depthcast.store import Store
from depthcast.tape.keys import TAPE_PREFIX, SegmentName, parse_segment_key, segment_key

_ABOUT: Final = "Make the heatmap's tiles of the segments that are on the tape. What is complete stays."


class HeatmapSettings(StoreSettings):
    """What ``depthcast heatmap`` may be told."""

    SECTION: ClassVar[str] = "heatmap"
    TITLE: ClassVar[str] = "heatmap"

    venue: str = Field("binance", description="the exchange, as the tape's keys name it")
    since: str = Field("", description="segments from this time on: ms since 1970, or ISO 8601")
    until: str = Field("", description="segments that begin before this time")


class Made(NamedTuple):
    """What was done for a symbol."""

    segments: int
    tiles: int
    bytes: int
    damaged: int


def main(argv: Sequence[str]) -> int:
    """Make the tiles of the symbols named; all that are taped where none is.

    Raises :class:`~depthcast.errors.DepthcastError`.
    """
    first = next((at for at, word in enumerate(argv) if word.startswith("-")), len(argv))
    env = own_variables(HeatmapSettings, os.environ)
    settings = HeatmapSettings.load(argv[first:], env, program="depthcast heatmap [SYMBOL…]", about=_ABOUT)
    for symbol in argv[:first]:
        if not valid_symbol(symbol):
            raise SettingsError(f"{symbol!r:.80} is not spelled like a symbol", hint="such as ETHUSDT")
    span = _time(settings.since, 0), _time(settings.until, 2**62)
    made = asyncio.run(_make(settings, argv[:first], *span))
    for symbol, done in made.items():
        damaged = f", {done.damaged} damaged ones left out" if done.damaged else ""
        print(f"{symbol}: {done.segments} segments{damaged}, {done.tiles} tiles written, {done.bytes} bytes")
    if not made:
        print("nothing is on the tape there")
    return 0


async def _make(
    settings: HeatmapSettings, symbols: Sequence[str], since_ms: int, until_ms: int
) -> dict[str, Made]:
    store = settings.open_store()
    try:
        found: dict[str, list[SegmentName]] = {}
        for symbol in symbols or [""]:
            async for name in segments(store, settings.venue, symbol):
                if since_ms <= name.start_ms < until_ms:
                    found.setdefault(name.symbol, []).append(name)
        with Progress(
            TextColumn("{task.description}"),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not found,
            transient=True,
        ) as progress:
            return {symbol: await make(store, names, progress) for symbol, names in sorted(found.items())}
    finally:
        await store.close()


async def segments(store: Store, venue: str, symbol: str) -> AsyncIterator[SegmentName]:
    """The segments of a symbol (empty: of all) that are on the tape, in the order of their keys."""
    folder = f"{TAPE_PREFIX}venue={venue}/symbol={symbol}"
    async for entry in store.list(f"{folder}/" if symbol else folder):
        try:
            yield parse_segment_key(entry.key)
        except BadKey:
            continue  # an index


async def make(store: Store, names: Sequence[SegmentName], progress: Progress | None = None) -> Made:
    """The tiles of these segments, which are all one symbol's."""
    from depthcast.heat.album import Album, Written
    from depthcast.tape.parquet import columns

    written: list[int] = []

    def note(each: Written) -> None:
        written.append(each.bytes)

    albums: dict[int, Album] = {}
    read = damaged = 0
    task = None if progress is None else progress.add_task(names[0].symbol, total=len(names))
    for name in sorted(names, key=lambda each: each.start_ms):
        if suits(name.length_s):
            album = albums.setdefault(
                name.length_s,
                Album(store, name.venue, name.symbol, length_s=name.length_s, on_written=note),
            )
            key = segment_key(*name)
            stored = await store.get(key)
            try:
                if stored is not None:
                    await album.add(await asyncio.to_thread(columns, stored.body, key))
                    read += 1
            except BadFile:
                damaged += 1
        if progress is not None and task is not None:
            progress.advance(task)
    return Made(read, len(written), sum(written), damaged)


def _time(word: str, default_ms: int) -> int:
    if not word:
        return default_ms
    try:
        return parse_moment(word)
    except ValueError as error:
        raise SettingsError(str(error), hint="--since 2026-11-20T14:00:00Z") from None
