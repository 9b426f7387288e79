"""The examples in docstrings are true."""

import doctest
import importlib
import inspect
import pkgutil
from enum import Enum
from typing import Any

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


TRIED = [
    *("backoff", "book", "events", "files", "fleet", "heartbeat", "marking", "redaction", "side", "sync"),
    *(
        "symbol_list",
        "weight",
        "reading.file",
        "venues.binance",
        "venues.binance_futures",
        "venues.binance_futures_rest",
        "venues.binance_lists",
        "venues.binance_rest",
        "venues.answers",
        "venues.bitmex",
        "venues.bitmex_rest",
        "venues.coinbase",
        "venues.coinbase_rest",
        "venues.registry",
        "venues.requests",
        "venues.selection",
        "venues.urls",
    ),
]
"""Modules of the library whose public classes and functions a reader may want to try."""

PLAIN = {
    "events": {"PlainLevels"},
    "book": {"Certainty", "Audit"},
    "files": {"version_of"},
    "fleet": {"score", "Member"},
    "heartbeat": {"FeedBeat", "RestBeat", "WriteBeat", "PollBeat", "SymbolBeat"},
    "symbol_list": {"Entry", "Divided"},
    "weight": {"Reservation"},
    "venues.registry": {"Known", "ByPrice", "Dated"},
    "venues.answers": {"json_object", "listing_object", "text_of", "whole_of"},
    "venues.requests": {"DepthRequest"},
    "venues.binance": {"plain", "other_frame", "symbol_of", "weight_per_minute"},
    "venues.binance_lists": {"TickerRequest", "ExchangeInfoRequest", "select"},
    "venues.binance_rest": {"symbol_of", "status_of", "empty", "not_valid", "unread"},
}
"""What only holds values that others' examples show, or is a step of something that has an example."""


def tried(thing: Any) -> bool:
    """Whether a function, or a class in itself or in one of its methods, has an example."""
    own = [thing]
    if inspect.isclass(thing):
        # Other members have the documentation of their own classes.
        own += (
            each for each in vars(thing).values() if inspect.isroutine(each) or isinstance(each, property)
        )
    return any(">>>" in (inspect.getdoc(getattr(each, "__func__", each)) or "") for each in own)


@pytest.mark.parametrize("name", TRIED)
def test_what_a_reader_may_want_to_try_has_an_example(name: str) -> None:
    module = importlib.import_module(f"depthcast.{name}")
    public = {
        key: thing
        for key, thing in vars(module).items()
        if (inspect.isclass(thing) or inspect.isfunction(thing) or hasattr(thing, "cache_info"))
        and not key.startswith("_")
        and thing.__module__ == module.__name__
        and not (inspect.isclass(thing) and issubclass(thing, Enum))
    }
    assert public
    assert {key for key, thing in public.items() if not tried(thing)} == PLAIN.get(name, set())
