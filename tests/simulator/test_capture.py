"""Recorded messages come out of the exchange as they went in, and the truth is what they say."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from simulator.capture import (
    CaptureError,
    Player,
    Record,
    RecordedDiff,
    RecordedSnapshot,
    Run,
    Source,
    load,
    read,
)
from simulator.depth import DepthUpdate
from simulator.exchange import BookTicker, Exchange

DATA = Path(__file__).parents[3] / "shared" / "data"

ETHUSDT = [f"binance_spot/hftbacktest_spot_ethusdt_2024080{day}.gz" for day in (8, 9)]
APRIL = [f"binance_spot/cf_20210417_{part}.txt.gz" for part in ("rest_depth", "ws", "exchangeInfo")]
AUGUST = [f"binance_spot/cf_20210814_{part}.txt.gz" for part in ("ws", "rest_depth")]
USDM_APRIL = [f"binance_usdm/cf_20210417_{part}.txt.gz" for part in ("ws", "rest_depth")]
US_APRIL = [f"binance_us/cf_20210417_{part}.txt.gz" for part in ("ws", "rest_depth")]

needs_captures = pytest.mark.skipif(not DATA.is_dir(), reason=f"no captured exchange data in {DATA}")


def paths(names: list[str]) -> list[Path]:
    return [DATA / name for name in names]


class Follower:
    """Follows a whole run in the simplest way there is, and compares the truth with what it sees."""

    def __init__(self, exchange: Exchange, run: Run) -> None:
        self.truth = exchange.truth
        self.updates: list[str] = []
        self.tickers: dict[tuple[str, int], BookTicker] = {}
        self.ends: set[tuple[str, int]] = set()
        self.times: dict[tuple[str, int], dict[str, int]] = {}
        """What is told of the diffs of futures."""
        self.gaps = 0
        self.last: dict[str, int] = {}
        self.begins = {symbol: snapshot.update_id for symbol, snapshot in run.snapshots.items()}
        self.books: dict[str, tuple[dict[str, str], ...]] = {
            symbol: tuple({level[0]: level[1] for level in side} for side in (snapshot.bids, snapshot.asks))
            for symbol, snapshot in run.snapshots.items()
        }
        for instrument in exchange.instruments.values():
            instrument.listeners[self] = None

    def on_ticker(self, ticker: BookTicker) -> None:
        self.tickers[ticker.symbol, ticker.update_id] = ticker

    def on_tick(self, now_ms: int) -> None:
        raise AssertionError("nobody ticks here")

    def on_update(self, update: DepthUpdate) -> None:
        self.updates.append(update.data())
        diff = json.loads(self.updates[-1])
        symbol, last = diff["s"], diff["u"]
        before = diff.get("pu", diff["U"] - 1)
        self.gaps += before != self.last.get(symbol, before)
        self.last[symbol] = last
        if last <= self.begins[symbol]:
            return
        self.ends.add((symbol, last))
        self.times[symbol, last] = {name: diff[name] for name in ("E", "T") if "T" in diff}
        for book, changes in zip(self.books[symbol], (diff["b"], diff["a"]), strict=True):
            for price, quantity in changes:
                book[price] = quantity
                if not float(quantity):
                    del book[price]
        if len(self.ends) % 50 == 1:
            assert self.truth.body(symbol, last, 5000) == self.body(symbol, last, 5000)

    def body(self, symbol: str, update_id: int, limit: int) -> bytes:
        """The REST body of this follower's own book."""
        bids, asks = self.books[symbol]
        return json.dumps(
            {
                "lastUpdateId": update_id,
                **self.times[symbol, update_id],
                "bids": sorted(bids.items(), key=lambda level: -float(level[0]))[:limit],
                "asks": sorted(asks.items(), key=lambda level: float(level[0]))[:limit],
            },
            separators=(",", ":"),
        ).encode()

    def tops(self) -> tuple[int, int]:
        """Of the tickers at ids where a diff ended: how many are the top of the true book, and all."""
        common = sorted(self.ends & self.tickers.keys())
        equal = 0
        for symbol, update_id in common:
            ticker = self.tickers[symbol, update_id]
            top = {
                "lastUpdateId": update_id,
                **self.times[symbol, update_id],
                "bids": [[ticker.bid, ticker.bid_quantity]],
                "asks": [[ticker.ask, ticker.ask_quantity]],
            }
            equal += json.loads(self.truth.body(symbol, update_id, 1)) == top
        return equal, len(common)


def follow(names: list[str]) -> tuple[Run, Follower]:
    [run] = load(paths(names))
    exchange = Exchange(wall_ms=lambda: 0, futures="usdm" in names[0])
    player = Player(run, exchange)
    follower = Follower(exchange, run)
    player.play_until(run.seconds + 1)
    assert player.done
    return run, follower


@needs_captures
@pytest.mark.captures
@pytest.mark.parametrize(
    ("names", "symbols", "diffs", "tops"),
    [
        (ETHUSDT, 1, 6470, 1056),
        (APRIL, 10, 614, 199),
        (AUGUST, 4, 546, 96),
        (US_APRIL, 10, 807, 174),
        (USDM_APRIL, 4, 1016, 86),
    ],
    ids=["ETHUSDT 2024", "April 2021", "August 2021", "Binance.US", "USD-M futures"],
)
def test_a_capture_has_no_gap_and_its_truth_agrees_with_every_diff_and_book_ticker(
    names: list[str], symbols: int, diffs: int, tops: int
) -> None:
    run, follower = follow(names)
    assert len(run.symbols) == symbols
    assert len(follower.updates) == diffs
    assert follower.gaps == 0
    assert follower.tops() == (tops, tops)


@needs_captures
@pytest.mark.captures
@pytest.mark.parametrize("names", [APRIL, US_APRIL, USDM_APRIL], ids=["Binance", "Binance.US", "USD-M"])
def test_diffs_and_tickers_are_sent_in_the_very_bytes_that_were_recorded(names: list[str]) -> None:
    _, follower = follow(names)
    recorded = "".join(
        gzip.decompress(path.read_bytes()).decode() for path in paths(names) if "_ws" in path.name
    )
    assert all(f'"data":{data}}}\n' in recorded for data in follower.updates)
    assert all(f'"data":{ticker.data()}}}\n' in recorded for ticker in follower.tickers.values())


@needs_captures
@pytest.mark.captures
def test_captures_of_different_exchanges_are_runs_that_play_side_by_side() -> None:
    runs = load(paths([*US_APRIL, *APRIL, *AUGUST, *reversed(ETHUSDT)]))
    assert sorted(len(run.symbols) for run in runs) == [1, 4, 10, 10]
    exchange = Exchange(wall_ms=lambda: 0)
    players = [Player(run, exchange) for run in runs]
    for player in players:
        player.play_until(5)
    assert len(exchange.instruments) == 25
    assert [player.position_s for player in players] == [5, 5, 5, 5]
    assert exchange.instruments["USDTUSD"].listing.scale.price_digits == 4


# Small captures of our own

UPDATE = '{"e":"depthUpdate","E":1,"s":"ABCUSD","U":%d,"u":%d,"b":%s,"a":[]}'
DIFF = f'{{"stream":"abcusd@depth@100ms","data":{UPDATE}}}'
BOOK = '{"lastUpdateId":12,"bids":[["1.50","2.0"]],"asks":[["1.60","1.0"]]}'
BOOK_ANSWER = f"https://api.example.com/api/v1/depth?symbol=ABCUSD&limit=5 -> 1723161254.5: {BOOK}"


def written(folder: Path, *lines: str, name: str = "capture") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def nanoseconds(second: int, text: str) -> str:
    return f"{1723161254 + second}000000000 {text}"


def small(folder: Path) -> Path:
    return written(
        folder,
        nanoseconds(0, DIFF % (8, 10, '[["1.40","9.0"]]')),
        nanoseconds(1, BOOK),
        nanoseconds(2, DIFF % (11, 14, '[["1.50","0.0"],["1.45","3.0"]]')),
        nanoseconds(3, DIFF % (15, 15, '[["1.45","4.0"]]')),
    )


def test_until_the_stream_reaches_the_snapshot_the_book_is_the_snapshot(tmp_path: Path) -> None:
    [run] = load([small(tmp_path)])
    exchange = Exchange(wall_ms=lambda: 0)
    player = Player(run, exchange)
    follower = Follower(exchange, run)
    player.play_next()
    journal = exchange.instruments["ABCUSD"].journal
    assert journal.update_id == 12
    assert exchange.truth.body("ABCUSD", 12, 5) == BOOK.encode()
    assert [json.loads(update)["u"] for update in follower.updates] == [10]


def test_a_diff_across_the_snapshot_is_applied_whole_and_the_book_inside_it_is_unknown(
    tmp_path: Path,
) -> None:
    [run] = load([small(tmp_path)])
    exchange = Exchange(wall_ms=lambda: 0)
    Player(run, exchange).play_until(10)
    assert exchange.truth.body("ABCUSD", 14, 5) == (
        b'{"lastUpdateId":14,"bids":[["1.45","3.0"]],"asks":[["1.60","1.0"]]}'
    )
    assert exchange.truth.body("ABCUSD", 15, 5).startswith(b'{"lastUpdateId":15,"bids":[["1.45","4.0"]]')
    with pytest.raises(LookupError, match="13 is inside a recorded diff"):
        exchange.truth.body("ABCUSD", 13, 5)


def test_a_rebased_capture_goes_on_with_lower_ids_in_diffs_and_truth(tmp_path: Path) -> None:
    [run] = load([small(tmp_path)])
    exchange = Exchange(wall_ms=lambda: 0)
    player = Player(run, exchange)
    player.play_until(2)
    assert exchange.rebase("ABCUSD", 6) == 8
    player.play_until(3)
    assert exchange.instruments["ABCUSD"].sent_id == 9
    assert exchange.truth.body("ABCUSD", 9, 1).startswith(b'{"lastUpdateId":9,"bids":[["1.45","4.0"]]')


def test_plain_and_gzipped_files_read_alike(tmp_path: Path) -> None:
    plain = small(tmp_path)
    packed = tmp_path / "capture.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert list(read(plain)) == list(read(packed))


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([nanoseconds(0, '{"stream":')], "line 1"),
        ([nanoseconds(0, '{"data":{"e":"depthUpdate","s":"A"}}')], "line 1: KeyError"),
        ([nanoseconds(0, DIFF % (1, 2, "[]"))], "needs diffs, and a REST depth answer"),
        ([nanoseconds(0, BOOK)], "without a symbol"),
        ([BOOK_ANSWER], "needs diffs"),
        (["configuration: {}"], "nothing to play"),
    ],
)
def test_a_file_that_cannot_be_played_is_refused_with_the_reason(
    tmp_path: Path, lines: list[str], why: str
) -> None:
    with pytest.raises(CaptureError, match=why):
        load([written(tmp_path, *lines)])


@pytest.mark.parametrize("futures", [False, True])
def test_a_capture_is_played_on_an_exchange_of_its_kind_alone(tmp_path: Path, futures: bool) -> None:
    book = BOOK if futures else BOOK.replace('"bids"', '"E":9,"T":8,"bids"')
    [run] = load([written(tmp_path, nanoseconds(0, book), nanoseconds(1, DIFF % (13, 13, "[]")))])
    with pytest.raises(CaptureError, match="of another exchange"):
        Player(run, Exchange(wall_ms=lambda: 0, futures=futures))


def test_a_level_in_another_precision_than_the_snapshot_is_refused(tmp_path: Path) -> None:
    [run] = load(
        [written(tmp_path, nanoseconds(0, BOOK), nanoseconds(1, DIFF % (13, 13, '[["1.400","9.0"]]')))]
    )
    with pytest.raises(ValueError, match=r"1\.400"):
        Player(run, Exchange(wall_ms=lambda: 0)).play_until(9)


OPENING = RecordedSnapshot(0.0, "ABCUSD", 12, [["1.50", "2.0"]], [["1.60", "1.0"]])


def diff(at_s: float, first: int, last: int, bids: Sequence[Sequence[str]]) -> RecordedDiff:
    return RecordedDiff(at_s, "ABCUSD", first, last, int(at_s * 1000), bids, [])


class Batches:
    """A source's flow, and how many batches were called for."""

    def __init__(self, *batches: Sequence[Record]) -> None:
        self.batches = batches
        self.given = 0

    async def __aiter__(self) -> AsyncIterator[Sequence[Record]]:
        for batch in self.batches:
            self.given += 1
            yield batch


def test_a_source_is_called_for_a_batch_when_the_one_before_is_played() -> None:
    batches = Batches(
        [diff(5.0, 13, 14, [["1.50", "3.0"]])],
        [],
        [diff(6.0, 15, 15, []), diff(65.0, 16, 16, [["1.40", "1.0"]])],
    )

    async def play() -> None:
        exchange = Exchange(wall_ms=lambda: 0)
        player = Player(Source({"ABCUSD": OPENING}, aiter(batches)), exchange)
        journal = exchange.instruments["ABCUSD"].journal
        assert (journal.update_id, batches.given) == (12, 0)
        await player.advance(0)
        assert (journal.update_id, batches.given, player.done) == (14, 3, False)
        await player.advance(1)
        assert journal.update_id == 15
        await player.advance(60)
        assert (journal.update_id, player.done) == (16, True)
        assert exchange.truth.body("ABCUSD", 16, 5) == (
            b'{"lastUpdateId":16,"bids":[["1.50","3.0"],["1.40","1.0"]],"asks":[["1.60","1.0"]]}'
        )

    asyncio.run(play())


def test_each_change_of_the_top_in_a_source_is_a_ticker_and_a_diff_without_levels_is_told() -> None:
    batches = Batches(
        [diff(0, 13, 13, [["1.40", "3.0"]]), diff(1, 14, 14, [["1.55", "3.0"]]), diff(2, 15, 15, [])]
    )

    async def play() -> Follower:
        exchange = Exchange(wall_ms=lambda: 0)
        player = Player(Source({"ABCUSD": OPENING}, aiter(batches)), exchange)
        follower = Follower(exchange, Run({"ABCUSD": OPENING}, []))
        await player.advance(9)
        return follower

    follower = asyncio.run(play())
    assert [(ticker.update_id, ticker.bid) for ticker in follower.tickers.values()] == [(14, "1.55")]
    assert [json.loads(update)["u"] for update in follower.updates] == [13, 14, 15]


def test_a_snapshot_in_a_source_is_the_book_from_there_on() -> None:
    later = RecordedSnapshot(3.0, "ABCUSD", 40, [["1.30", "9.0"]], [])
    batches = Batches([diff(1, 13, 13, [["1.40", "3.0"]]), later, diff(4, 41, 41, [["1.20", "1.0"]])])

    async def play() -> Exchange:
        exchange = Exchange(wall_ms=lambda: 0)
        await Player(Source({"ABCUSD": OPENING}, aiter(batches)), exchange).advance(9)
        return exchange

    exchange = asyncio.run(play())
    assert exchange.truth.body("ABCUSD", 41, 5) == (
        b'{"lastUpdateId":41,"bids":[["1.30","9.0"],["1.20","1.0"]],"asks":[]}'
    )
    assert exchange.truth.body("ABCUSD", 13, 5, generation=0).startswith(
        b'{"lastUpdateId":13,"bids":[["1.50"'
    )


def test_what_a_source_raises_its_player_does() -> None:
    async def broken() -> AsyncIterator[Sequence[Record]]:
        yield []
        raise OSError("the store is away")

    player = Player(Source({"ABCUSD": OPENING}, broken()), Exchange(wall_ms=lambda: 0))
    with pytest.raises(OSError, match="away"):
        asyncio.run(player.fill())
