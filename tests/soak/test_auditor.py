"""An auditor that finds nothing shows nothing: each kind of violation is planted here and must be found."""

import ast
import json
from pathlib import Path
from random import Random

import pytest

from simulator.market import Profile, listing_of
from simulator.truth import ASK, BID, Change, Journal, TrueBook, Truth
from soak.ages import Marks
from soak.auditor import Auditor, Certain, File, is_shorter

SOAK = Path(__file__).resolve().parents[2] / "soak"
FILE = File("ETHUSDT", 5)


class World:
    """A true book that moves on, an auditor, and a clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.truth, self.marks = Truth(), Marks()
        self.rng = Random(1)
        self.scale = listing_of(FILE.symbol).scale
        self.journal = self.begin(100)
        self.auditor = Auditor([FILE, File("ETHUSDT", 100)], self.truth, self.marks, clock=lambda: self.now)

    def begin(self, update_id: int) -> Journal:
        book = TrueBook(
            ((1_000_000 * price, 1000) for price in range(1, 21)),
            ((1_000_000 * price, 2000) for price in range(30, 50)),
        )
        return self.truth.begin(FILE.symbol, self.scale, book, update_id, divisible=True)

    def move(self, changes: int = 1) -> int:
        """The exchange moves on and tells it; returns its new id."""
        for _ in range(changes):
            side = self.rng.choice((BID, ASK))
            price = self.rng.randint(16, 20) if side == BID else self.rng.randint(30, 34)
            self.journal.append(Change(side, 1_000_000 * price, self.rng.randint(1, 10**9)))
        self.marks.told(FILE.symbol, self.journal.generation, self.journal.update_id, self.now)
        return self.journal.update_id

    def body(self, update_id: int, limit: int = FILE.limit) -> bytes:
        return self.truth.body(FILE.symbol, update_id, limit)

    def publish(
        self, body: bytes, *, epoch: int = 1, bids: str = "5000", asks: str = "5000", file: File = FILE
    ) -> None:
        metadata = {"epoch": str(epoch), "certain-bids": bids, "certain-asks": asks, "replica": "r1"}
        self.auditor.saw(file, {f"x-amz-meta-{name}": text for name, text in metadata.items()}, body)
        self.auditor.check()

    def found(self) -> list[str]:
        return [violation.kind for violation in self.auditor.violations]


@pytest.fixture
def world() -> World:
    return World()


def test_true_files_that_go_forward_break_nothing(world: World) -> None:
    for _ in range(20):
        world.publish(world.body(world.move(3)))
    assert world.found() == []
    assert world.auditor.versions == {5: 20}


def test_a_file_that_goes_back_is_found(world: World) -> None:
    older, newer = world.move(), world.move()
    world.publish(world.body(newer))
    world.publish(world.body(older))
    assert world.found() == ["back"]


def test_an_epoch_that_goes_back_is_found_though_the_id_went_on(world: World) -> None:
    world.publish(world.body(world.move()), epoch=2)
    world.publish(world.body(world.move()), epoch=1)
    assert world.found() == ["back"]


def test_after_a_step_back_what_is_newer_than_the_newest_is_fine_again(world: World) -> None:
    older, newer = world.move(), world.move()
    world.publish(world.body(newer))
    world.publish(world.body(older))
    world.publish(world.body(world.move()))
    assert world.found() == ["back"]


def test_an_object_that_is_gone_is_found(world: World) -> None:
    world.auditor.absent(FILE)
    assert world.found() == []
    world.publish(world.body(world.move()))
    world.auditor.absent(FILE)
    assert world.found() == ["back"]


@pytest.mark.parametrize("side", ["bids", "asks"])
def test_one_wrong_digit_is_found(world: World, side: str) -> None:
    content = json.loads(world.body(world.move()))
    content[side][3][1] = "9.99900000"
    world.publish(json.dumps(content, separators=(",", ":")).encode())
    assert world.found() == ["wrong"]


def test_a_missing_level_inside_is_found(world: World) -> None:
    content = json.loads(world.body(world.move()))
    del content["bids"][2]
    world.publish(json.dumps(content, separators=(",", ":")).encode(), bids="4")
    assert world.found() == ["wrong"]


def test_the_book_of_another_id_is_found(world: World) -> None:
    older, newer = world.move(), world.move()
    world.publish(world.body(older).replace(str(older).encode(), str(newer).encode(), 1))
    assert world.found() == ["wrong"]


def test_the_file_of_another_limit_is_found(world: World) -> None:
    world.publish(world.body(world.move(), limit=100))
    assert world.found() == ["wrong"]


def test_an_id_that_never_was_is_found(world: World) -> None:
    body = world.body(world.move())
    world.publish(body.replace(b'"lastUpdateId":101', b'"lastUpdateId":999'))
    assert world.found() == ["unknown"]


def test_other_bytes_under_the_same_version_are_found(world: World) -> None:
    body = world.body(world.move())
    world.publish(body)
    content = json.loads(body)
    del content["asks"][4]
    world.publish(json.dumps(content, separators=(",", ":")).encode(), asks="4")
    assert world.found() == ["rewritten"]


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"lastUpdateId":"7","bids":[],"asks":[]}'])
def test_what_is_no_file_is_found(world: World, body: bytes) -> None:
    world.publish(body)
    assert world.found() == ["damaged"]


def test_a_file_without_metadata_is_found(world: World) -> None:
    world.auditor.saw(FILE, {}, world.body(world.move()))
    assert world.found() == ["damaged"]


def test_a_side_may_end_early_where_the_metadata_says_so(world: World) -> None:
    content = json.loads(world.body(world.move()))
    del content["bids"][3:]
    shorter = json.dumps(content, separators=(",", ":")).encode()
    world.publish(shorter, bids="3")
    assert world.found() == []
    assert world.auditor.shorter == 1


@pytest.mark.parametrize("bids", ["4", "2", "5000", "3+"])
def test_a_side_that_ends_where_the_metadata_does_not_say_so_is_found(world: World, bids: str) -> None:
    content = json.loads(world.body(world.move()))
    del content["bids"][3:]
    world.publish(json.dumps(content, separators=(",", ":")).encode(), bids=bids)
    assert world.found() == ["wrong"]


def test_no_more_levels_than_the_exchange_has() -> None:
    true = b'{"lastUpdateId":1,"bids":[["1","1"]],"asks":[]}'
    longer = b'{"lastUpdateId":1,"bids":[["1","1"],["0.5","1"]],"asks":[]}'
    assert not is_shorter(longer, true, (Certain(2, False), Certain(0, True)))
    assert not is_shorter(b"[", true, (Certain(2, False), Certain(0, True)))


def test_ids_that_went_down_need_a_new_epoch(world: World) -> None:
    world.publish(world.body(world.move(50)))
    world.journal = world.begin(120)
    update_id = world.move()
    world.publish(world.truth.body(FILE.symbol, update_id, 5, 1), epoch=2)
    assert world.found() == []
    world.publish(world.truth.body(FILE.symbol, world.move(), 5, 1), epoch=1)
    assert world.found() == ["back"]


def test_ages_are_sampled_at_each_reading_and_grow_where_readings_fail(world: World) -> None:
    world.auditor.failed(FILE)
    world.publish(world.body(world.move()))
    world.now += 1
    world.auditor.unchanged(FILE)
    world.move()
    world.now += 2
    world.auditor.unchanged(FILE)
    world.now += 3
    world.auditor.failed(FILE)
    ages = [sample.age_s for sample in world.auditor.samples.between(0, 2000)]
    assert ages == [0, 0, 2, 5]
    assert world.auditor.age_s(FILE) == 5
    assert world.auditor.age_s(File("ETHUSDT", 100)) is None
    assert not world.auditor.complete


def test_a_market_of_the_simulator_is_audited_tick_by_tick() -> None:
    from simulator.app import Simulator
    from simulator.settings import Settings

    sim = Simulator(Settings(symbols=("ETHUSDT",), depth=50), manual=True)
    sim.exchange.add_market(listing_of("THINUSDT"), Profile(bids=3, asks=3, changes=2))
    files = [File(symbol, limit) for symbol in sim.exchange.instruments for limit in (5, 100)]
    auditor = Auditor(files, sim.truth, Marks(), clock=lambda: 0.0)
    headers = {"x-amz-meta-epoch": "1", "x-amz-meta-certain-bids": "9+", "x-amz-meta-certain-asks": "9+"}
    for _ in range(30):
        sim.exchange.tick()
        for file in files:
            update_id = sim.exchange.instruments[file.symbol].journal.update_id
            auditor.saw(file, headers, sim.truth.body(file.symbol, update_id, file.limit))
    assert auditor.violation_count == 0
    assert auditor.versions.total() == 120
    assert auditor.complete


@pytest.mark.parametrize("module", ["auditor", "reader", "ages"])
def test_the_auditor_shares_nothing_with_what_it_audits(module: str) -> None:
    tree = ast.parse((SOAK / f"{module}.py").read_text("utf-8"))
    imported = {
        name
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    ours = {name for name in imported if name.split(".")[0] in ("depthcast", "updater", "server", "soak")}
    assert ours <= {"soak.ages", "soak.auditor"}
