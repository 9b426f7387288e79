"""The exchanges whose books can be kept, by name, and where they are reached. Pure."""

from typing import NamedTuple

from depthcast.errors import Refused
from depthcast.venues import Venue
from depthcast.venues.registry import venue_named


class Exchange(NamedTuple):
    """An exchange as books need it: how it speaks, and which of its errors deny that there is a symbol."""

    name: str
    venue: Venue

    def could_list(self, symbol: str) -> bool:
        """Whether a symbol could be spelled so: no exchange's has small letters of a to z.

        Streams are named in small letters, so one symbol in two spellings would share a stream.
        """
        return not any("a" <= letter <= "z" for letter in symbol)

    def lacks_symbol(self, error: Exception) -> bool:
        """Whether ``error`` says that the symbol asked for is not listed."""
        return isinstance(error, Refused) and error.code in self.venue.unknown_symbol


def exchange(name: str, *, rest_url: str | None = None, ws_url: str | None = None) -> Exchange:
    """The exchange called ``name`` (:data:`depthcast.venues.registry.VENUES`), at its own urls or others.

    Raises :class:`~depthcast.errors.SettingsError` for a name that is not known and for urls that are none.
    """
    return Exchange(name, venue_named(name, rest_url=rest_url, ws_url=ws_url))
