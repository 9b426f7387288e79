"""The paths of websockets."""

import pytest

from server.push.names import Target, parse_target


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
