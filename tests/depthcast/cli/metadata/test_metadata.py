"""``depthcast metadata``: what is in force, what was, what changed."""

import asyncio
import json

import pytest

from depthcast import cli
from depthcast.files import COINBASE
from depthcast.metadata.changes import changes
from depthcast.metadata.kinds import EXCHANGE_INFO, SYSTEM_STATUS, Kind, account, commission, exchange_info
from depthcast.metadata.moments import moment_text
from depthcast.metadata.recorder import Recorder
from depthcast.settings import StoreSettings
from depthcast.store.memory import MemoryStore
from tests.depthcast.metadata.documents import compact, listing, symbol

NOW = 1_790_000_000_000
FIRST = listing(NOW, symbol("ETHUSDT"), symbol("BTCUSDT", "BREAK", step="0.00001000"))
SECOND = listing(NOW + 60_000, symbol("ETHUSDT", "HALT", step="0.01000000"), symbol("NEWUSDT"))


class Kept(MemoryStore):
    async def close(self) -> None:
        """It is opened again by the next command."""


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Kept:
    """The store that every command of this test opens, with two lists recorded."""
    kept = Kept()
    monkeypatch.setattr(StoreSettings, "open_store", lambda _self, _env=None: kept)
    monkeypatch.setenv("COLUMNS", "200")
    record(kept, EXCHANGE_INFO, FIRST, SECOND)
    return kept


def record(store: MemoryStore, kind: Kind, *bodies: bytes) -> None:
    async def offer_all() -> None:
        recorder = Recorder(store, kind, replica="host-1", wall_ms=lambda: NOW)
        for n, body in enumerate(bodies):
            assert (await recorder.offer(body, NOW + 60_000 * n)).record is not None

    asyncio.run(offer_all())


def shown(capsys: pytest.CaptureFixture[str], *argv: str) -> list[str]:
    assert cli.main(["metadata", *argv]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_symbols_sizes_are_a_line(store: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    head, heading, line = shown(capsys, "show", "ethusdt")
    assert f"change 2, seen {moment_text(NOW + 60_000)} UTC by host-1" in head
    assert heading.split()[:3] == ["symbol", "status", "tick"]
    assert line.split() == ["ETHUSDT", "HALT", "0.01", "0.01", "100000", "0.01", "0.01", "9000"]
    for moment in (str(NOW + 5), moment_text(NOW + 5).replace(" ", "T") + "Z"):
        lines = shown(capsys, "at", moment, "ETHUSDT", "BTCUSDT")
        assert [line.split()[:2] for line in lines[2:]] == [["ETHUSDT", "TRADING"], ["BTCUSDT", "BREAK"]]


def test_without_a_symbol_it_is_a_summary_and_in_json_the_document(
    store: Kept, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "2 symbols: 1 HALT, 1 TRADING" in shown(capsys, "show")
    assert shown(capsys, "at", str(NOW), "--json") == [FIRST.decode()]
    [only] = shown(capsys, "at", str(NOW), "BTCUSDT", "--json")
    assert [each["symbol"] for each in json.loads(only)["symbols"]] == ["BTCUSDT"]


def test_what_changed_between_two_times(store: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(*shown(capsys, "diff", str(NOW), str(NOW + 70_000), "--json"))
    expected = changes(EXCHANGE_INFO.parse(FIRST), EXCHANGE_INFO.parse(SECOND))
    assert found["changes"] == [change.to_json() for change in expected]
    assert (found["from"]["sequence"], found["to"]["sequence"]) == (1, 2)
    lines = shown(capsys, "diff", str(NOW), str(NOW + 70_000), "newusdt")
    assert [line.split()[:2] for line in lines[3:]] == [["listed", "symbols/NEWUSDT"]]
    assert shown(capsys, "diff", str(NOW), str(NOW + 5))[-1] == "nothing changed"


def test_each_change_the_newest_first(store: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, "log")
    assert lines[1].split()[2:5] == ["2", "changed", "symbols/ETHUSDT/status"]
    assert lines[-1].split()[2:] == ["1", "first"]
    [of_one] = shown(capsys, "log", "BTCUSDT", "--json")
    assert [each["what"] for each in json.loads(of_one)["changes"]] == ["delisted"]
    lines = shown(capsys, "log", "--limit", "1")
    assert lines[-1].startswith(f"there may be more: --until {NOW + 59_999}")
    assert shown(capsys, "log", "--until", str(NOW - 5)) == ["no change is recorded"]
    assert len(shown(capsys, "log", "--since", str(NOW + 5), "--json")) == 1


def test_other_kinds_are_members(store: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    record(store, SYSTEM_STATUS, b'{"status":0,"msg":"normal"}')
    assert shown(capsys, "show", "--kind", "systemStatus")[-1].split() == ["msg", "normal"]
    record(store, account("main"), b'{"makerCommission":10}')
    assert shown(capsys, "show", "--account", "main")[-1].split() == ["makerCommission", "10"]
    record(store, commission("main", "ETHUSDT"), b'{"symbol":"ETHUSDT"}')
    fees = ("--account", "main", "--commission", "ETHUSDT")
    assert shown(capsys, "show", *fees)[-1].split() == ["symbol", "ETHUSDT"]


@pytest.mark.parametrize(
    ("argv", "status", "said"),
    [
        (["at"], 2, "no time is named"),
        (["at", "yesterday"], 2, "neither milliseconds"),
        (["at", str(NOW - 1)], 1, "nothing that was recorded by"),
        (["at", str(NOW), "NOTHERE"], 1, "has no symbol"),
        (["show", "a/b"], 2, "not spelled like a symbol"),
        (["show", "--kind", "systemStatus"], 1, "nothing that was recorded yet"),
        (["show", "--account", "a/b"], 2, "account"),
        (["show", "--commission", "ETHUSDT"], 2, "--account NAME"),
        (["show", "--account", "a", "--commission", "a/b"], 2, "--commission"),
        (["diff", "5"], 2, "two times"),
        (["log", "A", "B"], 2, "of one symbol"),
        (["lgo"], 2, "did you mean log?"),
        (["x"], 2, "there are show, at, diff, log"),
    ],
)
def test_what_cannot_be_shown_is_one_line(
    store: Kept, capsys: pytest.CaptureFixture[str], argv: list[str], status: int, said: str
) -> None:
    assert cli.main(["metadata", *argv]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert captured.err.count("\n") == 1


def test_the_usage_names_every_action(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (["metadata"], ["metadata", "--help"]):
        assert cli.main(argv) == 0
        out = capsys.readouterr().out
        assert all(f"  {action} " in out for action in ("show", "at", "diff", "log"))


def test_another_venue_s_list_has_its_own_columns_and_form(
    store: Kept, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = {"id": "BTC-USD", "status": "online", "quote_increment": "0.01", "base_increment": "0.1"}
    first, second = (compact([{**entry, "post_only": flag}]) for flag in (False, True))
    record(store, exchange_info(COINBASE), first, second)
    venue = ("--venue", "coinbaseexchange")
    _, heading, line = shown(capsys, "show", "btc-usd", *venue)
    assert heading.split()[:3] == ["symbol", "status", "what"]
    assert line.split()[:4] == ["BTC-USD", "online", "post_only", "0.01"]
    assert "1 symbols: 1 online" in shown(capsys, "at", str(NOW), *venue)
    assert shown(capsys, "show", "BTC-USD", "--json", *venue) == [second.decode()]
    lines = shown(capsys, "log", "--kind", "products", *venue)
    assert lines[1].split()[2:] == ["2", "changed", "symbols/BTC-USD/post_only", "false", "true"]
    assert cli.main(["metadata", "show", "--kind", "systemStatus", *venue]) == 2
    assert "has no document 'systemStatus'; it has list, products" in capsys.readouterr().err
