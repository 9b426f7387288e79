"""The server's Prometheus metrics, in a registry of their own. ``docs/server-metrics.md`` explains each.

Counters are told of events; what is a state is asked for only when somebody scrapes.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from server.freshness import State
from server.listener import Hearing
from server.push.counts import Kind
from server.push.hub import Hub
from server.reads import ReadOutcome
from server.upstream import Asking

_READ_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """All metrics of one server process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._folds: list[Callable[[], None]] = []
        self._answers = Counter(
            "depthcast_server_answers",
            "Answers of the exchange's endpoints.",
            ["endpoint", "status"],
            registry=self.registry,
        )
        self._answer_counters: dict[tuple[str, int], Counter] = {}
        reads = Counter(
            "depthcast_server_store_reads",
            "Reads of the store by what became of them.",
            ["outcome"],
            registry=self.registry,
        )
        self._reads = {outcome: reads.labels(outcome.value) for outcome in ReadOutcome}
        self._read_seconds = Histogram(
            "depthcast_server_store_read_seconds",
            "How long a read of the store took.",
            buckets=_READ_SECONDS,
            registry=self.registry,
        )
        listings = Counter(
            "depthcast_server_listings",
            "Listings of the published symbols.",
            ["outcome"],
            registry=self.registry,
        )
        self._listed = {good: listings.labels("done" if good else "failed") for good in (True, False)}
        books = Counter(
            "depthcast_server_books",
            "Books answered, by how fresh they were.",
            ["state"],
            registry=self.registry,
        )
        self._books = {state.value: books.labels(state.value.decode()) for state in State}
        hearings = Counter(
            "depthcast_server_heartbeat_reads",
            "Readings of the fleet's heartbeats, by what became of them.",
            ["outcome"],
            registry=self.registry,
        )
        self._hearings = {outcome: hearings.labels(outcome.value) for outcome in Hearing}
        asked = Counter(
            "depthcast_server_exchange_requests",
            "Requests to the exchange in place of stale files, by what became of them.",
            ["outcome"],
            registry=self.registry,
        )
        self._stream_events = Counter(
            "depthcast_server_stream_events",
            "Events sent to readers that books are pushed to.",
            ["kind", "event"],
            registry=self.registry,
        )
        self._stream_skips = Counter(
            "depthcast_server_stream_versions_skipped",
            "Versions that a reader was not given because it was slow.",
            ["kind"],
            registry=self.registry,
        )
        self._stream_begins = Counter(
            "depthcast_server_stream_begins",
            "Streams of events by how they began.",
            ["how"],
            registry=self.registry,
        )
        self._stream_ends = Counter(
            "depthcast_server_stream_ends",
            "Connections that books were pushed over, by why they ended.",
            ["kind", "why"],
            registry=self.registry,
        )
        self._streams_turned_away = Counter(
            "depthcast_server_streams_turned_away",
            "Connections that were not let in because there were as many as may be.",
            ["kind"],
            registry=self.registry,
        )
        self._streams = Gauge(
            "depthcast_server_streams",
            "Connections that books are pushed over.",
            ["kind"],
            registry=self.registry,
        )
        self._asked = {outcome: asked.labels(outcome.value) for outcome in Asking}

    def watch(
        self,
        *,
        files: Callable[[], int],
        hot_files: Callable[[], int],
        file_bytes: Callable[[], int],
        symbols: Callable[[], int],
        stale_symbols: Callable[[], int],
        fleet_age_s: Callable[[], float],
    ) -> None:
        """Say where the states are asked for. Called once."""
        for name, text, value in (
            ("files", "Files in memory.", files),
            ("hot_files", "Files in memory that are being refreshed.", hot_files),
            ("file_bytes", "Memory that the files in memory may come to take, in bytes.", file_bytes),
            ("symbols", "Published symbols.", symbols),
            ("stale_symbols", "Symbols of which a file that is being refreshed is stale.", stale_symbols),
            (
                "fleet_age_seconds",
                "How long ago a replica was heard last; +Inf where none ever was.",
                fleet_age_s,
            ),
        ):
            gauge = Gauge(f"depthcast_server_{name}", text, registry=self.registry)
            gauge.set_function(value)

    def stream(self, hub: Hub) -> None:
        """Say what books are pushed by. Called once."""
        for kind in Kind:
            self._streams.labels(kind.value).set_function(partial(hub.count, kind))
        for name, text, value in (
            ("subscriptions", "Streams that websockets are subscribed to.", lambda: hub.subscriptions),
            ("watched_files", "Files whose changes are pushed.", lambda: len(hub)),
            ("stream_bytes", "Memory that the versions of watched files take.", lambda: hub.kept_bytes),
        ):
            Gauge(f"depthcast_server_{name}", text, registry=self.registry).set_function(value)
        self.before_scrape(partial(self._count_streams, hub))

    def before_scrape(self, fold: Callable[[], None]) -> None:
        """Call ``fold`` before anything is told, so that what is counted elsewhere is brought here first."""
        self._folds.append(fold)

    def answered(self, endpoint: str, status: int, answers: int = 1) -> None:
        """Count answers."""
        counter = self._answer_counters.get((endpoint, status))
        if counter is None:
            counter = self._answers.labels(endpoint, str(status))
            self._answer_counters[(endpoint, status)] = counter
        counter.inc(answers)

    def read(self, outcome: ReadOutcome, seconds: float) -> None:
        """Count a read of the store."""
        self._reads[outcome].inc()
        self._read_seconds.observe(seconds)

    def listed(self, *, done: bool) -> None:
        """Count a listing of the published symbols."""
        self._listed[done].inc()

    def marked(self, state: bytes, answers: int = 1) -> None:
        """Count books answered with this state, as it is in their header."""
        self._books[state].inc(answers)

    def heard(self, outcome: Hearing) -> None:
        """Count a reading of the heartbeats."""
        self._hearings[outcome].inc()

    def asked(self, outcome: Asking, _seconds: float) -> None:
        """Count a request to the exchange."""
        self._asked[outcome].inc()

    def _count_streams(self, hub: Hub) -> None:
        counts = hub.counts.take()
        for (kind, event), number in counts.sent.items():
            self._stream_events.labels(kind.value, event).inc(number)
        for kind, number in counts.skipped.items():
            self._stream_skips.labels(kind.value).inc(number)
        for how, number in counts.begun.items():
            self._stream_begins.labels(how.value).inc(number)
        for (kind, why), number in counts.ended.items():
            self._stream_ends.labels(kind.value, why.value).inc(number)
        for kind, number in counts.turned_away.items():
            self._streams_turned_away.labels(kind.value).inc(number)

    async def endpoint(self, _request: Request) -> Response:
        """``GET /metrics``."""
        for fold in self._folds:
            fold()
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)
