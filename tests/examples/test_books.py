"""The examples of live books, run against a simulated exchange."""

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


async def test_best_prices_are_the_exchanges_at_that_id(run_example: RunExample, exchange: Simulator) -> None:
    few = "--times", "3", "--every-s", "0.1", "--spend", "1"
    ended = await run_example("books_top.py", "ETHUSDT", "BTCUSDT", *few, *at(exchange))
    assert (ended.status, ended.complaints) == (0, "")
    lines = ended.output.splitlines()
    assert len(lines) == 6
    for line in lines:
        read = re.fullmatch(r"(\w+) (\d+) bid ([\d.]+) ask ([\d.]+) buy ([\d.]+) age \d+ ms", line)
        assert read, line
        true = json.loads(exchange.truth.body(read[1], int(read[2]), 1))
        assert (float(read[3]), float(read[4])) == (float(true["bids"][0][0]), float(true["asks"][0][0]))
        assert float(read[5]) == pytest.approx(float(read[4]), rel=0.01)


async def test_changes_add_up_to_the_exchanges_book(run_example: RunExample, exchange: Simulator) -> None:
    ended = await run_example("books_changes.py", "ETHUSDT", "--changes", "8", *at(exchange))
    assert (ended.status, ended.complaints) == (0, "")
    lines = ended.output.splitlines()
    assert "read anew" in lines[0]
    assert len(lines) == 8
    for line in lines:
        read = re.fullmatch(r"(\d+) .*: ([\d.]+) / ([\d.]+)", line)
        assert read, line
        sides = exchange.truth.levels("ETHUSDT", int(read[1]))
        sums = [sum(float(quantity) for _, quantity in side) for side in sides]
        assert [float(read[2]), float(read[3])] == pytest.approx(sums)


async def test_a_program_without_a_loop_reads_arrays(run_example: RunExample, exchange: Simulator) -> None:
    few = "--times", "3", "--every-s", "0.05"
    ended = await run_example("books_thread.py", "ETHUSDT", "BTCUSDT", *few, *at(exchange))
    assert (ended.status, ended.complaints) == (0, "")
    assert len(re.findall(r"(?m)^ETHUSDT [+-][01]\.\d{3} BTCUSDT [+-][01]\.\d{3}$", ended.output)) == 3


@pytest.mark.parametrize("name", ["books_top.py", "books_changes.py", "books_thread.py"])
async def test_a_symbol_that_there_is_not_ends_with_one_line(
    run_example: RunExample, exchange: Simulator, name: str
) -> None:
    ended = await run_example(name, "NOSUCH", *at(exchange))
    assert ended.status == 1
    assert ended.complaints.startswith("binance has no symbol 'NOSUCH'; ")
    assert ended.complaints.count("\n") == 1
