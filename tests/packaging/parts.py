"""What each extra of the package is for: which of our modules it makes importable, and what it may bring."""

import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from depthcast.cli import VERBS

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("depthcast", "updater", "server", "simulator")

BASE: Final = ""
"""The part that needs no extra."""

PARTS: Final[Mapping[str, str]] = {
    "depthcast": BASE,
    "depthcast.ccxt": "ccxt",
    "depthcast.feed.fast": "fast",
    "depthcast.store": "s3",
    "depthcast.store.memory": BASE,
    # What services share, none of which a library's user meets.
    "depthcast.fleet": "updater",
    "depthcast.heartbeat": "updater",
    "depthcast.logs": "updater",
    "depthcast.plan": "updater",
    "depthcast.roster": "updater",
    "depthcast.settings": "updater",
    **{entry.module: entry.extra for entry in VERBS.values()},
    # What two verbs share.
    "depthcast.cli.stretch": VERBS["replay"].extra,
    "depthcast.heat": BASE,
    **dict.fromkeys(
        (f"depthcast.heat.{name}" for name in ("album", "gathering", "painting", "spans", "steps", "tile")),
        "tape",
    ),
    "depthcast.tape": "tape",
    "depthcast.tape.keys": BASE,
    "depthcast.tape.segment": BASE,
    "depthcast.tape.index": BASE,
    "depthcast.tape.asked": BASE,
    "updater": "updater",
    "server": "server",
    "simulator": "simulator",
}
"""The extra of a module, and of all below it that are not named here themselves."""

_PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def modules() -> Iterator[str]:
    """The names of all our modules, without importing one."""
    for package in PACKAGES:
        yield package
        yield from (
            ".".join((package, *path.relative_to(ROOT / package).with_suffix("").parts)).removesuffix(
                ".__init__"
            )
            for path in sorted((ROOT / package).rglob("*.py"))
            if path != ROOT / package / "__init__.py" and path.stem != "__main__"
        )


def extra_of(module: str) -> str:
    """The extra that a module belongs to."""
    name = module
    while name not in PARTS:
        name = name.rpartition(".")[0]
    return PARTS[name]


def shown(verb: str) -> list[str]:
    """A command that imports what a verb needs and does nothing."""
    if verb in ("epoch", "metadata"):
        return [verb, "show", "--help"]
    return ["settings"] if verb == "settings" else [verb, "--help"]


def included(extra: str) -> set[str]:
    """The extra, those that it names, and :data:`BASE`: what an installation with it has."""
    found, waiting = {BASE}, {extra} - {BASE}
    while waiting:
        name = waiting.pop()
        found.add(name)
        for requirement in map(Requirement, _PROJECT["optional-dependencies"][name]):
            if requirement.name == _PROJECT["name"]:
                waiting |= requirement.extras - found
    return found


def declared(extra: str) -> list[Requirement]:
    """What ``pyproject.toml`` requires of others with this extra, those that it names included."""
    lists = (
        _PROJECT["optional-dependencies"][name] if name else _PROJECT["dependencies"]
        for name in included(extra)
    )
    found = [Requirement(line) for each in lists for line in each]
    return [requirement for requirement in found if requirement.name != _PROJECT["name"]]


def closure(extra: str) -> set[str]:
    """The distributions that an installation with this extra has, as those installed here tell."""
    found: set[tuple[str, frozenset[str]]] = set()
    waiting = declared(extra)
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), frozenset({"", *requirement.extras})
        if (name, extras) in found or not _applies(requirement, frozenset({""})):
            continue
        found.add((name, extras))
        try:
            lines = requires(name) or []
        except PackageNotFoundError:
            raise LookupError(f"{name} is declared and not installed: pip install -e '.[dev]'") from None
        for each in map(Requirement, lines):
            if _applies(each, extras):
                each.marker = None
                waiting.append(each)
    return {name for name, _ in found}


def _applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras)


@cache
def owners_of_modules() -> Mapping[str, Sequence[str]]:
    """The distributions that a top-level module installed here belongs to."""
    return packages_distributions()


def forbidden(extra: str) -> Collection[str]:
    """The top-level modules that are installed here and are no part of an installation with this extra."""
    allowed = closure(extra)
    return sorted(
        module
        for module, owners in owners_of_modules().items()
        if module not in PACKAGES and allowed.isdisjoint(map(canonicalize_name, owners))
    )
