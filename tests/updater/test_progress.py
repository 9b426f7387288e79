"""``Progress``: what it says of a long wait, when, and that it is silent otherwise."""

import asyncio
import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from updater.progress import Bars, Progress, Wait


class Book:
    def __init__(self) -> None:
        self.live = False


class Rest:
    """Answers ``rate`` requests a second."""

    def __init__(self) -> None:
        self.waiting = 0
        self.rate = 1

    def expected_wait_ms(self, weight: int, background: bool = False) -> int:
        assert (weight, background) == (0, False)
        return 1000 * self.waiting // self.rate


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []
        self._bound: dict[str, Any] = {}

    def bind(self, **values: Any) -> "Log":
        self._bound = values
        return self

    def info(self, event: str, **values: Any) -> None:
        self.lines.append((event, {**self._bound, **values}))


class World:
    """Twenty books, a pace, and a clock that steps when somebody sleeps; ``story`` hears of each second."""

    def __init__(self, story: Callable[[int], None] = lambda second: None, **options: Any) -> None:
        self.books = {f"S{n}": Book() for n in range(20)}
        self.rest, self.log = Rest(), options.pop("log", Log())
        self.now = 0.0
        self._story = story
        log: Any = self.log
        self.progress = Progress(
            self.books, self.rest, log=log, clock=lambda: self.now, sleep=self._sleep, **options
        )

    async def _sleep(self, seconds: float) -> None:
        self.now += seconds
        self._story(round(self.now))
        await asyncio.sleep(0)

    def come_live(self, count: int) -> None:
        for book in [book for book in self.books.values() if not book.live][:count]:
            book.live = True

    async def run(self, until_s: float) -> None:
        running = asyncio.ensure_future(self.progress.run())
        while self.now < until_s:  # noqa: ASYNC110 - the clock is the test's own
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


def in_a_file() -> Bars:
    return Bars(Console(file=io.StringIO(), force_terminal=False, width=120))


def terminal(screen: io.StringIO) -> Console:
    return Console(file=screen, force_terminal=True, width=120, color_system=None)


async def test_a_long_wait_is_told_with_its_length_again_and_again_until_it_ends() -> None:
    def story(second: int) -> None:
        world.rest.waiting = max(0, 40 - second) if second > 1 else 40
        if second % 2 == 0:
            world.come_live(1)

    world = World(story, bars=in_a_file())
    await world.run(50)
    first, *others, last = world.log.lines
    assert first == (
        "books wait for the exchange's request weight",
        {"symbols": 37, "about_s": 37, "live": 1, "of": 20},
    )
    assert [values["about_s"] for _, values in others] == [22, 7]
    assert last == ("books no longer wait for the exchange's request weight", {"after_s": 39})


async def test_what_is_said_first_counts_the_books_that_ask_a_moment_later() -> None:
    def story(second: int) -> None:
        world.rest.waiting = min(second * 10, 30)

    world = World(story, bars=in_a_file())
    await world.run(10)
    assert [values["about_s"] for _, values in world.log.lines] == [30]


async def test_a_queue_that_never_stops_growing_is_told_of_all_the_same() -> None:
    def story(second: int) -> None:
        world.rest.waiting = 10 * second

    world = World(story, bars=in_a_file(), settle_looks=5)
    await world.run(10)
    assert len(world.log.lines) == 1


async def test_a_short_wait_is_not_worth_a_line() -> None:
    def story(second: int) -> None:
        world.rest.waiting = 4 if second < 30 else 0

    world = World(story, bars=in_a_file())
    await world.run(40)
    assert world.log.lines == []
    assert world.progress.now() is None


async def test_each_wait_is_told_of_by_itself() -> None:
    def story(second: int) -> None:
        world.rest.waiting = 10 if second % 10 < 5 else 0

    world = World(story, bars=in_a_file())
    await world.run(20)
    assert [event.partition(" ")[2][:13] for event, _ in world.log.lines] == [
        "wait for the ",
        "no longer wai",
    ] * 2


async def test_a_terminal_gets_a_bar_that_is_taken_away_in_the_end() -> None:
    def story(second: int) -> None:
        world.rest.waiting = max(0, 100 - second)
        if second <= 15:
            world.come_live(1)

    screen = io.StringIO()
    world = World(story, bars=Bars(terminal(screen)))
    await world.run(15)
    shown = screen.getvalue()
    assert "15/20" in shown or "14/20" in shown
    assert "within about 2 min" in shown
    assert world.log.lines == []
    assert shown.endswith("\x1b[2K"), "cancelled, it clears its line"


async def test_what_waits_is_read_off_the_parts() -> None:
    world = World()
    world.come_live(3)
    world.rest.waiting, world.rest.rate = 5, 2
    assert world.progress.now() == Wait(requests=5, about_s=3, live=3, books=20)


async def test_the_waits_of_several_venues_are_bars_of_one_display() -> None:
    screen = io.StringIO()
    bars = Bars(terminal(screen))

    def story(second: int) -> None:
        spot.rest.waiting = max(0, 100 - second)

    def other_story(second: int) -> None:
        futures.rest.waiting = 100 if second < 10 else 0

    spot, futures = World(story, bars=bars, name="binance"), World(other_story, bars=bars, name="binanceusdm")
    await asyncio.gather(spot.run(15), futures.run(15))
    *_, last = screen.getvalue().split("\x1b[1A")
    assert "binanceusdm books live" in screen.getvalue()
    drawn = screen.getvalue().replace("\r", "").splitlines()
    both = [
        n for n, line in enumerate(drawn) if "binance books" in line and "binanceusdm books" in drawn[n + 1]
    ]
    assert both, "one below the other"
    assert "binanceusdm" not in last, "what waits no more is gone, and the other stays until its end"


async def test_a_line_in_the_log_names_the_venue_where_there_are_several() -> None:
    log = Log()
    world = World(lambda _: None, bars=in_a_file(), name="bitmex", log=log)
    world.rest.waiting = 30
    await world.run(10)
    assert [values["venue"] for _, values in log.lines] == ["bitmex"]
