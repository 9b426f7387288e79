"""Which keys and metadata are sent to a store, and which are refused before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthcast.errors import BadKey
from depthcast.files import depth_key, heartbeat_key
from depthcast.store import MAX_LISTED_AT_ONCE
from depthcast.store.key import MAX_KEY_BYTES, check_key, check_metadata, check_page


@pytest.mark.parametrize(
    "key",
    [
        depth_key("ETHUSDT", 5),
        depth_key("币安人生USDT", 5000),
        depth_key("币" * 50, 5000),
        heartbeat_key("host-1.example_2"),
        "api/v3/exchangeInfo",
        "a",
        "...",
        ".a/b.",
        "a/..b/c",
        "a b&c=d?e%2F",
        "k" * MAX_KEY_BYTES,
        "é" * (MAX_KEY_BYTES // 2),
        "😀" * (MAX_KEY_BYTES // 4),
    ],
)
def test_a_key_that_every_store_gives_back_is_taken(key: str) -> None:
    assert check_key(key) is key


@pytest.mark.parametrize(
    "key",
    [
        *("", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/.", "../a", "a/../b", "a/./b"),
        *("a\\b", "a\nb", "a\x00", "a\x1f", "a\x7f", "a\tb"),
        "a\ud800",
    ],
)
def test_a_key_that_some_store_changes_is_refused(key: str) -> None:
    with pytest.raises(BadKey, match="do not survive every store"):
        check_key(key)


@pytest.mark.parametrize(
    "key",
    [
        "k" * (MAX_KEY_BYTES + 1),
        "é" * (MAX_KEY_BYTES // 2) + "k",
        "😀" * (MAX_KEY_BYTES // 4) + "k",
    ],
)
def test_a_key_is_measured_in_bytes(key: str) -> None:
    with pytest.raises(BadKey, match="at most 1024 bytes"):
        check_key(key)


def survives(key: str) -> bool:
    """The same said as a reader of the rule would write it."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return False
    odd = any(char in "\\\x7f" or ord(char) < 32 for char in key)
    return size <= MAX_KEY_BYTES and not odd and not {"", ".", ".."} & set(key.split("/"))


@given(st.text(st.sampled_from("a./\\\n\x7f币😀\ud800"), max_size=8) | st.text(max_size=12))
def test_the_rule_is_what_it_says(key: str) -> None:
    try:
        check_key(key)
    except BadKey:
        assert not survives(key)
    else:
        assert survives(key)


@pytest.mark.parametrize("metadata", [{}, {"epoch": "0"}, {"certain-bids": "7+"}, {"a-1": "a b  c"}])
def test_metadata_that_a_header_carries_intact_is_taken(metadata: dict[str, str]) -> None:
    assert check_metadata(metadata) is metadata


@pytest.mark.parametrize(
    "name", ["", "Epoch", "a_b", "-a", "a-", "a--b", "a b", "é", "content-type", "cache-control"]
)
def test_a_name_that_no_header_carries_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="metadata name"):
        check_metadata({"epoch": "1", name: "x"})


@pytest.mark.parametrize("value", ["", " a", "a ", " ", "a\n", "é", "a\tb", "a\r\nX-Injected: 1"])
def test_a_value_that_no_header_carries_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="metadata value of epoch"):
        check_metadata({"epoch": value})


@pytest.mark.parametrize(
    ("folder", "after", "key"), [("a/b/", "c", "a/b/c"), ("a/", "", "a/"), ("/", "x y", "/x y")]
)
def test_a_page_begins_behind_one_key(folder: str, after: str, key: str) -> None:
    for limit in (1, MAX_LISTED_AT_ONCE):
        assert check_page(folder, after, limit) == key


@pytest.mark.parametrize(
    ("folder", "after", "limit", "why"),
    [
        ("a", "", 1, "not a folder"),
        ("", "a", 1, "not a folder"),
        ("a/", "b/c", 1, "not a folder"),
        ("a/", "b", 0, "1 to 1000 objects, not 0"),
        ("a/", "b", MAX_LISTED_AT_ONCE + 1, "1 to 1000 objects"),
    ],
)
def test_what_is_no_page_of_a_folder_is_refused(folder: str, after: str, limit: int, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check_page(folder, after, limit)
