"""A recorded stretch is an exchange again: who follows it ends with the recorded book."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from binance.spot import Spot

import depthcast
from depthcast.cli.replay import ReplaySettings, simulator_settings, source_of
from depthcast.cli.stretch import Bounds, bounds_of, symbols_of
from depthcast.errors import NotOnTape, SettingsError, UnknownSymbol
from depthcast.store.memory import MemoryStore
from depthcast.tape.asked import Asked
from depthcast.tape.reading import Tape
from depthcast.tape.segment import Segment
from simulator.app import Simulator
from simulator.capture import Record, RecordedDiff, RecordedSnapshot
from simulator.settings import Settings
from tests.depthcast.cli.taped import BUCKET, MINUTE_MS, OTHER, TAPED, s3, write_tape, write_to_s3
from tests.depthcast.tape import futures
from tests.depthcast.tape.stored import store_segments
from tests.depthcast.tape.tapes import START_MS, SYMBOL

WHOLE = Bounds(START_MS, START_MS + 3 * MINUTE_MS)
WAIT_S = 60.0


@asynccontextmanager
async def a_tape() -> AsyncIterator[Tape]:
    store = MemoryStore()
    await write_tape(store)
    tape = Tape(store)
    yield tape
    await tape.close()


async def until_done(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(WAIT_S):
        while (await process.stdout.readline()).strip() != b"replay done":
            assert process.returncode is None


async def followed(books: depthcast.Books, symbol: str, update_id: int) -> list[Any]:
    """The book of a client once it has reached an id: levels of exact strings."""
    async with asyncio.timeout(WAIT_S):
        while not books[symbol].ready or books[symbol].update_id < update_id:  # noqa: ASYNC110 - polls
            await asyncio.sleep(0.01)
    return [*json.loads(books[symbol].body(5000)).values()]


async def test_who_follows_a_replay_ends_with_the_recorded_books() -> None:
    with s3() as env:
        await write_to_s3(env)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "depthcast", "replay", f"--store-url=s3://{BUCKET}", f"--symbols={SYMBOL},{OTHER}"),
            *("--speed=0", "--listen=127.0.0.1:0", "--no-stay", "--from=2024-08-08T23:54:01.5Z"),
            env={**os.environ, **env},
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            async with asyncio.timeout(WAIT_S):
                ready = (await process.stdout.readline()).decode()
            assert f"symbols={SYMBOL},{OTHER} stretch=2024-08-08 23:54:01.500 to" in ready
            urls = dict(word.split("=", 1) for word in ready.split() if word.startswith(("rest=", "ws=")))
            # Nothing moves before somebody listens: this is the book of the beginning.
            opening = Spot(base_url=urls["rest"]).depth(SYMBOL, limit=5)
            [piece] = TAPED.segments[SYMBOL][0].pieces
            assert opening["lastUpdateId"] == piece.diffs[1].last
            async with depthcast.connect(
                "binance", [SYMBOL, OTHER], rest_url=urls["rest"], ws_url=urls["ws"]
            ) as books:
                for symbol in (SYMBOL, OTHER):
                    last = TAPED.last_book(symbol)
                    got = await followed(books, symbol, last.update_id)
                    assert got == [*json.loads(last.body(5000)).values()]
                await until_done(process)
            assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def test_records_are_in_the_order_of_their_times_over_all_symbols() -> None:
    async with a_tape() as tape:
        source = await source_of(tape, (SYMBOL, OTHER), WHOLE)
        records: list[Record] = []
        batches = 0
        async for batch in source.flow:
            records += batch
            batches += 1
            # A minute of each symbol at most.
            assert len(batch) <= 2 * 61
    times = [record.at_s for record in records]
    assert times == sorted(times)
    assert batches > 3
    for symbol in (SYMBOL, OTHER):
        told = [r for r in records if isinstance(r, RecordedDiff) and r.symbol == symbol]
        assert [(r.first, r.last) for r in told] == [
            (diff.first, diff.last) for segment in TAPED.segments[symbol] for diff in segment.diffs
        ]
        assert source.opening[symbol].update_id == TAPED.segments[symbol][0].first_id
    snapshots = [r for r in records if isinstance(r, RecordedSnapshot)]
    assert [(r.symbol, r.update_id) for r in snapshots] == [
        (SYMBOL, TAPED.segments[SYMBOL][1].pieces[1].first_id),
        (SYMBOL, TAPED.segments[SYMBOL][2].first_id),
    ]


async def test_the_simulator_s_own_truth_is_the_tape_at_every_id() -> None:
    async with a_tape() as tape:
        source = await source_of(tape, (OTHER,), WHOLE)
        simulator = Simulator(Settings(symbols=()), manual=True, sources=[source])
        while not simulator.captures_done:
            await simulator.play_next()
        for segment in TAPED.segments[OTHER]:
            for diff in segment.diffs:
                moment = await tape.at(OTHER, Asked(update_id=diff.last))
                assert simulator.truth.body(OTHER, diff.last, 5000) == moment.body(5000)


async def test_a_stretch_that_is_not_said_is_where_all_were_recorded() -> None:
    async with a_tape() as tape:
        settings = ReplaySettings(symbols=(SYMBOL, OTHER))
        assert await bounds_of(settings, symbols_of(settings), tape) == WHOLE
        part = ReplaySettings(symbols=(SYMBOL,), from_="2024-08-08T23:55:00Z", to="1723161310000")
        assert await bounds_of(part, (SYMBOL,), tape) == (START_MS + MINUTE_MS, START_MS + 70_000)


async def test_a_tape_that_is_still_open_is_played_to_its_last_diff() -> None:
    [piece] = TAPED.segments[SYMBOL][0].pieces
    half = replace(piece, diffs=piece.diffs[:30])
    store = MemoryStore()
    await store_segments(
        store, [Segment.of("binance", SYMBOL, START_MS, 60, [half], from_start=True, to_end=False)]
    )
    tape = Tape(store)
    bounds = await bounds_of(ReplaySettings(symbols=(SYMBOL,)), (SYMBOL,), tape)
    source = await source_of(tape, (SYMBOL,), bounds)
    records = [record async for batch in source.flow for record in batch]
    assert [r.last for r in records if isinstance(r, RecordedDiff)] == [diff.last for diff in half.diffs]
    await tape.close()


@pytest.mark.parametrize(
    ("options", "error", "why"),
    [
        ({}, SettingsError, "no symbol is named"),
        ({"symbols": ("eth/usdt",)}, SettingsError, "is not spelled like a symbol"),
        ({"symbols": ("NOSUCH",)}, UnknownSymbol, "the tape has no symbol 'NOSUCH'"),
        ({"symbols": (SYMBOL,), "from_": "soon"}, SettingsError, "--from: 'soon' is neither"),
        (
            {"symbols": (SYMBOL,), "from_": "2024-08-09", "to": "2024-08-08"},
            SettingsError,
            "before it begins",
        ),
        ({"symbols": (SYMBOL,), "from_": "2024-08-10", "to": "2024-08-11"}, NotOnTape, "there is 2024-08-08"),
        (
            {"symbols": (SYMBOL,), "to": "2024-08-08", "from_": "2024-08-07"},
            NotOnTape,
            "nothing was recorded",
        ),
    ],
)
async def test_a_stretch_that_makes_no_sense_is_refused(
    options: dict[str, Any], error: type[Exception], why: str
) -> None:
    async with a_tape() as tape:
        settings = ReplaySettings(**options)
        with pytest.raises(error, match=why):
            await bounds_of(settings, symbols_of(settings), tape)


async def test_a_stretch_in_a_hole_has_nothing_to_play() -> None:
    async with a_tape() as tape:
        inside = Bounds(START_MS + MINUTE_MS + 15_000, START_MS + MINUTE_MS + 20_000)
        with pytest.raises(NotOnTape, match="nothing was recorded in it"):
            await source_of(tape, (SYMBOL,), inside)


@pytest.mark.captures
@pytest.mark.skipif(not futures.DATA.exists(), reason="the captured exchange data is not beside the checkout")
async def test_futures_are_an_exchange_of_futures_again() -> None:
    symbols = futures.run().symbols
    store = MemoryStore()
    for symbol in symbols:
        await store_segments(store, futures.segments_of(symbol))
    tape = Tape(store, futures.VENUE)
    settings = ReplaySettings(symbols=symbols, venue=futures.VENUE)
    bounds = await bounds_of(settings, symbols, tape)
    source = await source_of(tape, symbols, bounds)
    made = simulator_settings(settings)
    assert made.futures
    async with Simulator(replace(made, port=0, speed=0), sources=[source]) as simulator:
        rest_url, ws_url = simulator.rest_url, simulator.ws_url
        async with depthcast.connect(futures.VENUE, symbols, rest_url=rest_url, ws_url=ws_url) as books:
            for symbol in symbols:
                last = [diff for diff in futures.diffs_of(symbol) if diff.event_time_ms < bounds.to_ms][-1]
                async with asyncio.timeout(WAIT_S):
                    while not books[symbol].ready or books[symbol].update_id < last.last:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
                moment = await tape.at(symbol, Asked(update_id=last.last))
                assert f'"T":{last.transaction_time_ms},'.encode() in moment.body(5)
                assert books[symbol].body(100) == moment.body(100)
    await tape.close()
