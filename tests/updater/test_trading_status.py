"""One document of what each symbol does: whose word counts for what."""

import json
from typing import Any

from depthcast.heartbeat import Heartbeat, Role, SymbolBeat
from depthcast.metadata.kinds import TRADING_STATUS
from updater.trading_status import compose, suspicions

STATUSES = {"B": "TRADING", "A": "TRADING", "H": "HALT", "G": "DELISTED"}


def beat(name: str, *, maintenance: bool = False, **suspected: SymbolBeat) -> Heartbeat:
    return Heartbeat(replica=name, beat=1, maintenance=maintenance, symbols=suspected)


def silent(role: Role = Role.WRITER) -> SymbolBeat:
    return SymbolBeat(role=role, suspicion="SILENT", suspected_since_ms=7)


def told(*beats: Heartbeat) -> dict[str, Any]:
    body = compose(STATUSES, beats)
    TRADING_STATUS.parse(body)
    entries = json.loads(body)["symbols"]
    assert [each["symbol"] for each in entries] == sorted(STATUSES)
    assert {each["symbol"]: each["listed"] for each in entries} == STATUSES
    return {each["symbol"]: (each["status"], each["source"]) for each in entries}


def test_the_exchanges_word_counts_then_its_system_status_then_what_the_feed_shows() -> None:
    listed = {"A": "TRADING", "B": "TRADING", "H": "HALT", "G": "DELISTED"}
    assert told() == {symbol: (status, "exchangeInfo") for symbol, status in listed.items()}
    suspected = told(beat("a", A=silent(), H=silent()))
    assert suspected["A"] == ("SILENT", "feed")
    assert suspected["H"] == ("HALT", "exchangeInfo")
    down = told(beat("a", A=silent()), beat("b", maintenance=True))
    assert down["A"] == down["B"] == ("MAINTENANCE", "systemStatus")
    assert down["G"] == ("DELISTED", "exchangeInfo")


def test_who_writes_the_files_is_believed_and_a_standby_is_not() -> None:
    assert told(beat("a", A=silent(Role.STANDBY)))["A"] == ("TRADING", "exchangeInfo")
    found = suspicions([beat("a", A=silent(Role.ACTING)), beat("b", A=SymbolBeat(role=Role.STANDBY))])
    assert found["A"].suspected_since_ms == 7
    entry = json.loads(compose({"A": "TRADING"}, [beat("a", A=silent())]))["symbols"][0]
    assert entry["sinceMs"] == 7


def test_all_who_know_the_same_say_the_same() -> None:
    beats = [beat("a", A=silent()), beat("b", B=silent())]
    other = dict(reversed(STATUSES.items()))
    assert compose(STATUSES, beats) == compose(other, reversed(beats))
