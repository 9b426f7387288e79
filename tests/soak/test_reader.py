"""The reader against an object store of a few lines."""

import asyncio
from collections import Counter
from collections.abc import Callable

from aiohttp import web

from soak.ages import Marks
from soak.auditor import Auditor, File
from soak.reader import Reader

FILES = [File("ETHUSDT", 5), File("币安人生USDT", 5), File("AWAY", 5)]


class Books:
    """Every id has an empty book."""

    generation = 0

    def holding(self, symbol: str, update_id: int) -> "list[Books]":
        return [self]

    def body(self, symbol: str, update_id: int, limit: int, generation: int | None = None) -> bytes:
        return b'{"lastUpdateId":%d,"bids":[],"asks":[]}' % update_id


async def test_every_file_is_read_over_and_over_and_asked_for_only_if_it_changed() -> None:
    asked: Counter[str] = Counter()
    newest = {"update_id": 1, "status": 200}

    async def answer(request: web.Request) -> web.Response:
        key = request.path.removeprefix("/bucket/")
        asked[key] += 1
        if newest["status"] != 200:
            return web.Response(status=newest["status"])
        if "AWAY" in key:
            return web.Response(status=404)
        etag = f'"{newest["update_id"]}"'
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304)
        metadata = {"epoch": "1", "certain-bids": "0+", "certain-asks": "0+"}
        return web.Response(
            body=Books().body("", newest["update_id"], 5),
            headers={"ETag": etag, **{f"X-Amz-Meta-{name}": text for name, text in metadata.items()}},
        )

    app = web.Application()
    app.router.add_get("/bucket/{key:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    auditor = Auditor(FILES, Books(), Marks(), clock=asyncio.get_running_loop().time)
    reader = Reader(f"http://127.0.0.1:{runner.addresses[0][1]}/bucket", auditor, reads_a_second=50)
    reading = asyncio.ensure_future(reader.run())
    try:
        await until(lambda: auditor.readings["unchanged"] >= 6)
        newest["update_id"] = 2
        await until(lambda: auditor.readings["changed"] == 4)
        newest["status"] = 503
        await until(lambda: auditor.readings["failed"] >= 3)
        newest["status"] = 200
        newest["update_id"] = 1
        await until(lambda: auditor.violation_count == 2)
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await runner.cleanup()
    assert set(asked) == {file.key for file in FILES}
    assert auditor.readings["absent"] > 0
    assert {violation.kind for violation in auditor.violations} == {"back"}


async def until(condition: Callable[[], bool], bound_s: float = 20.0) -> None:
    end = asyncio.get_running_loop().time() + bound_s
    while not condition():
        assert asyncio.get_running_loop().time() < end, "it never came true"
        await asyncio.sleep(0.005)
