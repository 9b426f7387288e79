"""``Mutator``: examples of what comes from outside, changed by chance; the same seed changes them alike.

Two levels: bytes (:meth:`Mutator.in_bytes`), for what reads a wire, and the structure of JSON
(:meth:`Mutator.in_structure`), for what looks behind the parser. What comes out of the latter is written by
hand, so it may be what no JSON writer makes: members that come twice, numbers of hundreds of digits, ``NaN``,
halves of characters.
"""

import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, Final

MAX_BYTES: Final = 2**18
"""No case becomes longer: what is read without a bound shows with less."""

_TOKENS: Final[tuple[bytes, ...]] = (
    b"\x00",
    b"\r\n",
    b"\n",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"NaN",
    b"-1",
    b"0",
    b"9" * 40,
    b"1e400",
    b"\\ud800",
    b"%",
    b"%00",
    b"&",
    b"=",
    b" ",
    b'],"asks":[',
    b"],[",
    b'"]',
    b"]}",
    b"]}}",
    b'{"lastUpdateId":',
)

_NUMBERS: Final = (
    "0",
    "-1",
    "1",
    "-0",
    "0.0",
    "1.5",
    "-9223372036854775808",
    "9223372036854775807",
    "9223372036854775808",
    "9999999999999999999",
    "10000000000000000000",
    "18446744073709551615",
    "18446744073709551616",
    "1e3",
    "1e308",
    "-1e308",
    "1e400",
    "1E+2",
    "1e-320",
    "NaN",
    "Infinity",
    "-Infinity",
    "9" * 25,
    "9" * 400,
    "9" * 5000,
    "01",
    "+1",
    ".5",
    "1.",
)

_DECIMALS: Final = (
    "",
    "0",
    "0.0",
    "-1",
    "-0",
    "+1",
    "1e5",
    "1E-5",
    "NaN",
    "nan",
    "Infinity",
    "inf",
    "1_0",
    " 1",
    "1 ",
    "00.10",
    ".5",
    "5.",
    ".",
    "1.2.3",
    "1,5",
    "0x10",
    "١٢",
    "１２",
    "9" * 63,
    "9" * 65,
    "1." + "0" * 62 + "1",
    "0." + "0" * 60 + "1",
    "123456789.123456789123",
    "1\x00",
    "1\n",
    '1"',
    "1\\",
    "9" * 400,
)

_TEXTS: Final = (
    "",
    " ",
    "\x00",
    "\ud800",
    "\udfff\ud800",
    "🙂",
    "币安人生USDT",
    "ethusdt",
    "BNBBTC",
    "A/B",
    "../../etc/passwd",
    "A&limit=1",
    "%2e%2e",
    "\x1b[2J",
    "[/bold]",
    "x\r\ny: z",
    "true",
    "null",
    "-1",
    "1e5",
    "NaN",
    "A" * 51,
    "A" * 20_000,
)

_NAMES: Final = (
    "",
    "e",
    "E",
    "s",
    "U",
    "u",
    "b",
    "a",
    "data",
    "stream",
    "id",
    "code",
    "error",
    "__proto__",
    "\ud800",
)


class Raw(str):
    """Text to be written into JSON as it is: numbers keep their spelling."""


class Members(list[tuple[str, Any]]):
    """An object with the order and the repetitions of its members."""


def parse(text: bytes) -> Any:
    """JSON as it is spelled. Raises ``ValueError``."""
    return json.loads(text, object_pairs_hook=Members, parse_int=Raw, parse_float=Raw, parse_constant=Raw)


def write(node: Any) -> bytes:
    """The reverse of :func:`parse`, compact; halves of characters as UTF-8 would have them, were they any."""
    parts: list[str] = []
    pending: list[Any] = [node]
    while pending:  # not recursive: what is written may be deeper than the stack
        each = pending.pop()
        if isinstance(each, _Literally):
            parts.append(each.text)
        elif isinstance(each, Raw):
            parts.append(each)
        elif isinstance(each, str):
            parts.append(json.dumps(each, ensure_ascii=False))
        elif isinstance(each, Members):
            inside: list[Any] = [_Literally("{")]
            for at, (name, value) in enumerate(each):
                head = json.dumps(name, ensure_ascii=False) + ":"
                inside += (_Literally("," + head if at else head), value)
            pending += reversed((*inside, _Literally("}")))
        elif isinstance(each, list):
            inside = [_Literally("[")]
            for at, value in enumerate(each):
                inside += (_Literally(","), value) if at else (value,)
            pending += reversed((*inside, _Literally("]")))
        else:
            parts.append(json.dumps(each))
    return "".join(parts).encode("utf-8", "surrogatepass")


class _Literally:
    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class Mutator:
    """Changes examples. Everything it does comes from ``rng``."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng

    # Bytes

    def in_bytes(self, data: bytes, others: Sequence[bytes] = ()) -> bytes:
        """A few changes of single bytes or of stretches; ``others`` are what to splice with."""
        rng = self.rng
        for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
            begin = rng.randrange(len(data) + 1)
            end = min(len(data), begin + rng.choice((1, 1, 2, 4, 16, 64, 1024)))
            match rng.randrange(9):
                case 0 if data:
                    at = min(begin, len(data) - 1)
                    data = data[:at] + bytes((data[at] ^ 1 << rng.randrange(8),)) + data[at + 1 :]
                case 1:
                    data = data[:begin] + rng.randbytes(rng.choice((1, 2, 8, 64))) + data[begin:]
                case 2:
                    data = data[:begin] + rng.choice(_TOKENS) + data[begin:]
                case 3:
                    data = data[:begin] + data[end:]
                case 4:
                    data = data[:begin]
                case 5:
                    data = data[begin:]
                case 6:
                    data = data[:begin] + data[begin:end] * rng.choice((2, 3, 50)) + data[end:]
                case 7 if others:
                    other = rng.choice(others)
                    data = data[:begin] + other[rng.randrange(len(other) + 1) :]
                case _:
                    data = data[:begin] + rng.choice(_TOKENS) + data[end:]
            data = data[:MAX_BYTES]
        return data

    # JSON

    def in_structure(self, data: bytes, others: Sequence[bytes] = ()) -> bytes:
        """A few changes of the structure; of the bytes where ``data`` is no JSON."""
        try:
            tree = parse(data)
        except (ValueError, RecursionError):
            return self.in_bytes(data, others)
        for _ in range(self.rng.choice((1, 1, 1, 2, 3))):
            tree = self.change(tree)
        written = write(tree)
        return self.wrapped(written) if self.rng.random() < 0.1 else written[:MAX_BYTES]

    def either(self, data: bytes, others: Sequence[bytes] = ()) -> bytes:
        """A change at one level or the other."""
        return (self.in_structure if self.rng.random() < 0.7 else self.in_bytes)(data, others)

    def wrapped(self, data: bytes) -> bytes:
        """The whole of it as something else: with a mark before it, twice, packed, a page that holds it."""
        ways: tuple[Callable[[], bytes], ...] = (
            lambda: b"\xef\xbb\xbf" + data,
            lambda: data + data,
            lambda: data + b"\x00",
            lambda: b" \n" + data + b"\r\n ",
            lambda: gzip.compress(data, mtime=0),
            lambda: data.decode("utf-8", "replace").encode("utf-16"),
            lambda: b"<!DOCTYPE html><html><body>" + data + b"</body></html>",
            lambda: b"[" + data + b"]",
            lambda: json.dumps(data.decode("latin-1")).encode(),
            lambda: b"",
        )
        return self.rng.choice(ways)()

    def change(self, tree: Any) -> Any:
        """The tree with one place changed."""
        places = list(_places(tree))
        # The upper ones are few, and change more.
        places = places[: self.rng.choice((4, 12, len(places)))]
        holder, at = self.rng.choice(places)
        if holder is None:
            return self.value(tree)
        changes: list[Callable[[Any, int], None]] = [
            self._set,
            self._set,
            self._drop,
            self._repeat,
            self._nest,
        ]
        changes += [self._swap, self._rename] if isinstance(holder, Members) else [self._swap, self._reverse]
        self.rng.choice(changes)(holder, at)
        return tree

    def value(self, old: Any = None) -> Any:
        """Something in place of ``old``: most often of its own type."""
        rng = self.rng
        if rng.random() < 0.7:
            if isinstance(old, Raw):
                return self.number(old)
            if isinstance(old, str):
                return self.text(old)
            if isinstance(old, list) and old and not isinstance(old, Members):
                return rng.choice((old[:0], old[: len(old) // 2], [*old, *old], old[1:], old[0]))
        return rng.choice(
            (
                None,
                True,
                False,
                Raw("0"),
                Raw(rng.choice(_NUMBERS)),
                "",
                rng.choice(_TEXTS),
                [],
                Members(),
                [[]],
                [None],
                Members((("a", Raw("1")),)),
                self.deep(rng.choice((5, 200, 1200, 20_000))),
            )
        )

    def number(self, old: str) -> Raw:
        """A number near ``old``, or far from any."""
        rng = self.rng
        if rng.random() < 0.4 and old.lstrip("-").isdecimal() and len(old) < 30:
            return Raw(str(int(old) + rng.choice((-1, 1, -2, 2, -10, 10, -(10**6), 10**6, -int(old)))))
        return Raw(rng.choice((*_NUMBERS, f"-{old}", f"{old}0", f"{old}.0", f'"{old}"', f"{old}e0")))

    def text(self, old: str) -> str:
        """A text near ``old``, or of a kind that others stumble over."""
        rng = self.rng
        if old.replace(".", "", 1).isdecimal() and rng.random() < 0.7:
            return rng.choice(
                (
                    *_DECIMALS,
                    f"0{old}",
                    f"{old}0",
                    f"-{old}",
                    f"{old}e0",
                    f" {old}",
                    old[:-1],
                    old.lstrip("0"),
                )
            )
        return rng.choice((*_TEXTS, old.lower(), old.upper(), old * 2, old[:-1], old[::-1], f"{old}\x00"))

    def deep(self, depth: int) -> Any:
        """``depth`` lists or objects within each other."""
        node: Any = []
        in_objects = self.rng.random() < 0.5
        for _ in range(depth):
            node = Members((("a", node),)) if in_objects else [node]
        return node

    # Changes of one place

    def _set(self, holder: Any, at: int) -> None:
        _put(holder, at, self.value(_get(holder, at)))

    def _drop(self, holder: Any, at: int) -> None:
        del holder[at]

    def _repeat(self, holder: Any, at: int) -> None:
        again = holder[at]
        if isinstance(holder, Members) and self.rng.random() < 0.7:
            again = (again[0], self.value(again[1]))
        holder.insert(self.rng.randrange(len(holder) + 1), again)

    def _nest(self, holder: Any, at: int) -> None:
        _put(holder, at, [_get(holder, at)])

    def _swap(self, holder: Any, at: int) -> None:
        other = self.rng.randrange(len(holder))
        mine, its = _get(holder, at), _get(holder, other)
        _put(holder, at, its)
        _put(holder, other, mine)

    def _rename(self, holder: Any, at: int) -> None:
        name, value = holder[at]
        holder[at] = (self.rng.choice((*_NAMES, name.upper(), name.lower(), name + " ")), value)

    def _reverse(self, holder: Any, _at: int) -> None:
        holder.reverse()


def _places(tree: Any) -> Iterator[tuple[Any, int]]:
    """Each place in the tree as its holder and an index, the upper ones first; the root's holder is
    ``None``."""
    yield None, 0
    level = [tree]
    while level:
        below: list[Any] = []
        for holder in level:
            if isinstance(holder, list):
                for at in range(len(holder)):
                    yield holder, at
                    below.append(_get(holder, at))
        level = below


def _get(holder: Any, at: int) -> Any:
    return holder[at][1] if isinstance(holder, Members) else holder[at]


def _put(holder: Any, at: int, value: Any) -> None:
    holder[at] = (holder[at][0], value) if isinstance(holder, Members) else value
