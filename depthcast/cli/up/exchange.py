"""Which exchange: the venue where it answers, the simulator where that is asked for or takes its place."""

from dataclasses import dataclass
from typing import Final

from depthcast.cli.up.settings import UpSettings
from depthcast.errors import RateLimited, SettingsError, VenueError, VenueUnavailable
from depthcast.files import BINANCE
from depthcast.rest import Rest
from depthcast.venues import ExchangeInfo
from depthcast.venues.registry import VENUES, venue_named
from depthcast.venues.selection import select_symbols

_LISTING_TIMEOUT_S: Final = 30.0
_FEW: Final = 8


@dataclass(frozen=True, slots=True)
class Chosen:
    """An exchange that answers, and the symbols to keep of it."""

    rest_url: str
    ws_url: str
    symbols: tuple[str, ...]
    count: int
    """How many symbols that means today; patterns may mean more tomorrow."""
    venue: str = BINANCE.venue


async def reach(url: str, timeout_s: float, venue: str = BINANCE.venue) -> str:
    """Why the venue's REST interface at ``url`` cannot be reached; empty where it can.

    An exchange that asks for silence is there, so it is not replaced: the updaters wait as long as it says.
    """
    async with _rest(venue, url, timeout_s) as rest:
        try:
            await rest.ping()
        except RateLimited:
            return ""
        except VenueError as error:
            return str(error)
    return ""


async def choose_symbols(
    rest_url: str, ws_url: str, wanted: tuple[str, ...], venue: str = BINANCE.venue
) -> Chosen:
    """The symbols that ``wanted`` means on this exchange; where it is empty, a few lively ones.

    Raises :class:`~depthcast.errors.SettingsError` for a symbol that is not listed, and
    :class:`~depthcast.errors.VenueError` where something else than an exchange answers. An exchange that just
    now has no time to say what it lists is believed to list what is wanted: the updaters will ask again.
    """
    async with _rest(venue, rest_url, _LISTING_TIMEOUT_S) as rest:
        try:
            info = await rest.exchange_info()
        except (VenueUnavailable, RateLimited):
            symbols = wanted or VENUES[venue].lively
            return Chosen(rest_url, ws_url, symbols, len(symbols), venue)
    symbols = wanted or _lively(info, VENUES[venue].lively)
    return Chosen(rest_url, ws_url, symbols, len(select_symbols(symbols, info)), venue)


def simulated_symbols(
    settings: UpSettings, *, instead: bool, venue: str = BINANCE.venue
) -> tuple[str, tuple[str, ...]]:
    """What the venue's simulator lists (its ``--symbols``), and which of that is kept.

    Symbols that were named are listed by those names. Patterns select among the simulator's own; where it
    stands in for the exchange (``instead``) they may fit nothing there, and all are kept.
    """
    wanted = settings.symbols_of(venue)
    names = tuple(name.strip().upper() for name in wanted)
    if names and not any(name == "ALL" or set("*?[") & set(name) for name in names):
        return ",".join(names), names
    return settings.simulator_symbols, ("all",) if instead or not names else wanted


def _lively(info: ExchangeInfo, lively: tuple[str, ...]) -> tuple[str, ...]:
    known = tuple(symbol for symbol in lively if symbol in info.symbols)
    if known:
        return known
    if not info.symbols:
        raise SettingsError("the exchange lists no symbols", hint="check --rest-url")
    return tuple(select_symbols(["all"], info)[:_FEW])


def _rest(venue: str, url: str, timeout_s: float) -> Rest:
    return Rest(
        venue_named(venue, rest_url=url),
        attempts=1,
        connect_timeout_s=timeout_s,
        answer_timeout_s=timeout_s,
        max_silence_wait_s=0.0,
    )
