"""The health check of the images: its exit status, and its one line."""

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.infra.conftest import INFRA, Origin


@pytest.fixture
def origin() -> Iterator[Origin]:
    origin = Origin()
    yield origin
    origin.go_away()


def check(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, INFRA / "healthcheck.py", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={"http_proxy": "http://127.0.0.1:1"},
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_an_answer_of_200_is_health_and_no_proxy_is_asked(origin: Origin) -> None:
    assert check(str(origin.port)) == (0, "")
    assert check(str(origin.port), "/api/v3/ping") == (0, "")
    assert origin.asked == ["GET /healthz", "GET /api/v3/ping"]


def test_any_other_answer_is_told(origin: Origin) -> None:
    origin.refuse(503, b"SeaweedFS starts\n")
    assert check(str(origin.port)) == (1, "503 SeaweedFS starts\n")


def test_no_answer_is_told() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    status, said = check(str(port))
    assert (status, said.startswith("no answer: ")) == (1, True)
