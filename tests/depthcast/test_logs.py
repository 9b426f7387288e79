"""Log lines: their two forms, what never appears in them, and how repeated ones are held back."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from depthcast.logs import Seldom, SeldomFilter, configure, get_logger
from depthcast.settings import LogSettings
from server.settings import ServerSettings
from updater.settings import UpdaterSettings


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_json_lines_are_objects_with_the_event_its_level_and_its_time() -> None:
    stream = io.StringIO()
    configure("json", "info", stream=stream)
    get_logger("feed").warning("gap", symbol="ETHUSDT", path=object)
    line = json.loads(stream.getvalue())
    assert line["event"] == "gap"
    assert line["level"] == "warning"
    assert line["part"] == "feed"
    assert line["symbol"] == "ETHUSDT"
    assert "timestamp" in line


def test_every_json_line_says_whose_it_is_and_no_text_line_does() -> None:
    for format, shown in (("json", True), ("text", False)):
        stream = io.StringIO()
        configure(format, "info", stream=stream, always={"service": "updater", "replica": "a"})  # type: ignore[arg-type]
        get_logger("feed").info("gap")
        get_logger("feed").info("told of", replica="b")
        logging.getLogger("aiohttp").warning("trouble")
        lines = stream.getvalue().splitlines()
        assert len(lines) == 3
        if shown:
            told = [json.loads(line) for line in lines]
            assert {line["service"] for line in told} == {"updater"}
            assert [line["replica"] for line in told] == ["a", "b", "a"]
        else:
            assert "service" not in stream.getvalue()


def test_a_services_settings_name_it(capsys: pytest.CaptureFixture[str]) -> None:
    UpdaterSettings.load(["--log-format", "json", "--replica", "tokyo-1"], {}).configure_logs()
    get_logger("updater").info("ready")
    line = json.loads(capsys.readouterr().err)
    assert (line["service"], line["replica"]) == ("updater", "tokyo-1")
    ServerSettings.load(["--log-format", "json"], {}).configure_logs()
    get_logger("server").info("ready")
    line = json.loads(capsys.readouterr().err)
    assert line["service"] == "server"
    assert "replica" not in line


def test_text_lines_are_for_people_and_uncoloured_in_a_file() -> None:
    stream = io.StringIO()
    configure("text", "info", stream=stream)
    get_logger("feed").info("gap", symbol="ETHUSDT")
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert "gap" in text
    assert "symbol=ETHUSDT" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("format", ["text", "json"])
def test_lines_below_the_level_are_not_shown(format: str) -> None:
    stream = io.StringIO()
    configure(format, "warning", stream=stream)  # type: ignore[arg-type]
    get_logger("x").info("quiet")
    get_logger("x").warning("loud")
    assert "quiet" not in stream.getvalue()
    assert "loud" in stream.getvalue()


def test_lines_of_libraries_have_the_same_form_and_only_warnings_show() -> None:
    stream = io.StringIO()
    configure("json", "debug", stream=stream)
    logging.getLogger("aiohttp").info("chatter")
    logging.getLogger("aiohttp").warning("trouble at %s", "https://u:hunter2@h/")
    line = json.loads(stream.getvalue())
    assert line["event"] == "trouble at https://…@h/"
    assert line["logger"] == "aiohttp"


@pytest.mark.parametrize("format", ["text", "json"])
def test_no_secret_passes_in_a_value_an_error_or_a_traceback(format: str) -> None:
    stream = io.StringIO()
    configure(format, "info", stream=stream)  # type: ignore[arg-type]
    try:
        raise RuntimeError("PUT https://h/?X-Amz-Signature=hunter2")
    except RuntimeError as error:
        get_logger("x").error("failed", url="s3://k:hunter2@b", error=error, exc_info=True)
    text = stream.getvalue()
    assert "failed" in text
    assert "RuntimeError" in text
    assert "hunter2" not in text


def test_the_settings_set_the_form(capsys: pytest.CaptureFixture[str]) -> None:
    LogSettings.load(["--log-format", "json", "--log-level", "error"], {}).configure_logs()
    get_logger("x").warning("quiet")
    get_logger("x").error("loud")
    assert json.loads(capsys.readouterr().err)["event"] == "loud"


def test_lines_follow_standard_error_to_where_a_progress_bar_catches_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configure("json", "info")
    log = get_logger("x")
    log.info("before")
    caught = io.StringIO()
    monkeypatch.setattr("sys.stderr", caught)
    log.info("during")
    logging.getLogger("aiohttp").warning("of a library")
    assert [json.loads(line)["event"] for line in caught.getvalue().splitlines()] == [
        "during",
        "of a library",
    ]


def test_a_repeated_event_is_shown_once_in_a_while_with_the_number_held_back() -> None:
    now = 0.0
    seldom = Seldom(every_s=10, clock=lambda: now)
    assert seldom.held_back("a") == 0
    now = 9.9
    assert [seldom.held_back("a") for _ in range(3)] == [None, None, None]
    assert seldom.held_back("b") == 0
    now = 10.0
    assert seldom.held_back("a") == 3
    now = 20.0
    assert seldom.held_back("a") == 0


def test_only_so_many_events_are_remembered() -> None:
    seldom = Seldom(every_s=10, capacity=2, clock=lambda: 0.0)
    assert [seldom.held_back(key) for key in "abc"] == [0, 0, 0]
    assert seldom.held_back("c") is None
    assert seldom.held_back("b") is None
    assert seldom.held_back("a") == 0


def test_a_librarys_warnings_are_shown_seldom_and_its_errors_always(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]
    library = logging.getLogger("a_library")
    seldom = SeldomFilter(Seldom(every_s=10, clock=lambda: now[0]))
    library.addFilter(seldom)
    try:
        for _ in range(1000):
            library.warning("Refused by %s.", "limit")
        library.warning("Something else.")
        for _ in range(3):
            library.error("Broken.")
        now[0] = 10.0
        for _ in range(1000):
            library.warning("Refused by %s.", "limit")
    finally:
        library.removeFilter(seldom)
    assert [record.getMessage() for record in caplog.records] == [
        "Refused by limit.",
        "Something else.",
        *["Broken."] * 3,
        "Refused by limit. (and 999 times more before)",
    ]
