"""Each planted mistake is found by the simulation, and each entry says what it is about."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.bugs import MUTANTS
from tests.simulation.mutants import Mutant, NotPlanted, path_of, plant
from tests.simulation.planted import SEEDS, hunt

WITHIN = 60
"""Seeds that are tried where the known one finds it no more, as after a change of the simulation."""

NAMES = [mutant.name for mutant in MUTANTS]


@pytest.mark.parametrize("mutant", MUTANTS, ids=NAMES)
def test_its_text_is_in_the_module_once_and_what_takes_its_place_is_python(mutant: Mutant) -> None:
    compile(mutant.source(), mutant.name, "exec")


def test_each_has_a_name_of_its_own_and_is_another_change() -> None:
    assert len(set(NAMES)) == len(NAMES) >= 16
    assert len({mutant.source() for mutant in MUTANTS}) == len(NAMES)


def test_a_text_that_is_not_there_or_not_once_cannot_be_planted() -> None:
    for original in ("there is no such text", "\n"):
        with pytest.raises(NotPlanted, match="not once"):
            Mutant("none", "depthcast.sync", original, "", "nothing").source()
        with pytest.raises(NotPlanted, match="not once"):
            Mutant("both", "depthcast.sync", "10_000", "7", "nothing", also=((original, ""),)).source()
    with pytest.raises(NotPlanted, match="no module"):
        path_of("depthcast.nowhere")
    with pytest.raises(NotPlanted, match="imported already"):
        plant(Mutant("late", "pytest", "", "", "nothing"))


def test_each_is_a_row_of_the_page_in_which_it_was_found() -> None:
    page = (Path(__file__).parents[2] / "docs" / "simulation.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| (.+?) \| (\d+) \| ([\w ]+) \|$", page, re.M)
    assert [(name, breaks) for name, breaks, _, _ in rows] == [(each.name, each.breaks) for each in MUTANTS]
    assert all(1 <= int(seeds) <= SEEDS for _, _, seeds, _ in rows)


def test_it_is_planted_in_one_process_and_nowhere_else() -> None:
    program = (
        "from tests.simulation.mutants import Mutant, plant\n"
        "plant(Mutant('m', 'depthcast.sync', 'BUFFER: Final = 10_000', 'BUFFER: Final = 7', 'nothing'))\n"
        "import depthcast.sync\n"
        "print(depthcast.sync.BUFFER, depthcast.sync.Sync('X')._buffer.maxlen)\n"
    )
    spoiled = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert spoiled.stdout.split() == ["7", "7"]
    sound = subprocess.run(
        [sys.executable, "-c", "import depthcast.sync; print(depthcast.sync.BUFFER)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert sound.stdout.split() == ["10000"]


@pytest.mark.parametrize("mutant", MUTANTS, ids=NAMES)
def test_the_simulation_finds_it(mutant: Mutant) -> None:
    found = hunt(mutant, seeds=WITHIN, first=mutant.seed)
    assert found.trouble is None
    assert found.found, f"{WITHIN} seeds broke nothing, though {mutant.breaks}"
