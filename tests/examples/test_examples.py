"""What holds for every example: a test runs it, the README names it, and it explains itself."""

import ast
import re
from pathlib import Path

import pytest

from tests.examples.conftest import EXAMPLES

NAMES = sorted(path.name for path in EXAMPLES.glob("*.py"))
TESTS = "\n".join(
    path.read_text("utf-8")
    for path in sorted(Path(__file__).parent.glob("test_*.py"))
    if path != Path(__file__)
)


def test_there_are_examples() -> None:
    assert len(NAMES) >= 3


@pytest.mark.parametrize("name", NAMES)
def test_it_is_run_by_a_test_named_in_the_readme_and_begins_with_what_it_is(name: str) -> None:
    assert f'"{name}"' in TESTS
    assert f"[{name}]({name})" in (EXAMPLES / "README.md").read_text("utf-8")
    assert ast.get_docstring(ast.parse((EXAMPLES / name).read_text("utf-8")))


def test_the_readme_names_no_other() -> None:
    named = re.findall(r"\]\((\w+\.py)\)", (EXAMPLES / "README.md").read_text("utf-8"))
    assert sorted(named) == NAMES
