"""``Scheme`` and ``Layout``: what a venue's files are called and which there are, and how their bodies read.

Each family of venues fills both in :mod:`depthcast.venues`; :mod:`depthcast.venues.schemes` lists them, and
:mod:`depthcast.files` finds the one that a key is of. Whoever writes, serves or reads files knows a venue by
these types alone. Pure.

A **limit** is how a venue's request says how much of a book it wants, and so a number that tells a symbol's
files apart: levels a side, a level of detail, a number that stands for all there is. What it means is the
scheme's to say: which of two shows more (:meth:`Scheme.size`), how many prices a side there are at most
(:meth:`Scheme.depth`), which file answers it (:meth:`Scheme.covering`).
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple, Protocol

from depthcast.file_info import FileInfo
from depthcast.orders.messages import AnySnapshot

PEEK_BYTES: Final = 64
"""So many first bytes of a file are read where its version is wanted alone."""

ALL: Final = 2**31 - 1
"""The depth of a file that shows all there is."""

FLEET_PREFIX: Final = "fleet/"
"""Where replicas' heartbeats are (:mod:`depthcast.heartbeat`)."""

Level = tuple[str, str]
"""A price and its quantity, the very strings of the file."""

# A symbol as Binance spells one since December 2025: 1 to 50 word characters (any alphabet), '-', '.', '_',
# none of them a lower-case ASCII letter. Binance's own words: '^[\w\-._&&[^a-z]]{1,50}$'.
_SYMBOL = re.compile(r"(?:(?![a-z])[\w\-.]){1,50}")


class DepthKey(NamedTuple):
    """The request a file answers."""

    symbol: str
    limit: int


class Layout(Protocol):
    """How the bodies of one kind of file read. They are those that we wrote: compact, members in one order.

    ``key`` names the file in errors. What is no such body raises :class:`~depthcast.errors.BadFile`.
    """

    @property
    def tells_early(self) -> bool:
        """Whether the first :data:`PEEK_BYTES` tell the update id; else the metadata do."""
        ...

    @property
    def begins_books(self) -> bool:
        """Whether a book can begin from such a file."""
        ...

    @property
    def padded(self) -> tuple[bool, bool]:
        """Whether prices, and quantities, have equally many digits behind the point, as long as the venue's
        precision is the same; else they are as short as can be, so that a number has one spelling."""
        ...

    def update_id(self, key: str, body: bytes) -> int | None:
        """The update id that a body tells, which may be its first :data:`PEEK_BYTES` where those tell it;
        ``None`` where no body of this layout tells one."""
        ...

    def check(self, key: str, body: bytes) -> int | None:
        """The same of a whole body, which has to begin, divide and end like one.

        Tells a foreign or a truncated object from a file at the cost of a search, not of a parse: what
        stands between the marks is the store's to keep.
        """
        ...

    def cut(self, body: bytes, limit: int) -> bytes:
        """The file of ``limit`` out of one that covers it, without parsing: ``body`` itself where nothing is
        to be cut. ``limit`` is of this layout."""
        ...

    def levels(self, key: str, body: bytes, depth: int = ALL) -> tuple[list[Level], list[Level]]:
        """Bids and asks by price, best first, at most ``depth`` of each. The strings are the file's own."""
        ...

    def rows(self, key: str, body: bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Bids and asks as the venue's own rows, best first: ``price`` and ``amount``, the very strings of
        the file, and what else it tells of each."""
        ...

    def snapshot(self, key: str, body: bytes, info: FileInfo) -> AnySnapshot:
        """A file and its metadata as a snapshot that a book begins from.

        A side is complete if the writer's book was, and the file shows all the levels that the book had. The
        levels themselves are checked where they enter a book.
        """
        ...

    def unnumbered(self, body: bytes) -> bytes:
        """A body without what changes although its levels do not: the update id, and times beside it."""
        ...


@dataclass(frozen=True)
class Scheme(ABC):
    """What a venue's files are called, and which there are.

    ``root`` is what the keys of its books begin with; ``limits`` are published by default, ascending by
    :meth:`size`. ``room`` is the folder, below those of heartbeats and of metadata, that is this venue's
    alone; the first one has none.
    """

    venue: str
    root: str
    limits: tuple[int, ...]
    room: str = ""

    # Keys

    @property
    @abstractmethod
    def public_prefixes(self) -> tuple[str, ...]:
        """What lies below them is published: books, and the list of symbols. Anybody may read it."""

    @property
    @abstractmethod
    def depth_prefixes(self) -> tuple[str, ...]:
        """All keys of books begin with one of them."""

    @property
    @abstractmethod
    def exchange_info_key(self) -> str:
        """The key of the venue's list of symbols, as the venue answers it."""

    @abstractmethod
    def prefixes_of(self, symbol: str) -> tuple[str, ...]:
        """The keys of one symbol's books begin with one of them, and no other symbol's do."""

    @abstractmethod
    def key(self, symbol: str, limit: int) -> str:
        """The key of a book's file, whether it could be one or not."""

    @abstractmethod
    def parse(self, key: str) -> DepthKey | None:
        """The reverse of :meth:`key`, of the canonical spelling; ``None`` for what is none."""

    def valid_symbol(self, symbol: str) -> bool:
        """Whether a symbol is spelled like one of this venue's (it need not exist)."""
        return valid_symbol(symbol)

    # Limits

    @abstractmethod
    def refusal(self, limit: int) -> str | None:
        """Why there is no file of this limit; ``None``: there may be one."""

    @abstractmethod
    def layout(self, limit: int) -> Layout:
        """How the file of a limit reads."""

    def size(self, limit: int) -> int:
        """Grows with what a file of this limit shows: files are sorted by it."""
        return limit

    def depth(self, limit: int) -> int:
        """The most prices a side that a file of this limit shows; :data:`ALL`: all there are."""
        return limit

    def covering(self, limit: int, published: tuple[int, ...]) -> int | None:
        """The smallest published limit whose file holds what ``limit`` asks for; ``None`` where none does.

        ``published`` ascends by :meth:`size`.
        """
        return covering_limit(limit, published)

    def cache_control(self, limit: int) -> str | None:
        """The ``Cache-Control`` that the venue sends with such a book; ``None``: it has no such habit."""
        return None

    def ordered(self, limits: Iterable[int]) -> tuple[int, ...]:
        """These limits, each once, ascending by :meth:`size`."""
        return tuple(sorted(set(limits), key=self.size))

    @property
    def max_limit(self) -> int:
        """The published limit that shows most."""
        return self.limits[-1]

    # Elsewhere

    @cached_property
    def fleet_prefix(self) -> str:
        """Where the heartbeats of the replicas are that keep this venue's books."""
        return f"{FLEET_PREFIX}{self.room}"


def valid_symbol(text: str) -> bool:
    """Whether ``text`` is spelled like a symbol (it need not exist).

    >>> valid_symbol("ETHUSDT"), valid_symbol("币安人生USDT"), valid_symbol("ethusdt"), valid_symbol("A/B")
    (True, True, False, False)
    """
    return _SYMBOL.fullmatch(text) is not None


def covering_limit(limit: int, published: tuple[int, ...]) -> int | None:
    """The smallest published limit that holds ``limit`` levels; ``None`` where none is large enough.

    ``published`` is sorted ascending.

    >>> covering_limit(7, (5, 10, 20)), covering_limit(101, (5, 100))
    (10, None)
    """
    for candidate in published:
        if candidate >= limit:
            return candidate
    return None
