"""``depthcast metadata``: what the exchange said of itself, now and at any time that history is kept of.

=====================================  ===========================================================
``depthcast.cli.metadata.settings``    what can be set, and how a command line is read
``depthcast.cli.metadata.documents``   documents read from the store
``depthcast.cli.metadata.tables``      documents and changes as tables for people
``depthcast.cli.metadata.show``        ``metadata show``: what is in force
``depthcast.cli.metadata.at``          ``metadata at``: what was in force at a time
``depthcast.cli.metadata.diff``        ``metadata diff``: what changed between two times
``depthcast.cli.metadata.log``         ``metadata log``: each change
=====================================  ===========================================================
"""

from collections.abc import Mapping, Sequence
from typing import Final

from depthcast.cli.actions import act, usage

_ACTIONS: Final[Mapping[str, str]] = {
    "show": "show [SYMBOL…]              what is in force: status, tick and lot sizes, permissions",
    "at": "at TIME [SYMBOL…]           what was in force at a time",
    "diff": "diff TIME TIME [SYMBOL…]    what changed between two times",
    "log": "log [SYMBOL]                each change, the newest first",
}

USAGE: Final = usage(
    "metadata",
    "ACTION [OPTION …]",
    _ACTIONS,
    "TIME is milliseconds since 1970, or ISO 8601: 2026-11-20T14:03:00Z, 2026-11-20 (UTC).",
    "depthcast metadata ACTION --help lists the options.",
)


def main(argv: Sequence[str]) -> int:
    """Do one of the four. Raises :class:`~depthcast.errors.DepthcastError`."""
    return act("metadata", _ACTIONS, USAGE, argv)
