"""Runs of the whole system in a world of its own: every promise holds at every step, whatever goes wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.run import run
from tests.simulation.speech import USDM

ROOT = Path(__file__).resolve().parents[2]
SEEDS = 200
AT_ONCE = 20


@pytest.mark.parametrize("first", range(1, SEEDS, AT_ONCE))
def test_no_disturbance_breaks_a_promise(first: int) -> None:
    for seed in range(first, first + AT_ONCE):
        result = run(seed)
        assert result.writes_checked > 50
        assert result.reads_checked > 200
        assert sum(result.faults.values()) > 10


def test_no_disturbance_breaks_a_promise_of_futures() -> None:
    for seed in range(1, 1 + AT_ONCE // 2):
        result = run(seed, speech=USDM)
        assert result.writes_checked > 50
        assert result.reads_checked > 200
        assert sum(result.faults.values()) > 10


def test_a_seed_is_the_same_run_in_every_process() -> None:
    def digest_of(hash_seed: str) -> str:
        ended = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", "7", "--seeds", "3"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=100,
        )
        return ended.stdout

    assert digest_of("1") == digest_of("2")


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_wall_clocks_decide_nothing(seed: int) -> None:
    assert run(seed).writes == run(seed, clocks=1).writes


def test_another_seed_is_another_run() -> None:
    assert run(1).digest != run(2).digest
