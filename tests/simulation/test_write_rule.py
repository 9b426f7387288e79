"""The write rule never goes back, whatever is lost or late; and without any part of it, it does."""

import pytest

from depthcast.files import FileInfo, Version
from depthcast.store import StoredObject
from tests.simulation.write_rule import MISSING, UNSEEN, Rule, WentBack, explore
from updater.writing import KeyWriter, Look, Wait, Write

KEY = "api/v3/depth?symbol=ETHUSDT&limit=5"


@pytest.mark.parametrize(("writers", "ids"), [(1, 5), (2, 4), (3, 3)])
def test_no_order_of_events_makes_the_object_older(writers: int, ids: int) -> None:
    states = explore(Rule(), writers=writers, ids=ids)
    assert states > 20**writers, "a model in which little can happen shows little"


@pytest.mark.parametrize(
    ("rule", "last"),
    [
        (Rule(conditional=False), "wins with id 1"),
        (Rule(compares=False), "wins with id 1 over 2"),
        (Rule(deletes=True), "wins with id 1 over nothing"),
    ],
    ids=["without a condition", "without the comparison of ids", "with a single delete"],
)
def test_a_rule_with_a_part_missing_goes_back_with_two_writers(rule: Rule, last: str) -> None:
    with pytest.raises(WentBack) as caught:
        explore(rule, writers=2, ids=3)
    assert caught.value.steps[-1] == last


def test_a_late_write_alone_is_enough_to_go_back_without_a_condition() -> None:
    with pytest.raises(WentBack) as caught:
        explore(Rule(conditional=False), writers=1, ids=2)
    assert caught.value.steps[-1] == "the late write of id 1 is done"


@pytest.mark.parametrize("book", [1, 2, 3])
@pytest.mark.parametrize("known", [UNSEEN, MISSING, 1, 2, 3])
def test_the_updater_follows_the_rule_that_was_explored(book: int, known: int) -> None:
    writer = KeyWriter(KEY)
    if known != UNSEEN:
        body = b'{"lastUpdateId":%d,"bids":[],"asks":[]}' % known
        info = FileInfo(0, 0, 0, True, True, 0, 0, "a")
        found = StoredObject(body, f'"{known}"', info.to_metadata(), "", None)
        assert writer.saw(None if known == MISSING else found, 1.0) is None
    step = writer.next_step(1.0, Version(0, book))
    put = Rule().write(book, known)
    if put is not None:
        assert step == Write(None if put.expected == MISSING else f'"{put.expected}"')
    else:
        assert isinstance(step, Look if known == UNSEEN else Wait)
