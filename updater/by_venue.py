"""Settings of a process that serves several venues: what each of its replicas is set to. Pure.

``venue`` names them all. In any other setting that is a venue's, a part may begin with a venue's name and a
colon: it is that venue's alone. What has no name before it is for the venues that have nothing of their own::

    --venue binance,binanceusdm --symbols BTCUSDT,ETHUSDT               both have both
    --venue binance,binanceusdm --symbols BTCUSDT,binanceusdm:ETHUSDT   one each
"""

from collections.abc import Mapping, Sequence
from typing import Final

from depthcast.errors import SettingsError
from depthcast.venues.registry import VENUES

OF_PROCESS: Final = frozenset(
    {
        "config",
        "create_bucket",
        "exchange",
        "leave_within_s",
        "listen",
        "log_format",
        "log_level",
        "replica",
        "store_url",
        "writes_at_once",
    }
)
"""The settings that all venues of a process have in common."""

OF_ONE: Final = ("rest_url", "ws_url", "api_url", "account", "account_key_file", "venue_key_file")
"""Those that mean nothing without a venue, where there are several."""


def by_venue(given: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """What is given for each venue, by the names of settings, in the order in which venues are named.

    Values are as a command line, an environment or a TOML file has them. Raises
    :class:`~depthcast.errors.SettingsError`.

    >>> found = by_venue({"venue": "binance,binanceusdm", "symbols": "BTCUSDT,binanceusdm:ETHUSDT"})
    >>> [settings["symbols"] for settings in found.values()]
    ['BTCUSDT', 'ETHUSDT']
    """
    venues = [str(part) for part in _parts(given.get("venue", "binance"))]
    if not venues:
        raise SettingsError("venue names none", hint=f"known are {', '.join(VENUES)}")
    if len(set(venues)) < len(venues):
        raise SettingsError("venue names one twice", hint="name each once, with commas between")
    found: dict[str, dict[str, object]] = {venue: {"venue": venue} for venue in venues}
    for name, value in given.items():
        if name == "venue":
            continue
        general, own = ([value], {}) if name in OF_PROCESS else _owned(value)
        for venue in own:
            if venue not in found:
                raise SettingsError(
                    f"{name} has something for {venue}, which is not among the venues",
                    hint=f"they are {', '.join(venues)}; name it in venue, too",
                )
        if len(venues) > 1 and general and name in OF_ONE:
            raise SettingsError(
                f"{name} is one venue's, and there are several", hint=f"write {venues[0]}:…, for instance"
            )
        for venue, settings in found.items():
            if not own:
                settings[name] = value
            elif parts := own.get(venue, general):
                settings[name] = ",".join(map(str, parts)) if isinstance(value, str) else parts
            elif name == "symbols":
                raise SettingsError(
                    f"symbols names none for {venue}", hint=f"write {venue}:SYMBOL, or one without a venue"
                )
    return found


def _parts(value: object) -> list[object]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return list(value) if isinstance(value, Sequence) else [value]


def _owned(value: object) -> tuple[list[object], dict[str, list[object]]]:
    """The parts that are nobody's in particular, and those of each venue."""
    general: list[object] = []
    own: dict[str, list[object]] = {}
    for part in _parts(value):
        venue, colon, rest = part.partition(":") if isinstance(part, str) else ("", "", "")
        if colon and venue in VENUES:
            own.setdefault(venue, []).append(rest)
        else:
            general.append(part)
    return general, own
