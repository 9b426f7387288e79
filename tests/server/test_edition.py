"""One version of one file, and the answers made from it."""

import asyncio
import gc
from typing import TYPE_CHECKING
from weakref import ref

import pytest

from depthcast.errors import BadFile
from depthcast.store import StoredObject
from server.answers import Answer, Asked
from server.edition import PREPARED_AT_ONCE, PREPARED_FOR, Edition
from server.freshness import Currency, State

if TYPE_CHECKING:
    from tests.server.conftest import WatchedStore

KEY = "api/v3/depth?symbol=ETHUSDT&limit=100"
KEY_5000 = "api/v3/depth?symbol=ETHUSDT&limit=5000"
LIVE, STALE, HALTED = map(Currency, (State.LIVE, State.STALE, State.HALTED))


def answer_of(
    edition: Edition, limit: int, if_none_match: bytes | None = None, currency: Currency = LIVE
) -> Answer:
    answer = edition.answer(limit, Asked(if_none_match=if_none_match), currency)
    assert isinstance(answer, Answer)
    return answer


@pytest.fixture
def found(store: "WatchedStore") -> StoredObject:
    return StoredObject(store.body(160, 100), '"x"', store.metadata(epoch=3))


def headers(answer: Answer) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in answer.headers}


def test_an_edition_knows_its_limit_version_and_writers_words(found: StoredObject) -> None:
    edition = Edition.of(KEY, found)
    assert edition.limit == 100
    assert edition.version == (3, 160)
    assert edition.info.replica == "r1"


def test_the_whole_file_is_answered_with_what_is_known_of_it(found: StoredObject) -> None:
    answer = answer_of(Edition.of(KEY, found), 100)
    assert (answer.status, answer.body) == (200, found.body)
    assert headers(answer) == {
        "content-type": "application/json;charset=UTF-8",
        "content-length": str(len(found.body)),
        "etag": '"3-160-100-100-100"',
        "cache-control": "no-cache",
        "vary": "accept-encoding",
        "accept-ranges": "none",
        "access-control-allow-origin": "*",
        "access-control-expose-headers": "*",
        "x-content-type-options": "nosniff",
        "last-modified": "Thu, 08 Aug 2024 23:54:13 GMT",
        "depthcast-version": "3:160",
        "depthcast-epoch": "3",
        "depthcast-certain": "bids=5000, asks=5000;complete",
        "depthcast-event-time": "1723161253000",
        "depthcast-publish-time": "1723161253021",
        "depthcast-status": "TRADING",
        "depthcast-state": "live",
    }


def test_a_web_page_sees_every_header(found: StoredObject) -> None:
    """The Fetch standard: a star stands for all names where the request carries no credentials, as none may
    to an origin that allows every other one."""
    sent = headers(answer_of(Edition.of(KEY, found), 100))
    assert (sent["access-control-allow-origin"], sent["access-control-expose-headers"]) == ("*", "*")
    assert "access-control-allow-credentials" not in sent


@pytest.mark.parametrize("limit", [1, 7, 99])
def test_a_smaller_limit_is_cut(found: StoredObject, store: "WatchedStore", limit: int) -> None:
    answer = answer_of(Edition.of(KEY, found), limit)
    assert answer.body == store.body(160, limit)
    assert headers(answer)["content-length"] == str(len(answer.body))
    assert headers(answer)["etag"] == f'"3-160-{limit}-{limit}-{limit}"'


def test_an_answer_is_made_once(found: StoredObject) -> None:
    edition = Edition.of(KEY, found)
    assert answer_of(edition, 7) is answer_of(edition, 7)


def test_answers_kept_never_take_more_than_the_edition_says(found: StoredObject) -> None:
    edition = Edition.of(KEY, found)
    for limit in (*range(1, 101), 3, 100, 99, 99, 1):
        answer_of(edition, limit)
        edition.check()


async def test_answers_in_codings_never_take_more_than_the_edition_says(store: "WatchedStore") -> None:
    edition = Edition.of(KEY_5000, StoredObject(store.body(160, 5000), '"x"', store.metadata(epoch=3)))
    for limit in (5000, 4999, 2500, *range(4000, 5000, 10), 100, 5000):
        for accept in (b"gzip", b"zstd", None):
            answer = edition.answer(limit, Asked(accept_encoding=accept), LIVE)
            assert (answer if isinstance(answer, Answer) else await answer).status == 200
            edition.check()


async def test_an_edition_that_is_let_go_leaves_nothing_to_the_garbage_collector(
    store: "WatchedStore",
) -> None:
    edition = Edition.of(KEY_5000, StoredObject(store.body(160, 5000), '"x"', store.metadata()))
    asked = Asked(accept_encoding=b"gzip")
    answer = edition.answer(5000, asked, LIVE)
    assert not isinstance(answer, Answer), "a long body is encoded aside"
    await answer
    answer_of(edition, 5)
    held = ref(edition)
    gc.disable()
    try:
        del edition, answer
        await asyncio.sleep(0)
        assert held() is None
    finally:
        gc.enable()


async def test_what_was_asked_for_is_encoded_before_the_next_edition_is_shown(store: "WatchedStore") -> None:
    def edition_of(update_id: int) -> Edition:
        return Edition.of(KEY_5000, StoredObject(store.body(update_id, 5000), '"x"', store.metadata(epoch=3)))

    def ready(edition: Edition, limit: int, accept: bytes) -> bool:
        return isinstance(edition.answer(limit, Asked(accept_encoding=accept), LIVE), Answer)

    first = edition_of(160)
    for limit, accept in ((5000, b"gzip"), (5000, b"zstd"), (1000, b"gzip"), (5, b"gzip")):
        answer = first.answer(limit, Asked(accept_encoding=accept), LIVE)
        if not isinstance(answer, Answer):
            await answer
    second = edition_of(161)
    begun = second.prepare(first)
    assert len(begun) == 3
    await asyncio.wait(begun)
    second.check()
    # Asked for once, it is prepared for a while; for longer only where somebody asks again.
    former = second
    for n in range(PREPARED_FOR - 1):
        assert isinstance(former.answer(5000, Asked(accept_encoding=b"zstd"), LIVE), Answer)
        following = edition_of(162 + n)
        await asyncio.wait(following.prepare(former))
        former = following
    last = edition_of(999)
    await asyncio.wait(last.prepare(former))
    assert ready(last, 5000, b"zstd")
    assert not ready(last, 5000, b"gzip")
    assert not ready(last, 1000, b"gzip")


async def test_no_more_is_prepared_than_a_few(store: "WatchedStore") -> None:
    first = Edition.of(KEY_5000, StoredObject(store.body(160, 5000), '"x"', store.metadata(epoch=3)))
    for limit in range(300, 320):
        answer = first.answer(limit, Asked(accept_encoding=b"zstd"), LIVE)
        assert not isinstance(answer, Answer)
        await answer
    second = Edition.of(KEY_5000, StoredObject(store.body(161, 5000), '"x"', store.metadata(epoch=3)))
    begun = second.prepare(first)
    assert len(begun) == PREPARED_AT_ONCE
    await asyncio.wait(begun)
    second.check()


def test_a_stale_answer_says_so_and_is_the_same_otherwise(found: StoredObject) -> None:
    edition = Edition.of(KEY, found)
    live, stale = answer_of(edition, 5), answer_of(edition, 5, currency=STALE)
    assert stale.body is live.body
    assert headers(stale) == headers(live) | {"depthcast-state": "stale"}


@pytest.mark.parametrize("status", ["HALT", "BREAK", "CANCEL_ONLY", "DELISTED"])
def test_a_symbol_that_does_not_trade_is_marked_and_its_book_and_tag_stay(
    found: StoredObject, store: "WatchedStore", status: str
) -> None:
    marked = Edition.of(KEY, StoredObject(found.body, '"x"', store.metadata(epoch=3, status=status)))
    answer, before = answer_of(marked, 5, currency=HALTED), answer_of(Edition.of(KEY, found), 5)
    assert answer.body == before.body
    assert headers(answer) == headers(before) | {"depthcast-state": "halted", "depthcast-status": status}
    not_modified = answer_of(marked, 5, headers(before)["etag"].encode(), HALTED)
    assert not_modified.status == 304
    assert headers(not_modified)["depthcast-state"] == "halted"
    assert headers(not_modified)["depthcast-status"] == status
    stale = headers(answer_of(marked, 5, currency=STALE))
    assert (stale["depthcast-state"], stale["depthcast-status"]) == ("stale", status)


@pytest.mark.parametrize(
    "if_none_match",
    [b'"3-160-5-5-5"', b'W/"3-160-5-5-5"', b'"a", "3-160-5-5-5"', b'"3-160-5-5-5","b"', b"*", b" * "],
)
@pytest.mark.parametrize("currency", [LIVE, STALE, HALTED])
def test_who_has_the_edition_is_told_so(
    found: StoredObject, if_none_match: bytes, currency: Currency
) -> None:
    edition = Edition.of(KEY, found)
    answer = answer_of(edition, 5, if_none_match, currency=currency)
    assert (answer.status, answer.body) == (304, b"")
    whole = headers(answer_of(edition, 5, currency=currency))
    assert headers(answer) == {n: v for n, v in whole.items() if n not in ("content-type", "content-length")}


@pytest.mark.parametrize(
    "if_none_match", [b"", b'"3-160-50-50-50"', b"3-160-5-5-5", b'"13-160-5-5-5"', b'"x*"']
)
def test_who_has_another_one_gets_the_body(found: StoredObject, if_none_match: bytes) -> None:
    assert answer_of(Edition.of(KEY, found), 5, if_none_match).status == 200


def test_bodies_of_one_version_that_differ_have_different_tags(store: "WatchedStore") -> None:
    deep = Edition.of(KEY, StoredObject(store.body(160, 100), '"x"', store.metadata()))
    short = Edition.of(KEY, StoredObject(store.body(160, 60), '"y"', store.metadata(levels=60)))
    assert answer_of(deep, 100).body != answer_of(short, 100).body
    assert headers(answer_of(deep, 100))["etag"] != headers(answer_of(short, 100))["etag"]
    assert answer_of(deep, 50).body == answer_of(short, 50).body
    assert headers(answer_of(deep, 50))["etag"] == headers(answer_of(short, 50))["etag"]


def test_cache_control_is_as_set(found: StoredObject) -> None:
    answer = answer_of(Edition.of(KEY, found, cache_control="public, s-maxage=1"), 5)
    assert headers(answer)["cache-control"] == "public, s-maxage=1"


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"lastUpdateId":160,"bids":[["1","2"]'])
def test_an_object_that_is_no_file_is_no_edition(store: "WatchedStore", body: bytes) -> None:
    with pytest.raises(BadFile, match="ETHUSDT"):
        Edition.of(KEY, StoredObject(body, '"x"', store.metadata()))


def test_a_file_without_its_metadata_is_no_edition(found: StoredObject) -> None:
    with pytest.raises(BadFile, match="metadata"):
        Edition.of(KEY, StoredObject(found.body, '"x"', {}))
