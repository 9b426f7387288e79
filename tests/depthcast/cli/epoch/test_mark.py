"""``depthcast epoch mark``: the operator's word beside the files."""

import asyncio
from typing import Any

import pytest

from depthcast import cli
from depthcast.cli.epoch.mark import mark_all
from depthcast.errors import DepthcastError
from depthcast.files import FileInfo, depth_key
from depthcast.store import Outcome, PutResult


def status_of(store: Any, limit: int) -> str:
    held = asyncio.run(store.get(depth_key("ETHUSDT", limit)))
    return FileInfo.from_metadata("", held.metadata).status


def test_all_files_are_marked_and_un_marked(
    store: Any, publish: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(publish("ETHUSDT", {5: 160, 5000: 158}))
    assert cli.main(["epoch", "mark", "ethusdt", "delisted"]) == 0
    assert capsys.readouterr().out == "ETHUSDT is DELISTED (2 marked)\n"
    assert [status_of(store, limit) for limit in (5, 5000)] == ["DELISTED"] * 2
    assert cli.main(["epoch", "mark", "ETHUSDT", "DELISTED"]) == 0
    assert capsys.readouterr().out == "ETHUSDT is DELISTED (2 already)\n"
    assert cli.main(["epoch", "mark", "ETHUSDT", "TRADING"]) == 0
    assert [status_of(store, limit) for limit in (5, 5000)] == ["TRADING"] * 2


def test_where_a_writer_always_comes_between_it_is_told(
    store: Any, publish: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(publish("ETHUSDT", {5: 160}))

    async def lost(*_: Any, **__: Any) -> PutResult:
        return PutResult(Outcome.LOST)

    monkeypatch.setattr(store, "put_if", lost)
    assert cli.main(["epoch", "mark", "ETHUSDT", "HALT"]) == 1
    assert "ETHUSDT is not HALT in all of its files (1 unsettled); an updater" in capsys.readouterr().err


async def test_what_is_no_file_cannot_be_marked(store: Any) -> None:
    await store.put_if(depth_key("ETHUSDT", 5), b"<html>", match=None)
    with pytest.raises(DepthcastError, match="no file that could be marked"):
        await mark_all(store, "ETHUSDT", "HALT")
