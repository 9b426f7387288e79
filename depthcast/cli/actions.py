"""Verbs of several actions: ``depthcast VERB ACTION …``, each of them a module of the verb's package.

A module has ``main(argv) -> int`` and is imported only when its action is asked for.
"""

import difflib
import importlib
from collections.abc import Mapping, Sequence

from depthcast.errors import SettingsError


def usage(verb: str, arguments: str, actions: Mapping[str, str], *closing: str) -> str:
    """What ``depthcast VERB --help`` shows: each action's line, and ``closing`` lines behind them."""
    lines = [f"  {line}" for line in actions.values()]
    return "\n".join((f"usage: depthcast {verb} {arguments}", "", *lines, "", *closing))


def act(verb: str, actions: Mapping[str, str], usage: str, argv: Sequence[str]) -> int:
    """Do the action that ``argv`` begins with, or print ``usage``; returns the exit status.

    Raises :class:`~depthcast.errors.DepthcastError`, for an unknown action with the one that was meant.
    """
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage)
        return 0
    action, *rest = argv
    if action not in actions:
        close = difflib.get_close_matches(action, actions, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(actions)}"
        raise SettingsError(f"depthcast {verb} cannot {action!r:.40}", hint=hint)
    module = importlib.import_module(f"depthcast.cli.{verb}.{action}")
    status: int = module.main(rest)
    return status
