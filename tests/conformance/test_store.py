"""What every store promises (``depthcast.store.Store``), shown on each of them."""

import asyncio
from collections import Counter
from collections.abc import Mapping

import pytest

from depthcast.errors import BadKey
from depthcast.store import UNCHANGED, Entry, Outcome, Store, StoredObject

KEY = "api/v3/depth?symbol=ETHUSDT&limit=5"
OTHER = "api/v3/depth?symbol=ETHUSDT&limit=10"
STALE = '"0123456789abcdef0123456789abcdef"'

ODD_KEYS = [
    "plain",
    "api/v3/depth?symbol=币安人生USDT&limit=5",
    "a key/with spaces +plus%2Fpercent",
    "percent%41",
    "stars*~and#hash@at!bang$dollar'quote(paren)",
    "comma,semi;colon:equals=amp&",
    'quote"angle<>brace{}pipe|caret^back`tick[]',
    "combining-e\u0301-and-composed-\u00e9",
    "emoji-😀",
    "x" * 200 + "/" + "y" * 200,
]


async def written(store: Store, key: str, body: bytes, **options: object) -> str:
    """Create an object; its ETag."""
    result = await store.put_if(key, body, match=None, **options)  # type: ignore[arg-type]
    assert result.outcome is Outcome.WON, result
    assert result.etag is not None
    return result.etag


async def body_of(store: Store, key: str) -> bytes | None:
    held = await store.get(key)
    return None if held is None else held.body


async def entries(store: Store, prefix: str) -> list[Entry]:
    return [entry async for entry in store.list(prefix)]


# Reading


async def test_a_missing_object_is_none_however_it_is_read(store: Store) -> None:
    assert await store.get(KEY) is None
    assert await store.peek(KEY, 64) is None
    assert await store.get_if_changed(KEY, STALE) is None


async def test_an_object_comes_back_with_its_metadata_and_headers(store: Store) -> None:
    metadata = {"epoch": "3", "certain-bids": "5000+", "replica": "a-1 (x)"}
    etag = await written(
        store,
        KEY,
        b"{}",
        metadata=metadata,
        content_type="application/json",
        cache_control="public, max-age=1",
    )
    whole = StoredObject(b"{}", etag, metadata, "application/json", "public, max-age=1")
    assert await store.get(KEY) == whole
    assert await store.peek(KEY, 64) == whole
    assert await store.get_if_changed(KEY, STALE) == whole


async def test_without_metadata_an_object_has_none(store: Store) -> None:
    etag = await written(store, KEY, b"x")
    assert await store.get(KEY) == StoredObject(b"x", etag, {}, "application/octet-stream", None)


async def test_a_peek_is_the_beginning_with_etag_and_metadata(store: Store) -> None:
    body = bytes(range(256)) * 20
    etag = await written(store, KEY, body, metadata={"epoch": "7"})
    held = await store.peek(KEY, 64)
    assert held is not None
    assert (held.body, held.etag, held.metadata) == (body[:64], etag, {"epoch": "7"})


async def test_a_peek_longer_than_the_object_is_the_object(store: Store) -> None:
    await written(store, KEY, b"short")
    held = await store.peek(KEY, 64)
    assert held is not None
    assert held.body == b"short"


async def test_an_unchanged_object_is_not_sent_again(store: Store) -> None:
    etag = await written(store, KEY, b"one")
    assert await store.get_if_changed(KEY, etag) is UNCHANGED
    result = await store.put_if(KEY, b"two", match=etag)
    changed = await store.get_if_changed(KEY, etag)
    assert isinstance(changed, StoredObject)
    assert (changed.body, changed.etag) == (b"two", result.etag)


async def test_an_empty_object_is_an_object(store: Store) -> None:
    etag = await written(store, KEY, b"", metadata={"epoch": "1"})
    for held in (await store.get(KEY), await store.peek(KEY, 64)):
        assert held is not None
        assert (held.body, held.etag, held.metadata) == (b"", etag, {"epoch": "1"})
    assert (await store.put_if(KEY, b"x", match=None)).outcome is Outcome.LOST


async def test_a_large_body_comes_back(store: Store) -> None:
    body = bytes(range(256)) * 1600
    assert len(body) > 400_000
    await written(store, KEY, body)
    assert await body_of(store, KEY) == body
    held = await store.peek(KEY, 64)
    assert held is not None
    assert held.body == body[:64]


# Writing


async def test_only_the_first_create_wins(store: Store) -> None:
    await written(store, KEY, b"first")
    result = await store.put_if(KEY, b"second", match=None)
    assert (result.outcome, result.etag) == (Outcome.LOST, None)
    assert result.reason
    assert await body_of(store, KEY) == b"first"


async def test_the_right_etag_replaces_body_and_metadata(store: Store) -> None:
    first = await written(store, KEY, b"first", metadata={"epoch": "1", "old": "yes"})
    result = await store.put_if(KEY, b"second", match=first, metadata={"epoch": "2"})
    assert result.outcome is Outcome.WON
    assert result.etag not in (None, first)
    held = await store.get(KEY)
    assert held is not None
    assert (held.body, held.etag, held.metadata) == (b"second", result.etag, {"epoch": "2"})


async def test_a_stale_etag_loses(store: Store) -> None:
    first = await written(store, KEY, b"first")
    await store.put_if(KEY, b"second", match=first)
    for stale in (first, STALE):
        result = await store.put_if(KEY, b"third", match=stale)
        assert (result.outcome, result.etag) == (Outcome.LOST, None)
    assert await body_of(store, KEY) == b"second"


async def test_an_etag_without_an_object_loses_and_writes_nothing(store: Store) -> None:
    result = await store.put_if(KEY, b"x", match=STALE)
    assert (result.outcome, result.etag) == (Outcome.LOST, None)
    assert await store.get(KEY) is None


async def test_an_etag_holds_for_its_own_object_only(store: Store) -> None:
    first = await written(store, KEY, b"one")
    await written(store, OTHER, b"other")
    assert (await store.put_if(OTHER, b"x", match=first)).outcome is Outcome.LOST


async def test_the_etag_of_a_read_is_the_condition_of_a_write(store: Store) -> None:
    await written(store, KEY, b"one")
    for read in (store.get(KEY), store.peek(KEY, 2)):
        held = await read
        assert held is not None
        result = await store.put_if(KEY, held.body + b"+", match=held.etag)
        assert result.outcome is Outcome.WON
    [entry] = await entries(store, KEY)
    assert (await store.put_if(KEY, b"last", match=entry.etag)).outcome is Outcome.WON


async def test_a_race_to_create_or_to_replace_has_one_winner(store: Store, kind: str) -> None:
    if kind.startswith("moto"):
        pytest.skip("moto lets two writers win now and then: it is no judge of races")

    async def race(key: str, match: str | None) -> None:
        bodies = [f"{number} of 8 for {key}, after {match}".encode() for number in range(8)]
        results = await asyncio.gather(*(store.put_if(key, body, match=match) for body in bodies))
        assert Counter(result.outcome for result in results) == {Outcome.WON: 1, Outcome.LOST: 7}
        [(etag, body)] = [(each.etag, body) for each, body in zip(results, bodies, strict=True) if each.etag]
        held = await store.get(key)
        assert held is not None
        assert (held.etag, held.body) == (etag, body)

    async def both(number: int) -> None:
        key = f"race/{number}"
        await race(key, None)
        held = await store.peek(key, 1)
        assert held is not None
        await race(key, held.etag)

    await asyncio.gather(*(both(number) for number in range(50)))


async def test_a_cancelled_write_leaves_the_old_or_the_new_object_and_the_store_usable(store: Store) -> None:
    first = await written(store, KEY, b"old")
    writing = asyncio.ensure_future(store.put_if(KEY, b"new" * 100_000, match=first))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.wait((writing,))
    held = await store.get(KEY)
    assert held is not None
    assert held.body in (b"old", b"new" * 100_000)
    await written(store, OTHER, b"x")


# Keys and metadata


@pytest.mark.parametrize("key", ODD_KEYS)
async def test_a_key_comes_back_as_it_was_given(store: Store, key: str) -> None:
    await written(store, key, key.encode())
    assert await body_of(store, key) == key.encode()
    assert [entry.key for entry in await entries(store, "")] == [key]
    assert [entry.key for entry in await entries(store, key)] == [key]


@pytest.mark.parametrize(
    "key",
    ["", "/a", "a/", "a//b", ".", "a/./b", "a/../b", "..", "a\\b", "a\nb", "a\x7fb", "é" * 600, "\ud800"],
)
async def test_a_key_that_some_store_would_change_is_refused(store: Store, key: str) -> None:
    with pytest.raises(BadKey):
        await store.put_if(key, b"x", match=None)
    with pytest.raises(BadKey):
        await store.get(key)
    with pytest.raises(BadKey):
        await store.peek(key, 1)
    with pytest.raises(BadKey):
        await store.get_if_changed(key, STALE)


@pytest.mark.parametrize(
    "metadata",
    [
        {"Epoch": "1"},
        {"a_b": "1"},
        {"content-type": "x"},
        {"": "x"},
        {"a": ""},
        {"a": " x"},
        {"a": "é"},
        {"a": "\n"},
    ],
)
async def test_metadata_that_no_header_carries_intact_is_refused(
    store: Store, metadata: Mapping[str, str]
) -> None:
    with pytest.raises(ValueError, match="metadata"):
        await store.put_if(KEY, b"x", match=None, metadata=metadata)
    assert await store.get(KEY) is None


# Listing


async def test_a_listing_is_in_the_order_of_bytes_and_knows_etag_size_and_time(store: Store) -> None:
    keys = ["l/a/b", "l/a-b", "l/a.b", "l/a!", "l/ab", "l/Z", "l/z", "l/é", "l/币", "l/ﬀ", "l/😀", "l/aé"]
    etags = {key: await written(store, key, key.encode()) for key in keys}
    listed = await entries(store, "l/")
    assert [entry.key for entry in listed] == sorted(keys, key=str.encode)
    assert {entry.key: entry.etag for entry in listed} == etags
    assert [entry.size for entry in listed] == [len(entry.key.encode()) for entry in listed]
    assert all(1_600_000_000_000 < entry.last_modified_ms < 4_000_000_000_000 for entry in listed)


async def test_a_prefix_is_any_beginning_of_a_key(store: Store) -> None:
    keys = ["fleet/a.json", "fleet/b.json", "fleetwood", KEY, OTHER, "api/v3/depth?symbol=ETHUSDC&limit=5"]
    for key in keys:
        await written(store, key, b"x")

    async def found(prefix: str) -> list[str]:
        return [entry.key for entry in await entries(store, prefix)]

    assert await found("fleet") == ["fleet/a.json", "fleet/b.json", "fleetwood"]
    assert await found("fleet/") == ["fleet/a.json", "fleet/b.json"]
    assert await found("fleet/b") == ["fleet/b.json"]
    assert await found("api/v3/depth?symbol=ETHUSDT&") == sorted([KEY, OTHER])
    assert await found("api/v3/depth?symbol=ETHUSD") == sorted(keys[3:])
    assert await found("nothing/here") == []
    assert await found("") == sorted(keys)


async def test_a_listing_of_more_than_a_page_is_whole(store: Store, kind: str) -> None:
    if kind.startswith("moto"):
        pytest.skip("moto takes 20 s for so many objects")
    keys = [f"many/{number:04}" for number in range(1100)]
    await asyncio.gather(*(written(store, key, b"") for key in keys))
    assert [entry.key for entry in await entries(store, "many/")] == keys


# The end


async def test_after_close_every_call_is_a_programming_error(store: Store) -> None:
    await store.close()
    await store.close()
    with pytest.raises(RuntimeError, match="closed"):
        await store.get(KEY)
    with pytest.raises(RuntimeError, match="closed"):
        await store.peek(KEY, 1)
    with pytest.raises(RuntimeError, match="closed"):
        await store.get_if_changed(KEY, STALE)
    with pytest.raises(RuntimeError, match="closed"):
        await store.put_if(KEY, b"", match=None)
    with pytest.raises(RuntimeError, match="closed"):
        await entries(store, "")


def test_a_store_says_where_it_is_and_never_a_secret(store: Store) -> None:
    assert store.url
    assert "secret" not in store.url.lower()
    assert "moto:moto" not in store.url


async def names_after(store: Store, folder: str, after: str, limit: int) -> list[str]:
    return [entry.key.removeprefix(folder) for entry in await store.list_after(folder, after, limit)]


async def test_a_page_of_a_folder_begins_after_a_name_that_need_not_be_there(store: Store) -> None:
    folder = "history/exchangeInfo/changes/"
    names = [f"{9_999_999_999_999 - 1000 * n:013d}-{n:010d}" for n in range(12)]
    for name in names:
        await written(store, folder + name, b"{}")
    await written(store, "history/exchangeInfo/changes/below/9", b"{}")
    await written(store, "history/exchangeInfo/zzz", b"{}")
    await written(store, "history/exchangeInfo/change", b"{}")
    ordered = sorted(names)
    for at in (0, 3, 11):
        assert await names_after(store, folder, ordered[at], 1) == ordered[at + 1 : at + 2]
        # Of a name only its beginning is known: the time, and not the number behind it.
        assert await names_after(store, folder, ordered[at][:13], 5) == ordered[at : at + 5]
    assert await names_after(store, folder, "", 2) == ordered[:2]
    assert await names_after(store, folder, "0", 1000) == ordered
    assert await store.list_after("history/nothing/", "", 5) == []
    [entry] = await store.list_after(folder, ordered[0], 1)
    assert (entry.size, entry.key) == (2, folder + ordered[1])
    assert entry.last_modified_ms > 1_500_000_000_000


async def test_a_page_is_of_a_folder_and_bounded(store: Store) -> None:
    for folder, after, limit in (("a", "", 1), ("a/", "b/c", 1), ("a/", "", 0), ("a/", "", 1001)):
        with pytest.raises(ValueError, match=r"folder|page"):
            await store.list_after(folder, after, limit)
