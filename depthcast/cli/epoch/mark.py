"""``depthcast epoch mark``: write beside a symbol's files what the exchange's list does not tell."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

from depthcast.cli.epoch.published import published
from depthcast.cli.epoch.settings import read, symbol_of
from depthcast.errors import DepthcastError, SettingsError
from depthcast.files import BINANCE, Scheme, valid_status
from depthcast.marking import Marking, mark
from depthcast.store import Store

_ABOUT: Final = (
    "Write a status beside a symbol's published files and leave the books as they are. Readers see a symbol "
    "that is not TRADING as halted. An updater that writes a newer file, or whose list of the exchange tells "
    "another status, has the last word."
)


def main(argv: Sequence[str]) -> int:
    """Mark the files. Raises :class:`~depthcast.errors.DepthcastError`."""
    words, settings = read(argv, program="depthcast epoch mark SYMBOL STATUS", about=_ABOUT)
    if len(words) != 2:
        raise SettingsError("a symbol and a status are needed", hint="depthcast epoch mark ETHUSDT DELISTED")
    symbol, status = symbol_of(words[0]), words[1].upper()
    if not valid_status(status):
        raise SettingsError(
            f"{words[1]!r:.40} is not spelled like a status", hint="write HALT, BREAK, DELISTED or TRADING"
        )
    print(asyncio.run(_mark(settings.open_store(), symbol, status, settings.scheme)))
    return 0


async def _mark(store: Store, symbol: str, status: str, scheme: Scheme) -> str:
    try:
        return await mark_all(store, symbol, status, scheme)
    finally:
        await store.close()


async def mark_all(store: Store, symbol: str, status: str, scheme: Scheme = BINANCE) -> str:
    """Mark each file, the largest last; returns what was done, in one line.

    Raises :class:`~depthcast.errors.DepthcastError` where that is not all.
    """
    became: Counter[Marking] = Counter()
    for file in await published(store, symbol, scheme=scheme):
        became[await mark(store, file.key, status)] += 1
    told = ", ".join(f"{count} {outcome.value}" for outcome, count in became.items())
    if became[Marking.UNSETTLED]:
        raise DepthcastError(
            f"{symbol} is not {status} in all of its files ({told})",
            hint="an updater writes them, and writes the status that the exchange tells; try again later",
        )
    if not became[Marking.MARKED] and not became[Marking.ALREADY]:
        raise DepthcastError(f"{symbol} has no file that could be marked ({told})")
    return f"{symbol} is {status} ({told})"
