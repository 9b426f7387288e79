"""Settings: which source goes first, and what each kind of mistake is told."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import Field, model_validator

from depthcast.errors import SettingsError
from depthcast.settings import (
    Address,
    Counts,
    Listen,
    LogSettings,
    Names,
    Settings,
    StoreSettings,
    VenueSettings,
    parse_address,
    shown_default,
)

LONG = "x" * 5000


class Own(Settings):
    SECTION: ClassVar[str] = "updater"
    TITLE: ClassVar[str] = "own"

    symbols: Names = Field(("ETHUSDT",), description="whose books")
    limits: Counts = Field((5, 100), description="levels a side")
    wait_ms: int = Field(250, ge=0, description="how long to wait, at most 100%")
    share: float = Field(0.5, description="a share")
    listen: Listen = Field(Address("127.0.0.1", 0), description="where to listen")
    create: bool = Field(False, description="whether to create")

    @model_validator(mode="after")
    def _agree(self) -> "Own":
        if self.wait_ms == 13 and self.create:
            raise ValueError("wait_ms 13 and create contradict each other")
        return self


class Program(Own, StoreSettings, VenueSettings, LogSettings):
    TITLE: ClassVar[str] = "program"


def load(argv: list[str] | None = None, env: dict[str, str] | None = None, **more: Any) -> Program:
    return Program.load(argv or [], env or {}, **more)


def error_of(argv: list[str] | None = None, env: dict[str, str] | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        load(argv, env)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.fixture
def toml(tmp_path: Path) -> Any:
    def write(text: str) -> str:
        path = tmp_path / "settings.toml"
        path.write_text(text, "utf-8")
        return str(path)

    return write


def test_defaults_hold_where_nothing_is_said() -> None:
    settings = load()
    assert settings.symbols == ("ETHUSDT",)
    assert settings.listen == ("127.0.0.1", 0)
    assert settings.store_url == "s3://depthcast"


def test_the_command_line_goes_before_the_environment_and_that_before_the_file(toml: Any) -> None:
    path = toml('wait_ms = 1\nshare = 0.1\nlimits = [1, 2]\nsymbols = ["A", "B"]')
    env = {"DEPTHCAST_CONFIG": path, "DEPTHCAST_WAIT_MS": "2", "DEPTHCAST_SHARE": "0.2"}
    settings = load(["--wait-ms", "3"], env)
    assert (settings.wait_ms, settings.share) == (3, 0.2)
    assert (settings.limits, settings.symbols) == ((1, 2), ("A", "B"))


def test_the_config_option_goes_before_the_variable(toml: Any) -> None:
    assert load([f"--config={toml('wait_ms = 7')}"], {"DEPTHCAST_CONFIG": "/nowhere"}).wait_ms == 7


def test_lists_are_comma_separated_text_or_arrays(toml: Any) -> None:
    assert load(["--symbols", " BTCUSDT , *USDC,"]).symbols == ("BTCUSDT", "*USDC")
    assert load(["--limits=5,10"]).limits == (5, 10)
    assert load(["--config", toml('limits = "5, 20"')]).limits == (5, 20)


def test_a_flag_can_be_set_and_unset() -> None:
    assert load(["--create"]).create is True
    assert load(["--no-create"], {"DEPTHCAST_CREATE": "true"}).create is False
    assert load([], {"DEPTHCAST_CREATE": "yes"}).create is True


def test_an_empty_variable_says_nothing() -> None:
    assert load([], {"DEPTHCAST_WAIT_MS": ""}).wait_ms == 250


def test_a_services_own_table_goes_before_the_shared_members_and_other_tables_are_passed_over(
    toml: Any,
) -> None:
    path = toml("wait_ms = 1\n[updater]\nwait_ms = 2\n[server]\nanything = 3")
    assert load(["--config", path]).wait_ms == 2


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["--wiat-ms", "1"], ["unknown option --wiat-ms", "did you mean --wait-ms?"]),
        (["--wait=1"], ["unknown option --wait;", "did you mean --wait-ms?"]),
        (["--zzz"], ["unknown option --zzz", "see --help"]),
        (["stray"], ["unexpected argument 'stray'"]),
        (["--wait-ms"], ["--wait-ms: expected one argument"]),
        (["--wait-ms", "soon"], ["--wait-ms = 'soon'", "should be a valid integer", "how long to wait"]),
        (["--wait-ms", "-1"], ["--wait-ms", "greater than or equal to 0"]),
        (["--limits", "5,x"], ["--limits = '5,x'", "valid integer"]),
        (["--listen", "8080"], ["--listen = '8080'", "should be host:port"]),
        (["--listen", "h:99999"], ["should be host:port"]),
        (["--log-level", "loud"], ["--log-level = 'loud'", "'debug', 'info', 'warning' or 'error'"]),
        (["--exchange", "mtgox"], ["--exchange = 'mtgox'", "'binance'"]),
        (["--rest-url", "ftp://x"], ["--rest-url = 'ftp://x'", "should match"]),
        (["--share=x", "--wait-ms=y"], ["also malformed"]),
        (["--wait-ms=13", "--create"], ["wait_ms 13 and create contradict each other"]),
        (["--config", "/nowhere/x.toml"], ["--config: cannot read /nowhere/x.toml"]),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(argv: list[str], parts: list[str]) -> None:
    text = error_of(argv)
    assert all(part in text for part in parts), text


def test_a_mistake_in_the_environment_names_the_variable() -> None:
    assert error_of([], {"DEPTHCAST_WAIT_MS": "soon"}).startswith("DEPTHCAST_WAIT_MS = 'soon': should be")
    assert "DEPTHCAST_CONFIG: cannot read" in error_of([], {"DEPTHCAST_CONFIG": "/nowhere"})


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("wiat_ms = 1", ["unknown member wiat_ms", "did you mean wait_ms?"]),
        ("[updater]\nwiat_ms = 1", ["unknown member [updater] wiat_ms"]),
        ("[updates]\nx = 1", ["unknown member updates"]),
        ("updater = 1", ["updater", "is not a table", "write [updater]"]),
        ("wait_ms = []", ["wait_ms in ", "= []", "valid integer"]),
        ("[updater]\nwait_ms = 'x'", ["[updater] wait_ms in "]),
        ("= 3", ["is not TOML"]),
    ],
)
def test_a_mistake_in_the_file_names_the_member_and_the_file(toml: Any, text: str, parts: list[str]) -> None:
    path = toml(text)
    line = error_of(["--config", path])
    assert path in line
    assert all(part in line for part in parts), line


def test_an_unknown_variable_is_one_line_of_warning_and_no_error() -> None:
    lines: list[str] = []
    env = {"DEPTHCAST_WIAT_MS": "1", "DEPTHCAST_OTHER_THING": "2", "DEPTHCAST_SHARE": "0.1", "PATH": "/bin"}
    assert load([], env, warn=lines.append).share == 0.1
    assert len(lines) == 1
    assert "DEPTHCAST_WIAT_MS (did you mean DEPTHCAST_WAIT_MS?)" in lines[0]
    assert "DEPTHCAST_OTHER_THING" in lines[0]
    assert "DEPTHCAST_SHARE" not in lines[0]


def test_the_warning_goes_to_standard_error_unless_told_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    load([], {"DEPTHCAST_WIAT_MS": "1"})
    captured = capsys.readouterr()
    assert "DEPTHCAST_WIAT_MS" in captured.err
    assert captured.out == ""


def test_a_password_in_a_url_is_not_echoed() -> None:
    assert "hunter2" not in error_of(["--rest-url", "ftp://me:hunter2@x"])
    assert "hunter2" not in error_of(["https://me:hunter2@x"])
    assert "hunter2" not in error_of(["--config", "https://me:hunter2@x/"])
    assert "hunter2" not in error_of(["--https://me:hunter2@x/"])
    assert "hunter2" not in error_of(["--fast=https://me:hunter2@x/"])


@pytest.mark.parametrize(
    "argv", [["--config", LONG], ["--" + LONG], [f"--fast={LONG}"], ["--listen", LONG], ["--limits", LONG]]
)
def test_what_was_given_is_not_repeated_at_any_length(argv: list[str]) -> None:
    assert len(error_of(argv)) < 1000


def test_help_shows_every_option_with_its_default_under_its_heading(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        load(["--help"], program="depthcast updater", about="Writes books.")
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for name in Program.model_fields:
        assert f"--{name.replace('_', '-')}" in text
    for part in ("usage: depthcast updater", "Writes books.", "own:", "exchange:", "at most 100%", "5,100"):
        assert part in text


def test_groups_hold_every_field_once() -> None:
    names = [name for _, fields in Program.groups() for name in fields]
    assert sorted(names) == sorted(Program.model_fields)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("symbols", "ETHUSDT"),
        ("limits", "5,100"),
        ("create", "false"),
        ("wait_ms", "250"),
        ("share", "0.5"),
        ("listen", "127.0.0.1:0"),
        ("config", ""),
    ],
)
def test_a_default_is_shown_as_it_would_be_typed(name: str, shown: str) -> None:
    assert shown_default(Program.model_fields[name]) == shown


def test_an_address_reads_back_as_it_is_shown() -> None:
    for text in ("127.0.0.1:8080", "[::1]:0", "localhost:65535"):
        assert str(parse_address(text)) == text
    assert parse_address(("h", 1)) == ("h", 1)


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        setattr(load(), "wait_ms", 3)  # noqa: B010 (mypy knows it is read-only)


def test_a_store_is_opened_from_its_url_and_the_aws_variables() -> None:
    assert load(["--store-url", "memory:"]).open_store({}).url == "memory:"


def test_a_simulator_takes_the_exchanges_place_at_its_own_address() -> None:
    settings = load(
        [], {"DEPTHCAST_EXCHANGE": "simulator", "DEPTHCAST_SIMULATOR_URL": "http://simulator:9000"}
    )
    assert settings.rest_url == "http://simulator:9000"
    assert settings.ws_url == "ws://simulator:9000"
    # Without it the address changes nothing, and an address of Binance's that was given stays.
    assert load(["--simulator-url", "http://other:1"]).rest_url == "https://data-api.binance.vision"
    kept = load(["--exchange", "simulator", "--ws-url", "wss://proxy"])
    assert (kept.rest_url, kept.ws_url) == ("http://127.0.0.1:9000", "wss://proxy")
    assert "should be 'binance' or 'simulator'" in error_of(["--exchange", "kraken"])
