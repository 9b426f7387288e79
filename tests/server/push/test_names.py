"""Names of streams, and the paths of websockets."""

import pytest

from server.push.names import Target, parse_name, parse_target


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        ("btcusdt@depth5", ("BTCUSDT", 5, 1000)),
        ("btcusdt@depth10@100ms", ("BTCUSDT", 10, 100)),
        ("btcusdt@depth20", ("BTCUSDT", 20, 1000)),
        ("btcusdt@bookTicker", ("BTCUSDT", 0, 0)),
        ("币安人生usdt@depth5", ("币安人生USDT", 5, 1000)),
        ("4-a._usdt@depth5", ("4-A._USDT", 5, 1000)),
        ("straßeusdt@depth5", ("STRAßEUSDT", 5, 1000)),
    ],
)
def test_streams_that_are_delivered(name: str, stream: tuple[str, int, int]) -> None:
    assert parse_name(name) == stream


@pytest.mark.parametrize(
    "name",
    [
        "",
        "btcusdt",
        "@depth5",
        "BTCUSDT@depth5",
        "btcUsdt@depth5",
        "btcusdt@depth",
        "btcusdt@depth@100ms",
        "btcusdt@depth7",
        "btcusdt@depth50",
        "btcusdt@depth5@1000ms",
        "btcusdt@depth5@100MS",
        "btcusdt@bookticker",
        "btcusdt@bookTicker@100ms",
        "btc/usdt@depth5",
        "btc usdt@depth5",
        "a" * 51 + "@depth5",
        "a" * 5000 + "@depth5",
        "btcusdt@depth5\n",
        "!bookTicker",
    ],
)
def test_names_that_stay_silent(name: str) -> None:
    assert parse_name(name) is None


@pytest.mark.parametrize(
    ("path", "query", "target"),
    [
        ("/ws", "", Target((), False, False)),
        ("/ws/", "", Target((), False, False)),
        ("/ws/a@depth5", "", Target(("a@depth5",), False, False)),
        ("/ws/a@depth5/b@depth5", "", Target(("a@depth5", "b@depth5"), False, False)),
        ("/ws", "timeUnit=MICROSECOND", Target((), False, True)),
        ("/ws", "timeUnit=second", Target((), False, False)),
        ("/stream", "", Target((), True, False)),
        ("/stream", "streams=a@depth5/b@depth5@100ms", Target(("a@depth5", "b@depth5@100ms"), True, False)),
        ("/stream", "streams=a%40depth5%2Fb%40depth5", Target(("a@depth5", "b@depth5"), True, False)),
        ("/stream", "timeUnit=microsecond&streams=a@depth5", Target(("a@depth5",), True, True)),
        ("/stream", "streams=", Target((), True, False)),
        ("/", "", None),
        ("/wsx", "", None),
        ("/stream/", "", None),
        ("/api/v3/depth", "", None),
    ],
)
def test_paths(path: str, query: str, target: Target | None) -> None:
    assert parse_target(path, query) == target
