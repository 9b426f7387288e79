"""JSON read in one call or in pieces: the same values, and the same texts refused."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthcast.metadata import document
from depthcast.metadata.document import LONG_CHARACTERS, read_json, write_json
from tests.depthcast.metadata.documents import listing, symbol

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda held: st.lists(held, max_size=4) | st.dictionaries(st.text(), held, max_size=4),
    max_leaves=12,
)


def in_pieces(text: str) -> Any:
    return document._read_in_pieces(text)


def whole(text: str) -> Any:
    """By the standard library alone."""
    return json.loads(text, parse_float=Decimal)


@given(VALUES, st.sampled_from([None, 1, "\t"]), st.sampled_from(["", " ", "\n\r\t "]))
def test_pieces_are_what_the_whole_is(value: Any, indent: int | str | None, around: str) -> None:
    text = json.dumps(value, default=float, ensure_ascii=False, indent=indent, allow_nan=False)
    assert in_pieces(around + text + around) == whole(text)


@given(VALUES, st.data())
def test_what_is_damaged_is_refused_alike(value: Any, data: st.DataObject) -> None:
    text = json.dumps(data.draw(st.sampled_from([{"a": [value], "b": value}, [value, 1]])), default=float)
    at = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:at] + data.draw(st.sampled_from(["", ",", "]", "}", "{", '"', " ", "x"])) + text[at + 1 :]
    try:
        expected = whole(damaged)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011 (which one is the library's business)
            in_pieces(damaged)
    else:
        assert in_pieces(damaged) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        "{}x",
        "{} {}",
        '{"a"}',
        '{"a":}',
        '{"a":1,}',
        '{"a":[1,]}',
        '{"a":[1 2]}',
        "{1:2}",
        "[",
        "[1",
        "[1,]",
        "[1 2]",
        "[]x",
        "[] []",
        '{"a":[',
        "x",
    ],
)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (which one is the library's business)
        in_pieces(text)


def test_members_of_one_name_are_the_last_one() -> None:
    assert in_pieces('{"a":[1],"b":2,"a":[]}') == {"a": [], "b": 2}
    assert in_pieces("[1,2]") == [1, 2]


def test_nan_is_no_json_however_long_the_text() -> None:
    for filling in ("", "x" * LONG_CHARACTERS):
        with pytest.raises(ValueError, match="NaN is no JSON"):
            read_json(f'{{"a":[NaN],"b":"{filling}"}}'.encode())
        with pytest.raises(ValueError, match="too deeply"):
            read_json((f'{{"b":"{filling}","a":' + "[" * 100_000).encode())


def test_a_long_document_is_read_in_pieces_and_written_as_it_was() -> None:
    body = listing(1, *(symbol(f"S{number}USDT") for number in range(1000)))
    assert len(body) > LONG_CHARACTERS
    assert read_json(body) == json.loads(body, parse_float=Decimal)
    assert write_json(read_json(body)) == body


@pytest.mark.parametrize("bare", [False, True])
def test_others_have_their_turn_while_a_long_document_is_read(
    monkeypatch: pytest.MonkeyPatch, bare: bool
) -> None:
    calls: list[int] = []

    class Watched(json.JSONDecoder):
        def raw_decode(self, s: str, idx: int = 0) -> tuple[Any, int]:
            found, end = super().raw_decode(s, idx)
            calls.append(end - idx)
            return found, end

    monkeypatch.setattr(document, "_DECODER", Watched(parse_float=Decimal))
    body = listing(1, *(symbol(f"S{number}USDT") for number in range(1000)))
    if bare:
        body = write_json(json.loads(body)["symbols"])
    read_json(body)
    # No call of the decoder, which lets nobody else run, is about more than a symbol.
    assert len(calls) >= 1000
    assert max(calls) < 1000 < len(body)
