"""What people and stores get wrong: settings, credentials, names, objects that are none of ours.

A mistake ends a process with one clear line and its status: 2 where a setting or the command is at fault, 1
otherwise. Damaged objects end nothing: they are passed over, counted, and replaced by the next write.
"""

import asyncio
import contextlib
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from depthcast.files import FileInfo, depth_key, heartbeat_key
from depthcast.heartbeat import Heartbeat
from depthcast.store import open_store
from depthcast.store.memory import MemoryStore
from simulator.app import Simulator
from simulator.settings import Settings
from tests.system.audit import Audited, all_are_current, auditor_of
from tests.system.replicas import Totals, running_replica
from tests.system.servers import running_server
from tests.system.waiting import until

REPOSITORY: Final = Path(__file__).parents[2]
WITHIN_S: Final = 90.0
LIMITS: Final = (5, 100)
PACE: Final = ("--limits", "5,100", "--cadence", "100:50", "--same-levels-ms", "100")
MARKET: Final = Settings(symbols=1, varied=False, depth=80, changes=6, rate=20)
SYMBOL: Final = "BTCUSDT"

UPDATER: Final = ("updater", "--listen", "127.0.0.1:0")
SERVER: Final = ("server", "--listen", "127.0.0.1:0")
FLEET: Final = ("depthcast", "fleet", "--once")
SHOW: Final = ("depthcast", "epoch", "show", SYMBOL)
CLAIM: Final = ("depthcast", "epoch", "claim", SYMBOL, "--yes")
MARK: Final = ("depthcast", "epoch", "mark", SYMBOL, "HALT")

pytestmark = pytest.mark.timeout(180)


async def begun(*argv: str, **env: str) -> Process:
    """``python -m …`` without the settings of this environment."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "DEPTHCAST_"))}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *argv), env=ours | env, cwd=REPOSITORY, stdout=PIPE, stderr=PIPE
    )


async def ended(*argv: str, **env: str) -> tuple[int | None, str]:
    """Exit status and standard error of a process that ends by itself."""
    process = await begun(*argv, **env)
    try:
        _, errors = await asyncio.wait_for(process.communicate(), WITHIN_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, errors.decode()


def clear(errors: str, *words: str) -> str:
    """The line that says what is wrong: the last one, and the only one that is no log line."""
    said = [line for line in errors.splitlines() if not line.startswith("{")]
    assert len(said) == 1, errors
    assert said[0] == errors.splitlines()[-1]
    assert said[0].startswith("depthcast"), said
    assert "Traceback" not in errors
    for word in words:
        assert word in said[0]
    return said[0]


@pytest.mark.parametrize(
    ("argv", "env", "words"),
    [
        ((*UPDATER, "--limits", "5,many"), {}, ("limits", "many")),
        ((*UPDATER, "--limits", "0"), {}, ("limits", "0")),
        ((*UPDATER, "--store-url", "https://bucket"), {}, ("https://bucket", "s3://BUCKET")),
        ((*UPDATER, "--takeover-ms", "5"), {}, ("--takeover-ms", "--takeover-after-ms")),
        ((*UPDATER, "--store-url", "s3://bucket"), {}, ("AWS_ACCESS_KEY_ID",)),
        (UPDATER, {"DEPTHCAST_REDUNDANCY": "-1"}, ("REDUNDANCY", "-1")),
        ((*UPDATER, "--replica", "a/b"), {}, ("replica", "a/b")),
        ((*SERVER, "--store-url", "s3:/bucket"), {}, ("s3:/bucket", "s3://BUCKET")),
        ((*SERVER, "--stale-polcy", "503"), {}, ("--stale-polcy",)),
        ((*FLEET, "--store-url", "bucket"), {}, ("bucket", "s3://BUCKET")),
        ((*FLEET, "--jsn"), {}, ("--jsn", "--json")),
        ((*SHOW, "--store-url", "bucket"), {}, ("bucket", "s3://BUCKET")),
        ((*CLAIM, "--limit", "many"), {}, ("many",)),
        (("depthcast", "epoch", "clame", SYMBOL), {}, ("clame", "claim")),
        ((*MARK[:-1], "HALT!"), {}, ("HALT!", "DELISTED")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
async def test_a_setting_that_cannot_be_used_is_one_line_and_status_2(
    argv: tuple[str, ...], env: Mapping[str, str], words: tuple[str, ...]
) -> None:
    status, errors = await ended(*argv, **env)
    assert status == 2, errors
    clear(errors, *words)


async def test_a_misspelled_variable_is_told_and_ignored() -> None:
    status, errors = await ended(*SERVER, "--listen", "nowhere", DEPTHCAST_STALE_AFTR_MS="5")
    first, last = errors.splitlines()
    assert "DEPTHCAST_STALE_AFTR_MS (did you mean DEPTHCAST_STALE_AFTER_MS?)" in first
    assert status == 2, errors
    clear(last, "nowhere")


async def test_a_symbol_that_does_not_exist_is_named_with_one_that_does() -> None:
    async with Simulator(MARKET) as sim:
        urls = ("--rest-url", sim.rest_url, "--ws-url", sim.ws_url)
        argv = (*UPDATER, "--log-format", "json", "--store-url", "memory:", *urls, "--symbols", "BTCUSD")
        status, errors = await ended(*argv)
        assert status == 2, errors
        clear(errors, "BTCUSD", "did you mean BTCUSDT")


REFUSED: Final = [
    *((argv, "secret") for argv in (UPDATER, SERVER, FLEET, SHOW, CLAIM, MARK)),
    # A server waits for a bucket: a process that makes it may be about to.
    *((argv, "bucket") for argv in (UPDATER, FLEET, SHOW, CLAIM, MARK)),
]


@pytest.mark.parametrize(("argv", "wrong"), REFUSED, ids=[f"{' '.join(a[:3])} {w}" for a, w in REFUSED])
async def test_what_a_store_refuses_is_one_line_and_status_1(
    s3_bucket: Mapping[str, str], argv: tuple[str, ...], wrong: str
) -> None:
    env = dict(s3_bucket)
    if wrong == "secret":
        env["AWS_SECRET_ACCESS_KEY"] = "hunter2hunter2"
    else:
        env["DEPTHCAST_STORE_URL"] = "s3://no-such-bucket"
    async with Simulator(MARKET) as sim:
        if argv in (UPDATER, CLAIM):
            argv += ("--rest-url", sim.rest_url, "--ws-url", sim.ws_url)
        logs = ("--log-format", "json") if argv[0] != "depthcast" else ()
        status, errors = await ended(*argv, *logs, **env)
    assert status == 1, errors
    clear(errors, "AWS_SECRET_ACCESS_KEY" if wrong == "secret" else "no-such-bucket")
    assert "hunter2" not in errors


async def test_a_server_says_that_it_waits_for_a_bucket(s3_bucket: Mapping[str, str]) -> None:
    env = dict(s3_bucket) | {"DEPTHCAST_STORE_URL": "s3://no-such-bucket"}
    process = await begun(*SERVER, "--log-format", "json", **env)
    try:
        line = await asyncio.wait_for(line_with(process, "waiting for the store"), WITHIN_S)
        assert "no-such-bucket" in line["why"]
        process.terminate()
        _, errors = await asyncio.wait_for(process.communicate(), WITHIN_S)
        assert process.returncode == 0
        assert b"Traceback" not in errors
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_two_replicas_of_one_name_are_told_so(s3_bucket: Mapping[str, str]) -> None:
    async with Simulator(MARKET) as sim:
        urls = ("--rest-url", sim.rest_url, "--ws-url", sim.ws_url)
        argv = (*UPDATER, "--replica", "twin", "--symbols", SYMBOL, "--log-format", "json", *urls)
        processes = [await begun(*argv, **s3_bucket) for _ in range(2)]
        try:
            told = [asyncio.ensure_future(line_with(each, "under this name")) for each in processes]
            done, _ = await asyncio.wait(told, timeout=WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
            line = done.pop().result()
            assert line["replica"] == "twin"
            assert "--replica" in line["event"]
            assert line["level"] == "warning"
        finally:
            for each in told:
                each.cancel()
            for process in processes:
                process.kill()
            for process in processes:
                await process.communicate()


async def line_with(process: Process, event: str) -> dict[str, Any]:
    """The first log line of this event."""
    assert process.stderr is not None
    while line := await process.stderr.readline():
        entry: dict[str, Any] = json.loads(line)
        if event in entry["event"]:
            return entry
    raise AssertionError(f"the process ended without the line {event!r}")


# Objects that are not what they should be

GOOD: Final = FileInfo(0, 80, 80, True, True, 0, 0, "a").to_metadata()

DAMAGED: Final[Mapping[str, tuple[bytes, Mapping[str, str]]]] = {
    "foreign JSON": (b'{"hello":"world"}', {}),
    "no JSON": (b"\xff\xfe\x00", {}),
    "empty": (b"", GOOD),
    "no metadata": (b'{"lastUpdateId":1,"bids":[],"asks":[]}', {}),
    "bad metadata": (b'{"lastUpdateId":1,"bids":[],"asks":[]}', GOOD | {"epoch": "minus one"}),
    "truncated": (b'{"lastUpdateId":1,"bids":[["1.0","2', GOOD),
}


@pytest.mark.parametrize("damage", DAMAGED)
async def test_a_damaged_file_is_counted_and_replaced_at_the_start_and_later(damage: str) -> None:
    body, metadata = DAMAGED[damage]
    async with Simulator(MARKET) as sim:
        auditor = auditor_of(sim)
        inner = MemoryStore()
        for limit in LIMITS:
            await inner.put_if(depth_key(SYMBOL, limit), body, match=None, metadata=metadata)
        async with replica_on(sim, Audited(inner, auditor), "a") as replica:
            await all_are_current(auditor, LIMITS, 60)
            # The beginning of a cut file is that of a good one, and the next write replaces it unread.
            seen = damage != "truncated"
            assert not seen or damaged_files(replica) >= len(LIMITS)

            before = damaged_files(replica)
            key = depth_key(SYMBOL, 5)
            held = await inner.get(key)
            assert held is not None
            assert (await inner.put_if(key, body, match=held.etag, metadata=metadata)).etag
            await until(lambda: damaged_files(replica) > before or not seen)
            await all_are_current(auditor, LIMITS, 60)


async def test_a_cut_file_is_no_snapshot_to_begin_from() -> None:
    async with Simulator(MARKET) as sim:
        auditor = auditor_of(sim)
        inner = MemoryStore()
        ahead = sim.exchange.instruments[SYMBOL].journal.update_id + 3_000
        body = b'{"lastUpdateId":%d,"bids":[["1.0","2' % ahead
        await inner.put_if(depth_key(SYMBOL, LIMITS[-1]), body, match=None, metadata=GOOD)
        async with replica_on(sim, Audited(inner, auditor), "a") as replica:
            await until(lambda: damaged_files(replica) > 0)
            await all_are_current(auditor, LIMITS[:1], 60)
            assert replica.report.status()["symbols"][0]["source"] == "rest"
            # Its id was to be believed, so it stays until the book is beyond it: let time fly.
            while sim.exchange.instruments[SYMBOL].journal.update_id <= ahead:
                sim.exchange.tick()
                await asyncio.sleep(0)
            await auditor.reached(SYMBOL, LIMITS[-1], ahead + 1)
            await all_are_current(auditor, LIMITS, 60)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"replica":"ghost"}', b'{"replica":"ghost","beat":-1}'])
async def test_a_heartbeat_that_is_none_is_counted_and_nobody_is_taken_for_alive(body: bytes) -> None:
    async with Simulator(MARKET) as sim:
        auditor = auditor_of(sim)
        inner = MemoryStore()
        for name in ("a", "ghost"):
            await inner.put_if(heartbeat_key(name), body, match=None)
        await inner.put_if("fleet/notes.txt", b"not ours", match=None)
        async with replica_on(sim, Audited(inner, auditor), "a") as replica:
            await all_are_current(auditor, LIMITS, 60)
            await until(lambda: Totals([replica])["depthcast_damaged_heartbeats_total", ""] >= 2)
            assert replica.report.status()["fleet"]["living"] == ["a"]
            found = await inner.get(heartbeat_key("a"))
            assert found is not None
            assert Heartbeat.from_body("a", found.body).replica == "a"


async def test_the_server_answers_a_damaged_file_with_an_error_and_the_next_good_one(
    s3_bucket: Mapping[str, str],
) -> None:
    store = open_store(s3_bucket["DEPTHCAST_STORE_URL"], s3_bucket)
    key = depth_key(SYMBOL, 5)
    good = b'{"lastUpdateId":7,"bids":[["1.00","2.00"]],"asks":[["3.00","4.00"]]}'
    try:
        for limit in (5, 10, 20, 50, 100, 500, 1000, 5000):
            await store.put_if(depth_key(SYMBOL, limit), b'{"hello":1}', match=None)
        async with running_server(s3_bucket) as url, aiohttp.ClientSession() as session:
            ask = f"{url}/api/v3/depth?symbol={SYMBOL}&limit=5"
            async with session.get(ask) as answer:
                assert answer.status >= 400
                assert (await answer.json())["code"] < 0
            held = await store.get(key)
            assert held is not None
            info = FileInfo(0, 1, 1, True, True, 0, 0, "a").to_metadata()
            assert (await store.put_if(key, good, match=held.etag, metadata=info)).etag
            async with asyncio.timeout(WITHIN_S):
                while True:
                    async with session.get(ask) as answer:
                        if answer.status == 200:
                            assert await answer.read() == good
                            break
                    await asyncio.sleep(0.1)
    finally:
        await store.close()


@contextlib.asynccontextmanager
async def replica_on(sim: Simulator, store: Audited, name: str) -> AsyncIterator[Any]:
    urls = ("--rest-url", sim.rest_url, "--ws-url", sim.ws_url)
    argv = ("--symbols", "all", "--replica", name, *urls, *PACE, "--watch-ms", "100")
    async with running_replica(store, *argv) as replica:
        yield replica


def damaged_files(replica: Any) -> float:
    return Totals([replica])["depthcast_damaged_files_total", ""]
