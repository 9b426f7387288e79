"""What a view shows of a book, and what it says where there is none."""

import gc
import math
import sys
import threading
from contextlib import nullcontext
from random import Random
from typing import Any

import numpy as np
import pytest

from depthcast.book import Certainty
from depthcast.books import BookView
from depthcast.errors import BookNotReady, ExtraMissing, NotByOrder, NotDeepEnough, UnknownSymbol
from depthcast.events import Diff, PlainLevels, Snapshot
from depthcast.keeper import LiveBook
from depthcast.orders import Done, Matched, Message, Opened, OrderSnapshot, Passed, Tolerance
from depthcast.orders.book import books_of
from depthcast.sync import Sync


class Shown:
    """A view of a book that the test feeds."""

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self.now = 100.0
        self.heard_age_s: float | None = 0.0
        self.live = LiveBook("X", Sync("X"))
        self.view = BookView(
            "X",
            guard=nullcontext(),
            clock=lambda: self.now,
            heard_age_s=lambda _: self.heard_age_s,
            why=lambda _: "its snapshot has not come",
        )
        self.view.begin(self.live)
        if snapshot is not None:
            self.live.sync.snapshot(snapshot)
            self.live.changed_at = self.now
            self.view.changed(self.live, ())

    def stands(self) -> list[object]:
        """Whether it is ready, and its age in ms."""
        return [self.view.ready, self.view.age_ms]

    def apply(self, diff: Diff) -> None:
        self.live.sync.diff(diff)
        self.live.changed_at = self.now
        self.view.changed(self.live, [diff])
        self.view.check()


def snapshot(levels: int = 3, *, complete: bool = True) -> Snapshot:
    bids = [[f"{10 - n * 0.01:.2f}", f"{n + 1}.50"] for n in range(levels)]
    asks = [[f"{11 + n * 0.01:.2f}", f"{n + 1}.25"] for n in range(levels)]
    return Snapshot(7, bids, asks, complete, complete, 1234)


def test_levels_come_as_floats_or_as_the_exact_strings() -> None:
    view = Shown(snapshot()).view
    assert view.top(2) == ("X", 7, 1234, [[10.0, 1.5], [9.99, 2.5]], [[11.0, 1.25], [11.01, 2.25]])
    assert view.top(1, strings=True) == ("X", 7, 1234, [["10.00", "1.50"]], [["11.00", "1.25"]])
    assert view.top() == view.top(3) == view.top(5000)
    assert view.body(1) == b'{"lastUpdateId":7,"bids":[["10.00","1.50"]],"asks":[["11.00","1.25"]]}'


def test_each_call_gives_lists_of_its_own() -> None:
    view = Shown(snapshot()).view
    for strings in (False, True):
        first = view.top(2, strings=strings)
        first.bids[0][0] = first.asks[1][1] = 0  # type: ignore[call-overload]
        first.bids.clear()
        assert view.top(2, strings=strings) == Shown(snapshot()).view.top(2, strings=strings)


def test_what_was_given_out_is_dropped_when_the_book_changes() -> None:
    shown = Shown(snapshot())
    assert shown.view.top(1).bids == [[10.0, 1.5]]
    shown.apply(Diff("X", 8, 9, 2000, [["10.00", "9.00"]], []))
    assert shown.view.top(1)[1:4] == (9, 2000, [[10.0, 9.0]])
    assert shown.view.top(2).bids[0] == [10.0, 9.0]


def test_a_book_completed_at_the_same_id_is_shown_as_it_is_then() -> None:
    shown = Shown(snapshot(2, complete=False))
    with pytest.raises(NotDeepEnough):
        shown.view.top(3)
    assert len(shown.view.top().bids) == 2
    shown.live.sync.begin_refill()
    shown.live.sync.refill(snapshot(5))
    shown.view.changed(shown.live, ())
    assert len(shown.view.top().bids) == 5
    assert len(shown.view.top(4).asks) == 4


@pytest.mark.parametrize("bids_complete", [True, False])
def test_a_shorter_side_is_given_only_where_there_is_no_more(bids_complete: bool) -> None:
    few = snapshot(2)
    shown = Shown(few._replace(asks=snapshot(9).asks, bids_complete=bids_complete))
    reads = (shown.view.top, shown.view.body, shown.view.as_numpy)
    for read in reads:
        if bids_complete:
            read(5)
        else:
            with pytest.raises(
                NotDeepEnough, match="5 levels were asked for, and 2 bids and 9 asks are certain"
            ):
                read(5)
        read(2)
    assert len(shown.view.top(strings=True).bids) == 2
    assert shown.view.certainty == Certainty(2, 9, bids_complete, True)


def test_a_limit_is_at_least_one() -> None:
    view = Shown(snapshot()).view
    for read in (view.top, view.body, view.as_numpy):
        with pytest.raises(ValueError, match="limit is at least 1, not 0"):
            read(0)


def test_the_best_prices_the_spread_and_the_middle() -> None:
    view = Shown(Snapshot(1, [["0.1", "1"]], [["0.30", "2.50"]], True, True)).view
    assert (view.best_bid, view.best_ask) == ((0.1, 1.0), (0.3, 2.5))
    assert (view.best_bid_strings, view.best_ask_strings) == (("0.1", "1"), ("0.30", "2.50"))
    assert 0.3 - 0.1 != 0.2, "which is why it is computed in decimals"
    assert (view.spread, view.mid) == (0.2, 0.2)


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("emptied", ["bid", "ask"])
def test_a_side_of_which_nothing_is_certain_has_no_best_price_but_may_have_one(
    emptied: str, complete: bool
) -> None:
    shown = Shown(Snapshot(1, [["0.1", "1"]], [["0.30", "2.50"]], complete, complete))
    of_bids, of_asks = emptied == "bid", emptied == "ask"
    shown.apply(Diff("X", 2, 2, 0, [["0.1", "0"]] * of_bids, [["0.30", "0"]] * of_asks))
    if of_bids:
        assert shown.view.best_ask == (0.3, 2.5)
    else:
        assert shown.view.best_bid == (0.1, 1.0)
    for name in (f"best_{emptied}", f"best_{emptied}_strings", "spread", "mid"):
        if complete:
            assert getattr(shown.view, name) is None
        else:
            with pytest.raises(NotDeepEnough, match="1 levels were asked for, and"):
                getattr(shown.view, name)


def test_arrays_hold_the_same_numbers() -> None:
    rng = Random(3)
    bids = [[f"{2000 - n}.{rng.randrange(100):02d}", f"{rng.random():.8f}1"] for n in range(300)]
    asks = [[f"{3000 + n}.{rng.randrange(100):02d}", f"{rng.random():.8f}1"] for n in range(300)]
    view = Shown(Snapshot(1, bids, asks, True, True)).view
    for limit in (1, 64, 65, 299, 300, 5000, None):
        top, arrays = view.top(limit), view.as_numpy(limit)
        for levels, array in zip(top[3:], arrays, strict=True):
            assert array.shape == (len(levels), 2)
            assert array.dtype == np.float64
            assert array.tolist() == levels


def test_arrays_of_an_empty_book_are_empty() -> None:
    bids, asks = Shown(Snapshot(1, [], [], True, True)).view.as_numpy(5)
    assert bids.shape == asks.shape == (0, 2)


def test_prices_that_need_more_digits_than_floats_have_come_as_the_nearest_floats() -> None:
    levels = [["12345678901234.00000002", "1"], ["12345678901234.00000001", "2"]]
    view = Shown(Snapshot(1, levels, [], True, True)).view
    assert view.top(2).bids == [[12345678901234.0, 1.0], [12345678901234.0, 2.0]]
    assert view.as_numpy(2)[0].tolist() == view.top(2).bids
    assert view.top(2, strings=True).bids == levels


def test_without_numpy_arrays_are_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(ExtraMissing, match=r"as_numpy\(\) needs numpy, .*; run: pip install"):
        Shown(snapshot()).view.as_numpy(1)


def test_without_a_book_everything_that_reads_it_says_what_it_waits_for() -> None:
    shown = Shown()
    view = shown.view
    reads = (
        view.top,
        view.as_numpy,
        lambda: view.body(5),
        lambda: view.update_id,
        lambda: view.event_time_ms,
        lambda: view.certainty,
        lambda: view.best_bid,
        lambda: view.best_ask_strings,
        lambda: view.spread,
        lambda: view.mid,
    )
    for read in reads:
        with pytest.raises(BookNotReady, match=r"X \(its snapshot has not come\)") as error:
            read()
        assert error.value.symbols == ["X"]
    assert (view.ready, view.age_ms, view.source, view.resyncs, view.epoch) == (False, math.inf, None, 0, 0)


def test_a_book_that_was_found_wrong_is_not_shown() -> None:
    shown = Shown(snapshot())
    shown.live.fault = "crossed"
    assert not shown.view.ready
    with pytest.raises(BookNotReady):
        shown.view.top(1)


def test_the_last_good_book_is_shown_while_it_is_built_anew_and_gets_older() -> None:
    shown = Shown(snapshot())
    shown.now += 2
    shown.view.note_heard()
    assert shown.view.age_ms == 0
    shown.live.sync.diff(Diff("X", 20, 21, 0, [], []))
    shown.view.broke(shown.live)
    shown.now += 1
    assert not shown.view.ready
    assert shown.view.top(1).update_id == 7
    assert shown.view.age_ms == pytest.approx(3000), "what was missing may have been missing for long"


def test_age_counts_from_when_the_connection_was_heard_last() -> None:
    shown = Shown(snapshot())
    shown.now += 60
    shown.heard_age_s = 0.5
    assert shown.stands() == [True, pytest.approx(500)], "a quiet book is as young as its connection"
    shown.heard_age_s = None
    shown.now += 5
    assert shown.stands() == [False, pytest.approx(5500)]


def test_a_bound_of_the_age_is_enough_where_it_is_small_enough() -> None:
    shown = Shown(snapshot())
    shown.now += 0.2
    assert shown.view.age_at_most_ms(500) == pytest.approx(200), "as it was when connections were looked at"
    assert shown.view.age_at_most_ms(199) == 0, "looked at again, it is younger"
    shown.heard_age_s = None
    shown.now += 3
    assert shown.view.age_at_most_ms(500) == pytest.approx(3000)
    assert Shown(None).view.age_at_most_ms(500) == math.inf


def test_a_connection_that_is_new_makes_no_book_young() -> None:
    shown = Shown(snapshot())
    shown.live.suspect_at = shown.now
    shown.now += 3
    assert shown.view.age_ms == pytest.approx(3000)
    assert not shown.view.ready
    shown.live.suspect_at = None
    assert shown.view.age_ms == 0


def test_a_view_whose_book_is_kept_no_longer_says_why() -> None:
    shown = Shown(snapshot())
    shown.view.end(UnknownSymbol("X", "binance"))
    with pytest.raises(UnknownSymbol):
        shown.view.top(1)
    assert not shown.view.ready
    assert shown.view.ended is not None


def told(update_id: int, bid: str) -> Diff:
    return Diff("X", update_id, update_id, update_id, PlainLevels([[bid, "1.0"]]), PlainLevels())


def test_diffs_are_written_when_the_book_is_read() -> None:
    shown = Shown(snapshot())
    book = shown.live.book
    assert book is not None
    shown.live.sync.diff(told(8, "10.5"))
    shown.view.changed(shown.live, [told(8, "10.5")])
    assert (shown.view.update_id, shown.view.event_time_ms, book.unsettled) == (8, 8, 1)
    assert shown.view.best_bid == (10.5, 1.0)
    assert book.unsettled == 0


def test_where_readers_of_changes_look_at_each_diff_it_is_written_as_it_comes() -> None:
    shown = Shown(snapshot())
    book = shown.live.book
    assert book is not None
    changes = shown.view.read_changes(float)
    shown.apply(told(8, "10.5"))
    assert book.unsettled == 0
    del changes
    gc.collect()
    shown.view.note_heard()
    shown.live.sync.diff(told(9, "10.6"))
    assert book.unsettled == 1


def test_a_book_that_reading_shows_to_be_crossed_is_neither_ready_nor_read() -> None:
    for asked_first in (False, True):
        shown = Shown(snapshot())
        shown.live.sync.diff(told(8, "12.0"))
        assert not (asked_first and shown.view.ready)
        with pytest.raises(BookNotReady):
            shown.view.top(1)
        assert not shown.view.ready
        assert shown.live.fault == "crossed"


def test_a_book_that_breaks_while_another_thread_asks_for_its_age_does_not_look_young() -> None:
    shown = Shown(snapshot())
    guard = threading.Lock()
    breaking = threading.Thread(target=lambda: shown.view.broke(shown.live))

    def heard_while_it_breaks(_: str) -> float:
        if not breaking.ident:
            breaking.start()
            # It waits for the guard that is held here; without one it is done at once.
            breaking.join(0.2)
        return 0.0

    shown.view = BookView(
        "X", guard=guard, clock=lambda: shown.now, heard_age_s=heard_while_it_breaks, why=lambda _: ""
    )
    shown.view.begin(shown.live)
    shown.view.changed(shown.live, ())
    shown.now += 3
    assert shown.view.age_ms == 0
    breaking.join()
    # What broke it may have been missing since its last diff, three seconds ago.
    assert shown.view.age_ms == 3000


# Books by order


def by_order() -> Shown:
    shown = Shown()
    shown.live.sync = Sync("X", book_of=books_of(Tolerance()))
    bids = [["10.00", "5", "b1"], ["10.00", "2.50", "b2"], ["9.99", "1", "b3"]]
    shown.live.sync.snapshot(OrderSnapshot(7, bids, [["10.01", "4", "a1"]], "2026-11-21T10:00:00.123456Z"))
    shown.live.changed_at = shown.now
    shown.view.changed(shown.live, ())
    return shown


def test_a_book_by_order_is_read_by_price_too() -> None:
    view = by_order().view
    at = "X", 7, 1795255200123
    assert view.top() == (*at, [[10.0, 7.5], [9.99, 1.0]], [[10.01, 4.0]])
    assert view.top(1, strings=True) == (*at, [["10.00", "7.5"]], [["10.01", "4"]])
    assert (view.best_bid_strings, view.mid) == (("10.00", "7.5"), 10.005)
    assert [side.tolist() for side in view.as_numpy(1)] == [[[10.0, 7.5]], [[10.01, 4.0]]]
    assert view.certainty == (2, 1, True, True)
    assert view.body(2).startswith(b'{"bids":[["10.00","7.5",2],["9.99","1",1]],"asks":[["10.01","4",1]],')
    view.check()


def test_its_orders_come_in_their_priority() -> None:
    view = by_order().view
    assert view.by_order
    bids = [("10.00", "5", "b1"), ("10.00", "2.5", "b2"), ("9.99", "1", "b3")]
    asks = [("10.01", "4", "a1")]
    assert view.orders(strings=True) == ("X", 7, 1795255200123, bids, asks)
    assert view.orders(2).bids == [(10.0, 5.0, "b1"), (10.0, 2.5, "b2")]
    with pytest.raises(ValueError, match="at least 1"):
        view.orders(0)
    by_price = Shown(snapshot()).view
    assert not by_price.by_order
    with pytest.raises(NotByOrder, match="does not tell of every order"):
        by_price.orders()


async def test_changes_of_a_book_by_order_are_of_its_levels() -> None:
    shown = by_order()
    changes = shown.view.read_changes(str)
    assert (await anext(changes)).rebuilt
    told: list[Message] = [
        Opened("X", 8, "", "b4", True, "9.98", "3"),
        Matched("X", 9, "", "a1", False, "10.01", "1.5"),
        Passed("X", 10, ""),
        Done("X", 11, "", "b3", False, None),
    ]
    for message in told:
        shown.live.sync.diff(message)
        shown.view.changed(shown.live, [message])
    change = await anext(changes)
    assert (change.update_id, change.diffs, change.rebuilt) == (11, 4, False)
    assert change.bids == [["9.98", "3"], ["9.99", "0"]]
    assert change.asks == [["10.01", "2.5"]]
    shown.view.check()
    # Nobody reads changes any more: the book notes them no longer.
    await changes.aclose()
    del changes
    gc.collect()
    shown.view.note_heard()
    book: Any = shown.live.sync.book
    shown.live.sync.diff(Done("X", 12, "", "b4", False, None))
    assert book.take_moved() == ([], [])
