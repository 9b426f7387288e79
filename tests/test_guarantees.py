"""Each promise of ``docs/guarantees.md`` names tests that show it, and those tests exist."""

import ast
import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "guarantees.md"
NOT_PROMISED = "What is not promised"

_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+(?:::\w+)?)`")
_SPAN = re.compile(r"`[^`]*`")


class Line(NamedTuple):
    """One line of the page, and the tests that it names as (file, test) pairs."""

    section: str
    text: str
    tests: tuple[tuple[str, str], ...]


def lines_of(page: str) -> list[Line]:
    """The items of all lists, the nested ones being part of the item that they stand under."""
    found: list[Line] = []
    section = ""
    for line in page.splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif line.startswith("- "):
            found.append(Line(section, line, ()))
        elif line.startswith(" ") and found:
            last = found.pop()
            named = tuple((file, test) for file, test in _TEST.findall(line))
            found.append(Line(last.section, f"{last.text} {line.strip()}", last.tests + named))
    return found


@lru_cache
def functions_in(file: str) -> frozenset[str]:
    """The names of the tests in a file, those in classes as ``Class::test``."""
    found = set()
    for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{name}" for name in _functions(node.body)}
        else:
            found |= _functions([node])
    return frozenset(found)


def _functions(nodes: list[ast.stmt]) -> set[str]:
    functions = (node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


def without_a_test(lines: list[Line]) -> list[str]:
    """The promises that name no test."""
    return [line.text for line in lines if line.section != NOT_PROMISED and not line.tests]


def not_there(lines: list[Line]) -> list[str]:
    """The tests that are named and do not exist."""
    named = {each for line in lines for each in line.tests}
    return sorted(
        f"{file}::{test}"
        for file, test in named
        if not (ROOT / file).is_file() or test not in functions_in(file)
    )


LINES = lines_of(PAGE.read_text(encoding="utf-8"))


def test_every_promise_names_a_test_that_shows_it() -> None:
    assert without_a_test(LINES) == []
    assert len([line for line in LINES if line.tests]) > 50


def test_every_test_that_is_named_exists() -> None:
    assert not_there(LINES) == []


def test_a_line_names_each_test_once_and_in_a_form_that_is_read() -> None:
    for line in LINES:
        assert len(set(line.tests)) == len(line.tests), line.text
        spans = [span for span in _SPAN.findall(line.text) if span.startswith("`tests/")]
        assert len(spans) == len(line.tests), f"one of these is not read: {spans}"


def test_every_section_has_promises_and_the_last_one_says_what_is_not_promised() -> None:
    sections = re.findall(r"^## (.*)$", PAGE.read_text(encoding="utf-8"), re.M)
    assert sections == list(dict.fromkeys(line.section for line in LINES))
    assert sections[-1] == NOT_PROMISED


@pytest.mark.parametrize(
    "named",
    [
        "tests/test_guarantees.py::test_nobody_wrote",
        "tests/test_nothing.py::test_a",
        "tests/test_imports.py::Class::test_a",
    ],
)
def test_a_promise_without_a_test_and_a_test_that_is_not_there_are_found(named: str) -> None:
    bare = lines_of(
        "## Files\n\n- It is **good**.\n- It is\n  better.\n    - `tests/test_guarantees.py::LINES`\n"
    )
    assert without_a_test(bare) == ["- It is **good**."]
    assert not_there(bare) == ["tests/test_guarantees.py::LINES"]
    assert not_there(lines_of(f"## Files\n\n- It is.\n    - `{named}`\n")) == [named]
