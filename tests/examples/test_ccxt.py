"""The examples of the ccxt drop-in, run against a simulated exchange."""

import json
import re
from collections.abc import AsyncIterator

import pytest

from simulator.app import Simulator
from simulator.settings import Settings
from tests.examples.conftest import RunExample


@pytest.fixture
async def exchange() -> AsyncIterator[Simulator]:
    symbols = ("BTCUSDT", "ETHUSDT")
    async with Simulator(Settings(symbols=symbols, depth=200, changes=5, varied=False)) as simulator:
        yield simulator


def at(exchange: Simulator) -> tuple[str, ...]:
    return "--rest-url", exchange.rest_url, "--ws-url", exchange.ws_url


@pytest.mark.parametrize(("wait", "source"), [((), "rest"), (("--wait",), "local")])
async def test_polling_is_answered_by_the_exchange_first_and_by_this_process_then(
    run_example: RunExample, exchange: Simulator, wait: tuple[str, ...], source: str
) -> None:
    few = "--times", "3", "--every-s", "0.02"
    ended = await run_example("ccxt_poll.py", "ETH/USDT", *few, *wait, *at(exchange))
    assert (ended.status, ended.complaints) == (0, "")
    lines = ended.output.splitlines()
    assert len(lines) == 3
    assert f" by {source} in " in lines[0]
    for line in lines:
        read = re.fullmatch(r"ETH/USDT (\d+) bid \[(.*)\] ask \[.*\] by \w+ in [\d,]+ µs", line)
        assert read, line
        true = json.loads(exchange.truth.body("ETHUSDT", int(read[1]), 1))
        assert json.loads(read[2]) == [float(number) for number in true["bids"][0]]


async def test_the_tightest_spread_is_found_without_a_request(
    run_example: RunExample, exchange: Simulator
) -> None:
    names = "ETH/USDT", "BTC/USDT"
    ended = await run_example("ccxt_spread.py", *names, "--times", "5", "--every-s", "0.05", *at(exchange))
    assert (ended.status, ended.complaints) == (0, "")
    assert len(re.findall(r"(?m)^(ETH|BTC)/USDT \d+\.\d{3} bp at \d{4}-.*Z$", ended.output)) == 5


@pytest.mark.parametrize("name", ["ccxt_poll.py", "ccxt_spread.py"])
async def test_a_symbol_that_there_is_not_ends_with_one_line(
    run_example: RunExample, exchange: Simulator, name: str
) -> None:
    ended = await run_example(name, "NO/SUCH", *at(exchange))
    assert ended.status == 1
    assert ended.complaints == "BadSymbol: binance does not have market symbol NO/SUCH\n"
