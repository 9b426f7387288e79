"""Which keys the kinds have, and what is a document of one."""

import pytest

from depthcast.errors import BadKey, MalformedAnswer
from depthcast.files import BINANCE
from depthcast.metadata import kinds
from depthcast.metadata.kinds import EXCHANGE_INFO, PUBLIC, account, commission
from tests.depthcast.metadata.documents import listing, symbol


def test_heads_and_current_files_are_not_where_history_expires() -> None:
    for kind in (*PUBLIC, account("a"), commission("a", "ETHUSDT")):
        for folder in (kind.changes_folder, kind.wide_folder, kind.symbol_folder("ETHUSDT")):
            assert folder.removeprefix("private/").startswith("history/")
        for key in (kind.key, kind.head_key):
            assert not key.removeprefix("private/").startswith("history/")
        every = {kind.key, kind.head_key, kind.changes_folder, kind.wide_folder, kind.symbol_folder("X")}
        assert len(every) == 5
        assert {key.startswith("private/") for key in every} == {kind.private}
    assert EXCHANGE_INFO.key.startswith(BINANCE.public_prefixes)


def test_no_two_kinds_share_a_key() -> None:
    some = [*PUBLIC, *(make for name in ("a", "b") for make in (account(name), commission(name, "X")))]
    assert len({kind.head_key for kind in some}) == len({kind.key for kind in some}) == len(some)


@pytest.mark.parametrize("name", ["", "history", "metadata", "a/b", "..", "a b", "x" * 51, "ä"])
def test_an_account_that_no_key_could_hold_is_refused(name: str) -> None:
    with pytest.raises(BadKey):
        account(name)
    with pytest.raises(BadKey):
        commission("a", "a/b")


def test_two_documents_that_differ_in_their_time_alone_have_one_fingerprint() -> None:
    one, two = (EXCHANGE_INFO.read(listing(time, symbol("A"))) for time in (5, 1_800_000_000_000))
    assert (one.server_time_ms, two.server_time_ms) == (5, 1_800_000_000_000)
    assert one.fingerprint == two.fingerprint
    assert one.fingerprint != EXCHANGE_INFO.read(listing(5, symbol("A", "HALT"))).fingerprint


def test_a_document_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "MAX_DOCUMENT_BYTES", 100)
    with pytest.raises(MalformedAnswer, match="more than 100 bytes"):
        EXCHANGE_INFO.read(listing(5, symbol("A")))
