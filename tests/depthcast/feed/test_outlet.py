"""A callback that raises harms nobody."""

from collections.abc import Sequence

import pytest

from depthcast.events import Diff
from depthcast.feed.outlet import Outlet


def ignore(_: Diff) -> None:
    pass


def fail(*_: object) -> None:
    raise RuntimeError("callback")


def test_hooks_that_are_not_given_are_not_called() -> None:
    outlet = Outlet(ignore)
    outlet.error("ETHUSDT", ValueError("x"))
    outlet.connection_lost(["ETHUSDT"])


def test_errors_and_losses_are_handed_on() -> None:
    errors: list[tuple[str | None, Exception]] = []
    lost: list[Sequence[str]] = []
    outlet = Outlet(ignore, lambda symbol, error: errors.append((symbol, error)), lost.append)
    error = ValueError("x")
    outlet.error("ETHUSDT", error)
    outlet.connection_lost(["A", "B"])
    assert errors == [("ETHUSDT", error)]
    assert lost == [["A", "B"]]


def test_a_loss_hook_that_raises_is_an_error() -> None:
    errors: list[Exception] = []
    Outlet(ignore, lambda _, error: errors.append(error), fail).connection_lost(["A"])
    assert [str(error) for error in errors] == ["callback"]


def test_an_error_hook_that_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    Outlet(ignore, fail).error(None, ValueError("the first one"))
    assert "the first one" in caplog.text
