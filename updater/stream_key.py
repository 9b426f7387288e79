"""The key of an account that an exchange's stream wants: from a file, or from the environment."""

from collections.abc import Mapping

from depthcast.errors import SettingsError
from depthcast.venues.keeping import StreamKey
from depthcast.venues.registry import VENUES
from updater.settings import UpdaterSettings


def read_stream_key(settings: UpdaterSettings, environment: Mapping[str, str]) -> StreamKey | None:
    """The key; ``None`` where the stream wants none.

    Raises :class:`~depthcast.errors.SettingsError`, which shows nothing of what it read.
    """
    keys, file = VENUES[settings.venue].keys, settings.venue_key_file
    if settings.by_price:
        return None
    if keys is None:
        if file is not None:
            raise SettingsError(
                f"the stream of {settings.venue} wants no key", hint="leave venue_key_file out"
            )
        return None
    if file is None:
        key = keys.of_environment(environment)
        if key is None:
            raise SettingsError(
                f"the stream of {settings.venue} wants an account's key",
                hint="name a file of it with --venue-key-file, or keep books by price, which need none: "
                "--by-price",
            )
        return key
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise SettingsError(f"cannot read venue_key_file {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"venue_key_file {file} is not text") from None
    return keys.parse(text)
