"""Which exchange: Binance where it answers, the simulator where it was asked for or has to take its place."""

from dataclasses import dataclass
from typing import Final

from depthcast.cli.up.settings import SYMBOLS, UpSettings
from depthcast.errors import RateLimited, SettingsError, VenueError, VenueUnavailable
from depthcast.rest import Rest
from depthcast.venues import ExchangeInfo
from depthcast.venues.binance import Binance, select_symbols

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


async def reach(url: str, timeout_s: float) -> str:
    """Why Binance's REST interface at ``url`` cannot be reached; empty where it can.

    An exchange that asks for silence is there, so it is not replaced: the updaters wait as long as it says.
    """
    async with _rest(url, timeout_s) as rest:
        try:
            await rest.ping()
        except RateLimited:
            return ""
        except VenueError as error:
            return str(error)
    return ""


async def choose_symbols(rest_url: str, ws_url: str, wanted: tuple[str, ...]) -> Chosen:
    """The symbols that ``wanted`` means on this exchange; where it is empty, a few lively ones.

    Raises :class:`~depthcast.errors.SettingsError` for a symbol that is not listed, and
    :class:`~depthcast.errors.VenueError` where something else than an exchange answers. An exchange that just
    now has no time to say what it lists is believed to list what is wanted: the updaters will ask again.
    """
    async with _rest(rest_url, _LISTING_TIMEOUT_S) as rest:
        try:
            info = await rest.exchange_info()
        except (VenueUnavailable, RateLimited):
            symbols = wanted or SYMBOLS
            return Chosen(rest_url, ws_url, symbols, len(symbols))
    symbols = wanted or _lively(info)
    return Chosen(rest_url, ws_url, symbols, len(select_symbols(symbols, info)))


def simulated_symbols(settings: UpSettings, *, instead: bool) -> tuple[str, tuple[str, ...]]:
    """What the simulator lists (its ``--symbols``), and which of that is kept.

    Symbols that were named are listed by those names. Patterns select among the simulator's own; where it
    stands in for Binance (``instead``) they may fit nothing there, and all are kept.
    """
    names = tuple(name.strip().upper() for name in settings.symbols)
    if names and not any(name == "ALL" or set("*?[") & set(name) for name in names):
        return ",".join(names), names
    return settings.simulator_symbols, ("all",) if instead or not names else settings.symbols


def _lively(info: ExchangeInfo) -> tuple[str, ...]:
    known = tuple(symbol for symbol in SYMBOLS if symbol in info.symbols)
    if known:
        return known
    if not info.symbols:
        raise SettingsError("the exchange lists no symbols", hint="check --rest-url")
    return tuple(select_symbols(["all"], info)[:_FEW])


def _rest(url: str, timeout_s: float) -> Rest:
    return Rest(
        Binance(rest_url=url),
        attempts=1,
        connect_timeout_s=timeout_s,
        answer_timeout_s=timeout_s,
        max_silence_wait_s=0.0,
    )
