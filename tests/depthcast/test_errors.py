"""The error tree: as it is drawn, one line each, with their data and what to do."""

import inspect
import re

import pytest

from depthcast import errors
from depthcast.errors import (
    AccessDenied,
    BadFile,
    BadKey,
    BadLevel,
    BookNotReady,
    BookSpoiled,
    BucketMissing,
    ConditionsIgnored,
    DepthcastError,
    ExtraMissing,
    FileMissing,
    KeyRefused,
    MalformedAnswer,
    MalformedFrame,
    NotByOrder,
    NotDeepEnough,
    NotOnTape,
    RateLimited,
    Refused,
    SettingsError,
    StoreUnavailable,
    SubscriptionRefused,
    UnknownSymbol,
    VenueUnavailable,
)

LONG = "x" * 5000

EXAMPLES: dict[str, DepthcastError] = {
    "the port is no number; name one": SettingsError("the port is no number", hint="name one"),
    "s3:// needs boto3, which is not installed; run: pip install 'depthcast[s3]'": ExtraMissing(
        "s3://", "s3", "boto3"
    ),
    "the server has no symbol 'ETHUSD'; symbols are spelled as the exchange does: ETHUSDT": UnknownSymbol(
        "ETHUSD", "the server"
    ),
    "memory: has no symbol 'ETHUSD'; write one first": UnknownSymbol(
        "ETHUSD", "memory:", hint="write one first"
    ),
    "not an order-book level: ['1', 'x']; the diff or snapshot is discarded and the symbol taken anew": (
        BadLevel(["1", "x"])
    ),
    "X: its messages contradict the book (crossed, reopened); the symbol is taken anew": BookSpoiled(
        "X", ["crossed", "reopened"]
    ),
    "no book that is ready of A (gap); await wait(), and give it as long as the exchange takes": BookNotReady(
        {"A": "gap"}
    ),
    "no book that is ready of A (a), B (b), C (c) and 2 more; await wait(), and give it as long as the"
    " exchange takes": BookNotReady({name: name.lower() for name in "ABCDE"}),
    "A: its exchange does not tell of every order; read its levels: top(), body()": NotByOrder("A"),
    "A: 50 levels were asked for, and 9 bids and 60 asks are certain; ask for fewer, or keep deeper books;"
    " they are completed in the background": NotDeepEnough("A", 50, bids=9, asks=60),
    "'api/v3/depth?symbol=a' names no file: the symbol is misspelled": BadKey(
        "api/v3/depth?symbol=a", "the symbol is misspelled"
    ),
    "'k' is not published: of A there are 5, 10 levels a side; ask for 10 at most": FileMissing(
        "k", "of A there are 5, 10 levels a side", hint="ask for 10 at most"
    ),
    "'k' is not published: nothing is": FileMissing("k", "nothing is"),
    "the tape of ETHUSDT does not hold that moment: it is in a hole; ask for another": NotOnTape(
        "ETHUSDT", "it is in a hole", in_hole=True, hint="ask for another"
    ),
    "the object 'k' is not a published file: it has no end; the next write replaces it": BadFile(
        "k", "it has no end"
    ),
    "malformed frame (not JSON): b'{'": MalformedFrame(b"{", "not JSON", symbol="A"),
    "http://h/x answered something that is not its documented body: not JSON; check that the REST url points"
    " at the exchange's API": MalformedAnswer("http://h/x", "not JSON"),
    "the exchange refused the request: 400 -1121 Invalid symbol.": Refused(400, -1121, "Invalid symbol."),
    "the exchange refused the subscription to X alone: 7 no X; the others go on; is there such a symbol?": (
        SubscriptionRefused("X", 7, "no X")
    ),
    "the exchange refused the subscription to X alone: no X; the others go on; is there such a symbol?": (
        SubscriptionRefused("X", None, "no X")
    ),
    "the exchange refused the account's request: 401 -2015 Invalid API-key.; make another one": KeyRefused(
        401, -2015, "Invalid API-key.", hint="make another one"
    ),
    "the exchange asks for fewer requests for 8 s; no REST request is sent until then; book updates go on": (
        RateLimited(7500, banned=False)
    ),
    "the exchange banned this address for 120 s; no REST request is sent until then; book updates go on": (
        RateLimited(120_000, banned=True)
    ),
    "no answer": VenueUnavailable("no answer"),
    "it is away; start it": StoreUnavailable("it is away", hint="start it"),
    "no bucket": BucketMissing("no bucket"),
    "no": AccessDenied("no"),
    "conditions are ignored": ConditionsIgnored("conditions are ignored"),
}


def classes() -> list[type[DepthcastError]]:
    return [
        found
        for _, found in inspect.getmembers(errors, inspect.isclass)
        if issubclass(found, DepthcastError) and found.__module__ == errors.__name__
    ]


@pytest.mark.parametrize("line", EXAMPLES)
def test_an_error_is_one_line_that_says_what_happened_and_what_to_do(line: str) -> None:
    error = EXAMPLES[line]
    assert str(error) == line
    assert str(error).startswith(error.message)
    assert str(error).endswith(error.hint)


def test_every_kind_that_is_raised_is_among_the_examples() -> None:
    # The others are the branches of the tree, which only name what they have in common.
    branches = {
        cls for cls in classes() if any(issubclass(other, cls) for other in classes() if other != cls)
    }
    assert {type(error) for error in EXAMPLES.values()} == set(classes()) - branches


def test_the_tree_is_drawn_as_it_is() -> None:
    drawn: list[tuple[str, str | None]] = []
    above: list[str] = []
    assert errors.__doc__ is not None
    for line in errors.__doc__.splitlines():
        found = re.fullmatch(r"    (?P<lines>[│├└─ ]*)(?P<name>[A-Z]\w+)(?:  .*)?", line)
        if found is not None:
            depth = len(found["lines"]) // 4
            above[depth:] = [found["name"]]
            drawn.append((found["name"], above[depth - 1] if depth else None))
    true = {cls.__name__: cls.__mro__[1].__name__ for cls in classes()}
    assert dict(drawn) == true | {"DepthcastError": None}
    assert len(drawn) == len(true)


def test_errors_carry_what_they_are_about() -> None:
    missing = ExtraMissing("s3://", "s3", "boto3")
    assert isinstance(missing, ImportError)
    assert (missing.extra, missing.module, missing.name) == ("s3", "boto3", "boto3")
    assert UnknownSymbol("A", "here").symbol == "A"
    assert BadLevel(["1"]).level == ["1"]
    assert (spoiled := BookSpoiled("X", ["crossed"])).symbol == "X"
    assert spoiled.anomalies == ["crossed"]
    waiting = BookNotReady({"A": "gap", "B": "bad"})
    assert (waiting.symbols, waiting.why) == (["A", "B"], {"A": "gap", "B": "bad"})
    assert NotByOrder("A").symbol == "A"
    shallow = NotDeepEnough("A", 50, bids=9, asks=60)
    assert (shallow.symbol, shallow.limit, shallow.bids, shallow.asks) == ("A", 50, 9, 60)
    assert (BadKey("k", "why").key, BadFile("k", "why").key, FileMissing("k", "why").key) == ("k", "k", "k")
    frame = MalformedFrame("{", "not JSON", symbol="A")
    assert (frame.frame, frame.symbol, MalformedFrame(b"", "empty").symbol) == ("{", "A", None)
    assert MalformedAnswer("http://h", "why").url == "http://h"
    absent = NotOnTape("A", "why", in_hole=True)
    assert (absent.symbol, absent.why, absent.in_hole) == ("A", "why", True)
    refused = Refused(400, -1121, "Invalid symbol.")
    assert (refused.status, refused.code, refused.text) == (400, -1121, "Invalid symbol.")
    limited = RateLimited(7500, banned=True)
    assert (limited.retry_after_ms, limited.banned) == (7500, True)


@pytest.mark.parametrize(
    "error",
    [
        UnknownSymbol(LONG, "here"),
        BadLevel([LONG, LONG]),
        BadKey(LONG, "why"),
        FileMissing(LONG, "why"),
        BadFile(LONG, "why"),
        MalformedFrame(LONG, "why"),
        MalformedFrame(LONG.encode(), "why"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_came_from_outside_is_quoted_in_part(error: DepthcastError) -> None:
    assert len(str(error)) < 400


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "\x1b[2J"])
def test_what_came_from_outside_stays_on_its_line(text: str) -> None:
    for error in (
        UnknownSymbol(text, "here"),
        BadLevel([text]),
        BadKey(text, "why"),
        BadFile(text, "why"),
        MalformedFrame(text, "why"),
    ):
        assert str(error).isprintable()


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("400, message:\n  Can not decode", "400, message: Can not decode"),
        ("a\r\nb\x0bc\u2028d", "a b c d"),
        ("\x1b[2Jcleared\x00", "\\x1b[2Jcleared\\x00"),
        ("币安人生USDT is odd", "币安人生USDT is odd"),
        ("two  blanks stay", "two  blanks stay"),
        ("half \ud800", "half \\ud800"),
    ],
)
def test_the_text_of_an_error_is_one_line_that_a_terminal_shows_as_it_is(message: str, shown: str) -> None:
    assert str(DepthcastError(message)) == shown
    assert str(DepthcastError("it failed", hint=message)) == f"it failed; {shown}"
    assert DepthcastError(message).message == shown


def test_an_exchange_cannot_write_on_the_terminal() -> None:
    assert str(Refused(400, -1, "\x1b]0;owned\x07")).isprintable()
    assert VenueUnavailable("no answer").hint == ""
