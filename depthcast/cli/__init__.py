"""The ``depthcast`` command: ``depthcast VERB …``, one module a verb, imported only when it is asked for.

A verb's module has ``main(argv) -> int``, which returns the exit status. What goes wrong in a known way is
one line on standard error: status 2 where the command, a setting or a package that is not installed is at
fault, 1 otherwise. This package alone names the services, and only by lazy import.
"""

import difflib
import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, NoReturn, Protocol, cast

from depthcast import __version__
from depthcast.errors import DepthcastError, ExtraMissing, SettingsError
from depthcast.exit import run


class Entry(NamedTuple):
    """A verb: the module that does it, the extra of the package that brings what it needs, and its line in
    ``depthcast --help``."""

    module: str
    extra: str
    summary: str


VERBS: Final[Mapping[str, Entry]] = {
    "up": Entry(
        "depthcast.cli.up",
        "up",
        "everything on this machine: a store, two updaters, a server, and a screen that shows them",
    ),
    "updater": Entry(
        "depthcast.cli.updater",
        "updater",
        "keep the books of many symbols and write their files to object storage",
    ),
    "server": Entry(
        "depthcast.cli.server", "server", "serve published order books under the exchange's own REST scheme"
    ),
    "simulator": Entry(
        "depthcast.cli.simulator",
        "simulator",
        "an exchange on this machine: Binance's REST and websocket over a made or a captured market",
    ),
    "fleet": Entry(
        "depthcast.cli.fleet", "updater", "who writes what: the replicas of a fleet and their symbols, live"
    ),
    "store": Entry(
        "depthcast.cli.store", "store", "run an S3 store (SeaweedFS) for updaters and servers elsewhere"
    ),
    "epoch": Entry(
        "depthcast.cli.epoch",
        "updater",
        "show a symbol's files; claim its next epoch; mark it halted or delisted",
    ),
    "metadata": Entry(
        "depthcast.cli.metadata",
        "updater",
        "tick sizes, statuses, rules: what is in force, what was at a time, and what changed",
    ),
    "heatmap": Entry(
        "depthcast.cli.heatmap", "updater", "make the heatmap's tiles of a tape that is there already"
    ),
    "replay": Entry(
        "depthcast.cli.replay",
        "up",
        "a recorded stretch as an exchange, at any speed: Binance's REST and websocket over the tape",
    ),
    "export": Entry(
        "depthcast.cli.export", "up", "a stretch of the tape as CSV or Parquet that backtesters read"
    ),
    "plan": Entry(
        "depthcast.cli.plan", "updater", "what a fleet costs on several stores: requests, storage, traffic"
    ),
    "probe": Entry("depthcast.cli.probe", "updater", "show that a store honours conditional writes"),
    "retention": Entry(
        "depthcast.cli.retention",
        "updater",
        "how long the store keeps the history of metadata, tape and heatmap: its lifecycle rules",
    ),
    "settings": Entry("depthcast.cli.settings", "up", "print every setting of the services, as Markdown"),
}
"""What can be asked for, in the order of ``--help``."""

_OWN: Final = frozenset({"depthcast", "updater", "server", "simulator"})


class Verb(Protocol):
    """What the module of a verb offers."""

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
        return _do(arguments[0], arguments[1:])
    except DepthcastError as error:
        print(f"depthcast: {error}", file=sys.stderr)
        return 2 if isinstance(error, SettingsError | ExtraMissing) else 1
    except KeyboardInterrupt:
        return 130


def _do(name: str, argv: Sequence[str]) -> int:
    try:
        return verb(name).main(argv)
    except ModuleNotFoundError as missing:
        module = (missing.name or "").partition(".")[0]
        if not module or module in _OWN:
            raise  # that is no package left out but a fault of ours
        raise ExtraMissing(f"depthcast {name}", VERBS[name].extra, module) from None


def verb(name: str) -> Verb:
    """The module of a verb. Raises :class:`~depthcast.errors.SettingsError` for an unknown one."""
    if name not in VERBS:
        close = difflib.get_close_matches(name, VERBS, 1)
        hint = f"did you mean {close[0]}?" if close else "see depthcast --help"
        raise SettingsError(f"there is no verb {name!r:.40}", hint=hint)
    return cast(Verb, importlib.import_module(VERBS[name].module))


def usage() -> str:
    """The text of ``depthcast --help``."""
    width = max(map(len, VERBS))
    lines = [f"  {name:<{width}}  {entry.summary}" for name, entry in VERBS.items()]
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
