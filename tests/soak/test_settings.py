from pathlib import Path

import pytest

from soak.settings import Settings, parse_arguments


def test_three_minutes_are_shared_among_the_phases() -> None:
    settings = Settings(minutes=3)
    assert (settings.baseline_s, settings.fleet_s, settings.quiet_s) == (40, 20, 10)
    assert settings.disturbed_s == 110
    assert Settings(minutes=30).baseline_s == 360


def test_arguments_become_settings() -> None:
    settings = parse_arguments(
        ["--minutes=5", "--out=x", "--limits=100,5", "--every=10,15", "--", "--redundancy", "2"]
    )
    assert (settings.minutes, settings.out, settings.limits) == (5, Path("x"), (5, 100))
    assert list(settings.every_s) == [10, 15]
    assert settings.extra == ("--redundancy", "2")


@pytest.mark.parametrize(
    "wrong",
    [
        "--minutes=0",
        "--minutes=1",
        "--replicas=1",
        "--every=20,10",
        "--limits=a",
        "--cadence=x",
        "--symbols=0",
    ],
)
def test_wrong_arguments_end_with_one_clear_line(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments([wrong])
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err.splitlines()[-1]


def test_a_file_is_at_least_as_old_as_its_cadence_makes_it() -> None:
    settings = Settings(cadence="5:250,1000:1000", same_levels_ms=500)
    assert [settings.floor_ms(limit) for limit in (5, 100, 1000, 5000)] == [500, 1000, 1000, 1000]
