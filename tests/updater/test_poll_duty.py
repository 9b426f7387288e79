"""Who asks: one of those that can, and another one where it gets no answer."""

from collections.abc import Mapping

from depthcast.fleet import ranked
from depthcast.heartbeat import Heartbeat, PollBeat, State
from updater.poll_duty import HURRIED_PATIENCE_S, PollDuty

KIND = "exchangeInfo"
PATIENCE_S = 100.0
ORDER = ranked(f"poll {KIND}", ["a", "b", "c"])


def beat(
    name: str, answered: int = 0, state: State = State.LIVE, kinds: tuple[str, ...] = (KIND,)
) -> Heartbeat:
    polls = {kind: PollBeat(answered=answered) for kind in kinds}
    return Heartbeat(replica=name, beat=1, state=state, polls=polls)


class Fleet:
    """The duties of three replicas that hear the same."""

    def __init__(self) -> None:
        self.duties = {name: PollDuty(KIND, patience_s=PATIENCE_S) for name in ORDER}

    def read(self, now: float, *beats: Heartbeat) -> None:
        living: Mapping[str, Heartbeat] = {each.replica: each for each in beats}
        for name, duty in self.duties.items():
            duty.read(living, living.get(name, beat(name)), now)
            duty.check()

    def asking(self, now: float, *, hurried: bool = False) -> list[str]:
        return [name for name, duty in self.duties.items() if duty.mine(now, hurried=hurried)]


def test_one_of_those_that_live_asks() -> None:
    fleet = Fleet()
    fleet.read(0.0, *map(beat, ORDER))
    assert fleet.asking(1.0) == [ORDER[0]]
    assert [fleet.duties[name].rank for name in ORDER] == [0, 1, 2]


def test_one_that_is_alone_or_has_heard_of_nobody_asks() -> None:
    duty = PollDuty(KIND, patience_s=PATIENCE_S)
    assert duty.mine(0.0)
    duty.read({"b": beat("b")}, beat("b"), 0.0)
    assert duty.mine(0.0)


def test_where_the_first_dies_the_next_one_asks_at_once() -> None:
    fleet = Fleet()
    fleet.read(0.0, *map(beat, ORDER))
    fleet.read(3.0, *map(beat, ORDER[1:]))
    assert ORDER[1] in fleet.asking(3.0)
    assert ORDER[2] not in fleet.asking(3.0)


def test_where_the_first_gets_no_answer_the_next_one_asks_until_it_does() -> None:
    fleet = Fleet()
    first, second, third = ORDER
    for now in range(100):
        fleet.read(float(now), beat(first, 7), beat(second), beat(third))
        assert fleet.asking(float(now)) == [first]
    fleet.read(100.0, beat(first, 7), beat(second), beat(third))
    assert fleet.asking(100.0) == [first, second]
    # The second one gets answers, so the third one never has to.
    for now in range(100, 500):
        fleet.read(float(now), beat(first, 7), beat(second, now), beat(third))
        assert fleet.asking(float(now)) == [first, second]
    fleet.read(500.0, beat(first, 8), beat(second, 500), beat(third))
    assert fleet.asking(500.0) == [first]


def test_where_nobody_gets_an_answer_each_one_asks_in_the_end() -> None:
    fleet = Fleet()
    fleet.read(0.0, *map(beat, ORDER))
    assert fleet.asking(199.0) == ORDER[:2]
    assert fleet.asking(200.0) == ORDER


def test_one_that_knows_nothing_waits_a_short_while_only() -> None:
    fleet = Fleet()
    fleet.read(0.0, *map(beat, ORDER))
    assert fleet.asking(HURRIED_PATIENCE_S - 0.1, hurried=True) == ORDER[:1]
    assert fleet.asking(HURRIED_PATIENCE_S, hurried=True) == ORDER[:2]


def test_one_that_leaves_and_one_that_cannot_ask_do_not_count() -> None:
    fleet = Fleet()
    first, second, third = ORDER
    fleet.read(0.0, beat(first, state=State.LEAVING), beat(second, kinds=("account",)), beat(third))
    assert not fleet.duties[first].mine(0.0), "another one can"
    assert fleet.duties[third].mine(0.0)
    alone = PollDuty(KIND, patience_s=PATIENCE_S)
    alone.read({"a": beat("a", state=State.LEAVING)}, beat("a", state=State.LEAVING), 0.0)
    assert alone.mine(0.0), "nobody else can"
