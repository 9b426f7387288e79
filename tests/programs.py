"""Programs that some tests run and Python does not bring: nginx, wrk, promtool, node.

Where one is absent its tests are skipped, and the summary says so. Where ``TEST_PROGRAMS=required`` is set,
as by the gate once it has installed them, they fail instead: a test that is never run shows nothing.
"""

import os
import shutil
from typing import Final, NoReturn

import pytest

PACKAGES: Final = {
    "nginx": "nginx-light",
    "node": "nodejs",
    "npm": "npm",
    "promtool": "prometheus",
    "wrk": "wrk",
}
"""Debian's packages, by program."""


def program(name: str) -> str:
    """The path of the program; without it the test is not run."""
    return shutil.which(name) or absent(f"{name} is not installed (Debian: apt-get install {PACKAGES[name]})")


def absent(what: str) -> NoReturn:
    """Do not run the test, for this reason."""
    if os.environ.get("TEST_PROGRAMS") == "required":
        pytest.fail(what)
    pytest.skip(what)
