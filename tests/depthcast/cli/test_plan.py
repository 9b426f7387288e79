"""``depthcast plan``: its table, its advice, its JSON, its mistakes; and the page of costs that it makes."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from depthcast import cli
from depthcast.cli.plan import PlanSettings, workload
from depthcast.venues.registry import VENUES
from updater.settings import UpdaterSettings

PAGE = Path(__file__).parents[3] / "docs" / "costs.md"
_SHOWN = re.compile(r"```console\n\$ depthcast (?P<command>plan.*)\n(?P<output>[^`]*)```")


@pytest.fixture(autouse=True)
def no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PlanSettings.model_fields:
        monkeypatch.delenv(f"DEPTHCAST_{name.upper()}", raising=False)


def told(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert cli.main(["plan", *argv]) == 0
    return capsys.readouterr().out


def stores(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    return {each["store"]: each for each in json.loads(told(capsys, *argv, "--json"))["stores"]}


def test_every_store_has_a_column_and_a_source(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "--symbols", "20", "--limits", "5,100,1000")
    for store in ("s3", "s3-express", "r2", "gcs", "own"):
        assert re.search(rf"^\s.*\b{store}\b", text, re.MULTILINE)
        assert re.search(rf"^{store}: .*prices of 20", text, re.MULTILINE)
    assert "files written (PUT)" in text
    assert all(len(line) <= 160 for line in text.splitlines())


def test_the_sums_are_those_of_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    for each in stores(capsys, "--readers", "50", "--outside").values():
        assert each["usd_per_month"] == pytest.approx(sum(item["usd"] for item in each["items"]), abs=0.05)


def test_a_store_is_planned_with_its_own_floor(capsys: pytest.CaptureFixture[str]) -> None:
    found = stores(capsys, "--symbols", "1", "--limits", "5,100")
    writes = {store: each["requests"][0]["per_s"] for store, each in found.items()}
    assert writes["s3"] > 15
    assert writes["r2"] == writes["gcs"] == pytest.approx(2)
    assert (found["s3"]["store_floor_ms"], found["r2"]["store_floor_ms"]) == (0, 1000)
    slow = stores(capsys, "--symbols", "1", "--limits", "5,100", "--store-floor-ms", "2000")
    assert slow["r2"]["requests"][0]["per_s"] == pytest.approx(1)
    assert slow["r2"]["store_floor_ms"] == 0


def test_advice_says_what_other_settings_would_cost(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "--store", "s3")
    (dear, slow) = re.search(  # type: ignore[union-attr]
        r"cadence of 1 s .* would cost \$([\d,]+) in place of \$([\d,]+) a month", text
    ).groups()[::-1]
    assert int(dear.replace(",", "")) > 2 * int(slow.replace(",", ""))
    at_a_second = stores(capsys, "--store", "s3", "--store-floor-ms", "1000")["s3"]["usd_per_month"]
    assert at_a_second == pytest.approx(int(slow.replace(",", "")), abs=1)
    fewer = stores(capsys, "--store", "s3", "--limits", "100,1000,5000")["s3"]["usd_per_month"]
    assert f"limits 100,1000,5000, the others cut from them by the server, would cost ${fewer:,.0f}" in text


def test_stores_that_cannot_be_used_are_never_the_least(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys)
    assert "gcs" in text
    assert "so Depthcast refuses it" in text
    assert "The least is $" in text
    assert "Google" not in re.search(r"The least is .*", text)[0]  # type: ignore[index]


def test_prices_of_ones_own_go_first(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        "[s3]\nput_per_1000 = 0.0\nlist_per_1000 = 0.0\nget_per_1000 = 0.0\nstorage_per_gb = 0.0\n"
    )
    assert stores(capsys, "--store", "s3", "--prices", str(path))["s3"]["usd_per_month"] == 0


def test_names_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "--symbols", "BTCUSDT,ETHUSDT", "--store", "s3").startswith("2 symbols × 8 limits")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--symbols", "*USDT"], "how many symbols there are"),
        (["--symbols", "0"], "--symbols"),
        (["--store", "azure"], "there are no prices for 'azure'; known: s3,"),
        (["--cadence", "fast"], "--cadence: 'fast' should be limit:ms"),
        (["--limits", "6000"], "--limits"),
        (["--venue", "nowhere"], "--venue = 'nowhere': should be one of binance, "),
        (["--venue", "coinbaseexchange", "--limits", "7"], "coinbaseexchange has no limit 7: the level is"),
        (["--venue", "bitmex,binance", "--symbols", "bitmex:2"], "symbols names none for binance"),
        (["--read-limit", "0"], "binance has no limit 0"),
        (["--prices", "/nowhere/prices.toml"], "/nowhere/prices.toml cannot be read"),
    ],
)
def test_mistakes_are_one_line(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", *argv]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_defaults_are_those_of_the_services() -> None:
    planned, updater = PlanSettings(), UpdaterSettings.model_fields
    for name in ("limits", "cadence", "store_floor_ms", "same_levels_ms", "takeover_after_ms", "redundancy"):
        assert str(getattr(planned, name)) == str(updater[name].default), name
    assert workload(planned).every_s[1000] == 0.25


@pytest.mark.parametrize("venue", VENUES)
def test_each_venue_is_planned_as_its_updater_keeps_it(
    venue: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told_of = json.loads(told(capsys, "--venue", venue, "--symbols", "450", "--replicas", "1", "--json"))
    (each,) = told_of["venues"]
    updater = UpdaterSettings.load(["--venue", venue], {})
    cadence = {str(limit): updater.paced.every_s(updater.scheme.size(limit)) for limit in updater.limits}
    assert {limit: ms / 1000 for limit, ms in each["cadence_ms"].items()} == cadence
    assert (each["symbols"], each["files"]) == (450, 450 * len(updater.limits))
    assert each["connections"] == 3
    known = updater.make_venue()
    assert each["weight_per_minute"] == known.request_weight_per_minute
    if venue == "bitmex":  # its stream begins with whole books
        assert each["weight"] == each["start_s"] == 0
    else:
        assert each["weight"] == 450 * known.depth_weight(updater.snapshot_limit)
        minutes = each["weight"] / (0.8 * each["weight_per_minute"])
        assert each["start_s"] == pytest.approx(60 * max(0, minutes - 1))


def test_sizes_are_the_venues_where_they_are_not_given(capsys: pytest.CaptureFixture[str]) -> None:
    def written(*argv: str) -> float:
        both = ("--store", "s3", "--symbols", "1", "--updates-per-s", "1", "--venue")
        found = stores(capsys, *both, *argv)["s3"]["requests"][0]
        return float(found["bytes_per_s"] / found["per_s"])

    assert written("bitmex", "--limits", "10") == pytest.approx(48 + 2 * 10 * 171)
    assert written("bitmex", "--limits", "0") == pytest.approx(48 + 2 * 4673 * 171)
    assert written("bitmex", "--limits", "0", "--whole-levels", "50") == pytest.approx(48 + 2 * 50 * 171)
    assert written("binance", "--limits", "100") == pytest.approx(48 + 2 * 100 * 31.1)
    assert written("binanceusdm", "--limits", "100", "--level-bytes", "20") == pytest.approx(48 + 4000)


def test_several_venues_are_summed_and_told_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    own = ("--symbols", "20,bitmex:XBTUSD,bitmex:ETHUSD", "--limits", "5,100,bitmex:10,bitmex:0")
    both = json.loads(told(capsys, "--venue", "binance,bitmex", *own, "--json"))
    spot = json.loads(told(capsys, "--symbols", "20", "--limits", "5,100", "--json"))
    rows = json.loads(told(capsys, "--venue", "bitmex", "--symbols", "2", "--limits", "10,0", "--json"))
    assert [each["symbols"] for each in both["venues"]] == [20, 2]
    assert both["venues"] == spot["venues"] + rows["venues"]
    for whole, one, other in zip(both["stores"], spot["stores"], rows["stores"], strict=True):
        assert list(whole["usd_by_venue"]) == ["binance", "bitmex"]
        assert whole["usd_by_venue"]["binance"] == one["usd_per_month"]
        requests = zip(whole["requests"], one["requests"], other["requests"], strict=True)
        for flow, ours, theirs in requests:
            assert flow["per_s"] == pytest.approx(ours["per_s"] + theirs["per_s"], abs=1e-5)
    text = told(capsys, "--venue", "binance,bitmex", *own)
    assert text.startswith("binance: 20 symbols × 2 limits")
    assert re.search(r"^bitmex by itself +\$", text, re.MULTILINE)
    assert re.search(r"^bitmex +2 +4 +10:0 0:1000 +1 +none: streamed", text, re.MULTILINE)


def test_the_page_shows_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    shown = list(_SHOWN.finditer(PAGE.read_text("utf-8")))
    assert len(shown) >= 3
    for example in shown:
        printed = told(capsys, *shlex.split(example["command"])[1:])
        assert example["output"] == printed


def test_the_page_names_every_setting() -> None:
    page = PAGE.read_text("utf-8")
    for name in PlanSettings.model_fields.keys() - {"config"}:
        assert f"`--{name.replace('_', '-')}`" in page, name
