"""Each measurement runs and ends with one line of JSON that others can read; figures mean nothing here."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import program

ROOT = Path(__file__).resolve().parents[2]


def figures_of(bench: str, *arguments: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{bench}", "--quick", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures.pop("bench") == bench
    assert all(math.isfinite(figure) for figure in figures.values()), figures
    return dict(figures)


def test_make_bench_runs_each_of_them_and_can_install_what_they_need() -> None:
    lines = (ROOT / "Makefile").read_text("utf-8").split("\nbench:")[1].split("\n\n")[0].splitlines()
    (install,) = (line for line in lines if "pip install" in line)
    assert "requirements.lock" not in install, "pip takes no hashes where it installs this checkout"
    (named,) = (line for line in lines if "for name in" in line)
    there = {path.stem for path in (ROOT / "bench").glob("*.py") if '{"bench": "' in path.read_text("utf-8")}
    assert {"book", "latency"} < there
    assert set(named.split(" in ")[1].split(";")[0].split()) == there


def test_book_ends_with_its_ratios() -> None:
    figures = figures_of("book")
    assert {"hot_vs_sorteddict", "hot_vs_two_lists", "in_turn_vs_sorteddict", "mb_a_book"} <= figures.keys()


@pytest.mark.store_process
def test_write_ends_with_its_ratios() -> None:
    assert {"cpu_3kB_vs_boto3_null", "cpu_3kB_vs_boto3_seaweedfs"} <= figures_of("write").keys()


@pytest.mark.store_process
def test_read_ends_with_its_ratios() -> None:
    figures = figures_of("read")
    for kind in ("6kB", "300kB", "unchanged"):
        for store in ("shelf", "seaweedfs"):
            assert {f"cpu_{kind}_vs_{other}_{store}" for other in ("obstore", "boto3")} <= figures.keys()
            assert figures[f"cpu_ms_{kind}_{store}"] > 0


@pytest.mark.store_process
def test_capacity_ends_with_its_figures() -> None:
    figures = figures_of("capacity")
    assert {"symbols_one_core", "puts_a_symbol_second", "symbols_one_seaweedfs"} <= figures.keys()
    assert figures["symbols_one_core"] > 0
    assert figures["verified_updates_a_symbol_second"] > 0


@pytest.mark.store_process
def test_warm_ends_with_its_figures() -> None:
    figures = figures_of("warm")
    assert {"warm_s", "warm_weight", "warm_from_files", "cold_s", "cold_snapshots"} <= figures.keys()
    assert figures["warm_s"] > 0
    assert figures["cold_refused"] == 0


@pytest.mark.store_process
def test_shares_ends_with_its_figures() -> None:
    figures = figures_of("shares")
    assert figures["held_of_2"] == 2 * figures["held_of_4"] == figures["symbols"]
    for move in ("third_joins", "fourth_joins", "one_leaves"):
        assert figures[f"{move}_moved"] == figures[f"{move}_had_to"]


def test_serve_ends_with_its_ratios_and_no_read_of_the_store_for_unknown_symbols() -> None:
    for needed in ("wrk", "nginx"):
        program(needed)
    figures = figures_of("serve")
    # Of larger books it is checked that all answer alike; the load generator takes a second for each row.
    rows = {f"5_{kind}" for kind in ("plain", "gzip", "304")}
    assert {f"{row}_vs_{other}" for row in rows for other in ("nginx", "starlette")} <= figures.keys()
    assert {"latency_p99_ms", "visible_max_ms", "reads_a_book_second"} <= figures.keys()
    assert figures["unknown_requests"] > 0
    assert figures["unknown_reads"] == 0


def test_streams_ends_with_its_figures() -> None:
    figures = figures_of("streams")
    for kind in ("events", "websocket", "mixed"):
        assert figures[f"{kind}_open"] == 100
        assert 0 < figures[f"{kind}_mb"] < 1500
        assert 0 < figures[f"{kind}_spread_ms"] < figures[f"{kind}_last_ms"]


def test_books_ends_with_its_ratios() -> None:
    figures = figures_of("books")
    for limit in (5, 100, 5000):
        for when in ("read", "again"):
            assert figures[f"{when}_{limit}_us"] > 0
            assert figures.keys() >= {f"{when}_{limit}_vs_ccxt_{way}" for way in ("fastest", "slices")}
    for source in ("memory", "reading", "socket_clock", "socket_cpu"):
        assert figures[f"messages_{source}"] > 0
        assert figures[f"messages_{source}_vs_ccxt"] > 0


def test_tape_ends_with_what_recording_costs() -> None:
    figures = figures_of("tape")
    assert figures["publishing_us_a_diff"] > 0
    assert figures["tape_vs_gzip_json"] > 0
    assert {"recording_share", "tape_mb_a_symbol_hour", "bytes_a_diff"} <= figures.keys()


def test_heat_ends_with_what_a_minute_costs() -> None:
    figures = figures_of("heat")
    assert 0 < figures["synthetic_bytes_a_minute"] < 50_000
    assert figures["synthetic_ms_a_minute"] > 0
    assert figures["synthetic_vs_book"] > 0


@pytest.mark.store_process
def test_metadata_answers_what_was_in_force_in_three_reads() -> None:
    figures = figures_of("metadata")
    assert figures["wrong"] == 0
    assert {figures[f"reads_{place}"] for place in ("memory", "memory_large", "seaweedfs")} <= {2, 3}


def test_rows_ends_with_its_ratios() -> None:
    figures = figures_of("rows")
    assert {"ratio_unread", "ratio_read_top", "parse_us", "body_whole_us"} <= figures.keys()
    assert figures["ratio_unread"] > 1


def test_orders_ends_with_its_ratios() -> None:
    figures = figures_of("orders")
    assert {"ratio_read_every_1", "ratio_read_every_1000", "apply_us", "parse_us"} <= figures.keys()


def test_fairness_ends_with_its_waits() -> None:
    figures = figures_of("fairness")
    assert 0 <= figures["idle_p99_ms"] <= figures["idle_longest_ms"]
    for way in ("at_once", "in_turns"):
        assert figures[f"{way}_applied_p50_ms"] <= figures[f"{way}_applied_longest_ms"]
        assert figures[f"{way}_rendered_p50_ms"] <= figures[f"{way}_rendered_longest_ms"]


@pytest.mark.store_process
def test_latency_ends_with_the_times_of_each_venue() -> None:
    # Books by price, by order and of rows: one venue of each.
    venues = ("binance", "coinbaseexchange", "bitmex")
    figures = figures_of("latency", *(f"--venue={venue}" for venue in venues))
    for venue in venues:
        assert 0 < figures[f"{venue}_memory_p50_ms"] <= figures[f"{venue}_memory_p99_ms"]
        assert figures[f"{venue}_seaweedfs_p50_ms"] > 0
