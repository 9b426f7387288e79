import json
from pathlib import Path

import pytest

from soak import plot, report
from soak.auditor import Violation
from soak.disturb import Disturbance, Kind
from soak.record import Record
from tests.soak.test_verdict import record


@pytest.fixture
def run() -> Record:
    return record(
        Disturbance(0, Kind.KILL, "r1", lasts_s=5),
        Disturbance(30, Kind.STORE_UNREACHABLE, "r2", "stall"),
        late={102: 1.5, 103: 0.2},
    )


def test_both_reports_say_what_was_measured(run: Record, tmp_path: Path) -> None:
    findings = report.write(run, tmp_path / "out")
    assert all(finding.holds for finding in findings)
    content = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert content["passed"] is True
    assert content["versions_checked"] == 20
    assert content["put_ratio"] == pytest.approx(1.16)
    assert [each["late_files"] for each in content["disturbances"]] == [1, 0]
    baseline = next(row for row in content["ages_ms"] if row["phase"] == "baseline" and row["limit"] == 1000)
    assert baseline["max"] == 900
    text = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert text.startswith("# Soak report\n\n**Passed.**")
    assert "store unreachable r2 (stall)" in text


def test_a_violation_is_shown(run: Record, tmp_path: Path) -> None:
    run.violations, run.violation_count = [Violation("back", 105.0, "k", "from 2 | to 1")], 1
    report.write(run, tmp_path)
    text = (tmp_path / "report.md").read_text("utf-8")
    assert text.startswith("# Soak report\n\n**FAILED.**")
    assert "| 105.0 s | back | `k` | `from 2 \\| to 1` |" in text
    assert json.loads((tmp_path / "report.json").read_text("utf-8"))["passed"] is False


def test_a_run_that_hardly_began_has_a_report(run: Record, tmp_path: Path) -> None:
    run.phases, run.done, run.interrupted = [], [], "interrupted"
    findings = report.write(run, tmp_path)
    assert [finding.what for finding in findings if not finding.holds] == ["the run is whole"]


def test_a_run_that_hardly_began_has_no_plot(run: Record, tmp_path: Path) -> None:
    run.phases, run.done, run.interrupted = [], [], "interrupted"
    plot.draw(run, tmp_path / "ages.png")
    assert not (tmp_path / "ages.png").exists()


def test_the_plot_is_a_picture(run: Record, tmp_path: Path) -> None:
    plot.draw(run, tmp_path / "ages.png")
    assert (tmp_path / "ages.png").read_bytes().startswith(b"\x89PNG")
