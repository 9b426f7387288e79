"""The values by which rows are told."""

from depthcast.rows import Action, Row, RowsChanged, RowSnapshot

BID: Row = (1, True, 5, "2.5", "")
ASK: Row = (1, False, 3, "2.6", "")


def test_a_change_leads_on_from_what_is_before_it() -> None:
    change = RowsChanged("X", 8, 9, 0, Action.UPDATE, [BID, ASK])
    assert (change.after, change.pieces) == (7, 2)
    assert change._replace(previous=3).after == 3


def test_a_snapshot_is_whole_and_tells_its_sides_apart() -> None:
    snapshot = RowSnapshot("X", 7, [BID, ASK])
    assert (snapshot.bids, snapshot.asks) == ([BID], [ASK])
    assert snapshot.bids_complete
    assert snapshot.asks_complete
    assert snapshot.transaction_time_ms == 0
