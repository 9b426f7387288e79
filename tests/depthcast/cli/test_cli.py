"""The dispatcher: verbs are found, mistakes are one line, exit statuses say whose fault it was."""

import subprocess
import sys
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from depthcast import __version__, cli
from depthcast.errors import DepthcastError, SettingsError


def stub(monkeypatch: pytest.MonkeyPatch, outcome: int | BaseException) -> list[Sequence[str]]:
    calls: list[Sequence[str]] = []

    def run(argv: Sequence[str]) -> int:
        calls.append(argv)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    monkeypatch.setattr(cli, "verb", lambda name: SimpleNamespace(main=run))
    return calls


def test_a_verb_gets_the_rest_of_the_line_and_its_status_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = stub(monkeypatch, 5)
    assert cli.main(["probe", "--store-url", "memory:"]) == 5
    assert calls == [["--store-url", "memory:"]]


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (DepthcastError("the store is gone", hint="start it"), 1, "depthcast: the store is gone; start it\n"),
        (SettingsError("no such setting"), 2, "depthcast: no such setting\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_a_known_error_is_one_line_and_a_status(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
    line: str,
) -> None:
    stub(monkeypatch, error)
    assert cli.main(["probe"]) == status
    assert capsys.readouterr().err == line


def test_an_unknown_verb_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["updatr"]) == 2
    assert "did you mean updater?" in capsys.readouterr().err
    assert cli.main(["frobnicate"]) == 2
    assert "see depthcast --help" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"], ["help"]])
def test_help_names_every_verb_with_its_summary(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(argv) == 0
    text = capsys.readouterr().out
    for name, entry in cli.VERBS.items():
        assert f"  {name} " in text
        assert entry.summary in text
        assert callable(cli.verb(name).main)


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"depthcast {__version__}\n"


def test_a_package_that_is_not_installed_is_named_with_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stub(monkeypatch, ModuleNotFoundError("No module named 'uvicorn.server'", name="uvicorn.server"))
    assert cli.main(["server"]) == 2
    assert capsys.readouterr().err == (
        "depthcast: depthcast server needs uvicorn, which is not installed; "
        "run: pip install 'depthcast[server]'\n"
    )


def test_a_module_of_our_own_that_is_missing_is_a_fault_and_no_missing_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stub(monkeypatch, ModuleNotFoundError("No module named 'server.nothing'", name="server.nothing"))
    with pytest.raises(ModuleNotFoundError):
        cli.main(["server"])


def test_help_imports_no_service_and_none_of_what_they_need() -> None:
    others = ("updater", "server", "simulator", "obstore", "pydantic", "rich", "structlog", "aiohttp")
    code = (
        "import sys, depthcast.cli as cli; cli.main(['--help']); "
        f"print([m for m in sys.modules if m.split('.')[0] in {others}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_module_runs_as_a_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "depthcast", "nothing"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
