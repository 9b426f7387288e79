"""One version of one file, and the answers made from it."""

from typing import TYPE_CHECKING

import pytest

from depthcast.errors import BadFile
from depthcast.store import StoredObject
from server.answers import Answer, Asked
from server.edition import Edition
from server.freshness import Currency, State

if TYPE_CHECKING:
    from tests.server.conftest import WatchedStore

KEY = "api/v3/depth?symbol=ETHUSDT&limit=100"
LIVE, STALE, HALTED = map(Currency, (State.LIVE, State.STALE, State.HALTED))


def answer_of(
    edition: Edition, limit: int, if_none_match: bytes | None = None, currency: Currency = LIVE
) -> Answer:
    return edition.answer(limit, Asked(if_none_match=if_none_match), currency)


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
        "access-control-allow-origin": "*",
        "access-control-expose-headers": "etag, depthcast-version, depthcast-state, depthcast-certain, "
        "depthcast-event-time, depthcast-publish-time, depthcast-status",
        "x-content-type-options": "nosniff",
        "depthcast-version": "3:160",
        "depthcast-certain": "bids=5000, asks=5000;complete",
        "depthcast-event-time": "1723161253000",
        "depthcast-publish-time": "1723161253021",
        "depthcast-status": "TRADING",
        "depthcast-state": "live",
    }


def test_the_exposed_headers_are_those_that_are_sent(found: StoredObject) -> None:
    sent = headers(answer_of(Edition.of(KEY, found), 100))
    exposed = {name.strip() for name in sent["access-control-expose-headers"].split(",")}
    assert exposed == {"etag"} | {name for name in sent if name.startswith("depthcast-")}


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
