"""``depthcast metadata log``: each change, the newest first."""

from collections.abc import Sequence
from typing import Final

from rich.text import Text

from depthcast.cli.metadata.documents import asked
from depthcast.cli.metadata.settings import moment_of, read, symbols_of
from depthcast.cli.metadata.tables import log_table, print_tables
from depthcast.errors import SettingsError
from depthcast.metadata.history import History, Page
from depthcast.metadata.moments import moment_text
from depthcast.metadata.record import MAX_TIME_MS

_ABOUT: Final = "Show what changed, the newest first. Nothing is written."


def main(argv: Sequence[str]) -> int:
    """Print it. Raises :class:`~depthcast.errors.DepthcastError`."""
    words, settings = read(argv, program="depthcast metadata log [SYMBOL]", about=_ABOUT)
    symbols = symbols_of(words)
    if len(symbols) > 1:
        raise SettingsError("the log is of one symbol, or of all", hint="depthcast metadata log ETHUSDT")
    from_ms = moment_of(settings.since) if settings.since else 0
    to_ms = moment_of(settings.until) if settings.until else MAX_TIME_MS

    async def reading(history: History) -> Page:
        symbol = symbols[0] if symbols else None
        return await history.log(from_ms, to_ms, symbol=symbol, limit=settings.limit)

    page = asked(settings, reading)
    if settings.json:
        for record in page.records:
            print(record.to_bytes().decode())
        return 0
    parts = [log_table(page.records) if page.records else Text("no change is recorded")]
    if page.more_to_ms is not None:
        parts.append(Text(f"there may be more: --until {page.more_to_ms} ({moment_text(page.more_to_ms)})"))
    print_tables(*parts)
    return 0
