"""What was measured, held against what must hold. Pure.

Two bounds on a file's age, by its limit, from the run's settings and the measured time of a write:

``usual``     the cadence + one write (p99) + ``room_ms``. Above it a file counts as late.
``takeover``  ``usual`` + 2 × ``takeover_after_ms``. What one replica's loss may cost.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from soak.ages import Sample
from soak.auditor import File
from soak.disturb import ONE_REPLICA, Disturbance, Kind
from soak.record import Done, Record

RECOVERY_S: Final = 10.0
"""How long files may stay late after a disturbance was taken back."""

STILL_S: Final = 1.0
"""A file that was late in the last second before the next disturbance is taken to be so still."""

AFTERMATH_S: Final = 5.0
"""What files do for so long after a disturbance was taken back, or after the last of them was late, is still
its doing: a replica that was killed joins again, one that was frozen wakes up."""

REBASE_S: Final = 20.0
"""A new epoch takes a confirmation by the exchange after ``epoch_after_ms``, and a claim; then writes."""


class Finding(NamedTuple):
    """One thing that must hold. ``invariant``: whatever the machine's pace."""

    what: str
    holds: bool
    measured: str
    bound: str
    invariant: bool = False


@dataclass(frozen=True, slots=True)
class Effect:
    """What a disturbance did to the files, until :data:`AFTERMATH_S` after it was taken back, and for as long
    as any was late from then on; at most until the next one. What is late afterwards is so by the faults of
    the exchange, which go on all the time.

    ``written``: how many files the target was the last to write when it was hit; ``late_files``: how many
    were older than usual; ``late_s``: until when, from its start (``None``: until the next one); ``peak_s``:
    the greatest age, of ``peak_file``, ``peak_after_s`` from its start.
    """

    disturbance: Disturbance
    at_s: float
    lasted_s: float
    written: int
    late_files: int
    late_s: float | None
    peak_s: float
    peak_file: File
    peak_after_s: float
    holds: bool
    bound: str


def usual_ms(record: Record, limit: int) -> float:
    """Above this age a file of ``limit`` is late."""
    return record.settings.floor_ms(limit) + record.write_p99_ms + record.settings.room_ms


def takeover_ms(record: Record, limit: int) -> float:
    """What the loss of one replica may cost a file of ``limit``."""
    return usual_ms(record, limit) + 2 * record.settings.takeover_after_ms


def effects(record: Record) -> list[Effect]:
    """One for each disturbance."""
    ends = [done.start for done in record.done[1:]]
    if record.done:
        ends.append(record.phases[-1].end if record.phases else record.done[-1].end)
    return [
        _effect(record, done, record.samples.between(done.start, end))
        for done, end in zip(record.done, ends, strict=True)
    ]


def judge(record: Record) -> list[Finding]:
    """Everything that must hold, in the order of importance."""
    settings, findings = record.settings, list[Finding]()

    def must(what: str, holds: bool, measured: str, bound: str, *, invariant: bool = False) -> None:
        findings.append(Finding(what, holds, measured, bound, invariant))

    checked = sum(record.versions.values())
    must(
        "no file went back or was wrong",
        not record.violation_count,
        f"{record.violation_count}",
        "0",
        invariant=True,
    )
    must(
        "versions were checked, of every file",
        checked > 0 and record.every_file_read,
        f"{checked:,}",
        "all files",
    )
    ended = "; ".join(record.ended_by_themselves)
    must("no replica ended by itself", not ended, ended or "none", "none", invariant=True)
    disorderly = [name for name, orderly in record.stopped_in_order.items() if not orderly]
    must("each replica stopped in order at the end", not disorderly, ", ".join(disorderly) or "all", "all")
    for name in ("different", "ghost", "missing"):
        levels = record.counts.get("depthcast_audit_levels_total", {}).get(name, 0)
        if levels:
            must(f"replicas found no {name} levels", False, f"{levels:.0f}", "0", invariant=True)
    ratio = put_ratio(record)
    if ratio is not None:
        must(
            f"{settings.replicas} replicas write about as much as one",
            ratio <= settings.put_ratio,
            f"{ratio:.2f} ×",
            f"{settings.put_ratio:g} ×",
        )
    lost = lost_share(record)
    if lost is not None:
        must(
            "conditional failures are rare in the undisturbed fleet",
            lost < settings.lost_share,
            f"{lost:.2%}",
            f"under {settings.lost_share:.0%}",
        )
    found = effects(record)
    for kind in Kind:
        ours = [effect for effect in found if effect.disturbance.kind is kind]
        if ours:
            bad = [effect for effect in ours if not effect.holds]
            worst = max(ours, key=lambda effect: effect.peak_s)
            measured = f"greatest age {worst.peak_s:.2f} s" if _by_age(kind) else f"late for {_longest(ours)}"
            must(f"ages after {kind.value.replace('_', ' ')} ({len(ours)} ×)", not bad, measured, worst.bound)
    after = record.current_after_s
    must(
        "every file is current at the end",
        after is not None,
        "never" if after is None else f"after {after:.1f} s",
        "as usual",
    )
    if record.interrupted:
        must("the run is whole", False, record.interrupted, "whole")
    return findings


def put_ratio(record: Record) -> float | None:
    """PUTs a second of the fleet, undisturbed, as a multiple of one replica's."""
    alone, fleet = record.phase("baseline"), record.phase("fleet")
    if alone is None or fleet is None or not alone.puts_a_second():
        return None
    return fleet.puts_a_second() / alone.puts_a_second()


def lost_share(record: Record) -> float | None:
    """The share of the undisturbed fleet's conditional writes of files that failed."""
    fleet = record.phase("fleet")
    if fleet is None or not sum(fleet.writes.values()):
        return None
    return 1 - fleet.writes.get("won", 0) / sum(fleet.writes.values())


def _by_age(kind: Kind) -> bool:
    """Whether the ages themselves are bounded; after the others only the time until all is as usual is."""
    return kind in ONE_REPLICA or kind is Kind.BAN


def _longest(found: Sequence[Effect]) -> str:
    if any(effect.late_s is None for effect in found):
        return "too long"
    return f"{max(effect.late_s or 0 for effect in found):.1f} s"


def _effect(record: Record, done: Done, samples: Iterable[Sample]) -> Effect:
    usual = [usual_ms(record, file.limit) / 1000 for file in record.files]
    bound = [takeover_ms(record, file.limit) / 1000 for file in record.files]
    late: set[int] = set()
    until, own = done.start, done.end + AFTERMATH_S
    ends, peak, over = done.start, Sample(done.start, 0, 0.0), False
    for sample in samples:
        ends = sample.time
        if sample.time > own:
            break
        if sample.age_s > usual[sample.file]:
            late.add(sample.file)
            until, own = sample.time, max(own, sample.time + AFTERMATH_S)
        over = over or sample.age_s > bound[sample.file]
        peak = max(peak, sample, key=lambda each: each.age_s)
    late_s = None if late and until > ends - STILL_S else until - done.start
    kind, lasted_s = done.disturbance.kind, done.end - done.start
    if _by_age(kind):
        smallest, largest = record.files[0].limit, record.files[0].limit
        for file in record.files:
            smallest, largest = min(smallest, file.limit), max(largest, file.limit)
        texts = [f"{takeover_ms(record, limit) / 1000:.2f} s" for limit in dict.fromkeys((smallest, largest))]
        holds, text = not over, f"age at most {' to '.join(texts)}, by limit"
    else:
        extra_s = record.settings.epoch_after_ms / 1000 + REBASE_S if kind is Kind.REBASE else RECOVERY_S
        holds = late_s is not None and late_s <= lasted_s + extra_s
        text = f"late for at most {extra_s:.0f} s once it is over"
    return Effect(
        disturbance=done.disturbance,
        at_s=done.start - record.start,
        lasted_s=lasted_s,
        written=done.written,
        late_files=len(late),
        late_s=late_s,
        peak_s=peak.age_s,
        peak_file=record.files[peak.file],
        peak_after_s=peak.time - done.start,
        holds=holds,
        bound=text,
    )
