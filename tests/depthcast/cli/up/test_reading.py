"""What is read off ``/status``, and several updaters' books as one row a symbol."""

from collections.abc import Callable
from typing import Any

import pytest

from depthcast.cli.up.reading import Measured, Reading, rows
from updater.status import Status, SymbolStatus

MakeStatus = Callable[..., Status]
MakeSymbol = Callable[..., SymbolStatus]


def measured(document: Status, **by_symbol: float) -> Measured:
    return Measured(Reading.of(document), 0.0, sum(by_symbol.values()), by_symbol)


def test_the_answer_of_an_updater_is_read(status: MakeStatus, symbol_status: MakeSymbol) -> None:
    starting = symbol_status(
        "BTCUSDT", state="starting", role="standby", update_id=None, best_bid=None, best_ask=None, age_ms=None
    )
    reading = Reading.of(
        status(symbol_status(resyncs=2), starting, silent_for_ms=1500, expected_wait_ms=9000, takeovers=3)
    )
    assert (reading.replica, reading.ready, reading.written, reading.lost) == ("here-1", True, 100, 12)
    assert (reading.p50_ms, reading.p99_ms) == (3.14, 21.0)
    assert (reading.weight_used, reading.weight_limit, reading.silent_for_ms) == (250, 6000, 1500)
    assert (reading.connections, reading.built, reading.resyncs) == (1, 1, 2)
    assert (reading.writes, reading.takeovers, reading.expected_wait_ms) == (1, 3, 9000)
    eth, btc = reading.books
    assert (eth.best_bid, eth.best_ask, eth.certain) == ("2431.50000000", "2431.51000000", 4990)
    assert (btc.update_id, btc.best_bid, btc.age_ms) == (None, None, None)


@pytest.mark.parametrize("document", [{}, {"writes": 1, "rest": 2}, {"writes": {}, "rest": {}}])
def test_another_answer_is_an_error(document: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError)):
        Reading.of(document)


def test_a_row_is_the_newest_live_book_with_everybodys_writes(
    status: MakeStatus, symbol_status: MakeSymbol
) -> None:
    behind = symbol_status(update_id=5, resyncs=1)
    ahead = symbol_status(update_id=7, best_bid=None, certain_bids=8)
    higher_but_not_live = symbol_status(update_id=9, state="building", resyncs=1)
    (row,) = rows(measured(status(each), ETHUSDT=2.5) for each in (behind, ahead, higher_but_not_live))
    assert (row.update_id, row.state, row.best_bid, row.certain) == (7, "live", None, 8)
    assert (row.files_per_s, row.resyncs) == (7.5, 2)


def test_a_later_epoch_is_newer_than_a_higher_id(status: MakeStatus, symbol_status: MakeSymbol) -> None:
    (row,) = rows(measured(status(symbol_status(epoch=e, update_id=i))) for e, i in ((1, 10), (0, 99)))
    assert row.update_id == 10


def test_rows_keep_the_order_of_the_updaters(status: MakeStatus, symbol_status: MakeSymbol) -> None:
    first = status(symbol_status("XRPUSDT"), symbol_status("ADAUSDT"))
    second = status(symbol_status("ADAUSDT"), symbol_status("BTCUSDT"))
    assert [row.symbol for row in rows((measured(first), measured(second)))] == [
        "XRPUSDT",
        "ADAUSDT",
        "BTCUSDT",
    ]
    assert rows(()) == []
