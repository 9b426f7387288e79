"""``depthcast replay``: a stretch of the tape as an exchange that any client of Binance can be tried on.

Here the tape meets the simulator, neither of which knows the other: runs of diffs go in, the simulator's
records come out, in the order of the exchange's clock over all symbols, a minute at a time.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from heapq import merge
from typing import Any, ClassVar, Final

import uvloop
from pydantic import Field

from depthcast.cli.settings import own_variables
from depthcast.cli.stretch import Bounds, StretchSettings, bounds_of, symbols_of
from depthcast.errors import NotOnTape, SettingsError
from depthcast.exit import complete
from depthcast.settings import Address, Listen
from depthcast.store import Store
from depthcast.tape.reading import Tape
from depthcast.tape.segment import Keyframe
from depthcast.tape.stretch import Run, stretch
from depthcast.venues.taping import taping_of

_ABOUT: Final = (
    "Play a stretch of the tape as an exchange: Binance's REST and websocket protocol, with the books, diffs "
    "and update ids that were recorded. It begins once somebody has subscribed to the diffs of each symbol; "
    "diffs have their recorded times, the clock of GET /api/v3/time is this machine's."
)

# The simulator's own, which a library names no earlier than it is asked for.
Record = Any
Source = Any
Simulated = Any

HISTORY_S: Final = 60.0
"""The simulator's memory of books that were: of its own oracle, for who wants to compare."""

HISTORY_CHANGES: Final = 2_000_000


class ReplaySettings(StretchSettings):
    """What ``depthcast replay`` may be told."""

    SECTION: ClassVar[str] = "replay"
    TITLE: ClassVar[str] = "replay"

    speed: float = Field(
        1.0, ge=0, description="so many times as fast as it was; 0: as fast as its readers take it"
    )
    listen: Listen = Field(Address("127.0.0.1", 9000), description="where to listen, host:port")
    stay: bool = Field(True, description="go on when all was played and the last reader has left")


def main(argv: Sequence[str]) -> int:
    """Play until the end, SIGTERM or Ctrl-C. Raises :class:`~depthcast.errors.DepthcastError`."""
    env = own_variables(ReplaySettings, os.environ)
    settings = ReplaySettings.load(argv, env, program="depthcast replay", about=_ABOUT)
    symbols = symbols_of(settings)
    if not taping_of(settings.venue).by_price:
        raise SettingsError(
            f"the tape of {settings.venue} holds prices, and its exchange speaks of orders",
            hint="write the stretch as files in place of it: depthcast export",
        )
    complete(_replay(settings, symbols, settings.open_store()), loop_factory=uvloop.new_event_loop)
    return 0


async def source_of(tape: Tape, symbols: Sequence[str], bounds: Bounds) -> Source:
    """The stretch as the simulator plays it; what follows on the opening books is read as it is played.

    Raises :class:`~depthcast.errors.NotOnTape` for a symbol of which nothing was recorded in it.
    """
    from simulator import capture

    flows = {symbol: aiter(stretch(tape, symbol, *bounds)) for symbol in symbols}
    first: dict[str, Run] = {}
    for symbol, flow in flows.items():
        run = await anext(flow, None)
        if run is None:
            raise NotOnTape(symbol, "nothing was recorded in it")
        first[symbol] = run
    opening = {}
    for symbol, run in first.items():
        assert run.keyframe is not None  # so every stretch begins
        opening[symbol] = _snapshot(symbol, run.keyframe, bounds.from_ms)
    return capture.Source(opening, _merged(flows, first, bounds.from_ms))


def simulator_settings(settings: ReplaySettings) -> Any:
    """The simulator that plays it, which speaks as the venue does."""
    from simulator.settings import Settings

    return Settings(
        futures=taping_of(settings.venue).transaction_times,
        host=settings.listen.host,
        port=settings.listen.port,
        symbols=(),
        speed=settings.speed,
        history_s=HISTORY_S,
        history_changes=HISTORY_CHANGES,
    )


async def _merged(
    flows: dict[str, AsyncIterator[Run]], first: dict[str, Run], from_ms: int
) -> AsyncIterator[Sequence[Record]]:
    """The records of all symbols by their times.

    Of each symbol one run is held; what is given out is older than the end of the earliest of them.
    """
    waiting = {symbol: _records(symbol, run, from_ms)[1:] for symbol, run in first.items()}
    latest = {symbol: records[-1].at_s if records else 0.0 for symbol, records in waiting.items()}
    while waiting:
        # The one that is known the least far goes on.
        symbol = min(waiting, key=lambda each: latest[each])
        until = latest[symbol]
        batch = list(
            merge(
                *([each for each in records if each.at_s <= until] for records in waiting.values()), key=_time
            )
        )
        waiting = {each: [r for r in records if r.at_s > until] for each, records in waiting.items()}
        if batch:
            yield batch
        run = await anext(flows[symbol], None)
        if run is None:
            # What is left of it has no time after those that were given out.
            del waiting[symbol]
            continue
        waiting[symbol] += _records(symbol, run, round(until * 1000))
        latest[symbol] = max(until, waiting[symbol][-1].at_s)


def _records(symbol: str, run: Run, after_ms: int) -> list[Record]:
    """A run as the simulator has it. Times do not go back, so that ids keep their order."""
    from simulator.capture import RecordedDiff

    latest_ms = after_ms
    records: list[Record] = []
    if run.keyframe is not None:
        latest_ms = max(latest_ms, run.keyframe.event_time_ms)
        records.append(_snapshot(symbol, run.keyframe, latest_ms))
    for diff in run.diffs:
        latest_ms = max(latest_ms, diff.event_time_ms)
        records.append(
            RecordedDiff(
                latest_ms / 1000,
                symbol,
                diff.first,
                diff.last,
                diff.event_time_ms,
                diff.bids,
                diff.asks,
                diff.previous if diff.previous >= 0 else None,
                diff.transaction_time_ms,
            )
        )
    return records


def _snapshot(symbol: str, frame: Keyframe, at_ms: int) -> Record:
    from simulator.capture import RecordedSnapshot
    from simulator.truth import Times

    times = Times(frame.event_time_ms, frame.transaction_time_ms) if frame.transaction_time_ms else None
    return RecordedSnapshot(at_ms / 1000, symbol, frame.update_id, frame.bids, frame.asks, times)


def _time(record: Record) -> float:
    return float(record.at_s)


async def _replay(settings: ReplaySettings, symbols: tuple[str, ...], store: Store) -> None:
    from simulator.app import Simulator

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    tape = Tape(store, settings.venue)
    try:
        bounds = await bounds_of(settings, symbols, tape)
        source = await source_of(tape, symbols, bounds)
        try:
            simulator = Simulator(simulator_settings(settings), sources=[source])
            await simulator.start()
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {settings.listen}: {error.strerror or error}",
                hint="choose another --listen, or stop the process that listens there",
            ) from None
        except ValueError as error:
            raise NotOnTape(symbols[0], f"what was recorded cannot be played: {error}") from None
        ending = asyncio.create_task(_tell_end(simulator, stop, stay=settings.stay))
        try:
            print(
                f"replay ready: rest={simulator.rest_url} ws={simulator.ws_url} symbols={','.join(symbols)} "
                f"stretch={bounds} speed={settings.speed:g}",
                flush=True,
            )
            await simulator.serve_until(stop)
        finally:
            ending.cancel()
            await simulator.stop()
    finally:
        await tape.close()
        await store.close()


async def _tell_end(simulator: Simulated, stop: asyncio.Event, *, stay: bool) -> None:
    while not simulator.captures_done:  # noqa: ASYNC110 - a player tells nobody that it is done
        await asyncio.sleep(0.05)
    await simulator.drain()
    print("replay done", flush=True)
    # Who joined late may yet have to ask for a snapshot.
    while stay or simulator.exchange.connections:  # noqa: ASYNC110 - nor when its readers have gone
        await asyncio.sleep(0.05)
    stop.set()
