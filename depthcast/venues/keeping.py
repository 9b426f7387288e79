"""How a venue's books are kept, where that differs: what makes a book, how much is buffered, how often files
are written. Values only; whoever keeps books (the updater, :class:`depthcast.books.Books`) obeys them. Pure.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

from depthcast.book import Book
from depthcast.orders.anomalies import Tolerance
from depthcast.sync import BookOf, Sync

STEPS_MS: Final = ((100, 0), (1000, 250), (5000, 1000))
"""Up to 100 levels at every update, up to 1,000 four times a second, deeper ones once a second."""


class StreamKey(Protocol):
    """An account's key, which signs what is subscribed to. Its ``repr`` shows nothing of it."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key in the text of a file. Raises :class:`~depthcast.errors.SettingsError`."""
        ...

    @classmethod
    def made_up(cls) -> str:
        """The text of a file with a key of no account, for a simulated exchange, which takes any."""
        ...

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> Self | None:
        """The key in environment variables; ``None`` where none is set. Raises SettingsError."""
        ...


@dataclass(frozen=True, slots=True)
class Keeping:
    """How books are kept.

    ``book_of`` makes books of snapshots that bear so much (:mod:`depthcast.orders.anomalies`) where they are
    by order. ``sync_of`` makes what keeps one unbroken. ``buffer``: diffs kept of a book that is
    being built. ``refills``: a book gets shallow, and is completed by a snapshot now and then. ``steps_ms``:
    the cadence, as pairs of a limit's :meth:`~depthcast.scheme.Scheme.size` and the least time between two
    writes of such files. ``audit_every_s``: how often each is compared with the venue's.
    """

    book_of: Callable[[Tolerance], BookOf] = lambda _: Book.of
    sync_of: Callable[..., Any] = Sync
    buffer: int = 600
    refills: bool = True
    steps_ms: tuple[tuple[int, int], ...] = STEPS_MS
    audit_every_s: float = 3600.0
    limits: tuple[int, ...] | None = None
    """The only ones that such books can show; ``None``: all of the scheme's."""
