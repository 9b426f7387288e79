"""``python -m bench.serve``: the server beside nginx and Starlette, and what readers see while books change.

*Throughput*: wrk with 64 connections on one core, the servers on the other, one asked at a time and in turn,
so that drift of the machine hits all alike; medians of the rounds. Rows are limits 5, 100 and 5,000, each
plain, with ``Accept-Encoding: gzip`` and with ``If-None-Match`` answered 304. The bodies are the same bytes
everywhere; nginx gives files, and files zipped beforehand (``gzip_static``). Where wrk is the bottleneck,
requests a second say little; so what the server's process used of its core is told, too: requests for each
second of its CPU time, which other work on the machine disturbs less.

*Under change*: 100 books change ten times a second in a store on wrk's core (:mod:`bench.shelf`, read with
the server's own S3 client). wrk asks for all of them as fast as it can, which is the peak rate here, and then
at half that rate, by connections that each pause between requests; meanwhile :mod:`bench.probe` measures
latency from when each request was due, and how long changes take to be seen. Both go before the store on
their core.

*Store reads*: how often the store was read meanwhile for each hot book; and how often while 10,000
connections ask for 5,000 symbols that there are not.

The last line is one line of JSON; a plot goes to ``--plot``.
"""

import argparse
import gzip
import http.client
import json
import math
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

from bench import shelf
from bench.probe import PRIORITY, first_in_line
from bench.sites import Site, await_port, found, free_port, nginx, starlette
from depthcast.exit import run
from depthcast.venues.binance_rest import DEPTH_PATH

CONNECTIONS: Final = 64
SERVER_CORE: Final = 1
LOAD_CORE: Final = 0
KINDS: Final = ("plain", "gzip", "304")
OURS, NGINX, STARLETTE = "depthcast", "nginx", "Starlette"

_TICK: Final = os.sysconf("SC_CLK_TCK")
_PAUSE_MS: Final = 2
_PLOT: Final = Path("docs/bench/serve.png")


class Scale(NamedTuple):
    """How much is measured. Of the limits beyond the first ``limits`` it is only checked what is answered."""

    limits: int
    rounds: int
    seconds: float
    books: int
    change_s: float
    clients: int
    unknown: int


FULL: Final = Scale(limits=3, rounds=5, seconds=2.0, books=100, change_s=20.0, clients=10_000, unknown=5_000)
QUICK: Final = Scale(limits=1, rounds=1, seconds=0.3, books=10, change_s=2.0, clients=200, unknown=50)


class Turn(NamedTuple):
    """Requests a second, and for each second of CPU time of the server."""

    rate: float
    rate_cpu: float


class Row(NamedTuple):
    """One kind of request for one limit: the turns of each contender."""

    limit: int
    kind: str
    turns: dict[str, list[Turn]]

    def median(self, who: str) -> Turn:
        turns = self.turns[who]
        return Turn(*(statistics.median(turn[n] for turn in turns) for n in (0, 1)))

    def ratio(self, who: str, n: int = 0) -> float:
        """Ours by theirs, within each round; the median."""
        pairs = zip(self.turns[OURS], self.turns[who], strict=True)
        return statistics.median(ours[n] / theirs[n] for ours, theirs in pairs)


class Change(NamedTuple):
    """What was seen while books changed; times in ms."""

    rate: float
    peak: float
    latency_ms: list[float]
    visible_ms: list[float]
    cpu_share: float
    reads_a_book_second: float
    requests_a_read: float
    unknown_requests: int
    unknown_reads: int


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.serve", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="short turns: a check that it runs, not a figure"
    )
    for name, kind in Scale.__annotations__.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="N")
    parser.add_argument("--plot", type=Path, metavar="FILE", help=f"where to draw (full runs: {_PLOT})")
    given = vars(parser.parse_args(argv))
    scale = QUICK if given["quick"] else FULL
    scale = scale._replace(**{name: given[name] for name in scale._fields if given[name] is not None})
    plot: Path | None = given["plot"] or (None if given["quick"] else _PLOT)
    try:
        found("wrk"), found("nginx")
    except FileNotFoundError as missing:
        print(f"bench.serve: {missing}", file=sys.stderr)
        return 2
    console = Console(width=120)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        shelved = stack.enter_context(shelf.started(scale.books, lambda pid: pin(pid, LOAD_CORE)))
        ours = stack.enter_context(_depthcast(shelved, scale))
        books = {limit: _fetch(ours.url + str(limit))[1] for limit in shelf.LIMITS}
        # Short books are zipped by us only for who insists; the others have them zipped all the same.
        zipped = {
            limit: _fetch(ours.url + str(limit), _asking("gzip, identity;q=0"))[1] for limit in shelf.LIMITS
        }
        sites = {OURS: ours}
        for name, site in ((NGINX, nginx), (STARLETTE, starlette)):
            place = folder / name
            place.mkdir()
            sites[name] = stack.enter_context(site(books, zipped, place, lambda pid: pin(pid, SERVER_CORE)))
        asked = [(limit, kind) for limit in shelf.LIMITS for kind in KINDS]
        for limit, kind in asked:
            for name, opened in sites.items():
                _check(name, opened, limit, kind, _headers(opened, limit, kind), books[limit])
        measured = shelf.LIMITS[: scale.limits]
        rows = [_row(sites, limit, kind, scale) for limit, kind in asked if limit in measured]
        change = _change(ours, shelved, scale, folder)
    _tell_rows(console, rows)
    _tell_change(console, change, scale)
    if plot is not None:
        from bench.serve_plot import draw

        draw(rows, change, plot)
        console.print(f"The plot is {plot}.")
    print(json.dumps({"bench": "serve", **_figures(rows, change)}))
    return 0


def pin(pid: int, core: int) -> None:
    """Let a process run on one core only, where there is another one for the other side."""
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(pid, {core})


# Who is measured


@contextmanager
def _depthcast(shelved: shelf.Running, scale: Scale) -> Iterator[Site]:
    """Our server as its users start it, reading the shelf."""
    port = free_port()
    _allow_connections(scale.clients)
    child = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "server",
            f"--listen=127.0.0.1:{port}",
            f"--store-url=s3://{shelf.BUCKET}",
            f"--max-connections={2 * scale.clients + 1000}",
            "--max-streams=100",
            # The shelf has no fleet that would vouch for books that do not change.
            "--stale-after-ms=86400000",
            "--log-level=warning",
        ],
        env={**os.environ, **shelved.aws.to_env()},
    )
    try:
        pin(child.pid, SERVER_CORE)
        await_port(port, child)
        give_up = time.monotonic() + 20
        while _status(f"http://127.0.0.1:{port}/readyz") != 200 and time.monotonic() < give_up:
            time.sleep(0.1)
        yield Site(f"http://127.0.0.1:{port}{DEPTH_PATH}?symbol={shelf.STILL}&limit=", child.pid)
    finally:
        child.terminate()
        child.wait(20)


def _allow_connections(connections: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * connections + 2000
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, most) if most > 0 else wanted, most))


# Throughput


def _row(sites: dict[str, Site], limit: int, kind: str, scale: Scale) -> Row:
    row = Row(limit, kind, {name: [] for name in sites})
    headers = {name: _headers(site, limit, kind) for name, site in sites.items()}
    for number in range(scale.rounds):
        order = list(sites) if number % 2 else list(sites)[::-1]
        for name in order:
            site = sites[name]
            used = _cpu_s(site.pid)
            rate, requests = _wrk(site.url + str(limit), headers[name], scale.seconds)
            row.turns[name].append(Turn(rate, requests / max(_cpu_s(site.pid) - used, 1 / _TICK)))
    return row


def _headers(site: Site, limit: int, kind: str) -> dict[str, str]:
    if kind == "plain":
        return {}
    if kind == "gzip":
        return _asking("gzip")
    _, _, headers = _answer(site.url + str(limit), {})
    return {"If-None-Match": headers["etag"]}


def _asking(coding: str) -> dict[str, str]:
    return {"Accept-Encoding": coding}


def _check(name: str, site: Site, limit: int, kind: str, headers: dict[str, str], book: bytes) -> None:
    """What is measured is what is meant: status, coding and body."""
    status, body, sent = _answer(site.url + str(limit), headers)
    if kind == "304":
        good = (status, body) == (304, b"")
    elif sent.get("content-encoding") == "gzip":
        good = kind == "gzip" and gzip.decompress(body) == book
    else:
        good = status == 200 and body == book and (kind == "plain" or len(book) < 1000)
    if not good:
        raise RuntimeError(f"{name} answers {status} with {len(body)} bytes to {kind} at limit {limit}")


def _wrk(
    url: str,
    headers: dict[str, str],
    seconds: float,
    *,
    connections: int = CONNECTIONS,
    script: Path | None = None,
) -> tuple[float, int]:
    """Requests a second, and how many there were."""
    done = subprocess.run(
        _wrk_command(url, headers, seconds, connections, script), capture_output=True, text=True, check=True
    )
    return _read_wrk(done.stdout)


def _wrk_command(
    url: str, headers: dict[str, str], seconds: float, connections: int, script: Path | None
) -> list[str]:
    # wrk counts whole seconds only; less is for a check that it runs.
    timing = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout=30s"]
    more = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    chosen = ["-s", str(script)] if script is not None else []
    return ["taskset", "-c", str(LOAD_CORE % (os.cpu_count() or 1)), "wrk", *timing, *chosen, *more, url]


def _read_wrk(told: str) -> tuple[float, int]:
    rate = re.search(r"^Requests/sec:\s+([\d.]+)", told, re.MULTILINE)
    requests = re.search(r"^\s+(\d+) requests in ", told, re.MULTILINE)
    if rate is None or requests is None:
        raise RuntimeError(f"wrk said something else: {told}")
    return float(rate[1]), int(requests[1])


def _cpu_s(pid: int) -> float:
    """CPU time of a process, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


# Under change


def _change(ours: Site, shelved: shelf.Running, scale: Scale, folder: Path) -> Change:
    port = int(ours.url.split(":")[2].partition("/")[0])
    root = f"http://127.0.0.1:{port}"
    for number in range(scale.books):
        _fetch(f"{root}{DEPTH_PATH}?symbol={shelf.moving(number)}&limit={shelf.MOVING_LIMIT}")
    script = folder / "books.lua"
    targets = [
        f"{DEPTH_PATH}?symbol={shelf.moving(number)}&limit={shelf.MOVING_LIMIT}"
        for number in range(scale.books)
    ]
    script.write_text(_script(targets, 0))
    peak, _ = _wrk(root + "/", {}, scale.seconds, script=script)
    first_in_line(PRIORITY - 1, shelved.pid)
    script.write_text(_script(targets, _PAUSE_MS))
    # Each connection waits so long after each answer: so many of them make half the peak.
    connections = max(1, round(peak / 2 * (_PAUSE_MS + 0.5) / 1000))
    load = subprocess.Popen(
        _wrk_command(root + "/", {}, scale.change_s + 2, connections, script),
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: first_in_line(PRIORITY - 2),
    )
    try:
        time.sleep(1.0)
        reads, used, began = shelved.reads()[0], _cpu_s(ours.pid), time.monotonic()
        probe = subprocess.run(
            [
                sys.executable,
                "-m",
                "bench.probe",
                f"--port={port}",
                f"--seconds={scale.change_s}",
                f"--books={scale.books}",
            ],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            preexec_fn=lambda: pin(0, LOAD_CORE % (os.cpu_count() or 1)),
        )
        seconds = time.monotonic() - began
        reads, used = shelved.reads()[0] - reads, _cpu_s(ours.pid) - used
        told, _ = load.communicate(timeout=60)
    finally:
        load.kill()
    rate, _ = _read_wrk(told)
    seen = json.loads(probe.stdout)
    hot = scale.books + len(shelf.LIMITS)
    unknown = _unknown(root, shelved, scale, folder)
    return Change(
        rate=rate,
        peak=peak,
        latency_ms=sorted(second * 1000 for second in seen["latency_s"]),
        visible_ms=sorted(second * 1000 for second in seen["visible_s"]),
        cpu_share=used / seconds,
        reads_a_book_second=reads / seconds / hot,
        requests_a_read=rate * seconds / max(reads, 1),
        unknown_requests=unknown[0],
        unknown_reads=unknown[1],
    )


def _unknown(root: str, shelved: shelf.Running, scale: Scale, folder: Path) -> tuple[int, int]:
    """How many requests for symbols that there are not, and how often the store was read for them."""
    script = folder / "unknown.lua"
    script.write_text(_script([f"{DEPTH_PATH}?symbol=NONE{n}USDT" for n in range(scale.unknown)], 0))
    _, missed = shelved.reads()
    _, requests = _wrk(root + "/", {}, 3, connections=scale.clients, script=script)
    return requests, shelved.reads()[1] - missed


def _script(targets: list[str], pause_ms: int) -> str:
    """For wrk: the targets in turn, and a pause of each connection before each request."""
    listed = ",\n".join(json.dumps(target) for target in targets)
    pause = f"function delay() return {pause_ms} end" if pause_ms else ""
    return f"""
local targets = {{ {listed} }}
local requests, turn = {{}}, 0
function init()
  for i, target in ipairs(targets) do requests[i] = wrk.format("GET", target) end
end
function request()
  turn = turn % #requests + 1
  return requests[turn]
end
{pause}
"""


# One request


def _answer(url: str, headers: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
    place, _, target = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(place, timeout=10)
    try:
        connection.putrequest("GET", "/" + target, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def _fetch(url: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    status, body, _ = _answer(url, headers or {})
    if status != 200:
        raise RuntimeError(f"{url} answers {status}")
    return status, body


def _status(url: str) -> int:
    return _answer(url, {})[0]


# How it is told


def part(sorted_values: list[float], share: float) -> float:
    """A quantile: the smallest value that so great a share does not exceed."""
    return sorted_values[max(0, math.ceil(share * len(sorted_values)) - 1)]


def _tell_rows(console: Console, rows: list[Row]) -> None:
    table = Table(title="Requests a second on one core (and for each second of the server's CPU time)")
    for column in ("limit", "kind", OURS, NGINX, STARLETTE, "by nginx", "by Starlette"):
        table.add_column(column, justify="left" if column in ("limit", "kind") else "right")
    for row in rows:
        cells = [f"{turn.rate:,.0f} ({turn.rate_cpu:,.0f})" for turn in map(row.median, row.turns)]
        ratios = [f"{row.ratio(who):.2f} ({row.ratio(who, 1):.2f})" for who in (NGINX, STARLETTE)]
        table.add_row(str(row.limit), row.kind, *cells, *ratios)
    console.print(table)


def _tell_change(console: Console, change: Change, scale: Scale) -> None:
    table = Table(title=f"While {scale.books} books change ten times a second")
    table.add_column("what")
    table.add_column("figure", justify="right")
    late, seen = change.latency_ms, change.visible_ms
    for what, figure in (
        ("requests a second, of the peak", f"{change.rate:,.0f} of {change.peak:,.0f}"),
        ("the server's part of its core", f"{change.cpu_share:.0%}"),
        (
            f"latency p50, p99, p99.9, longest of {len(late):,}",
            ", ".join(f"{part(late, share):.2f}" for share in (0.5, 0.99, 0.999, 1.0)) + " ms",
        ),
        (
            f"a change is seen after: p50, p99, longest of {len(seen):,}",
            ", ".join(f"{part(seen, share):.1f}" for share in (0.5, 0.99, 1.0)) + " ms",
        ),
        ("store reads a second for each hot book", f"{change.reads_a_book_second:.2f}"),
        ("requests for each store read", f"{change.requests_a_read:,.0f}"),
        (
            f"store reads by {change.unknown_requests:,} requests for {scale.unknown:,} unknown symbols",
            str(change.unknown_reads),
        ),
    ):
        table.add_row(what, figure)
    console.print(table)


def _figures(rows: list[Row], change: Change) -> dict[str, float]:
    figures: dict[str, float] = {}
    for row in rows:
        name = f"{row.limit}_{row.kind}"
        figures[f"rate_{name}"] = round(row.median(OURS).rate)
        for who in (NGINX, STARLETTE):
            figures[f"{name}_vs_{who.lower()}"] = round(row.ratio(who), 3)
            figures[f"{name}_vs_{who.lower()}_cpu"] = round(row.ratio(who, 1), 3)
    return figures | {
        "change_rate": round(change.rate),
        "change_of_peak": round(change.rate / change.peak, 3),
        "change_cpu_share": round(change.cpu_share, 3),
        "latency_p50_ms": round(part(change.latency_ms, 0.5), 3),
        "latency_p99_ms": round(part(change.latency_ms, 0.99), 3),
        "latency_max_ms": round(change.latency_ms[-1], 3),
        "visible_p50_ms": round(part(change.visible_ms, 0.5), 2),
        "visible_p99_ms": round(part(change.visible_ms, 0.99), 2),
        "visible_max_ms": round(change.visible_ms[-1], 2),
        "reads_a_book_second": round(change.reads_a_book_second, 3),
        "unknown_requests": change.unknown_requests,
        "unknown_reads": change.unknown_reads,
    }


if __name__ == "__main__":
    run(main)
