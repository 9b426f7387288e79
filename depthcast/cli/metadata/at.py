"""``depthcast metadata at``: what was in force at a time."""

from collections.abc import Sequence
from typing import Final

from depthcast.cli.metadata.documents import asked, in_force, parts_of
from depthcast.cli.metadata.settings import MetadataSettings, moment_of, read, symbols_of
from depthcast.cli.metadata.tables import counts, headline, members_table, print_tables, symbols_table
from depthcast.errors import SettingsError
from depthcast.metadata.history import Found, History

_ABOUT: Final = "Show what the exchange said of itself at a time. Nothing is written."


def main(argv: Sequence[str]) -> int:
    """Print it. Raises :class:`~depthcast.errors.DepthcastError`."""
    words, settings = read(argv, program="depthcast metadata at TIME [SYMBOL…]", about=_ABOUT)
    if not words:
        raise SettingsError("no time is named", hint="depthcast metadata at 2026-11-20T14:03:00Z ETHUSDT")
    return show(settings, moment_of(words[0]), symbols_of(words[1:]))


def show(settings: MetadataSettings, time_ms: int | None, symbols: Sequence[str]) -> int:
    """Print what is in force, or was. Raises :class:`~depthcast.errors.DepthcastError`."""

    kind = settings.document_kind()

    async def reading(history: History) -> tuple[Found, dict[str, object]]:
        found = await in_force(history, time_ms)
        return found, parts_of(kind, kind.members(found.document), symbols)

    found, members = asked(settings, reading)
    if settings.json:
        print((kind.written(members) if symbols else found.document).decode())
        return 0
    listed = members.pop("symbols", None)
    parts = [headline(found.record)]
    if not isinstance(listed, list):
        print_tables(*parts, members_table(members))
        return 0
    shown = [settings.row(each) for each in listed]
    if symbols:
        print_tables(*parts, symbols_table(shown))
    else:
        print_tables(*parts, counts(shown), *([members_table(members)] if members else ()))
    return 0
