"""Programs that use the exchange object and simply end: nothing of ours keeps them, and no socket is left."""

import asyncio
import gc
import os
import sys
import textwrap
from pathlib import Path

import pytest

import depthcast.ccxt
import depthcast.ccxt.aio
from simulator.app import Simulator
from tests.depthcast.ccxt.conftest import Caller, make, until

ROOT = Path(__file__).resolve().parents[3]

PREAMBLE = """
import sys, depthcast.ccxt, depthcast.ccxt.aio

def make(module):
    options = {{"fetchMarkets": {{"types": ["spot"]}}, "depthcast": {{"ws_url": "{ws_url}"}}}}
    exchange = module.binance({{"options": options, "enableRateLimit": False}})
    exchange.urls["api"]["public"] = "{rest_url}/api/v3"
    return exchange
"""


async def run(simulator: Simulator, program: str) -> str:
    """What a program of its own process printed, which has to end well and by itself."""
    text = PREAMBLE.format(ws_url=simulator.ws_url, rest_url=simulator.rest_url) + textwrap.dedent(program)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        text,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(90):
            output, complaints = await process.communicate()
    except BaseException:
        process.kill()
        raise
    assert (process.returncode, complaints.decode()) == (0, ""), complaints.decode()[-2000:]
    await until(lambda: _unconnected(simulator))
    return output.decode()


async def _unconnected(simulator: Simulator) -> bool:
    return not simulator.exchange.connections


async def test_a_synchronous_program_ends_without_closing(simulator: Simulator) -> None:
    output = await run(
        simulator,
        """
        exchange = make(depthcast.ccxt)
        exchange.depthcast_wait(["ETH/USDT"])
        book = exchange.fetch_order_book("ETH/USDT", 5, {"fallback": False})
        print(len(book["bids"]))
        """,
    )
    assert output == "5\n"


async def test_a_program_that_raises_ends(simulator: Simulator) -> None:
    output = await run(
        simulator,
        """
        exchange = make(depthcast.ccxt)
        exchange.depthcast_wait(["ETH/USDT"])
        try:
            raise LookupError
        except LookupError:
            print("raised")
            sys.exit(0)
        """,
    )
    assert output == "raised\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
async def test_a_forked_process_opens_books_of_its_own(simulator: Simulator) -> None:
    output = await run(
        simulator,
        """
        import os, warnings
        warnings.simplefilter("ignore")
        exchange = make(depthcast.ccxt)
        exchange.depthcast_wait(["ETH/USDT"])
        child = os.fork()
        if not child:
            assert exchange.depthcast_status("ETH/USDT")["book"] is None
            exchange.depthcast_wait(["ETH/USDT"])
            exchange.fetch_order_book("ETH/USDT", 5, {"fallback": False})
            sys.exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        exchange.fetch_order_book("ETH/USDT", 5, {"fallback": False})
        """,
    )
    assert output == "0\n"


async def test_an_asynchronous_program_in_two_event_loops(simulator: Simulator) -> None:
    output = await run(
        simulator,
        """
        import asyncio

        async def once(exchange):
            await exchange.depthcast_wait(["ETH/USDT"])
            book = await exchange.fetch_order_book("ETH/USDT", 5, {"fallback": False})
            print(len(book["bids"]))
            await exchange.close()

        asyncio.run(once(make(depthcast.ccxt.aio)))
        asyncio.run(once(make(depthcast.ccxt.aio)))
        """,
    )
    assert output == "5\n5\n"


async def test_an_object_that_nobody_holds_closes_its_sockets(simulator: Simulator) -> None:
    caller = Caller(make(depthcast.ccxt, simulator))
    await caller("depthcast_wait", ["ETH/USDT"])
    assert len(simulator.exchange.connections) == 1
    del caller

    async def closed() -> bool:
        # The thread that called may hold its arguments for a moment longer.
        await asyncio.to_thread(gc.collect)
        return await _unconnected(simulator)

    await until(closed)


async def test_an_asynchronous_object_that_nobody_holds_closes_its_sockets(simulator: Simulator) -> None:
    exchange = make(depthcast.ccxt.aio, simulator)
    await exchange.depthcast_wait(["ETH/USDT"])
    assert len(simulator.exchange.connections) == 1
    # ccxt's own session is its caller's to close; the books are ours.
    await exchange.session.close()
    exchange.session = None
    del exchange
    gc.collect()
    await until(lambda: _unconnected(simulator))


@pytest.mark.parametrize("module", ["depthcast.ccxt", "depthcast.ccxt.aio"])
async def test_without_ccxt_the_import_says_what_to_install(module: str) -> None:
    program = f"""
import sys
sys.modules["ccxt"] = None
try:
    import {module}
except ImportError as error:
    print(error)
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert "pip install 'depthcast[ccxt]'" in output.decode()
