"""Lists of which a part may be one venue's alone: ``VENUE:PART``. Pure.

One rule for all of them, and for every program: a part with a venue's name before it is that venue's, and
parts without one are for the venues that have none of their own::

    --venue binance,bitmex --symbols ETHUSDT                 both have ETHUSDT
    --venue binance,bitmex --symbols ETHUSDT,bitmex:XBTUSD   one each

A name that is no venue's is not taken for one: urls have colons, too.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from depthcast.errors import SettingsError
from depthcast.venues.schemes import SCHEMES


class Parts(NamedTuple):
    """A list, taken apart: ``general`` names no venue, ``own`` are those of each that is named."""

    general: Sequence[object]
    own: Mapping[str, Sequence[object]]

    @classmethod
    def of(cls, parts: Sequence[object]) -> "Parts":
        """Take a list apart; what is not text names no venue. O(parts).

        >>> Parts.of(["A", "bitmex:B", "http://c"])
        Parts(general=['A', 'http://c'], own={'bitmex': ['B']})
        """
        general: list[object] = []
        own: dict[str, list[object]] = {}
        for part in parts:
            venue, colon, rest = part.partition(":") if isinstance(part, str) else ("", "", "")
            if colon and venue in SCHEMES:
                own.setdefault(venue, []).append(rest)
            else:
                general.append(part)
        return cls(general, own)

    def for_venue(self, venue: str) -> Sequence[object]:
        """What a venue has of it.

        >>> parts = Parts.of(["A", "bitmex:B"])
        >>> parts.for_venue("bitmex"), parts.for_venue("binance")
        (['B'], ['A'])
        """
        return self.own.get(venue, self.general)

    def check(self, name: str, venues: Collection[str]) -> None:
        """Whether each part of the setting ``name`` is for one of ``venues``. Raises
        :class:`~depthcast.errors.SettingsError`."""
        for venue in self.own:
            if venue not in venues:
                raise SettingsError(
                    f"{name} has something for {venue}, which is not among the venues",
                    hint=f"they are {', '.join(venues)}; name it in venue, too",
                )
        if self.general and self.own and all(venue in self.own for venue in venues):
            shown = f"{self.general[0]}"
            raise SettingsError(
                f"{name} has {shown!r:.80} without a venue, and each venue has something of its own",
                hint=f"write {next(iter(venues))}:{shown:.40}, for instance",
            )
