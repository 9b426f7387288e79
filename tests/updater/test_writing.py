"""KeyWriter: each row of its table, its cadence, and that no interleaving of replicas makes a file older."""

from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from depthcast.backoff import Backoff
from depthcast.errors import BadFile
from depthcast.files import FileInfo, Version
from depthcast.store import Outcome, PutResult, StoredObject
from updater.writing import NEVER, KeyWriter, Look, Wait, Write, shows

KEY = "api/v3/depth?symbol=ETHUSDT&limit=5"
WON, LOST = Outcome.WON, Outcome.LOST
THROTTLED, UNKNOWN = Outcome.THROTTLED, Outcome.UNKNOWN


def body_of(update_id: int, levels: str = '"bids":[],"asks":[]') -> bytes:
    return f'{{"lastUpdateId":{update_id},{levels}}}'.encode()


def stored(epoch: int, update_id: int, etag: str = '"e"') -> StoredObject:
    info = FileInfo(epoch, 0, 0, True, True, 1, 2, "r")
    return StoredObject(body_of(update_id)[:64], etag, info.to_metadata())


def writer(**more: Any) -> KeyWriter:
    more.setdefault("backoff", Backoff(1.0, minimum_s=1.0, maximum_s=4.0, factor=2.0))
    return KeyWriter(KEY, **more)


def holding(version: Version, *, at: float = 0.0, etag: str = '"e"', **more: Any) -> KeyWriter:
    made = writer(**more)
    made.looking()
    assert made.saw(stored(*version, etag), at) is None
    return made


def ahead_s(made: KeyWriter, at: float, mine: Version) -> float:
    """For how long the file has been ahead, as is known after asking for the next step."""
    made.next_step(at, mine)
    return 0.0 if made.ahead_since is None else at - made.ahead_since


def write(
    made: KeyWriter, version: Version, outcome: Outcome, *, at: float, until: float | None = None
) -> None:
    made.writing(at, version, body_of(version.update_id))
    made.check()
    etag = f'"{version}"' if outcome is WON else None
    made.done(PutResult(outcome, etag), at if until is None else until)
    made.check()


# The table


def test_what_was_never_seen_is_looked_at_first() -> None:
    assert writer().next_step(0.0, Version(0, 1)) == Look()


def test_where_nothing_is_stored_it_writes_only_if_there_is_nothing() -> None:
    made = writer()
    made.looking()
    assert made.saw(None, 0.0) is None
    assert made.next_step(0.0, Version(0, 1)) == Write(None)


@pytest.mark.parametrize(
    ("mine", "step"),
    [
        (Version(0, 11), Write('"e"')),
        (Version(1, 1), Write('"e"')),
        (Version(1, 10), Wait(300.0)),
        (Version(0, 10), Wait(300.0)),
        (Version(0, 9), Wait(1.0)),
    ],
)
def test_a_held_file_is_replaced_by_a_newer_one_alone(mine: Version, step: object) -> None:
    assert holding(Version(0, 10)).next_step(0.0, mine) == step


def test_an_older_epoch_never_replaces_a_newer_one_whatever_its_id() -> None:
    assert holding(Version(3, 10)).next_step(0.0, Version(2, 99)) == Wait(1.0)


@pytest.mark.parametrize(
    ("body", "metadata"),
    [
        (b"<html>", FileInfo(0, 0, 0, True, True, 1, 2, "r").to_metadata()),
        (body_of(10), {}),
        (body_of(10), FileInfo(0, 0, 0, True, True, 1, 2, "r").to_metadata() | {"epoch": "soon"}),
    ],
)
def test_an_object_that_is_no_file_is_reported_and_replaced_by_its_etag(body: bytes, metadata: Any) -> None:
    made = writer()
    made.looking()
    assert isinstance(made.saw(StoredObject(body, '"e"', metadata), 0.0), BadFile)
    assert made.stored is None
    assert made.next_step(0.0, Version(0, 1)) == Write('"e"')


def test_one_request_is_in_flight_at_a_time() -> None:
    made = holding(Version(0, 10))
    made.looking()
    assert made.in_flight
    assert made.next_step(0.0, Version(0, 11)) == Wait(NEVER)
    made.saw(stored(0, 10), 0.0)
    made.writing(0.0, Version(0, 11), body_of(11))
    assert made.in_flight
    assert made.next_step(5.0, Version(0, 12)) == Wait(NEVER)


def test_a_won_write_is_the_next_condition() -> None:
    made = holding(Version(0, 10))
    write(made, Version(0, 11), WON, at=0.0)
    assert made.stored == Version(0, 11)
    assert made.next_step(0.0, Version(0, 12)) == Write('"0:11"')


def test_a_lost_write_is_followed_by_a_look_at_once() -> None:
    made = holding(Version(0, 10))
    write(made, Version(0, 11), LOST, at=0.0)
    assert made.next_step(0.0, Version(0, 12)) == Look()


@pytest.mark.parametrize("outcome", [THROTTLED, UNKNOWN])
def test_a_failed_write_is_followed_by_a_pause_and_then_a_look(outcome: Outcome) -> None:
    made = holding(Version(0, 10))
    write(made, Version(0, 11), outcome, at=0.0)
    assert made.next_step(0.5, Version(0, 12)) == Wait(1.0)
    assert made.next_step(1.0, Version(0, 12)) == Look()


def test_pauses_grow_to_a_bound_and_begin_anew_after_a_write_that_was_decided() -> None:
    rng = Random(1)
    rng.uniform = lambda a, b: b  # type: ignore[method-assign]
    made = holding(Version(0, 10), backoff=Backoff(1.0, maximum_s=4.0, rng=rng))
    pauses = []
    now = 0.0
    for outcome in (THROTTLED, UNKNOWN, THROTTLED, UNKNOWN, LOST, UNKNOWN, WON, UNKNOWN):
        write(made, Version(0, 11), outcome, at=now)
        step = made.next_step(now, Version(0, 12))
        pauses.append(step.until - now if isinstance(step, Wait) else 0.0)
        now += 10
        made.looking()
        made.saw(stored(0, 10), now)
    assert pauses == [1.0, 2.0, 4.0, 4.0, 0.0, 1.0, 0.0, 1.0]


def test_a_failed_look_is_repeated_after_a_pause() -> None:
    made = writer()
    made.looking()
    made.saw_nothing(0.0)
    assert made.next_step(0.0, Version(0, 1)) == Wait(1.0)
    assert made.next_step(1.0, Version(0, 1)) == Look()


def test_an_outcome_without_a_write_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="no write"):
        writer().done(PutResult(WON, '"e"'), 0.0)


# Watching


def test_a_file_that_is_ahead_is_looked_at_once_in_a_while() -> None:
    made = holding(Version(0, 10))
    assert made.next_step(0.9, Version(0, 5)) == Wait(1.0)
    assert made.next_step(1.0, Version(0, 5)) == Look()
    made.looking()
    made.saw(stored(0, 10), 1.1)
    assert made.next_step(1.2, Version(0, 5)) == Wait(2.1)


def test_a_file_that_is_the_books_is_looked_at_now_and_then_in_case_somebody_damaged_it() -> None:
    made = holding(Version(0, 10), patrol_s=30.0)
    assert made.next_step(29.0, Version(0, 10)) == Wait(30.0)
    assert made.next_step(30.0, Version(0, 10)) == Look()
    write(made, Version(0, 11), WON, at=35.0)
    assert made.next_step(40.0, Version(0, 11)) == Wait(65.0)


def test_what_is_doubted_is_looked_at_before_it_is_written() -> None:
    made = holding(Version(0, 10), every_s=1.0)
    made.next_step(0.0, Version(0, 11))
    made.doubt()
    made.check()
    assert made.stored is None
    assert made.next_step(50.0, Version(0, 99)) == Look()
    assert made.behind_s(51.0, Version(0, 99)) == 1.0
    made.looking()
    made.saw(stored(0, 90, '"other"'), 51.0)
    # It may be old: it does not delay the first write.
    assert made.next_step(51.0, Version(0, 99)) == Write('"other"')


def test_a_request_in_flight_outlasts_the_doubt() -> None:
    made = holding(Version(0, 10))
    made.writing(0.0, Version(0, 11), body_of(11))
    made.doubt()
    made.check()
    assert made.in_flight
    made.done(PutResult(WON, '"a"'), 0.1)
    assert made.next_step(0.1, Version(0, 12)) == Write('"a"')


# Cadence


def test_writes_keep_their_distance_from_begin_to_begin() -> None:
    made = holding(Version(0, 10), every_s=0.25)
    assert made.next_step(0.0, Version(0, 11)) == Write('"e"')
    write(made, Version(0, 11), WON, at=0.0, until=0.1)
    assert made.next_step(0.1, Version(0, 12)) == Wait(0.25)
    assert made.next_step(0.25, Version(0, 12)) == Write('"0:11"')


def test_another_replicas_write_counts_for_the_cadence() -> None:
    made = holding(Version(0, 10), every_s=0.25)
    write(made, Version(0, 11), LOST, at=0.0, until=0.1)
    made.looking()
    made.saw(stored(0, 11, '"other"'), 0.2)
    assert made.next_step(0.3, Version(0, 12)) == Wait(0.45)


def test_an_old_file_found_at_the_start_does_not_delay_the_first_write() -> None:
    assert holding(Version(0, 10), at=5.0, every_s=1.0).next_step(5.0, Version(0, 11)) == Write('"e"')


def test_the_same_levels_are_written_once_in_a_while_only() -> None:
    made = holding(Version(0, 10))
    made.writing(0.0, Version(0, 11), body_of(11))
    made.done(PutResult(WON, '"a"'), 0.2)
    assert made.hold_until(0.3, Version(0, 12), body_of(12)) == 1.2
    assert made.hold_until(1.2, Version(0, 12), body_of(12)) is None


def test_other_levels_are_written_at_once() -> None:
    made = holding(Version(0, 10))
    made.writing(0.0, Version(0, 11), body_of(11))
    made.done(PutResult(WON, '"a"'), 0.0)
    assert made.hold_until(0.0, Version(0, 12), body_of(12, '"bids":[["1","1"]],"asks":[]')) is None


def test_the_levels_of_a_file_that_another_replica_wrote_are_known_if_the_versions_agree() -> None:
    made = holding(Version(0, 10))
    write(made, Version(0, 11), LOST, at=0.0)
    made.looking()
    made.saw(stored(0, 11, '"other"'), 0.1)
    assert made.hold_until(0.2, Version(0, 12), body_of(12)) == 1.1
    made.looking()
    made.saw(stored(0, 12, '"another"'), 0.2)
    assert made.hold_until(0.2, Version(0, 13), body_of(13)) is None


def test_a_new_epoch_is_written_even_with_the_same_levels() -> None:
    made = holding(Version(0, 10))
    write(made, Version(0, 11), WON, at=0.0)
    assert made.hold_until(0.0, Version(1, 5), body_of(5)) is None


def test_levels_are_not_kept_where_the_cadence_is_slower_anyway() -> None:
    made = holding(Version(0, 10), every_s=1.0)
    write(made, Version(0, 11), WON, at=0.0)
    assert made.hold_until(0.0, Version(0, 12), body_of(12)) is None


# Being behind and ahead


def test_a_file_is_behind_from_when_the_book_moved_on() -> None:
    made = holding(Version(0, 10))
    assert made.behind_s(1.0, Version(0, 10)) == 0
    assert made.behind_s(2.0, Version(0, 11)) == 0
    assert made.behind_s(3.5, Version(0, 12)) == 1.5
    made.writing(4.0, Version(0, 12), body_of(12))
    assert made.behind_s(4.5, Version(0, 13)) == 2.5
    made.done(PutResult(WON, '"a"'), 6.0)
    assert made.behind_s(6.0, Version(0, 13)) == 1.5
    made.looking()
    made.saw(stored(0, 13), 7.0)
    assert made.behind_s(7.0, Version(0, 13)) == 0


def test_a_file_that_another_replica_keeps_moving_is_as_old_as_what_it_lacks() -> None:
    made = holding(Version(0, 10))
    for at in range(1, 100):
        made.behind_s(float(at), Version(0, 10 + at))
        made.check()
        if at % 5 == 0:
            write(made, Version(0, 10 + at), LOST, at=float(at))
            made.looking()
            made.saw(stored(0, 8 + at, f'"{at}"'), float(at))
            assert made.behind_s(float(at), Version(0, 10 + at)) == 1.0


def test_what_is_remembered_of_a_book_that_cannot_be_written_is_bounded() -> None:
    made = holding(Version(0, 10))
    for at in range(1000):
        assert made.behind_s(float(at), Version(0, 11 + at)) == at
        made.check()
    made.looking()
    made.saw(stored(0, 1009, '"other"'), 1000.0)
    assert made.behind_s(1000.0, Version(0, 1010)) == 1.0


def test_a_book_built_anew_at_a_lower_id_begins_to_count_anew() -> None:
    made = holding(Version(0, 10))
    made.behind_s(0.0, Version(0, 20))
    assert made.behind_s(5.0, Version(0, 15)) == 0
    assert made.behind_s(6.0, Version(0, 15)) == 1
    made.check()


def test_it_is_settled_once_the_file_was_as_new_as_the_book() -> None:
    made = holding(Version(0, 10))
    made.next_step(0.0, Version(0, 11))
    assert not made.settled
    write(made, Version(0, 11), LOST, at=0.0)
    assert not made.settled
    made.looking()
    made.saw(stored(0, 12), 0.0)
    made.next_step(0.0, Version(0, 11))
    assert made.settled


def test_it_is_settled_once_it_lost_to_a_version_as_new_as_its_own() -> None:
    made = holding(Version(0, 10))
    for seen, settled in ((11, False), (13, True)):
        write(made, Version(0, seen + 1 - settled), LOST, at=0.0)
        made.looking()
        made.saw(stored(0, seen, f'"{seen}"'), 0.0)
        made.next_step(0.0, Version(0, 99))
        assert made.settled is settled


def test_a_file_is_ahead_for_as_long_as_it_does_not_move() -> None:
    made = holding(Version(0, 10))
    mine = Version(0, 5)
    assert ahead_s(made, 1.0, mine) == 0
    made.looking()
    made.saw(stored(0, 10), 5.0)
    assert ahead_s(made, 6.0, mine) == 5
    made.looking()
    made.saw(stored(0, 12, '"moved"'), 7.0)
    assert ahead_s(made, 8.0, mine) == 0
    assert ahead_s(made, 9.0, mine) == 1
    made.check()


@pytest.mark.parametrize("mine", [Version(0, 10), Version(0, 11), Version(1, 5)])
def test_a_file_is_not_ahead_of_a_book_that_reaches_it(mine: Version) -> None:
    made = holding(Version(0, 10))
    ahead_s(made, 0.0, Version(0, 5))
    assert ahead_s(made, 5.0, mine) == 0
    assert ahead_s(made, 6.0, Version(0, 5)) == 0


def test_a_file_of_a_later_epoch_is_not_called_ahead() -> None:
    made = holding(Version(2, 10))
    ahead_s(made, 0.0, Version(1, 5))
    assert ahead_s(made, 9.0, Version(1, 5)) == 0


@pytest.mark.parametrize("what", ["a failed look", "a doubt", "a write of unknown outcome"])
def test_a_file_goes_on_being_ahead_where_the_next_look_shows_the_same_object(what: str) -> None:
    made = holding(Version(0, 10))
    if what == "a write of unknown outcome":
        write(made, Version(0, 11), UNKNOWN, at=0.0)
        made.looking()
        made.saw(stored(0, 10), 1.0)
    ahead_s(made, 1.0, Version(0, 5))
    for at in (10.0, 20.0):
        if what == "a doubt":
            made.doubt()
        else:
            made.looking()
            made.saw_nothing(at)
        assert ahead_s(made, at, Version(0, 6)) == 0
        made.check()
        made.looking()
        made.saw(stored(0, 10), at + 2.0)
        assert ahead_s(made, at + 2.0, Version(0, 6)) == at + 1.0


@pytest.mark.parametrize("seen", [stored(0, 10, '"moved"'), stored(0, 11), None])
def test_a_file_that_moved_while_it_was_not_seen_is_ahead_from_then_on(seen: StoredObject | None) -> None:
    made = holding(Version(0, 10))
    ahead_s(made, 0.0, Version(0, 5))
    made.doubt()
    for each, at in ((seen, 5.0), (stored(0, 10), 6.0)):
        made.looking()
        made.saw(each, at)
        assert ahead_s(made, at, Version(0, 5)) == 0
        made.check()


@pytest.mark.parametrize("mine", [Version(0, 10), Version(0, 11), Version(1, 5)])
def test_a_file_that_the_book_reached_while_it_was_not_seen_is_ahead_from_then_on(mine: Version) -> None:
    made = holding(Version(0, 10))
    ahead_s(made, 0.0, Version(0, 5))
    made.doubt()
    ahead_s(made, 3.0, mine)
    made.looking()
    made.saw(stored(0, 10), 6.0)
    assert ahead_s(made, 6.0, Version(0, 5)) == 0
    made.check()


def test_what_a_standby_saw_ahead_counts_for_the_writer_that_it_becomes() -> None:
    made = writer()
    made.looking()
    made.saw(stored(0, 10), 50.0)
    made.was_ahead('"e"', Version(0, 10), 1.0)
    assert ahead_s(made, 61.0, Version(0, 5)) == 60.0
    made.check()


def test_a_file_of_an_earlier_epoch_at_the_books_own_id_is_the_book_and_waits_for_the_next_update() -> None:
    made = holding(Version(0, 10))
    assert made.behind_s(1.0, Version(1, 10)) == made.behind_s(9.0, Version(1, 10)) == 0
    assert made.settled
    made.check()
    assert made.next_step(9.0, Version(1, 11)) == Write('"e"')
    assert made.behind_s(10.0, Version(1, 11)) == 1.0


# Any interleaving


@dataclass
class Request:
    """A write on its way: it may arrive late, whatever its sender thinks of it."""

    match: str | None
    version: Version


class Replicas(RuleBasedStateMachine):
    """Three replicas, one object, and a network that loses answers and delivers writes late."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.writers = [
            KeyWriter(
                KEY,
                every_s=0.1,
                patrol_s=10.0,
                backoff=Backoff(0.1, maximum_s=1.0, rng=Random(seed)),
            )
            for seed in range(3)
        ]
        self.mine = [Version(0, 1)] * 3
        self.object: tuple[str, Version | None] | None = None
        self.greatest = Version(0, 0)
        self.late: list[Request] = []
        self.etags = 0

    def arrive(self, request: Request) -> str | None:
        """What a store that honours conditions does; the new ETag, or ``None`` where it refuses."""
        if (self.object[0] if self.object else None) != request.match:
            return None
        assert request.version > self.greatest, "the file became older, or was written twice"
        self.greatest = request.version
        self.etags += 1
        self.object = (f'"{self.etags}"', request.version)
        return self.object[0]

    @rule(who=st.integers(0, 2), by=st.integers(1, 3), epoch=st.integers(0, 9))
    def book_moves_on(self, who: int, by: int, epoch: int) -> None:
        mine = self.mine[who]
        self.mine[who] = Version(mine.epoch + 1, by) if epoch == 9 else mine._replace(update_id=mine[1] + by)

    @rule(
        who=st.integers(0, 2),
        fate=st.sampled_from(["arrives", "answer lost", "late", "lost", "refused for a while"]),
        doubts=st.booleans(),
    )
    def acts(self, who: int, fate: str, doubts: bool = False) -> None:
        writer, mine = self.writers[who], self.mine[who]
        if doubts:
            writer.doubt()
        match writer.next_step(self.now, mine):
            case Look():
                writer.looking()
                if fate == "lost":
                    writer.saw_nothing(self.now)
                elif self.object is None:
                    writer.saw(None, self.now)
                else:
                    etag, version = self.object
                    writer.saw(stored(*version, etag) if version else StoredObject(b"?", etag), self.now)
            case Write(match):
                body = body_of(mine.update_id)
                if writer.hold_until(self.now, mine, body) is not None:
                    return
                writer.writing(self.now, mine, body)
                writer.check()
                request = Request(match, mine)
                if fate == "arrives":
                    made = self.arrive(request)
                    writer.done(PutResult(WON if made else LOST, made), self.now)
                elif fate == "refused for a while":
                    writer.done(PutResult(THROTTLED), self.now)
                else:
                    if fate == "answer lost":
                        self.arrive(request)
                    elif fate == "late":
                        self.late.append(request)
                    writer.done(PutResult(UNKNOWN), self.now)
            case Wait(until):
                assert until > self.now

    @precondition(lambda self: self.late)
    @rule(which=st.integers(0, 99))
    def a_late_write_arrives(self, which: int) -> None:
        self.arrive(self.late.pop(which % len(self.late)))

    @rule(seconds=st.sampled_from([0.05, 0.3, 2.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def somebody_damages_the_object(self) -> None:
        self.etags += 1
        self.object = (f'"{self.etags}"', None)
        self.greatest = Version(0, 0)

    @invariant()
    def everything_holds(self) -> None:
        for each in self.writers:
            each.check()

    def teardown(self) -> None:
        """Left alone, the replicas bring the newest book into the store."""
        for _ in range(40):
            self.now += 2.0
            for who in range(3):
                self.acts(who, "arrives")
        assert self.object is not None
        assert self.object[1] is not None
        assert shows(self.object[1], max(self.mine))


TestReplicas = Replicas.TestCase
TestReplicas.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
