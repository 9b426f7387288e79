"""``docs/compatibility.md``, ``docs/server-metrics.md`` and the code say the same."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from depthcast.store import StoredObject
from depthcast.venues import binance_lists, binance_rest
from depthcast.venues.requests import ApiError
from server.answers import Answer, Asked
from server.edition import Edition
from server.freshness import Currency, State
from server.reads import ReadOutcome
from server.service import Service
from server.settings import ServerSettings

if TYPE_CHECKING:
    from tests.server.conftest import WatchedStore


DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def page() -> str:
    return (DOCS / "compatibility.md").read_text("utf-8")


def test_every_header_of_a_book_is_documented_and_no_other(page: str, store: "WatchedStore") -> None:
    key = "api/v3/depth?symbol=ETHUSDT&limit=5"
    edition = Edition.of(key, StoredObject(store.body(1, 5), '"x"', store.metadata()))
    answer = edition.answer(5, Asked(), Currency(State.STALE, 1_723_161_253_000, 7))
    assert isinstance(answer, Answer)
    sent = {name.decode() for name, _ in answer.headers}
    table = page.split("## Headers of a book")[1]
    documented = {name.lower() for name in re.findall(r"^\| `([A-Za-z-]+)` \|", table, re.MULTILINE)}
    assert documented == sent - {"content-length"} | {"content-encoding"}


def test_every_error_of_the_scheme_is_documented_in_its_words(page: str) -> None:
    named = vars(binance_rest) | vars(binance_lists)
    constants = [value for value in named.values() if isinstance(value, ApiError)]
    assert len(constants) >= 14
    for error in constants:
        assert error.msg in page
        assert str(error.code).replace("-", "−") in page


@pytest.mark.parametrize("name", ["depth", "ticker/bookTicker", "exchangeInfo", "ping", "time"])
def test_every_endpoint_is_documented(page: str, name: str) -> None:
    assert f"| `/api/v3/{name}` |" in page


def test_every_metric_is_documented_and_no_other(store: "WatchedStore") -> None:
    page = (DOCS / "server-metrics.md").read_text("utf-8")
    documented = dict(re.findall(r"^\| `(depthcast_[a-z_]+)` \| (\w+) \|", page, re.MULTILINE))
    families = Service(ServerSettings(), store).metrics.registry.collect()
    built = {f"{each.name}{'_total' * (each.type == 'counter')}": each.type for each in families}
    assert documented == built
    for outcome in ReadOutcome:
        assert f"`{outcome.value}`" in page
