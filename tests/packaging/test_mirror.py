"""Each module has its tests, and those of a pure one run all of it."""

import os
import re
import subprocess
import sys

import pytest

from tests.packaging import mirror
from tests.packaging.mirror import ELSEWHERE, LEFT_OUT, PURE, ROOT, files_of, modules, own_file
from tests.test_imports import PURE as WITHOUT_IO

MEASURE_TIMEOUT_S = 300


def test_each_module_has_its_place_among_the_tests() -> None:
    every = list(modules())
    assert len(every) > 200
    # Write the file of its name, or say in ELSEWHERE which one tests it and why.
    assert [f"{module}: no tests/{own_file(module)}" for module in every if not files_of(module)] == []
    assert [
        file for module in every for file in files_of(module) if not (ROOT / "tests" / file).is_file()
    ] == []


def test_what_is_said_of_other_places_is_true() -> None:
    assert not set(ELSEWHERE) - set(modules()), "there is no such module"
    for name, elsewhere in ELSEWHERE.items():
        assert elsewhere.files, name
        assert own_file(name) not in elsewhere.files, f"{name}: its own file needs no mention"
        assert 5 < len(elsewhere.why) < 100
    for test in LEFT_OUT:
        file, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / file).read_text("utf-8")


def test_all_that_may_not_do_io_is_among_the_pure() -> None:
    within = {
        name for name in modules() if name.split(".")[:2] in [["depthcast", each] for each in WITHOUT_IO]
    }
    assert within <= set(PURE)
    assert len(PURE) == len(set(PURE))
    assert set(PURE) <= set(modules())


SWAPPED = """
from tests.packaging import mirror
own = {"depthcast.backoff": "depthcast/test_redaction.py", "depthcast.redaction": "depthcast/test_backoff.py"}
mirror.files_of = lambda module: (own[module],)
mirror.main(list(own))
"""


def measure(*arguments: str) -> subprocess.CompletedProcess[str]:
    # Without what pytest tells its workers, for this is a run of its own.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=MEASURE_TIMEOUT_S,
    )


@pytest.mark.timeout(MEASURE_TIMEOUT_S + 10)
def test_pure_modules_are_run_whole_by_their_own_tests() -> None:
    done = measure("-m", mirror.__name__)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert f"{len(PURE)} modules: every branch is run by their own tests" in done.stdout


def test_what_only_the_tests_of_another_module_run_is_missed() -> None:
    # All of both is run, but neither by those that pass for its own.
    done = measure("-c", SWAPPED)
    assert done.returncode == 1, done.stdout + done.stderr
    for name in ("backoff", "redaction"):
        assert re.search(rf"depthcast/{name}\.py: [0-9.]+ %: not run: lines [0-9, ]+\n", done.stdout), (
            done.stdout
        )
    assert "passed" in done.stdout
    assert "every branch" not in done.stdout
