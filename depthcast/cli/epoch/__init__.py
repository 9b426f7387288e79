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

import difflib
import importlib
from collections.abc import Mapping, Sequence
from typing import Final

from depthcast.errors import SettingsError

_ACTIONS: Final[Mapping[str, str]] = {
    "show": "show SYMBOL…         its files: versions, times, certain depth, status; whether they differ",
    "claim": "claim SYMBOL         begin its next epoch from a fresh snapshot, where ids went down",
    "mark": "mark SYMBOL STATUS   write what it does (HALT, BREAK, DELISTED, TRADING) beside its files",
}

USAGE: Final = "\n".join(
    (
        "usage: depthcast epoch ACTION SYMBOL [OPTION …]",
        "",
        *(f"  {line}" for line in _ACTIONS.values()),
        "",
        "depthcast epoch ACTION --help lists the options. Exit status 0: done; 1: declined, lost or failed;",
        "2: the command is at fault.",
    )
)


def main(argv: Sequence[str]) -> int:
    """Do one of the three. Raises :class:`~depthcast.errors.DepthcastError`."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(USAGE)
        return 0
    action, *rest = argv
    if action not in _ACTIONS:
        close = difflib.get_close_matches(action, _ACTIONS, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(_ACTIONS)}"
        raise SettingsError(f"depthcast epoch cannot {action!r:.40}", hint=hint)
    module = importlib.import_module(f"{__name__}.{action}")
    status: int = module.main(rest)
    return status
