"""``python -m simulator``: the exchange as a process of its own."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import uvloop

from simulator.app import Simulator
from simulator.faults import ALL_RATES, Kind
from simulator.settings import Settings

VENUES: Final = ("binance", "binanceusdm")

_DEFAULTS: Final = Settings()


def parse_arguments(arguments: Sequence[str]) -> Settings:
    """The settings on a command line; exits with one clear line where they make no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m simulator", description="A Binance exchange on this machine."
    )
    parser.add_argument(
        "--listen", default="127.0.0.1:9000", metavar="HOST:PORT", help="port 0: any free one"
    )
    parser.add_argument(
        "--venue", choices=VENUES, default=VENUES[0], help="what is spoken: spot, or USD-M futures"
    )
    parser.add_argument("--seed", type=int, default=_DEFAULTS.seed, help="settles every market and fault")
    parser.add_argument(
        "--first-id", type=int, default=_DEFAULTS.first_id, help="where update ids begin, about (%(default)s)"
    )
    parser.add_argument(
        "--symbols", help="how many synthetic symbols, or their names: A,B,C (20; none beside a capture)"
    )
    parser.add_argument("--depth", type=int, default=_DEFAULTS.depth, help="levels a side (%(default)s)")
    parser.add_argument(
        "--changes", type=float, default=_DEFAULTS.changes, help="mean number of changes a diff (%(default)s)"
    )
    parser.add_argument("--rate", type=float, default=_DEFAULTS.rate, help="diffs a second (%(default)s)")
    parser.add_argument("--uniform", action="store_true", help="no thin, quiet, one-sided or empty books")
    parser.add_argument("--halted", default="", help="symbols with status HALT: A,B,C")
    parser.add_argument(
        "--account",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="an account: its API key on a line, then its HMAC secret or Ed25519 key; may be repeated",
    )
    parser.add_argument("--capture", nargs="+", type=Path, default=[], help="recorded files to play")
    parser.add_argument(
        "--speed", type=float, default=_DEFAULTS.speed, help="of a capture; 0: as fast as readers take it"
    )
    parser.add_argument(
        "--history", type=float, default=_DEFAULTS.history_s, help="seconds of truth kept (%(default)s)"
    )
    parser.add_argument(
        "--history-changes",
        type=int,
        default=_DEFAULTS.history_changes,
        help="changes kept at most, over all symbols, 16 bytes each (%(default)s)",
    )
    parser.add_argument(
        "--weight-limit", type=int, default=0, help="request weight a minute (6000, of futures 2400)"
    )
    parser.add_argument(
        "--faults",
        type=float,
        default=0.0,
        metavar="FACTOR",
        help="all faults at random, at FACTOR times their rates",
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="KIND=RATE",
        help=f"one of {', '.join(Kind)}; may be repeated",
    )
    given = parser.parse_args(arguments)
    try:
        host, port = _address(given.listen)
        return Settings(
            host=host,
            port=port,
            futures=given.venue == "binanceusdm",
            seed=given.seed,
            first_id=given.first_id,
            symbols=_symbols(given.symbols),
            depth=given.depth,
            changes=given.changes,
            varied=not given.uniform,
            rate=given.rate,
            halted=tuple(filter(None, given.halted.split(","))),
            accounts=tuple(given.account),
            captures=tuple(given.capture),
            speed=given.speed,
            history_s=given.history,
            history_changes=given.history_changes,
            weight_limit=given.weight_limit,
            rates=_rates(given.faults, given.fault),
        )
    except ValueError as error:
        parser.error(str(error))


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Simulator(settings) as simulator:
        count = len(simulator.exchange.instruments)
        print(f"simulator ready: rest={simulator.rest_url} ws={simulator.ws_url} symbols={count}", flush=True)
        await simulator.serve_until(stop)


def main(arguments: Sequence[str] | None = None) -> int:
    """The process: 0 after a signal, 1 where it cannot start, 2 for wrong arguments."""
    settings = parse_arguments(sys.argv[1:] if arguments is None else arguments)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(settings))
    except (OSError, ValueError) as error:
        print(f"simulator: {error}", file=sys.stderr)
        return 1
    return 0


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"--listen is HOST:PORT, not {text!r:.60}")
    return host, int(port)


def _symbols(text: str | None) -> int | tuple[str, ...] | None:
    if text is None:
        return None
    if text.isdecimal():
        return int(text)
    return tuple(filter(None, text.split(",")))


def _rates(factor: float, single: Sequence[str]) -> dict[Kind, float]:
    if factor < 0:
        raise ValueError("--faults is a factor, 0 or more")
    rates = {kind: min(1.0, rate * factor) for kind, rate in ALL_RATES.items()}
    for text in single:
        name, _, rate = text.partition("=")
        try:
            rates[Kind(name)] = float(rate)
        except ValueError:
            raise ValueError(f"--fault is KIND=RATE, not {text!r:.60}") from None
    return rates


if __name__ == "__main__":
    sys.exit(main())
