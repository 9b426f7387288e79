"""A dispatcher's metrics say what it did."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from depthcast.dispatch import Dispatcher, Slices, Work
from updater import turns


def test_waits_are_counted_by_kind_of_work() -> None:
    now, soon = [0.0], list[Callable[[], None]]()
    dispatcher = Dispatcher(slices=Slices(1.0, 1.0, 1.0), clock=lambda: now[0], call_soon=soon.append)
    assert dispatcher.may(Work.APPLY)
    now[0] = 1.0
    assert not dispatcher.may(Work.APPLY)
    dispatcher.put(Work.APPLY, "A", lambda _: None, None)
    now[0] = 1.015

    class Told(Collector):
        def collect(self):  # type: ignore[no-untyped-def] # as the base class
            return turns.families(dispatcher)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Told())

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert value("depthcast_work_waiting", work="apply") == 1
    assert round(value("depthcast_work_oldest_seconds", work="apply") or 0, 6) == 0.015
    soon.pop()()
    assert value("depthcast_work_total", work="apply") == 2
    assert value("depthcast_work_waiting", work="apply") == 0
    assert value("depthcast_work_wait_seconds_bucket", work="apply", le="0.01") == 0
    assert value("depthcast_work_wait_seconds_bucket", work="apply", le="0.02") == 1
    assert value("depthcast_work_wait_seconds_count", work="apply") == 1
    assert value("depthcast_turns_total") == 1
    assert b'depthcast_work_wait_seconds_bucket{le="+Inf",work="render"} 0.0' in generate_latest(registry)
