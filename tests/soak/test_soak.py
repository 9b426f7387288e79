"""A whole run, short: what must hold whatever the machine's pace. Ages and ratios mean nothing here."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.store_process, pytest.mark.timeout(180)]


def children_of(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()}


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def soak(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "soak", "--quick", "--symbols=4", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_short_run_finds_every_file_true_and_leaves_its_report(tmp_path: Path) -> None:
    running = soak("--out", str(tmp_path))
    said, _ = running.communicate(timeout=170)
    content = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert content["violations"] == 0, said
    assert content["versions_checked"] > 50, said
    assert all(finding["holds"] for finding in content["findings"] if finding["invariant"]), said
    assert content["interrupted"] == "", said
    assert len(content["disturbances"]) == 1, said
    assert running.returncode == (0 if content["passed"] else 1), said


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the children in /proc")
def test_ctrl_c_ends_everything_that_was_started_and_leaves_a_report(tmp_path: Path) -> None:
    running = soak("--out", str(tmp_path))
    children: set[int] = set()
    end = time.monotonic() + 90
    try:
        # The store, and at least one replica.
        while len(children) < 2:
            assert running.poll() is None
            assert time.monotonic() < end, "it did not start"
            children = children_of(running.pid)
            time.sleep(0.05)
        os.kill(running.pid, signal.SIGINT)
        said, _ = running.communicate(timeout=30)
    finally:
        running.kill()
    assert running.returncode == 130, said
    assert not any(map(lives, children)), said
    assert json.loads((tmp_path / "report.json").read_text("utf-8"))["interrupted"] == "interrupted"
