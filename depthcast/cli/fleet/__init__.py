"""``depthcast fleet``: the replicas of a fleet and the symbols they hold, live.

The parts: what can be set (:mod:`.settings`), what is read (:mod:`.watch`), what that tells
(:mod:`.overview`, with what can be wrong in :mod:`.trouble`) and how it is shown (:mod:`.screen`,
:mod:`.run`).
"""

from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Show them until Ctrl-C, or once."""
    from depthcast.cli.fleet.run import main as run

    return run(argv)
