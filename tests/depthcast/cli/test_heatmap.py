"""``depthcast heatmap``, from its arguments to its exit status."""

from collections.abc import Mapping

import pytest

from depthcast import cli
from depthcast.cli.heatmap import make, segments
from depthcast.heat.keys import tile_key
from depthcast.heat.tile import Tile
from depthcast.store import open_store
from depthcast.store.memory import MemoryStore
from depthcast.tape.keys import index_key, segment_key
from depthcast.tape.parquet import encode
from depthcast.tape.segment import Segment
from tests.depthcast.heat.recordings import START_MS, segment_of

MINUTE_MS = 60_000


async def put(store: MemoryStore, segment: Segment) -> None:
    key = segment_key(segment.venue, segment.symbol, segment.start_ms, segment.length_s)
    await store.put_if(key, encode(segment), match=None)


async def test_the_tiles_of_a_tape_are_made_once() -> None:
    store = MemoryStore()
    for number in range(3):
        await put(store, segment_of(START_MS + number * MINUTE_MS))
    await put(store, segment_of(START_MS + 180_000, length_s=90))
    await store.put_if(segment_key("binance", "ETHUSDT", START_MS - MINUTE_MS), b"damaged", match=None)
    await store.put_if(index_key("binance", "ETHUSDT"), b"{}", match=None)
    names = [name async for name in segments(store, "binance", "ETHUSDT")]
    assert len(names) == 5
    made = await make(store, names)
    assert (made.segments, made.tiles, made.damaged) == (3, 6, 1)
    assert made.bytes > 1000
    for number in range(3):
        key = tile_key("binance", "ETHUSDT", 0, START_MS + number * MINUTE_MS)
        stored = await store.get(key)
        assert stored is not None
        assert Tile.decode(key, stored.body).complete
    assert (await make(store, names)).tiles == 0


async def test_symbols_that_begin_alike_are_not_each_others() -> None:
    store = MemoryStore()
    await put(store, segment_of(START_MS))
    assert [name async for name in segments(store, "binance", "ETHUSD")] == []
    assert [name.symbol async for name in segments(store, "binance", "")] == ["ETHUSDT"]
    assert [name async for name in segments(store, "binanceus", "")] == []


def test_the_verb_makes_them_in_a_store(
    s3_bucket: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import asyncio

    for name, value in s3_bucket.items():
        monkeypatch.setenv(name, value)
    assert cli.main(["heatmap"]) == 0
    assert "nothing is on the tape" in capsys.readouterr().out

    async def record() -> None:
        store = open_store(s3_bucket["DEPTHCAST_STORE_URL"], s3_bucket)
        for number in range(2):
            segment = segment_of(START_MS + number * MINUTE_MS)
            key = segment_key("binance", "ETHUSDT", segment.start_ms, 60)
            await store.put_if(key, encode(segment), match=None)
        await store.close()

    asyncio.run(record())
    assert cli.main(["heatmap", "ETHUSDT", "--since", str(START_MS + 1)]) == 0
    # The minute before is missing in the hour, and is made up for.
    assert "ETHUSDT: 1 segments, 3 tiles written" in capsys.readouterr().out
    assert cli.main(["heatmap", "--until", "2024-08-09"]) == 0
    assert "ETHUSDT: 2 segments, 0 tiles written" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["eth/usdt"], ["--since", "yesterday"], ["ETHUSDT", "--what"]])
def test_bad_input_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["heatmap", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1
