"""Books behind a proxy that the program names."""

import asyncio
from contextlib import suppress

from depthcast.books import Books
from simulator.app import Simulator
from simulator.settings import Settings


class Proxy:
    """An HTTP proxy on a socket: passes requests and tunnels on, and notes the targets."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.url = ""

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        self.asked.append(f"{method} {target}")
        tunnel = method == "CONNECT"
        place = target if tunnel else target.split("/")[2]
        host, _, port = place.partition(":")
        there, onward = await asyncio.open_connection(host, int(port))
        if tunnel:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            onward.write(head.replace(f"http://{place}".encode(), b"", 1))
        async with asyncio.TaskGroup() as group:
            group.create_task(_pass_on(reader, onward))
            group.create_task(_pass_on(there, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def test_snapshots_and_sockets_go_through_the_proxies_that_are_named() -> None:
    settings = Settings(symbols=("ETHUSDT",), depth=40, varied=False)
    async with Simulator(settings) as sim, Proxy() as rest, Proxy() as ws:
        books = Books(
            "binance",
            ["ETHUSDT"],
            rest_url=sim.rest_url,
            ws_url=sim.ws_url,
            rest_proxy=rest.url,
            ws_proxy=ws.url,
        )
        async with books:
            await books.wait(timeout_s=20)
            assert books["ETHUSDT"].top(5).bids
        assert [asked.partition("&")[0] for asked in rest.asked] == [
            f"GET {sim.rest_url}/api/v3/depth?symbol=ETHUSDT"
        ]
        assert set(ws.asked) == {f"CONNECT {sim.ws_url.removeprefix('ws://')}"}
