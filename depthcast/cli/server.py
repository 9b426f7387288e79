"""``depthcast server``: a process that hands out published books under the exchange's REST scheme."""

from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Run it until SIGTERM or Ctrl-C."""
    from server.__main__ import main as run

    return run(argv)
