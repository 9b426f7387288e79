"""What people meet is in the documents: verbs and their options, headers, keys, what there is to make.

Held elsewhere: settings (``tests/depthcast/cli/test_settings_page.py``), the updater's metrics
(``tests/updater/test_metrics.py``), the server's metrics, errors, endpoints and the headers of a book
(``tests/server/test_documents.py``), alerts (``tests/infra/test_alerts.py``), promises
(``tests/test_guarantees.py``), public names and references in docstrings (``test_docs.py``).
"""

import ast
import re
from collections.abc import Iterator
from itertools import chain

import pytest

from depthcast import files
from depthcast.cli import VERBS, main
from depthcast.files import STATUS_NAME, FileInfo
from depthcast.heat import keys as heat_keys
from depthcast.metadata import kinds
from depthcast.store.key import check_key
from depthcast.tape import keys as tape_keys
from tests.packaging.parts import ROOT

PAGES = {
    path.name: path.read_text("utf-8") for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
}
DOCUMENTS = "\n".join(PAGES.values())

VERBS_BELOW = {"epoch": ("show", "claim", "mark"), "metadata": ("show", "log", "at", "diff")}

USUAL_HEADERS = {
    # HTTP's own, with what is meant by them everywhere.
    *("accept-encoding", "age", "cache-control", "connection", "content-encoding", "content-length"),
    *("content-type", "date", "etag", "retry-after", "vary", "location", "server"),
}
PREFIXED = re.compile(r"(?i)(?:depthcast|x)-[a-z0-9]+(?:-[a-z0-9]+)*")
NOT_ANSWERED = {
    "depthcast-read": "the name of a pool of threads",
    "x-gzip": "a spelling of gzip that clients may send",
    "x-amz-meta": "how S3 marks metadata",
}


def help_of(*argv: str, capsys: pytest.CaptureFixture[str]) -> str:
    if argv == ("settings",):
        return ""  # It takes no option, --help neither.
    try:
        status: int | str | None = main([*argv, "--help"])
    except SystemExit as done:
        status = done.code
    assert status in (0, None), argv
    return capsys.readouterr().out


def told(option: str) -> bool:
    """Whether a page names the option, or the setting that it sets. ``--no-x`` is told of by ``--x``."""
    name = option.removeprefix("--").removeprefix("no-")
    return bool(re.search(rf"--{name}(?![\w-])|`{name.replace('-', '_')}`", DOCUMENTS))


COMMANDS = [(verb,) for verb in VERBS] + [
    (verb, below) for verb, each in VERBS_BELOW.items() for below in each
]


@pytest.mark.parametrize("argv", COMMANDS, ids=" ".join)
def test_each_verb_and_each_of_its_options_is_in_a_document(
    argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    command = " ".join(("depthcast", *argv))
    assert re.search(rf"\b{command}\b", DOCUMENTS), f"no page says what `{command}` is for"
    text = help_of(*argv, capsys=capsys)
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text)) - {"--help", "--some-"}
    assert [option for option in sorted(options) if not told(option)] == [], f"options of {command}"


def test_the_verbs_below_a_verb_are_those_that_its_help_names(capsys: pytest.CaptureFixture[str]) -> None:
    for verb, below in VERBS_BELOW.items():
        text = help_of(verb, capsys=capsys)
        for each in below:
            assert re.search(rf"\b{each}\b", text)


def strings(folder: str) -> Iterator[str]:
    """All strings and byte strings in the code of a package, docstrings left out."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
                value = node.value
                text = value.decode("latin-1") if isinstance(value, bytes) else value
                if "\n" not in text and " " not in text.strip():
                    yield text.strip().rstrip(":-").lower()


def test_each_header_that_is_ours_is_in_a_document() -> None:
    named = {
        text for text in chain(strings("server"), strings("depthcast/reading")) if PREFIXED.fullmatch(text)
    }
    assert len(named) >= 10
    for header in sorted(named - set(NOT_ANSWERED)):
        assert re.search(rf"`{header}[`:]", DOCUMENTS.lower()), f"no page says what {header} means"
    assert set(NOT_ANSWERED) <= named | {"x-amz-meta"}


def layout() -> dict[str, str]:
    """The table of keys in ``docs/design.md``: what stands there, by the pattern of the key."""
    table = PAGES["design.md"].split("## Keys")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", table, re.MULTILINE))


def test_each_place_of_the_store_is_in_the_table_of_keys() -> None:
    documented = layout()
    built = {
        name: value
        for module in (files, kinds, tape_keys, heat_keys)
        for name, value in vars(module).items()
        if name.endswith(("_PREFIX", "_KEY")) and isinstance(value, str) and not name.startswith("_")
    }
    for scheme in files.SCHEMES.values():
        built |= {f"{scheme.venue} {prefix}": prefix for prefix in scheme.depth_prefixes}
    assert len(built) >= 8
    for name, value in built.items():
        assert any(pattern.startswith(value) for pattern in documented), (
            f"{name}: {value} is not in the table"
        )
    for pattern in documented:
        example = re.sub(r"<[^>]+>", "1", re.sub(r"\[([^\]]+)\]", r"\1", pattern))
        assert check_key(example) == example
        assert any(example.startswith(value) for value in (*built.values(), "probe/", "errors/")), pattern


def test_each_name_beside_a_file_is_in_a_document() -> None:
    info = FileInfo(0, 1, 1, True, True, 1, 1, "a")
    for name in (*info.to_metadata(), STATUS_NAME):
        assert re.search(rf"`(?:x-amz-meta-)?{name}`", PAGES["design.md"]), name


def test_what_there_is_to_make_is_in_the_documents_and_no_more() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert len(targets) > 8
    named = set(re.findall(r"(?:`|^\$ |^    )make ([a-z-]+)", DOCUMENTS, re.MULTILINE))
    assert named == targets
