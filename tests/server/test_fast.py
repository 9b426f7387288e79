"""Prepared answers by the bytes of their requests: when they may be given, and what is kept of them."""

import math
import random
from collections import Counter
from collections.abc import Awaitable

import pytest

from server.answers import NOWHERE, Answer, Asked, Hold
from server.fast import JOINED_BYTES, MAX_HEAD_BYTES, FastAnswers, Prepared

HEAD = b"GET /book HTTP/1.1\r\nhost: x\r\n\r\n"
MONDAY = [(b"date", b"Mon, 01 Jan 2024 00:00:00 GMT")]
LATER = [(b"date", b"Mon, 01 Jan 2024 00:00:01 GMT")]


class Book:
    """A source whose answers tell how often it was asked."""

    def __init__(self, body: bytes = b"") -> None:
        self.current: object = "first"
        self.until = math.inf
        self.asked = 0
        self.body = body

    def answer(self, _asked: Asked) -> Answer:
        self.asked += 1
        body = self.body or b"answer %d" % self.asked
        return Answer(200, ((b"etag", b'"e"'),), body, Hold(self, self.current, self.until))


def learned(book: Book, *, only_head: bool = False) -> tuple[FastAnswers, Prepared]:
    answers = FastAnswers()
    answers.learn(HEAD, "/book", book.answer, Asked(), only_head=only_head)
    return answers, answers.by_head[HEAD]


def test_an_answer_is_the_librarys_bytes() -> None:
    answers, prepared = learned(Book())
    assert not prepared.holds(MONDAY, 0)
    assert answers.renew(prepared, MONDAY, 0.0)
    assert prepared.wire == (
        b'HTTP/1.1 200 OK\r\ndate: Mon, 01 Jan 2024 00:00:00 GMT\r\netag: "e"\r\n\r\nanswer 1'
    )
    assert prepared.holds(MONDAY, 0)
    answers.check()


def test_a_head_request_has_no_body() -> None:
    answers, prepared = learned(Book(), only_head=True)
    answers.renew(prepared, MONDAY, 0.0)
    assert prepared.wire.endswith(b'etag: "e"\r\n\r\n')
    answers.check()


def test_a_large_body_is_not_copied() -> None:
    book = Book(b"x" * (JOINED_BYTES + 1))
    answers, prepared = learned(book)
    answers.renew(prepared, MONDAY, 0.0)
    assert prepared.wire == b""
    assert prepared.body is book.body
    answers.check()


def test_an_answer_holds_no_longer_than_its_second_its_time_and_its_source() -> None:
    book = Book()
    book.until = 5.0
    answers, prepared = learned(book)
    answers.renew(prepared, MONDAY, 0.0)
    assert prepared.holds(MONDAY, 4.9)
    assert not prepared.holds(MONDAY, 5.0)
    assert not prepared.holds(LATER, 4.9)
    book.current = "second"
    assert not prepared.holds(MONDAY, 4.9)


def test_an_answer_without_a_hold_is_given_once() -> None:
    answers = FastAnswers()
    answers.learn(HEAD, "/time", lambda _: Answer(200, (), b"12:00"), Asked(), only_head=False)
    prepared = answers.by_head[HEAD]
    assert answers.renew(prepared, MONDAY, 0.0)
    assert prepared.wire.endswith(b"12:00")
    assert not prepared.holds(MONDAY, -math.inf)


@pytest.mark.filterwarnings("error")
def test_an_answer_to_be_waited_for_is_left_to_the_ordinary_way() -> None:
    async def read() -> Answer:
        raise AssertionError("it is not to be awaited here")

    def endpoint(_asked: Asked) -> Awaitable[Answer]:
        return read()

    answers = FastAnswers()
    answers.learn(HEAD, "/book", endpoint, Asked(), only_head=False)
    assert not answers.renew(answers.by_head[HEAD], MONDAY, 0.0)


def test_a_constant_answer_holds_for_a_second() -> None:
    answers = FastAnswers()
    constant = Answer(200, (), b"{}", Hold(NOWHERE, None, math.inf))
    answers.learn(HEAD, "/ping", lambda _: constant, Asked(), only_head=False)
    prepared = answers.by_head[HEAD]
    answers.renew(prepared, MONDAY, 0.0)
    assert prepared.holds(MONDAY, 1e9)
    assert not prepared.holds(LATER, 0)


def test_another_date_is_put_into_an_answer_that_holds_without_asking_for_it() -> None:
    asked: list[Asked] = []
    book = Book()

    def endpoint(question: Asked) -> Answer:
        asked.append(question)
        return Answer(200, ((b"etag", b'"1"'),), b"{}", Hold(book, book.current, 7.0))

    answers = FastAnswers()
    answers.learn(HEAD, "/book", endpoint, Asked(), only_head=False)
    prepared = answers.by_head[HEAD]
    answers.renew(prepared, MONDAY, 5.0)
    first = prepared.wire
    for now, times in ((6.9, 1), (7.0, 2)):
        assert answers.renew(prepared, LATER, now)
        assert prepared.holds(LATER, 6.9)
        assert prepared.wire == first.replace(MONDAY[0][1], LATER[0][1]) != first
        assert len(asked) == times
    answers.check()


def test_answers_are_counted_by_path_and_status() -> None:
    counted: Counter[tuple[str, int]] = Counter()

    def count(path: str, status: int, answers: int) -> None:
        counted[(path, status)] += answers

    answers = FastAnswers(on_answers=count)
    statuses = iter((200, 304))
    book = Book()

    def endpoint(_asked: Asked) -> Answer:
        return Answer(next(statuses), (), b"", Hold(book, book.current, math.inf))

    answers.learn(HEAD, "/book", endpoint, Asked(), only_head=False)
    prepared = answers.by_head[HEAD]
    answers.renew(prepared, MONDAY, 0.0)
    prepared.hits += 3
    book.current = object()
    answers.renew(prepared, LATER, 0.0)
    prepared.hits += 2
    answers.fold()
    answers.fold()
    assert counted == {("/book", 200): 3, ("/book", 304): 2}


def test_the_number_of_heads_is_bounded_and_those_in_use_stay() -> None:
    counted: Counter[int] = Counter()
    answers = FastAnswers(max_heads=100, on_answers=lambda _p, status, n: counted.update({status: n}))
    answers.learn(HEAD, "/book", Book().answer, Asked(), only_head=False)
    answers.renew(answers.by_head[HEAD], MONDAY, 0.0)
    draw = random.Random(4)
    for n in range(10_000):
        answers.by_head[HEAD].hits += 1
        head = b"GET /%d HTTP/1.1\r\n\r\n" % draw.randrange(10**9)
        answers.learn(head, "/book", Book().answer, Asked(), only_head=False)
        if n % 500 == 0:
            answers.check()
    assert len(answers.by_head) == 100
    assert HEAD in answers.by_head
    answers.fold()
    assert counted[200] == 10_000


def test_when_all_heads_are_in_use_one_leaves_and_is_counted() -> None:
    counted: Counter[str] = Counter()
    answers = FastAnswers(max_heads=50, on_answers=lambda path, _s, n: counted.update({path: n}))
    for n in range(200):
        head = b"GET /%d HTTP/1.1\r\n\r\n" % n
        answers.learn(head, "/book", Book().answer, Asked(), only_head=False)
        for prepared in answers.by_head.values():
            prepared.hits += 1
    total = sum(min(n + 1, 50) for n in range(200))
    answers.check()
    answers.fold()
    assert counted["/book"] == total


def test_a_long_head_is_not_kept() -> None:
    answers = FastAnswers()
    for over, kept in ((0, 1), (1, 1)):
        head = b"GET /".ljust(MAX_HEAD_BYTES - 4 + over, b"x") + b"\r\n\r\n"
        answers.learn(head, "/book", Book().answer, Asked(), only_head=False)
        assert len(answers.by_head) == kept


def test_what_no_longer_holds_is_let_go() -> None:
    book = Book(b"x" * 100_000)
    answers, prepared = learned(book)
    answers.renew(prepared, MONDAY, 0.0)
    prepared.hits = 1
    answers.sweep(0)
    assert prepared.body is book.body
    book.current = "second"
    prepared.hits = 1
    answers.sweep(0)
    assert (prepared.body, prepared.head, prepared.wire) == (b"", b"", b"")
    answers.check()


def test_what_nobody_asks_for_is_let_go_and_at_last_forgotten() -> None:
    answers, prepared = learned(Book())
    answers.renew(prepared, MONDAY, 0.0)
    answers.sweep(0)
    assert prepared.wire == b""
    for _ in range(58):
        answers.sweep(0)
    assert HEAD in answers.by_head
    answers.sweep(0)
    assert HEAD not in answers.by_head
