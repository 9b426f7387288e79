"""``depthcast epoch`` as a command: what it takes, and whose fault it is where it does not work."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from depthcast import cli


@pytest.mark.parametrize("argv", [[], ["--help"], ["help"]])
def test_help_names_the_actions(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["epoch", *argv]) == 0
    told = capsys.readouterr().out
    assert all(f"  {action} SYMBOL" in told for action in ("show", "claim", "mark"))


@pytest.mark.parametrize("action", ["show", "claim", "mark"])
def test_each_action_lists_its_options(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["epoch", action, "--help"])
    assert end.value.code == 0
    assert f"usage: depthcast epoch {action} SYMBOL" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["shwo"], "did you mean show?"),
        (["frobnicate"], "there are show, claim, mark"),
        (["show"], "no symbol is named; depthcast epoch show ETHUSDT"),
        (["show", "a/b"], "'a/b' is not spelled like a symbol"),
        (["show", "ETHUSDT", "--frob"], "unknown option --frob"),
        (["show", "--json", "ETHUSDT"], "unexpected argument 'ETHUSDT'"),
        (["claim"], "one symbol is needed"),
        (["claim", "ETHUSDT", "BTCUSDT", "--yes"], "one symbol is needed"),
        (["claim", "ETHUSDT"], "there is no terminal to ask on; add --yes"),
        (["claim", "ETHUSDT", "--yes", "--still-for-s", "-1"], "--still-for-s"),
        (["mark", "ETHUSDT"], "a symbol and a status are needed"),
        (["mark", "ETHUSDT", "no status"], "'no status' is not spelled like a status"),
    ],
)
def test_a_command_that_makes_no_sense_is_one_line_and_status_2(
    argv: list[str], line: str, store: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["epoch", *argv]) == 2
    told = capsys.readouterr().err
    assert line in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("argv", [["show", "ETHUSDT"], ["mark", "ETHUSDT", "HALT"]])
def test_a_symbol_without_files_is_one_line_and_status_1(
    argv: list[str], store: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["epoch", *argv]) == 1
    assert "no file of ETHUSDT is published in memory:; check the symbol" in capsys.readouterr().err
    assert store.closes == 1


def test_one_table_of_a_settings_file_serves_all_actions(store: Any, publish: Any, tmp_path: Path) -> None:
    asyncio.run(publish("ETHUSDT", {5: 160}))
    file = tmp_path / "depthcast.toml"
    file.write_text("[epoch]\nstill_for_s = 1.5\njson = true\n")
    assert cli.main(["epoch", "show", "ETHUSDT", "--config", str(file)]) == 0
    assert cli.main(["epoch", "mark", "ETHUSDT", "HALT", "--config", str(file)]) == 0
