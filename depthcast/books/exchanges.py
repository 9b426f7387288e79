"""The exchanges whose books can be kept, by name, and where they are reached. Pure."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from depthcast.errors import Refused, SettingsError
from depthcast.venues import Venue
from depthcast.venues.binance import REST_URL, WS_URL, Binance
from depthcast.venues.binance_rest import SYMBOL_ILLEGAL, UNKNOWN_SYMBOL


class Exchange(NamedTuple):
    """An exchange as books need it: how it speaks, and which of its errors deny that there is a symbol."""

    name: str
    venue: Venue
    unknown_symbol: frozenset[int]

    def could_list(self, symbol: str) -> bool:
        """Whether a symbol could be spelled so: no exchange's has small letters of a to z.

        Streams are named in small letters, so one symbol in two spellings would share a stream.
        """
        return not any("a" <= letter <= "z" for letter in symbol)

    def lacks_symbol(self, error: Exception) -> bool:
        """Whether ``error`` says that the symbol asked for is not listed."""
        return isinstance(error, Refused) and error.code in self.unknown_symbol


class _Known(NamedTuple):
    make: Callable[[str, str], Venue]
    rest_url: str
    ws_url: str
    unknown_symbol: frozenset[int]


_BINANCE_CODES: Final = frozenset({UNKNOWN_SYMBOL.code, SYMBOL_ILLEGAL.code})

EXCHANGES: Final[Mapping[str, _Known]] = {
    "binance": _Known(Binance, REST_URL, WS_URL, _BINANCE_CODES),
    "binanceus": _Known(Binance, "https://api.binance.us", "wss://stream.binance.us:9443", _BINANCE_CODES),
}
"""By name. Binance.US runs the same engine as Binance."""


def exchange(name: str, *, rest_url: str | None = None, ws_url: str | None = None) -> Exchange:
    """The exchange called ``name``, at its own urls or at those given.

    Raises :class:`~depthcast.errors.SettingsError` for a name that is not known and for urls that are none.
    """
    known = EXCHANGES.get(name)
    if known is None:
        raise SettingsError(
            f"no exchange is called {name!r:.60} here",
            hint=f"known are {', '.join(EXCHANGES)}; an engine that speaks like one is named by its urls",
        )
    venue = known.make(rest_url or known.rest_url, ws_url or known.ws_url)
    return Exchange(name, venue, known.unknown_symbol)
