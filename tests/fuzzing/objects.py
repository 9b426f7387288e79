"""Stored objects that are damaged or foreign: at the updater, at the server, and at who reads a bucket."""

import io
import json
from collections.abc import Mapping
from random import Random
from typing import Final

from rich.console import Console, Group

from depthcast.book import Book
from depthcast.cli.fleet.screen import Screen
from depthcast.cli.fleet.watch import Watch
from depthcast.errors import BadFile, BadLevel, DepthcastError
from depthcast.events import Snapshot
from depthcast.files import EXCHANGE_INFO_KEY, MAX_NUMBER, FileInfo, Version, depth_key, heartbeat_key
from depthcast.fleet import candidates
from depthcast.heartbeat import Heartbeat, RestBeat, SymbolBeat
from depthcast.keeper.sources import NO_FILE
from depthcast.reading import Reader
from depthcast.roster import Roster
from depthcast.store import Outcome
from depthcast.store.memory import MemoryStore
from server.answers import Answer, Asked
from server.exchange_info import ExchangeInfo
from server.hot import HotFiles
from server.pulse import Pulse
from server.push.channels import Channels
from server.tickers import Tickers, Top
from tests.fuzzing.answers import check_file, one_line
from tests.fuzzing.campaign import Case, Target, Verdict
from tests.fuzzing.examples import EXCHANGE_INFO, Market, compact, read_json
from tests.fuzzing.frames import told_book
from tests.fuzzing.mutation import Mutator
from tests.server.conftest import StillClock, WatchedStore
from tests.server.push.conftest import Site
from updater.asking import Asking, sharing
from updater.warm import WarmFiles
from updater.writing import KeyWriter, Wait, Write

SYMBOL: Final = "ETHUSDT"
LIMIT: Final = 20
KEY: Final = depth_key(SYMBOL, LIMIT)
INFO: Final = FileInfo(0, 20, 20, True, True, 1_723_161_253_000, 1_723_161_253_021, "a")

_VALUES: Final = (
    "",
    "0",
    "-1",
    "1",
    "1.5",
    "x",
    "20+",
    "+",
    "٣",
    "9" * 18,
    str(MAX_NUMBER),
    str(MAX_NUMBER + 1),
    "9" * 400,
    "HALT",
    "halt",
    "DELISTED",
    "\t",
    "%00",
)


def _metadata(mutator: Mutator, good: Mapping[str, str]) -> dict[str, str]:
    """Metadata with something missing, more, or else."""
    rng = mutator.rng
    metadata = dict(good)
    for _ in range(rng.choice((0, 0, 1, 2))):
        name = rng.choice(sorted(metadata) or ["epoch"])
        match rng.randrange(3):
            case 0:
                metadata.pop(name, None)
            case 1:
                metadata[name] = rng.choice(_VALUES)
            case _:
                metadata = (
                    {"x-" + name: metadata.get(name, "")} if rng.random() < 0.2 else metadata | {"x": "y"}
                )
    # No store keeps more than header values of ASCII.
    return {
        key: value for key, value in metadata.items() if value and value.isascii() and value.isprintable()
    }


async def _put(store: MemoryStore, key: str, body: bytes, metadata: Mapping[str, str]) -> None:
    held = await store.get(key)
    result = await store.put_if(key, body, match=held.etag if held is not None else None, metadata=metadata)
    assert result.outcome is Outcome.WON


class Files(Target):
    """A depth file that is none, or another one. The updater begins from it only where it is a book, and
    replaces it by compare-and-swap unless it is newer than its own; the server goes on with the last good
    one, or says that there is none, and shows the next good one; a reader gets its levels or an error."""

    name = "files"
    rounds = 200

    def draw(self, mutator: Mutator) -> Case:
        rng = mutator.rng
        market = Market(rng, SYMBOL, update_id=rng.choice((1, 1000, 1999, 2000, 3000, MAX_NUMBER - 50)))
        body = market.body(LIMIT)
        others = (b'{"hello":"world"}', b"<html></html>", EXCHANGE_INFO, market.body(1))
        body = mutator.either(body, others) if rng.random() < 0.8 else rng.choice((body, *others))
        return body, json.dumps(_metadata(mutator, INFO.to_metadata())).encode()

    async def run(self, case: Case) -> Verdict:
        body, metadata = case[0], json.loads(case[1])
        accepted = await self._at_the_updater(body, metadata)
        await self._at_a_reader(body, metadata)
        await self._at_the_server(body, metadata)
        return Verdict.ACCEPTED if accepted else Verdict.REJECTED

    async def _at_the_updater(self, body: bytes, metadata: Mapping[str, str]) -> bool:
        store = MemoryStore()
        await _put(store, KEY, body, metadata)
        damaged: list[BadFile] = []
        warm = WarmFiles(store, LIMIT, on_damaged=lambda *what: damaged.append(what[2]))
        started = False
        for wanted in (0, 1500, NO_FILE):
            start = await warm(SYMBOL, wanted)
            if start is not None and start.snapshot is not None:
                assert wanted != NO_FILE, "a file that cannot be was found"
                assert isinstance(start.snapshot, Snapshot)
                try:
                    Book.of(start.snapshot).check()
                except BadLevel as error:
                    one_line(error)
                else:
                    assert told_book(body) is not None, "what is no book was begun from"
                    started = True
        for each in damaged:
            one_line(each)

        # The write rule: what is no file, or an older one, is replaced while it is what was seen.
        writer = KeyWriter(KEY)
        mine = Version(0, 2000)
        found = await store.peek(KEY, 64)
        assert found is not None
        writer.next_step(0.0, mine)
        writer.looking()
        damage = writer.saw(found, 0.0)
        step = writer.next_step(0.0, mine)
        writer.check()
        if damage is not None or (writer.stored is not None and writer.stored < mine):
            assert step == Write(found.etag), f"{step} in place of a write"
            good = Market(Random(0), SYMBOL, update_id=2000).body(LIMIT)
            writer.writing(0.0, mine, good)
            result = await store.put_if(KEY, good, match=found.etag, metadata=INFO.to_metadata())
            writer.done(result, 0.0)
            writer.check()
            again = await warm(SYMBOL, 0)
            assert again is not None
            assert (again.epoch, again.update_id) == mine
        else:
            assert isinstance(step, Wait)
        return started

    async def _at_a_reader(self, body: bytes, metadata: Mapping[str, str]) -> None:
        store = MemoryStore()
        await _put(store, KEY, body, metadata)
        async with Reader(store, attempts=1) as reader:
            try:
                check_file(await reader.read(SYMBOL, 5))
            except DepthcastError as error:
                one_line(error)

    async def _at_the_server(self, body: bytes, metadata: Mapping[str, str]) -> None:
        clock, store = StillClock(), WatchedStore()
        good = await store.publish(SYMBOL, LIMIT, 1000, epoch=0)
        site = Site(store, clock)
        tops = HotFiles(store, edition_of=Top.of, clock=clock, sleep=clock.sleep)
        tickers = Tickers(site.catalogue, site.hot, tops, site.freshness, clock=clock)
        channels = Channels(site.hub, site.catalogue, call_later=site.call_later)
        try:
            await site.catalogue.refresh()
            stream = await site.open(f"symbol={SYMBOL}&limit=7")
            listening = channels.join(f"{SYMBOL.lower()}@depth5", stream.reader)
            assert listening is not None
            channels.join(f"{SYMBOL.lower()}@bookTicker", stream.reader)
            await clock.advance(0.3)
            await store.put(KEY, body, metadata)
            await clock.advance(1.5)
            answered = await self._ask(site, LIMIT)
            assert answered.status == 200
            assert answered.body in (good, body), "neither the last good file nor what is stored"
            for limit in (1, 5):
                assert (await self._ask(site, limit)).status == 200
            for query in (f"symbol={SYMBOL}", ""):
                given = tickers.answer(Asked(query.encode()))
                ticker = given if isinstance(given, Answer) else await given
                assert ticker.status in (200, 503)
                read_json(ticker.body)
            await clock.advance(1.5)
            assert not site.running.done(), f"the hub has ended: {site.running}"
            if answered.body == good or _version(body, metadata) < (0, 2**62):
                newer = await store.publish(SYMBOL, LIMIT, 2**62, epoch=0)
                await clock.advance(1.5)
                assert (await self._ask(site, LIMIT)).body == newer, "a good file is not shown"
            site.hot.check()
            channels.check()
        finally:
            await tickers.close()
            await tops.close()
            await site.close()

    async def _ask(self, site: Site, limit: int) -> Answer:
        given = site.depth.answer(Asked(f"symbol={SYMBOL}&limit={limit}".encode()))
        return given if isinstance(given, Answer) else await given


def _version(body: bytes, metadata: Mapping[str, str]) -> tuple[int, int]:
    try:
        return int(metadata["epoch"]), int(body[16 : body.index(b",")])
    except (KeyError, ValueError):
        return -1, 0


BEAT: Final = Heartbeat(
    replica="a",
    beat=5,
    time_ms=1_723_161_253_021,
    limits=(5, 20),
    listed=1,
    rest=RestBeat(address="x", silent_for_ms=1000),
    symbols={SYMBOL: SymbolBeat(live=True, id=1000, bids="20+", asks="20", heard_age_ms=5)},
)


class Heartbeats(Target):
    """Heartbeats that are none, or that say what cannot be: passed over and told, or taken; nobody who reads
    the others' stumbles, and what is shown of them is lines of text."""

    name = "heartbeats"
    rounds = 250

    def draw(self, mutator: Mutator) -> Case:
        return tuple(mutator.either(BEAT.to_body(), (EXCHANGE_INFO,)) for _ in range(2))

    async def run(self, case: Case) -> Verdict:
        store = MemoryStore()
        now = 1000.0
        damaged: list[BadFile] = []
        roster = Roster(store, own="b", on_damaged=lambda _, error: damaged.append(error), clock=lambda: now)
        watch = Watch(store, clock=lambda: now)
        pulse, asking, screen = Pulse(trust_s=5.0), Asking(), Screen()
        own = BEAT.model_copy(update={"replica": "b"})
        for round_, body in enumerate((BEAT.to_body(), *case, BEAT.model_copy(update={"beat": 9}).to_body())):
            await _put(store, heartbeat_key("a"), body, {})
            await roster.read()
            roster.check()
            heard = [member.heartbeat for member in roster.members]
            pulse.take(heard, began=now, now=now + 0.1, wall_ms=1_723_161_253_000 + round_)
            pulse.check()
            living = {beat.replica: beat for beat in heard} | {"b": own}
            assert sharing(living, own) >= 1
            asking.read(living, now)
            asking.may_ask(SYMBOL, ["a"], living, now)
            candidates(SYMBOL, living, own)
            shown = await watch.read()
            console = Console(file=io.StringIO(), width=150, color_system=None)
            console.print(Group(*screen.render(shown, 150, 40)))
            text = console.file.getvalue()  # type: ignore[attr-defined]
            assert all(line.isprintable() for line in text.split("\n")), (
                f"what steers a terminal: {text!r:.500}"
            )
            now += 1.0
        for error in damaged:
            one_line(error)
        assert [member.heartbeat.beat for member in roster.members] == [9], "the good one is not taken"
        return Verdict.REJECTED if damaged else Verdict.ACCEPTED


class Listing(Target):
    """The list of symbols as an object that is none: the server answers from the last good one, and takes the
    next good one."""

    name = "listing"
    rounds = 250

    def draw(self, mutator: Mutator) -> Case:
        good = {"server-time": "1", "fingerprint": "x", "replica": "a"}
        body = mutator.either(EXCHANGE_INFO, (compact({"hello": 1}),))
        return body, json.dumps(_metadata(mutator, good)).encode()

    async def run(self, case: Case) -> Verdict:
        body, metadata = case[0], json.loads(case[1])
        store, clock = MemoryStore(), StillClock()
        info = ExchangeInfo(store, clock=clock)
        await _put(store, EXCHANGE_INFO_KEY, EXCHANGE_INFO, {})
        statuses = [await self._ask(info)]
        await _put(store, EXCHANGE_INFO_KEY, body, metadata)
        await clock.advance(20.0)
        statuses.append(await self._ask(info))
        await _put(store, EXCHANGE_INFO_KEY, EXCHANGE_INFO, {})
        await clock.advance(20.0)
        statuses.append(await self._ask(info))
        assert statuses[0] == statuses[2] == [200, 200, 200]
        await info.close()
        return Verdict.ACCEPTED if statuses[1] == [200, 200, 200] else Verdict.REJECTED

    async def _ask(self, info: ExchangeInfo) -> list[int]:
        statuses = []
        for query in (b"", b"symbol=ETHUSDT", b"permissions=SPOT&showPermissionSets=false"):
            given = info.answer(Asked(query))
            answer = given if isinstance(given, Answer) else await given
            assert answer.status in (200, 400)
            statuses.append(answer.status)
        return statuses
