"""What each of the exchange's streams sends, and when, held against the files."""

import itertools
import json
from typing import TYPE_CHECKING

import pytest
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, Protocol

from depthcast.files import BINANCE_USDM, cut
from depthcast.venues.binance_streams import FUTURES_STREAMS
from server.catalogue import Catalogue
from server.push.channels import Channel, Channels, text_frame
from server.push.counts import End, Kind
from server.push.hub import Reader, Source

if TYPE_CHECKING:
    from tests.server.push.conftest import Site


class Listener(Reader):
    """A reader that keeps what it was offered, and when."""

    kind = Kind.WEBSOCKET
    client = ""

    def __init__(self, site: "Site") -> None:
        self.paused_at: float | None = None
        self.heard: list[tuple[float, bytes]] = []
        self._site = site

    def offer(self, source: Source) -> None:
        assert isinstance(source, Channel)
        self.heard.append((self._site.clock.now, payload(source.frame(combined=False))))

    def tick(self, now: float) -> None:
        pass

    def cut(self, why: End) -> None:
        pass

    def stop(self) -> None:
        pass


def payload(frame: bytes) -> bytes:
    """What a client reads in one frame."""
    client = Protocol(CLIENT)
    client.receive_data(frame)
    (event,) = client.events_received()
    assert isinstance(event, Frame)
    assert (event.opcode, event.fin) == (Opcode.TEXT, True)
    return bytes(event.data)


@pytest.fixture
def channels(site: "Site") -> Channels:
    return Channels(site.hub, site.catalogue, call_later=site.call_later)


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536, 70000])
def test_a_frame_of_any_length_is_read_by_another_library(length: int) -> None:
    assert payload(text_frame(b"x" * length)) == b"x" * length


async def test_a_stream_sends_the_files_bytes_cut_to_its_levels(site: "Site", channels: Channels) -> None:
    listener = Listener(site)
    for levels in (5, 10, 20):
        channel = channels.join(f"ethusdt@depth{levels}@100ms", listener)
        assert channel is not None
        await site.clock.settle()
        assert payload(channel.frame(combined=False)) == site.store.body(100, levels)
        wrapped = payload(channel.frame(combined=True))
        assert wrapped == b'{"stream":"ethusdt@depth%d@100ms","data":%b}' % (
            levels,
            site.store.body(100, levels),
        )
    channels.check()


@pytest.mark.parametrize(("name", "interval_s"), [("ethusdt@depth5@100ms", 0.1), ("ethusdt@depth5", 1.0)])
async def test_a_stream_sends_once_in_its_interval_and_the_newest_at_its_end(
    site: "Site", channels: Channels, name: str, interval_s: float
) -> None:
    listener = Listener(site)
    channels.join(name, listener)
    await site.clock.settle()
    began = site.clock.now
    assert listener.heard == [(began, site.store.body(100, 5))]
    for update_id in range(101, 141):
        await site.store.publish("ETHUSDT", 20, update_id, epoch=0)
        await site.clock.advance(0.1)
    await site.clock.advance(2.0)
    times = [time for time, _ in listener.heard]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert min(gaps) >= interval_s * 0.999
    assert max(gaps) <= max(interval_s, 0.1) + 0.2
    assert len(times) >= 4 / max(interval_s, 0.1) * 0.9
    assert listener.heard[-1][1] == site.store.body(140, 5)
    ids = [json.loads(heard)["lastUpdateId"] for _, heard in listener.heard]
    assert ids == sorted(set(ids))


async def test_what_does_not_change_is_not_sent(site: "Site", channels: Channels) -> None:
    listener = Listener(site)
    channels.join("ethusdt@depth5@100ms", listener)
    await site.clock.advance(30)
    assert len(listener.heard) == 1


async def test_best_prices_are_sent_when_they_change_and_not_with_each_id(
    site: "Site", channels: Channels
) -> None:
    def book(update_id: int, best: str, second: str) -> bytes:
        members = {
            "lastUpdateId": update_id,
            "bids": [["3.10", best], ["3.00", second]],
            "asks": [["4.00", "1.0"]],
        }
        return json.dumps(members, separators=(",", ":")).encode()

    listener = Listener(site)
    channels.join("ethusdt@bookTicker", listener)
    await site.clock.settle()
    for update_id, best, second in ((101, "1.0", "1.0"), (102, "1.0", "2.0"), (103, "5.0", "2.0")):
        await site.put(book(update_id, best, second))
    first, *rest = [heard for _, heard in listener.heard]
    assert first == (
        b'{"u":100,"s":"ETHUSDT","b":"1000.50000000","B":"100.00000000",'
        b'"a":"1001.50000000","A":"100.00000000"}'
    )
    assert rest == [
        b'{"u":101,"s":"ETHUSDT","b":"3.10","B":"1.0","a":"4.00","A":"1.0"}',
        b'{"u":103,"s":"ETHUSDT","b":"3.10","B":"5.0","a":"4.00","A":"1.0"}',
    ]


async def test_all_listeners_share_one_channel_and_the_last_one_closes_it(
    site: "Site", channels: Channels
) -> None:
    listeners = [Listener(site) for _ in range(3)]
    joined = [channels.join("ethusdt@depth5", listener) for listener in listeners]
    assert joined[0] is not None
    assert joined == [joined[0]] * 3
    await site.clock.settle()
    for n, listener in enumerate(listeners):
        assert len(channels) == 1
        channels.check()
        channels.leave(joined[0], listener)
        assert len(joined[0].readers) == 2 - n
    assert len(channels) == 0
    await site.publish(101, epoch=0)
    await site.clock.advance(2)
    assert all(len(listener.heard) == 1 for listener in listeners)
    channels.leave(joined[0], listeners[0])
    channels.check()


async def test_a_symbol_that_is_published_later_begins_to_speak(site: "Site", channels: Channels) -> None:
    listener = Listener(site)
    channel = channels.join("btcusdt@depth5", listener)
    assert channel is not None
    assert channels.join("btcusdt@nonsense", listener) is None
    await site.clock.advance(3)
    assert listener.heard == []
    assert "BTCUSDT" not in "".join(site.store.reads)
    await site.store.publish("BTCUSDT", 5, 7)
    await site.catalogue.refresh()
    await site.clock.advance(3)
    assert [heard for _, heard in listener.heard] == [cut(site.store.body(7, 5), 5)]
    channels.check()


async def test_a_file_that_leaves_memory_is_read_again(site: "Site", channels: Channels) -> None:
    listener = Listener(site)
    channels.join("ethusdt@depth5@100ms", listener)
    await site.clock.settle()
    site.hot._drop("api/v3/depth?symbol=ETHUSDT&limit=20")
    await site.publish(101, epoch=0)
    await site.clock.advance(3)
    assert listener.heard[-1][1] == site.store.body(101, 5)


async def test_an_epoch_with_lower_ids_is_sent(site: "Site", channels: Channels) -> None:
    listener = Listener(site)
    channels.join("ethusdt@depth5@100ms", listener)
    await site.clock.settle()
    await site.publish(40, epoch=1)
    assert listener.heard[-1][1] == site.store.body(40, 5)


async def test_a_file_whose_levels_cannot_be_read_is_silent_and_nothing_else_is(
    site: "Site", channels: Channels
) -> None:
    listener = Listener(site)
    tickers = channels.join("ethusdt@bookTicker", listener)
    assert tickers is not None
    await site.clock.settle()
    listener.heard.clear()
    for body in (
        b'{"lastUpdateId":101,"bids":[oops],"asks":[]}',
        b'{"lastUpdateId":102,"bids":[7],"asks":[]}',
    ):
        await site.put(body)
    assert listener.heard == []
    await site.put(b'{"lastUpdateId":110,"bids":[["1.0","2.0"]],"asks":[]}')
    assert [json.loads(heard)["u"] for _, heard in listener.heard] == [110]
    channels.check()


async def test_names_that_stay_silent_cost_no_second_look_each_second(
    site: "Site", channels: Channels, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = Listener(site)
    for number in range(500):
        assert channels.join(f"nosuch{number}@depth5", listener) is not None
    looked_up = []
    original = site.catalogue.limits

    def limits(symbol: str) -> tuple[int, ...] | None:
        looked_up.append(symbol)
        return original(symbol)

    monkeypatch.setattr(site.catalogue, "limits", limits)
    await site.clock.advance(5)
    assert looked_up == []
    # A symbol that is listed later begins to speak, and one that is listed without enough levels does not.
    await site.store.publish("NOSUCH1", 20, 7, epoch=0)
    await site.store.publish("NOSUCH2", 1, 8, epoch=0)
    await site.catalogue.refresh()
    await site.clock.advance(1.5)
    assert set(looked_up) == {"NOSUCH1", "NOSUCH2"}
    assert [json.loads(heard)["lastUpdateId"] for _, heard in listener.heard] == [7]
    channels.check()


async def test_best_prices_of_futures_are_sent_when_they_change_and_not_with_each_time(site: "Site") -> None:
    def book(update_id: int, best: str) -> bytes:
        head = f'{{"lastUpdateId":{update_id},"E":{update_id * 10},"T":{update_id * 10 - 4},'
        return f'{head}"bids":[["3.10","{best}"]],"asks":[["4.00","1"]]}}'.encode()

    catalogue = Catalogue(site.store, scheme=BINANCE_USDM)
    channels = Channels(site.hub, catalogue, BINANCE_USDM, FUTURES_STREAMS, call_later=site.call_later)
    listener = Listener(site)
    assert channels.join("ethusdt@depth5", listener) is None
    assert channels.join("ethusdt@bookTicker", listener) is not None
    await site.clock.settle()
    assert listener.heard == []
    for update_id, best in ((7, "1"), (8, "1"), (9, "2")):
        await site.put(book(update_id, best), scheme=BINANCE_USDM)
        await catalogue.refresh()
        await site.clock.advance(2)
    told = '{{"e":"bookTicker","u":{},"s":"ETHUSDT","b":"3.10","B":"{}","a":"4.00","A":"1","T":{},"E":{}}}'
    assert [heard.decode() for _, heard in listener.heard] == [
        told.format(7, 1, 66, 70),
        told.format(9, 2, 86, 90),
    ]
    channels.check()
