"""``depthcast.Books`` on an exchange that says what chance makes of frames, over real sockets."""

import asyncio
import json
from contextlib import suppress
from random import Random
from typing import Any, Final

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from depthcast.books import Books
from depthcast.errors import BookNotReady, NotDeepEnough
from tests.depthcast.books.exchange import HASTE
from tests.fuzzing.answers import Raw, answer
from tests.fuzzing.campaign import Case, Target, Verdict
from tests.fuzzing.examples import Market
from tests.fuzzing.frames import SYMBOL, no_lie, stream
from tests.fuzzing.mutation import Mutator

_BOUND: Final = 3000


class Library(Target):
    """Live books for programs. No frame of a case can be taken for a
    diff that the market did not make: whenever a view shows a book of the market's newest id, that is the
    market's, and it comes to it soon after the last frame."""

    name = "library"
    rounds = 40

    async def open(self) -> None:
        self._raw = Raw()
        self._rest_url = await self._raw.start()
        self._connections: set[ServerConnection] = set()
        self._server: Server = await serve(self._connected, "127.0.0.1", 0, compression=None)
        self._port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()
        await self._server.wait_closed()
        await self._raw.close()

    async def _connected(self, connection: ServerConnection) -> None:
        self._connections.add(connection)
        try:
            async for text in connection:
                said = json.loads(text)
                await connection.send(json.dumps({"result": None, "id": said["id"]}))
        except ConnectionClosed:
            pass
        finally:
            self._connections.discard(connection)

    def draw(self, mutator: Mutator) -> Case:
        rng = mutator.rng
        market = Market(rng, SYMBOL)
        pieces = [piece for piece in stream(mutator, market, rng.randrange(3, 10)) if piece.startswith(b"F")]
        pieces = [piece[1:] for piece in pieces if no_lie(piece)]
        snapshot = market.body()
        last = [market.diff() for _ in range(4)]
        return (*pieces, snapshot, *last, market.body())

    async def run(self, case: Case) -> Verdict:
        *pieces, snapshot, first, second, third, fourth, expected = case
        self._raw.good = answer(snapshot)
        books = Books(
            "binance",
            [SYMBOL],
            rest_url=self._rest_url,
            ws_url=f"ws://127.0.0.1:{self._port}",
            feed_limits=HASTE,
            retry_initial_s=0.01,
            retry_maximum_s=0.02,
            suspect_after_s=0.05,
            rng=Random(1),
        )
        async with books:
            await self._until(lambda: bool(self._connections) and books._feed.live(SYMBOL))
            await self._say(pieces)
            view = books[SYMBOL]

            async def there() -> bool:
                await self._say((first, second, third, fourth))
                await asyncio.sleep(0.002)
                return view.ready and view.body(5000) == expected

            for _ in range(_BOUND):
                if await there():
                    break
            else:
                raise AssertionError(f"the book is not the market's: {view.not_ready()}")
            self._shown(view, json.loads(expected))
            books.check()
        return Verdict.REJECTED if books._feed.status().malformed else Verdict.ACCEPTED

    def _shown(self, view: Any, true: dict[str, Any]) -> None:
        """All ways of reading it agree with the market."""
        top = view.top(3, strings=True)
        assert (top.bids, top.asks) == (true["bids"][:3], true["asks"][:3])
        numbers = view.top(3)
        assert numbers.bids == [[float(price), float(amount)] for price, amount in true["bids"][:3]]
        with suppress(NotDeepEnough, BookNotReady):
            assert len(view.top(None).bids) == len(true["bids"])

    async def _say(self, frames: Any) -> None:
        for connection in list(self._connections):
            for frame in frames:
                with suppress(ConnectionClosed):
                    try:
                        await connection.send(frame.decode())
                    except UnicodeDecodeError:
                        await connection.send(frame)

    async def _until(self, condition: Any) -> None:
        for _ in range(_BOUND):
            if condition():
                return
            await asyncio.sleep(0.002)
        raise AssertionError("it did not happen")
