"""``ages.png``: the ages of all files over time; on the left one replica alone, on the right the fleet."""

from pathlib import Path
from typing import Any, Final

from soak.ages import Bucket, buckets
from soak.record import Record
from soak.verdict import takeover_ms, usual_ms

BUCKET_S: Final = 2.0
MAX_BUCKETS: Final = 450
FLOOR_MS: Final = 10.0
"""Smaller ages are drawn here: the axis is logarithmic."""

_LINES: Final = (("p50", "#1b7837"), ("p99", "#e08214"), ("most", "#b2182b"))
_NAMES: Final = {"p50": "median", "p99": "p99", "most": "greatest"}


def draw(record: Record, path: Path) -> None:
    """Draw it. Raises ``ImportError`` where matplotlib is not installed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    alone = record.phase("baseline")
    fleet = [phase for phase in record.phases if phase.name != "baseline"]
    if alone is None or not fleet or alone.seconds <= 0 or fleet[-1].seconds <= 0:
        return
    spans = (alone.start, alone.end), (fleet[0].start, fleet[-1].end)
    lengths = [end - start for start, end in spans]
    width_s = max(BUCKET_S, sum(lengths) / MAX_BUCKETS)
    figure, axes = pyplot.subplots(
        1,
        2,
        figsize=(max(13.0, min(30.0, 6 + 0.55 * len(record.done))), 6.5),
        sharey=True,
        layout="constrained",
        width_ratios=[max(lengths[0], 0.22 * lengths[1]), lengths[1]],
    )
    for axis, (start, end) in zip(axes, spans, strict=True):
        _ages(axis, buckets(record.samples.between(start, end), start, end, width_s), record)
        axis.set_xlim(start - record.start, end - record.start)
        axis.set_xlabel("seconds since the baseline began")
        axis.grid(visible=True, which="major", alpha=0.3)
    left, right = axes
    left.set_yscale("log")
    # Room above the curves for what the lines are called.
    top_ms = max(1000 * each.age_s for each in record.samples.between(spans[0][0], spans[1][1]))
    left.set_ylim(FLOOR_MS * 0.8, max(10 * takeover_ms(record, record.settings.limits[-1]), 12 * top_ms))
    left.set_ylabel("age of a file, ms")
    left.set_title("one replica, undisturbed")
    right.set_title(f"{record.settings.replicas} replicas, disturbed")
    right.axhline(
        takeover_ms(record, record.settings.limits[-1]),
        color="#555555",
        linestyle="--",
        linewidth=1,
        label=f"bound after one loss, limit {record.settings.limits[-1]}",
    )
    left.axhline(
        usual_ms(record, record.settings.limits[-1]),
        color="#555555",
        linestyle=":",
        linewidth=1,
        label=f"usual bound, limit {record.settings.limits[-1]}",
    )
    for phase in fleet:
        if phase.name == "joining":
            right.axvspan(
                phase.start - record.start, phase.end - record.start, color="#d9e6f2", label="joining"
            )
        if phase.name == "recovering":
            right.axvspan(
                phase.start - record.start, phase.end - record.start, color="#f6efd8", label="recovering"
            )
        if phase.name == "quiet":
            right.axvspan(
                phase.start - record.start, phase.end - record.start, color="#e8f2e0", label="quiet end"
            )
    for done in record.done:
        at = done.start - record.start
        right.axvline(at, color="#4a4a8a", linewidth=0.9)
        if done.end > done.start:
            right.axvspan(at, done.end - record.start, color="#4a4a8a", alpha=0.08, linewidth=0)
        right.annotate(
            done.disturbance.label,
            (at, 0.985),
            xycoords=("data", "axes fraction"),
            rotation=90,
            va="top",
            ha="right",
            fontsize=8,
            color="#2a2a5a",
            xytext=(-2, 0),
            textcoords="offset points",
        )
    left.legend(loc="upper left", fontsize=8)
    right.legend(loc="lower right", fontsize=8, ncols=3)
    figure.suptitle(
        f"Ages of {len(record.files)} files against the exchange, {width_s:.0f} s a point;"
        f" {sum(record.versions.values()):,} versions checked, {record.violation_count} violations"
    )
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _ages(axis: Any, found: list[Bucket], record: Record) -> None:
    times = [bucket.time - record.start for bucket in found]
    for name, color in _LINES:
        values = [max(FLOOR_MS, 1000 * getattr(bucket.spread, name)) for bucket in found]
        axis.plot(times, values, color=color, linewidth=1.3, label=_NAMES[name])
