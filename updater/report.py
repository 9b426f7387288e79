"""``Report``: one replica's state, read off its parts when somebody asks for ``/status`` or ``/metrics``."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

import depthcast
from depthcast.book import Certainty
from depthcast.feed import Feed
from depthcast.heartbeat import Role
from depthcast.keeper import Keeper, LiveBook
from depthcast.orders import Anomaly
from depthcast.rest import Rest
from updater.fleet import Fleet
from updater.heat import Heatmaps
from updater.holdings import Holdings
from updater.metrics import Metrics
from updater.publisher import Publisher
from updater.settings import UpdaterSettings
from updater.slots import Slots
from updater.status import (
    ConnectionStatus,
    FeedStatus,
    FileStatus,
    FleetStatus,
    RestStatus,
    Status,
    SymbolStatus,
    TapeStatus,
    WriteStatus,
)
from updater.tape.recorder import Recorder


class Report:
    """Reads the parts of one replica and changes nothing."""

    def __init__(
        self,
        settings: UpdaterSettings,
        *,
        store_url: str,
        store_proven: Callable[[], bool],
        keeper: Keeper,
        feed: Feed,
        rest: Rest,
        rest_url: str,
        slots: Slots,
        holdings: Holdings,
        fleet: Fleet,
        status_of: Callable[[str], str],
        metrics: Metrics,
        tape: Recorder | None,
        heatmaps: Heatmaps | None,
        anomalies: Callable[[], Mapping[Anomaly, int]],
        clock: Callable[[], float],
        wall_ms: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._store_url = store_url
        self._store_proven = store_proven
        self._keeper = keeper
        self._feed = feed
        self._rest = rest
        self._rest_url = rest_url
        self._slots = slots
        self._holdings = holdings
        self._publishers = holdings.publishers
        self._fleet = fleet
        self._status_of = status_of
        self._metrics = metrics
        self._tape = tape
        self._heatmaps = heatmaps
        self._anomalies = anomalies
        self._clock = clock
        self._wall_ms = wall_ms
        self._started = clock()

    @property
    def ready(self) -> bool:
        """Whether each file of each symbol held has been as new as its book once, whoever wrote it."""
        return self._holdings.assigned and all(each.settled for each in self._publishers.values())

    def status(self) -> Status:
        """The answer of ``/status``. O(symbols)."""
        now = self._clock()
        p50_s, p99_s = self._metrics.write_seconds.quantiles(now, 0.5, 0.99)
        return Status(
            replica=self._settings.replica,
            version=depthcast.__version__,
            now_ms=self._wall_ms(),
            uptime_ms=_ms(now - self._started),
            ready=self.ready,
            exchange=self._settings.exchange,
            store_url=self._store_url,
            store_proven=self._store_proven(),
            writes=WriteStatus(
                written=self._metrics.written.total(),
                lost=self._metrics.lost.total(),
                in_flight=self._slots.taken,
                p50_ms=None if p50_s is None else round(p50_s * 1000, 2),
                p99_ms=None if p99_s is None else round(p99_s * 1000, 2),
            ),
            feed=self._feed_status(),
            rest=RestStatus(
                url=self._rest_url,
                weight_used=self._rest.weight_used,
                weight_limit=self._rest.weight_limit,
                waiting=self._rest.waiting,
                pending=self._rest.pending,
                answered=self._rest.answered,
                expected_wait_ms=self._rest.expected_wait_ms(0) if self._rest.pending else 0,
                silent_for_ms=_ms(self._rest.silent_for_s),
            ),
            fleet=FleetStatus(
                state=self._fleet.own.state.value,
                living=sorted(self._fleet.living),
                redundancy=self._settings.redundancy,
                listed=len(self._holdings.listed),
                takeovers=self._metrics.takeovers,
            ),
            tape=self._tape_status(),
            symbols=[self._symbol_status(publisher, now) for publisher in self._publishers.values()],
        )

    def _tape_status(self) -> TapeStatus | None:
        if self._tape is None:
            return None
        waiting = self._tape.waiting
        return TapeStatus(recorded=len(self._tape.reels), waiting=waiting.segments, bytes=waiting.size)

    def _feed_status(self) -> FeedStatus:
        feed = self._feed.status()
        return FeedStatus(
            url=feed.url,
            symbols=feed.symbols,
            live=feed.live,
            frames=feed.frames,
            bytes=feed.bytes,
            malformed=feed.malformed,
            lost=feed.lost,
            rotations=feed.rotations,
            connections=[
                ConnectionStatus(
                    line=each.line,
                    role=each.role,
                    symbols=each.symbols,
                    acked=each.acked,
                    age_ms=_ms(each.age_s),
                    last_frame_age_ms=_ms(each.last_frame_age_s),
                    frames=each.frames,
                    bytes=each.bytes,
                )
                for each in feed.connections
            ],
        )

    def _symbol_status(self, publisher: Publisher, now: float) -> SymbolStatus:
        live = self._keeper.books[publisher.symbol]
        book = live.book
        certainty = book.certainty if book is not None else None
        bid, ask = (book.best_bid, book.best_ask) if book is not None else (None, None)
        return SymbolStatus(
            symbol=publisher.symbol,
            role=publisher.role.value,
            rank=publisher.rank,
            status=self._status_of(publisher.symbol),
            state=_state(live),
            epoch=live.epoch,
            update_id=None if book is None else book.update_id,
            best_bid=None if bid is None else list(bid),
            best_ask=None if ask is None else list(ask),
            age_ms=None if book is None else _ms(now - live.changed_at),
            certain_bids=certainty.bids if certainty else 0,
            certain_asks=certainty.asks if certainty else 0,
            source=live.source,
            resyncs=live.resyncs,
            written=self._metrics.written[publisher.symbol],
            lost=self._metrics.lost[publisher.symbol],
            files=[
                FileStatus(
                    limit=each.limit,
                    epoch=each.version.epoch if each.version else None,
                    update_id=each.version.update_id if each.version else None,
                    behind_ms=_ms(each.behind_s),
                )
                for each in publisher.files()
            ],
        )

    def gauges(self) -> Iterator[Metric]:
        """The metrics that are read when they are scraped."""
        contradictions = CounterMetricFamily(
            "depthcast_anomalies", "What contradicted a book by order, and was borne", labels=["anomaly"]
        )
        borne = self._anomalies()
        for anomaly in Anomaly:
            contradictions.add_metric([anomaly.value], borne.get(anomaly, 0))
        yield contradictions
        states = dict.fromkeys(("live", "building", "starting"), 0)
        behind_s = dict.fromkeys(self._settings.limits, 0.0)
        roles = dict.fromkeys((role.value for role in Role), 0)
        certain = max(self._settings.limits)
        for symbol, publisher in self._publishers.items():
            live = self._keeper.books[symbol]
            states[_state(live)] += 1
            if live.book is not None:
                certain = least_certain(live.book.certainty, certain)
            roles[publisher.role.value] += 1
            for each in publisher.files():
                behind_s[each.limit] = max(behind_s[each.limit], each.behind_s)
        yield _gauge("depthcast_books", "Books, by state", "state", states)
        yield _gauge(
            "depthcast_file_age_seconds",
            "The longest that a file of this limit has been older than its book, over all symbols",
            "limit",
            {str(limit): seconds for limit, seconds in behind_s.items()},
        )
        yield _gauge(
            "depthcast_symbols_held", "Symbols held, by what this replica does for them", "role", roles
        )
        feed = self._feed.status()
        tape = self._tape_status() or TapeStatus(recorded=0, waiting=0, bytes=0)
        for name, help_text, value in (
            ("depthcast_connections", "Open websocket connections", len(feed.connections)),
            ("depthcast_certain_levels", "The fewest levels of a side that a book is certain of", certain),
            ("depthcast_streams_live", "Symbols whose stream is live", feed.live),
            ("depthcast_replicas", "Replicas that live, this one among them", len(self._fleet.living)),
            ("depthcast_symbols_listed", "Symbols that the settings mean", len(self._holdings.listed)),
            ("depthcast_requests_in_flight", "Requests to the store in flight", self._slots.taken),
            ("depthcast_request_weight_used", "Weight used in this minute", self._rest.weight_used),
            ("depthcast_request_weight_limit", "Weight allowed in a minute", self._rest.weight_limit),
            ("depthcast_silence_seconds", "How long no REST request is sent", self._rest.silent_for_s),
            (
                "depthcast_store_proven",
                "Whether the store has shown that it honours conditions",
                self._store_proven(),
            ),
            ("depthcast_tape_symbols", "Symbols recorded for the tape", tape["recorded"]),
            ("depthcast_tape_waiting_segments", "Segments that are not in the store yet", tape["waiting"]),
            (
                "depthcast_heat_waiting_segments",
                "Segments whose tiles are not made yet",
                0 if self._heatmaps is None else self._heatmaps.waiting,
            ),
            ("depthcast_tape_memory_bytes", "What is recorded and not in the store yet", tape["bytes"]),
            ("depthcast_ready", "Whether each file was as new as its book once", self.ready),
        ):
            yield GaugeMetricFamily(name, help_text, value=float(value))


def _gauge(name: str, text: str, label: str, values: dict[str, int] | dict[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family


def least_certain(depth: Certainty, most: int) -> int:
    """The fewest levels of a side that a book is certain of; ``most`` for a side known to its end.

    >>> least_certain(Certainty(4990, 12, False, True), 5000)
    4990
    """
    sides = ((depth.bids, depth.bids_complete), (depth.asks, depth.asks_complete))
    return min([most, *(levels for levels, complete in sides if not complete)])


def _state(live: LiveBook) -> str:
    if live.live:
        return "live"
    return "starting" if live.book is None else "building"


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))
