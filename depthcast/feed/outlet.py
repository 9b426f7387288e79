"""Where a feed's diffs and errors go. A callback that raises is written down and harms nobody else."""

import logging
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

from depthcast.dispatch import Dispatcher, Work
from depthcast.events import Diff

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outlet:
    """The callbacks of a feed, and the turns in which they are called.

    ``diff`` is called as it is; whoever calls it guards it (:meth:`error`). ``wanted`` tells whether a symbol
    is still subscribed to when the turn of a diff has come.
    """

    diff: Callable[[Diff], None]
    on_error: Callable[[str | None, Exception], None] | None = None
    on_connection_lost: Callable[[Sequence[str]], None] | None = None
    dispatcher: Dispatcher = field(default_factory=Dispatcher)
    wanted: Callable[[str], bool] = lambda _: True
    connects_left: Callable[[int], None] = lambda _: None
    """Told how many more connections the venue lets this address open."""
    reached: Callable[[str, int], None] = lambda *_: None
    """Told up to which update id the venue's stream has told of a symbol."""

    def key(self, symbol: str) -> Hashable:
        """What a symbol's work goes by in the dispatcher, which other feeds may share."""
        return id(self), symbol

    def waits(self, symbol: str) -> float | None:
        """Since when the oldest diff waits that was read and not handed on; ``None`` where none does."""
        return self.dispatcher.waits(Work.APPLY, self.key(symbol))

    def error(self, symbol: str | None, error: Exception) -> None:
        """Report ``error``, about ``symbol`` or about no symbol in particular."""
        if self.on_error is None:
            return
        try:
            self.on_error(symbol, error)
        except Exception:
            _log.exception("on_error raised on %r", error)

    def told(self, symbol: str, update_id: int) -> None:
        """Pass on how far the venue's stream has come, of a symbol that is subscribed to."""
        if not self.wanted(symbol):
            return
        try:
            self.reached(symbol, update_id)
        except Exception as error:
            self.error(symbol, error)

    def connection_lost(self, symbols: Sequence[str]) -> None:
        """Report that diffs of ``symbols`` may be missing from here on: behind those that were read."""
        if self.on_connection_lost is None:
            return
        late = [symbol for symbol in symbols if self.waits(symbol) is not None]
        for symbol in late:
            self.dispatcher.put(Work.APPLY, self.key(symbol), self._tell_lost, [symbol], cost=0)
        self._tell_lost([symbol for symbol in symbols if symbol not in late] if late else symbols)

    def _tell_lost(self, symbols: Sequence[str]) -> None:
        assert self.on_connection_lost is not None
        if not symbols:
            return
        try:
            self.on_connection_lost(symbols)
        except Exception as error:
            self.error(None, error)
