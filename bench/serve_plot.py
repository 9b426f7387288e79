"""What :mod:`bench.serve` measured, as one picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt  # after the choice of how to draw
from matplotlib.axes import Axes

if TYPE_CHECKING:
    from bench.serve import Change, Row

_COLOURS: Final = {"depthcast": "#1f6f8b", "nginx": "#99a8b2", "Starlette": "#e6d5b8"}


def draw(rows: Sequence["Row"], change: "Change", path: Path) -> None:
    """Requests a second by contender, latency, and how long changes take to be seen."""
    figure, (bars, late, seen) = plt.subplots(1, 3, figsize=(15, 4.8), width_ratios=(2.2, 1, 1))
    names = list(rows[0].turns)
    width = 0.8 / len(names)
    for n, name in enumerate(names):
        heights = [row.median(name).rate / 1000 for row in rows]
        places = [place + (n - 1) * width for place in range(len(rows))]
        bars.bar(places, heights, width, label=name, color=_COLOURS[name])
    for place, row in enumerate(rows):
        top = max(row.median(name).rate for name in names) / 1000
        bars.annotate(
            f"{row.ratio('nginx'):.2f}×", (place, top), (0, 3), textcoords="offset points", ha="center"
        )
    bars.set_xticks(range(len(rows)), [f"{row.limit:,}\n{row.kind}" for row in rows])
    bars.set_ylabel("thousand requests a second on one core")
    bars.set_xlabel("levels a side, and how they are asked for; above: depthcast by nginx")
    bars.set_title("Throughput")
    bars.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.06), ncols=len(names))
    _shares(late, change.latency_ms, 2.0, "2 ms")
    late.set_xscale("log")
    late.set_title(f"Latency at {change.rate / 1000:,.0f} thousand requests a second")
    late.set_xlabel("ms from when a request was due")
    _shares(seen, change.visible_ms, 100.0, "refresh interval")
    seen.set_xlim(left=0)
    seen.set_title("A change is seen")
    seen.set_xlabel("ms after it is in the store")
    for axes in (bars, late, seen):
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _shares(axes: Axes, values: Sequence[float], bound: float, what: str) -> None:
    """How great a share of the values is no greater than each."""
    axes.plot(values, [(n + 1) / len(values) for n in range(len(values))], color=_COLOURS["depthcast"])
    axes.axvline(bound, color="#c0392b", linewidth=1, linestyle="--", label=what)
    axes.axhline(0.99, color="#999999", linewidth=0.8, linestyle=":", label="99 %")
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("share")
    axes.legend(frameon=False, loc="lower right")
