"""Several venues in one process: what befalls one of them does not touch the others."""

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry, Counter

from depthcast.dispatch import Dispatcher
from depthcast.errors import AccessDenied, DepthcastError, SettingsError
from tests import virtual
from updater.crew import Crew
from updater.replica import Replica


class Report:
    ready = True

    def status(self) -> dict[str, object]:
        return {"ready": self.ready}


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        Counter("depthcast_gaps", "Gaps", registry=self.registry).inc()


class Fake:
    """A replica that runs until it is stopped, or ends by an error after a while."""

    def __init__(self, error: Exception | None, after_s: float) -> None:
        self.report = Report()
        self.metrics = Metrics()
        self.stopped = asyncio.Event()
        self.gave_up = False
        self._error = error
        self._after_s = after_s

    def stop(self) -> None:
        self.stopped.set()

    def give_up(self) -> None:
        self.gave_up = True

    async def run(self) -> None:
        if self._error is not None:
            await asyncio.sleep(self._after_s)
            raise self._error
        await self.stopped.wait()


class Rig:
    """A crew of two, whose replicas end by the errors given, each time anew; by ``refusals`` they cannot be
    made."""

    def __init__(
        self, *, refusals: dict[str, list[DepthcastError]] | None = None, **errors: list[Exception]
    ) -> None:
        self.made: list[tuple[str, float]] = []
        self._refusals = refusals or {}
        self._errors = errors
        self.crew = Crew(
            ("binance", "binanceusdm"),
            self.make,
            dispatcher=Dispatcher(clock=virtual.clock),
            rng=Random(3),
        )

    def make(self, venue: str) -> Replica:
        self.made.append((venue, virtual.clock()))
        if self._refusals.get(venue):
            raise self._refusals[venue].pop()
        errors = self._errors.get(venue, [])
        return cast(Replica, Fake(errors.pop(0) if errors else None, 1.0))

    def fake(self, venue: str) -> Fake:
        return cast(Fake, self.crew.replicas[venue])


def in_virtual_time(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    virtual.run(body())


NO_KEY = SettingsError("no key", hint="--by-price")
DENIED = AccessDenied("the key is wrong", hint="give another one")


def test_a_venue_that_ends_is_begun_anew_and_the_other_goes_on() -> None:
    async def body() -> None:
        rig = Rig(binanceusdm=[DENIED, DENIED])
        running = asyncio.create_task(rig.crew.run())
        await asyncio.sleep(2.0)
        assert (rig.crew.runs("binance"), rig.crew.runs("binanceusdm")) == (True, False)
        was_ready = rig.crew.ready
        assert not was_ready
        assert "the key is wrong" in rig.crew.status()["errors"]["binanceusdm"]
        await asyncio.sleep(60.0)
        assert [venue for venue, _ in rig.made] == ["binance", "binanceusdm", "binanceusdm", "binanceusdm"]
        pauses = [later - before for (_, before), (_, later) in zip(rig.made[1:], rig.made[2:], strict=False)]
        assert all(2.5 <= pause - 1.0 <= 15.0 for pause in pauses)
        assert rig.crew.ready
        assert rig.crew.status()["errors"] == {}
        rig.crew.stop()
        await running

    in_virtual_time(body)


def test_a_venue_that_cannot_begin_is_tried_again_and_the_other_goes_on() -> None:
    async def body() -> None:
        rig = Rig(refusals={"binanceusdm": [NO_KEY, NO_KEY]})
        running = asyncio.create_task(rig.crew.run())
        await asyncio.sleep(1.0)
        assert (rig.crew.runs("binance"), rig.crew.runs("binanceusdm")) == (True, False)
        was_ready = rig.crew.ready
        assert not was_ready
        status = rig.crew.status()
        assert "--by-price" in status["errors"]["binanceusdm"]
        assert list(status["venues"]) == ["binance"]
        running_of = {"venue": "binanceusdm"}
        assert rig.crew.registry.get_sample_value("depthcast_venue_running", running_of) == 0
        await asyncio.sleep(60.0)
        assert rig.crew.ready
        assert [venue for venue, _ in rig.made] == ["binance", "binanceusdm", "binanceusdm", "binanceusdm"]
        assert rig.crew.registry.get_sample_value("depthcast_venue_running", running_of) == 1
        rig.crew.stop()
        await running

    in_virtual_time(body)


def test_one_that_waits_to_begin_at_all_stops_at_once() -> None:
    async def body() -> None:
        rig = Rig(refusals={"binanceusdm": [NO_KEY]})
        running = asyncio.create_task(rig.crew.run())
        await asyncio.sleep(1.0)
        rig.crew.stop()
        rig.crew.give_up()
        before = virtual.clock()
        await running
        assert virtual.clock() == before
        assert len(rig.made) == 2

    in_virtual_time(body)


def test_where_none_can_begin_there_is_no_crew() -> None:
    async def body() -> None:
        with pytest.raises(SettingsError, match="no key"):
            Rig(refusals={"binance": [NO_KEY], "binanceusdm": [NO_KEY]})

    in_virtual_time(body)


def test_an_unexpected_error_of_one_is_no_end_either() -> None:
    async def body() -> None:
        rig = Rig(binance=[RuntimeError("a defect")])
        running = asyncio.create_task(rig.crew.run())
        await asyncio.sleep(30.0)
        assert rig.crew.runs("binance")
        rig.crew.stop()
        await running

    in_virtual_time(body)


def test_where_none_runs_any_more_the_process_ends_with_the_error() -> None:
    async def body() -> None:
        rig = Rig(binance=[DENIED], binanceusdm=[DENIED])
        with pytest.raises(DepthcastError, match="the key is wrong"):
            await rig.crew.run()

    in_virtual_time(body)


def test_all_are_stopped_one_that_waits_to_be_begun_anew_at_once() -> None:
    async def body() -> None:
        rig = Rig(binanceusdm=[DENIED])
        running = asyncio.create_task(rig.crew.run())
        await asyncio.sleep(1.5)
        rig.crew.stop()
        before = virtual.clock()
        await running
        assert virtual.clock() == before
        assert rig.fake("binance").stopped.is_set()
        rig.crew.give_up()
        assert rig.fake("binance").gave_up
        assert len(rig.made) == 2

    in_virtual_time(body)


def test_metrics_tell_of_which_venue_they_are() -> None:
    async def body() -> None:
        rig = Rig()
        registry = rig.crew.registry
        for venue in ("binance", "binanceusdm"):
            assert registry.get_sample_value("depthcast_gaps_total", {"venue": venue}) == 1
            assert registry.get_sample_value("depthcast_venue_running", {"venue": venue}) == 1
        assert registry.get_sample_value("depthcast_work_waiting", {"work": "apply"}) == 0

    in_virtual_time(body)
