"""Which symbols patterns mean, of those that a venue lists. Pure."""

from collections.abc import Iterable
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Final

from depthcast.errors import SettingsError
from depthcast.file_info import TRADING
from depthcast.scheme import valid_symbol
from depthcast.venues import ExchangeInfo

_ASCII_UPPER: Final = {lower: lower - 32 for lower in range(ord("a"), ord("z") + 1)}


def select_symbols(patterns: Iterable[str], info: ExchangeInfo) -> list[str]:
    """The symbols that ``patterns`` mean: names, globs (``*USDT``) or ``all``; in any case, each symbol once.

    Names come in the order given, a glob's matches in alphabetical order. A glob and ``all`` select only
    what is TRADING; a name is taken in any status, for whoever names a halted symbol wants its book. What is
    not spelled like a symbol (:func:`depthcast.scheme.valid_symbol`) has no key, and no glob selects it.
    Raises :class:`~depthcast.errors.SettingsError` for a name that is not listed (with those that look like
    it) or has no key, for a glob without a match and where nothing is selected.

    >>> from depthcast.venues import SymbolInfo
    >>> names = ("ETHBTC", "BNBBTC")
    >>> info = ExchangeInfo({s: SymbolInfo(s, "TRADING", s[:3], s[3:], 8, 8) for s in names}, 6000)
    >>> select_symbols(["ethbtc", "*BTC"], info)
    ['ETHBTC', 'BNBBTC']
    """
    selected: dict[str, None] = {}
    for given in patterns:
        pattern = given.strip().translate(_ASCII_UPPER)
        if pattern in info.symbols:
            if not valid_symbol(pattern):
                raise SettingsError(
                    f"{given!r:.80} is listed, and not spelled like a symbol",
                    hint="it cannot be published: leave it out",
                )
            selected[pattern] = None
        elif pattern == "ALL" or any(mark in pattern for mark in "*?["):
            glob = "*" if pattern == "ALL" else pattern
            matches = sorted(
                name
                for name, listed in info.symbols.items()
                if listed.status == TRADING and fnmatchcase(name, glob) and valid_symbol(name)
            )
            if not matches:
                raise SettingsError(
                    f"no symbol that is {TRADING} matches {given!r:.80}",
                    hint="name symbols as the exchange spells them: ETHUSDT, *USDT or all",
                )
            selected.update(dict.fromkeys(matches))
        else:
            close = get_close_matches(pattern, info.symbols, n=3, cutoff=0.6)
            raise SettingsError(
                f"the exchange lists no symbol {given!r:.80}",
                hint=f"did you mean {' or '.join(close)}?"
                if close
                else "see the exchange's list for the names",
            )
    if not selected:
        raise SettingsError("no symbols are selected", hint="name some: ETHUSDT, *USDT or all")
    return list(selected)
