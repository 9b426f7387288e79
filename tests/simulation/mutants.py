"""``Mutant``: one line of the product changed for the worse, and a process of its own in which it is so.

A suite that finds nothing may have nothing to find, or may not look. So mistakes that people make are planted
in the real modules, one at a time, and the simulation has to find each (:mod:`tests.simulation.planted`).

A module is changed as it is imported: a finder goes before all others and compiles another source in its
place. Nothing is written, to the source or to bytecode, and it is done only in a process that ends with it.
"""

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType


class NotPlanted(Exception):
    """A mutant that cannot be planted: its text is not in the module, or not once, or it is too late."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """``replacement`` stands in ``module`` where ``original`` stood.

    ``breaks`` tells, for people, what the product does then. ``seed``: one that is known to find it, which
    spares a quick look the others. ``also``: further such pairs of the module, for a promise that is held in
    more places than one. ``venue``: the exchange of the runs.
    """

    name: str
    module: str
    original: str
    replacement: str
    breaks: str
    seed: int = 1
    also: tuple[tuple[str, str], ...] = ()
    venue: str = "binance"

    def source(self) -> str:
        """The module's source with the mutant in it. Raises :class:`NotPlanted`."""
        return self.planted_in(path_of(self.module).read_text(encoding="utf-8"))

    def planted_in(self, source: str) -> str:
        """``source``, which is the module's, with the mutant in it. Raises :class:`NotPlanted`."""
        for original, replacement in ((self.original, self.replacement), *self.also):
            found = source.count(original)
            if found != 1:
                raise NotPlanted(f"{self.name}: its original is {found} times in {self.module}, not once")
            if replacement == original:
                raise NotPlanted(f"{self.name}: its replacement is its original")
            source = source.replace(original, replacement)
        return source


def path_of(module: str) -> Path:
    """Where the source of ``module`` is."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise NotPlanted(f"there is no module {module}")
    return Path(spec.origin)


def plant(mutant: Mutant) -> None:
    """From now on ``import`` finds the mutant's module with the mutant in it, in this process.

    Raises :class:`NotPlanted` where the module was imported already.
    """
    if mutant.module in sys.modules:
        raise NotPlanted(f"{mutant.name}: {mutant.module} is imported already")
    sys.meta_path.insert(0, _Finder(mutant))


class _Finder(MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._mutant.module:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or not isinstance(spec.loader, SourceFileLoader):
            raise NotPlanted(f"{self._mutant.name}: {fullname} is no module with a source")
        spec.loader = _Loader(self._mutant, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    """Compiles the mutant's source and passes over any bytecode there is."""

    def __init__(self, mutant: Mutant, path: str) -> None:
        super().__init__(mutant.module, path)
        self._mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        source = self._mutant.planted_in(Path(self.path).read_text(encoding="utf-8"))
        return compile(source, f"{self.path} with {self._mutant.name}", "exec", dont_inherit=True)
