"""The examples in docstrings are true."""

import doctest
import importlib
import pkgutil

import pytest

import depthcast
import server
import simulator
import updater

MODULES = [
    info.name
    for package in (depthcast, updater, server, simulator)
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not info.name.endswith("__main__")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_true(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
