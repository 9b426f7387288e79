"""The server's settings: defaults, and what they refuse."""

import pytest

from depthcast.errors import SettingsError
from depthcast.store.reading import ReadingS3Store
from server.settings import ServerSettings


def test_the_defaults_are_the_documented_ones() -> None:
    settings = ServerSettings.load([], {})
    assert str(settings.listen) == "127.0.0.1:8080"
    assert settings.store_url == "s3://depthcast"
    assert (settings.refresh_ms, settings.hot_for_s, settings.symbols_refresh_s) == (100, 30.0, 10.0)


def test_the_command_line_goes_before_the_environment() -> None:
    settings = ServerSettings.load(
        ["--listen", "0.0.0.0:80"], {"DEPTHCAST_LISTEN": "[::1]:81", "DEPTHCAST_REFRESH_MS": "250"}
    )
    assert settings.listen == ("0.0.0.0", 80)
    assert settings.refresh_ms == 250


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--refresh-ms", "0"], "--refresh-ms"),
        (["--hot-for-s", "-1"], "--hot-for-s"),
        (["--memory-mb", "lots"], "--memory-mb"),
        (["--listen", "8080"], "host:port"),
        (["--answer-cache-control", "a\r\nSet-Cookie: b"], "--answer-cache-control"),
        (["--hot-for-s", "900"], "keep_for_s"),
        (["--refresh", "5"], "--refresh-ms"),
        (["--max-streams", "16384"], r"max_streams \(16384\) is not less than max_connections \(16384\)"),
        (["--max-connections", "1000"], r"max_streams \(12000\) is not less than max_connections \(1000\)"),
        (["--refresh-ms", "5000"], r"refresh_ms \(5000\) is not less than stale_after_ms \(5000\)"),
        (["--stale-after-ms", "900"], r"heartbeats_ms \(1000\) is not less than stale_after_ms \(900\)"),
        (["--ticker-refresh-ms", "60000"], r"ticker_refresh_ms \(60000\)"),
    ],
)
def test_a_setting_that_cannot_be_is_one_line(argv: list[str], words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        ServerSettings.load(argv, {})
    assert "\n" not in str(caught.value)


def test_settings_at_their_bounds_go_together() -> None:
    assert ServerSettings.load(["--max-connections", "2", "--max-streams", "1"], {}).max_streams == 1
    assert ServerSettings.load(["--stale-after-ms", "1001"], {}).stale_after_ms == 1001


def test_a_server_reads_its_store_over_connections_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    env = {
        "AWS_ENDPOINT_URL": "http://store:1",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }
    assert isinstance(ServerSettings.load([], {}).open_store(env), ReadingS3Store)
