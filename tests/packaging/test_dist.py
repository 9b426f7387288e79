"""The wheel and the sdist: what is in them, and that the one is made of the other."""

import subprocess
import sys
import tarfile
import zipfile
from email.parser import BytesParser
from pathlib import Path
from typing import NamedTuple

import pytest

from depthcast import __version__
from tests.packaging.parts import PACKAGES, ROOT

BUILD_TIMEOUT_S = 120


class Built(NamedTuple):
    """What was built: the sdist, the wheel made of it, and the wheel made of the checkout."""

    sdist: Path
    wheel: Path
    direct: Path

    def names(self) -> set[str]:
        """The wheel's files."""
        with zipfile.ZipFile(self.wheel) as wheel:
            return set(wheel.namelist())

    def text(self, name: str) -> bytes:
        """One file of the wheel's own information."""
        with zipfile.ZipFile(self.wheel) as wheel:
            return wheel.read(f"depthcast-{__version__}.dist-info/{name}")


def build(folder: Path, *options: str) -> None:
    """Build the checkout with the tools that are installed here, so that no index is needed."""
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, *options, ROOT],
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    both, direct = tmp_path_factory.mktemp("both"), tmp_path_factory.mktemp("direct")
    build(both)  # an sdist, and a wheel out of it
    build(direct, "--wheel")
    (sdist,), (wheel,), (other,) = both.glob("*.tar.gz"), both.glob("*.whl"), direct.glob("*.whl")
    return Built(sdist, wheel, other)


def test_the_wheel_has_our_modules_and_nothing_else(built: Built) -> None:
    info = f"depthcast-{__version__}.dist-info"
    names = built.names()
    assert {name.split("/")[0] for name in names} == {*PACKAGES, info}
    sources = {str(path.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == sources
    assert "depthcast/py.typed" in names
    assert "depthcast/plan/prices.toml" in names
    assert not any("__pycache__" in name or name.endswith(".pyc") or "test" in name for name in names)


def test_the_wheel_says_who_may_use_it_and_how(built: Built) -> None:
    assert built.text("licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert built.text("entry_points.txt").split() == [
        b"[console_scripts]",
        b"depthcast",
        b"=",
        b"depthcast.cli:command",
    ]
    metadata = BytesParser().parsebytes(built.text("METADATA"))
    assert (metadata["Name"], metadata["Version"]) == ("depthcast", __version__)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    extras = {"s3", "updater", "server", "simulator", "store", "up", "ccxt", "frames", "all"}
    assert extras <= set(metadata.get_all("Provides-Extra") or ())
    plain = [line for line in metadata.get_all("Requires-Dist") or () if "extra ==" not in line]
    assert sorted(line.split("<")[0].split(">")[0] for line in plain) == [
        "aiohttp",
        "orjson",
        "sortedcontainers",
        "websockets",
        "yarl",
    ]


def test_the_sdist_holds_what_a_stranger_needs_to_test_and_to_build(built: Built) -> None:
    with tarfile.open(built.sdist) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    for wanted in (
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "Makefile",
        "mkdocs.yml",
        "requirements.lock",
        "docker-compose.yml",
        "docs/design.md",
        "docs/index.md",
        "examples/README.md",
        "infra/Dockerfile",
        "tests/conftest.py",
        "tests/packaging/test_dist.py",
        "bench/book.py",
        "soak/__main__.py",
    ):
        assert wanted in names
    assert not any(".venv" in name or "__pycache__" in name or name.startswith(".git/") for name in names)


def test_the_sdist_builds_the_wheel_that_the_checkout_builds(built: Built) -> None:
    def contents(path: Path) -> dict[str, bytes]:
        with zipfile.ZipFile(path) as wheel:
            return {name: wheel.read(name) for name in wheel.namelist()}

    assert contents(built.wheel) == contents(built.direct)
