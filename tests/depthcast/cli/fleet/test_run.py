"""``depthcast fleet``, from its arguments to its exit status, at a real store."""

import asyncio
import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import pytest

from depthcast import cli
from depthcast.files import heartbeat_key
from depthcast.heartbeat import Heartbeat
from depthcast.store import open_store
from tests.depthcast.cli.fleet.conftest import MakeBeat

PATIENCE_S = 30.0


@pytest.fixture
def at_the_store(s3_bucket: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """An empty place; the environment leads there."""
    for name, value in s3_bucket.items():
        monkeypatch.setenv(name, value)
    return s3_bucket


@pytest.fixture
def beating(at_the_store: Mapping[str, str]) -> Iterator[Callable[..., None]]:
    """Starts replicas that beat five times a second and do nothing else."""
    stop = threading.Event()
    threads: list[threading.Thread] = []

    async def beat(beats: tuple[Heartbeat, ...], begun: threading.Event) -> None:
        store = open_store(at_the_store["DEPTHCAST_STORE_URL"], at_the_store)
        etags: dict[str, str | None] = {}
        count = 0
        while not stop.is_set():
            count += 1
            for each in beats:
                body = each.model_copy(update={"beat": count, "time_ms": count * 200}).to_body()
                key = heartbeat_key(each.replica)
                etags[key] = (await store.put_if(key, body, match=etags.get(key))).etag
            begun.set()
            await asyncio.sleep(0.2)
        await store.close()

    def start(*beats: Heartbeat) -> None:
        begun = threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(beat(beats, begun)))
        threads.append(thread)
        thread.start()
        assert begun.wait(PATIENCE_S)

    yield start
    stop.set()
    for thread in threads:
        thread.join(PATIENCE_S)


def test_where_nobody_lives_the_status_is_1(
    at_the_store: Mapping[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["fleet", "--once"]) == 1
    assert "no replica lives" in capsys.readouterr().out


def test_it_is_shown_once(
    beating: Callable[..., None], make_beat: MakeBeat, capsys: pytest.CaptureFixture[str]
) -> None:
    beating(make_beat("a", {"ETHUSDT": "writer"}), make_beat("b", {"ETHUSDT": "standby"}))
    # Without a terminal once is all there is.
    assert cli.main(["fleet"]) == 0
    told = capsys.readouterr()
    assert "2 replicas live" in told.out
    assert "\x1b" not in told.out
    row = next(line for line in told.out.splitlines() if line.startswith(" ETHUSDT"))
    assert row.split()[:4] == ["ETHUSDT", "a", "b", "0:1000"]
    assert told.err == ""


def test_json_is_one_document(
    beating: Callable[..., None], make_beat: MakeBeat, capsys: pytest.CaptureFixture[str]
) -> None:
    beating(make_beat("a", {"ETHUSDT": "writer", "BTCUSDT": "acting"}))
    assert cli.main(["fleet", "--once", "--json", "--symbols", "ETH*"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["living"], document["settled"], document["fault"]) == (1, True, "")
    assert document["replicas"][0]["acting"] == 1
    (symbol,) = document["symbols"]
    assert (symbol["symbol"], symbol["writers"], symbol["id"]) == ("ETHUSDT", ["a"], 1000)
    assert document["warnings"] == ["a is alone: nobody takes over when it fails"]


def test_several_venues_are_shown_one_after_the_other(
    beating: Callable[..., None], make_beat: MakeBeat, capsys: pytest.CaptureFixture[str]
) -> None:
    beating(make_beat("a", {"ETHUSDT": "writer"}))
    # Status 1: nobody keeps the other venue's books.
    assert cli.main(["fleet", "--once", "--venue", "binance,binanceusdm"]) == 1
    first, second = (line for line in capsys.readouterr().out.splitlines() if "% lost" in line)
    assert "1 replica lives" in first
    assert "binance in " in first
    assert "0 replicas live" in second
    assert "binanceusdm in " in second


def test_json_goes_on_a_line_a_reading_until_nobody_reads(
    beating: Callable[..., None], make_beat: MakeBeat
) -> None:
    beating(make_beat("a", {"ETHUSDT": "writer"}))
    with subprocess.Popen(
        [sys.executable, "-m", "depthcast", "fleet", "--json", "--every-ms", "100"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = [json.loads(process.stdout.readline()) for _ in range(5)]
        process.stdout.close()
        assert process.wait(PATIENCE_S) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert [line["living"] for line in lines] == [1] * 5
    assert lines[0]["replicas"][0]["beat_age_ms"] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_on_a_terminal_it_is_live_and_gives_the_terminal_back(
    beating: Callable[..., None], make_beat: MakeBeat, number: int
) -> None:
    beating(make_beat("a", {"ETHUSDT": "writer"}))
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "depthcast", "fleet", "--every-ms", "100"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "20"},
    )
    os.close(theirs)
    try:
        drawn = _read_until(ours, lambda text: text.count("ETHUSDT") >= 3)
        assert "\x1b[?1049h" in drawn
        process.send_signal(number)
        assert "\x1b[?1049l" in drawn + _read_until(ours, lambda text: "\x1b[?1049l" in text)
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _read_until(terminal: int, enough: Callable[[str], bool]) -> str:
    text, until = "", time.monotonic() + PATIENCE_S
    while not enough(text):
        assert time.monotonic() < until, text
        if select.select([terminal], [], [], 0.2)[0]:
            text += os.read(terminal, 65536).decode(errors="replace")
    return text


def test_a_damaged_heartbeat_is_told_on_standard_error_and_in_the_table(
    at_the_store: Mapping[str, str],
    beating: Callable[..., None],
    make_beat: MakeBeat,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def damage() -> None:
        store = open_store(at_the_store["DEPTHCAST_STORE_URL"], at_the_store)
        await store.put_if("fleet/x.json", b"?", match=None)
        await store.close()

    asyncio.run(damage())
    beating(make_beat("a"))
    assert cli.main(["fleet", "--once"]) == 0
    told = capsys.readouterr()
    assert "fleet/x.json is no heartbeat" in told.out
    assert told.err.count("\n") == 1


def test_a_store_that_is_away_is_one_line(
    at_the_store: Mapping[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    unused_tcp_port: int,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused_tcp_port}")
    for options in (["--once"], ["--once", "--json"], ["--json"]):
        assert cli.main(["fleet", *options]) == 1
        told = capsys.readouterr()
        assert "nothing listens there" in told.err
        assert told.err.count("\n") == 1
        assert told.out == ""


@pytest.mark.parametrize("argv", [["--every-ms", "10"], ["--store-url", "http://x"], ["--twice"]])
def test_a_setting_that_cannot_be_used_is_the_caller_s_fault(argv: list[str]) -> None:
    assert cli.main(["fleet", *argv]) == 2
