"""Keys, versions and what travels beside a file: there and back, and in one order for everybody."""

import json
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthcast.errors import BadFile, BadKey
from depthcast.files import (
    EXCHANGE_INFO_KEY,
    DepthKey,
    FileInfo,
    Version,
    depth_key,
    heartbeat_key,
    parse_heartbeat_key,
    parse_key,
    version_of,
)
from depthcast.store.key import check_key, check_metadata
from depthcast.symbol_list import SymbolList
from tests.properties.effort import examples

symbols = st.text(
    st.characters(categories=("L", "N"), exclude_characters="abcdefghijklmnopqrstuvwxyz")
    | st.sampled_from("_-."),
    min_size=1,
    max_size=50,
).filter(lambda text: all(char.isalnum() or char in "_-." for char in text))
replicas = st.text(st.sampled_from("azAZ09._-"), min_size=1, max_size=100)
numbers = st.integers(0, 2**63 - 1)
versions = st.builds(Version, st.integers(0, 3), st.integers(0, 3)) | st.builds(Version, numbers, numbers)
infos = st.builds(
    FileInfo,
    epoch=numbers,
    bids=numbers,
    asks=numbers,
    bids_complete=st.booleans(),
    asks_complete=st.booleans(),
    event_time_ms=numbers,
    publish_time_ms=numbers,
    replica=replicas,
    status=st.from_regex(r"[A-Z][A-Z0-9_]{0,31}", fullmatch=True),
)

BUILT: dict[str, Callable[[str], DepthKey | str]] = {
    "depth": parse_key,
    "heartbeat": parse_heartbeat_key,
}


@given(
    st.lists(st.tuples(symbols, st.integers(1, 5000)), unique=True, max_size=6),
    st.lists(replicas, unique=True),
)
@settings(max_examples=examples(150))
def test_each_kind_of_key_comes_back_and_no_two_are_alike(
    requests: list[tuple[str, int]], fleet: list[str]
) -> None:
    keys = {depth_key(*request): request for request in requests}
    beats = {heartbeat_key(replica): replica for replica in fleet}
    assert len({*keys, *beats, EXCHANGE_INFO_KEY}) == len(requests) + len(fleet) + 1
    for key, request in keys.items():
        assert parse_key(key) == request
        with pytest.raises(BadKey):
            parse_heartbeat_key(key)
    for key, replica in beats.items():
        assert parse_heartbeat_key(key) == replica
        with pytest.raises(BadKey):
            parse_key(key)
    for parse in BUILT.values():
        with pytest.raises(BadKey):
            parse(EXCHANGE_INFO_KEY)
    for key in (*keys, *beats, EXCHANGE_INFO_KEY):
        assert check_key(key) == key, "and every store gives it back"


@given(st.sampled_from(sorted(BUILT)), st.data())
@settings(max_examples=examples(300))
def test_a_key_with_one_character_changed_is_another_key_or_none(kind: str, data: st.DataObject) -> None:
    key = depth_key("ETHUSDT", 500) if kind == "depth" else heartbeat_key("host-1")
    at = data.draw(st.integers(0, len(key)))
    changed = (
        key[:at] + data.draw(st.sampled_from(("", *"0a/?&= %\n٥"))) + key[at + data.draw(st.integers(0, 1)) :]
    )
    if changed == key:
        return
    try:
        found = BUILT[kind](changed)
    except BadKey:
        return
    rebuilt = depth_key(*found) if isinstance(found, DepthKey) else heartbeat_key(found)
    assert rebuilt == changed


@given(versions, versions, versions)
@settings(max_examples=examples(300))
def test_versions_are_in_one_total_order(one: Version, two: Version, three: Version) -> None:
    # Trichotomy, by the words of the rule: the epoch, then the id.
    newer = one.epoch > two.epoch or (one.epoch == two.epoch and one.update_id > two.update_id)
    older = two.epoch > one.epoch or (one.epoch == two.epoch and two.update_id > one.update_id)
    assert [one > two, one < two, one == two] == [newer, older, not newer and not older]
    assert (one >= two) is not older
    assert (one <= two) is not newer
    if one <= two <= three:
        assert one <= three
    for left, right in pairwise(sorted((one, two, three))):
        assert not right < left


@given(infos, numbers, st.binary(max_size=20))
@settings(max_examples=examples(200))
def test_what_a_writer_says_of_a_file_comes_back_through_any_store(
    info: FileInfo, update_id: int, rest: bytes
) -> None:
    metadata = info.to_metadata()
    assert check_metadata(metadata) == metadata
    assert FileInfo.from_metadata("k", {name.title(): value for name, value in metadata.items()}) == info
    head = b'{"lastUpdateId":%d,"bids":[' % update_id
    assert version_of("k", head + rest, metadata) == (info.epoch, update_id)


@given(infos, st.data())
@settings(max_examples=examples(200))
def test_damaged_metadata_is_refused_or_means_something_that_can_be_said(
    info: FileInfo, data: st.DataObject
) -> None:
    metadata = info.to_metadata()
    name = data.draw(st.sampled_from(sorted(metadata)))
    metadata[name] = data.draw(st.text(max_size=25))
    try:
        read = FileInfo.from_metadata("k", metadata)
    except BadFile as error:
        line = str(error)
    else:
        # Numbers may come with zeros before them; what was read is what would be written.
        assert FileInfo.from_metadata("k", read.to_metadata()) == read
        return
    assert line.isprintable()


entries = st.fixed_dictionaries(
    {"symbol": symbols, "status": st.sampled_from(("TRADING", "HALT", "BREAK"))},
    optional={
        "permissionSets": st.lists(
            st.lists(st.sampled_from(("SPOT", "MARGIN", "X_1")), max_size=3), max_size=2
        ),
        "permissions": st.lists(st.sampled_from(("SPOT", "MARGIN")), max_size=2),
        "isSpotTradingAllowed": st.booleans(),
        "filters": st.lists(
            st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2), max_size=2
        ),
        "note": st.text(st.sampled_from('"\\]}[{,:a币\n'), max_size=8),
    },
)


@given(
    st.lists(entries, max_size=5),
    st.integers(0, 10**17 - 1),
    st.text(max_size=8),
    st.booleans(),
)
@settings(max_examples=examples(150))
def test_a_list_of_symbols_is_cut_and_put_together_again_byte_for_byte(
    listed: list[dict[str, object]], time: int, zone: str, ascii_only: bool
) -> None:
    def body(server_time: int) -> bytes:
        document = {
            "timezone": zone,
            "serverTime": server_time,
            "symbols": listed,
            "sors": [{"symbols": ["A"]}],
        }
        return json.dumps(document, separators=(",", ":"), ensure_ascii=ascii_only).encode()

    whole = SymbolList.of(body(time))
    assert whole.server_time_ms == time
    between, found, behind = whole.divide()
    joined = b",".join(entry.body for entry in found)
    assert whole.before + str(time).encode() + between + joined + behind == body(time)
    assert [(entry.symbol, entry.status) for entry in found] == [(e["symbol"], e["status"]) for e in listed]
    assert [json.loads(entry.body) for entry in found] == listed
