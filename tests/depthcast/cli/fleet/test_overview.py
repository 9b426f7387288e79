"""What heartbeats tell, replica by replica, symbol by symbol, and what is wrong with it."""

from collections.abc import Callable

import pytest

from depthcast.cli.fleet.overview import RECENT_MS, Overview, Seen, SymbolLine, overview
from depthcast.cli.fleet.trouble import LAGS_MS, Trouble
from depthcast.heartbeat import Heartbeat, SymbolBeat
from tests.depthcast.cli.fleet.conftest import MakeBeat, alive, ended

Healthy = Callable[..., list[Heartbeat]]


def shown(*seen: Seen, **options: object) -> Overview:
    return overview("memory:", seen, **options)  # type: ignore[arg-type]


def line(of: Overview, symbol: str = "ETHUSDT") -> SymbolLine:
    return next(each for each in of.symbols if each.symbol == symbol)


def test_a_healthy_fleet_has_one_writer_a_symbol_and_no_warning(healthy: Healthy) -> None:
    of = shown(*alive(*healthy("abc", 4)))
    assert (of.living, of.warnings, of.settled) == (3, (), True)
    assert [each.symbol for each in of.symbols] == [f"COIN{number:03}USDT" for number in range(4)]
    for each in of.symbols:
        assert len(each.writers) == 1
        assert sorted([*each.writers, *each.standbys]) == ["a", "b", "c"]
        assert each.troubles == each.acting == ()
    assert sum(replica.writer for replica in of.replicas) == 4


def test_a_replica_s_line_has_its_figures(make_beat: MakeBeat) -> None:
    beat = make_beat(
        "a",
        {"A": "writer", "B": "acting", "C": "standby", "D": "standby"},
        listed=9,
        feed={"symbols": 4, "live": 3},
        rest={"weight_used": 250, "weight_limit": 6000, "silent_for_ms": 42_000, "waiting": 2},
        writes={"written": 997, "lost": 3, "takeovers": 2, "p50_ms": 3.14, "p99_ms": 21.0},
    )
    (replica,) = shown(Seen(beat, True, 400, 25.3333)).replicas
    assert (replica.replica, replica.life, replica.beat_age_ms, replica.uptime_ms) == ("a", "live", 400, 3000)
    assert (replica.held, replica.listed) == (4, 9)
    assert (replica.writer, replica.acting, replica.standby) == (1, 1, 2)
    assert (replica.feed_live, replica.feed_symbols, replica.takeovers) == (3, 4, 2)
    assert (replica.writes_per_s, replica.lost_percent) == (25.33, 0.3)
    assert (replica.weight_used, replica.weight_limit, replica.waiting) == (250, 6000, 2)
    # The pause counts from the beat.
    assert replica.silent_for_ms == 41_600


def test_a_symbol_s_line_is_its_writer_s(make_beat: MakeBeat) -> None:
    def part(role: str, **members: object) -> SymbolBeat:
        return SymbolBeat.model_validate({"role": role, "live": True} | members)

    writer = part("writer", epoch=1, id=990, bids="7", asks="8+", behind_ms=80, status="HALT")
    standby = part("standby", rank=1, epoch=1, id=1000, behind_ms=900)
    of = shown(
        *alive(make_beat("a", symbols={"ETHUSDT": standby}), make_beat("b", symbols={"ETHUSDT": writer}))
    )
    eth = line(of)
    assert (eth.writers, eth.standbys, eth.acting) == (("b",), ("a",), ())
    assert (eth.epoch, eth.id, eth.bids, eth.asks, eth.status) == (1, 990, "7", "8+", "HALT")
    assert (eth.behind_ms, eth.ids_behind) == (80, 10)


def test_ids_of_different_epochs_are_not_compared(make_beat: MakeBeat) -> None:
    writer = SymbolBeat(role="writer", live=True, epoch=0, id=5000)
    ahead = SymbolBeat(role="standby", rank=1, live=True, epoch=1, id=10)
    of = shown(
        *alive(make_beat("a", symbols={"ETHUSDT": writer}), make_beat("b", symbols={"ETHUSDT": ahead}))
    )
    assert line(of).ids_behind == 0


def test_ids_that_are_made_of_times_are_not_counted(make_beat: MakeBeat) -> None:
    writer = SymbolBeat(role="writer", live=True, epoch=0, id=1_700_000_000_000 << 20)
    ahead = SymbolBeat(role="standby", rank=1, live=True, epoch=0, id=1_700_000_000_100 << 20)
    of = shown(
        *alive(make_beat("a", symbols={"ETHUSDT": writer}), make_beat("b", symbols={"ETHUSDT": ahead}))
    )
    assert line(of).ids_behind is None


def test_one_that_took_over_is_marked(make_beat: MakeBeat) -> None:
    of = shown(*alive(make_beat("a", {"ETHUSDT": "acting"}), make_beat("b", {"ETHUSDT": "standby"})))
    eth = line(of)
    assert (eth.writers, eth.acting, eth.standbys, eth.troubles) == (("a",), ("a",), ("b",), ())


class TestTroubles:
    @pytest.mark.parametrize(
        ("roles", "trouble", "warning"),
        [
            (("standby", "standby"), Trouble.UNWRITTEN, "nobody writes ETHUSDT"),
            (("writer", "acting"), Trouble.CONTENDED, "more than one replica writes ETHUSDT"),
            (("writer", None), Trouble.NO_STANDBY, "no standby holds ETHUSDT"),
        ],
    )
    def test_roles_that_do_not_fit_together(
        self, make_beat: MakeBeat, roles: tuple[str | None, ...], trouble: Trouble, warning: str
    ) -> None:
        beats = [
            make_beat(name, {"ETHUSDT": role} if role else {}, listed=1)
            for name, role in zip("ab", roles, strict=True)
        ]
        of = shown(*alive(*beats))
        assert line(of).troubles == (trouble,)
        assert of.warnings == (warning,)

    def test_where_all_are_to_race_many_writers_are_no_trouble(self, make_beat: MakeBeat) -> None:
        beats = [
            make_beat("a", {"ETHUSDT": "writer"}, takeover_after_ms=0),
            make_beat("b", {"ETHUSDT": "acting"}, takeover_after_ms=0),
        ]
        assert shown(*alive(*beats)).warnings == ()

    def test_one_that_would_write_but_has_no_book_yet_is_no_second_writer(self, make_beat: MakeBeat) -> None:
        first = make_beat("a", symbols={"ETHUSDT": SymbolBeat(role="writer")})
        of = shown(*alive(first, make_beat("b", {"ETHUSDT": "acting"})))
        eth = line(of)
        assert (eth.writers, eth.acting, eth.troubles) == (("a", "b"), ("b",), ())
        # What is known of the book is the acting one's.
        assert (eth.id, eth.bids) == (1000, "4990")

    def test_a_book_that_is_live_nowhere(self, make_beat: MakeBeat) -> None:
        part = SymbolBeat(role="writer", live=False)
        beats = [
            make_beat("a", symbols={"ETHUSDT": part}),
            make_beat("b", symbols={"ETHUSDT": SymbolBeat(role="standby", live=False)}),
        ]
        assert line(shown(*alive(*beats))).troubles == (Trouble.NOT_LIVE,)

    @pytest.mark.parametrize(("behind_ms", "lags"), [(LAGS_MS, False), (LAGS_MS + 1, True)])
    def test_a_file_that_lags(self, make_beat: MakeBeat, behind_ms: int, lags: bool) -> None:
        beats = [
            make_beat("a", symbols={"E": SymbolBeat(role="writer", live=True, behind_ms=behind_ms)}),
            make_beat("b", {"E": "standby"}),
        ]
        assert (Trouble.LAGS in line(shown(*alive(*beats)), "E").troubles) is lags

    @pytest.mark.parametrize(
        ("redundancy", "holding", "troubles"),
        [
            (0, 3, ()),
            (0, 2, (Trouble.TOO_FEW,)),
            (2, 2, ()),
            (2, 1, (Trouble.NO_STANDBY,)),
            (1, 1, ()),
            (5, 3, ()),
        ],
    )
    def test_as_many_hold_a_symbol_as_the_redundancy_says_and_there_are(
        self, make_beat: MakeBeat, redundancy: int, holding: int, troubles: tuple[Trouble, ...]
    ) -> None:
        roles = ["writer", "standby", "standby"][:holding]
        beats = [
            make_beat(n, {"ETHUSDT": roles[i]} if i < holding else {}, redundancy=redundancy, listed=1)
            for i, n in enumerate("abc")
        ]
        assert line(shown(*alive(*beats))).troubles == troubles

    def test_replicas_that_could_not_hold_it_are_not_missed(self, make_beat: MakeBeat) -> None:
        beats = [
            make_beat("a", {"ETHUSDT": "writer"}),
            make_beat("b", selection="others"),
            make_beat("c", limits=(5,)),
            make_beat("d", state="leaving"),
        ]
        assert line(shown(*alive(*beats))).troubles == ()

    def test_what_died_with_its_holder_is_missed_for_a_while(self, make_beat: MakeBeat) -> None:
        survivor = alive(make_beat("a", {"BTCUSDT": "writer"}))
        dead = make_beat("b", {"BTCUSDT": "standby", "ETHUSDT": "writer"})
        of = shown(*survivor, ended(dead))
        assert of.warnings[0] == "no living replica holds ETHUSDT"
        assert line(of).writers == ()
        assert line(of, "BTCUSDT").standbys == ()
        assert [each.symbol for each in shown(*survivor, ended(dead, RECENT_MS)).symbols] == ["BTCUSDT"]

    def test_the_worst_come_first(self, make_beat: MakeBeat) -> None:
        beats = [
            make_beat("a", {"A": "writer", "B": "writer", "C": "standby", "D": "writer"}),
            make_beat("b", {"A": "standby", "B": "acting", "C": "standby", "D": "standby"}),
        ]
        of = shown(*alive(*beats))
        assert [each.symbol for each in of.symbols] == ["C", "B", "A", "D"]
        assert [warning.split()[0] for warning in of.warnings] == ["nobody", "more"]

    def test_many_symbols_make_one_warning(self, make_beat: MakeBeat) -> None:
        symbols = {f"S{number:03}": "standby" for number in range(200)}
        (warning,) = shown(*alive(make_beat("a", symbols), make_beat("b", symbols))).warnings
        assert warning == "nobody writes S000, S001, S002, S003, S004 and 195 more"

    def test_only_what_is_steady_is_told(self, make_beat: MakeBeat) -> None:
        of = shown(*alive(make_beat("a", {"A": "standby"}), make_beat("b")), steady=lambda signs: set())
        assert of.warnings == ()
        assert line(of, "A").troubles == ()


class TestFleet:
    def test_nobody_lives(self, make_beat: MakeBeat) -> None:
        assert shown().warnings == ("no replica lives; start one with depthcast updater",)
        assert shown(ended(make_beat("a"))).living == 0

    def test_one_is_alone(self, healthy: Healthy) -> None:
        assert shown(*alive(*healthy("a"))).warnings == ("a is alone: nobody takes over when it fails",)

    @pytest.mark.parametrize(
        ("members", "word"),
        [
            ({"redundancy": 2}, "redundancy (0: a; 2: b)"),
            ({"takeover_after_ms": 0}, "takeover_after_ms (0: b; 500: a)"),
            ({"limits": (5,)}, "limits (5: b; 5/10: a)"),
            ({"version": "0.2.0"}, "version (0.1.0: a; 0.2.0: b)"),
            ({"selection": "x"}, "what symbols they list"),
        ],
    )
    def test_settings_that_differ_are_named(
        self, make_beat: MakeBeat, members: dict[str, object], word: str
    ) -> None:
        of = shown(*alive(make_beat("a", listed=1), make_beat("b", **{"listed": 1, **members})))
        assert [warning for warning in of.warnings if word in warning]

    def test_the_settings_of_one_that_is_about_to_stop_do_not_matter(self, make_beat: MakeBeat) -> None:
        of = shown(
            *alive(make_beat("a", listed=1), make_beat("b", listed=1, version="0.0.9", state="leaving"))
        )
        assert not any("differ" in warning for warning in of.warnings)
        of = shown(*alive(make_beat("a", state="leaving"), make_beat("b", state="leaving")))
        assert of.warnings == ("all replicas that live are about to stop",)

    def test_one_that_has_just_begun_does_not_differ(self, make_beat: MakeBeat) -> None:
        of = shown(*alive(make_beat("a", listed=8), make_beat("b", listed=0, selection="")))
        assert of.warnings == ()

    def test_how_long_books_wait_for_the_exchange_is_told(self, make_beat: MakeBeat) -> None:
        beats = [
            make_beat("a", rest={"waiting": 40, "expected_wait_ms": 125_000}),
            make_beat("b", rest={"waiting": 1, "expected_wait_ms": 300}),
        ]
        assert shown(*alive(*beats)).warnings == (
            "books wait for the exchange's request weight, about 3 min left",
        )
        assert shown(*alive(beats[1], make_beat("c"))).warnings == ()

    def test_damaged_heartbeats_are_named(self, healthy: Healthy) -> None:
        assert shown(*alive(*healthy()), damaged=["fleet/x.json"]).warnings == (
            "fleet/x.json is no heartbeat",
        )

    def test_the_living_come_first_and_of_the_others_those_that_ended_last(self, make_beat: MakeBeat) -> None:
        of = shown(
            ended(make_beat("long-dead"), 90_000),
            ended(make_beat("gone", state="gone"), 10),
            ended(make_beat("dead"), 5000),
            *alive(make_beat("z"), make_beat("a", state="leaving")),
        )
        assert [(each.replica, each.life) for each in of.replicas] == [
            ("a", "leaving"),
            ("z", "live"),
            ("dead", "dead"),
            ("long-dead", "dead"),
            ("gone", "gone"),
        ]


@pytest.mark.parametrize(
    ("globs", "count"),
    [((), 12), (("COIN00?USDT",), 10), (("*01*",), 3), (("COIN011USDT", "COIN002USDT"), 2), (("x",), 0)],
)
def test_globs_choose_the_symbols(healthy: Healthy, globs: tuple[str, ...], count: int) -> None:
    of = shown(*alive(*healthy("ab", 12)), globs=globs)
    assert len(of.symbols) == count
    # The replicas' figures are of all symbols.
    assert sum(replica.writer for replica in of.replicas) == 12
