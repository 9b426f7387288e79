"""The page of settings is what the code says, and every setting can be given in every way."""

from pathlib import Path

import pytest

from depthcast.cli import main
from depthcast.cli.settings import SERVICES, page, service_settings

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"


def test_the_committed_page_is_the_one_the_code_makes() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: depthcast settings > docs/settings.md"


def test_the_page_names_every_setting_of_every_service() -> None:
    text = page()
    for name in SERVICES:
        section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        for setting in service_settings(name).model_fields:
            assert f"| `{setting}` |" in section


def test_the_command_prints_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings"]) == 0
    assert capsys.readouterr().out == page()


def test_it_takes_no_argument(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings", "updater"]) == 2
    assert "takes no argument" in capsys.readouterr().err
