"""``depthcast updater``: one replica that keeps books and writes their files."""

from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Run it until SIGTERM or Ctrl-C."""
    from updater.__main__ import main as run

    return run(argv)
