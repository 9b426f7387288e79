"""The screen at every size: what it shows, what it leaves out, and that nothing on it jumps."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from depthcast.cli.up.board import EXCHANGE, SERVER, STORE, Board
from depthcast.cli.up.reading import Measured, Reading
from depthcast.cli.up.screen import SILENT_AFTER_S, Screen
from updater.status import Status, SymbolStatus

MakeStatus = Callable[..., Status]
MakeSymbol = Callable[..., SymbolStatus]


@dataclass
class Line:
    name: str
    state: str = "running"
    restarts: int = 0


def picture(screen: Screen, width: int, height: int) -> list[str]:
    """The lines of a terminal of this size, checked to fit it."""
    console = Console(record=True, width=width, height=height, file=io.StringIO(), force_terminal=True)
    console.print(screen.render(width, height))
    lines = console.export_text().splitlines()
    assert len(lines) == height
    assert max(map(cell_len, lines)) <= width
    return [line.rstrip() for line in lines]


@pytest.fixture
def live(board: Board, status: MakeStatus, symbol_status: MakeSymbol, clock: Any) -> Board:
    """Two updaters with three symbols, running."""
    board.phase = "live"
    board.exchange = "Binance at data-api.binance.vision"
    board.server_url = "http://127.0.0.1:8080"
    board.store = "s3://depthcast at http://127.0.0.1:8333"
    board.data = "depthcast-data"
    board.services = [Line("updater-1"), Line("updater-2", restarts=2), Line("server"), Line("store")]
    document = status(
        symbol_status(
            "BTCUSDT", best_bid=["61837.60000000", "1"], best_ask=["61837.63000000", "1"], resyncs=1
        ),
        symbol_status("币安人生USDT", state="building", age_ms=12_345),
        symbol_status("ETHBTC", best_bid=None, certain_bids=0, role="standby", rank=1),
        takeovers=7,
    )
    rates = {"BTCUSDT": 25.0, "币安人生USDT": 1.25, "ETHBTC": 0.0}
    for name in ("updater-1", "updater-2"):
        board.readings[name] = Measured(Reading.of(document), clock(), 26.25, rates)
    return board


def test_a_wide_terminal_shows_everything(live: Board) -> None:
    lines = picture(Screen(live), 200, 40)
    text = "\n".join(lines)
    assert "Binance at data-api.binance.vision" in lines[0]
    assert "2 of 3 books live" in text
    assert "52 files/s" in text
    assert "2 resyncs" in text
    titles = next(line for line in lines if line.startswith(" symbol")).split()
    assert titles == ["symbol", "update", "id", "bid", "ask", "age", "certain", "files/s", "resyncs", "state"]
    btc = next(line for line in lines if line.startswith(" BTCUSDT")).split()
    assert btc == ["BTCUSDT", "99000000123", "61837.60", "61837.63", "0.1", "s", "4,990", "50.0", "2", "live"]
    assert next(line for line in lines if line.startswith(" 币安人生USDT")).split()[-1] == "building"
    assert next(line for line in lines if line.startswith(" ETHBTC")).split()[2] == "–"
    second = " ".join(next(line for line in lines if line.startswith(" updater-2")).split())
    assert second == "updater-2 ready 2 1 26 3.1 ms 21.0 ms 12 7 250/6,000 1 2"
    assert " try   curl 'http://127.0.0.1:8080/api/v3/depth?symbol=BTCUSDT&limit=5'" in lines
    assert "s3://depthcast at http://127.0.0.1:8333" in text
    assert "depthcast-data/logs" in text
    assert lines[-1] == " Ctrl-C stops everything"


def test_a_narrow_terminal_leaves_out_what_matters_least(live: Board) -> None:
    lines = picture(Screen(live), 80, 24)
    titles = next(line for line in lines if line.startswith(" symbol")).split()
    assert titles == ["symbol", "update", "id", "bid", "ask", "age", "certain", "files/s"]
    text = "\n".join(lines)
    assert "2 of 3 books live" in text
    assert "2 resyncs" in text
    titles = next(line for line in lines if "p99" in line and "state" in line).split()
    assert titles == ["state", "writes", "stands", "by", "files/s", "p50", "p99", "weight"]
    assert "/api/v3/depth?symbol=BTCUSDT&limit=5'" in text


@pytest.mark.parametrize("width", [20, 40, 80, 120, 200])
@pytest.mark.parametrize("height", [3, 12, 24, 60])
@pytest.mark.parametrize("phase", ["starting", "live", "stopping"])
def test_it_fits_any_terminal(live: Board, width: int, height: int, phase: Any) -> None:
    live.plan(STORE, EXCHANGE, "updater-1", SERVER)
    live.phase = phase
    live.warning = "BINANCE CANNOT BE REACHED at 127.0.0.1:9: these books are SIMULATED."
    live.say("error", "updater-1 ended with exit status 1 and is started again", last_words="x" * 300)
    picture(Screen(live), width, height)


def test_of_many_symbols_it_shows_what_fits_and_counts_the_rest(
    live: Board, status: MakeStatus, symbol_status: MakeSymbol, clock: Any
) -> None:
    document = status(*(symbol_status(f"COIN{number:03}USDT") for number in range(400)))
    live.readings = {"updater-1": Measured(Reading.of(document), clock(), 1.0, {})}
    lines = picture(Screen(live), 120, 40)
    shown = [line.split()[0] for line in lines if line.startswith(" COIN")]
    assert shown == [f"COIN{number:03}USDT" for number in range(len(shown))]
    assert len(shown) > 15
    assert f" … and {400 - len(shown)} more" in lines
    higher = picture(Screen(live), 120, 500)
    assert sum(line.startswith(" COIN") for line in higher) == 400
    assert not any("more" in line for line in higher)


def test_nothing_jumps_when_numbers_get_shorter(
    live: Board, status: MakeStatus, symbol_status: MakeSymbol, clock: Any
) -> None:
    screen = Screen(live)
    prices = (("61837.63000000", "61837.64000000"), ("9.50000000", "9.60000000"))
    pictures = []
    for bid, ask in prices:
        document = status(symbol_status("BTCUSDT", best_bid=[bid, "1"], best_ask=[ask, "1"]))
        live.readings = {"updater-1": Measured(Reading.of(document), clock(), 1.0, {})}
        pictures.append(picture(screen, 120, 30))
    places = [
        [(line.index("update id"), line.index("ask")) for line in lines if line.startswith(" symbol")]
        for lines in pictures
    ]
    assert places[0] == places[1]
    assert any(" 9.50 " in line and " 9.60 " in line for line in pictures[1])


def test_an_updater_that_does_not_answer_is_silent_and_one_that_pauses_says_so(
    live: Board, status: MakeStatus, clock: Any
) -> None:
    live.readings["updater-2"] = Measured(Reading.of(status(silent_for_ms=42_000)), clock(), 0.0, {})
    del live.readings["updater-1"]
    live.services = [Line("updater-1", "died"), *live.services[1:]]
    lines = picture(Screen(live), 120, 30)
    assert next(line for line in lines if line.startswith(" updater-1")).split()[1:3] == ["died", "–"]
    assert "pause 42 s" in next(line for line in lines if line.startswith(" updater-2"))
    clock.now_s += SILENT_AFTER_S + 1
    lines = picture(Screen(live), 120, 30)
    assert next(line for line in lines if line.startswith(" updater-2")).split()[1] == "silent"


def test_the_time_that_the_exchange_makes_books_wait_is_shown(
    live: Board, status: MakeStatus, symbol_status: MakeSymbol, clock: Any
) -> None:
    assert not any("left" in line for line in picture(Screen(live), 120, 30))
    document = status(symbol_status(), symbol_status(update_id=None), expected_wait_ms=125_000)
    live.readings["updater-2"] = Measured(Reading.of(document), clock(), 0.0, {})
    assert any("about 3 min left" in line for line in picture(Screen(live), 120, 30))


def test_the_start_shows_each_step_with_its_bar_and_time(board: Board, clock: Any) -> None:
    board.plan(STORE, EXCHANGE, "updater-1", SERVER)
    board.begin(STORE, "starting SeaweedFS")
    clock.now_s += 4.2
    board.finish(STORE, "SeaweedFS at http://127.0.0.1:8333")
    board.begin("updater-1", "starting", total=8)
    board.advance("updater-1", 3, 8, "3 of 8 books built")
    clock.now_s += 1.5
    lines = picture(Screen(board), 100, 20)
    assert [line.split()[0] for line in lines[2:6]] == ["store", "exchange", "updater-1", "server"]
    assert lines[2].endswith("4.2 s SeaweedFS at http://127.0.0.1:8333")
    assert lines[3].endswith("waiting")
    assert lines[4].endswith("1.5 s 3 of 8 books built")
    assert "0:00:05" in lines[0]


def test_a_warning_stays_on_top_whatever_happens(live: Board) -> None:
    live.warning = "BINANCE CANNOT BE REACHED: these books are SIMULATED"
    for number in range(20):
        live.say("info", f"event {number}")
    lines = picture(Screen(live), 120, 40)
    assert lines[1].strip() == live.warning
    assert [line.split()[-1] for line in lines if "event" in line] == ["17", "18", "19"]


def test_the_stop_shows_what_is_still_there(live: Board) -> None:
    live.phase = "stopping"
    live.services = [Line("updater-1", "stopped"), Line("store", "stopping")]
    text = "\n".join(picture(Screen(live), 80, 24))
    assert "A second Ctrl-C does it at once." in text
    assert "updater-1   stopped" in text
    assert "store       stopping" in text
