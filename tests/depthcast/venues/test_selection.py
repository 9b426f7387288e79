"""Names, globs and ``all``, of the symbols that a venue lists."""

import pytest

from depthcast.errors import SettingsError
from depthcast.venues import ExchangeInfo, SymbolInfo
from depthcast.venues.selection import select_symbols


def listed(**statuses: str) -> ExchangeInfo:
    return ExchangeInfo(
        {name: SymbolInfo(name, status, name[:3], name[3:], 8, 8) for name, status in statuses.items()}, 6000
    )


INFO = listed(ETHUSDT="TRADING", BTCUSDT="TRADING", LUNAUSDT="BREAK", ETHBTC="TRADING")


def test_names_globs_and_all_select_each_symbol_once() -> None:
    assert select_symbols(["ethusdt", "*USDT"], INFO) == ["ETHUSDT", "BTCUSDT"]
    assert select_symbols(["ALL"], INFO) == ["BTCUSDT", "ETHBTC", "ETHUSDT"]
    assert select_symbols(["all"], INFO) == ["BTCUSDT", "ETHBTC", "ETHUSDT"]
    assert select_symbols([" ETH??? "], INFO) == ["ETHBTC"]


def test_a_symbol_that_is_not_trading_is_taken_only_by_name() -> None:
    assert select_symbols(["LUNAUSDT"], INFO) == ["LUNAUSDT"]
    with pytest.raises(SettingsError, match="matches 'LUNA"):
        select_symbols(["LUNA*"], INFO)


def test_an_unknown_symbol_is_refused_with_those_that_look_like_it() -> None:
    with pytest.raises(SettingsError, match="'ETHUSD'; did you mean ETHUSDT"):
        select_symbols(["BTCUSDT", "ETHUSD"], INFO)
    with pytest.raises(SettingsError, match="'nothing'; see the exchange's list for the names"):
        select_symbols(["nothing"], INFO)


@pytest.mark.parametrize("name", ["A/B", "A&B", "ETHUSDt", "", "X" * 51, "A B"])
def test_what_has_no_key_is_passed_over_by_globs_and_refused_by_name(name: str) -> None:
    info = listed(ETHUSDT="TRADING", **{name: "TRADING"})
    assert select_symbols(["all"], info) == ["ETHUSDT"]
    assert select_symbols(["*"], info) == ["ETHUSDT"]
    with pytest.raises(SettingsError):
        select_symbols([name], listed(**{name: "TRADING"}))


def test_selecting_nothing_is_refused() -> None:
    with pytest.raises(SettingsError, match="no symbols"):
        select_symbols([], INFO)
