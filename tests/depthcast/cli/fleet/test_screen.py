"""The fleet at every size of a terminal."""

import io
from collections.abc import Callable

import pytest
from rich.cells import cell_len
from rich.console import Console, Group

from depthcast.cli.fleet.overview import RECENT_MS, Overview, overview
from depthcast.cli.fleet.screen import Screen
from depthcast.heartbeat import Heartbeat, SymbolBeat
from tests.depthcast.cli.fleet.conftest import MakeBeat, alive, ended

Healthy = Callable[..., list[Heartbeat]]


def picture(shown: Overview, width: int, height: int | None = None) -> list[str]:
    """The lines of a terminal of this size, checked to fit it."""
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    console.print(Group(*Screen().render(shown, width, height, foot="Ctrl-C ends this view")))
    lines = console.export_text().splitlines()
    if height is not None:
        assert len(lines) == height
    assert max(map(cell_len, lines)) <= width
    return [line.rstrip() for line in lines]


@pytest.fixture
def troubled(make_beat: MakeBeat) -> Overview:
    """Three replicas with something of everything."""
    fields = {
        "feed": {"symbols": 3, "live": 2},
        "rest": {"weight_used": 250, "weight_limit": 6000},
        "writes": {"written": 997, "lost": 3, "takeovers": 2, "p50_ms": 3.14, "p99_ms": 21.0},
    }
    return overview(
        "s3://depthcast at http://127.0.0.1:8333",
        [
            *alive(
                make_beat(
                    "a", {"BTCUSDT": "writer", "ETHUSDT": "standby", "币安人生USDT": "writer"}, **fields
                ),
                make_beat(
                    "b", {"BTCUSDT": "standby", "ETHUSDT": "standby", "币安人生USDT": "acting"}, **fields
                ),
            ),
            ended(make_beat("c" * 60, {"BTCUSDT": "writer"}), 12_345),
        ],
    )


def row(lines: list[str], name: str) -> str:
    return " ".join(next(line for line in lines if line.startswith(f" {name}")).split())


def test_a_wide_terminal_shows_everything(troubled: Overview) -> None:
    lines = picture(troubled, 200, 30)
    assert row(lines, "2 replicas live") == (
        "2 replicas live 2 of 3 symbols live 50 writes/s 0.3 % lost "
        "binance in s3://depthcast at http://127.0.0.1:8333"
    )
    assert " ! nobody writes ETHUSDT" in lines
    assert row(lines, "replica ") == (
        "replica state up held writer acting standby feed writes/s lost takeovers p50 p99 weight beat"
    )
    assert row(lines, "a ") == ("a live 0:00:03 3/3 2 0 1 2/3 25.0 0.3 % 2 3.1 ms 21.0 ms 250/6,000 0.4 s")
    assert "dead 12.3 s" in row(lines, "cccccccccc…ccccccccc")
    assert row(lines, "symbol") == ("symbol written by standby epoch:id file lags certain ids behind status")
    assert row(lines, "ETHUSDT") == "ETHUSDT – a +1 0:1000 0.0 s 4,990/4,870+ 0 TRADING no writer"
    assert (
        row(lines, "币安人生USDT")
        == "币安人生USDT a +1 acting – 0:1000 0.0 s 4,990/4,870+ 0 TRADING two write"
    )
    assert row(lines, "BTCUSDT").endswith("TRADING")
    assert lines[-1] == " Ctrl-C ends this view"


def test_a_narrow_terminal_keeps_who_writes_and_what_is_wrong(troubled: Overview) -> None:
    lines = picture(troubled, 80, 24)
    assert row(lines, "replica ") == "replica state held writer acting writes/s"
    assert row(lines, "symbol") == "symbol written by file lags certain status"
    assert row(lines, "ETHUSDT").endswith("no writer")
    assert not any("…" in line for line in lines if line.startswith(" ETH"))


@pytest.mark.parametrize("width", [20, 40, 80, 120, 200])
@pytest.mark.parametrize("height", [3, 12, 24, 60, None])
def test_it_fits_any_terminal(troubled: Overview, width: int, height: int | None) -> None:
    picture(troubled, width, height)


@pytest.mark.parametrize(("replicas", "symbols"), [(3, 200), (40, 200), (40, 2), (3, 3)])
def test_what_does_not_fit_is_counted(healthy: Healthy, replicas: int, symbols: int) -> None:
    names = [f"updater-{number:02}" for number in range(replicas)]
    shown = overview("memory:", alive(*healthy(names, symbols)))
    lines = picture(shown, 120, 40)
    told = {"updater-": replicas, "COIN": symbols}
    seen = {word: sum(line.startswith(f" {word}") for line in lines) for word in told}
    hidden = [f" … and {told[word] - seen[word]} more" for word in told if told[word] > seen[word]]
    assert [line for line in lines if "more" in line] == hidden
    assert all(count >= min(told[word], 10) for word, count in seen.items())
    # No line is wasted while something is hidden.
    assert not hidden or "" not in lines[-3:]
    everything = picture(shown, 120)
    assert sum(line.startswith(" COIN") for line in everything) == symbols
    assert not any("more" in line for line in everything)


def test_symbols_with_troubles_come_first(healthy: Healthy) -> None:
    beats = healthy("ab", 200)
    for beat in beats:
        assert isinstance(beat.symbols, dict)
        beat.symbols["COIN150USDT"] = SymbolBeat(role="standby", live=True)
    lines = picture(overview("memory:", alive(*beats)), 80, 24)
    first = next(line for line in lines if line.startswith(" COIN"))
    assert first.split()[0] == "COIN150USDT"
    assert first.endswith("no writer")


def test_replicas_that_ended_long_ago_are_counted(healthy: Healthy, make_beat: MakeBeat) -> None:
    old = [ended(make_beat(f"old-{number}"), RECENT_MS + number) for number in range(30)]
    lines = picture(overview("memory:", [*alive(*healthy("ab", 2)), *old]), 80, 24)
    assert " … and 30 that ended before" in lines
    assert not any(line.startswith(" old-") for line in lines)


def test_a_store_that_is_away_is_said_above_what_was_known(healthy: Healthy) -> None:
    known = overview("memory:", alive(*healthy("ab", 2)))
    shown = Overview(
        known.store, known.replicas, known.symbols, known.warnings, fault="nothing listens there"
    )
    lines = picture(shown, 80, 24)
    assert lines[1] == " ! the store does not answer: nothing listens there"
    assert any(line.startswith(" COIN") for line in lines)


def test_a_pause_takes_the_place_of_the_weight(healthy: Healthy) -> None:
    (beat,) = healthy("a", 1)
    beat = beat.model_copy(update={"rest": beat.rest.model_copy(update={"silent_for_ms": 42_400})})
    assert any("pause 42 s" in line for line in picture(overview("memory:", alive(beat)), 120, 20))


@pytest.mark.parametrize(("height", "told"), [(12, 2), (24, 4), (60, 6), (None, 6)])
def test_warnings_leave_room_for_the_rest(healthy: Healthy, height: int | None, told: int) -> None:
    damaged = [f"fleet/{number}.json" for number in range(20)]
    lines = picture(overview("memory:", alive(*healthy("ab", 2)), damaged=damaged), 80, height)
    warnings = [line for line in lines if line.startswith(" !")]
    assert len(warnings) == told
    assert warnings[-1] == f" ! … and {20 - (told - 1)} more warnings"


def test_an_empty_store_is_two_lines() -> None:
    lines = picture(overview("memory:", ()), 80)
    assert lines[0].startswith(" 0 replicas live")
    assert lines[1] == " ! no replica lives; start one with depthcast updater"
    assert lines[2:] == [" Ctrl-C ends this view"]
