"""Every order, duplicate, encoding and spelling of a request gives one key or one error.

Compared with a reader written apart, straight from the exchange's tables as ``docs/compatibility.md`` has
them: the standard library decodes, and checks are a list, the first that applies answers.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

from hypothesis import given, settings
from hypothesis import strategies as st

from depthcast.files import DepthKey, depth_key, parse_key
from depthcast.venues.binance_lists import parse_book_ticker, parse_exchange_info
from depthcast.venues.binance_rest import parse_depth
from depthcast.venues.requests import ApiError
from tests.properties.effort import examples

Pairs = list[tuple[str, str]]

SYMBOLS = ("ETHUSDT", "币安人生USDT", "Ä1", "A-B.C_D", "1000SATSUSDT", "A" * 50, "İSTUSDT", "٣USDT")
NO_SYMBOLS = (
    "",
    "ethusdt",
    "ETH USDT",
    "ETH/USDT",
    "A" * 51,
    "A\n",
    "A%42",
    "\ufffd",
    "A+B",
    '"A"',
    "😀",
    "A,B",
)
LIMITS = ("1", "5", "7", "100", "5000", "005", "2147483647", "5001")
NO_LIMITS = ("", "0", "000", "-5", "5.0", "1e3", " 5", "5 ", "٥", "2147483648", "9" * 20, "9" * 21, "x")
STATUSES = ("TRADING", "HALT", "BREAK")
NO_STATUSES = ("", "trading", "END_OF_DAY", "TRADING ")
OTHER_NAMES = ("Symbol", "x", "symbols", "limit ", "币", "recvWindow", "sym%62ol")

values = {
    "symbol": st.sampled_from(SYMBOLS) | st.sampled_from(NO_SYMBOLS) | st.text(max_size=6),
    "limit": st.sampled_from(LIMITS) | st.sampled_from(NO_LIMITS) | st.integers(0, 6000).map(str),
    "symbolStatus": st.sampled_from(STATUSES) | st.sampled_from(NO_STATUSES),
}
names = st.sampled_from(tuple(values)) | st.sampled_from(OTHER_NAMES)
pairs = st.lists(
    names.flatmap(lambda name: st.tuples(st.just(name), values.get(name, st.text(max_size=3)))), max_size=5
)
# Mostly what a client would send, so that much is accepted.
usual = st.permutations(("symbol", "limit", "symbolStatus")).flatmap(
    lambda order: st.integers(1, 3).flatmap(
        lambda count: st.tuples(*(st.tuples(st.just(n), values[n]) for n in order[:count])).map(list)
    )
)


@st.composite
def written(draw: st.DrawFn, text: str, *, in_name: bool) -> bytes:
    """One way to write a text into a query: some bytes as they are, others as ``%XX`` in either case."""
    out = bytearray()
    for char in text:
        must = char in "&%+" or (in_name and char == "=")
        if char == " " and draw(st.booleans()):
            out += b"+"
            continue
        for byte in char.encode():
            if must or draw(st.integers(0, 4)) == 0:
                form = draw(st.sampled_from(("%{:02X}", "%{:02x}")))
                out += form.format(byte).encode()
            else:
                out.append(byte)
    return bytes(out)


@st.composite
def queries(draw: st.DrawFn, told: Pairs) -> bytes:
    """One way to send these parameters."""
    parts = [
        draw(written(name, in_name=True)) + b"=" + draw(written(value, in_name=False)) for name, value in told
    ]
    # What holds no parameter, between them or around.
    for _ in range(draw(st.integers(0, 2))):
        parts.insert(draw(st.integers(0, len(parts))), draw(st.sampled_from((b"", b"", b"=", b"=5"))))
    return b"&".join(parts)


# The reference


def decoded(raw: bytes) -> str:
    return unquote_to_bytes(raw.replace(b"+", b" ")).decode("utf-8", "replace")


def is_symbol(text: str) -> bool:
    def letter(char: str) -> bool:
        return (char.isalnum() or char in "_-.") and not "a" <= char <= "z"

    return 1 <= len(text) <= 50 and all(map(letter, text))


def refusals(told: Pairs) -> Iterator[int]:
    """The codes of all that is wrong, in the order in which the exchange looks."""
    known = ("symbol", "limit", "symbolStatus")
    sent = dict(told)
    if len(sent) < len(told):
        yield -1101
    if len(sent) > len(known):
        yield -1101
    symbol, limit, status = (sent.get(name) for name in known)
    if symbol is None:
        yield -1102
    elif symbol == "":
        yield -1105
    elif not is_symbol(symbol):
        yield -1100
    if limit == "":
        yield -1105
    elif limit is not None:
        if not (1 <= len(limit) <= 20 and all(char in "0123456789" for char in limit)):
            yield -1100
        elif int(limit) > 2**31 - 1:
            yield -1108
        elif int(limit) == 0:
            yield -1130
    if status == "":
        yield -1105
    elif status is not None and status not in STATUSES:
        yield -1122
    if not set(sent) <= set(known):
        yield -1104


def expected(told: Pairs) -> tuple[str, str | None] | int:
    """The key of the file that answers, and the status asked for; or the code of the refusal."""
    for code in refusals(told):
        return code
    sent = dict(told)
    limit = min(int(sent.get("limit", "100")), 5000)
    return f"api/v3/depth?symbol={sent['symbol']}&limit={limit}", sent.get("symbolStatus")


def answered(query: bytes) -> tuple[str, str | None] | int:
    """The same of the code under test."""
    request = parse_depth(query)
    if isinstance(request, ApiError):
        assert request.status == 400
        assert json.loads(request.body()) == {"code": request.code, "msg": request.msg}
        return request.code
    return depth_key(request.symbol, request.limit), request.symbol_status


@given((usual | pairs).flatmap(lambda told: st.tuples(st.just(told), queries(told), queries(told))))
@settings(max_examples=examples(500))
def test_however_a_request_is_written_it_is_one_key_or_one_error(case: tuple[Pairs, bytes, bytes]) -> None:
    told, one, other = case
    meant = expected(told)
    assert answered(one) == meant
    assert parse_depth(one) == parse_depth(other)
    if isinstance(meant, tuple):
        key, _ = meant
        found = parse_key(key)
        assert isinstance(found, DepthKey)
        assert depth_key(*found) == key


@given(usual.flatmap(lambda told: st.tuples(st.permutations(told), st.just(told))))
@settings(max_examples=examples(150))
def test_the_order_of_parameters_means_nothing(case: tuple[Pairs, Pairs]) -> None:
    shuffled, told = ("&".join(f"{n}={v}" for n, v in each if v.isalnum()).encode() for each in case)
    assert parse_depth(shuffled) == parse_depth(told)


PIECES = rb"symbol= limit= symbolStatus= ETHUSDT 5 & = % %4 %45 %zz + %ff %C3 %e5%B8%81 %00 %0A # ? ;".split()
hostile = st.lists(st.sampled_from([*PIECES, b" ", b"\r\n", b"\xff", b"\xc3\x84"]), max_size=14).map(b"".join)


@given(hostile | st.binary(max_size=40))
@settings(max_examples=examples(500))
def test_any_bytes_are_read_as_the_standard_library_decodes_them(query: bytes) -> None:
    told = [
        (decoded(name), decoded(value))
        for name, _, value in (part.partition(b"=") for part in query.split(b"&"))
        if name
    ]
    assert answered(query) == expected(told)


Parse = Callable[[bytes], Any]


@given(
    st.sampled_from((parse_book_ticker, parse_exchange_info)),
    st.lists(
        st.sampled_from(
            [
                ("symbol", "ETHUSDT"),
                ("symbol", "币安人生USDT"),
                ("symbols", '["ETHUSDT","币安人生USDT"]'),
                ("symbols", '["ETHUSDT","ETHUSDT"]'),
                ("symbols", "[]"),
                ("symbols", '["A", "B"]'),
                ("symbolStatus", "HALT"),
                ("permissions", '["SPOT","MARGIN"]'),
                ("permissions", "spot"),
                ("showPermissionSets", "FALSE"),
                ("x", ""),
            ]
        ),
        max_size=4,
    ).flatmap(lambda told: st.tuples(st.just(told), queries(told), queries(told))),
)
@settings(max_examples=examples(200))
def test_however_a_request_for_several_symbols_is_written_it_means_one_thing(
    parse: Parse, case: tuple[Pairs, bytes, bytes]
) -> None:
    told, one, other = case
    found = parse(one)
    assert found == parse(other)
    if len(dict(told)) < len(told):
        assert isinstance(found, ApiError)
        assert found.code == -1101
