"""``depthcast metadata show``: what is in force."""

from collections.abc import Sequence
from typing import Final

from depthcast.cli.metadata import at
from depthcast.cli.metadata.settings import read, symbols_of

_ABOUT: Final = "Show what the exchange says of itself. Nothing is written."


def main(argv: Sequence[str]) -> int:
    """Print it. Raises :class:`~depthcast.errors.DepthcastError`."""
    words, settings = read(argv, program="depthcast metadata show [SYMBOL…]", about=_ABOUT)
    return at.show(settings, None, symbols_of(words))
