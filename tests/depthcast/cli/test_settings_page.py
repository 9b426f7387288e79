"""The page of settings is what the code says, and every setting can be given in every way."""

from pathlib import Path

import pytest

from depthcast.cli import main
from depthcast.cli.settings import SERVICES, own_variables, page, service_settings

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


@pytest.mark.parametrize("service", SERVICES)
def test_variables_of_other_services_are_no_mistake_and_misspelled_ones_are(service: str) -> None:
    settings = service_settings(service)
    env = {
        f"DEPTHCAST_{name.upper()}": "" for each in SERVICES for name in service_settings(each).model_fields
    }
    own = own_variables(settings, env | {"DEPTHCAST_SYMBOLZ": "A", "PATH": "/"})
    assert own.keys() == {f"DEPTHCAST_{name.upper()}" for name in settings.model_fields} | {
        "DEPTHCAST_SYMBOLZ",
        "PATH",
    }
    warnings: list[str] = []
    settings.load([], own, warn=warnings.append)
    assert len(warnings) == 1
    assert warnings[0].partition("ignored: ")[2].startswith("DEPTHCAST_SYMBOLZ")
    assert "," not in warnings[0]


@pytest.mark.parametrize("words", [["fleet", "--once"], ["epoch", "show", "ETHUSDT"], ["probe"]])
def test_a_command_in_an_updater_s_environment_warns_of_none_of_its_variables(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEPTHCAST_TAKEOVER_AFTER_MS", "500")
    monkeypatch.setenv("DEPTHCAST_SIMULATOR_URL", "http://simulator:9000")
    monkeypatch.setenv("DEPTHCAST_STORE_URL", "ftp://nowhere")
    assert main(words) != 0
    assert capsys.readouterr().err.count("\n") == 1
