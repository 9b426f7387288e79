"""``depthcast epoch``: a symbol's files as they are, and the operator's hand where automation declines.

===============================  =================================================================
``depthcast.cli.epoch.settings``   what can be set, and how a command line is read
``depthcast.cli.epoch.published``  a symbol's files in the store
``depthcast.cli.epoch.show``       ``epoch show``: the files, and whether they differ
``depthcast.cli.epoch.claim``      ``epoch claim``: the next epoch, from a fresh snapshot
``depthcast.cli.epoch.mark``       ``epoch mark``: what the exchange's list does not tell
===============================  =================================================================

``docs/epochs.md`` says when which of them is needed.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from depthcast.cli.actions import act, usage

_ACTIONS: Final[Mapping[str, str]] = {
    "show": "show SYMBOL…         its files: versions, times, certain depth, status; whether they differ",
    "claim": "claim SYMBOL         begin its next epoch from a fresh snapshot, where ids went down",
    "mark": "mark SYMBOL STATUS   write what it does (HALT, BREAK, DELISTED, TRADING) beside its files",
}

USAGE: Final = usage(
    "epoch",
    "ACTION SYMBOL [OPTION …]",
    _ACTIONS,
    "depthcast epoch ACTION --help lists the options. Exit status 0: done; 1: declined, lost or failed;",
    "2: the command is at fault.",
)


def main(argv: Sequence[str]) -> int:
    """Do one of the three. Raises :class:`~depthcast.errors.DepthcastError`."""
    return act("epoch", _ACTIONS, USAGE, argv)
