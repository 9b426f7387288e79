"""What recorders write: the current file, the head and the history; each change once."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from depthcast.errors import MalformedAnswer, StoreError, StoreUnavailable
from depthcast.metadata.history import History
from depthcast.metadata.kinds import EXCHANGE_INFO, SYSTEM_STATUS, Kind, account
from depthcast.metadata.record import Recorded, name_of
from depthcast.metadata.recorder import WIDE_SYMBOLS, Offered, Offering, Recorder
from depthcast.store import Outcome, PutResult, StoredObject
from depthcast.store.memory import MemoryStore
from tests.depthcast.metadata.documents import compact, listing, symbol, told

T = TypeVar("T")

NOW = 1_800_000_000_000
ETH, BTC = symbol("ETHUSDT"), symbol("BTCUSDT", step="0.00001000")
NORMAL, MAINTENANCE = b'{"status":0,"msg":"normal"}', b'{"status":1,"msg":"system_maintenance"}'


class Shelf(MemoryStore):
    """Counts calls; ``hook`` is called before each write, and its result, if any, is the outcome."""

    def __init__(self, *, content_etags: bool = False) -> None:
        super().__init__(content_etags=content_etags)
        self.peeks = 0
        self.writes: list[str] = []
        self.hook: Callable[[str], Awaitable[PutResult | None]] | None = None

    async def peek(self, key: str, length: int) -> StoredObject | None:
        self.peeks += 1
        return await super().peek(key, length)

    async def put_if(self, key: str, body: bytes, **more: Any) -> PutResult:
        given = await self.hook(key) if self.hook else None
        self.writes.append(key)
        return given or await super().put_if(key, body, **more)

    async def names(self, prefix: str) -> list[str]:
        return [entry.key.removeprefix(prefix) async for entry in self.list(prefix)]

    def drop(self, key: str) -> None:
        del self._objects[key]
        self._keys = None

    async def replace(self, key: str, body: bytes, **metadata: str) -> None:
        held = await MemoryStore.get(self, key)
        match = held.etag if held else None
        result = await MemoryStore.put_if(self, key, body, match=match, metadata=metadata)
        assert result.outcome is Outcome.WON


async def inline(work: Callable[..., T], /, *given: Any) -> T:
    return work(*given)


def recorder_on(store: MemoryStore, kind: Kind = EXCHANGE_INFO, replica: str = "a", **more: Any) -> Recorder:
    more = {"wall_ms": lambda: NOW, "aside": inline} | more
    return Recorder(store, kind, replica=replica, **more)


async def offer(recorder: Recorder, body: bytes, observed_ms: int = NOW) -> Offered:
    offered = await recorder.offer(body, observed_ms)
    recorder.check()
    return offered


async def documents(store: MemoryStore, kind: Kind = EXCHANGE_INFO) -> list[bytes]:
    """All of the history, the oldest first."""
    keys = [entry.key async for entry in store.list(kind.changes_folder)]
    found = [await store.get(key) for key in reversed(keys)]
    return [Recorded.parse("", each.body).document for each in found if each is not None]


@pytest.fixture(params=[False, True], ids=["etag a write", "etag a body"])
def store(request: pytest.FixtureRequest) -> Shelf:
    return Shelf(content_etags=request.param)


async def test_the_first_document_is_the_current_file_as_it_is_and_the_history_begins(store: Shelf) -> None:
    body = listing(NOW, ETH)
    offered = await offer(recorder_on(store, cache_control="no-cache"), body)
    assert (offered.offering, offered.record and offered.record.changes) == (Offering.RECORDED, ())
    found = await store.get("api/v3/exchangeInfo")
    assert found is not None
    assert (found.body, found.content_type, found.cache_control) == (body, "application/json", "no-cache")
    assert {
        name: found.metadata[name] for name in ("sequence", "observed-time", "replica", "server-time")
    } == {
        "sequence": "1",
        "observed-time": str(NOW),
        "replica": "a",
        "server-time": str(NOW),
    }
    assert await store.names("history/") == [f"exchangeInfo/changes/{name_of(NOW, 1)}"]
    head, kept = await store.get("metadata/exchangeInfo"), await store.get(store.writes[1])
    assert head is not None
    assert kept is not None
    assert head.body == kept.body


async def test_a_document_that_says_nothing_new_costs_two_small_reads(store: Shelf) -> None:
    recorder = recorder_on(store)
    await offer(recorder, listing(NOW, ETH))
    store.peeks = len(store.writes)
    for later in (0, 1, 700):
        store.peeks, written = 0, len(store.writes)
        assert (await offer(recorder, listing(NOW + later, ETH))).offering is Offering.UNCHANGED
        assert (store.peeks, len(store.writes)) == (2, written)


async def test_a_change_is_recorded_with_what_it_changes(store: Shelf) -> None:
    recorder = recorder_on(store)
    await offer(recorder, listing(NOW, ETH, BTC))
    offered = await offer(recorder_on(store, replica="b"), listing(NOW + 5, {**ETH, "status": "HALT"}, BTC))
    assert offered.record is not None
    assert told(offered.record.changes) == [("symbols/ETHUSDT/status", "changed", "TRADING", "HALT")]
    assert (offered.record.sequence, offered.record.observed_ms) == (2, NOW + 5)
    assert offered.record.replica == "b"
    assert await store.names("history/exchangeInfo/symbols/") == [f"ETHUSDT/{name_of(NOW + 5, 2)}"]
    assert await documents(store) == [
        listing(NOW, ETH, BTC),
        listing(NOW + 5, {**ETH, "status": "HALT"}, BTC),
    ]


async def test_the_same_in_another_order_is_no_change_and_is_compared_once(store: Shelf) -> None:
    recorder = recorder_on(store)
    await offer(recorder, listing(NOW, ETH, BTC))
    for later in (1, 2, 3):
        store.peeks = 0
        assert (await offer(recorder, listing(NOW + later, BTC, ETH))).offering is Offering.UNCHANGED
    assert store.peeks == 2
    assert len(await documents(store)) == 1


async def test_what_was_made_before_the_head_is_dropped(store: Shelf) -> None:
    await offer(recorder_on(store), listing(NOW, ETH))
    for time in (NOW - 1, NOW):
        offered = await offer(recorder_on(store, replica="b"), listing(time, BTC))
        assert offered.offering is Offering.OLDER
    assert await documents(store) == [listing(NOW, ETH)]


async def test_a_head_of_the_far_future_does_not_hold_back_what_comes(store: Shelf) -> None:
    hour = 3_600_000
    recorder = recorder_on(store)
    await offer(recorder, listing(NOW + hour, ETH))
    offered = await offer(recorder, listing(NOW + 5, BTC))
    assert offered.record is not None
    assert (offered.record.sequence, offered.record.observed_ms) == (2, NOW + hour + 1)
    # Within a minute clocks may differ: that one is taken for newer, and the next poll settles it.
    near = Shelf()
    await offer(recorder_on(near), listing(NOW + 30_000, ETH))
    assert (await offer(recorder_on(near), listing(NOW + 5, BTC))).offering is Offering.OLDER


async def test_a_document_of_another_day_is_refused(store: Shelf) -> None:
    with pytest.raises(MalformedAnswer, match="48 hours ahead"):
        await offer(recorder_on(store), listing(NOW + 2 * 86_400_000, ETH))
    assert store.writes == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>502 Bad Gateway</body></html>",
        listing(NOW, ETH)[:-40],
        listing(NOW, ETH)[: len(listing(NOW, ETH)) // 2] + b"}",
        b"{}",
        listing(NOW),
        compact({"serverTime": NOW, "symbols": {"a": 1}}),
        listing(NOW, {"symbol": "ETHUSDT"}),
        listing(NOW, ETH, {**ETH, "status": "HALT"}),
        listing(NOW, ETH).replace(b'"serverTime":', b'"time":'),
        listing(NOW, ETH).replace(b'"exchangeFilters":[]', b'"exchangeFilters":NaN'),
        b'{"serverTime":1800000000000,"symbols":' + b"[" * 100_000 + b"}",
        b'{"serverTime":1800000000000,"symbols":"\xff"}',
    ],
)
async def test_what_is_no_document_leaves_all_as_it_was(store: Shelf, body: bytes) -> None:
    recorder = recorder_on(store)
    await offer(recorder, listing(NOW - 1, ETH))
    writes = list(store.writes)
    with pytest.raises(MalformedAnswer):
        await offer(recorder, body)
    assert store.writes == writes


async def test_a_list_that_lost_most_of_its_symbols_is_believed_when_it_is_told_again(store: Shelf) -> None:
    recorder = recorder_on(store)
    many = [symbol(f"A{n}USDT") for n in range(10)]
    await offer(recorder, listing(NOW, *many))
    for attempt in (1, 2):
        with pytest.raises(MalformedAnswer, match="lacks 6 of 10"):
            await offer(recorder, listing(NOW + attempt, *many[:4]))
    # Something else between them, and it begins again.
    with pytest.raises(MalformedAnswer, match="lacks 7 of 10"):
        await offer(recorder, listing(NOW + 3, *many[:3]))
    for attempt in (4, 5):
        with pytest.raises(MalformedAnswer):
            await offer(recorder, listing(NOW + attempt, *many[:4]))
    assert (await offer(recorder, listing(NOW + 6, *many[:4]))).offering is Offering.RECORDED
    assert len(await documents(store)) == 2


async def test_half_of_the_symbols_may_go_at_once(store: Shelf) -> None:
    recorder = recorder_on(store)
    many = [symbol(f"A{n}USDT") for n in range(10)]
    await offer(recorder, listing(NOW, *many))
    assert (await offer(recorder, listing(NOW + 1, *many[:5]))).offering is Offering.RECORDED


async def test_a_change_of_very_many_symbols_is_kept_once_for_all(store: Shelf) -> None:
    recorder = recorder_on(store)
    names = [f"A{n}USDT" for n in range(WIDE_SYMBOLS + 1)]
    await offer(recorder, listing(NOW, *map(symbol, names)))
    await offer(recorder, listing(NOW + 1, *(symbol(name, "HALT") for name in names)))
    await offer(recorder, listing(NOW + 2, *(symbol(name, "HALT") for name in names[:-1])))
    assert await store.names("history/exchangeInfo/wide/") == [name_of(NOW + 1, 2)]
    assert await store.names("history/exchangeInfo/symbols/") == [f"{names[-1]}/{name_of(NOW + 2, 3)}"]


async def test_a_symbol_that_no_key_could_hold_is_kept_with_the_wide_ones(store: Shelf) -> None:
    recorder = recorder_on(store)
    await offer(recorder, listing(NOW, ETH))
    await offer(recorder, listing(NOW + 1, ETH, symbol("..")))
    assert await store.names("history/exchangeInfo/wide/") == [name_of(NOW + 1, 2)]


async def test_two_bodies_that_alternate_are_a_change_each_time(store: Shelf) -> None:
    recorders = [recorder_on(store, SYSTEM_STATUS, name) for name in "ab"]
    bodies = [NORMAL, MAINTENANCE] * 4
    for at, body in enumerate(bodies):
        for recorder in recorders:
            await offer(recorder, body, NOW + 10 * at)
    assert await documents(store, SYSTEM_STATUS) == bodies
    found = await store.get("sapi/v1/system/status")
    assert found is not None
    assert (found.body, found.metadata["sequence"]) == (MAINTENANCE, "8")


async def test_a_current_file_that_was_put_back_is_mended_by_the_next_who_offers(store: Shelf) -> None:
    recorder = recorder_on(store, SYSTEM_STATUS)
    for at, body in enumerate((NORMAL, MAINTENANCE)):
        await offer(recorder, body, NOW + at)
    # A write that was given up long ago arrives.
    await store.replace("sapi/v1/system/status", NORMAL, sequence="1")
    assert (await offer(recorder, MAINTENANCE, NOW + 9)).offering is Offering.UNCHANGED
    found = await store.get("sapi/v1/system/status")
    assert found is not None
    assert found.body == MAINTENANCE


async def test_nobody_replaces_a_head_whose_change_is_not_in_the_history(store: Shelf) -> None:
    async def killed(key: str) -> PutResult | None:
        if key.startswith("history/"):
            raise asyncio.CancelledError
        return None

    store.hook = killed
    with pytest.raises(asyncio.CancelledError):
        await offer(recorder_on(store), listing(NOW, ETH))
    assert await documents(store) == []
    store.hook = None
    store.writes.clear()
    await offer(recorder_on(store, replica="b"), listing(NOW + 1, BTC))
    assert await documents(store) == [listing(NOW, ETH), listing(NOW + 1, BTC)]
    assert store.writes[:3] == [
        f"history/exchangeInfo/changes/{name_of(NOW, 1)}",
        "api/v3/exchangeInfo",
        "metadata/exchangeInfo",
    ]


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.THROTTLED, Outcome.LOST])
async def test_a_write_whose_fate_is_not_known_leaves_it_unsettled(store: Shelf, outcome: Outcome) -> None:
    async def refused(_key: str) -> PutResult:
        return PutResult(outcome)

    store.hook = refused
    recorder = recorder_on(store)
    offered = await offer(recorder, listing(NOW, ETH))
    assert offered.offering is Offering.UNSETTLED
    assert offered.why
    store.hook = None
    assert (await offer(recorder, listing(NOW, ETH))).offering is Offering.RECORDED


async def test_a_history_that_cannot_be_written_is_an_error_until_it_can(store: Shelf) -> None:
    async def refused(key: str) -> PutResult | None:
        return PutResult(Outcome.UNKNOWN) if key.startswith("history/") else None

    store.hook = refused
    recorder = recorder_on(store)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await offer(recorder, listing(NOW, ETH))
    store.hook = None
    assert (await offer(recorder, listing(NOW + 1, ETH))).offering is Offering.UNCHANGED
    assert await documents(store) == [listing(NOW, ETH)]


@pytest.mark.parametrize("damage", ["deleted", "foreign", "cut off"])
async def test_a_head_that_is_lost_is_taken_from_the_history(store: Shelf, damage: str) -> None:
    for at, each in enumerate((ETH, BTC)):
        await offer(recorder_on(store), listing(NOW + at, each))
    head = await store.get("metadata/exchangeInfo")
    assert head is not None
    if damage == "deleted":
        store.drop("metadata/exchangeInfo")
    elif damage == "foreign":
        await store.replace("metadata/exchangeInfo", b"?")
    else:
        await store.replace("metadata/exchangeInfo", head.body[:-9], **head.metadata)
    offered = await offer(recorder_on(store), listing(NOW + 7, ETH, BTC))
    assert offered.record is not None
    assert offered.record.sequence == 3
    assert await documents(store) == [listing(NOW, ETH), listing(NOW + 1, BTC), listing(NOW + 7, ETH, BTC)]


async def test_what_is_private_stays_below_its_prefix_and_in_no_cache() -> None:
    store = Shelf()
    kind = account("main")
    for at, free in enumerate(("1.0", "2.0")):
        body = compact({"makerCommission": 10, "balances": [{"asset": "BTC", "free": free}]})
        await offer(recorder_on(store, kind, cache_control="public"), body, NOW + at)
    keys = await store.names("")
    assert keys
    assert all(key.startswith("private/") for key in keys)
    for key in keys:
        found = await store.get(key)
        assert found is not None
        assert "private" in (found.cache_control or "") or key == kind.head_key
        assert "public" not in (found.cache_control or "")
    offered = await History(store, kind, aside=inline).log()
    assert told(offered.records[0].changes) == [("balances/BTC/free", "changed", "1.0", "2.0")]


async def test_recorders_that_see_the_same_news_write_it_once(store: Shelf) -> None:
    await offer(recorder_on(store), listing(NOW, ETH))
    offered = await asyncio.gather(
        *(offer(recorder_on(store, replica=name), listing(NOW + 1 + n, BTC)) for n, name in enumerate("abc"))
    )
    assert [each.offering for each in offered].count(Offering.RECORDED) == 1
    assert [json.loads(each)["symbols"] for each in await documents(store)] == [[ETH], [BTC]]


async def test_an_outage_is_told(store: Shelf) -> None:
    class Away(Shelf):
        async def peek(self, key: str, length: int) -> StoredObject | None:
            raise StoreUnavailable("away")

    with pytest.raises(StoreError):
        await offer(recorder_on(Away()), listing(NOW, ETH))
