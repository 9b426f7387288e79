"""Mutations: the same by the same seed, of every kind, bounded, and seldom nothing."""

import json
from random import Random

import pytest

from tests.fuzzing.examples import EXCHANGE_INFO, Market, captured
from tests.fuzzing.mutation import MAX_BYTES, Members, Mutator, Raw, parse, write

BODY = Market(Random(1)).body()


def test_what_is_parsed_is_written_as_it_was_spelled() -> None:
    for text in (BODY, EXCHANGE_INFO, b'{"a":1.50,"a":-0,"b":[1e5,NaN,null,true],"\xc3\xa4":"\xe5\xb8\x81"}'):
        assert write(parse(text)) == text


def test_a_number_keeps_its_spelling_and_a_member_may_come_twice() -> None:
    assert write(Members((("a", Raw("1e999")), ("a", [Raw("007")])))) == b'{"a":1e999,"a":[007]}'
    assert write("\ud800") == b'"\xed\xa0\x80"'


def test_it_writes_what_is_deeper_than_the_stack() -> None:
    for seed in range(4):
        text = write(Mutator(Random(seed)).deep(50_000))
        assert text.count(b"[") + text.count(b"{") >= 50_000


@pytest.mark.parametrize("way", ["in_bytes", "in_structure", "either"])
def test_the_same_seed_changes_alike_and_another_one_else(way: str) -> None:
    def made(seed: int) -> list[bytes]:
        mutator = Mutator(Random(seed))
        return [getattr(mutator, way)(BODY, (EXCHANGE_INFO,)) for _ in range(50)]

    assert made(7) == made(7)
    assert made(7) != made(8)
    assert sum(text != BODY for text in made(7)) > 40
    assert len(set(made(7))) > 40


def test_changes_of_the_structure_give_json_and_what_is_none() -> None:
    mutator = Mutator(Random(1))
    read = {True: 0, False: 0}
    for _ in range(400):
        text = mutator.in_structure(BODY)
        assert len(text) <= 2 * MAX_BYTES + 100
        try:
            json.loads(text)
            read[True] += 1
        except (ValueError, RecursionError):
            read[False] += 1
    assert min(read.values()) > 20


def test_bytes_are_bounded() -> None:
    mutator = Mutator(Random(1))
    text = BODY
    for _ in range(300):
        text = mutator.in_bytes(text * 2)
        assert len(text) <= MAX_BYTES


def test_captures_are_frames_where_there_are_any() -> None:
    for frame in captured()[:20]:
        assert frame.startswith(b"{")
