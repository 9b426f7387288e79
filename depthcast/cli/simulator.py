"""``depthcast simulator``: an exchange on this machine."""

from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Run it until SIGTERM or Ctrl-C."""
    from simulator.__main__ import main as run

    return run(argv)
