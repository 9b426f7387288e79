"""Files of other venues, from a bucket by its client, by name, and from a server: values, rows and frames."""

import json
from collections.abc import Mapping
from random import Random

import pytest

from depthcast.errors import BadFile, BadKey, FileMissing, SettingsError, UnknownSymbol
from depthcast.files import SCHEMES, depth_key
from depthcast.reading import Reader, read
from depthcast.store.memory import MemoryStore
from simulator.coinbase.exchange import CoinbaseExchange, Market
from simulator.coinbase.products import Product
from tests.depthcast.reading.conftest import METADATA, Scripted, body_of

PRODUCT = "BTC-USD"
SYMBOL = "XBTUSD"
NUMBERED = METADATA | {"update-id": "77"}


def row(row_id: int, side: str, size: int, price: str) -> str:
    """One of BitMEX's, in the layout since July 2023."""
    return (
        f'{{"symbol":"{SYMBOL}","id":{row_id},"side":"{side}","size":{size},"price":{price},'
        '"timestamp":"2026-11-20T10:00:00.100Z","transactTime":"2026-11-20T10:00:00.019Z"}'
    )


ROWS = [
    row(62400580205, "Sell", 33000, "98460"),
    row(17, "Sell", 100, "98459.9"),
    row(99, "Buy", 5000, "98459.5"),
    row(3, "Buy", 7, "98000"),
]


def rows(*chosen: int) -> bytes:
    return f"[{','.join(ROWS[at] for at in chosen)}]".encode()


@pytest.fixture
def market() -> Market:
    """A product's market with a past; it knows its own files."""
    exchange = CoinbaseExchange(wall_ms=lambda: 1_790_000_000_000, seed=3)
    made = exchange.add(Product(PRODUCT))
    for _ in range(300):
        made.traders.act()
    return made


def body(market: Market, level: int) -> bytes:
    return market.bodies(market.sequence, level)[0]


async def written(venue: str, symbol: str, bodies: Mapping[int, bytes]) -> MemoryStore:
    store, scheme = MemoryStore(), SCHEMES[venue]
    for limit, each in bodies.items():
        update_id = scheme.layout(limit).check("k", each)
        metadata = NUMBERED if update_id is None else METADATA | {"update-id": str(update_id)}
        await store.put_if(depth_key(symbol, limit, scheme), each, match=None, metadata=metadata)
    return store


async def test_every_level_of_detail_is_coinbase_s_own_answer(market: Market) -> None:
    store = await written("coinbaseexchange", PRODUCT, {level: body(market, level) for level in (1, 2, 3)})
    async with Reader(store, venue="coinbaseexchange") as reader:
        files = {level: await reader.read(PRODUCT, level) for level in (1, 2, 3)}
        assert (await reader.read(PRODUCT)).body == files[1].body
        with pytest.raises(UnknownSymbol):
            await reader.read("ETH-USD", 2)
        with pytest.raises(BadKey, match="none of 1, 2, 3"):
            await reader.read(PRODUCT, 4)
    true = json.loads(body(market, 3))
    for level, file in files.items():
        assert file.body == body(market, level)
        assert (file.update_id, file.version, file.venue) == (
            market.sequence,
            (3, market.sequence),
            "coinbaseexchange",
        )
        shown = 1 if level == 1 else None
        for side, mine in (("buy", file.exact_bids), ("sell", file.exact_asks)):
            assert [list(each) for each in mine] == market.levels(side, shown)
        records = file.to_records(rows=True)
        parsed = json.loads(file.body)
        told = [[each["price"], each["amount"]] for each in records]
        assert told == [[float(price), float(size)] for price, size, _ in (*parsed["bids"], *parsed["asks"])]
    orders = files[3].to_polars(rows=True, strings=True)
    ids = [order_id for _, _, order_id in (*true["bids"], *true["asks"])]
    assert orders["order_id"].to_list() == ids
    assert orders.columns[:5] == ["symbol", "side", "level", "price", "amount"]
    counts = files[2].to_pandas(rows=True)
    assert counts["orders"].sum() == len(ids)
    assert str(counts.dtypes["orders"]) == "Int64"


async def test_the_best_prices_are_cut_from_all_of_them(market: Market) -> None:
    store = await written("coinbaseexchange", PRODUCT, {2: body(market, 2)})
    async with Reader(store, venue="coinbaseexchange") as reader:
        assert (await reader.read(PRODUCT, 1)).body == body(market, 1)
        with pytest.raises(FileMissing, match="the limits 2 are published"):
            await reader.read(PRODUCT, 3)


async def test_rows_of_bitmex_are_levels_and_rows() -> None:
    store = await written("bitmex", SYMBOL, {25: rows(0, 1, 2, 3), 0: rows(0, 1, 2, 3)})
    async with Reader(store, venue="bitmex") as reader:
        file = await reader.read(SYMBOL)
        assert (file.limit, file.update_id) == (25, 77)
        assert file.exact_bids == (("98459.5", "5000"), ("98000", "7"))
        assert file.asks == ((98459.9, 100.0), (98460.0, 33000.0))
        best = await reader.read(SYMBOL, 1)
        assert best.body == rows(1, 2)
        assert [each["id"] for each in file.to_records(rows=True)] == [99, 3, 17, 62400580205]
        assert best.to_polars(rows=True)["time"].to_list() == ["2026-11-20T10:00:00.019Z"] * 2
        assert (await reader.read(SYMBOL, 0)).body == rows(0, 1, 2, 3)


async def test_futures_have_their_ladder(scripted: Scripted) -> None:
    futures = b'{"lastUpdateId":9,"E":8,"T":7,"bids":[["2","1"]],"asks":[]}'
    target = "/fapi/v1/depth?symbol=ETHUSDT&limit=500"
    scripted.say(target, 200, futures, {"Depthcast-Version": "4:9"})
    async with Reader(scripted.url, venue="binanceusdm") as reader:
        file = await reader.read("ETHUSDT")
        assert (file.update_id, file.exact_bids) == (9, (("2", "1"),))
        with pytest.raises(BadKey, match="none of 5, 10"):
            await reader.read("ETHUSDT", 7)
    assert scripted.asked == [target]


async def test_a_server_s_words_are_its_venue_s(scripted: Scripted, market: Market) -> None:
    scripted.otherwise = (404, b'{"message":"NotFound"}')
    target = f"/products/{PRODUCT}/book?level=2"
    headers = {"Depthcast-Epoch": "4", "Depthcast-State": "live"}
    scripted.say(target, 200, body(market, 2), headers)
    async with Reader(scripted.url, venue="coinbaseexchange") as reader:
        file = await reader.read(PRODUCT, 2)
        assert (file.version, file.state) == ((4, market.sequence), "live")
        with pytest.raises(UnknownSymbol):
            await reader.read("ETH-USD", 2)
    # None of the objects of a bucket was asked for by name.
    assert scripted.asked == [target, "/products/ETH-USD/book?level=2"]


async def test_a_bucket_is_asked_by_name(scripted: Scripted) -> None:
    name = f"/api/v1/orderBook/L2%3Fsymbol%3D{SYMBOL}%26depth%3D25"
    scripted.say(name, 200, rows(1, 2), {f"x-amz-meta-{key}": value for key, value in NUMBERED.items()})
    async with Reader(scripted.url, venue="bitmex") as reader:
        file = await reader.read(SYMBOL, 20)
    assert (file.version, len(file.bids)) == ((3, 77), 1)
    assert scripted.asked[0] == f"/api/v1/orderBook/L2?symbol={SYMBOL}&depth=20"


@pytest.mark.parametrize(
    "damaged",
    [
        b'{"bids":[["1","2",3]],"asks":[],"sequence":7,"auction_mode":false,"auction":null,"time":""',
        b'{"bids":[["1","x",3]],"asks":[],"sequence":7,"auction_mode":false,"auction":null,"time":""}',
        b"[]",
        body_of(7, 3),
    ],
)
async def test_what_is_no_file_of_the_venue_is_refused(damaged: bytes) -> None:
    store = MemoryStore()
    scheme = SCHEMES["coinbaseexchange"]
    await store.put_if(depth_key(PRODUCT, 2, scheme), damaged, match=None, metadata=NUMBERED)
    async with Reader(store, venue="coinbaseexchange") as reader:
        with pytest.raises(BadFile):
            await reader.read(PRODUCT, 2)


def test_a_venue_that_is_none_is_named() -> None:
    with pytest.raises(SettingsError, match=r"no exchange is called 'coinbase' here.*coinbaseexchange"):
        read("http://127.0.0.1:1", "ETHUSDT", venue="coinbase")


def test_damage_of_rows_is_told() -> None:
    rng = Random(1)
    whole = b'{"bids":[["1","2","a-1"]],"asks":[],"sequence":7,"auction_mode":false,"auction":null,"time":""}'
    layout = SCHEMES["coinbaseexchange"].layout(3)
    assert layout.rows("k", whole) == ([{"price": "1", "amount": "2", "order_id": "a-1"}], [])
    for _ in range(200):
        at = rng.randrange(len(whole))
        damaged = whole[:at] + bytes([rng.randrange(32, 127)]) + whole[at + 1 :]
        try:
            bids, asks = layout.rows("k", damaged)
        except BadFile:
            continue
        assert all(type(value) is str for each in (*bids, *asks) for value in each.values())
