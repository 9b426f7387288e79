"""``python -m simulator.coinbase``: Coinbase Exchange as a process of its own."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from simulator.coinbase.app import CoinbaseSimulator
from simulator.coinbase.settings import Settings
from simulator.faults import ALL_RATES


def parse_arguments(arguments: Sequence[str]) -> Settings:
    """The settings on a command line; exits with one clear line where they make no sense."""
    default = Settings()
    parser = argparse.ArgumentParser(prog="python -m simulator.coinbase", description=__doc__)
    parser.add_argument(
        "--listen", default="127.0.0.1:9001", metavar="HOST:PORT", help="port 0: any free one"
    )
    parser.add_argument("--seed", type=int, default=default.seed, help="settles every market and fault")
    parser.add_argument("--products", default="6", help="how many, or which: BTC-USD,ETH-USD (%(default)s)")
    parser.add_argument("--orders", type=int, default=default.orders, help="a side, about (%(default)s)")
    parser.add_argument("--actions", type=float, default=default.actions, help="a tick (%(default)s)")
    parser.add_argument("--rate", type=float, default=default.rate, help="ticks a second (%(default)s)")
    parser.add_argument(
        "--key",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="who may subscribe to every order: API key, passphrase and secret, a line each",
    )
    parser.add_argument(
        "--faults", type=float, default=0.0, metavar="FACTOR", help="at FACTOR times their rates"
    )
    given = parser.parse_args(arguments)
    host, _, port = given.listen.rpartition(":")
    try:
        if not host or not port.isdecimal():
            raise ValueError(f"--listen is HOST:PORT, not {given.listen!r:.60}")
        chosen = given.products
        return Settings(
            host=host,
            port=int(port),
            seed=given.seed,
            products=int(chosen) if chosen.isdecimal() else tuple(filter(None, chosen.split(","))),
            orders=given.orders,
            actions=given.actions,
            rate=given.rate,
            keys=tuple(given.key),
            rates={kind: min(1.0, rate * given.faults) for kind, rate in ALL_RATES.items()},
        )
    except ValueError as error:
        parser.error(str(error))


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with CoinbaseSimulator(settings) as simulator:
        count = len(simulator.exchange.markets)
        where = f"rest={simulator.rest_url} ws={simulator.ws_url}"
        print(f"simulator ready: {where} products={count}", flush=True)
        await simulator.serve_until(stop)


def main(arguments: Sequence[str] | None = None) -> int:
    """The process: 0 after a signal, 1 where it cannot start, 2 for wrong arguments."""
    settings = parse_arguments(sys.argv[1:] if arguments is None else arguments)
    try:
        asyncio.run(run(settings))
    except (OSError, ValueError) as error:
        print(f"simulator: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
