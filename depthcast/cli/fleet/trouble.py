"""What can be wrong with a symbol (:class:`Trouble`), and whether it lasts (:class:`Steady`). Pure.

Heartbeats are up to a second apart, so two of them seldom show the same moment: while the writing passes from
one replica to another, both or none may seem to write. What lasts is what counts.
"""

from collections.abc import Hashable, Iterable
from enum import StrEnum
from typing import Final, Generic, TypeVar

STEADY_S: Final = 2.5
"""What has been so for so long is no trick of the beats."""

LAGS_MS: Final = 2000
"""A file so much older than the writer's book is worth a word."""


class Trouble(StrEnum):
    """In the order of how bad it is; the value is the word shown."""

    UNHELD = "not held"
    """Replicas that held it have ended, and no living one holds it."""
    UNWRITTEN = "no writer"
    """Nobody who holds it writes it."""
    NOT_LIVE = "not live"
    """No replica's book of it is up to date."""
    LAGS = "file lags"
    """The most frequent file is older than its writer's book by more than :data:`LAGS_MS`."""
    CONTENDED = "two write"
    """Several write it, which costs writes and nothing else; not where the settings want that."""
    NO_STANDBY = "no standby"
    """One replica holds it, where others could."""
    TOO_FEW = "too few"
    """Fewer replicas hold it than the redundancy asks for and there are."""

    @property
    def severe(self) -> bool:
        """Whether the files stop being current."""
        return self in (Trouble.UNHELD, Trouble.UNWRITTEN, Trouble.NOT_LIVE, Trouble.LAGS)


MEANING: Final = {
    Trouble.UNHELD: "no living replica holds",
    Trouble.UNWRITTEN: "nobody writes",
    Trouble.NOT_LIVE: "no book is up to date of",
    Trouble.LAGS: f"the files are over {LAGS_MS / 1000:g} s older than the book of",
    Trouble.CONTENDED: "more than one replica writes",
    Trouble.NO_STANDBY: "no standby holds",
    Trouble.TOO_FEW: "fewer replicas than asked for hold",
}
"""Said before the names of the symbols."""

Sign = TypeVar("Sign", bound=Hashable)


class Steady(Generic[Sign]):
    """Which signs have been there for ``steady_s`` seconds, or in every reading since the first sure one."""

    def __init__(self, steady_s: float = STEADY_S) -> None:
        self._steady_s = steady_s
        self._began: float | None = None
        self._since: dict[Sign, float] = {}

    def take(self, signs: Iterable[Sign], now_s: float, *, sure: bool = True) -> set[Sign]:
        """What a reading of the moment ``now_s`` shows; returns what of it is steady.

        ``sure``: whether by now it is known who lives; once it is, this does not matter any more.
        """
        if self._began is None and sure:
            self._began = now_s
        self._since = {sign: self._since.get(sign, now_s) for sign in signs}
        wanted_s = min(self._steady_s, now_s - self._began) if self._began is not None else 0.0
        return {sign for sign, since in self._since.items() if now_s - since >= wanted_s}
