"""Where a feed's diffs and errors go. A callback that raises is written down and harms nobody else."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from depthcast.events import Diff

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outlet:
    """The callbacks of a feed. ``diff`` is called as it is; whoever calls it guards it (:meth:`error`)."""

    diff: Callable[[Diff], None]
    on_error: Callable[[str | None, Exception], None] | None = None
    on_connection_lost: Callable[[Sequence[str]], None] | None = None

    def error(self, symbol: str | None, error: Exception) -> None:
        """Report ``error``, about ``symbol`` or about no symbol in particular."""
        if self.on_error is None:
            return
        try:
            self.on_error(symbol, error)
        except Exception:
            _log.exception("on_error raised on %r", error)

    def connection_lost(self, symbols: Sequence[str]) -> None:
        """Report that diffs of ``symbols`` may be missing from here on."""
        if self.on_connection_lost is None:
            return
        try:
            self.on_connection_lost(symbols)
        except Exception as error:
            self.error(None, error)
