"""BitMEX's simulator as a process: that it says when it is ready, serves, and ends when it is told to."""

import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_process_serves_until_it_is_told_to_stop() -> None:
    command = [sys.executable, "-m", "simulator.bitmex", "--listen", "127.0.0.1:0", "--symbols", "XBTUSD"]
    with subprocess.Popen(
        [*command, "--depth", "20"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            ready = process.stdout.readline()
            match = re.fullmatch(r"simulator ready: rest=(http://\S+) ws=ws://\S+ symbols=1\n", ready)
            assert match is not None, ready
            with urllib.request.urlopen(
                f"{match[1]}/api/v1/orderBook/L2?symbol=XBTUSD", timeout=10
            ) as answer:
                assert answer.read().startswith(b'[{"symbol":"XBTUSD","id":')
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
