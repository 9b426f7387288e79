"""Verbs of several actions: what is shown, what is done, and what an unknown action is told."""

import sys
import types
from collections.abc import Sequence

import pytest

from depthcast.cli.actions import act, usage
from depthcast.errors import SettingsError

ACTIONS = {"show": "show SYMBOL   its files", "claim": "claim SYMBOL  its next epoch"}
USAGE = usage("epoch", "ACTION SYMBOL", ACTIONS, "One line.", "Another one.")


def test_the_usage_is_a_line_for_each_action_and_what_closes_it() -> None:
    assert USAGE.splitlines() == [
        "usage: depthcast epoch ACTION SYMBOL",
        "",
        "  show SYMBOL   its files",
        "  claim SYMBOL  its next epoch",
        "",
        "One line.",
        "Another one.",
    ]


@pytest.mark.parametrize("argv", [[], ["-h"], ["--help"], ["help"]])
def test_it_is_shown_where_no_action_is_asked_for(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert act("epoch", ACTIONS, USAGE, argv) == 0
    assert capsys.readouterr().out == f"{USAGE}\n"


def test_an_action_gets_what_follows_it_and_gives_the_status(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Sequence[str]] = []

    class Show(types.ModuleType):
        def main(self, argv: Sequence[str]) -> int:
            given.append(argv)
            return 3

    monkeypatch.setitem(sys.modules, "depthcast.cli.epoch.show", Show("depthcast.cli.epoch.show"))
    assert act("epoch", ACTIONS, USAGE, ["show", "ETHUSDT", "--json"]) == 3
    assert given == [["ETHUSDT", "--json"]]


@pytest.mark.parametrize(
    ("action", "hint"), [("calim", "did you mean claim?"), ("x" * 99, "there are show, claim")]
)
def test_an_unknown_action_is_told_what_there_is(action: str, hint: str) -> None:
    with pytest.raises(SettingsError, match="depthcast epoch cannot") as told:
        act("epoch", ACTIONS, USAGE, [action])
    assert told.value.hint == hint
    assert len(str(told.value)) < 120
