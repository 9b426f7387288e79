"""``Metrics``: what one replica counts, for Prometheus, for ``/status`` and for the log.

It hears of everything: from the publishers (:class:`updater.ports.Observer`), from the keeper
(:class:`depthcast.keeper.Observer`) and from the feed. A fault that repeats is logged seldom, and counted
each time. No metric has a symbol for a label, so that their number does not grow with the symbols;
``/status`` has what is known of each. ``docs/metrics.md`` describes every metric; a test holds it to them.
"""

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.registry import Collector

from depthcast import keeper
from depthcast.book import Audit
from depthcast.errors import BadFile, MalformedFrame, StoreError, SubscriptionRefused, VenueError
from depthcast.heat.zooms import ZOOMS
from depthcast.keeper import Source
from depthcast.logs import Seldom, get_logger
from depthcast.store import Outcome, PutResult
from depthcast.sync import Verdict
from updater.claims import ClaimEvent
from updater.window import Window

_log = get_logger("updater")

_WRITE_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Metrics(keeper.Observer):
    """The counts of one replica, in a registry of their own."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        seldom: Seldom | None = None,
        window: Window | None = None,
    ) -> None:
        self._clock = clock
        self._seldom = seldom or Seldom(clock=clock)
        self.write_seconds = window or Window()
        """The last while's won writes, in seconds."""
        self.written: Tally[str] = Tally()
        """Won writes by symbol."""
        self.lost: Tally[str] = Tally()
        """Lost writes by symbol: another replica was first."""
        self.takeovers = 0
        """How often a file that another replica is to write lagged, and this one began to."""
        self.registry = registry = CollectorRegistry()

        # What comes in
        self._diffs = Counter(
            "depthcast_diffs", "Diffs taken, by what became of them", ["verdict"], registry=registry
        )
        self._resyncs = Counter(
            "depthcast_resyncs", "Books that had to be built anew, by reason", ["reason"], registry=registry
        )
        self._gaps = Counter("depthcast_gaps", "Diffs found missing in a stream", registry=registry)
        self._malformed = Counter(
            "depthcast_malformed_frames",
            "Frames that the venue's documents do not describe",
            registry=registry,
        )
        self._feed_errors = Counter(
            "depthcast_feed_errors", "Faults of connections and subscriptions", registry=registry
        )
        self._snapshots = Counter(
            "depthcast_snapshots",
            "Books built, by where the snapshot came from",
            ["source"],
            registry=registry,
        )
        self._snapshot_failures = Counter(
            "depthcast_snapshot_failures", "Attempts to find a snapshot that failed", registry=registry
        )
        self._sync_seconds = Histogram(
            "depthcast_sync_seconds",
            "From a book found missing or broken to the book live again",
            buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800),
            registry=registry,
        )
        self._audit_levels = Counter(
            "depthcast_audit_levels",
            "Levels compared with a second snapshot, by how they agree",
            ["result"],
            registry=registry,
        )

        self._silences = Counter("depthcast_silences", "Times the venue asked for silence", registry=registry)

        # What goes out
        self._writes = Counter(
            "depthcast_writes",
            "Conditional writes, by outcome and limit",
            ["outcome", "limit"],
            registry=registry,
        )
        self._write_latency = Histogram(
            "depthcast_write_seconds",
            "How long a conditional write took, whatever came of it",
            buckets=_WRITE_SECONDS,
            registry=registry,
        )
        self._looks = Counter("depthcast_looks", "Files, or their heads, read", ["result"], registry=registry)
        self._damaged = Counter(
            "depthcast_damaged_files", "Stored objects seen that are no files", registry=registry
        )
        self._newer_epochs = Counter(
            "depthcast_newer_epochs", "Stored files of a later epoch than the book", registry=registry
        )
        self._claims = Counter(
            "depthcast_epoch_claims",
            "Steps of claims of an epoch, by what happened",
            ["event"],
            registry=registry,
        )
        self._takeovers = Counter(
            "depthcast_takeovers", "Symbols taken over from a writer whose file lagged", registry=registry
        )

        # The fleet
        self._beats = Counter(
            "depthcast_heartbeats", "Heartbeats written, by outcome", ["outcome"], registry=registry
        )
        self._fleet_reads = Counter(
            "depthcast_fleet_reads", "Readings of all heartbeats", ["result"], registry=registry
        )
        self._damaged_heartbeats = Counter(
            "depthcast_damaged_heartbeats", "Stored objects seen that are no heartbeats", registry=registry
        )
        self._namesakes = Counter(
            "depthcast_namesakes",
            "Heartbeats of this replica's name that another process wrote",
            registry=registry,
        )
        self._marked = Counter(
            "depthcast_marked_files", "Files marked anew with their symbol's status", registry=registry
        )

        self._polls = Counter(
            "depthcast_polls",
            "Questions to the exchange about itself, by kind and what became of them",
            ["kind", "result"],
            registry=registry,
        )

        self._documents = Counter(
            "depthcast_documents",
            "Documents about the exchange that were news, by kind and what became of them",
            ["kind", "result"],
            registry=registry,
        )

        # The tape
        self._taped_diffs = Counter("depthcast_tape_diffs", "Diffs recorded for the tape", registry=registry)
        self._segments = Counter(
            "depthcast_tape_segments",
            "Segments of the tape, by what became of them",
            ["result"],
            registry=registry,
        )
        self._tape_bytes = Counter(
            "depthcast_tape_written_bytes", "Bytes of segments written", registry=registry
        )
        self._tape_holes = Counter(
            "depthcast_tape_holes", "Holes in segments that were written", registry=registry
        )
        self._tape_lost = Counter(
            "depthcast_tape_lost_diffs",
            "Recorded diffs given up, for want of memory or time",
            registry=registry,
        )
        self._tape_damaged = Counter(
            "depthcast_tape_damaged_files",
            "Stored objects seen that are no segments or indexes",
            registry=registry,
        )
        for result in ("written", "merged", "found", "failed"):
            self._segments.labels(result)

        # The heatmap
        self._tiles = Counter("depthcast_heat_tiles", "Tiles written", ["zoom"], registry=registry)
        self._tile_bytes = Counter(
            "depthcast_heat_written_bytes", "Bytes of tiles written", registry=registry
        )
        self._tiles_failed = Counter(
            "depthcast_heat_failures", "Segments whose tiles could not be written for now", registry=registry
        )
        self._tiles_dropped = Counter(
            "depthcast_heat_dropped_segments", "Segments that no tiles were made of", registry=registry
        )
        for zoom in ZOOMS:
            self._tiles.labels(str(zoom.number))

        # The process
        self._loop_lag = Gauge(
            "depthcast_event_loop_lag_seconds",
            "The longest that the event loop was late since the last scrape",
            registry=registry,
        )
        self._worst_lag_s = 0.0
        self._loop_lag.set_function(self._take_worst_lag)

        # Found once: these two are counted at every diff and every write.
        self._diffs_with = {verdict: self._diffs.labels(verdict.value) for verdict in Verdict}
        self._writes_with = cache(lambda outcome, limit: self._writes.labels(outcome.value, str(limit)))
        for outcome in Outcome:
            self._beats.labels(outcome.value)
        for result in ("read", "failed"):
            self._fleet_reads.labels(result)
        for event in ClaimEvent:
            self._claims.labels(event.value)
        for result in ("answered", "failed", "refused"):
            for kind in ("exchangeInfo", "systemStatus", "account", "commission"):
                self._polls.labels(kind, result)
        for result in ("recorded", "refused", "unsettled"):
            for kind in ("exchangeInfo", "systemStatus", "tradingStatus", "account", "commission"):
                self._documents.labels(kind, result)
        for source in ("file", "rest", "stream"):
            self._snapshots.labels(source)
        for result in ("matching", "different", "ghost", "missing"):
            self._audit_levels.labels(result)

    # From the keeper

    def took(self, symbol: str, verdict: Verdict) -> None:
        """A diff came in."""
        self._diffs_with[verdict].inc()
        if verdict is Verdict.GAP:
            self._gaps.inc()

    def broke(self, symbol: str, reason: str) -> None:
        """A book has to be built anew."""
        self._resyncs.labels(reason).inc()
        self._warn((symbol, reason), "book is built anew", symbol=symbol, reason=reason)

    def synced(self, symbol: str, source: Source, after_ms: float) -> None:
        """A book is live."""
        self._snapshots.labels(source).inc()
        self._sync_seconds.observe(after_ms / 1000)
        _log.debug("book is live", symbol=symbol, source=source, after_ms=round(after_ms))

    def audited(self, symbol: str, audit: Audit) -> None:
        """A book was compared with a second snapshot."""
        for result, levels in audit._asdict().items():
            self._audit_levels.labels(result).inc(levels)
        if not audit.clean:
            self._warn(
                ("audit", symbol), "book differs from the exchange's", symbol=symbol, **audit._asdict()
            )

    def failed(self, symbol: str, error: Exception) -> None:
        """An attempt to find a snapshot failed."""
        self._snapshot_failures.inc()
        # An exchange or a store that is away fails for all symbols at once: that is one line, not a thousand.
        scope = "all" if isinstance(error, VenueError | StoreError) else symbol
        self._warn(("snapshot", scope, type(error)), "no snapshot yet", symbol=symbol, error=str(error))

    # From the feed

    def feed_error(self, symbol: str | None, error: Exception) -> None:
        """Something went wrong on a connection."""
        if isinstance(error, MalformedFrame):
            self._malformed.inc()
        else:
            self._feed_errors.inc()
        # Which symbols are refused is to be read, and there are few of them.
        named = symbol if isinstance(error, SubscriptionRefused) else None
        self._warn(("feed", type(error), named), "feed error", symbol=symbol, error=str(error))

    def silenced(self, pause_ms: int) -> None:
        """The venue asked for silence."""
        self._silences.inc()
        _log.warning("the exchange asks for silence; books go on", pause_s=round(pause_ms / 1000))

    # From the publishers

    def wrote(self, symbol: str, limit: int, result: PutResult, seconds: float) -> None:
        """A conditional write ended."""
        self._writes_with(result.outcome, limit).inc()
        self._write_latency.observe(seconds)
        if result.outcome is Outcome.WON:
            self.written[symbol] += 1
            self.write_seconds.add(self._clock(), seconds)
        elif result.outcome is Outcome.LOST:
            self.lost[symbol] += 1
        else:
            self._warn(
                ("write", result.outcome),
                "write failed, and is decided anew",
                outcome=result.outcome.value,
                symbol=symbol,
                limit=limit,
                reason=result.reason,
            )

    def looked(self, symbol: str, limit: int) -> None:
        """A file, or its head, was read."""
        self._looks.labels("read").inc()

    def look_failed(self, symbol: str, limit: int, error: StoreError) -> None:
        """A file, or its head, could not be read."""
        self._looks.labels("failed").inc()
        self._warn(
            ("look", type(error)), "store cannot be read", symbol=symbol, limit=limit, error=str(error)
        )

    def damaged(self, symbol: str, limit: int, error: BadFile) -> None:
        """A stored object is no file of ours."""
        self._damaged.inc()
        self._warn(("damaged", symbol, limit), "damaged file", symbol=symbol, limit=limit, error=str(error))

    def newer_epoch(self, symbol: str, mine: int, stored: int) -> None:
        """A stored file is of a later epoch than the book."""
        self._newer_epochs.inc()
        _log.warning("stored file is of a later epoch", symbol=symbol, mine=mine, stored=stored)

    def claim(self, symbol: str, epoch: int, event: ClaimEvent) -> None:
        """Something became of the claim of an epoch."""
        self._claims.labels(event.value).inc()
        _log.warning("epoch claim", symbol=symbol, epoch=epoch, step=event.value)

    def took_over(self, symbol: str, rank: int, behind_s: float | None) -> None:
        """This replica begins to write a symbol whose file lagged; ``None``: that stays ahead."""
        self.takeovers += 1
        self._takeovers.inc()
        if behind_s is None:
            self._warn("takeover", "taking over a file that stays ahead", symbol=symbol, rank=rank)
            return
        self._warn(
            "takeover", "taking over a file that lags", symbol=symbol, rank=rank, behind_s=round(behind_s, 3)
        )

    def yielded(self, symbol: str) -> None:
        """It stops, for another replica was seen to write."""
        _log.debug("another replica writes", symbol=symbol)

    # From the fleet

    def beat(self, outcome: Outcome) -> None:
        """A heartbeat was written, or not."""
        self._beats.labels(outcome.value).inc()
        if outcome is not Outcome.WON:
            self._warn("beat", "heartbeat was not written", outcome=outcome.value)

    def fleet_read(self, error: StoreError | None) -> None:
        """The heartbeats were read, or not."""
        self._fleet_reads.labels("read" if error is None else "failed").inc()
        if error is not None:
            self._warn(("fleet", type(error)), "heartbeats cannot be read", error=str(error))

    def damaged_heartbeat(self, key: str, error: BadFile) -> None:
        """A stored object is no heartbeat."""
        self._damaged_heartbeats.inc()
        self._warn(("heartbeat", key), "damaged heartbeat", error=str(error))

    def namesake(self, replica: str) -> None:
        """Another process writes this replica's heartbeat."""
        self._namesakes.inc()
        self._warn(
            "namesake",
            "another process beats under this name; give each a --replica of its own",
            replica=replica,
        )

    def marked(self, symbol: str, limit: int, status: str) -> None:
        """A file was marked with its symbol's status."""
        self._marked.inc()
        self._warn(("marked", symbol), "files are marked", symbol=symbol, status=status)

    def polled(self, kind: str, result: str, error: Exception | None) -> None:
        """The exchange was asked about itself."""
        self._polls.labels(kind, result).inc()

    def documented(self, kind: str, result: str) -> None:
        """A document about the exchange was written, or was not."""
        self._documents.labels(kind, result).inc()

    # From the tape

    def taped(self) -> None:
        """A diff was recorded."""
        self._taped_diffs.inc()

    def segment_kept(self, result: str, *, holes: int, size: int) -> None:
        """A segment is in the store."""
        self._segments.labels(result).inc()
        self._tape_holes.inc(holes)
        self._tape_bytes.inc(size)

    def segment_failed(self, symbol: str, error: Exception) -> None:
        """A segment could not be written for now."""
        self._segments.labels("failed").inc()
        self._warn(("tape", type(error)), "tape waits for the store", symbol=symbol, error=str(error))

    def tape_dropped(self, symbol: str, diffs: int) -> None:
        """Recorded diffs were given up."""
        self._tape_lost.inc(diffs)
        self._warn("tape lost", "recorded diffs were given up", symbol=symbol, diffs=diffs)

    def tape_damaged(self, key: str, error: BadFile) -> None:
        """A stored object is none of the tape's."""
        self._tape_damaged.inc()
        self._warn(("tape damaged", key), "damaged file of the tape", error=str(error))

    # From the heatmap

    def tile_written(self, zoom: int, size: int) -> None:
        """A tile is in the store."""
        self._tiles.labels(str(zoom)).inc()
        self._tile_bytes.inc(size)

    def tiles_failed(self) -> None:
        """Those of a segment could not be written for now."""
        self._tiles_failed.inc()

    def tiles_dropped(self) -> None:
        """A segment was given up."""
        self._tiles_dropped.inc()

    # The process

    def loop_was_late(self, seconds: float) -> None:
        """The event loop ran a timer this late."""
        self._worst_lag_s = max(self._worst_lag_s, seconds)

    def _take_worst_lag(self) -> float:
        worst, self._worst_lag_s = self._worst_lag_s, 0.0
        return worst

    def read_at_scrape(self, read: Callable[[], Iterator[Metric]]) -> None:
        """Add metrics whose values ``read`` finds out when they are scraped."""
        self.registry.register(_AtScrape(read))

    def _warn(self, key: object, event: str, **fields: object) -> None:
        held_back = self._seldom.held_back(key)
        if held_back is None:
            return
        if held_back:
            fields["repeats_not_shown"] = held_back
        _log.warning(event, **fields)


class _AtScrape(Collector):
    def __init__(self, read: Callable[[], Iterator[Metric]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        yield from self._read()

    def describe(self) -> Iterator[Metric]:
        # Without this the registry would call collect() to learn the names, before there is anything to read.
        return iter(())
