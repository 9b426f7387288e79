"""The exchanges whose books can be kept, by name, where they are reached, and the keys that they want."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from depthcast.errors import Refused, SettingsError
from depthcast.venues import Venue
from depthcast.venues.keeping import Keeping, StreamKey
from depthcast.venues.registry import VENUES, venue_named


class Exchange(NamedTuple):
    """An exchange as books need it: how it speaks, how its books are kept, and which of its errors deny that
    there is a symbol."""

    name: str
    venue: Venue
    keeping: Keeping = Keeping()

    def could_list(self, symbol: str) -> bool:
        """Whether a symbol could be spelled so: no exchange's has small letters of a to z.

        Streams are named in small letters, so one symbol in two spellings would share a stream.
        """
        return not any("a" <= letter <= "z" for letter in symbol)

    def lacks_symbol(self, error: Exception) -> bool:
        """Whether ``error`` says that the symbol asked for is not listed."""
        return isinstance(error, Refused) and error.code in self.venue.unknown_symbol


def exchange(
    name: str,
    *,
    rest_url: str | None = None,
    ws_url: str | None = None,
    key: StreamKey | str | Path | None = None,
    wall_ms: Callable[[], int] = lambda: 0,
    by_price: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> Exchange:
    """The exchange called ``name`` (:data:`depthcast.venues.registry.VENUES`), at its own urls or others.

    Where its stream wants a key of an account, that is ``key``, in the file of that name or itself, or
    the ``environment``'s; ``wall_ms`` dates what it signs. Raises :class:`~depthcast.errors.SettingsError`
    for a name that is not known, for urls that are none, and for a key that is missing, is none or is not
    wanted; it shows nothing of it. ``by_price``: of an exchange that tells of every order to who has a key,
    the books that it tells everybody.
    """
    known = VENUES.get(name)
    found = None
    if known is not None:
        if by_price and known.by_price is None:
            raise SettingsError(f"{name} has no other books by price", hint="leave by_price out")
        found = stream_key(name, None if by_price else known.keys, key, environment)
    venue = venue_named(name, rest_url=rest_url, ws_url=ws_url, key=found, wall_ms=wall_ms, by_price=by_price)
    keeping = VENUES[name].keeping
    without_key = VENUES[name].by_price
    return Exchange(name, venue, without_key.keeping if by_price and without_key else keeping)


def stream_key(
    name: str,
    keys: type[StreamKey] | None,
    key: StreamKey | str | Path | None,
    environment: Mapping[str, str],
) -> StreamKey | None:
    """The key of an account that the stream of the exchange ``name`` wants; ``None`` where it wants none."""
    if keys is None:
        if key is not None:
            raise SettingsError(f"the stream of {name} wants no key", hint="leave the key out")
        return None
    if key is None:
        found = keys.of_environment(environment)
        if found is None:
            raise SettingsError(
                f"the stream of {name} wants an account's key",
                hint="give one, or the name of its file; or keep books by_price, without one",
            )
        return found
    if not isinstance(key, str | Path):
        return key
    try:
        return keys.parse(Path(key).read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read the key file {str(key)!r:.200}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"the key file {str(key)!r:.200} is not text") from None
