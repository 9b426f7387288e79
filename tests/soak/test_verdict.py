"""A soak that cannot fail is a defect: each bound is broken here, and must be found broken."""

from dataclasses import replace

import pytest

from soak.ages import Samples
from soak.auditor import File
from soak.disturb import Disturbance, Kind
from soak.record import Done, Phase, Record
from soak.settings import Settings
from soak.verdict import effects, judge, lost_share, put_ratio, takeover_ms, usual_ms

SETTINGS = Settings(limits=(5, 1000), cadence="5:250,1000:1000", same_levels_ms=500, room_ms=300)
FILES = [File("A", 5), File("A", 1000)]


def record(*disturbances: Disturbance, late: dict[float, float] | None = None) -> Record:
    """A run in which all is well: 40 s alone, 20 s together, disturbed from 100 to 200, quiet to 210.

    ``late``: ages of the first file at those moments, from which on it has them.
    """
    samples = Samples()
    steps, age = sorted((late or {}).items()), 0.2
    for tenth in range(2100):
        now = tenth / 10
        while steps and steps[0][0] <= now:
            age = steps.pop(0)[1]
        samples.add(now, 0, age)
        samples.add(now, 1, 0.9)
    wire = {"file_puts": 2000, "heartbeat_puts": 0, "gets": 5, "refused": 0}
    phases = [
        Phase("baseline", 0, 40, dict(wire)),
        Phase("fleet", 60, 80, wire | {"file_puts": 1100, "heartbeat_puts": 60}, {"won": 1100, "lost": 5}),
        Phase("disturbed", 100, 200, dict(wire)),
        Phase("quiet", 200, 210, dict(wire)),
    ]
    return Record(
        SETTINGS,
        FILES,
        samples,
        0.0,
        phases,
        [Done(each, 100 + each.at_s, 100 + each.at_s + each.lasts_s) for each in disturbances],
        versions={5: 10, 1000: 10},
        every_file_read=True,
        write_p99_ms=50,
        stopped_in_order={"r1": True},
        current_after_s=0.5,
    )


def broken(found: Record) -> list[str]:
    return [finding.what for finding in judge(found) if not finding.holds]


def test_bounds_are_made_of_cadence_write_and_room() -> None:
    assert usual_ms(record(), 5) == 500 + 50 + 300
    assert usual_ms(record(), 1000) == 1000 + 50 + 300
    assert takeover_ms(record(), 5) == usual_ms(record(), 5) + 1000


def test_a_run_in_which_all_is_well_passes() -> None:
    found = record(Disturbance(0, Kind.KILL, "r1"), Disturbance(30, Kind.STORE_RESTART))
    assert broken(found) == []


def test_one_violation_fails_as_an_invariant() -> None:
    found = record()
    found.violation_count = 1
    assert broken(found) == ["no file went back or was wrong"]
    assert judge(found)[0].invariant


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"versions": {}}, "versions were checked"),
        ({"every_file_read": False}, "versions were checked"),
        ({"ended_by_themselves": ["r1: it died"]}, "no replica ended by itself"),
        ({"stopped_in_order": {"r1": False}}, "each replica stopped in order"),
        ({"current_after_s": None}, "every file is current"),
        ({"interrupted": "interrupted"}, "the run is whole"),
        ({"counts": {"depthcast_audit_levels_total": {"ghost": 3.0}}}, "replicas found no ghost levels"),
    ],
)
def test_whatever_else_is_not_as_it_must_be_fails(change: dict[str, object], what: str) -> None:
    (found,) = broken(replace(record(), **change))  # type: ignore[arg-type]
    assert found.startswith(what)


def test_more_puts_than_allowed_fail() -> None:
    found = record()
    assert put_ratio(found) == pytest.approx((1160 / 20) / (2000 / 40))
    found.phases[1].wire = {"file_puts": 1200, "heartbeat_puts": 60}
    assert broken(found) == ["3 replicas write about as much as one"]


def test_more_failed_conditions_than_allowed_fail() -> None:
    found = record()
    assert lost_share(found) == pytest.approx(5 / 1105)
    found.phases[1].writes = {"won": 980, "lost": 15, "unknown": 5}
    assert broken(found) == ["conditional failures are rare in the undisturbed fleet"]


@pytest.mark.parametrize("kind", [Kind.KILL, Kind.FREEZE, Kind.STORE_UNREACHABLE, Kind.FEED_CUT, Kind.BAN])
def test_an_age_above_the_bound_after_one_loss_fails(kind: Kind) -> None:
    disturbance = Disturbance(10, kind, "r1")
    assert broken(record(disturbance, late={112: 1.8, 113: 0.2})) == []
    assert broken(record(disturbance, late={112: 1.9, 113: 0.2})) == [
        f"ages after {kind.replace('_', ' ')} (1 ×)"
    ]


def test_the_effect_of_a_disturbance_ends_where_the_next_begins() -> None:
    found = record(
        Disturbance(0, Kind.STORE_RESTART, lasts_s=5),
        Disturbance(30, Kind.KILL, "r1"),
        late={101: 6.0, 107: 0.1},
    )
    restart, kill = effects(found)
    assert (restart.late_files, restart.peak_s) == (1, 6.0)
    assert restart.late_s == pytest.approx(6.9)
    assert restart.peak_file == FILES[0]
    assert (kill.late_files, kill.late_s, kill.holds) == (0, 0.0, True)
    assert broken(found) == []


def test_files_that_stay_late_after_the_store_is_back_fail() -> None:
    restart = Disturbance(0, Kind.STORE_RESTART, lasts_s=5)
    assert broken(record(restart, late={101: 6.0, 114: 0.1})) == []
    assert broken(record(restart, late={101: 6.0, 116: 0.1})) == ["ages after store restart (1 ×)"]
    (effect,) = effects(record(restart, late={101: 6.0}))
    assert effect.late_s is None
    assert not effect.holds


def test_lateness_that_begins_long_after_a_disturbance_is_not_its_own() -> None:
    kill = Disturbance(0, Kind.KILL, "r1", lasts_s=5)
    (effect,) = effects(record(kill, late={101: 1.5, 102: 0.1, 107: 1.6, 107.5: 0.1, 120: 3.0, 121: 0.1}))
    assert effect.late_s == pytest.approx(7.4)
    assert (effect.late_files, effect.holds) == (1, True)
    assert effect.peak_s == pytest.approx(1.6)
