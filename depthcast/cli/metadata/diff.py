"""``depthcast metadata diff``: what changed between two times."""

import json
from collections.abc import Sequence
from typing import Final

from rich.text import Text

from depthcast.cli.metadata.documents import asked, in_force
from depthcast.cli.metadata.settings import moment_of, read, symbols_of
from depthcast.cli.metadata.tables import changes_table, headline, print_tables
from depthcast.errors import SettingsError
from depthcast.metadata.changes import changes
from depthcast.metadata.document import write_json
from depthcast.metadata.history import Found, History

_ABOUT: Final = "Show what changed between two times. Nothing is written."


def main(argv: Sequence[str]) -> int:
    """Print it. Raises :class:`~depthcast.errors.DepthcastError`."""
    words, settings = read(argv, program="depthcast metadata diff TIME TIME [SYMBOL…]", about=_ABOUT)
    if len(words) < 2:
        raise SettingsError("two times are needed", hint="depthcast metadata diff 2026-11-20 2026-11-21")
    times, symbols = [moment_of(word) for word in words[:2]], symbols_of(words[2:])
    kind = settings.document_kind()

    async def reading(history: History) -> list[Found]:
        return [await in_force(history, time_ms) for time_ms in times]

    one, two = asked(settings, reading)
    found = changes(kind.parse(one.document), kind.parse(two.document))
    if symbols:
        found = tuple(change for change in found if set(symbols) & set(change.symbols))
    if settings.json:
        told = {
            "from": {"sequence": one.record.sequence, "observedMs": one.record.observed_ms},
            "to": {"sequence": two.record.sequence, "observedMs": two.record.observed_ms},
            "changes": [json.loads(write_json(change.to_json())) for change in found],
        }
        print(json.dumps(told, ensure_ascii=False))
        return 0
    body = changes_table(found) if found else Text("nothing changed")
    print_tables(headline(one.record), headline(two.record), body)
    return 0
