"""``Manifest``: which tiles of a symbol there are, so that a page need not guess. Pure.

It names the hours that have a tile; an hour's tile tells which of its minutes there are, and a day is there
when one of its hours is. So it changes twice an hour at the most, and not with each minute.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, Final, Self

from depthcast.errors import BadFile
from depthcast.heat.keys import manifest_key
from depthcast.heat.zooms import DAY, HOUR, ZOOMS

CONTENT_TYPE: Final = "application/json"

FORMAT: Final = 1

MAX_DAYS: Final = 400
"""Of so many days it tells, the latest ones; what is older can still be asked for."""

MAX_BYTES: Final = 65_536
"""More than so many days need."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The hours of a symbol; ``hours`` has for each date that has any a mask with a bit for each."""

    venue: str
    symbol: str
    hours: Mapping[str, int]

    @property
    def key(self) -> str:
        """Where it is kept."""
        return manifest_key(self.venue, self.symbol)

    def has(self, start_ms: int) -> bool:
        """Whether the hour that begins then has a tile."""
        day, bit = _place(start_ms)
        return bool(self.hours.get(day, 0) & bit)

    def with_hour(self, start_ms: int) -> Self:
        """With the hour that begins then; the earliest days beyond :data:`MAX_DAYS` go."""
        day, bit = _place(start_ms)
        hours = {**self.hours, day: self.hours.get(day, 0) | bit}
        return replace(self, hours={each: hours[each] for each in sorted(hours)[-MAX_DAYS:]})

    def starts(self) -> list[int]:
        """When its hours begin, in order."""
        found = []
        for day in sorted(self.hours):
            midnight = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
            hours = [hour for hour in range(24) if self.hours[day] >> hour & 1]
            found += [round(midnight.timestamp() * 1000) + hour * HOUR.tile_ms for hour in hours]
        return found

    def encode(self) -> bytes:
        """The file."""
        told = {
            "format": FORMAT,
            "venue": self.venue,
            "symbol": self.symbol,
            "zooms": [
                {
                    "zoom": zoom.number,
                    "tile_ms": zoom.tile_ms,
                    "column_ms": zoom.column_ms,
                    "columns": zoom.columns,
                }
                for zoom in ZOOMS
            ],
            "hours": {day: f"{self.hours[day]:06x}" for day in sorted(self.hours)},
        }
        return json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()

    @classmethod
    def decode(cls, key: str, body: bytes) -> Self:
        """The manifest that the object at ``key`` is. Raises :class:`~depthcast.errors.BadFile`."""
        if len(body) > MAX_BYTES:
            raise BadFile(key, f"it has more than {MAX_BYTES} bytes")
        try:
            told: dict[str, Any] = json.loads(body)
            if told["format"] != FORMAT:
                raise ValueError(f"format {told['format']!r:.20}")
            hours = {
                date.fromisoformat(day).isoformat(): int(mask, 16) for day, mask in told["hours"].items()
            }
            found = cls(told["venue"], told["symbol"], hours)
            found.check()
            if found.key != key:
                raise ValueError(f"it is that of {found.key!r:.100}")
        except (AssertionError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise BadFile(key, f"it is no list of tiles ({error!r:.100})") from None
        return found

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        assert len(self.hours) <= MAX_DAYS, "too many days"
        whole = (1 << DAY.tile_ms // HOUR.tile_ms) - 1
        assert all(0 < mask <= whole for mask in self.hours.values()), "hours that no day has"


def _place(start_ms: int) -> tuple[str, int]:
    """The date of an hour, and its bit."""
    moment = datetime.fromtimestamp(start_ms // 1000, UTC)
    return moment.strftime("%Y-%m-%d"), 1 << moment.hour
