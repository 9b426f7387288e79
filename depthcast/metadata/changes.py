"""Two documents to a list of changes.

Lists whose elements have names (symbols, filters, rate limits, balances) are compared name by name, and the
order of a list is no news: an exchange that writes its symbols in another order has changed nothing. A
change is told at the smallest member that differs::

    symbols/ETHUSDT/filters/LOT_SIZE/stepSize   "0.00100000" -> "0.00010000"

Of ``symbols`` an element more is *listed*, one less is *delisted*. One of each that agree in everything but
their names and status are taken for one that was *renamed*: that is our reading, for an exchange does not
say so. Pure.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from depthcast.metadata.document import Json, write_json

_NAMES: Final = (
    ("symbol",),
    ("filterType",),
    ("rateLimitType", "interval", "intervalNum"),
    ("rateLimitType", "interval"),
    ("asset",),
    ("baseAsset",),
    ("id",),
)
"""What names the elements of a list, the first that does so for all of them."""

_SYMBOLS: Final = "symbols"
_OWN_NAMES: Final = ("symbol", "baseAsset", "status")
"""What may differ between a symbol and the same one under another name."""


class What(Enum):
    """What became of a member."""

    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"
    LISTED = "listed"
    DELISTED = "delisted"
    RENAMED = "renamed"


@dataclass(frozen=True, slots=True)
class Change:
    """One change: ``path`` names the member, ``before`` and ``after`` are its values (``None``: none).

    Of a renamed symbol ``path`` is the new one's, ``before`` and ``after`` the names.
    """

    path: str
    what: What
    before: Any = None
    after: Any = None

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols that it touches; none where it is about the exchange as a whole."""
        parts = self.path.split("/", 2)
        if parts[0] != _SYMBOLS or len(parts) < 2:
            return ()
        named = _unescaped(parts[1])
        return (named, self.before) if self.what is What.RENAMED else (named,)

    def to_json(self) -> Json:
        """As it stands in records."""
        return {"path": self.path, "what": self.what.value, "from": self.before, "to": self.after}

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> "Change":
        """The reverse of :meth:`to_json`. Raises ``ValueError`` or ``KeyError``."""
        path = members["path"]
        if not isinstance(path, str):
            raise ValueError("the path of a change is no text")
        return cls(path, What(members["what"]), members["from"], members["to"])


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Change, ...]:
    """What ``after`` says that ``before`` did not, by path, in the order of ``before``. O(size of both).

    >>> [change] = changes({"symbols": [{"symbol": "A", "x": 1}]}, {"symbols": [{"symbol": "A", "x": 2}]})
    >>> change.path, change.what.value, change.before, change.after
    ('symbols/A/x', 'changed', 1, 2)
    """
    return tuple(_of_members("", before, after))


def _of(path: str, before: Any, after: Any) -> Iterator[Change]:
    lists = isinstance(before, list) and isinstance(after, list)
    names = _names_of(before, after) if lists else None
    if names is not None:
        # Before they are compared as a whole: of thousands of elements that would be one long step.
        yield from _of_named(path, _by_name(before, names), _by_name(after, names))
        return
    if _same(before, after):
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from _of_members(path, before, after)
        return
    if lists and Counter(map(write_json, before)) == Counter(map(write_json, after)):
        return
    yield Change(path, What.CHANGED, before, after)


def _of_members(path: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for name, held in before.items():
        place = _joined(path, name)
        if name not in after:
            yield Change(place, What.REMOVED, held)
        elif held is not after[name]:
            yield from _of(place, held, after[name])
    for name, held in after.items():
        if name not in before:
            yield Change(_joined(path, name), What.ADDED, None, held)


def _of_named(path: str, before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[Change]:
    of_symbols = path == _SYMBOLS
    gone = [name for name in before if name not in after]
    new = [name for name in after if name not in before]
    renamed = _renamed(before, gone, after, new) if of_symbols else {}
    for name, held in before.items():
        if name in after:
            yield from _of(_joined(path, name), held, after[name])
        elif name in renamed:
            place = _joined(path, renamed[name])
            yield Change(place, What.RENAMED, name, renamed[name])
            rest = _without_symbol(held), _without_symbol(after[renamed[name]])
            yield from _of_members(place, *rest)
        else:
            yield Change(_joined(path, name), What.DELISTED if of_symbols else What.REMOVED, held)
    taken = set(renamed.values())
    for name in new:
        if name not in taken:
            what = What.LISTED if of_symbols else What.ADDED
            yield Change(_joined(path, name), what, None, after[name])


def _renamed(
    before: Mapping[str, Json], gone: Sequence[str], after: Mapping[str, Json], new: Sequence[str]
) -> dict[str, str]:
    """Old names to new ones, where exactly one that is gone is like exactly one that is new."""
    if not gone or not new:
        return {}
    old_ones, new_ones = (_alike(held, names) for held, names in ((before, gone), (after, new)))
    return {
        names[0]: new_ones[likeness][0]
        for likeness, names in old_ones.items()
        if len(names) == 1 and len(new_ones.get(likeness, ())) == 1
    }


def _alike(held: Mapping[str, Json], names: Sequence[str]) -> dict[bytes, list[str]]:
    found: dict[bytes, list[str]] = {}
    for name in names:
        members = held[name]
        # Without sizes and a quote asset nothing is left that would tell one symbol from another.
        if members.get("filters") and members.get("quoteAsset"):
            rest = {member: value for member, value in members.items() if member not in _OWN_NAMES}
            found.setdefault(write_json(rest), []).append(name)
    return found


def _without_symbol(members: Json) -> Json:
    return {name: value for name, value in members.items() if name != "symbol"}


def _names_of(before: list[Any], after: list[Any]) -> tuple[str, ...] | None:
    """The members that name each element of both lists, and no two of one list alike."""
    every = [*before, *after]
    if not all(isinstance(each, dict) for each in every):
        return None
    for names in _NAMES:
        if all(isinstance(each.get(name), str | int) for each in every for name in names):
            if all(len(_by_name(each, names)) == len(each) for each in (before, after)):
                return names
            return None
    return None


def _by_name(elements: list[Any], names: tuple[str, ...]) -> dict[str, Json]:
    return {":".join(str(each[name]) for name in names): each for each in elements}


def _same(before: Any, after: Any) -> bool:
    # In Python True == 1 and 1 == Decimal("1.0"); to a reader of JSON they differ.
    if isinstance(before, dict | list):
        return type(before) is type(after) and before == after and write_json(before) == write_json(after)
    return type(before) is type(after) and str(before) == str(after)


def _joined(path: str, name: str) -> str:
    # As in a JSON pointer (RFC 6901): what would end a part of the path is escaped.
    escaped = name.replace("~", "~0").replace("/", "~1")
    return f"{path}/{escaped}" if path else escaped


def _unescaped(name: str) -> str:
    return name.replace("~1", "/").replace("~0", "~")
