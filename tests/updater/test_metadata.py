"""What the exchange says about itself, from a simulated exchange into a store, private parts and all."""

import asyncio
import gzip
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from depthcast.errors import MalformedAnswer, SettingsError
from depthcast.files import depth_key
from depthcast.logs import configure
from depthcast.metadata.kinds import (
    EXCHANGE_INFO,
    PRIVATE_PREFIX,
    SYSTEM_STATUS,
    TRADING_STATUS,
    account,
    commission,
)
from depthcast.store.memory import MemoryStore
from depthcast.venues.binance_signing import ApiKey
from simulator.accounts import Account
from simulator.app import Simulator
from simulator.settings import Settings
from tests.updater.test_replica import honoured, running, until
from updater.metadata import system_status
from updater.replica import Replica
from updater.settings import UpdaterSettings

KEY = "Pl4ntedKey" * 6
SECRET = "pl4nted-s3cret" * 4
BALANCE = "777123.45670000"
SECRETS = (KEY, SECRET, BALANCE, "777123")


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(Settings(symbols=("ETHUSDT", "BTCUSDT"), depth=50, changes=4)) as made:
        made.exchange.accounts.add(Account.of(f"{KEY}\n{SECRET}"))
        made.changes.order({"change": "balance", "asset": "ETH", "free": BALANCE, "locked": "0"})
        yield made


def replica_on(
    sim: Simulator,
    store: MemoryStore,
    *,
    secret: str = SECRET,
    wall_ms: Callable[[], int] | None = None,
    **more: Any,
) -> Replica:
    settings = UpdaterSettings.model_validate(
        {
            "symbols": ("ETHUSDT",),
            "limits": (5,),
            "replica": "a",
            "exchange": "simulator",
            "simulator_url": sim.rest_url,
            "account": "main",
            "commission_symbols": ("ETHUSDT", "BTCUSDT"),
            "symbols_every_s": 0.2,
            "system_status_every_s": 0.2,
            "account_every_s": 0.2,
        }
        | more
    )
    key = ApiKey(KEY, secret) if settings.account else None
    return Replica(
        settings,
        store,
        prove=honoured,
        key=key,
        retry_initial_s=0.01,
        retry_maximum_s=0.05,
        wall_ms=wall_ms or (lambda: time.time_ns() // 1_000_000),
    )


async def document(store: MemoryStore, key: str) -> Any:
    found = await store.get(key)
    return None if found is None else json.loads(found.body)


async def says(store: MemoryStore, key: str, *path: str | int) -> Any:
    found = await document(store, key)
    for part in path:
        found = found[part] if found is not None else None
    return found


async def test_each_kind_is_asked_for_and_kept_and_what_is_unchanged_writes_nothing(sim: Simulator) -> None:
    store = MemoryStore()
    replica = replica_on(sim, store)
    fees = commission("main", "ETHUSDT").key
    async with running(replica):
        for key in (EXCHANGE_INFO.key, SYSTEM_STATUS.key, account("main").key, fees):
            await until(lambda key=key: document(store, key))  # type: ignore[misc]
        assert await document(store, SYSTEM_STATUS.key) == {"status": 0, "msg": "normal"}
        asked = replica.metadata.polls.beats()["account"].answered
        await until(lambda: replica.metadata.polls.beats()["account"].answered > asked + 3)
        first = account("main").changes_folder
        assert len([entry async for entry in store.list(first)]) == 1
        sim.changes.order({"change": "maintenance", "on": True})
        sim.changes.order({"change": "fee", "fee": "maker", "rate": "0.0005", "symbol": "ETHUSDT"})

        async def told() -> bool:
            status = await says(store, SYSTEM_STATUS.key, "status")
            return bool(status == 1) and bool(
                await says(store, fees, "standardCommission", "maker") == "0.00050000"
            )

        await until(told)
        replica.metadata.check()
    assert len([entry async for entry in store.list(SYSTEM_STATUS.changes_folder)]) == 2


async def test_what_each_symbol_does_is_derived_from_the_list_the_system_status_and_the_feed(
    sim: Simulator,
) -> None:
    store = MemoryStore()
    replica = replica_on(sim, store, symbols=("all",), account="", commission_symbols=(), silent_after_s=1.0)

    async def does(symbol: str, *, status: str, source: str) -> bool:
        found = await document(store, TRADING_STATUS.key)
        for each in found["symbols"] if found else ():
            if each["symbol"] == symbol:
                return bool((each["status"], each["source"]) == (status, source))
        return False

    async with running(replica):
        await until(lambda: does("ETHUSDT", status="TRADING", source="exchangeInfo"))
        books = replica.report.status()["symbols"]
        assert len(books) == 2
        # Its stream ends, and its neighbour's goes on: the exchange says nothing of it.
        await asyncio.sleep(12)
        sim.faults.inject("silent", symbol="ETHUSDT", form="now")
        await until(lambda: does("ETHUSDT", status="SILENT", source="feed"))
        sim.changes.order({"change": "status", "symbol": "ETHUSDT", "status": "BREAK"})
        await until(lambda: does("ETHUSDT", status="BREAK", source="exchangeInfo"))
        sim.changes.order({"change": "maintenance", "on": True})
        await until(lambda: does("BTCUSDT", status="MAINTENANCE", source="systemStatus"))
        sim.changes.order({"change": "maintenance", "on": False})
        await until(lambda: does("BTCUSDT", status="TRADING", source="exchangeInfo"))
    assert len([entry async for entry in store.list(TRADING_STATUS.changes_folder)]) >= 5


async def test_no_secret_and_no_balance_gets_anywhere_but_below_private(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    store, lines = MemoryStore(), StringIO()
    handler = logging.StreamHandler(lines)
    logging.getLogger().addHandler(handler)
    configure("json", "debug")
    try:
        replica = replica_on(sim, store)
        async with running(replica):
            await until(lambda: document(store, account("main").key))
            # Faults of every sort, for errors are where secrets get out.
            for form in ("html", "page", "truncated", "shrunk", "cut"):
                order = {"change": "spoil", "path": "/api/v3/account", "form": form, "count": 2}
                sim.changes.order(order)
            left = sim.exchange.spoiled["/api/v3/account"]
            await until(lambda: not left)
            failed = replica.metrics.registry.get_sample_value
            assert failed("depthcast_polls_total", {"kind": "account", "result": "failed"})
            metrics = generate_latest(replica.metrics.registry).decode()
            status = json.dumps(replica.report.status())
        shown = capsys.readouterr()
        everything = "".join((shown.out, shown.err, lines.getvalue(), metrics, status))
    finally:
        logging.getLogger().removeHandler(handler)
        configure("text", "info")
    assert "/api/v3/account" in everything, "the faults were told"
    assert [secret for secret in (*SECRETS, "signature=") if secret in everything] == []
    private = [entry.key async for entry in store.list(PRIVATE_PREFIX)]
    assert account("main").key in private
    for entry in [entry async for entry in store.list("")]:
        held = await store.get(entry.key)
        assert held is not None
        body = gzip.decompress(held.body) if held.body.startswith(b"\x1f\x8b") else held.body
        told = f"{entry.key} {held.metadata} {body.decode()}"
        assert not any(secret in told for secret in (KEY, SECRET)), entry.key
        if not entry.key.startswith(PRIVATE_PREFIX):
            assert BALANCE not in told, entry.key
        else:
            assert held.cache_control == "private, no-store"


async def test_a_key_that_is_refused_stops_that_poll_alone(sim: Simulator) -> None:
    store = MemoryStore()
    replica = replica_on(sim, store, secret="another")
    value = replica.metrics.registry.get_sample_value
    async with running(replica):
        await until(lambda: value("depthcast_polls_total", {"kind": "account", "result": "refused"}))
        await until(lambda: document(store, SYSTEM_STATUS.key))
        sim.changes.order({"change": "list", "symbol": "NEWUSDT"})
        await until(lambda: replica.metadata.polls.beats()["systemStatus"].answered > 3)
        assert value("depthcast_polls_total", {"kind": "account", "result": "refused"}) == 1
    assert await document(store, account("main").key) is None
    assert [entry async for entry in store.list(PRIVATE_PREFIX)] == []


@pytest.mark.parametrize("form", ["page", "html", "truncated", "shrunk", "500"])
async def test_bad_answers_leave_the_last_good_file_and_no_trace_in_the_history(
    sim: Simulator, form: str
) -> None:
    store = MemoryStore()
    replica = replica_on(sim, store, commission_symbols=())
    kinds = (EXCHANGE_INFO, SYSTEM_STATUS, account("main"))
    async with running(replica):
        for kind in kinds:
            await until(lambda kind=kind: document(store, kind.key))  # type: ignore[misc]
        before = {kind.key: await document(store, kind.key) for kind in kinds}
        for kind in kinds:
            order = {"change": "spoil", "path": kind.path, "form": form, "count": 4}
            sim.changes.order(order)
        await until(lambda: not any(sim.exchange.spoiled.values()))
        answered = {kind: each.answered for kind, each in replica.metadata.polls.beats().items()}
        await until(
            lambda: all(
                each.answered > answered[kind] for kind, each in replica.metadata.polls.beats().items()
            )
        )
        assert replica.report.status()["symbols"][0]["symbol"] == "ETHUSDT"
    for kind in kinds:
        assert await document(store, kind.key) == before[kind.key]
        assert len([entry async for entry in store.list(kind.changes_folder)]) == 1


async def test_a_replica_whose_clock_is_of_another_day_has_books_and_leaves_the_list_to_others(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    store = MemoryStore()
    slow = replica_on(
        sim,
        store,
        account="",
        commission_symbols=(),
        wall_ms=lambda: time.time_ns() // 1_000_000 - 108_000_000,
    )
    async with running(slow):
        await until(lambda: store.get(depth_key("ETHUSDT", 5)))
        await until(lambda: slow.metadata.polls.beats()["systemStatus"].answered > 3)
        # To others it looks as if it had no answer, so that one of them asks.
        assert slow.metadata.polls.beats()["exchangeInfo"].answered == 0
        assert slow.metadata.listings.selected == {"ETHUSDT"}
        assert await store.get(EXCHANGE_INFO.key) is None
        told = generate_latest(slow.metrics.registry).decode()
        assert 'depthcast_polls_total{kind="exchangeInfo",result="failed"} 0.0' not in told
    shown = capsys.readouterr()
    assert "its serverTime is 30 hours ahead of this machine" in shown.out + shown.err


async def test_where_the_host_has_market_data_alone_nothing_else_is_asked(sim: Simulator) -> None:
    store = MemoryStore()
    replica = replica_on(sim, store, account="", commission_symbols=(), api_url="")
    async with running(replica):
        await until(lambda: document(store, EXCHANGE_INFO.key))
        assert set(replica.metadata.polls.beats()) == {"exchangeInfo"}
    assert await document(store, SYSTEM_STATUS.key) is None


async def test_a_host_of_its_own_is_asked_with_a_budget_of_its_own(sim: Simulator) -> None:
    store = MemoryStore()
    replica = replica_on(sim, store, api_url=f"{sim.rest_url}/", rest_url=sim.rest_url)
    assert replica.metadata._api is replica._rest
    other = replica_on(sim, store, api_url=sim.rest_url.replace("127.0.0.1", "localhost"))
    assert other.metadata._api is not other._rest
    other._silenced_elsewhere(5000)
    assert other._rest.silent_for_s > 4, "a ban is the address's, whichever host spoke"
    for each in (replica, other):
        await each.metadata.close()
        await each._rest.close()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"account": "main"}, "api_url is not"),
        ({"account_key_file": Path("x")}, "name it with account"),
        ({"commission_symbols": "ETHUSDT"}, "name it with account"),
        ({"account": "a/b"}, "account"),
        ({"account": "history", "api_url": "http://h"}, "not history"),
        ({"account": "a", "api_url": "http://h", "commission_symbols": "eth"}, "misspelled"),
        ({"api_url": "ftp://h"}, "API_URL"),
        ({"recv_window_ms": 60_001}, "RECV_WINDOW_MS"),
    ],
)
def test_settings_that_contradict_each_other_are_one_clear_line(given: dict[str, Any], words: str) -> None:
    env = {f"DEPTHCAST_{name.upper()}": str(value) for name, value in given.items()}
    with pytest.raises(SettingsError, match=words) as raised:
        UpdaterSettings.load([], env)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"status":"0"}', b'{"status":2}', b'{"status":true}'])
def test_a_system_status_is_0_or_1(body: bytes) -> None:
    with pytest.raises(MalformedAnswer, match="/sapi/v1/system/status"):
        system_status(body)
    assert [system_status(b'{"status":%d,"msg":""}' % status) for status in (0, 1)] == [False, True]
