"""The contract: keys and requests both ways, cutting bodies, versions, metadata."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthcast.errors import BadFile, BadKey
from depthcast.files import (
    BINANCE,
    BINANCE_US,
    BINANCE_USDM,
    BOOK_PREFIXES,
    COINBASE,
    FUTURES_LIMITS,
    LIMITS,
    MAX_LIMIT,
    MAX_NUMBER,
    PEEK_BYTES,
    SCHEMES,
    FileInfo,
    Scheme,
    Version,
    check_body,
    check_file,
    covering_limit,
    cut,
    depth_key,
    heartbeat_key,
    parse_heartbeat_key,
    parse_key,
    scheme_of,
    update_id_of,
    valid_symbol,
    version_of,
)
from depthcast.venues.bitmex_files import BITMEX

Side = list[tuple[str, str]]

symbols = st.text(alphabet=st.sampled_from("ABCXYZ0189-._币安Ä"), min_size=1, max_size=50)
limits = st.integers(min_value=1, max_value=MAX_LIMIT)
levels = st.integers(0, 10**12).map(lambda n: (f"{n // 100}.{n % 100:08}", f"{n}.5"))
sides = st.lists(levels, max_size=40)


def body_of(update_id: int, bids: Side, asks: Side) -> bytes:
    """A file written the plain way, to compare with."""
    return json.dumps({"lastUpdateId": update_id, "bids": bids, "asks": asks}, separators=(",", ":")).encode()


def info(**changes: object) -> FileInfo:
    fields = {
        "epoch": 3,
        "bids": 4870,
        "asks": 113,
        "bids_complete": False,
        "asks_complete": True,
        "event_time_ms": 1_723_161_253_000,
        "publish_time_ms": 1_723_161_253_021,
        "replica": "host-1",
    }
    return FileInfo(**(fields | changes))  # type: ignore[arg-type]


class TestHeartbeatKeys:
    @given(st.from_regex(r"[A-Za-z0-9._-]{1,100}", fullmatch=True))
    def test_a_key_parses_back_to_its_replica(self, replica: str) -> None:
        assert parse_heartbeat_key(heartbeat_key(replica)) == replica

    @given(st.text(max_size=30) | st.from_regex(r"fleet/.{0,8}\.json", fullmatch=True))
    def test_whatever_parses_is_spelled_canonically(self, text: str) -> None:
        try:
            replica = parse_heartbeat_key(text)
        except BadKey:
            return
        assert heartbeat_key(replica) == text

    @pytest.mark.parametrize("replica", ["", "a/b", "a b", "é", "a\n", "x" * 101, "a?b", "%41"])
    def test_a_name_that_is_no_part_of_a_key_is_refused(self, replica: str) -> None:
        with pytest.raises(BadKey, match="a replica's name is"):
            heartbeat_key(replica)

    @pytest.mark.parametrize("key", ["fleet/a", "fleet/.json/", "a.json", "fleet/a/b.json", "fleet/a.json\n"])
    def test_other_keys_are_refused(self, key: str) -> None:
        with pytest.raises(BadKey, match="fleet/REPLICA"):
            parse_heartbeat_key(key)

    @given(symbols, limits)
    def test_no_file_is_taken_for_a_heartbeat(self, symbol: str, limit: int) -> None:
        with pytest.raises(BadKey):
            parse_heartbeat_key(depth_key(symbol, limit))


class TestKeys:
    @given(symbols, limits)
    def test_a_key_parses_back_to_its_request(self, symbol: str, limit: int) -> None:
        assert parse_key(depth_key(symbol, limit)) == (symbol, limit)

    @given(st.text(max_size=60) | st.from_regex(r"api/v3/depth\?symbol=.{0,5}&limit=.{0,5}", fullmatch=True))
    def test_whatever_parses_is_spelled_canonically(self, text: str) -> None:
        try:
            symbol, limit = parse_key(text)
        except BadKey:
            return
        assert depth_key(symbol, limit) == text

    @pytest.mark.parametrize(
        "symbol", ["", "ethusdt", "ETH/USDT", "ETH USDT", "ETH&", "ETH=", "A" * 51, "A\n"]
    )
    def test_a_misspelled_symbol_has_no_key(self, symbol: str) -> None:
        assert not valid_symbol(symbol)
        with pytest.raises(BadKey, match="misspelled"):
            depth_key(symbol, 5)

    @pytest.mark.parametrize("limit", [-1, 0, 5001])
    def test_a_limit_outside_the_range_has_no_key(self, limit: int) -> None:
        with pytest.raises(BadKey, match="limit"):
            depth_key("ETHUSDT", limit)

    @pytest.mark.parametrize(
        "key",
        [
            "",
            "api/v3/depth",
            "/api/v3/depth?symbol=ETHUSDT&limit=5",
            "api/v3/depth?limit=5&symbol=ETHUSDT",
            "api/v3/depth?symbol=ETHUSDT&limit=05",
            "api/v3/depth?symbol=ETHUSDT&limit=0",
            "api/v3/depth?symbol=ETHUSDT&limit=5001",
            "api/v3/depth?symbol=ETHUSDT&limit=50000",
            "api/v3/depth?symbol=ETHUSDT&limit=5 ",
            "api/v3/depth?symbol=ETHUSDT&limit=5\n",
            "api/v3/depth?symbol=ethusdt&limit=5",
            "api/v3/depth?symbol=&limit=5",
            "api/v3/depth?symbol=A&limit=5&limit=5",
            "api/v3/depth?symbol=ETHUSDT&limit=٥",
        ],
    )
    def test_only_the_canonical_spelling_is_a_key(self, key: str) -> None:
        with pytest.raises(BadKey):
            parse_key(key)


class TestCoveringLimit:
    @given(limits)
    def test_it_is_the_smallest_published_one_that_suffices(self, limit: int) -> None:
        assert covering_limit(limit, LIMITS) == min(published for published in LIMITS if published >= limit)

    def test_none_suffices_above_the_largest_or_where_nothing_is_published(self) -> None:
        assert covering_limit(101, (5, 100)) is None
        assert covering_limit(1, ()) is None


class TestCut:
    @given(st.integers(0, 10**18), sides, sides, st.integers(1, 45))
    def test_a_cut_file_is_the_file_written_with_fewer_levels(
        self, update_id: int, bids: Side, asks: Side, limit: int
    ) -> None:
        whole = body_of(update_id, bids, asks)
        assert cut(whole, limit) == body_of(update_id, bids[:limit], asks[:limit])

    @given(st.integers(1, 30), st.integers(0, 30), st.integers(1, 80))
    def test_levels_longer_than_the_first_look_are_found_all_the_same(
        self, limit: int, levels: int, digits: int
    ) -> None:
        side = [("1" * digits, "2" * digits)] * levels
        assert cut(body_of(1, side, side), limit) == body_of(1, side[:limit], side[:limit])

    @given(sides, sides, st.integers(1, 45), st.integers(1, 45))
    def test_cutting_twice_is_cutting_to_the_smaller(
        self, bids: Side, asks: Side, one: int, two: int
    ) -> None:
        whole = body_of(1, bids, asks)
        assert cut(cut(whole, one), two) == cut(whole, min(one, two))

    def test_nothing_to_cut_gives_the_very_same_bytes(self) -> None:
        whole = body_of(1, [("3", "1")] * 5, [])
        assert cut(whole, 5) is whole

    @pytest.mark.parametrize(
        "body",
        [b"", b"{}", b'{"lastUpdateId":1,"bids":[', body_of(1, [("1", "1")], [])[:-1]],
        ids=["empty", "foreign", "begun", "truncated"],
    )
    def test_what_is_no_file_is_not_cut(self, body: bytes) -> None:
        with pytest.raises(BadFile):
            cut(body, 5)


class TestCheckBody:
    @given(st.integers(0, 10**18), sides, sides)
    def test_a_whole_file_passes(self, update_id: int, bids: Side, asks: Side) -> None:
        check_body("k", body_of(update_id, bids, asks))

    @given(st.data())
    def test_a_truncated_file_does_not(self, data: st.DataObject) -> None:
        whole = body_of(1, data.draw(sides), data.draw(sides))
        with pytest.raises(BadFile):
            check_body("k", whole[: data.draw(st.integers(0, len(whole) - 1))])

    def test_the_error_names_the_key(self) -> None:
        with pytest.raises(BadFile, match="the-key"):
            check_body("the-key", b'{"lastUpdateId":1,"bids":[]}')


class TestUpdateId:
    @given(st.integers(0, MAX_NUMBER), sides)
    def test_it_is_read_from_the_first_bytes(self, update_id: int, bids: Side) -> None:
        assert update_id_of("k", body_of(update_id, bids, [])[:PEEK_BYTES]) == update_id

    @pytest.mark.parametrize(
        "head",
        [
            b"",
            b'{"lastUpdateId":',
            b'{"lastUpdateId":01,"bids":[',
            b'{"lastUpdateId":-1,"bids":[',
            b'{"lastUpdateId":1.0,"bids":[',
            b'{"lastUpdateId": 1,"bids":[',
            b'{"lastUpdateId":"1","bids":[',
            b'{"lastUpdateId":12345678901234567890,"bids":[',
            b'{"lastUpdateId":9223372036854775808,"bids":[',
            b'{"bids":[],"asks":[],"lastUpdateId":1}',
            b'{"code":-1121,"msg":"Invalid symbol."}',
            b" " + b'{"lastUpdateId":1,"bids":[',
        ],
    )
    def test_other_beginnings_are_not_files(self, head: bytes) -> None:
        with pytest.raises(BadFile):
            update_id_of("k", head)


class TestFileInfo:
    @given(
        st.builds(
            FileInfo,
            epoch=st.integers(0, 10**6),
            bids=st.integers(0, 10**5),
            asks=st.integers(0, 10**5),
            bids_complete=st.booleans(),
            asks_complete=st.booleans(),
            event_time_ms=st.integers(0, 10**14),
            publish_time_ms=st.integers(0, 10**14),
            replica=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1),
            status=st.from_regex(r"[A-Z][A-Z0-9_]{0,31}", fullmatch=True),
        )
    )
    def test_metadata_parses_back_in_any_case_of_names(self, original: FileInfo) -> None:
        metadata = original.to_metadata()
        assert FileInfo.from_metadata("k", metadata) == original
        assert (
            FileInfo.from_metadata("k", {name.title(): text for name, text in metadata.items()}) == original
        )

    @given(st.integers(0, 10**5), st.booleans())
    def test_metadata_is_fit_for_http_headers(self, bids: int, complete: bool) -> None:
        for name, value in info(bids=bids, bids_complete=complete).to_metadata().items():
            assert re.fullmatch(r"[a-z][a-z-]*", name)
            assert re.fullmatch(r"[!-~]+", value)

    def test_members_of_others_are_ignored(self) -> None:
        assert FileInfo.from_metadata("k", info().to_metadata() | {"x-cache": "hit"}) == info()

    def test_a_file_of_before_there_was_a_status_is_of_a_symbol_that_trades(self) -> None:
        metadata = info().to_metadata()
        assert metadata.pop("status") == "TRADING"
        assert FileInfo.from_metadata("k", metadata) == info()

    @pytest.mark.parametrize("name", sorted(set(info().to_metadata()) - {"status"}))
    def test_a_missing_member_is_named(self, name: str) -> None:
        metadata = info().to_metadata()
        del metadata[name]
        with pytest.raises(BadFile, match=f"no '{name}'"):
            FileInfo.from_metadata("k", metadata)

    @pytest.mark.parametrize("name", sorted(set(info().to_metadata()) - {"replica"}))
    @pytest.mark.parametrize(
        "text", ["", "-1", "1.5", "x", "1 ", "٣", "1++", str(2**63), "9" * 20, "9" * 5000]
    )
    def test_a_malformed_member_is_refused(self, name: str, text: str) -> None:
        with pytest.raises(BadFile, match="malformed"):
            FileInfo.from_metadata("k", info().to_metadata() | {name: text})


class TestVersion:
    def test_a_later_epoch_beats_any_update_id(self) -> None:
        assert Version(1, 10**12) < Version(2, 1) < Version(2, 2)

    def test_it_reads_as_epoch_and_id(self) -> None:
        assert str(Version(2, 160)) == "2:160"

    @given(st.integers(0, 10**6), st.integers(0, 10**18))
    def test_it_is_known_from_the_first_bytes_and_the_metadata(self, epoch: int, update_id: int) -> None:
        head = body_of(update_id, [("1.0", "1.0")] * 50, [])[:PEEK_BYTES]
        assert version_of("k", head, info(epoch=epoch).to_metadata()) == (epoch, update_id)

    def test_an_object_without_our_metadata_has_none(self) -> None:
        with pytest.raises(BadFile):
            version_of("k", body_of(1, [], []), {})


class TestSchemes:
    @pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
    def test_a_key_parses_back_to_its_request_and_its_venue(self, scheme: Scheme) -> None:
        for limit in scheme.limits:
            key = depth_key("ETHUSDT", limit, scheme)
            assert key.startswith(scheme.depth_prefixes)
            assert parse_key(key) == ("ETHUSDT", limit)
            assert scheme_of(key) is scheme
            assert key.startswith(BOOK_PREFIXES)

    def test_no_two_venues_share_a_key(self) -> None:
        for keys in (
            {depth_key("A", scheme.limits[0], scheme) for scheme in SCHEMES.values()},
            {scheme.exchange_info_key for scheme in SCHEMES.values()},
            {heartbeat_key("a", scheme) for scheme in SCHEMES.values()},
        ):
            assert len(keys) == len(SCHEMES)

    @pytest.mark.parametrize("limit", [0, 1, 7, 200, 5000])
    def test_a_limit_off_the_ladder_has_no_key(self, limit: int) -> None:
        assert limit not in FUTURES_LIMITS
        with pytest.raises(BadKey, match="none of 5, 10"):
            depth_key("ETHUSDT", limit, BINANCE_USDM)
        with pytest.raises(BadKey):
            parse_key(f"fapi/v1/depth?symbol=ETHUSDT&limit={limit}")

    @pytest.mark.parametrize("key", ["xapi/v1/depth?symbol=A&limit=5", "depth?symbol=A&limit=5"])
    def test_a_path_that_no_venue_has_is_no_key(self, key: str) -> None:
        with pytest.raises(BadKey):
            scheme_of(key)

    def test_a_limit_is_how_many_levels_a_file_shows_where_a_venue_says_nothing_else(self) -> None:
        assert [BINANCE.size(limit) for limit in (5, 5000)] == [5, 5000]
        assert [BINANCE_USDM.depth(limit) for limit in (5, 1000)] == [5, 1000]
        # The smallest of those published that suffices; caches are told nothing.
        assert BINANCE.covering(6, (5, 20, 100)) == 20
        assert BINANCE.covering(101, (5, 20, 100)) is None
        assert BINANCE.cache_control(5) is None
        assert BINANCE.ordered((100, 5, 100, 20)) == (5, 20, 100)

    def test_heartbeats_of_one_venue_are_none_of_another(self) -> None:
        for scheme in (BINANCE, BINANCE_US, BINANCE_USDM):
            key = heartbeat_key("host-1", scheme)
            assert parse_heartbeat_key(key, scheme) == "host-1"
            for other in SCHEMES.values():
                if other is not scheme:
                    with pytest.raises(BadKey):
                        parse_heartbeat_key(key, other)

    @given(st.integers(0, MAX_NUMBER), sides, sides, st.integers(1, 40))
    def test_a_body_with_times_is_read_and_cut_as_one_without(
        self, update_id: int, bids: Side, asks: Side, limit: int
    ) -> None:
        plain = body_of(update_id, bids, asks)
        times = b',"E":1700000000003,"T":1700000000001'
        timed = plain.replace(b',"bids"', times + b',"bids"', 1)
        assert update_id_of("k", timed[:PEEK_BYTES]) == check_body("k", timed) == update_id
        assert cut(timed, limit) == cut(plain, limit).replace(b',"bids"', times + b',"bids"', 1)


class TestDetails:
    """Files of levels of detail, whose update id comes last."""

    KEY = "products/BTC-USD/book?level=2"
    BODY = (
        b'{"bids":[["2.0","5",1]],"asks":[],"sequence":160,"auction_mode":false,"auction":null,'
        b'"time":"2026-11-21T10:00:00.123456Z"}'
    )

    @pytest.mark.parametrize("level", COINBASE.limits)
    def test_a_key_parses_back(self, level: int) -> None:
        key = depth_key("BTC-USD", level, COINBASE)
        assert key == f"products/BTC-USD/book?level={level}"
        assert parse_key(key) == ("BTC-USD", level)
        assert scheme_of(key) is COINBASE
        assert key.startswith(COINBASE.depth_prefixes)

    @pytest.mark.parametrize(
        "key",
        [
            "products/BTC-USD/book?level=4",
            "products/BTC-USD/book?level=02",
            "products/btc-usd/book?level=2",
            "products/BTC-USD/book",
            "products/depth?symbol=BTC-USD&limit=2",
            "api/v3/BTC-USD/book?level=2",
        ],
    )
    def test_what_is_no_key_of_a_file_is_refused(self, key: str) -> None:
        with pytest.raises(BadKey):
            parse_key(key)

    def test_the_list_is_kept_apart_from_the_folder_of_the_books(self) -> None:
        assert COINBASE.exchange_info_key == "coinbaseexchange/products"

    def test_the_id_is_read_from_the_end_of_a_whole_body(self) -> None:
        assert update_id_of(self.KEY, self.BODY) == check_body(self.KEY, self.BODY) == 160

    @pytest.mark.parametrize(
        "damaged", [BODY[:-1], BODY[:64], BODY.replace(b'"asks"', b'"acks"'), BODY + b" "]
    )
    def test_a_body_that_is_not_whole_is_damaged(self, damaged: bytes) -> None:
        with pytest.raises(BadFile):
            check_body(self.KEY, damaged)

    def test_the_first_bytes_do_not_tell_it_so_the_metadata_do(self) -> None:
        info = FileInfo(3, 1, 0, True, True, 1, 2, "a", update_id=160)
        metadata = info.to_metadata()
        assert FileInfo.from_metadata("k", metadata) == info
        assert version_of(self.KEY, self.BODY[:PEEK_BYTES], metadata) == (3, 160)
        assert "update-id" not in FileInfo(3, 1, 0, True, True, 1, 2, "a").to_metadata()

    def test_bytes_that_tell_no_id_leave_it_to_the_metadata(self) -> None:
        key = depth_key("XBTUSD", 25, BITMEX)
        with pytest.raises(BadFile, match="tell no update id"):
            update_id_of(key, b"[]")
        metadata = FileInfo(3, 1, 0, True, True, 1, 2, "a", update_id=160).to_metadata()
        assert check_file(key, b"[]", metadata)[0] == version_of(key, b"[]", metadata) == (3, 160)

    def test_a_whole_file_tells_one_id_twice(self) -> None:
        info = FileInfo(3, 1, 0, True, True, 1, 2, "a", update_id=160)
        assert check_file(self.KEY, self.BODY, info.to_metadata()) == ((3, 160), info)
        for said in (replace(info, update_id=161), replace(info, update_id=None)):
            with pytest.raises(BadFile, match="update"):
                check_file(self.KEY, self.BODY, said.to_metadata())
        with pytest.raises(BadFile, match="update-id"):
            version_of(self.KEY, self.BODY, replace(info, update_id=None).to_metadata())
