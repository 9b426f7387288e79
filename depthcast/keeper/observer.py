"""``Observer``: told of what happens to books."""

import logging

from depthcast.book import Audit
from depthcast.errors import DepthcastError
from depthcast.keeper.sources import Source
from depthcast.sync import Verdict

_log = logging.getLogger(__name__)


class Observer:
    """Told of what happens to books; every method does nothing until it is overridden."""

    def took(self, symbol: str, verdict: Verdict) -> None:
        """A diff came in."""

    def broke(self, symbol: str, reason: str) -> None:
        """A book has to be built anew: ``gap``, ``bad``, ``rebased``, ``crossed``, ``exhausted``, …"""

    def synced(self, symbol: str, source: Source, after_ms: float) -> None:
        """A book is live, ``after_ms`` after it was found missing or broken."""

    def audited(self, symbol: str, audit: Audit) -> None:
        """A book was compared with a second snapshot, and completed from it."""

    def failed(self, symbol: str, error: Exception) -> None:
        """An attempt to find a snapshot failed; there will be another one."""


def tell_failure(observer: Observer, symbol: str, error: Exception) -> None:
    """Tell of a failed attempt; one that is not of a kind that may happen is a defect, and logged whole."""
    if not isinstance(error, DepthcastError):
        _log.error("%s: a snapshot could not be used", symbol, exc_info=error)
    observer.failed(symbol, error)
