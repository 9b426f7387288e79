"""The mirror: which test files are a module's own, and whether they alone run every branch of the pure ones.

A module ``depthcast/store/failure.py`` is tested by ``tests/depthcast/store/test_failure.py``. Where another
file tests it, :data:`ELSEWHERE` says which and why. ``test_mirror.py`` holds that each module has its place.

``python -m tests.packaging.mirror`` runs the own tests of the :data:`PURE` modules, all in one process, and
notes which file of tests ran which branch. It fails where a branch of a pure module was run by other modules'
tests only, or by none. With names of modules behind it, it looks at these alone.
"""

import importlib
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from coverage import Coverage

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("depthcast", "updater", "server", "simulator")


class Elsewhere(NamedTuple):
    """The files below ``tests/`` that test a module which has none of its own name, and why they do."""

    files: tuple[str, ...]
    why: str


def _in(*files: str, why: str) -> Elsewhere:
    return Elsewhere(files, why)


ELSEWHERE: Final[Mapping[str, Elsewhere]] = {
    # What only names or starts others
    "depthcast": _in("packaging/test_extras.py", why="what importing the package brings"),
    "depthcast.__main__": _in("depthcast/cli/test_cli.py", why="one call of the command"),
    "depthcast.aside": _in("depthcast/metadata/test_recorder.py", why="a type, no code"),
    "depthcast.cli.server": _in("depthcast/cli/test_cli.py", why="one lazy import of a program"),
    "depthcast.cli.simulator": _in("depthcast/cli/test_cli.py", why="one lazy import of a program"),
    "depthcast.cli.updater": _in("depthcast/cli/test_cli.py", why="one lazy import of a program"),
    "depthcast.orders": _in("depthcast/orders/test_book.py", why="the names of its modules"),
    "depthcast.rows": _in("depthcast/rows/test_book.py", why="the names of its modules"),
    "depthcast.plan": _in("depthcast/plan/test_workload.py", why="the names of its modules"),
    "depthcast.metadata": _in("depthcast/metadata/test_recorder.py", why="a map, no code"),
    "depthcast.reading": _in("depthcast/reading/test_once.py", why="the names of its modules"),
    "depthcast.heat": _in("depthcast/heat/test_tile.py", why="a map, no code"),
    "depthcast.tape": _in("depthcast/tape/test_segment.py", why="a map, no code"),
    "depthcast.tape.columns": _in("depthcast/tape/test_parquet.py", why="what is read of a file"),
    "depthcast.file_info": _in("depthcast/test_files.py", why="the contract's other half"),
    "depthcast.scheme": _in(
        "depthcast/test_files.py", "depthcast/venues/test_coinbase_files.py", why="types that a venue fills"
    ),
    "depthcast.venues.binance_files": _in(
        "depthcast/test_files.py", "updater/test_warm.py", why="the contract as its first venue has it"
    ),
    "depthcast.venues.answers": _in("depthcast/venues/test_binance.py", why="what answers have alike"),
    "depthcast.venues.requests": _in(
        "depthcast/venues/test_binance_rest.py",
        "depthcast/venues/test_bitmex_rest.py",
        why="what requests have alike",
    ),
    "depthcast.venues.urls": _in("depthcast/venues/test_binance.py", why="one function"),
    "depthcast.venues.cutting": _in("depthcast/test_files.py", why="what cutting a file is made of"),
    "depthcast.venues.schemes": _in("depthcast/test_files.py", why="a list"),
    **dict.fromkeys(
        (f"depthcast.venues.{name}_models" for name in ("binance_futures", "bitmex", "coinbase")),
        _in("depthcast/venues/test_models.py", why="values of one kind, tested beside each other"),
    ),
    "depthcast.venues.keeping": _in("depthcast/venues/test_registry.py", why="values that a venue fills"),
    "depthcast.venues": _in("depthcast/venues/test_binance.py", why="types that a venue fills"),
    "server": _in("server/test_main.py", why="a map, no code"),
    "server.push": _in("server/push/test_hub.py", why="a map, no code"),
    "simulator": _in("simulator/test_main.py", why="a map, no code"),
    "updater": _in("updater/test_main.py", why="a map, no code"),
    "depthcast.cli.stretch": _in("depthcast/cli/test_replay.py", why="what two verbs share"),
    # The library
    "depthcast.books.options": _in("depthcast/books/test_books.py", why="types of the arguments of Books"),
    "depthcast.ccxt": _in("depthcast/ccxt/test_binance.py", why="the file has the exchange's own name"),
    "depthcast.ccxt.aio": _in("depthcast/ccxt/test_binance.py", why="both exchanges pass the same tests"),
    "depthcast.ccxt.asking": _in(
        "depthcast/ccxt/test_binance.py",
        "depthcast/ccxt/test_ending.py",
        why="a base of both exchanges, reached through them",
    ),
    "depthcast.ccxt.ladder": _in(
        "depthcast/ccxt/test_faults.py",
        "depthcast/ccxt/test_server.py",
        why="a base of both exchanges, reached through them",
    ),
    "depthcast.feed.connection": _in("depthcast/feed/test_feed.py", why="a feed's part, over real sockets"),
    "depthcast.feed.fast": _in(
        "depthcast/feed/test_websocket.py", why="both kinds of sockets pass the same tests"
    ),
    "depthcast.feed.line": _in("depthcast/feed/test_feed.py", why="a feed's part, over real sockets"),
    "depthcast.feed.status": _in("depthcast/feed/test_feed.py", why="what a feed tells of itself"),
    "depthcast.keeper.tap": _in("updater/tape/test_recorder.py", why="a recorder is the tap"),
    "depthcast.keeper.live": _in("depthcast/keeper/test_keeper.py", why="the keeper's notes of one book"),
    "depthcast.metadata.history": _in(
        "depthcast/metadata/test_recorder.py", why="what was kept is read back"
    ),
    "depthcast.reading.files": _in("depthcast/reading/test_frames.py", why="files are compared as tables"),
    "depthcast.rest": _in(
        "depthcast/rest/test_rest.py",
        "depthcast/rest/test_silence.py",
        "depthcast/rest/test_peers.py",
        why="a folder with a file for each of requests, silence and shared addresses",
    ),
    "depthcast.side": _in("depthcast/test_book.py", why="what a side promises is its book's"),
    "depthcast.store.memory": _in("conformance/test_store.py", why="all stores pass one suite"),
    # The command
    "depthcast.cli.epoch.published": _in("depthcast/cli/epoch/test_show.py", why="it is what is shown"),
    "depthcast.cli.epoch.settings": _in("depthcast/cli/epoch/test_epoch.py", why="tested by its arguments"),
    "depthcast.cli.fleet": _in("depthcast/cli/fleet/test_run.py", why="one lazy import of run"),
    "depthcast.cli.fleet.settings": _in("depthcast/cli/fleet/test_run.py", why="tested by its arguments"),
    "depthcast.cli.metadata.at": _in(
        "depthcast/cli/metadata/test_metadata.py", why="a verb, run by its arguments"
    ),
    "depthcast.cli.metadata.diff": _in(
        "depthcast/cli/metadata/test_metadata.py", why="a verb, run by its arguments"
    ),
    "depthcast.cli.metadata.documents": _in(
        "depthcast/cli/metadata/test_metadata.py", why="what all verbs read"
    ),
    "depthcast.cli.metadata.log": _in(
        "depthcast/cli/metadata/test_metadata.py", why="a verb, run by its arguments"
    ),
    "depthcast.cli.metadata.settings": _in(
        "depthcast/cli/metadata/test_metadata.py", why="tested by its arguments"
    ),
    "depthcast.cli.metadata.show": _in(
        "depthcast/cli/metadata/test_metadata.py", why="a verb, run by its arguments"
    ),
    "depthcast.cli.metadata.tables": _in(
        "depthcast/cli/metadata/test_metadata.py", why="as they are printed"
    ),
    "depthcast.cli.settings": _in("depthcast/cli/test_settings_page.py", why="the page is what it writes"),
    "depthcast.cli.store": _in("depthcast/cli/store/test_service.py", why="one lazy import of run"),
    "depthcast.cli.store.run": _in("depthcast/cli/store/test_service.py", why="run as a process"),
    "depthcast.cli.store.settings": _in("depthcast/cli/store/test_service.py", why="tested by its arguments"),
    "depthcast.cli.up.board": _in("depthcast/cli/up/test_display.py", why="displays are all that read it"),
    "depthcast.cli.up.figures": _in("depthcast/cli/up/test_display.py", why="as they are on the screen"),
    "depthcast.cli.up.machine": _in("depthcast/cli/up/test_up.py", why="run as a process"),
    "depthcast.cli.up.run": _in("depthcast/cli/up/test_up.py", why="run as a process"),
    "depthcast.cli.up.tether": _in("depthcast/cli/up/test_child.py", why="children that it holds"),
    # The server
    "server.answers": _in("server/test_service.py", why="what every endpoint answers with"),
    "server.health": _in("server/test_app.py", why="two endpoints of the application"),
    "server.openapi_components": _in("server/test_openapi.py", why="one document in several modules"),
    "server.openapi_bitmex": _in("server/test_openapi_venues.py", why="it describes what a mirror answers"),
    "server.openapi_coinbase": _in("server/test_openapi_venues.py", why="it describes what a mirror answers"),
    "server.openapi_futures": _in("server/test_openapi_venues.py", why="it describes what a mirror answers"),
    "server.openapi_past": _in("server/test_past.py", why="it describes what past answers"),
    "server.openapi_spot": _in("server/test_openapi.py", why="one document in several modules"),
    "server.openapi_streams": _in("server/test_openapi.py", why="one document in several modules"),
    "server.openapi_travel": _in("server/test_openapi.py", why="one document in several modules"),
    "server.ping": _in("server/test_service.py", why="two endpoints of the service"),
    "server.pulse": _in("server/test_freshness.py", "server/test_claims.py", why="freshness is judged by it"),
    "server.page": _in("server/page/test_pages.py", why="a map, no code"),
    "server.push.counts": _in("server/push/test_hub.py", why="plain numbers that the hub counts up"),
    "server.push.stream": _in("server/push/test_events.py", why="what a stream of a book is made on"),
    # The simulator
    "simulator.answer": _in("simulator/test_rest.py", "simulator/test_app.py", why="answers that fail"),
    "simulator.bitmex": _in("simulator/bitmex/test_app.py", why="a map, no code"),
    "simulator.bitmex.exchange": _in("simulator/bitmex/test_market.py", why="it holds the markets"),
    "simulator.bitmex.instruments": _in("simulator/bitmex/test_market.py", why="how what it says is spelled"),
    "simulator.bitmex.rest": _in("simulator/bitmex/test_app.py", why="seen from its socket"),
    "simulator.bitmex.rows": _in("simulator/bitmex/test_market.py", why="a market's messages, as written"),
    "simulator.bitmex.settings": _in("simulator/bitmex/test_app.py", why="settings of a simulator"),
    "simulator.connection": _in(
        "simulator/test_session.py", "simulator/bitmex/test_session.py", why="what sessions have alike"
    ),
    "simulator.delivery": _in(
        "simulator/test_streams.py", "simulator/bitmex/test_session.py", why="diffs of every protocol"
    ),
    "simulator.floor": _in("simulator/test_exchange.py", why="what exchanges have alike"),
    "simulator.coinbase": _in("simulator/coinbase/test_app.py", why="a map, no code"),
    "simulator.coinbase.exchange": _in("simulator/coinbase/test_app.py", why="seen from its socket"),
    "simulator.coinbase.journal": _in(
        "simulator/coinbase/test_app.py",
        "properties/test_coinbase_market.py",
        why="asked for as the oracle, and at every sequence",
    ),
    "simulator.coinbase.products": _in("simulator/coinbase/test_app.py", why="how what it says is spelled"),
    "simulator.coinbase.rest": _in("simulator/coinbase/test_app.py", why="seen from its socket"),
    "simulator.coinbase.settings": _in("simulator/coinbase/test_app.py", why="settings of a simulator"),
    "simulator.coinbase.traders": _in("simulator/coinbase/test_engine.py", why="they act on an engine"),
    "simulator.hosting": _in("simulator/test_main.py", why="what all settings have"),
    "simulator.host": _in("simulator/test_app.py", why="a port, seen from outside"),
    "simulator.clock": _in("simulator/test_app.py", why="two clocks that others are given"),
    "simulator.listing": _in("simulator/test_exchange.py", "simulator/test_rest.py", why="what is listed"),
    "simulator.parameters": _in("simulator/test_rest.py", why="refusals of the REST requests"),
    "simulator.settings": _in("simulator/test_app.py", "simulator/test_main.py", why="plain values"),
    # The updater
    "updater.beat": _in("updater/test_replica.py", why="read off a whole replica"),
    "updater.ports": _in("updater/test_publisher.py", why="types that a publisher is given"),
    "updater.report": _in("updater/test_replica.py", "updater/test_metrics.py", why="read off a replica"),
    "updater.rounds": _in(
        "updater/test_publisher.py", "updater/test_writing.py", why="a publisher's requests"
    ),
    "updater.standby": _in("updater/test_takeover.py", why="a standby shows when it takes over"),
    "updater.tape": _in("updater/tape/test_recorder.py", why="a map, no code"),
    "updater.tape.packed": _in("updater/tape/test_reel.py", why="what a reel holds"),
    "updater.status": _in("updater/test_health.py", why="the page /status"),
}
"""Modules that a file of another name tests."""

PURE: Final = (
    "depthcast.errors",
    "depthcast.events",
    "depthcast.book",
    "depthcast.side",
    "depthcast.building",
    "depthcast.sync",
    "depthcast.files",
    "depthcast.file_info",
    "depthcast.scheme",
    "depthcast.symbol_list",
    "depthcast.heartbeat",
    "depthcast.fleet",
    "depthcast.marking",
    "depthcast.backoff",
    "depthcast.weight",
    "depthcast.redaction",
    "depthcast.venues",
    "depthcast.venues.binance",
    "depthcast.venues.answering",
    "depthcast.venues.answers",
    "depthcast.venues.requests",
    "depthcast.venues.selection",
    "depthcast.venues.urls",
    "depthcast.venues.binance_files",
    "depthcast.venues.coinbase_files",
    "depthcast.venues.coinbase_prices",
    "depthcast.venues.coinbase_rest",
    "depthcast.venues.cutting",
    "depthcast.venues.schemes",
    "depthcast.venues.binance_futures",
    "depthcast.venues.binance_futures_rest",
    "depthcast.venues.binance_lists",
    "depthcast.venues.binance_rest",
    "depthcast.venues.binance_signing",
    "depthcast.venues.binance_streams",
    "depthcast.venues.bitmex_lists",
    "depthcast.venues.binance_futures_models",
    "depthcast.venues.bitmex_models",
    "depthcast.venues.coinbase_models",
    "depthcast.venues.bitmex",
    "depthcast.venues.bitmex_files",
    "depthcast.venues.bitmex_rest",
    "depthcast.venues.coinbase",
    "depthcast.venues.coinbase_lists",
    "depthcast.venues.lists",
    "depthcast.venues.shown",
    "depthcast.venues.coinbase_signing",
    "depthcast.orders",
    "depthcast.orders.anomalies",
    "depthcast.orders.book",
    "depthcast.orders.messages",
    "depthcast.rows",
    "depthcast.rows.book",
    "depthcast.rows.comparison",
    "depthcast.rows.messages",
    "depthcast.agreement",
    "depthcast.unsequenced",
    "depthcast.venues.keeping",
    "depthcast.venues.prefixes",
    "depthcast.venues.registry",
    "depthcast.venues.sizes",
    "depthcast.venues.taping",
    "depthcast.store",
    "depthcast.store.failure",
    "depthcast.store.key",
    "depthcast.plan",
    "depthcast.plan.bill",
    "depthcast.plan.prices",
    "depthcast.plan.recording",
    "depthcast.plan.together",
    "depthcast.plan.workload",
    "depthcast.reading.file",
    "depthcast.reading.files",
    "depthcast.reading.frames",
    "depthcast.heat.zooms",
    "depthcast.heat.keys",
    "depthcast.heat.tile",
    "depthcast.heat.steps",
    "depthcast.heat.spans",
    "depthcast.heat.painting",
    "depthcast.heat.gathering",
    "depthcast.heat.manifest",
    "depthcast.tape.keys",
    "depthcast.tape.segment",
    "depthcast.tape.index",
    "depthcast.tape.columns",
    "depthcast.tape.parquet",
    "depthcast.tape.moment",
    "depthcast.tape.asked",
    "depthcast.keeper.live",
    "depthcast.keeper.observer",
    "depthcast.keeper.sources",
    "depthcast.keeper.tasks",
    "depthcast.feed.handover",
    "depthcast.feed.limits",
    "depthcast.feed.pace",
    "depthcast.feed.subscriptions",
    "depthcast.books.changes",
    "depthcast.ccxt.options",
    "depthcast.ccxt.served",
    "depthcast.ccxt.wish",
)
"""The library's modules that are values in, values out, and those around a store or a task that are as good
as that. Each is run whole by its own tests."""


def modules() -> Iterator[str]:
    """The names of all our modules, packages and programs included, without importing one."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def source(module: str) -> Path:
    """A module's file, from the root of the project."""
    path = Path(*module.split("."))
    return path / "__init__.py" if (ROOT / path).is_dir() else path.with_suffix(".py")


def own_file(module: str) -> str:
    """Where its tests are by its name, below ``tests/``."""
    *folders, name = module.split(".")
    if (ROOT / Path(*module.split("."))).is_dir():
        folders.append(name)
    return "/".join((*folders, f"test_{name.strip('_')}.py"))


def files_of(module: str) -> tuple[str, ...]:
    """The files below ``tests/`` that test it, first the one of its name; none where it has no place."""
    named = own_file(module)
    there = (named,) if (ROOT / "tests" / named).exists() else ()
    elsewhere = ELSEWHERE.get(module)
    return there + (elsewhere.files if elsewhere else ())


LEFT_OUT: Final = (
    # Two thousand books of a recording: that they are right is not told by which branches made them.
    "tests/depthcast/tape/test_moment.py::test_at_2000_ids_and_times_of_the_capture_it_is_the_true_book",
    # A minute of five whole fleets: what they say of the formulas, smaller tests show of their branches.
    "tests/depthcast/plan/test_workload.py::test_a_minute_of_a_real_fleet_makes_the_planned_requests",
)
"""Own tests that cost much and run no branch alone."""


class Contexts:
    """A plugin of pytest: says of whatever is run which file of tests ran it."""

    def __init__(self, measured: Coverage) -> None:
        self._measured = measured
        self._file = ""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        file = item.nodeid.partition("::")[0]
        if file != self._file:
            self._file = file
            self._measured.switch_context(file)
        return (yield)


class Gaps:
    """A plugin of pytest: tells at the end what was not run, and ends the process with that in its status."""

    def __init__(self, measured: Coverage, names: Sequence[str]) -> None:
        self._measured = measured
        self._names = names

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self._measured.stop()
        gaps = [line for name in self._names for line in missing(self._measured, name)]
        print("", *gaps, sep="\n")
        if not gaps:
            print(f"{len(self._names)} modules: every branch is run by their own tests")
        elif session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def missing(measured: Coverage, module: str) -> Iterator[str]:
    """What the module's own tests do not run of it. Imports, which no test makes, count for every module."""
    path = source(module)
    own = [f"^tests/{file}$".replace(".", r"\.") for file in files_of(module)]
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        measured.json_report([str(ROOT / path)], outfile=file.name, contexts=["^$", *own])
        [found] = json.loads(Path(file.name).read_text("utf-8"))["files"].values()
    if found["missing_lines"]:
        yield f"{path}: {_share(found)}: not run: lines {', '.join(map(str, found['missing_lines']))}"
    branches = [f"{start}→{end}" for start, end in found["missing_branches"]]
    if branches:
        yield f"{path}: {_share(found)}: not taken: {', '.join(branches)} (0 and less: the end)"


def _share(found: Mapping[str, Any]) -> str:
    return f"{found['summary']['percent_covered']:.1f} %"


def _files(names: Iterable[str]) -> list[str]:
    return sorted({f"tests/{file}" for name in names for file in files_of(name)})


def main(names: Sequence[str]) -> int:
    """Look at these modules, or at all that are pure; 0 where nothing is missing."""
    names = names or PURE
    paths = [str(ROOT / source(name)) for name in names]
    measured = Coverage(data_file=None, branch=True, include=paths, config_file=str(ROOT / "pyproject.toml"))
    # Nothing else is traced: that is half of the time.
    measured.set_option("run:source", None)
    measured.start()
    # No test imports them for the first time: what importing runs would be that test's alone.
    for name in names:
        importlib.import_module(name)
    arguments = ["-q", "--no-cov", "-p", "no:cacheprovider", *_files(names)]
    arguments += [f"--deselect={test}" for test in LEFT_OUT]
    return int(pytest.main(arguments, plugins=[Contexts(measured), Gaps(measured, names)]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
