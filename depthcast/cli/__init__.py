"""The ``depthcast`` command: ``depthcast VERB …``, one module a verb, imported only when it is asked for.

A verb's module has ``SUMMARY``, one line for ``depthcast --help``, and ``main(argv) -> int``, which returns
the exit status. What goes wrong in a known way is one line on standard error: status 2 where the command or
a setting is at fault, 1 otherwise. This package alone names the services, and only by lazy import.
"""

import difflib
import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn, Protocol, cast

from depthcast import __version__
from depthcast.errors import DepthcastError, SettingsError
from depthcast.exit import run

VERBS: Final[Mapping[str, str]] = {
    "up": "depthcast.cli.up",
    "updater": "depthcast.cli.updater",
    "server": "depthcast.cli.server",
    "simulator": "depthcast.cli.simulator",
    "fleet": "depthcast.cli.fleet",
    "store": "depthcast.cli.store",
    "epoch": "depthcast.cli.epoch",
    "plan": "depthcast.cli.plan",
    "probe": "depthcast.cli.probe",
    "settings": "depthcast.cli.settings",
}
"""What can be asked for, in the order of ``--help``, and the module that does it."""


class Verb(Protocol):
    """What the module of a verb offers."""

    SUMMARY: str

    def main(self, argv: Sequence[str]) -> int:
        """Do it; ``argv`` is what followed the verb."""
        ...


def command() -> NoReturn:
    """The console script: run one verb and end the process, safely after the store's threads too."""
    run(main)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if arguments[0] in ("-V", "--version"):
        print(f"depthcast {__version__}")
        return 0
    try:
        return verb(arguments[0]).main(arguments[1:])
    except DepthcastError as error:
        print(f"depthcast: {error}", file=sys.stderr)
        return 2 if isinstance(error, SettingsError) else 1
    except KeyboardInterrupt:
        return 130


def verb(name: str) -> Verb:
    """The module of a verb. Raises :class:`~depthcast.errors.SettingsError` for an unknown one."""
    if name not in VERBS:
        close = difflib.get_close_matches(name, VERBS, 1)
        hint = f"did you mean {close[0]}?" if close else "see depthcast --help"
        raise SettingsError(f"there is no verb {name!r:.40}", hint=hint)
    return cast(Verb, importlib.import_module(VERBS[name]))


def usage() -> str:
    """The text of ``depthcast --help``."""
    width = max(map(len, VERBS))
    lines = [f"  {name:<{width}}  {verb(name).SUMMARY}" for name in VERBS]
    return "\n".join(
        (
            "usage: depthcast VERB [OPTION …]",
            "",
            "Exchange order books as static files.",
            "",
            *lines,
            "",
            "depthcast VERB --help lists the options of a verb; depthcast --version names this version.",
        )
    )
