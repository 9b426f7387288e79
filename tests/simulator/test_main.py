"""The exchange as a process: its command line, its one line when it is ready, its end."""

import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from time import monotonic

import pytest

from simulator.__main__ import main, parse_arguments
from simulator.bitmex.settings import Settings as BitmexSettings
from simulator.coinbase.settings import Settings as CoinbaseSettings
from simulator.faults import ALL_RATES, DIFF_KINDS, Kind
from simulator.settings import Settings

ROOT = Path(__file__).parents[2]


def binance(*arguments: str) -> Settings:
    """The settings of one of Binance's exchanges."""
    settings = parse_arguments(arguments)
    assert isinstance(settings, Settings)
    return settings


def test_the_arguments_become_settings() -> None:
    settings = binance(
        *("--listen", "127.0.0.1:9001", "--seed", "3", "--symbols", "5", "--depth", "70", "--rate", "20"),
        *("--capture", "a", "b.gz", "--speed", "0", "--halted", "ETHUSDT,BTCUSDT", "--uniform"),
        *("--fault", "gap=0.5", "--faults", "0.1", "--first-id", "7"),
    )
    assert (settings.host, settings.port, settings.seed) == ("127.0.0.1", 9001, 3)
    assert (settings.symbols, settings.depth, settings.rate, settings.varied) == (5, 70, 20, False)
    assert (settings.captures, settings.speed) == ((Path("a"), Path("b.gz")), 0)
    assert settings.halted == ("ETHUSDT", "BTCUSDT")
    assert settings.rates[Kind.GAP] == 0.5
    assert settings.rates[Kind.REBASE] == pytest.approx(0.1 * ALL_RATES[Kind.REBASE])
    assert (settings.tick_ms, settings.first_id) == (50, 7)


def test_a_venue_brings_its_own_request_weight_unless_another_is_given() -> None:
    spot, futures = binance(), binance("--venue", "binanceusdm")
    assert (spot.futures, spot.weight_limit) == (False, 6000)
    assert (futures.futures, futures.weight_limit) == (True, 2400)
    coin = binance("--venue", "binancecoinm")
    assert (coin.futures, coin.coin_margined, coin.weight_limit) == (True, True, 2400)
    assert binance("--weight-limit", "7").weight_limit == 7


def test_symbols_are_a_number_or_names_and_faults_are_off_unless_asked_for() -> None:
    assert binance("--symbols", "ETHUSDT,BTCUSDT").symbols == ("ETHUSDT", "BTCUSDT")
    assert binance().symbols is None
    assert not any(binance().rates.values())


def test_one_command_starts_every_venue() -> None:
    common = ["--seed=3", "--first-id=7", "--depth=40", "--changes=9", "--rate=20", "--faults=2"]
    common.append("--halted=A-B,AB")
    coinbase = parse_arguments([*common, "--venue=coinbaseexchange", "--symbols=A-B,C-D", "--key=k"])
    assert isinstance(coinbase, CoinbaseSettings)
    assert (coinbase.products, coinbase.orders, coinbase.actions) == (("A-B", "C-D"), 40, 9)
    assert (coinbase.first_sequence, coinbase.keys, coinbase.seed) == (7, (Path("k"),), 3)
    bitmex = parse_arguments([*common, "--venue=bitmex", "--symbols=3", "--old-rows", "--uniform"])
    assert isinstance(bitmex, BitmexSettings)
    assert (bitmex.symbols, bitmex.depth, bitmex.changes, bitmex.rate) == (3, 40, 9, 20)
    assert (bitmex.old_rows, bitmex.varied, bitmex.halted) == (True, False, ("A-B", "AB"))
    assert coinbase.rates == {kind: min(1, 2 * rate) for kind, rate in ALL_RATES.items()}
    # There are many more messages, and an address may open 60 connections an hour.
    rarer = {kind for kind, rate in bitmex.rates.items() if rate < coinbase.rates[kind]}
    assert rarer == {*DIFF_KINDS, Kind.DISCONNECT, Kind.HALF_OPEN, Kind.SHUTDOWN}
    assert bitmex.rates[Kind.DISCONNECT] == pytest.approx(0.2 * ALL_RATES[Kind.DISCONNECT])
    single = parse_arguments(["--venue=bitmex", "--faults=1", "--fault=malformed=0.5"])
    assert single.rates[Kind.MALFORMED] == 0.5


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ("--venue coinbaseexchange --capture a", "coinbaseexchange has nothing for --capture"),
        ("--venue coinbaseexchange --uniform", "coinbaseexchange has nothing for --uniform"),
        ("--venue bitmex --depth 1", "depth is at least 2"),
        ("--listen nowhere", "--listen is HOST:PORT"),
        ("--listen 127.0.0.1:70000", "--listen is HOST:PORT"),
        ("--fault gap", "--fault is KIND=RATE"),
        ("--fault earthquake=1", "--fault is KIND=RATE"),
        ("--faults -1", "--faults is a factor"),
        ("--rate 0", "rate is a number of ticks"),
        ("--first-id 0", "first_id is at least 1"),
        ("--depth 1", "depth is at least 2"),
        ("--speed -1", "speed is a factor"),
        ("--symbols 0", "needs symbols or a capture"),
    ],
)
def test_a_wrong_argument_gets_one_clear_line(
    capsys: pytest.CaptureFixture[str], arguments: str, why: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(arguments.split())
    assert ended.value.code == 2
    assert why in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--capture", "/nonexistent/file"], "/nonexistent/file"),
        (["--symbols", "eth/usdt"], "not spelled like a symbol"),
        (["--symbols", "ETHUSDT", "--halted", "BTCUSDT"], "BTCUSDT"),
        (["--fault", "gap=2"], "the rate of gap"),
    ],
)
def test_what_cannot_start_says_why_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    assert main(["--listen", "127.0.0.1:0", *arguments]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert why in line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_says_when_it_is_ready_serves_and_ends_on_a_signal(number: signal.Signals) -> None:
    command = [
        sys.executable,
        "-m",
        "simulator",
        "--listen",
        "127.0.0.1:0",
        "--symbols",
        "2",
        "--depth",
        "20",
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = process.stdout.readline()
            match = re.fullmatch(r"simulator ready: rest=(http://\S+) ws=ws://\S+ symbols=2\n", ready)
            assert match is not None, ready
            with urllib.request.urlopen(f"{match[1]}/api/v3/depth?symbol=ETHUSDT", timeout=5) as answer:
                assert answer.read().startswith(b'{"lastUpdateId":')
            process.send_signal(number)
            asked = monotonic()
            assert process.wait(timeout=5) == 0
            assert monotonic() - asked < 2
        finally:
            process.kill()
