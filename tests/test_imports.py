"""The dependency rules of ``docs/design.md``, read from the imports themselves."""

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("depthcast", "updater", "server", "simulator")
PURE = (
    "errors",
    "events",
    "book",
    "side",
    "sync",
    "orders",
    "rows",
    "agreement",
    "unsequenced",
    "files",
    "file_info",
    "scheme",
    "symbol_list",
    "heartbeat",
    "fleet",
    "backoff",
    "redaction",
    "weight",
    "venues",
    "metadata/document",
    "metadata/kinds",
    "metadata/changes",
    "metadata/record",
    "metadata/moments",
    "heat/zooms",
    "heat/keys",
    "heat/tile",
    "heat/steps",
    "heat/spans",
    "heat/painting",
    "heat/gathering",
    "heat/manifest",
    "tape/keys",
    "tape/segment",
    "tape/index",
    "tape/columns",
    "tape/parquet",
    "tape/moment",
    "tape/asked",
)
SDKS = {"obstore", "boto3", "botocore", "moto"}


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(path: Path, *, lazy: bool = True) -> tuple[str, ...]:
    """Dotted names that a file imports; ``lazy=False`` leaves out those inside functions."""
    found: list[str] = []
    waiting: list[ast.AST] = [tree(path)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found += (f"{node.module}.{alias.name}" for alias in node.names)
        if lazy or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting.extend(ast.iter_child_nodes(node))
    return tuple(found)


@cache
def tree(path: Path) -> ast.AST:
    """A file, parsed once for all rules."""
    return ast.parse(path.read_text())


def importing(package: str, *forbidden: str, lazy: bool = True) -> list[str]:
    """Modules of ``package`` that import one of ``forbidden`` or anything below it."""
    return [
        f"{name_of(path)} imports {name}"
        for path in sources(package)
        for name in imports(path, lazy=lazy)
        if any(name == other or name.startswith(other + ".") for other in forbidden)
    ]


def test_the_library_names_the_services_only_in_its_command_and_lazily() -> None:
    services = ("updater", "server", "simulator")
    assert importing("depthcast", *services, lazy=False) == []
    named = importing("depthcast", *services)
    assert named
    assert all(line.startswith("depthcast.cli.") for line in named)


def test_services_do_not_know_each_other() -> None:
    assert importing("updater", "server", "simulator") == []
    assert importing("server", "updater", "simulator") == []


def test_the_simulator_stands_alone_as_the_oracle() -> None:
    assert importing("simulator", "depthcast", "updater", "server") == []


@pytest.mark.parametrize("module", PURE)
def test_the_core_is_pure(module: str) -> None:
    place = ROOT / "depthcast" / module
    paths = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    impure = {"asyncio", "threading", "socket", "time", "aiohttp", "websockets", "logging"} | SDKS
    for path in paths:
        assert impure.isdisjoint(name.split(".")[0] for name in imports(path)), name_of(path)


def test_only_the_feed_and_the_servers_own_websocket_import_websockets() -> None:
    assert all(line.startswith("depthcast.feed") for line in importing("depthcast", "websockets"))
    assert importing("updater", "websockets") == []
    lines = importing("server", "websockets")
    assert all(line.startswith("server.push.websocket imports ") for line in lines)


def test_storage_sdks_stop_inside_the_store_package() -> None:
    for package in ("depthcast", "updater", "server"):
        for line in importing(package, *SDKS):
            assert line.startswith("depthcast.store."), line


def test_books_in_ones_own_process_know_no_store_and_no_fleet() -> None:
    lines = importing(
        "depthcast", "depthcast.store", "depthcast.reading", "depthcast.fleet", "depthcast.ccxt"
    )
    assert not [line for line in lines if line.startswith("depthcast.books")]


FAMILIES = ("binance", "coinbase", "bitmex")
"""What the names of the modules of one family of venues begin with."""


def test_a_family_of_venues_knows_no_other_and_not_the_list_of_all() -> None:
    place = ROOT / "depthcast" / "venues"
    for family in FAMILIES:
        known = [name for path in place.glob(f"{family}*.py") for name in imports(path)]
        assert known
        others = [f"depthcast.venues.{other}" for other in FAMILIES if other != family]
        assert not [name for name in known if name.startswith(("depthcast.files", *others))], family


@pytest.mark.parametrize(
    "package", ["depthcast/keeper", "depthcast/feed", "depthcast/books", "depthcast/store"]
)
def test_who_keeps_books_knows_venues_by_their_types_alone(package: str) -> None:
    assert not [
        name
        for path in sources(package)
        for name in imports(path)
        if name.startswith(tuple(f"depthcast.venues.{family}" for family in FAMILIES))
    ]


def test_a_module_that_no_one_imports_is_an_entry_point() -> None:
    entries = {"__main__", "cli"}
    every = {name_of(path) for package in PACKAGES for path in sources(package)}
    used = {name for package in PACKAGES for path in sources(package) for name in imports(path)}
    for _ in ("a name's module", "a module's package"):
        used |= {name.rpartition(".")[0] for name in used}
    orphans = {
        name
        for name in every - used
        if not entries & set(name.split("."))
        and name not in PACKAGES
        and not name.startswith("depthcast.cli.")
        and name != "depthcast.ccxt.aio"
        # Typed values of a venue's documents are there for programs.
        and not name.endswith("_models")
    }
    assert orphans == set()


def test_nothing_of_the_standard_library_is_shadowed() -> None:
    assert not set(PACKAGES) & sys.stdlib_module_names
