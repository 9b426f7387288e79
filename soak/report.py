"""``report.json`` for programs and ``report.md`` for people."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from soak.ages import Spread, spread
from soak.record import Phase, Record
from soak.verdict import AFTERMATH_S, Finding, effects, judge, lost_share, put_ratio, takeover_ms, usual_ms

BUSY_SHARE: Final = 0.9
BUSY: Final = (
    "The machine had hardly any processor time left at times (see the end): ages then say as much about it as"
    " about the fleet."
)

SHORTEST_S: Final = 1.0
"""Rates of a shorter phase mean nothing."""

WHOLE: Final = "disturbed and quiet"
"""The rows over the whole of the fleet's run, from the first disturbance on."""


def write(record: Record, folder: Path) -> list[Finding]:
    """Write both files, and return what was found."""
    findings = judge(record)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(as_json(record, findings), indent=1) + "\n", "utf-8")
    (folder / "report.md").write_text(as_markdown(record, findings), "utf-8")
    return findings


def ages(record: Record) -> list[tuple[str, int | None, Spread]]:
    """By phase and limit (``None``: all): the spread of files' ages."""
    limits = {file.limit: None for file in record.files}
    rows: list[tuple[str, int | None, Spread]] = []
    stretches = [(phase.name, phase.start, phase.end) for phase in record.phases]
    disturbed, quiet = record.phase("disturbed"), record.phase("quiet")
    if disturbed is not None and quiet is not None:
        stretches.append((WHOLE, disturbed.start, quiet.end))
    for name, start, end in stretches:
        samples = record.samples.between(start, end)
        rows.append((name, None, spread(sample.age_s for sample in samples)))
        for limit in limits:
            of_limit = (s.age_s for s in samples if record.files[s.file].limit == limit)
            rows.append((name, limit, spread(of_limit)))
    return rows


def as_json(record: Record, findings: Sequence[Finding]) -> dict[str, Any]:
    """All that was measured, but for the single ages."""
    return {
        "passed": all(finding.holds for finding in findings),
        "settings": {name: _plain(value) for name, value in record.settings.as_json().items()},
        "findings": [finding._asdict() for finding in findings],
        "versions_checked": sum(record.versions.values()),
        "versions_by_limit": {str(limit): count for limit, count in sorted(record.versions.items())},
        "shorter_and_said_so": record.shorter,
        "violations": record.violation_count,
        "violations_shown": [violation._asdict() for violation in record.violations[:50]],
        "readings": dict(record.readings),
        "reads_a_second_and_file": round(_read_rate(record), 2),
        "write_p99_ms": record.write_p99_ms,
        "put_ratio": put_ratio(record),
        "lost_share": lost_share(record),
        "bounds_ms": {
            str(limit): {"usual": usual_ms(record, limit), "takeover": takeover_ms(record, limit)}
            for limit in record.settings.limits
        },
        "phases": [
            {
                "name": phase.name,
                "at_s": round(phase.start - record.start, 2),
                "seconds": round(phase.seconds, 2),
                "wire": dict(phase.wire),
                "writes": dict(phase.writes),
                "takeovers": phase.takeovers,
                "last_writers": dict(phase.writers),
                "puts_a_second": round(phase.puts_a_second(), 1),
                "cpu_s": {who: round(seconds, 2) for who, seconds in phase.cpu.items()},
                "machine_busy": round(phase.busy, 3),
            }
            for phase in record.phases
            if phase.seconds > 0
        ],
        "ages_ms": [
            {
                "phase": name,
                "limit": limit,
                "readings": each.readings,
                **{
                    label: round(1000 * s, 1)
                    for label, s in zip(("p50", "p99", "max"), each[1:], strict=True)
                },
            }
            for name, limit, each in ages(record)
        ],
        "disturbances": [
            {
                "at_s": round(effect.at_s, 2),
                "kind": effect.disturbance.kind.value,
                "target": effect.disturbance.target,
                "way": effect.disturbance.way,
                "lasted_s": round(effect.lasted_s, 2),
                "written": effect.written,
                "late_files": effect.late_files,
                "late_s": None if effect.late_s is None else round(effect.late_s, 2),
                "peak_s": round(effect.peak_s, 3),
                "peak_file": effect.peak_file.key,
                "peak_after_s": round(effect.peak_after_s, 2),
                "bound": effect.bound,
                "holds": effect.holds,
            }
            for effect in effects(record)
        ],
        "counts": {name: dict(by) for name, by in record.counts.items() if by},
        "faults": dict(record.faults),
        "current_after_s": record.current_after_s,
        "interrupted": record.interrupted,
    }


def as_markdown(record: Record, findings: Sequence[Finding]) -> str:
    """The report for people."""
    settings = record.settings
    passed = all(finding.holds for finding in findings)
    checked = sum(record.versions.values())
    minutes = (record.phases[-1].end - record.start) / 60 if record.phases else 0.0
    parts = [
        "# Soak report",
        f"**{'Passed' if passed else 'FAILED'}.** {settings.replicas} replicas, {settings.symbols} symbols"
        f" with {settings.rate:g} diffs a second each, {len(record.files)} files, {minutes:.1f} minutes, seed"
        f" {settings.seed}; SeaweedFS, simulated exchange and all processes on one machine.",
        f"{checked:,} versions were read and compared with the true book byte for byte;"
        f" {record.violation_count} of them broke a promise. {record.shorter:,} were shorter than the"
        f" exchange's answer, each as its metadata said. Each file was read"
        f" {_read_rate(record):.1f} times a second.",
        *([BUSY] if max((phase.busy for phase in record.phases), default=0.0) > BUSY_SHARE else []),
        "![Ages over time](ages.png)",
        "## What must hold",
        _table(
            ("", "what", "measured", "bound"),
            (("✓" if f.holds else "✗", f.what, f.measured, f.bound) for f in findings),
        ),
        "## Ages",
        "How long a file had been out of date against the exchange when it was read, in milliseconds: since"
        " the exchange first told an update beyond it, 0 if it had told none. The settings alone make files"
        f" this old between two writes: {_floors(record)}. A reading that failed counts with what was"
        " read before.",
        _table(
            ("phase", "limit", "readings", "p50", "p99", "max"),
            (
                (
                    name,
                    "all" if limit is None else limit,
                    f"{s.readings:,}",
                    _ms(s.p50),
                    _ms(s.p99),
                    _ms(s.most),
                )
                for name, limit, s in ages(record)
                if s.readings
            ),
            right=(2, 3, 4, 5),
        ),
        "A file counts as late above its cadence + one write (p99 of the undisturbed fleet,"
        f" {record.write_p99_ms:.0f} ms) + {settings.room_ms} ms of room for a busy machine:"
        f" {_bounds(record)}. The loss of one replica may add 2 × takeover_after_ms ="
        f" {2 * settings.takeover_after_ms} ms.",
        "## Disturbances",
        f"Each from its start until {AFTERMATH_S:.0f} s after it was taken back, and on for as long as files"
        " were late; what is late afterwards is so by the exchange's own faults, which go on. *late"
        " for*: from the start until no file was older than usual any more; *wrote*: how many files the"
        " target was the last to write when it was hit.",
        _table(
            ("", "at", "what", "wrote", "lasted", "late files", "late for", "greatest age", "of", "bound"),
            (
                (
                    "✓" if e.holds else "✗",
                    f"{e.at_s:.0f} s",
                    e.disturbance.label,
                    e.written or "",
                    f"{e.lasted_s:.1f} s",
                    e.late_files,
                    "not over" if e.late_s is None else f"{e.late_s:.1f} s",
                    f"{e.peak_s:.2f} s",
                    f"{e.peak_file.symbol} {e.peak_file.limit} after {e.peak_after_s:.1f} s",
                    e.bound,
                )
                for e in effects(record)
            ),
            right=(1, 3, 4, 5, 6, 7),
        ),
        "## Writes",
        "PUTs as the proxies between replicas and store saw them; outcomes as the replicas counted them.",
        _table(
            (
                "phase",
                "PUTs of files/s",
                "heartbeats/s",
                "GETs/s",
                "won",
                "lost",
                "others",
                "412 seen",
                "takeovers",
                "last writers",
            ),
            (_writes(phase) for phase in record.phases if phase.seconds >= SHORTEST_S),
            right=(1, 2, 3, 4, 5, 6, 7, 8),
        ),
        "## The machine",
        "Processor time as a share of one core; *all* is the share of all cores in use, whoever used them.",
        _table(
            ("phase", "all", *(machine := _machine(record))),
            (
                (
                    phase.name,
                    f"{phase.busy:.0%}",
                    *(f"{phase.cpu[who] / phase.seconds:.0%}" if who in phase.cpu else "" for who in machine),
                )
                for phase in record.phases
                if phase.seconds >= SHORTEST_S
            ),
            right=tuple(range(1, 2 + len(machine))),
        ),
        "## Counted",
        _table(
            ("counter", "counts over the run"),
            [
                *((name, _pairs(by)) for name, by in record.counts.items() if by),
                ("faults of the exchange", _pairs(record.faults)),
                ("readings", _pairs(record.readings)),
            ],
        ),
    ]
    if record.violations:
        shown = record.violations[:20]
        parts += [
            "## Violations",
            _table(
                ("at", "kind", "file", "what"),
                ((f"{v.time - record.start:.1f} s", v.kind, f"`{v.key}`", f"`{v.text}`") for v in shown),
            ),
        ]
    return "\n\n".join(parts) + "\n"


def _writes(phase: Phase) -> tuple[object, ...]:
    others = sum(phase.writes.values()) - phase.writes.get("won", 0) - phase.writes.get("lost", 0)
    return (
        phase.name,
        *(f"{phase.wire[mark] / phase.seconds:.1f}" for mark in ("file_puts", "heartbeat_puts", "gets")),
        *(f"{phase.writes.get(outcome, 0):,.0f}" for outcome in ("won", "lost")),
        f"{others:,.0f}",
        phase.wire["refused"],
        f"{phase.takeovers:.0f}",
        _pairs(phase.writers),
    )


def _machine(record: Record) -> list[str]:
    return list(dict.fromkeys(who for phase in record.phases for who in phase.cpu))


def _read_rate(record: Record) -> float:
    seconds = record.phases[-1].end - record.start if record.phases else 0.0
    if seconds <= 0:
        return 0.0
    return len(record.samples.between(record.start, record.phases[-1].end)) / seconds / len(record.files)


def _floors(record: Record) -> str:
    return ", ".join(
        f"{record.settings.floor_ms(limit)} ms up to {limit}" for limit in record.settings.limits
    )


def _bounds(record: Record) -> str:
    return ", ".join(f"{usual_ms(record, limit):.0f} ms up to {limit}" for limit in record.settings.limits)


def _pairs(counts: Any) -> str:
    return ", ".join(f"{name} {count:,.0f}".strip() for name, count in sorted(counts.items())) or "none"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:,.0f}"


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _table(head: Sequence[object], rows: Iterable[Sequence[object]], right: Sequence[int] = ()) -> str:
    lines = [head, ["--:" if index in right else "---" for index in range(len(head))], *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )
