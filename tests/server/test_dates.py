"""HTTP's dates, and what a book's date proves."""

import time
from typing import TYPE_CHECKING

import pytest

from depthcast.files import FileInfo
from depthcast.store import StoredObject
from server.answers import Answer, Asked
from server.dates import http_date, parse_http_date
from server.edition import Edition
from server.freshness import Currency, State

if TYPE_CHECKING:
    from tests.server.conftest import WatchedStore

KEY = "api/v3/depth?symbol=ETHUSDT&limit=5"
WROTE_MS = 784_111_777_300  # Sun, 06 Nov 1994 08:49:37.3 GMT
LIVE = Currency(State.LIVE)


def edition_at(store: "WatchedStore", publish_time_ms: int) -> Edition:
    info = FileInfo(1, 5, 5, False, False, publish_time_ms, publish_time_ms, "r1")
    return Edition.of(KEY, StoredObject(store.body(160, 5), '"x"', info.to_metadata()))


def ask(edition: Edition, since: str, if_none_match: bytes | None = None) -> Answer:
    answer = edition.answer(
        5, Asked(if_none_match=if_none_match, if_modified_since=since.encode("latin-1")), LIVE
    )
    assert isinstance(answer, Answer)
    return answer


@pytest.mark.parametrize(
    "date",
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"],
)
def test_the_three_forms_of_a_date_are_read_wherever_we_are(
    date: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert parse_http_date(date.encode()) == 784_111_777_000
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_date_is_written_in_the_first_form() -> None:
    assert http_date(WROTE_MS) == b"Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize("date", [b"", b"yesterday", b"\xff\xfe", b"Sun, 99 Nov 1994 08:49:37 GMT", b"160"])
def test_what_is_no_date_is_none(date: bytes) -> None:
    assert parse_http_date(date) is None


@pytest.mark.parametrize(
    ("since", "status"),
    [
        ("Sun, 06 Nov 1994 08:49:36 GMT", 200),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 200),  # its own date: others of that second had it, too
        ("Sun, 06 Nov 1994 08:49:39 GMT", 200),
        ("Sun, 06 Nov 1994 08:49:40 GMT", 304),
        ("Mon, 07 Nov 1994 08:49:37 GMT", 304),
        ("Wed, 01 Jan 2098 00:00:00 GMT", 200),  # yet to come
        ("yesterday", 200),
    ],
)
def test_a_date_proves_something_only_where_it_is_later_than_the_file(
    store: "WatchedStore", since: str, status: int
) -> None:
    assert ask(edition_at(store, WROTE_MS), since).status == status


def test_two_versions_of_one_second_are_never_taken_for_one(store: "WatchedStore") -> None:
    first = edition_at(store, WROTE_MS).answer(5, Asked(), LIVE)
    assert isinstance(first, Answer)
    date = dict(first.headers)[b"last-modified"]
    second = edition_at(store, WROTE_MS + 100)
    assert ask(second, date.decode()).status == 200


@pytest.mark.parametrize(("tag", "status"), [(b'"1-160-5-5-5"', 304), (b'"other"', 200)])
@pytest.mark.parametrize("since", ["Sun, 06 Nov 1994 08:49:36 GMT", "Mon, 07 Nov 1994 08:49:37 GMT"])
def test_a_tag_goes_before_a_date(store: "WatchedStore", tag: bytes, status: int, since: str) -> None:
    assert ask(edition_at(store, WROTE_MS), since, tag).status == status


def test_no_book_is_modified_later_than_its_answer_is_sent(store: "WatchedStore") -> None:
    before_ms = time.time_ns() // 1_000_000
    answer = edition_at(store, before_ms + 3_600_000).answer(5, Asked(), LIVE)
    assert isinstance(answer, Answer)
    modified_ms = parse_http_date(dict(answer.headers)[b"last-modified"])
    assert modified_ms is not None
    assert before_ms - 1000 <= modified_ms <= time.time_ns() // 1_000_000
