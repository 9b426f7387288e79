"""Heartbeats as objects: what was said comes back, and damage is told from it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthcast.errors import BadFile
from depthcast.heartbeat import (
    FeedBeat,
    Heartbeat,
    RestBeat,
    Role,
    State,
    SymbolBeat,
    WriteBeat,
)

counts = st.integers(0, 10**15)
# As replicas round them. Writers of JSON spell tiny numbers in several ways.
latencies = st.none() | st.floats(0, 10**6).map(lambda ms: round(ms, 2))
words = st.text(st.characters(exclude_categories=("C", "Z")) | st.just(" "), max_size=20)
levels = st.builds(lambda count, plus: f"{count}{'+' * plus}", st.integers(0, 10**5), st.booleans())
symbol_beats = st.builds(
    SymbolBeat,
    role=st.sampled_from(Role),
    rank=st.integers(0, 20),
    live=st.booleans(),
    epoch=counts,
    id=st.none() | counts,
    bids=levels,
    asks=levels,
    heard_age_ms=st.none() | counts,
    behind_ms=counts,
    status=st.sampled_from(["TRADING", "HALT", "BREAK"]),
)
heartbeats = st.builds(
    Heartbeat,
    replica=st.from_regex(r"[A-Za-z0-9._-]{1,100}", fullmatch=True),
    beat=counts,
    state=st.sampled_from(State),
    time_ms=counts,
    started_ms=counts,
    selection=words,
    limits=st.lists(st.integers(1, 5000), max_size=8).map(tuple),
    redundancy=st.integers(0, 20),
    takeover_after_ms=counts,
    listed=counts,
    feed=st.builds(FeedBeat, symbols=counts, live=counts, connections=counts, last_frame_age_ms=counts),
    rest=st.builds(RestBeat, address=words, weight_used=counts, silent_for_ms=counts),
    writes=st.builds(WriteBeat, written=counts, lost=counts, p50_ms=latencies, p99_ms=latencies),
    symbols=st.dictionaries(st.sampled_from(["ETHUSDT", "币安人生USDT", "A-B.C_D"]), symbol_beats),
)


@given(heartbeats)
def test_what_was_said_comes_back(said: Heartbeat) -> None:
    assert Heartbeat.from_body("fleet/a.json", said.to_body()) == said


@given(heartbeats)
def test_the_body_is_compact_json_of_plain_words(said: Heartbeat) -> None:
    document = json.loads(said.to_body())
    assert said.to_body() == json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    assert document["state"] in ("live", "leaving", "gone")


def test_members_of_a_later_version_are_passed_over() -> None:
    body = (
        b'{"replica":"a","beat":3,"mood":"good","rest":{"address":"x","karma":7},"symbols":{"A":{"new":1}}}'
    )
    heartbeat = Heartbeat.from_body("fleet/a.json", body)
    assert (heartbeat.beat, heartbeat.rest.address, heartbeat.symbols["A"].role) == (3, "x", Role.STANDBY)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"", "the whole"),
        (b"{", "the whole"),
        (b"[]", "the whole"),
        (b'{"beat":1}', "replica"),
        (b'{"replica":"a"}', "beat"),
        (b'{"replica":"a","beat":-1}', "beat"),
        (b'{"replica":"a","beat":1,"state":"asleep"}', "state"),
        (b'{"replica":"a","beat":1,"symbols":{"ETHUSDT":{"role":"king"}}}', "symbols.ETHUSDT.role"),
        (b'{"replica":"a","beat":1,"rest":{"silent_for_ms":-5}}', "rest.silent_for_ms"),
        (b'{"replica":"a","beat":1,"time_ms":1%s}' % (b"0" * 400), "time_ms"),
        (b"\xff\xfe", "the whole"),
        # What is shown on a terminal could steer it.
        (b'{"replica":"a","beat":1,"version":"\\u001b[2J"}', "version"),
        (b'{"replica":"a","beat":1,"symbols":{"X":{"status":"TRADING\\u0000"}}}', "symbols.X.status"),
        (b'{"replica":"a","beat":1,"symbols":{"X\\u001b":{}}}', r"symbols\.X\\x1b\.\[key\]"),
    ],
)
def test_what_is_no_heartbeat_is_told_in_one_line_that_says_where(body: bytes, where: str) -> None:
    with pytest.raises(BadFile, match=f"it is no heartbeat: {where}: ") as caught:
        Heartbeat.from_body("fleet/a.json", body)
    assert caught.value.key == "fleet/a.json"
    assert "\n" not in str(caught.value)


@given(heartbeats, st.data())
def test_half_a_heartbeat_is_none(said: Heartbeat, data: st.DataObject) -> None:
    body = said.to_body()
    with pytest.raises(BadFile):
        Heartbeat.from_body("k", body[: data.draw(st.integers(0, len(body) - 1))])


@given(heartbeats)
def test_all_but_what_it_holds_may_be_kept_of_a_replica(said: Heartbeat) -> None:
    kept = said.without_symbols()
    assert dict(kept.symbols) == {}
    assert kept.model_dump(exclude={"symbols"}) == said.model_dump(exclude={"symbols"})
