"""The promises that hold at every step, checked against the exchange's own record, never against our books.

==============  ===================================================================================
condition       a write carries exactly one: that there is no object, or an ETag its sender was told
read            after a write that was not won, its sender has read the object, since, before the next one
backwards       no write makes a file's version smaller, or puts another book in its version's place
truth           a file is the true book at its id, byte for byte, as deep as its writer is certain
same bytes      replicas at one id write the same bytes, as far as both are certain
storm           no file is written more often than its cadence and its updates call for
rotation        a healthy socket is closed only once its successor delivers what it did
vouching        a heartbeat calls no book the exchange's that was not when its stream was last heard
pause           nobody who was told to pause asks the exchange before the pause is over
==============  ===================================================================================

A broken promise is kept in :attr:`Rules.verdict` rather than raised: the code under test might swallow it.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import orjson

from depthcast.errors import BadFile
from depthcast.files import FLEET_PREFIX, FileInfo, Version, parse_key, version_of
from depthcast.store import Outcome, PutResult
from simulator.exchange import Exchange
from simulator.truth import Times
from tests.simulation.history import Broken, History
from tests.simulation.speech import DEPTHS, Speech
from tests.simulation.storage import Judge, Put
from tests.simulation.venue import Overseer, Socket
from tests.simulation.world import World

REMEMBERED: Final = 512
"""So many true books are kept rendered."""

QUIET_S: Final = 2.9
"""Half of the overlap of two connections: what was quiet for so long owes no diff. See ``OVERLAP_S``."""

OVERLAP_S: Final = 6.0

WAY_S: Final = 0.1
"""A frame is on its way for less."""

JUST_NOW_S: Final = 0.005
"""What a process sends so soon after it was told something may have been begun before."""


class TrueSides(NamedTuple):
    """Both sides of a true book as rendered levels, best first."""

    bids: Sequence[str]
    asks: Sequence[str]
    times: Times | None
    """Of futures: those that the diff told that ended there."""


class Rules(Judge, Overseer):
    """The judge of one run. ``verdict``: the first promise that was broken."""

    def __init__(self, world: World, history: History, exchange: Exchange, speech: Speech) -> None:
        self._speech = speech
        self.verdict: Broken | None = None
        self.versions: dict[str, Version] = {}
        self.won: list[tuple[float, str, Version, bytes, str]] = []
        """Every write of a file that was done: when, key, version, body, by whom."""
        self.sent: dict[str, list[float]] = defaultdict(list)
        """When each file was written, successful or not."""
        self.checked = 0
        self.stopping: set[str] = set()
        """Processes that end, and close what they have."""
        self.wanted: dict[str, Callable[[], set[str]]] = {}
        """By process: the symbols whose diffs it wants."""
        self.calm_since: float | None = None
        """Since when nothing is done to the exchange's streams."""
        self.current_until: Callable[[str, int], float] = lambda symbol, update_id: world.now
        """Until when an id of a symbol was the last that the streams had told."""
        self._world = world
        self._history = history
        self._exchange = exchange
        self._told: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._last: dict[str, bytes] = {}
        self._written_at: dict[tuple[str, Version], float] = {}
        self._vouched_at: dict[tuple[str, int], float] = {}
        self._unsure: dict[tuple[str, str], float] = {}
        self._ids: dict[tuple[str, str], int] = {}
        self._sides: OrderedDict[tuple[str, int, int], TrueSides] = OrderedDict()
        self._bodies: dict[tuple[str, Version], tuple[bytes, str]] = {}
        self._silent_until: dict[str, float] = {}
        self._silenced_at: dict[str, float] = {}
        self._sockets: dict[str, list[Socket]] = defaultdict(list)

    def fail(self, invariant: str, why: str, about: str = "") -> None:
        """A promise is broken."""
        if self.verdict is None:
            self.verdict = self._history.broken(invariant, why, about)

    # Writes

    def sends(self, put: Put) -> None:
        where, version = (put.who, put.key), _version(put)
        fate = f" ({put.fate})" if put.fate else ""
        self._history.note(put.who, "writes", put.key, f"{version} if {put.match}{fate}")
        if put.match is not None and put.match not in self._told[where]:
            self.fail("condition", f"{put.who} was never told the ETag {put.match}", put.key)
        if put.key.startswith(FLEET_PREFIX) and self.calm_since is not None:
            self._check_vouching(put)
        if version is None:
            return
        self.sent[put.key].append(self._world.now)
        # Marks are made beside the symbol's writer: each of the two knows what it was told.
        put.is_mark = put.match is not None and self._ids.get((put.key, put.match)) == version.update_id
        if where in self._unsure and not put.is_mark:
            self.fail(
                "read", f"{put.who} writes again without a read after an answer that was not won", put.key
            )

    def told(self, put: Put, result: PutResult) -> None:
        where = (put.who, put.key)
        self._history.note(put.who, result.outcome.value, put.key, result.reason or f"{result.etag}")
        if result.outcome is Outcome.WON and result.etag is not None:
            self._told[where].add(result.etag)
        elif not put.is_mark:
            self._unsure[where] = put.sent_at

    def sends_read(self, who: str, key: str) -> None:
        if who != "reader":
            self._history.note(who, "reads", key)

    def read(self, who: str, key: str, sent_at: float, etag: str | None) -> None:
        where = (who, key)
        if etag is not None:
            self._told[where].add(etag)
        if self._unsure.get(where, float("inf")) <= sent_at:
            del self._unsure[where]

    def applied(self, put: Put, result: PutResult) -> None:
        version = _version(put)
        if result.outcome is not Outcome.WON or result.etag is None:
            return
        self._history.note("store", "has", put.key, f"{version} of {put.who} as {result.etag}")
        if put.key.startswith(FLEET_PREFIX):
            self._hear(put)
        if version is None:
            return
        self._written_at[put.key, version] = self._world.now
        self._ids[put.key, result.etag] = version.update_id
        self.checked += 1
        before = self.versions.get(put.key)
        if before is not None and version < before:
            self.fail("backwards", f"{put.who} put {version} over {before}", put.key)
        bare = self._speech.bare(put.body)
        if before == version and self._last.get(put.key, bare) != bare:
            self.fail("backwards", f"{put.who} put another book in the place of {version}", put.key)
        self.versions[put.key] = version
        self._last[put.key] = bare
        self.won.append((self._world.now, put.key, version, put.body, put.who))
        self._check_truth(put, version)

    def lost(self, key: str, *, ids_went_down: bool) -> None:
        """Somebody deleted this file: the same version may be written by who is certain of fewer levels, and
        where its ids went down an older one."""
        self._last.pop(key, None)
        if ids_went_down:
            self.versions.pop(key, None)

    def written_at(self, key: str, version: Version) -> float:
        """When this version of a file was written last."""
        return self._written_at.get((key, version), 0.0)

    def vouched_at(self, symbol: str, update_id: int) -> float:
        """When a heartbeat was written that says that a live book is at this id."""
        return self._vouched_at.get((symbol, update_id), 0.0)

    def _check_vouching(self, put: Put) -> None:
        """Where no diff is lost or late, what a heartbeat says of a book was so when its stream was heard."""
        for symbol, held in orjson.loads(put.body)["symbols"].items():
            if not held["live"] or held["heard_age_ms"] is None or held["id"] is None:
                continue
            heard_at = self._world.now - held["heard_age_ms"] / 1000
            late_s = heard_at - self.current_until(symbol, held["id"])
            if late_s > WAY_S:
                why = f"{put.who} says that {held['id']} was the book {late_s:.2f} s after it was"
                self.fail("vouching", why, symbol)

    def _hear(self, put: Put) -> None:
        for symbol, held in orjson.loads(put.body)["symbols"].items():
            if held["live"] and held["heard_age_ms"] is not None and held["id"] is not None:
                self._vouched_at[symbol, held["id"]] = self._world.now

    def _check_truth(self, put: Put, version: Version) -> None:
        symbol, limit = parse_key(put.key)
        info = FileInfo.from_metadata(put.key, put.metadata)
        truths = self._true_sides(symbol, version.update_id)
        body = self._speech.bare(put.body)
        if not truths:
            self.fail("truth", f"{version} is no id that the exchange had", put.key)
            return
        for truth in truths:
            bids, asks = truth.bids[: min(limit, info.bids)], truth.asks[: min(limit, info.asks)]
            sides = f'"bids":[{",".join(bids)}],"asks":[{",".join(asks)}]'
            expected = f'{{"lastUpdateId":{version.update_id},{sides}}}'
            if expected.encode() != body or not _counts_fit(info, truth):
                continue
            if self._speech.times_fit(put.body, truth.times):
                break
        else:
            what = f"{put.body.decode()} with {info.bids} and {info.asks} certain levels is not {expected}"
            self.fail("truth", f"{put.who} wrote {version}: {what}", put.key)
        known = self._bodies.get((put.key, version))
        if known is not None and known[0] != body and len(known[0]) == len(body):
            self.fail("same bytes", f"{put.who} and {known[1]} differ at {version}", put.key)
        self._bodies[put.key, version] = (body, put.who)

    def _true_sides(self, symbol: str, update_id: int) -> list[TrueSides]:
        truth = self._exchange.truth
        found = []
        for journal in truth.holding(symbol, update_id):
            where = (symbol, journal.generation, update_id)
            sides = self._sides.get(where)
            if sides is None:
                levels = truth.levels(symbol, update_id, journal.generation)
                bids, asks = ([f'["{price}","{quantity}"]' for price, quantity in side] for side in levels)
                sides = self._sides[where] = TrueSides(bids, asks, journal.times_at(update_id))
                if len(self._sides) > REMEMBERED:
                    self._sides.popitem(last=False)
            found.append(sides)
        return found

    # The exchange

    def opened(self, socket: Socket) -> None:
        self._history.note(socket.process.name, "opened", "", f"socket {socket.number}")
        self._sockets[socket.process.name].append(socket)

    def retires(self, socket: Socket) -> None:
        who = socket.process.name
        self._history.note(who, "closes", "", f"socket {socket.number}")
        mine = self._sockets[who] = [each for each in self._sockets[who] if not each.ended]
        owed = socket.delivered & self.wanted[who]() if who in self.wanted else set()
        if who in self.stopping or socket.session.frozen or not owed:
            return
        others = [each for each in mine if each is not socket]
        if not any(self._covers(other, socket, owed) for other in others):
            delivering = {each.number: sorted(each.delivered) for each in others}
            why = f"{who} closed socket {socket.number} of {sorted(owed)}; others deliver {delivering}"
            self.fail("rotation", why)

    def _covers(self, other: Socket, retired: Socket, owed: set[str]) -> bool:
        """Whether ``other`` delivers all that ``retired`` does, as far as anything came over that since the
        other was acknowledged: what a process that was frozen finds waiting may be from long before."""
        if other.opened_at < retired.opened_at:
            return True  # a successor that is given up
        quiet = self._world.now >= other.acked_at + QUIET_S
        return all(
            symbol in other.delivered or (quiet and retired.heard.get(symbol, 0.0) <= other.acked_at)
            for symbol in owed
        )

    def asks(self, who: str, url: str) -> None:
        self._history.note(who, "asks", "", url.rpartition("/")[2])
        left_s = self._silent_until.get(who, 0.0) - self._world.now
        if left_s > 0 and self._world.now - self._silenced_at.get(who, 0.0) > JUST_NOW_S:
            self.fail("pause", f"{who} asks the exchange {left_s:.3f} s before the pause it was told is over")

    def refused(self, who: str, pause_s: float) -> None:
        self._history.note(who, "is told to pause", "", f"{pause_s} s")
        until = self._world.now + pause_s
        if until > self._silent_until.get(who, 0.0):
            self._silent_until[who] = until
            self._silenced_at[who] = self._world.now


def _version(put: Put) -> Version | None:
    """The version of a write that is one of a file; ``None`` for others."""
    if not put.key.startswith(DEPTHS):
        return None
    try:
        return version_of(put.key, put.body, put.metadata)
    except BadFile:
        return Version(-1, -1)


def _counts_fit(info: FileInfo, truth: TrueSides) -> bool:
    """Whether the certain depth is one that the true book has."""
    counts = ((info.bids, info.bids_complete, truth.bids), (info.asks, info.asks_complete, truth.asks))
    return all(count == len(side) if whole else count <= len(side) for count, whole, side in counts)
