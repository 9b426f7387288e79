"""``depthcast epoch show``: one line a limit, and what is wrong among them."""

import asyncio
import json
from typing import Any

import pytest

from depthcast import cli
from depthcast.cli.epoch.show import when
from depthcast.files import BINANCE_USDM, depth_key

NOW_MS = 1_700_000_000_000


def test_every_file_is_a_line_with_what_is_known_of_it(
    store: Any, publish: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    asyncio.run(publish("ETHUSDT", {5000: 158, 5: 160}, epoch=3))
    asyncio.run(publish("ETHUSDT2", {5: 1}))
    assert cli.main(["epoch", "show", "ethusdt"]) == 0
    title, heading, small, large, verdict = capsys.readouterr().out.splitlines()
    assert title.strip() == "ETHUSDT"
    assert heading.split() == ["key", "epoch", "id", "event", "published", "certain", "status", "replica"]
    assert small.split()[:3] == [depth_key("ETHUSDT", 5), "3", "160"]
    assert large.split()[:3] == [depth_key("ETHUSDT", 5000), "3", "158"]
    assert large.split()[-5:] == ["1", "/", "2+", "TRADING", "a"]
    assert verdict == "ETHUSDT: all files agree"


def test_files_of_another_venue_are_those_of_its_scheme(
    store: Any, publish: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(publish("ETHUSDT", {5: 160}))
    asyncio.run(publish("ETHUSDT", {5: 7, 1000: 8}, scheme=BINANCE_USDM))
    asyncio.run(publish("ETHUSDT2", {5: 9}, scheme=BINANCE_USDM))
    assert cli.main(["epoch", "show", "ETHUSDT", "--json", "--venue", "binanceusdm"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert {file["key"]: file["id"] for file in shown["files"]} == {
        "fapi/v1/depth?symbol=ETHUSDT&limit=5": 7,
        "fapi/v1/depth?symbol=ETHUSDT&limit=1000": 8,
    }
    assert cli.main(["epoch", "show", "ETHUSDT", "--venue", "nyse"]) == 2
    assert "should be one of binance, " in capsys.readouterr().err


def test_files_that_differ_are_told(store: Any, publish: Any, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(publish("ETHUSDT", {5: 160}, epoch=1))
    asyncio.run(publish("ETHUSDT", {20: 7}, epoch=2, status="HALT"))
    asyncio.run(store.put_if(depth_key("ETHUSDT", 100), b"<html>", match=None))
    assert cli.main(["epoch", "show", "ETHUSDT", "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert shown["differences"] == [
        "the epochs differ: 1, 2",
        "the statuses differ: HALT, TRADING",
        "no file of ours at limit 100",
    ]
    small, middle, damaged = shown["files"]
    assert (small["epoch"], small["id"], small["status"]) == (1, 160, "TRADING")
    assert (middle["epoch"], middle["id"], middle["status"]) == (2, 7, "HALT")
    assert middle["certain_asks"] == 2
    assert middle["asks_complete"] is True
    assert "is not a published file" in damaged["fault"]
    assert cli.main(["epoch", "show", "ETHUSDT"]) == 0
    assert "the epochs differ: 1, 2" in capsys.readouterr().out.replace("\n", " ")


def test_several_symbols_are_shown_once_each(
    store: Any, publish: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for symbol in ("ETHUSDT", "币安人生USDT"):
        asyncio.run(publish(symbol, {5: 160}))
    assert cli.main(["epoch", "show", "币安人生usdt", "ETHUSDT", "ethusdt", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [each["symbol"] for each in shown] == ["币安人生USDT", "ETHUSDT"]


@pytest.mark.parametrize(
    ("ago_s", "text"),
    [
        (-0.5, "-0.5 s ago"),
        (1.25, "1.2 s ago"),
        (59, "59 s ago"),
        (600, "10.0 min ago"),
        (10_000, "2.8 h ago"),
        (400_000, "4.6 d ago"),
    ],
)
def test_ages_are_told_in_the_unit_that_fits(ago_s: float, text: str) -> None:
    assert text in when(round(NOW_MS - ago_s * 1000), NOW_MS)


def test_a_time_that_is_none_breaks_nothing() -> None:
    assert when(0, NOW_MS) == "unknown"
    assert when(10**18, NOW_MS) == f"{10**18} ms"
