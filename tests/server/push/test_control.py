"""What a client may say, against the simulated exchange, which reads messages by its own code."""

import json
import random

import pytest

from server.push.control import Method, Refusal, Request, parse_request
from simulator.control import Failure, parse_control

MESSAGES = [
    "",
    "{",
    "nonsense",
    "[1,",
    '{"method":"SUBSCRIBE",}',
    "[]",
    "7",
    '"SUBSCRIBE"',
    "{}",
    '{"id":1}',
    '{"method":"subscribe","params":[],"id":1}',
    '{"method":5,"id":1}',
    '{"method":null}',
    '{\n  "method": "SUB\\u0053CRIBED",\n  "id": 1}',
    '{"method":"SUBSCRIBE","params":["btcusdt@depth5"],"id":1}',
    '{"method":"SUBSCRIBE","params":[],"id":null}',
    '{"method":"SUBSCRIBE"}',
    '{"method":"SUBSCRIBE","params":"btcusdt@depth5","id":1}',
    '{"method":"SUBSCRIBE","params":[1],"id":1}',
    '{"method":"SUBSCRIBE","params":[],"id":1.5}',
    '{"method":"SUBSCRIBE","params":[],"id":true}',
    '{"method":"SUBSCRIBE","params":[],"id":9223372036854775807}',
    '{"method":"SUBSCRIBE","params":[],"id":9223372036854775808}',
    '{"method":"SUBSCRIBE","params":[],"id":-9223372036854775808}',
    '{"method":"SUBSCRIBE","params":[],"id":"abc123"}',
    '{"method":"SUBSCRIBE","params":[],"id":"a-b"}',
    '{"method":"SUBSCRIBE","params":[],"id":"' + "a" * 37 + '"}',
    '{"method":"UNSUBSCRIBE","params":["币安人生usdt@depth5"],"id":1}',
    '{"method":"LIST_SUBSCRIPTIONS","id":3}',
    '{"method":"LIST_SUBSCRIPTIONS","params":["x"],"id":3}',
    '{"method":"GET_PROPERTY","params":["combined"],"id":2}',
    '{"method":"GET_PROPERTY","params":[],"id":2}',
    '{"method":"GET_PROPERTY","params":[5],"id":2}',
    '{"method":"GET_PROPERTY","params":["other"],"id":2}',
    '{"method":"GET_PROPERTY","params":["combined","x"],"id":2}',
    '{"method":"SET_PROPERTY","params":["combined",true],"id":5}',
    '{"method":"SET_PROPERTY","params":["combined"],"id":5}',
    '{"method":"SET_PROPERTY","params":["combined","true"],"id":5}',
    '{"method":"SET_PROPERTY","params":["combined",1],"id":5}',
    '{"method":"SET_PROPERTY","params":["other",true],"id":"x"}',
    '{"method":"SET_PROPERTY","params":["combined",true,1],"id":5}',
]


def agree(text: str) -> None:
    ours, theirs = parse_request(text), parse_control(text)
    if isinstance(theirs, Failure):
        assert isinstance(ours, Refusal)
        assert ours.answer == theirs.text()
    else:
        assert isinstance(ours, Request)
        assert (ours.method.value, ours.params, ours.id) == theirs
        assert ours.result(["a"]) == theirs.result(["a"])


@pytest.mark.parametrize("text", MESSAGES)
def test_a_message_is_read_and_refused_as_the_simulated_exchange_does(text: str) -> None:
    agree(text)


@pytest.mark.parametrize(
    "text",
    [
        r'{"method":"\ud800","id":1}',
        r'{"method":"SUBSCRIBE","params":["\uDC00@depth5"],"id":1}',
        r'{"method":"GET_PROPERTY","params":["\ud83d\ud83d"],"id":1}',
        r'{"method":"SUBSCRIBE","params":[],"id":1,"\udfff":0}',
    ],
)
def test_half_a_character_is_no_json(text: str) -> None:
    # No answer could repeat it: it has no bytes.
    request = parse_request(text)
    assert isinstance(request, Refusal)
    assert json.loads(request.answer)["code"] == 3


def test_an_escaped_character_of_two_halves_is_one() -> None:
    request = parse_request(r'{"method":"SUBSCRIBE","params":["\ud83d\ude00@depth5"],"id":1}')
    assert isinstance(request, Request)
    assert request.params == ["😀@depth5"]


def test_messages_with_a_character_changed_are_too() -> None:
    draw = random.Random(4)
    for _ in range(3000):
        text = draw.choice(MESSAGES[14:])
        at = draw.randrange(len(text))
        agree(text[:at] + draw.choice('{}[]",:0a\n') + text[at + 1 :])


def test_every_answer_is_compact_json() -> None:
    for text in MESSAGES:
        request = parse_request(text)
        answer = request.answer if isinstance(request, Refusal) else request.result(None)
        assert json.dumps(json.loads(answer), separators=(",", ":"), ensure_ascii=False) == answer


@pytest.mark.parametrize("text", ["[" * 100_000, '{"method":' + "1" * 5000 + "}"])
def test_what_json_cannot_hold_is_refused(text: str) -> None:
    request = parse_request(text)
    assert isinstance(request, Refusal)
    assert '"code":3' in request.answer


def test_no_depth_is_too_deep_for_an_answer() -> None:
    """Around the depth at which reading ends, writing what was read ends already."""
    half = '"\\ud83d\\ude00"'
    for depth in (*range(900, 1005), *range(1005, 12_000, 331)):
        for inner in (half, ""):
            lists = "[" * depth + inner + "]" * depth
            for text in (f'{{"a":{lists}}}', f'{{"method":{lists},"id":1}}'):
                assert isinstance(parse_request(text), Refusal)


def test_methods_are_the_documented_ones() -> None:
    assert {method.value for method in Method} == {
        "SUBSCRIBE",
        "UNSUBSCRIBE",
        "LIST_SUBSCRIPTIONS",
        "SET_PROPERTY",
        "GET_PROPERTY",
    }
