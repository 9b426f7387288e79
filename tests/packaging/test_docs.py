"""The documentation: it builds without a warning, needs no other host, and its references are true."""

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest

import depthcast
from tests.infra.conftest import script
from tests.packaging.parts import ROOT, modules

BUILD_TIMEOUT_S = 120


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built pages."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Fetched(HTMLParser):
    """What a browser fetches by itself to show a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in ("script", "img", "iframe", "source", "video", "audio"):
            self.found.append(given.get("src", ""))
        if tag == "link" and given.get("rel") not in ("canonical", "next", "prev"):
            self.found.append(given.get("href", ""))


def test_no_page_fetches_anything_from_another_host(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        text = page.read_text("utf-8")
        fetched = Fetched(text).found
        assert fetched
        assert not [each for each in fetched if re.match(r"(?:[a-z]+:)?//", each)], page
    for style in site.rglob("*.css"):
        assert not re.findall(r"url\(\"?(?:https?:)?//|@import\s+\"?(?:https?:)?//", style.read_text("utf-8"))


def test_each_public_name_has_its_place_in_the_reference(site: Path) -> None:
    pages = "".join(page.read_text("utf-8") for page in (site / "reference").glob("*.html"))
    for name in depthcast.__all__:
        if not name.startswith("__"):
            assert f'id="depthcast.{name}"' in pages, name


def test_roles_become_links_or_code_and_none_is_left_over(site: Path) -> None:
    for page in (site / "reference").glob("*.html"):
        text = page.read_text("utf-8")
        assert not re.findall(r":(?:class|func|meth|mod|data|attr|exc):", text), page
        assert "<autoref" not in text
    reading = (site / "reference" / "reading.html").read_text("utf-8")
    assert 'href="errors.html#depthcast.errors.UnknownSymbol"' in reading


def roles() -> Iterator[tuple[str, str]]:
    """Each module of the library, and the full names that roles in its docstrings give."""
    role = re.compile(r":(?:class|func|meth|mod|data|attr|exc):`~?(?P<name>[A-Za-z_.]+)`")
    for name in modules():
        path = ROOT / name.replace(".", "/")
        source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        for found in role.finditer(source.read_text("utf-8")):
            if found["name"].split(".")[0] in ("depthcast", "updater", "server", "simulator"):
                yield name, found["name"]


def there_is(name: str) -> bool:
    """Whether a dotted name is that of a module or of something in one."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            fields = getattr(found, "model_fields", {}) | getattr(found, "__annotations__", {})
            if not hasattr(found, part) and part not in fields:
                return False
            found = getattr(found, part, None)
        return True
    return False


def test_what_docstrings_refer_to_is_there() -> None:
    given = sorted(set(roles()))
    assert len(given) > 100
    assert [f"{module}: {name}" for module, name in given if not there_is(name)] == []


@pytest.fixture
def extension() -> ModuleType:
    """What turns docstrings into Markdown."""
    return script("docs/docstrings.py")


class TestDocstrings:
    """How a docstring becomes Markdown."""

    def markdown(self, extension: ModuleType, text: str) -> str:
        made: str = extension.markdown(text, lambda name: f"full.{name}")
        return made

    def test_roles(self, extension: ModuleType) -> None:
        assert self.markdown(extension, "See :class:`~a.b.C` and :meth:`close`.") == (
            'See <autoref optional identifier="full.a.b.C"><code>C</code></autoref> and '
            '<autoref optional identifier="full.close"><code>close</code></autoref>.'
        )

    def test_blocks_of_code(self, extension: ModuleType) -> None:
        text = "As here::\n\n    code\n\nor\n\n::\n\n    code"
        assert self.markdown(extension, text) == "As here:\n\n    code\n\nor\n\n\n    code"

    def test_examples(self, extension: ModuleType) -> None:
        assert self.markdown(extension, "Text.\n\n>>> 1 + 1\n2\n\nMore.") == (
            "Text.\n\n```pycon\n>>> 1 + 1\n2\n```\n\nMore."
        )
        assert self.markdown(extension, ">>> 1\n1") == "```pycon\n>>> 1\n1\n```"

    def test_tables_with_and_without_a_head(self, extension: ModuleType) -> None:
        table = "====  =====\na     b | c\n\n      more\n====  =====".replace("\n\n", "\n")
        assert self.markdown(extension, f"{table}\n\nText.") == (
            "\n|  |  |\n| --- | --- |\n| a | b \\| c more |\n\nText."
        )
        headed = "==  ==\nx   y\n==  ==\n1   2\n==  =="
        assert self.markdown(extension, headed) == "\n| x | y |\n| --- | --- |\n| 1 | 2 |"
