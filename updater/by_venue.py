"""Settings of a process that serves several venues: what each of its replicas is set to. Pure.

``venue`` names them all. In any other setting that is a venue's, a part may begin with a venue's name and a
colon: it is that venue's alone. What has no name before it is for the venues that have nothing of their own
(:mod:`depthcast.venues.prefixes`)::

    --venue binance,binanceusdm --symbols BTCUSDT,ETHUSDT               both have both
    --venue binance,binanceusdm --symbols BTCUSDT,binanceusdm:ETHUSDT   one each

What only some venues have use for, such as the key of an account, goes to those. An environment and a file
are shared by processes, so what they hold for other venues than this process's is passed over.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from depthcast.errors import SettingsError
from depthcast.venues.prefixes import Parts
from depthcast.venues.registry import VENUES, Known

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
"""Those that mean nothing without a venue, where there are several that have use for them."""


def _has_accounts(known: Known) -> bool:
    return known.accounts


USES: Final[Mapping[str, Callable[[Known], bool]]] = {
    "account": _has_accounts,
    "account_key_file": _has_accounts,
    "api_url": _has_accounts,
    "by_price": lambda known: known.by_price is not None,
    "commission_symbols": _has_accounts,
    "venue_key_file": lambda known: known.keys is not None,
}
"""Which venues have use for a setting, where it is not all of them."""


def by_venue(given: Mapping[str, object], shared: Collection[str] = ()) -> dict[str, dict[str, object]]:
    """What is given for each venue, by the names of settings, in the order in which venues are named.

    Values are as a command line, an environment or a TOML file has them; ``shared`` names those that other
    processes read, too. Raises :class:`~depthcast.errors.SettingsError`.

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
        users, parts = venues, Parts.of([] if name in OF_PROCESS else _parts(value))
        prefixed = bool(parts.own)
        if name in USES and (len(venues) > 1 or name in shared):
            users = _users(name, venues)
            if name in shared:
                parts = Parts(
                    parts.general, {venue: parts.own[venue] for venue in users if venue in parts.own}
                )
            elif not users and value:
                raise SettingsError(f"{name} is of no use to {' and '.join(venues)}", hint="leave it out")
            if not users:
                continue
        parts.check(name, users)
        if len(users) > 1 and parts.general and name in OF_ONE:
            raise SettingsError(
                f"{name} is one venue's, and there are several", hint=f"write {users[0]}:…, for instance"
            )
        for venue in users:
            own = parts.for_venue(venue)
            if not prefixed:
                found[venue][name] = value
            elif own:
                found[venue][name] = ",".join(map(str, own)) if isinstance(value, str) else own
            elif name == "symbols":
                raise SettingsError(
                    f"symbols names none for {venue}", hint=f"write {venue}:SYMBOL, or one without a venue"
                )
    return found


def _users(name: str, venues: Sequence[str]) -> list[str]:
    """Who has use for a setting. A venue that is not known is refused later, by its name."""
    return [venue for venue in venues if venue not in VENUES or USES[name](VENUES[venue])]


def _parts(value: object) -> list[object]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return list(value) if isinstance(value, Sequence) else [value]
