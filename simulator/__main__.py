"""``python -m simulator``: an exchange as a process of its own, whichever is named."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import uvloop

from simulator.app import Simulator
from simulator.bitmex.app import BitmexSimulator
from simulator.bitmex.settings import Settings as BitmexSettings
from simulator.coinbase.app import CoinbaseSimulator
from simulator.coinbase.settings import Settings as CoinbaseSettings
from simulator.faults import ALL_RATES, Kind
from simulator.host import Host
from simulator.settings import Settings

AnySettings = Settings | CoinbaseSettings | BitmexSettings

VENUES: Final[Mapping[str, type[AnySettings]]] = {
    "binance": Settings,
    # It runs the same engine.
    "binanceus": Settings,
    "binanceusdm": Settings,
    "binancecoinm": Settings,
    "coinbaseexchange": CoinbaseSettings,
    "bitmex": BitmexSettings,
}

_SPOKEN: Final[Mapping[str, Mapping[str, Any]]] = {
    "binanceusdm": {"futures": True},
    "binancecoinm": {"coin_margined": True},
}
"""What tells Binance's exchanges apart in their settings."""

# What the options of one command are called in the settings of each exchange. An option that is not here is
# one that the exchange has nothing for; "" takes it and does nothing.
_COMMON: Final = {name: name for name in ("host", "port", "seed", "symbols", "rate", "rates", "halted")}
_BINANCE: Final = _COMMON | {
    **{name: name for name in ("first_id", "depth", "changes", "varied", "accounts", "captures", "speed")},
    "history": "history_s",
    **{name: name for name in ("history_changes", "weight_limit")},
}
_MEMBERS: Final[Mapping[type[AnySettings], Mapping[str, str]]] = {
    Settings: _BINANCE,
    CoinbaseSettings: _COMMON
    | {
        "symbols": "products",
        "first_id": "first_sequence",
        "depth": "orders",
        "changes": "actions",
        "accounts": "keys",
        "history_changes": "history",
        "weight_limit": "requests_a_second",
    },
    BitmexSettings: _COMMON
    | {
        # Its messages have no ids: what they are known by are their times.
        "first_id": "",
        "depth": "depth",
        "changes": "changes",
        "varied": "varied",
        "old_rows": "old_rows",
        "captures": "captures",
        "speed": "speed",
        "history_changes": "history",
        "weight_limit": "requests_a_minute",
    },
}


def parse_arguments(arguments: Sequence[str]) -> AnySettings:
    """The settings on a command line; exits with one clear line where they make no sense."""
    parser = _parser()
    given = vars(parser.parse_args(arguments))
    venue = given.pop("venue")
    made = VENUES[venue]
    members = _MEMBERS[made]
    try:
        given["host"], given["port"] = _address(given.pop("listen"))
        given["rates"] = _rates(given.pop("faults"), given.pop("fault"), made.RARER)
        for option in given.keys() - members.keys():
            raise ValueError(f"{venue} has nothing for --{_OPTIONS.get(option, option).replace('_', '-')}")
        given |= {name: tuple(given[name]) for name in ("accounts", "captures") if name in given}
        named: dict[str, Any] = {members[name]: value for name, value in given.items() if members[name]}
        return made(**{**named, **_SPOKEN.get(venue, {})})
    except ValueError as error:
        parser.error(str(error))


def simulator_of(settings: AnySettings) -> Host:
    """The exchange that the settings are those of."""
    if isinstance(settings, CoinbaseSettings):
        return CoinbaseSimulator(settings)
    if isinstance(settings, BitmexSettings):
        return BitmexSimulator(settings)
    return Simulator(settings)


async def run(settings: AnySettings) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with simulator_of(settings) as simulator:
        count = len(tuple(simulator.exchange.symbols))
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


# Options whose values are called otherwise.
_OPTIONS: Final = {"varied": "uniform", "accounts": "account", "captures": "capture"}


def _parser() -> argparse.ArgumentParser:
    """Options have no defaults here: each exchange has its own."""
    parser = argparse.ArgumentParser(
        prog="python -m simulator",
        description="An exchange on this machine.",
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument(
        "--listen", default="127.0.0.1:9000", metavar="HOST:PORT", help="port 0: any free one"
    )
    parser.add_argument(
        "--venue", choices=VENUES, default="binance", help="which exchange's protocol is spoken (%(default)s)"
    )
    parser.add_argument("--seed", type=int, help="settles every market and fault (1)")
    parser.add_argument(
        "--first-id",
        type=int,
        help="about where update ids or sequences begin; nothing to bitmex, which has none",
    )
    parser.add_argument(
        "--symbols",
        "--products",
        type=_symbols,
        help="how many synthetic symbols, or their names: A,B,C (20, none beside a capture; coinbaseexchange "
        "6, bitmex 8)",
    )
    parser.add_argument(
        "--depth",
        "--orders",
        type=int,
        help="levels a side (6000; of bitmex 1000), of coinbaseexchange orders a side (400)",
    )
    parser.add_argument(
        "--changes",
        "--actions",
        type=float,
        help="mean number of changes a diff (46), of rows a tick (bitmex: 12), of what traders do a tick "
        "(coinbaseexchange: 5)",
    )
    parser.add_argument("--rate", type=float, help="ticks a second: diffs, where there are such (10)")
    parser.add_argument(
        "--uniform",
        dest="varied",
        action="store_const",
        const=False,
        help="no thin, quiet, one-sided or empty books",
    )
    parser.add_argument("--halted", type=_names, help="symbols that do not trade: A,B,C")
    parser.add_argument(
        "--account",
        "--key",
        dest="accounts",
        action="append",
        type=Path,
        metavar="FILE",
        help="who may sign requests: an API key on a line, then its HMAC secret or Ed25519 key; of "
        "coinbaseexchange its passphrase and its secret, a line each; may be repeated",
    )
    parser.add_argument("--capture", dest="captures", nargs="+", type=Path, help="recorded files to play")
    parser.add_argument("--speed", type=float, help="of a capture; 0: as fast as readers take it (1)")
    parser.add_argument(
        "--old-rows", action="store_true", help="bitmex: rows as before July 2023, prices told by ids"
    )
    parser.add_argument("--history", type=float, help="seconds of truth kept (600)")
    parser.add_argument(
        "--history-changes",
        type=int,
        help="changes kept at most, over all symbols, 16 bytes each (16000000); of coinbaseexchange messages "
        "of each product (500000), of bitmex rows of each instrument (200000)",
    )
    parser.add_argument(
        "--weight-limit",
        type=int,
        help="request weight a minute (6000, of futures 2400); of coinbaseexchange requests a second (10), "
        "of bitmex requests a minute (30)",
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
    return parser


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"--listen is HOST:PORT, not {text!r:.60}")
    return host, int(port)


def _symbols(text: str) -> int | tuple[str, ...]:
    return int(text) if text.isdecimal() else _names(text)


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(",")))


def _rates(factor: float, single: Sequence[str], rarer: Mapping[Kind, float]) -> dict[Kind, float]:
    if factor < 0:
        raise ValueError("--faults is a factor, 0 or more")
    rates = {kind: min(1.0, rate * factor * rarer.get(kind, 1.0)) for kind, rate in ALL_RATES.items()}
    for text in single:
        name, _, rate = text.partition("=")
        try:
            rates[Kind(name)] = float(rate)
        except ValueError:
            raise ValueError(f"--fault is KIND=RATE, not {text!r:.60}") from None
    return rates


if __name__ == "__main__":
    sys.exit(main())
