"""``docs/push.md`` says what the code does."""

from pathlib import Path

import pytest

from depthcast.venues import binance_streams
from server.push import events, history, hub, session, stream, websocket
from server.push.control import Method
from server.settings import ServerSettings

PAGE = (Path(__file__).parents[3] / "docs" / "push.md").read_text("utf-8")


@pytest.mark.parametrize(
    "words",
    [
        f"`GET {events.STREAM_PATH}`",
        f"drawn for each reader from {stream.RETRY_MS[0] // 1000} to {stream.RETRY_MS[1] // 1000} s",
        f"Where nothing was sent for {stream.DEFAULT_HEARTBEAT_S:g} s",
        f"the last {history.DEFAULT_MAX_VERSIONS} versions",
        f"for {hub.DEFAULT_LINGER_S:g} s after the last",
        f"{session.DEFAULT_LIMITS.messages_a_second} incoming messages a second",
        f"{session.DEFAULT_LIMITS.streams:,} streams",
        f"a ping every {session.DEFAULT_LIMITS.ping_every_s:g} s",
        f"at most {websocket.MAX_MESSAGE_BYTES // 1024} KiB",
        f"more than {binance_streams.MAX_NAME_LENGTH} characters",
        "closed a second later with 1001",
    ],
)
def test_what_is_said_is_so(words: str) -> None:
    assert words in " ".join(PAGE.split())


def test_every_method_and_setting_is_named() -> None:
    for method in Method:
        assert f"`{method.value}`" in PAGE
    defaults = ServerSettings()
    for name in ("max_streams", "max_connections"):
        assert f"`{name}` ({getattr(defaults, name):,})" in PAGE
    assert f"`stream_stalled_s` ({defaults.stream_stalled_s:g} s)" in PAGE
    for name in ("max_streams_per_client", "max_subscriptions", "stream_memory_mb"):
        assert f"`{name}`" in PAGE
