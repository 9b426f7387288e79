"""What goes wrong in a run, and when: one disturbance after the other, each drawn by chance."""

from collections.abc import Callable
from random import Random
from typing import Final, Protocol

from simulator.exchange import Exchange
from simulator.faults import Kind
from simulator.listing import STATUSES
from tests.simulation.history import History
from tests.simulation.replicas import Node
from tests.simulation.storage import Bucket
from tests.simulation.venue import Venue
from tests.simulation.world import World

EVERY_S: Final = 2.0
"""The mean time between two disturbances."""

_FEED: Final = (
    *(Kind.GAP, Kind.GAP, Kind.STRAGGLER, Kind.DUPLICATE, Kind.REORDER, Kind.MALFORMED, Kind.SILENT),
    *(Kind.REFUSE, Kind.DISCONNECT, Kind.HALF_OPEN, Kind.SHUTDOWN, Kind.SHUTDOWN),
)
_REST: Final = (Kind.STALE_SNAPSHOT, Kind.SLOW_SNAPSHOT, Kind.FAILED_SNAPSHOT, Kind.THROTTLE, Kind.BAN)


class Whole(Protocol):
    """The run, as far as trouble acts on it."""

    nodes: list[Node]

    def join(self) -> Node: ...
    def skew(self, node: Node) -> None: ...


class Trouble:
    """Disturbs, from :meth:`begin` to :meth:`end`."""

    def __init__(
        self, whole: Whole, world: World, history: History, bucket: Bucket, venue: Venue, rng: Random
    ) -> None:
        self._whole = whole
        self._world = world
        self._history = history
        self._bucket = bucket
        self._venue = venue
        self._exchange: Exchange = venue.exchange
        self._rng = rng
        self._until = 0.0
        self._rebased = rng.random() < 0.5
        self._kinds: list[tuple[Callable[[], None], int]] = [
            (self._feed, 9),
            (self._rest, 3),
            (self._freeze, 3),
            (self._kill, 3),
            (self._stop, 1),
            (self._clock, 1),
            (self._outage, 1),
            (self._cut, 2),
            (self._slow_key, 2),
            (self._storm, 3),
            (self._lag, 2),
            (self._halt, 1),
            (self._rebase, 1),
        ]

    def begin(self, *, until: float) -> None:
        """Disturb again and again until then."""
        self._until = until
        rates = {Kind.GROUPING: self._rng.choice((0.0, 0.5, 1.0)), Kind.FAILED_SNAPSHOT: 0.05}
        self._exchange.faults.set_rates(rates)
        self._bucket.weather.storm = self._rng.choice((0.0, 0.02, 0.05))
        self._next()

    def end(self) -> None:
        """Undo what is undone by people: start what is dead, let go what is held. The network heals."""
        self._exchange.faults.clear()
        self._exchange.weights.forgive()
        for symbol in self._exchange.instruments:
            self._exchange.set_status(symbol, "TRADING")
        self._bucket.weather = type(self._bucket.weather)()
        for socket in list(self._venue.sockets.values()):
            socket.lag_s = 0.0
            if socket.session._own_cuts or socket.silenced:
                # What holds back or keeps quiet would do so for ever.
                socket.session.disconnect("close")
        for node in self._whole.nodes:
            self._thaw(node)
            if node.way is not None:
                node.way.cut_until = 0.0
        if not any(node.alive for node in self._whole.nodes):
            self._whole.nodes[0].start()
        self._history.note("world", "all is well")

    def strike(self, node: Node) -> None:
        """End what one replica does, in one way or another, for good."""
        process = node.process
        assert process is not None
        how = self._rng.choice(("kill", "freeze", "cut", "deafen"))
        self._history.fault(f"trial: {how}", process.name)
        if how == "kill":
            node.kill()
        elif how == "freeze":
            process.freeze()
        elif how == "cut":
            assert node.way is not None
            node.way.cut_until = float("inf")
        else:
            for socket in list(self._venue.sockets.values()):
                if socket.process is process:
                    socket.session.freeze()

    # One after the other

    def _next(self) -> None:
        self._world.later(self._rng.expovariate(1 / EVERY_S), self._disturb)

    def _disturb(self) -> None:
        if self._world.now >= self._until:
            return
        kinds, weights = zip(*self._kinds, strict=True)
        self._rng.choices(kinds, weights)[0]()
        self._next()

    def _some(self, *, running: bool = True) -> Node | None:
        nodes = [node for node in self._whole.nodes if node.alive and (node.running or not running)]
        return self._rng.choice(nodes) if nodes else None

    def _symbol(self) -> str:
        return self._rng.choice(list(self._exchange.instruments))

    # The exchange

    def _feed(self) -> None:
        kind, symbol = self._rng.choice(_FEED), self._rng.choice((None, self._symbol()))
        connections = list(self._exchange.connections)
        connection = self._rng.choice(connections) if connections and self._rng.random() < 0.7 else None
        count = self._rng.choice((1, 1, 2, 5))
        if kind is Kind.REFUSE:
            symbol = connection = None
        if kind in (Kind.DISCONNECT, Kind.HALF_OPEN, Kind.SHUTDOWN):
            symbol, count = None, 1
        form = self._rng.choice(("next", "now")) if kind is Kind.SILENT else ""
        if kind is Kind.SILENT and form == "next":
            connection = None
        self._history.note("exchange", f"! {kind}", symbol or "", f"connection {connection}, {count} times")
        self._exchange.faults.inject(kind, symbol=symbol, connection=connection, count=count, form=form)

    def _rest(self) -> None:
        kind = self._rng.choice(_REST)
        timed = kind in (Kind.THROTTLE, Kind.BAN)
        symbol, count = (None, 1) if timed else (self._symbol(), self._rng.choice((1, 2, 4)))
        ids = self._rng.randint(1, 40) if kind is Kind.STALE_SNAPSHOT else 0
        self._history.note("exchange", f"! {kind}", symbol or "", f"{count} times")
        self._exchange.faults.inject(kind, symbol=symbol, count=count, ids=ids)

    def _lag(self) -> None:
        sockets = list(self._venue.sockets.values())
        if sockets:
            socket, seconds = self._rng.choice(sockets), self._rng.uniform(0.2, 3.0)
            self._history.fault("lag", socket.process.name, "", f"socket {socket.number} by {seconds:.1f} s")
            socket.lag_s = seconds
            self._world.later(self._rng.uniform(1, 8), lambda: setattr(socket, "lag_s", 0.0))

    def _halt(self) -> None:
        symbol, status = self._symbol(), self._rng.choice(STATUSES[1:])
        if any(each.listing.status != "TRADING" for each in self._exchange.instruments.values()):
            return  # a replica that is started while nothing trades says so and ends
        self._history.fault("halt", "exchange", symbol, status)
        self._exchange.set_status(symbol, status)
        self._world.later(self._rng.uniform(1, 25), self._exchange.set_status, symbol, "TRADING")

    def _rebase(self) -> None:
        if self._rebased:
            return
        symbol = self._symbol()
        told = self._venue.told[symbol]
        if len(told) < 2 or told[-1][0] - told[0][0] < 5:
            return
        # Who hears nothing for a while must not find the ids back where they were: nobody could tell.
        a_minute = 60 * (told[-1][2] - told[0][2]) / (told[-1][0] - told[0][0])
        ids = max(300, round(a_minute * self._rng.choice((1, 1, 5))))
        self._rebased = True
        self._history.note("exchange", "! rebase", symbol, f"by {ids}")
        self._exchange.faults.inject(Kind.REBASE, symbol=symbol, ids=ids)

    # Replicas

    def _freeze(self) -> None:
        node = self._some()
        if node is None or node.process is None:
            return
        seconds = self._rng.choice((0.3, 1.0, 3.0, 6.0, 15.0)) * self._rng.uniform(0.5, 1.5)
        self._history.fault("freeze", node.process.name, "", f"{seconds:.1f} s")
        process = node.process
        process.freeze()

        def thaw() -> None:
            if node.process is process:
                self._thaw(node)

        self._world.later(seconds, thaw)

    def _thaw(self, node: Node) -> None:
        process = node.process
        if process is not None and not process.dead and process.held is not None:
            self._history.note(process.name, "goes on")
            process.thaw()

    def _kill(self) -> None:
        node = self._some(running=False)
        if node is None or node.process is None:
            return
        self._history.fault("kill", node.process.name)
        node.kill()
        again = self._whole.join() if self._rng.random() < 0.3 else node
        self._world.later(self._rng.choice((0.2, 1.0, 5.0, 15.0)), self._start, again)

    def _stop(self) -> None:
        node = self._some()
        if node is None or node.process is None:
            return
        self._history.fault("stop", node.process.name)
        node.stop()
        self._world.later(self._rng.uniform(8.0, 20.0), self._start, node)

    def _start(self, node: Node) -> None:
        if not node.alive:
            process = node.start()
            self._history.note(process.name, "starts")

    def _clock(self) -> None:
        node = self._some(running=False)
        if node is not None:
            self._history.fault("clock set", node.name)
            self._whole.skew(node)

    # The store

    def _outage(self) -> None:
        seconds = self._rng.choice((0.5, 3.0, 10.0)) * self._rng.uniform(0.5, 1.5)
        self._history.fault("outage", "store", "", f"{seconds:.1f} s")
        self._bucket.weather.down_until = self._world.now + seconds

    def _cut(self) -> None:
        node = self._some(running=False)
        if node is not None and node.way is not None:
            seconds = self._rng.choice((1.0, 5.0, 15.0)) * self._rng.uniform(0.5, 1.5)
            self._history.fault("cut off", node.name, "", f"{seconds:.1f} s")
            node.way.cut_until = self._world.now + seconds

    def _slow_key(self) -> None:
        keys = sorted(self._bucket.store._objects)
        if keys:
            key, more_s = self._rng.choice(keys), self._rng.uniform(0.2, 3.0)
            self._history.fault("slow key", "store", key, f"by {more_s:.1f} s")
            self._bucket.weather.slow[key] = (self._world.now + self._rng.uniform(2, 10), more_s)

    def _storm(self) -> None:
        before, share = self._bucket.weather.storm, self._rng.choice((0.2, 0.5))
        if before >= 0.2:
            return
        self._history.fault("storm", "store", "", f"{share:.0%} of the requests")
        self._bucket.weather.storm = share

        def over() -> None:
            self._bucket.weather.storm = min(before, self._bucket.weather.storm)

        self._world.later(self._rng.uniform(1, 6), over)
