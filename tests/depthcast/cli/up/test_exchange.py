"""Whether Binance is there, and which symbols are kept of which exchange."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from depthcast.cli.up.exchange import choose_symbols, reach, simulated_symbols
from depthcast.cli.up.settings import UpSettings
from depthcast.errors import SettingsError, VenueError
from depthcast.venues.registry import VENUES

CLOSED = "http://127.0.0.1:9"

Serve = Callable[..., Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """An exchange that lists these symbols; or answers everything with one status and body."""
    servers: list[TestServer] = []

    async def start(symbols: Sequence[str] = (), *, status: int = 200, body: str | None = None) -> str:
        async def answer(request: web.Request) -> web.Response:
            if body is not None or status != 200:
                return web.Response(status=status, text=body or "", headers={"Retry-After": "60"})
            if request.path == "/api/v3/ping":
                return web.json_response({})
            return web.json_response(
                {
                    "rateLimits": [
                        {
                            "rateLimitType": "REQUEST_WEIGHT",
                            "interval": "MINUTE",
                            "intervalNum": 1,
                            "limit": 6000,
                        }
                    ],
                    "symbols": [_listed(symbol) for symbol in symbols],
                }
            )

        app = web.Application()
        app.router.add_get("/{path:.*}", answer)
        server = TestServer(app)
        await server.start_server()
        servers.append(server)
        return str(server.make_url("")).rstrip("/")

    yield start
    for server in servers:
        await server.close()


def _listed(symbol: str) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "status": "TRADING",
        "baseAsset": symbol[:3],
        "quoteAsset": symbol[3:],
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
    }


async def test_an_exchange_that_answers_can_be_reached(serve: Serve) -> None:
    assert await reach(await serve(), 5) == ""


async def test_a_closed_port_cannot_be_reached_and_it_says_why() -> None:
    why = await reach(CLOSED, 5)
    assert f"{CLOSED}/api/v3/ping did not answer" in why


@pytest.mark.parametrize("status", [429, 418])
async def test_one_that_asks_for_silence_is_there(serve: Serve, status: int) -> None:
    assert await reach(await serve(status=status), 5) == ""


@pytest.mark.parametrize("status", [403, 451, 503])
async def test_one_that_turns_us_away_is_not(serve: Serve, status: int) -> None:
    assert str(status) in await reach(await serve(status=status), 5)


async def test_without_a_wish_the_lively_symbols_that_are_listed_are_kept(serve: Serve) -> None:
    url = await serve(["AAAUSDT", "ETHUSDT", "BTCUSDT"])
    chosen = await choose_symbols(url, "ws://x", ())
    assert (chosen.rest_url, chosen.ws_url) == (url, "ws://x")
    assert (chosen.symbols, chosen.count) == (("BTCUSDT", "ETHUSDT"), 2)


async def test_where_none_of_them_is_listed_the_first_few_are(serve: Serve) -> None:
    names = [f"COIN{number:02}USDT" for number in range(20)]
    chosen = await choose_symbols(await serve(names), "ws://x", ())
    assert chosen.symbols == tuple(names[:8])


async def test_patterns_stay_patterns_and_are_counted(serve: Serve) -> None:
    chosen = await choose_symbols(await serve(["ETHUSDT", "ETHBTC", "BTCUSDT"]), "ws://x", ("ETH*",))
    assert (chosen.symbols, chosen.count) == (("ETH*",), 2)


@pytest.mark.parametrize("wanted", [("NOSUCHUSDT",), ("NOSUCH*",)])
async def test_a_symbol_that_is_not_listed_is_one_line_at_once(serve: Serve, wanted: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError, match="NOSUCH"):
        await choose_symbols(await serve(["ETHUSDT"]), "ws://x", wanted)


async def test_an_exchange_without_symbols_is_none(serve: Serve) -> None:
    with pytest.raises(SettingsError, match="lists no symbols"):
        await choose_symbols(await serve([]), "ws://x", ())


async def test_one_that_has_no_time_to_list_is_believed(serve: Serve) -> None:
    busy = await serve(status=429)
    assert (await choose_symbols(busy, "ws://x", ("ABCUSDT",))).symbols == ("ABCUSDT",)
    assert (await choose_symbols(CLOSED, "ws://x", ())).symbols == VENUES["binance"].lively


async def test_something_else_that_answers_is_no_exchange(serve: Serve) -> None:
    with pytest.raises(VenueError):
        await choose_symbols(await serve(body="<html>welcome to this hotel</html>"), "ws://x", ())


def test_of_each_venue_what_is_wanted_of_it_is_listed_and_kept() -> None:
    settings = UpSettings.load(
        ["--venue", "binance,binanceusdm", "--symbols", "ETHUSDT,XYZBTC,binanceusdm:ABCUSDT"], {}
    )
    assert simulated_symbols(settings, instead=False) == ("ETHUSDT,XYZBTC", ("ETHUSDT", "XYZBTC"))
    futures = simulated_symbols(settings, instead=False, venue="binanceusdm")
    assert futures == ("ABCUSDT", ("ABCUSDT",))


async def test_another_venue_is_asked_in_its_own_words(serve: Serve) -> None:
    why = await reach(CLOSED, 5, "binanceusdm")
    assert f"{CLOSED}/fapi/v1/ping did not answer" in why
    chosen = await choose_symbols(CLOSED, "ws://x", (), "binanceusdm")
    assert (chosen.venue, chosen.symbols) == ("binanceusdm", VENUES["binanceusdm"].lively)


@pytest.mark.parametrize(
    ("symbols", "instead", "listed", "kept"),
    [
        ("", False, "8", ("all",)),
        ("", True, "8", ("all",)),
        ("ethusdt,XYZBTC", False, "ETHUSDT,XYZBTC", ("ETHUSDT", "XYZBTC")),
        ("ETHUSDT", True, "ETHUSDT", ("ETHUSDT",)),
        ("*BTC", False, "8", ("*BTC",)),
        ("*FDUSD,ETHUSDT", True, "8", ("all",)),
        ("all", False, "8", ("all",)),
        ("ETH?SDT", True, "8", ("all",)),
    ],
)
def test_the_simulator_lists_what_is_named_and_its_own_otherwise(
    symbols: str, instead: bool, listed: str, kept: tuple[str, ...]
) -> None:
    settings = UpSettings.load(["--symbols", symbols], {})
    assert simulated_symbols(settings, instead=instead) == (listed, kept)
