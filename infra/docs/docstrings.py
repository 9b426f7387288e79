"""Docstrings as Markdown, for the reference pages (an extension of griffe; ``mkdocs.yml`` names it).

The project's docstrings are reStructuredText with few of its forms: roles (``:class:`~a.b.C```), blocks of
code after ``::``, simple tables and examples (``>>>``). Each becomes what Markdown has for it. A role becomes
a link where the reference pages have what it names, and code elsewhere.
"""

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, Final

import griffe

_ROLE: Final = re.compile(r":(?:class|func|meth|mod|data|attr|exc):`(?P<short>~?)(?P<name>[^`<>]+)`")
_BORDER: Final = re.compile(r"^ *=+(?: +=+)+ *$")


class Docstrings(griffe.Extension):
    """Rewrites each docstring once, when all names are known."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """An object was read, and maybe its docstring."""
        mine = obj.extra["depthcast"]
        if obj.docstring is not None and not mine.get("rewritten"):
            mine["rewritten"] = True
            obj.docstring.value = markdown(obj.docstring.value, lambda name: _full_name(obj, name))


def markdown(text: str, full_name: Callable[[str], str]) -> str:
    """A docstring as Markdown. ``full_name`` gives the dotted path of what a role names.

    >>> markdown("See :func:`~a.b.c`::", str)
    'See <autoref optional identifier="a.b.c"><code>c</code></autoref>:'
    """
    lines = list(_tables(text.splitlines()))
    text = "\n".join(_examples(lines))
    text = re.sub(r"(?m)^ *::\n", "", text)
    text = re.sub(r"(?m)(?<=\S)::$", ":", text)
    return _ROLE.sub(lambda role: _link(role, full_name), text)


def _link(role: "re.Match[str]", full_name: Callable[[str], str]) -> str:
    name = role["name"].lstrip(".")
    shown = name.rpartition(".")[2] if role["short"] else name
    # Optional: what has no page stays code, without a warning.
    return f'<autoref optional identifier="{full_name(name)}"><code>{shown}</code></autoref>'


def _full_name(obj: griffe.Object, name: str) -> str:
    """The path of ``name`` as seen from ``obj``: in its class, in its module, or a path already."""
    for scope in (obj, obj.parent, obj.module):
        first, _, rest = name.partition(".")
        if scope is not None and first in scope.members:
            return f"{scope.path}.{first}{'.' * bool(rest)}{rest}"
    try:
        return obj.resolve(name)
    except griffe.NameResolutionError:
        return name


def _tables(lines: list[str]) -> Iterator[str]:
    """Simple tables as Markdown's."""
    at = 0
    while at < len(lines):
        if _BORDER.match(lines[at]) is None:
            yield lines[at]
            at += 1
            continue
        # It ends with a border that an empty line or nothing follows.
        end = next(
            (
                n
                for n in range(at + 1, len(lines))
                if _BORDER.match(lines[n]) and (n + 1 == len(lines) or not lines[n + 1].strip())
            ),
            None,
        )
        if end is None:
            yield lines[at]
            at += 1
            continue
        yield from _table(lines[at : end + 1])
        at = end + 1


def _table(lines: list[str]) -> Iterator[str]:
    starts = [run.start() for run in re.finditer(r"=+", lines[0])]
    edges = list(pairwise([*starts, None]))
    rows: list[list[str]] = []
    headed = False
    for line in lines[1:-1]:
        if _BORDER.match(line):
            headed = True
            continue
        cells = [line[start:end].strip().replace("|", "\\|") for start, end in edges]
        if cells[0] or not rows:
            rows.append(cells)
        else:  # the cell above goes on
            rows[-1] = [f"{above} {more}".strip() for above, more in zip(rows[-1], cells, strict=True)]
    head = rows.pop(0) if headed else [""] * len(starts)
    yield ""
    for cells in (head, ["---"] * len(starts), *rows):
        yield f"| {' | '.join(cells)} |"


def _examples(lines: list[str]) -> Iterator[str]:
    """Examples as blocks of code: by themselves their ``>>>`` would be quotations."""
    inside = False
    for line in lines:
        if not inside and line.lstrip().startswith(">>> "):
            inside = True
            yield "```pycon"
        elif inside and not line.strip():
            inside = False
            yield "```"
        yield line
    if inside:
        yield "```"
