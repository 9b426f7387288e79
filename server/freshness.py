"""How fresh a file in memory is: what an answer says of it beside the book.

A file is ``stale`` where the store has not confirmed it for a while, ``halted`` where its symbol does not
trade, ``live`` otherwise. ``stale`` goes before ``halted``, for a symbol may trade again and the store not
tell.
"""

from enum import Enum
from typing import Final, NamedTuple

from depthcast.files import TRADING
from server.hot import HotFile

DEFAULT_STALE_AFTER_S: Final = 3.0


class State(Enum):
    """What is known of how fresh a file is; the value is the header's."""

    LIVE = b"live"
    STALE = b"stale"
    HALTED = b"halted"


class Currency(NamedTuple):
    """How fresh one file is at one moment: what its answers are marked with."""

    state: State


_CURRENCIES: Final = {state: Currency(state) for state in State}


class Freshness:
    """Judges files in memory. A file that the store has not confirmed for ``stale_after_s`` is stale."""

    def __init__(self, *, stale_after_s: float = DEFAULT_STALE_AFTER_S) -> None:
        self._stale_after_s = stale_after_s

    def of(self, file: HotFile, now: float) -> Currency:
        """How fresh ``file``, which has been read, is at ``now``, by the clock of the files in memory."""
        assert file.edition is not None  # what HotFiles hands out has been read
        if now - file.confirmed_at > self._stale_after_s:
            return _CURRENCIES[State.STALE]
        return _CURRENCIES[State.LIVE if file.edition.info.status == TRADING else State.HALTED]
