"""Who is told of failures, and which of them are defects."""

import logging

import pytest

from depthcast.errors import StoreUnavailable
from depthcast.keeper import Observer
from depthcast.keeper.observer import tell_failure


class Told(Observer):
    def __init__(self) -> None:
        self.failures: list[tuple[str, Exception]] = []

    def failed(self, symbol: str, error: Exception) -> None:
        self.failures.append((symbol, error))


@pytest.mark.parametrize(("error", "logged"), [(StoreUnavailable("it is away"), 0), (KeyError("bids"), 1)])
def test_only_what_was_not_foreseen_is_logged_with_where_it_came_from(
    error: Exception, logged: int, caplog: pytest.LogCaptureFixture
) -> None:
    observer = Told()
    with caplog.at_level(logging.DEBUG):
        tell_failure(observer, "ETHUSDT", error)
    assert observer.failures == [("ETHUSDT", error)]
    assert len(caplog.records) == logged
    for record in caplog.records:
        assert record.levelno == logging.ERROR
        assert record.exc_info
        assert record.exc_info[1] is error
        assert "ETHUSDT" in record.message
