"""``depthcast retention``, from its arguments to its exit status."""

from collections.abc import Mapping

import pytest

from depthcast import cli
from depthcast.store.aws import Aws
from depthcast.store.bucket import client_of, ensure_bucket


@pytest.fixture
def bucket(s3_bucket: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of its own in SeaweedFS, without rules; the environment leads there."""
    for name, value in s3_bucket.items():
        monkeypatch.setenv(name, value)
    name = s3_bucket["DEPTHCAST_STORE_URL"].rpartition("/")[2]
    monkeypatch.setenv("DEPTHCAST_STORE_URL", f"s3://{name}")
    ensure_bucket(f"s3://{name}")
    return name


def shown(capsys: pytest.CaptureFixture[str]) -> list[list[list[str]]]:
    """The words of each rule, of each table."""
    tables: list[list[list[str]]] = []
    for line in capsys.readouterr().out.splitlines():
        words = line.split()
        if words in (["before"], ["now"]):
            tables.append([])
        elif words and words[0] != "rule":
            tables[-1].append(words)
    return tables


def test_rules_are_shown_and_set_and_taken_away(bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["retention"]) == 0
    assert "none: everything is kept for ever" in capsys.readouterr().out
    days = ("--history-days", "400", "--tape-days", "30", "--heat-days", "90")
    assert cli.main(["retention", *days]) == 0
    before, now = shown(capsys)
    assert before == [["none:", "everything", "is", "kept", "for", "ever"]]
    assert now == [
        ["depthcast-history", "history/", "expires", "after", "400", "days", "ours"],
        ["depthcast-accounts", "private/history/", "expires", "after", "400", "days", "ours"],
        ["depthcast-tape", "tape/", "expires", "after", "30", "days", "ours"],
        ["depthcast-heat", "heat/", "expires", "after", "90", "days", "ours"],
    ]
    assert cli.main(["retention", "--history-days", "400"]) == 0
    assert shown(capsys) == [now]
    assert cli.main(["retention", "--history-days", "0", "--tape-days", "0", "--heat-days", "0"]) == 0
    assert shown(capsys) == [now, before]


def test_a_rule_that_would_expire_books_is_told_and_fails(
    bucket: str, s3_bucket: Mapping[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    rogue = {
        "ID": "tidy",
        "Status": "Enabled",
        "Filter": {"Prefix": "api/"},
        "Expiration": {"Days": 1},
    }
    client_of(Aws.from_env(s3_bucket), 5).put_bucket_lifecycle_configuration(
        Bucket=bucket,
        LifecycleConfiguration={"Rules": [rogue]},  # type: ignore[list-item]
    )
    assert cli.main(["retention"]) == 1
    assert "rule 'tidy' expires or moves what is below api/: take it away" in capsys.readouterr().out
    assert cli.main(["retention", "--tape-days", "3"]) == 1
    assert "depthcast-tape" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--store-url", "memory:"], "memory: keeps nothing"),
        (["--history-days", "-1"], "history-days"),
        (["--tape-days", "99999"], "no number of days"),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    bucket: str, argv: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["retention", *argv]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
