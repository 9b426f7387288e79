"""Each venue's list: what it is called, what counts of it, as recorded of the exchanges in 2021."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from depthcast.files import SCHEMES
from depthcast.metadata.changes import changes
from depthcast.metadata.kinds import exchange_info, public
from depthcast.metadata.record import digest_of
from depthcast.symbol_list import SymbolList
from depthcast.venues import bitmex_lists
from depthcast.venues.lists import LISTS, list_of
from depthcast.venues.registry import VENUES

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
CAPTURED = {
    "bitmex": "bitmex/cf_20210417_instruments.txt.gz",
    "coinbaseexchange": "coinbase_exchange/cf_20210417_products.txt.gz",
}
captured_only = pytest.mark.skipif(not DATA.is_dir(), reason=f"no captured exchange data in {DATA}")


def captured(venue: str) -> bytes:
    with gzip.open(DATA / CAPTURED[venue], "rt", encoding="utf-8", newline="\n") as lines:
        [body] = [found[1] for line in lines if (found := re.match(r"http\S+ -> [0-9.]+: (\[.*)\n", line))]
    return body.encode()


def test_every_venue_has_a_list_and_no_two_share_a_key() -> None:
    assert VENUES.keys() <= LISTS.keys() == SCHEMES.keys()
    kinds = [kind for scheme in SCHEMES.values() for kind in public(scheme)]
    for keys in ({kind.key for kind in kinds}, {kind.head_key for kind in kinds}):
        assert len(keys) == len(kinds)
    for name, each in VENUES.items():
        venue = each.make(each.rest_url, each.ws_url, each.scheme)
        paths = [path.partition("?")[0] for path in venue.exchange_info_paths]
        assert set(paths) == {list_of(name).path}
        assert exchange_info(each.scheme).path == list_of(name).path
        # Where the list does not tell the time, something else does.
        assert (list_of(name).clock is None) == list_of(name).layout.timed


@pytest.mark.captures
@captured_only
@pytest.mark.parametrize("venue", CAPTURED)
def test_what_an_exchange_answered_is_kept_but_for_what_moves(venue: str) -> None:
    body, told = captured(venue), list_of(venue)
    kept = told.layout.kept(body)
    plain, expected = json.loads(kept), json.loads(body)
    for each in expected:
        for name in told.layout.volatile:
            each.pop(name, None)
    assert plain == expected
    assert told.layout.kept(kept) == kept
    divided = SymbolList.of(kept, told.layout).divide()
    assert [json.loads(entry.body) for entry in divided.entries] == plain
    assert [entry.symbol for entry in divided.entries] == [each[told.layout.name] for each in plain]
    if not told.layout.volatile:
        assert digest_of(kept) == digest_of(body)


@pytest.mark.captures
@captured_only
def test_a_market_that_moves_is_no_news_and_a_rule_that_changes_is() -> None:
    before = json.loads(captured("bitmex"))
    names = {name for each in before for name in each}
    rules = {"state", "typ", "tickSize", "lotSize", "maxOrderQty", "expiry", "settle", "settlCurrency"}
    rules |= {"multiplier", "makerFee", "takerFee", "initMargin", "maintMargin", "riskLimit", "isQuanto"}
    assert rules <= names - bitmex_lists.VOLATILE
    told = list_of("bitmex")

    def news(after: list[dict[str, Any]]) -> list[str]:
        lists = [json.loads(told.layout.kept(json.dumps(each).encode())) for each in (before, after)]
        return [change.path for change in changes({"symbols": lists[0]}, {"symbols": lists[1]})]

    moved = [
        {name: value if name not in bitmex_lists.VOLATILE else 5 for name, value in each.items()}
        for each in before
    ]
    assert news(moved[::-1]) == []
    some = before[3]["symbol"]
    for name in sorted(names - bitmex_lists.VOLATILE - {"symbol"}):
        changed = [{**each, name: "another"} if each["symbol"] == some else each for each in moved]
        assert news(changed) == [f"symbols/{some}/{name}"]


@pytest.mark.captures
@captured_only
@pytest.mark.parametrize("venue", CAPTURED)
def test_entries_are_shown_with_their_sizes(venue: str) -> None:
    told = list_of(venue)
    members = exchange_info(SCHEMES[venue]).members(captured(venue))
    rows = [told.row(each) for each in members["symbols"]]
    assert len({row.symbol for row in rows}) == len(rows)
    assert {row.status for row in rows} <= {"Open", "online", "delisted", "offline"}
    assert all(row.tick and row.step for row in rows)
