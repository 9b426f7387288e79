"""What a dispatcher tells of itself, as metrics (docs/metrics.md)."""

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric

from depthcast.dispatch import BUCKETS_S, Dispatcher, Work


def families(dispatcher: Dispatcher) -> Iterator[Metric]:
    """How each kind of work had to wait. Read at a scrape: the longest wait is that since the last one."""
    done = CounterMetricFamily("depthcast_work", "Pieces of work done, by kind", labels=["work"])
    waits = HistogramMetricFamily(
        "depthcast_work_wait_seconds", "How long pieces of work waited for their turn", labels=["work"]
    )
    longest = GaugeMetricFamily(
        "depthcast_work_longest_wait_seconds",
        "The longest that a piece of work waited for its turn since the last scrape",
        labels=["work"],
    )
    waiting = GaugeMetricFamily(
        "depthcast_work_waiting", "Pieces of work that wait for their turn", labels=["work"]
    )
    oldest = GaugeMetricFamily(
        "depthcast_work_oldest_seconds",
        "How long the piece of work waits that waits the longest",
        labels=["work"],
    )
    bounds = (*map(str, BUCKETS_S), "+Inf")
    for work in Work:
        told, label = dispatcher.told(work), [work.name.lower()]
        done.add_metric(label, told.done)
        counts = list(zip(bounds, accumulate(told.buckets), strict=True))
        waits.add_metric(label, buckets=counts, sum_value=told.total_s)
        longest.add_metric(label, max(told.longest_s, told.oldest_s))
        waiting.add_metric(label, told.waiting)
        oldest.add_metric(label, told.oldest_s)
    yield from (done, waits, longest, waiting, oldest)
    yield CounterMetricFamily(
        "depthcast_turns", "Turns of the event loop in which there was work", value=dispatcher.turns
    )
