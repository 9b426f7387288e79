"""``depthcast up``: everything on this machine in one command: store, exchange, updaters and server.

The parts: what can be set (:mod:`.settings`), the folder it owns (:mod:`.folder`), what runs and in which
order (:mod:`.machine`, of :mod:`.service`, :mod:`.child`, :mod:`.store` and :mod:`.exchange`), what is known
of it (:mod:`.board`, filled by :mod:`.watch`) and how that is shown (:mod:`.display`, :mod:`.screen`).
"""

from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Run it until Ctrl-C, SIGTERM or the end of the terminal; a second Ctrl-C does not wait for anything."""
    from depthcast.cli.up.run import main as run

    return run(argv)
