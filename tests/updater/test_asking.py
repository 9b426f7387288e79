"""Who asks the exchange for a book."""

from depthcast.heartbeat import FeedBeat, Heartbeat, RestBeat, SymbolBeat
from updater.asking import Asking, sharing

SYMBOL = "ETHUSDT"


def beat(
    name: str,
    *,
    live: bool = False,
    waiting: int = 0,
    answered: int = 0,
    address: str = "",
    streams: int = 1,
) -> Heartbeat:
    rest = RestBeat(waiting=waiting, answered=answered, address=address)
    feed = FeedBeat(symbols=1, live=streams)
    return Heartbeat(replica=name, beat=1, feed=feed, rest=rest, symbols={SYMBOL: SymbolBeat(live=live)})


def asked(*readings: tuple[float, Heartbeat], now: float) -> bool:
    asking = Asking(patience_s=15, paced_patience_s=90, deaf_patience_s=5)
    living: dict[str, Heartbeat] = {}
    for at, one in readings:
        living = {"a": one}
        asking.read(living, at)
    return asking.may_ask(SYMBOL, ["a"], living, now)


def test_the_first_in_rank_asks() -> None:
    assert Asking().may_ask(SYMBOL, [], {}, 0)


def test_the_second_waits_for_the_first() -> None:
    assert not asked((0, beat("a")), now=14)


def test_it_asks_where_the_first_has_the_book_and_its_file_does_not_do() -> None:
    assert asked((0, beat("a", live=True)), now=0)


def test_it_asks_where_the_first_has_died() -> None:
    asking = Asking()
    asking.read({}, 0)
    assert asking.may_ask(SYMBOL, ["a"], {}, 0)


def test_it_asks_when_the_first_has_not_got_on_for_a_while() -> None:
    assert asked((0, beat("a")), (10, beat("a")), now=15)
    assert not asked((0, beat("a")), (10, beat("a", answered=1)), now=24)


def test_a_first_one_that_waits_for_its_turn_has_more_time() -> None:
    assert not asked((0, beat("a", waiting=3)), now=89)
    assert asked((0, beat("a", waiting=3)), now=90)


def test_a_first_one_that_hears_no_stream_has_less_time() -> None:
    assert not asked((0, beat("a", streams=0)), now=4)
    assert asked((0, beat("a", streams=0)), now=5)
    assert not asked((0, beat("a", streams=0)), (4, beat("a")), now=14)
    assert not asked((0, beat("a", streams=0, waiting=1)), now=89)


def test_weight_is_shared_by_those_who_ask_from_the_same_address() -> None:
    own = beat("a", waiting=2)
    assert sharing({"a": own}, own) == 1
    assert sharing({"a": own, "b": beat("b", waiting=1), "c": beat("c")}, own) == 2
    assert sharing({"a": own, "b": beat("b", waiting=1, address="elsewhere")}, own) == 1
