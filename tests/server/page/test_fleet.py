"""The fleet as people see it, and when they do not."""

from collections.abc import Callable
from typing import NamedTuple

from depthcast.files import BINANCE, BINANCE_USDM
from depthcast.fleet import Members
from depthcast.heartbeat import FeedBeat, Heartbeat, RestBeat, Role, State, SymbolBeat, WriteBeat
from depthcast.store.memory import MemoryStore
from server.catalogue import Catalogue
from server.freshness import Freshness
from server.page.fleet import FORGET_AFTER_S, MAX_REPLICAS, FleetView, Sight
from server.page.markets import Market, Markets


class Ears(NamedTuple):
    """What is heard of a venue."""

    members: Members
    denied: bool = False


def beat(name: str, number: int = 1, *, state: State = State.LIVE, rank: int = 0) -> Heartbeat:
    held = SymbolBeat(
        role=Role.STANDBY if rank else Role.WRITER, rank=rank, live=True, id=7, behind_ms=12 * rank
    )
    return Heartbeat(
        replica=name,
        beat=number,
        state=state,
        version="1",
        feed=FeedBeat(symbols=2, live=1),
        rest=RestBeat(address="10.0.0.7", weight_used=20, weight_limit=6000),
        writes=WriteBeat(lost=1, takeovers=2, p99_ms=19.4),
        symbols={"ETHUSDT": held, "BTCUSDT": held},
    )


def view(
    members: Members, now: float, *, denied: bool = False, shown: bool = True
) -> tuple[FleetView, Callable[[float], None]]:
    at = [now]
    market = Market(BINANCE, Catalogue(MemoryStore()), Freshness(), Ears(members, denied))
    return (
        FleetView(Markets([market]), clock=lambda: at[0], shown=shown),
        lambda later: at.__setitem__(0, later),
    )


def saw(members: Members, *beats: Heartbeat, now: float) -> None:
    for each in beats:
        members.saw(each.replica, f"{each.replica}{each.beat}", each, now)
    members.read_all()


def test_who_lives_and_what_each_does() -> None:
    members = Members()
    saw(members, beat("b", rank=1), beat("a"), now=10.0)
    fleet = view(members, 11.5)[0].read("ETHUSDT")
    assert (fleet.sight, fleet.living) == (Sight.SHOWN, 2)
    first, second = fleet.replicas
    assert first._asdict() == {
        "name": "a",
        "venue": "",
        "state": "live",
        "heard_s": 1,
        "version": "1",
        "holds": 2,
        "writes": 2,
        "feeds": "1/2",
        "weight": "20/6000",
        "p99_ms": "19",
        "lost": 1,
        "takeovers": 2,
    }
    assert (second.name, second.writes) == ("b", 0)
    assert [(each.replica, each.role, each.rank, each.behind_ms) for each in fleet.holders] == [
        ("a", "writer", 0, 0),
        ("b", "standby", 1, 12),
    ]
    assert view(members, 11.5)[0].read("NOBODY").holders == ()


def test_one_that_fell_silent_is_shown_for_a_while_and_holds_nothing() -> None:
    members = Members()
    saw(members, beat("a", 1), beat("b", 1), now=10.0)
    saw(members, beat("a", 2), beat("b", 2), now=11.0)
    for number in range(3, 9):
        members.saw("b", "b2", None, 9.0 + number)
        saw(members, beat("a", number), now=9.0 + number)
    seen, move = view(members, 17.5)
    fleet = seen.read("ETHUSDT")
    assert [(each.name, each.state) for each in fleet.replicas] == [("a", "live"), ("b", "silent")]
    assert (fleet.living, [each.replica for each in fleet.holders]) == (1, ["a"])
    move(12.0 + FORGET_AFTER_S)
    assert "b" not in [each.name for each in seen.read().replicas]


def test_one_that_said_good_bye_is_gone() -> None:
    members = Members()
    saw(members, beat("a", 1), now=1.0)
    saw(members, beat("a", 2, state=State.GONE), now=2.0)
    assert [each.state for each in view(members, 3.0)[0].read().replicas] == ["gone"]


def test_addresses_are_not_shown() -> None:
    members = Members()
    saw(members, beat("a"), now=1.0)
    assert "10.0.0.7" not in repr(view(members, 1.0)[0].read("ETHUSDT"))


def test_what_may_not_be_seen_is_not_seen() -> None:
    members = Members()
    assert view(members, 0.0)[0].read().sight is Sight.NONE
    saw(members, beat("a"), now=1.0)
    assert view(members, 1.0, denied=True)[0].read() == (Sight.DENIED, (), ())
    assert view(members, 1.0, shown=False)[0].read() == (Sight.HIDDEN, (), ())


def test_a_fleet_without_end_is_cut() -> None:
    members = Members()
    saw(members, *(beat(f"r{number}") for number in range(200)), now=1.0)
    fleet = view(members, 1.0)[0].read("ETHUSDT")
    assert len(fleet.replicas) == len(fleet.holders) == MAX_REPLICAS


def test_each_venue_has_a_fleet_and_the_list_shows_all_of_them() -> None:
    spot, futures = Members(), Members()
    saw(spot, beat("a"), now=10.0)
    saw(futures, beat("b"), now=10.0)
    view = FleetView(
        Markets(
            [
                Market(scheme, Catalogue(MemoryStore()), Freshness(), Ears(members))
                for scheme, members in ((BINANCE, spot), (BINANCE_USDM, futures))
            ]
        ),
        clock=lambda: 11.0,
    )
    assert [(each.name, each.venue) for each in view.read().replicas] == [
        ("a", "binance"),
        ("b", "binanceusdm"),
    ]
    for address, name in (("ETHUSDT", "a"), ("binanceusdm/ETHUSDT", "b")):
        fleet = view.read(address)
        assert [(replica.name, replica.venue) for replica in fleet.replicas] == [(name, "")]
        assert [holder.replica for holder in fleet.holders] == [name]
    assert [replica.name for replica in view.read("nowhere/ETHUSDT").replicas] == ["a", "b"]
