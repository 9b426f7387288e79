"""``depthcast epoch claim``: what it declines, what it writes, and what it says of each outcome."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from depthcast import cli
from depthcast.cli.epoch.claim import Claim, carry_out, prepare
from depthcast.errors import DepthcastError, Refused, StoreUnavailable
from depthcast.events import Snapshot
from depthcast.files import BINANCE_USDM, FileInfo, Version, depth_key, version_of
from depthcast.orders.messages import AnySnapshot, OrderSnapshot
from depthcast.rest import Rest
from depthcast.rows.messages import RowSnapshot
from depthcast.store import Outcome, PutResult, StoredObject

KEY = depth_key("ETHUSDT", 20)

BIDS = [["10.10", "1.00"], ["10.00", "2.00"], ["9.90", "3.00"]]
ASKS = [["10.20", "1.00"]]


class Venue:
    """Takes snapshots at ``update_id``, and lets something happen meanwhile."""

    def __init__(self, update_id: int) -> None:
        self.update_id = update_id
        self.asked: list[tuple[str, int]] = []
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        self.error: Exception | None = None
        self.asks = ASKS

    async def snapshot(self, symbol: str, limit: int) -> Snapshot:
        self.asked.append((symbol, limit))
        if self.meanwhile is not None:
            await self.meanwhile()
        if self.error is not None:
            raise self.error
        bids, asks = BIDS[:limit], self.asks[:limit]
        return Snapshot(self.update_id, bids, asks, len(bids) < limit, len(asks) < limit)


async def at_once(_seconds: float) -> None:
    """A clock that does not make anybody wait."""


async def prepared(store: Any, venue: Venue, **more: Any) -> Claim:
    settings: dict[str, Any] = {"sleep": at_once, "wall_ms": lambda: 77} | more
    return await prepare(store, venue.snapshot, "ETHUSDT", **settings)


async def stored(store: Any, limit: int = 20) -> tuple[Version, FileInfo, bytes]:
    held = await store.get(depth_key("ETHUSDT", limit))
    info = FileInfo.from_metadata("", held.metadata)
    return version_of("", held.body, held.metadata), info, held.body


async def test_files_ahead_of_the_exchange_are_followed_by_the_next_epoch(store: Any, publish: Any) -> None:
    await publish("ETHUSDT", {5: 165, 20: 160}, epoch=3, status="HALT")
    venue = Venue(100)
    claim = await prepared(store, venue)
    assert venue.asked == [("ETHUSDT", 20)]
    assert str(claim) == (
        f"ETHUSDT: {KEY} goes from 3:160 to 4:100, the exchange's book of now (3 bids, 1 asks)"
    )
    told = await carry_out(store, claim)
    assert told.startswith("ETHUSDT is at 4:100; updaters that see it take their books anew")
    version, info, body = await stored(store)
    assert version == (4, 100)
    assert body == (
        b'{"lastUpdateId":100,"bids":[["10.10","1.00"],["10.00","2.00"],["9.90","3.00"]],'
        b'"asks":[["10.20","1.00"]]}'
    )
    assert info == FileInfo(4, 3, 1, True, True, 0, 77, "operator", "HALT")
    held = await store.get(KEY)
    assert (held.content_type, held.cache_control) == ("application/json", "public, max-age=0")
    assert (await stored(store, 5))[0] == (3, 165)


async def test_a_snapshot_that_shows_as_many_levels_as_asked_for_is_certain_to_there_only(
    store: Any, publish: Any
) -> None:
    await publish("ETHUSDT", {2: 160})
    await carry_out(store, await prepared(store, Venue(100)))
    _, info, body = await stored(store, 2)
    assert (info.bids, info.bids_complete, info.asks, info.asks_complete) == (2, False, 1, True)
    assert body.count(b'"],["') == 1


async def test_a_small_file_alone_that_is_ahead_is_enough_and_the_largest_is_written(
    store: Any, publish: Any
) -> None:
    await publish("ETHUSDT", {5: 160, 20: 90})
    claim = await prepared(store, Venue(100))
    assert (claim.replaced.limit, claim.version) == (20, (1, 100))


@pytest.mark.parametrize("update_id", [160, 161])
async def test_where_no_file_is_ahead_there_is_nothing_to_mend(
    store: Any, publish: Any, update_id: int
) -> None:
    await publish("ETHUSDT", {5: 200}, epoch=1)
    await publish("ETHUSDT", {20: 160}, epoch=2)
    with pytest.raises(DepthcastError, match=f"2:160 is stored, the exchange is at {update_id}"):
        await prepared(store, Venue(update_id))
    claim = await prepared(store, Venue(update_id + 1), force=True)
    assert claim.version == (3, update_id + 1)
    assert str(claim).endswith(", by force")


async def test_the_bytes_of_the_earlier_epoch_are_never_those_of_the_claim(store: Any, publish: Any) -> None:
    await publish("ETHUSDT", {5: 200, 20: 160})
    for force in (False, True):
        with pytest.raises(
            DepthcastError, match=r"at the very id of .*, 160; try again when the book has moved"
        ):
            await prepared(store, Venue(160), force=force)


async def test_files_that_move_are_left_to_those_who_move_them(store: Any, publish: Any) -> None:
    await publish("ETHUSDT", {5: 160, 20: 160})

    async def write(seconds: float) -> None:
        assert seconds == 3.0
        await publish("ETHUSDT", {5: 161})

    venue = Venue(100)
    with pytest.raises(DepthcastError, match=r"files of ETHUSDT move \(limit 5\)"):
        await prepared(store, venue, sleep=write)
    assert venue.asked == []


async def test_the_limit_that_updaters_publish_can_be_named(store: Any, publish: Any) -> None:
    await publish("ETHUSDT", {5: 160, 20: 160, 5000: 160})
    claim = await prepared(store, Venue(100), limit=20)
    assert claim.replaced.limit == 20
    with pytest.raises(
        DepthcastError, match="no file of ETHUSDT with limit 100 is published; there are 5, 20"
    ):
        await prepared(store, Venue(100), limit=100)


async def test_a_writer_that_comes_first_wins_and_the_claim_is_lost(store: Any, publish: Any) -> None:
    await publish("ETHUSDT", {20: 160})
    venue = Venue(100)

    async def write() -> None:
        await publish("ETHUSDT", {20: 161})

    venue.meanwhile = write
    claim = await prepared(store, venue)
    with pytest.raises(DepthcastError, match="was lost: somebody else wrote; there is 0:161; see depthcast"):
        await carry_out(store, claim)
    assert (await stored(store))[0] == (0, 161)


async def test_of_two_claims_one_wins_and_the_other_says_so(store: Any, publish: Any) -> None:
    await publish("ETHUSDT", {20: 160})
    claims = [await prepared(store, Venue(update_id)) for update_id in (100, 101)]
    assert "ETHUSDT is at 1:100" in await carry_out(store, claims[0])
    with pytest.raises(DepthcastError, match="there is 1:100, claimed by an operator"):
        await carry_out(store, claims[1])
    assert (await stored(store))[0] == (1, 100)


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.THROTTLED])
@pytest.mark.parametrize("applied", [True, False])
async def test_an_outcome_that_is_not_told_is_looked_up(
    store: Any, publish: Any, monkeypatch: pytest.MonkeyPatch, outcome: Outcome, applied: bool
) -> None:
    await publish("ETHUSDT", {20: 160})
    claim = await prepared(store, Venue(100))
    put_if = store.put_if

    async def unclear(*args: Any, **kwargs: Any) -> PutResult:
        if applied:
            await put_if(*args, **kwargs)
        return PutResult(outcome, reason="time-out")

    monkeypatch.setattr(store, "put_if", unclear)
    if applied:
        assert "it is there" in await carry_out(store, claim)
    else:
        with pytest.raises(DepthcastError, match="there is 0:160"):
            await carry_out(store, claim)


async def test_where_the_store_goes_away_nobody_knows(
    store: Any, publish: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish("ETHUSDT", {20: 160})
    claim = await prepared(store, Venue(100))

    async def cut(*_: Any, **__: Any) -> PutResult:
        return PutResult(Outcome.UNKNOWN, reason="cut")

    async def away(*_: Any) -> StoredObject | None:
        raise StoreUnavailable("nothing answers")

    monkeypatch.setattr(store, "put_if", cut)
    monkeypatch.setattr(store, "peek", away)
    with pytest.raises(DepthcastError, match="is not known: cut, then nothing answers"):
        await carry_out(store, claim)


async def test_a_file_that_vanished_is_not_made_anew(store: Any, publish: Any) -> None:
    await publish("ETHUSDT", {20: 160})
    claim = await prepared(store, Venue(100))
    store._objects.clear()
    with pytest.raises(DepthcastError, match="there is no file any more"):
        await carry_out(store, claim)
    assert await store.get(KEY) is None


async def test_a_symbol_the_exchange_lists_no_more_is_to_be_marked(store: Any, publish: Any) -> None:
    await publish("ETHUSDT", {20: 160})
    venue = Venue(0)
    venue.error = Refused(400, -1121, "Invalid symbol.")
    with pytest.raises(DepthcastError, match=r"-1121 Invalid symbol\.; .*epoch mark ETHUSDT DELISTED"):
        await prepared(store, venue)


async def test_a_crossed_book_is_not_written(store: Any, publish: Any) -> None:
    await publish("ETHUSDT", {20: 160})
    venue = Venue(100)
    venue.asks = [["10.05", "1.00"]]
    with pytest.raises(DepthcastError, match="crossed"):
        await prepared(store, venue)


async def test_a_damaged_largest_file_is_replaced_in_an_epoch_after_the_others(
    store: Any, publish: Any
) -> None:
    await publish("ETHUSDT", {5: 160}, epoch=6)
    await store.put_if(KEY, b"<html>", match=None)
    claim = await prepared(store, Venue(100))
    assert "goes from no file of ours to 7:100" in str(claim)
    await carry_out(store, claim)
    assert (await stored(store))[0] == (7, 100)


@pytest.fixture
def venue(monkeypatch: pytest.MonkeyPatch) -> Venue:
    """What the command asks."""
    asked = Venue(100)

    async def snapshot(_rest: Rest, symbol: str, limit: int) -> Snapshot:
        return await asked.snapshot(symbol, limit)

    monkeypatch.setattr(Rest, "snapshot", snapshot)
    return asked


@pytest.mark.parametrize(("answer", "status"), [("y", 0), ("YES", 0), ("", 1), ("n", 1)])
def test_on_a_terminal_it_shows_what_it_will_do_and_asks(
    store: Any,
    publish: Any,
    venue: Venue,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: str,
    status: int,
) -> None:
    asyncio.run(publish("ETHUSDT", {20: 160}))
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(capsys.readouterr().out)
        return answer

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", ask)
    assert cli.main(["epoch", "claim", "ethusdt", "--still-for-s", "0"]) == status
    assert "goes from 0:160 to 1:100" in asked[0]
    version, _, _ = asyncio.run(stored(store))
    assert version == ((1, 100) if status == 0 else (0, 160))
    assert ("nothing was written" in capsys.readouterr().err) == (status == 1)
    assert store.closes == 1


def test_another_venues_file_is_claimed_in_its_own_layout_and_the_first_ones_left_alone(
    store: Any, publish: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, str]] = []

    async def snapshot(rest: Rest, symbol: str, limit: int) -> Snapshot:
        asked.append((rest._venue.rest_url, rest._venue.depth_path(symbol, limit)))
        return Snapshot(100, BIDS, ASKS, True, True, 1_700_000_000_009, 1_700_000_000_008)

    monkeypatch.setattr(Rest, "snapshot", snapshot)
    asyncio.run(publish("ETHUSDT", {20: 160}))
    asyncio.run(publish("ETHUSDT", {20: 160}, scheme=BINANCE_USDM))
    words = ["epoch", "claim", "ETHUSDT", "--venue", "binanceusdm", "--still-for-s", "0", "--yes"]
    assert cli.main(words) == 0
    assert asked == [("https://fapi.binance.com", "/fapi/v1/depth?symbol=ETHUSDT&limit=20")]
    held = asyncio.run(store.get(depth_key("ETHUSDT", 20, BINANCE_USDM)))
    assert held.body.startswith(b'{"lastUpdateId":100,"E":1700000000009,"T":1700000000008,"bids":[')
    assert asyncio.run(stored(store))[0] == (0, 160)
    assert cli.main([*words, "--exchange", "simulator", "--simulator-url", "http://h:1", "--force"]) == 1
    assert asked[1][0] == "http://h:1"
    assert "the very id" in capsys.readouterr().err


@pytest.mark.parametrize("taken", [OrderSnapshot(100, [], []), RowSnapshot("ETHUSDT", 100, [])])
async def test_a_book_by_order_or_by_row_is_its_updaters_to_write(
    store: Any, publish: Any, taken: AnySnapshot
) -> None:
    await publish("ETHUSDT", {20: 160})

    async def snapshot(symbol: str, limit: int) -> AnySnapshot:
        return taken

    with pytest.raises(DepthcastError, match="ETHUSDT are kept by order or by row"):
        await prepare(store, snapshot, "ETHUSDT", sleep=at_once)


def test_without_a_terminal_it_needs_yes(
    store: Any, publish: Any, venue: Venue, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(publish("ETHUSDT", {20: 160}))
    assert cli.main(["epoch", "claim", "ETHUSDT", "--still-for-s", "0"]) == 2
    assert cli.main(["epoch", "claim", "ETHUSDT", "--still-for-s", "0", "--yes"]) == 0
    assert "ETHUSDT is at 1:100" in capsys.readouterr().out
    assert cli.main(["epoch", "claim", "ETHUSDT", "--still-for-s", "0", "--yes"]) == 1
    assert "no file of ETHUSDT is ahead of the exchange" in capsys.readouterr().err
