"""Control messages and Binance's error answers to them."""

import json

import pytest

from simulator.control import Control, Failure, parse_control

VARIANTS = "`SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`"


@pytest.mark.parametrize(
    "request_id", [1, 0, -(2**63), 2**63 - 1, None, "a1", "x" * 36], ids=lambda value: str(value)[:12]
)
def test_an_id_is_a_64_bit_number_a_short_alphanumeric_text_or_null(request_id: object) -> None:
    text = json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": request_id})
    request = parse_control(text)
    assert isinstance(request, Control)
    assert json.loads(request.result([])) == {"result": [], "id": request_id}


def test_an_answer_is_compact_json() -> None:
    request = parse_control('{"method": "SUBSCRIBE", "params": ["btcusdt@depth"], "id": 1}')
    assert isinstance(request, Control)
    assert request.result(None) == '{"result":null,"id":1}'


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (
            '{"method":"GET_PROPERTY","params":["speed"],"id":9}',
            {"code": 0, "msg": "Unknown property", "id": 9},
        ),
        (
            '{"method":"SET_PROPERTY","params":["combined",1],"id":9}',
            {"code": 1, "msg": "Invalid value type: expected Boolean"},
        ),
        (
            '{"method":"SET_PROPERTY","params":["combined"],"id":9}',
            {"code": 1, "msg": "Invalid value type: expected Boolean"},
        ),
        (
            '{"method":"GET_PROPERTY","params":[1],"id":9}',
            {"code": 2, "msg": "Invalid request: property name must be a string"},
        ),
        (
            '{"method":"GET_PROPERTY","params":["combined",true],"id":9}',
            {"code": 2, "msg": "Invalid request: too many parameters"},
        ),
        (
            '{"method":"LIST_SUBSCRIPTIONS","params":["x"],"id":9}',
            {"code": 2, "msg": "Invalid request: too many parameters"},
        ),
        *(
            (
                f'{{"method":"SUBSCRIBE","params":[],"id":{wrong}}}',
                {"code": 2, "msg": "Invalid request: request ID must be an unsigned integer"},
            )
            for wrong in ("1.5", "true", "[]", '"a-b"', '"' + "x" * 37 + '"', str(2**63))
        ),
        (
            '{"method":"FETCH","params":[],"id":9}',
            {
                "code": 2,
                "msg": "Invalid request: unknown variant `FETCH`, "
                f"expected one of {VARIANTS} at line 1 column 17",
            },
        ),
        (
            '{"params":["btcusdt@depth"],"id":9}',
            {"code": 2, "msg": "Invalid request: missing field `method` at line 1 column 35"},
        ),
        ("[]", {"code": 2, "msg": "Invalid request: missing field `method` at line 1 column 2"}),
        ("", {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}),
        ('{"method":\n nonsense}', {"code": 3, "msg": "Invalid JSON: expected value at line 2 column 2"}),
        (
            '{"method":"SUBSCRIBE","params":"btcusdt@depth","id":9}',
            {"code": 2, "msg": "Invalid request: params must be an array"},
        ),
        (
            '{"method":"SUBSCRIBE","params":[7],"id":9}',
            {"code": 2, "msg": "Invalid request: stream name must be a string"},
        ),
    ],
)
def test_a_wrong_message_is_refused_in_binances_words(text: str, answer: dict[str, object]) -> None:
    refused = parse_control(text)
    assert isinstance(refused, Failure)
    assert json.loads(refused.text()) == answer


def test_a_message_nested_beyond_reason_is_refused() -> None:
    refused = parse_control("[" * 100_000)
    assert isinstance(refused, Failure)
    assert refused.code == 3
