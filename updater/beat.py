"""``Beat``: a replica's heartbeat, read off its parts."""

import math
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from hashlib import blake2b

import depthcast
from depthcast.feed import Feed
from depthcast.heartbeat import FeedBeat, Heartbeat, PollBeat, RestBeat, State, SymbolBeat, WriteBeat
from depthcast.keeper import Keeper, LiveBook
from depthcast.rest import Rest
from updater.metrics import Metrics
from updater.publisher import Publisher
from updater.settings import UpdaterSettings
from updater.suspicions import HEARD_WITHIN_S, Seen, Suspicions


class Beat:
    """Composes heartbeats and changes nothing. ``publishers`` and ``listed`` may change after this was made.

    ``status`` tells the exchange's word for what a symbol does, ``polls`` what is asked of the exchange about
    itself. O(symbols) a beat.
    """

    def __init__(
        self,
        settings: UpdaterSettings,
        *,
        keeper: Keeper,
        feed: Feed,
        rest: Rest,
        publishers: Mapping[str, Publisher],
        listed: AbstractSet[str],
        status: Callable[[str], str],
        polls: Callable[[], Mapping[str, PollBeat]] = dict,
        maintenance: Callable[[], bool] = bool,
        suspicions: Suspicions,
        metrics: Metrics,
        clock: Callable[[], float],
        wall_ms: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._keeper = keeper
        self._feed = feed
        self._rest = rest
        self._publishers = publishers
        self._listed = listed
        self._status = status
        self._polls = polls
        self._maintenance = maintenance
        self._suspicions = suspicions
        self._metrics = metrics
        self._clock = clock
        self._wall_ms = wall_ms
        self._started_ms = wall_ms()
        self._selection: tuple[frozenset[str], str] | None = None

    def __call__(self, *, beat: int, state: State, silent_for_ms: int) -> Heartbeat:
        """The heartbeat of this moment."""
        self._suspect()
        settings = self._settings
        return Heartbeat(
            replica=settings.replica,
            beat=beat,
            state=state,
            time_ms=self._wall_ms(),
            started_ms=self._started_ms,
            version=depthcast.__version__,
            selection=self._digest(),
            limits=settings.limits,
            redundancy=settings.redundancy,
            takeover_after_ms=settings.takeover_after_ms,
            listed=len(self._listed),
            feed=self._feed_beat(),
            rest=RestBeat(
                address=settings.address,
                weight_used=self._rest.weight_used,
                weight_limit=self._rest.weight_limit,
                waiting=self._rest.pending,
                answered=self._rest.answered,
                expected_wait_ms=self._rest.expected_wait_ms(0) if self._rest.pending else 0,
                silent_for_ms=silent_for_ms,
            ),
            writes=self._write_beat(),
            polls=self._polls(),
            maintenance=self._maintenance(),
            symbols={symbol: self._symbol_beat(each) for symbol, each in self._publishers.items()},
        )

    def _digest(self) -> str:
        if self._selection is None or self._selection[0] != self._listed:
            names = "\n".join(sorted(self._listed)).encode()
            self._selection = (frozenset(self._listed), blake2b(names, digest_size=8).hexdigest())
        return self._selection[1]

    def _feed_beat(self) -> FeedBeat:
        feed = self._feed.status()
        ages_s = [each.last_frame_age_s for each in feed.connections]
        return FeedBeat(
            symbols=feed.symbols,
            live=feed.live,
            connections=len(feed.connections),
            last_frame_age_ms=round(min(ages_s) * 1000) if ages_s else None,
        )

    def _write_beat(self) -> WriteBeat:
        metrics = self._metrics
        p50_s, p99_s = metrics.write_seconds.quantiles(self._clock(), 0.5, 0.99)
        return WriteBeat(
            written=metrics.written.total(),
            lost=metrics.lost.total(),
            takeovers=metrics.takeovers,
            p50_ms=None if p50_s is None else round(p50_s * 1000, 2),
            p99_ms=None if p99_s is None else round(p99_s * 1000, 2),
        )

    def _symbol_beat(self, publisher: Publisher) -> SymbolBeat:
        live = self._keeper.books[publisher.symbol]
        book = live.book
        part = {"role": publisher.role, "rank": publisher.rank, "live": live.live, "epoch": live.epoch}
        if book is None:
            return SymbolBeat(**part, status=self._status(publisher.symbol))
        certainty = book.certainty
        suspicion = self._suspicions.of(publisher.symbol)
        return SymbolBeat(
            **part,
            id=book.update_id,
            bids=f"{certainty.bids}{'+' * certainty.bids_complete}",
            asks=f"{certainty.asks}{'+' * certainty.asks_complete}",
            heard_age_ms=self._heard_age_ms(live),
            behind_ms=max(0, round(publisher.behind_s() * 1000)),
            status=self._status(publisher.symbol),
            suspicion="" if suspicion is None else suspicion.what.value,
            suspected_since_ms=0 if suspicion is None else suspicion.since_ms,
        )

    def _suspect(self) -> None:
        """Let it be looked at what the feeds of the symbols held make look odd."""
        seen = []
        for symbol in self._publishers:
            live = self._keeper.books[symbol]
            book = live.book
            if book is None:
                continue
            heard_age_s = self._feed.heard_age_s(symbol) if live.live and live.suspect_at is None else None
            seen.append(
                Seen(
                    symbol,
                    heard=heard_age_s is not None and heard_age_s < HEARD_WITHIN_S,
                    changed_at=live.changed_at,
                    event_time_ms=book.event_time_ms,
                    bids=book.certainty.bids,
                    asks=book.certainty.asks,
                )
            )
        self._suspicions.look(seen, self._clock())

    def _heard_age_ms(self, live: LiveBook) -> int | None:
        if not live.live or live.suspect_at is not None:
            return None
        heard_age_s = self._feed.heard_age_s(live.symbol)
        return None if heard_age_s is None else math.ceil(heard_age_s * 1000)
