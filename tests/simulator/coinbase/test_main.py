"""Coinbase's simulator as a process: its arguments, and that it runs until it is told to stop."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.__main__ import main, parse_arguments

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("wrong", [["--listen", "here"], ["--products", "0"], ["--rate", "0"]])
def test_arguments_that_make_no_sense_end_it(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(["--venue", "coinbaseexchange", *wrong])
    assert ended.value.code == 2


def test_a_key_that_is_not_there_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--venue", "coinbaseexchange", "--listen", "127.0.0.1:0", "--key", "/nowhere/key"]) == 1
    assert capsys.readouterr().err.startswith("simulator: ")


def test_the_process_runs_until_it_is_told_to_stop() -> None:
    command = [sys.executable, "-m", "simulator.coinbase", "--listen", "127.0.0.1:0", "--products", "1"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("simulator ready: rest=http://127.0.0.1:")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
