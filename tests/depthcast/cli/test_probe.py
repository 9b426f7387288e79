"""``depthcast probe``, from its arguments to its exit status."""

from collections.abc import Mapping

import pytest

from depthcast import cli
from depthcast.store.bucket import bucket_exists


@pytest.fixture
def at_the_store(s3_bucket: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty place; the environment leads there."""
    for name, value in s3_bucket.items():
        monkeypatch.setenv(name, value)
    return s3_bucket["DEPTHCAST_STORE_URL"]


def test_a_fit_store_is_shown_step_by_step(at_the_store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["probe"]) == 0
    told = capsys.readouterr()
    assert "a stale ETag is refused" in told.out
    assert told.out.rstrip().endswith("can be used")
    assert at_the_store in told.out
    assert told.err == ""


def test_a_missing_bucket_is_one_line_and_created_where_that_is_asked(
    at_the_store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["probe", "--store-url", "s3://made-by-probe"]) == 1
    told = capsys.readouterr()
    assert "failed" in told.out
    assert told.err.count("\n") == 1
    assert "the bucket of s3://made-by-probe at http://127.0.0.1:" in told.err
    assert not bucket_exists("s3://made-by-probe")
    assert cli.main(["probe", "--store-url", "s3://made-by-probe", "--create-bucket"]) == 0
    assert bucket_exists("s3://made-by-probe")


def test_wrong_credentials_are_one_line(
    at_the_store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    assert cli.main(["probe"]) == 1
    told = capsys.readouterr().err
    assert "correct AWS_SECRET_ACCESS_KEY" in told
    assert "hunter2" not in told


def test_a_store_that_is_away_is_one_line(
    at_the_store: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    unused_tcp_port: int,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused_tcp_port}")
    assert cli.main(["probe"]) == 1
    assert "nothing listens there; start the store or correct AWS_ENDPOINT_URL" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["--timeout-s", "0"], ["--store-url", "http://x"], ["--frobnicate"]])
def test_a_setting_that_cannot_be_used_is_the_caller_s_fault(argv: list[str]) -> None:
    assert cli.main(["probe", *argv]) == 2


def test_memory_can_be_probed_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["probe", "--store-url", "memory:", "--create-bucket"]) == 0
    assert "memory: can be used" in capsys.readouterr().out
