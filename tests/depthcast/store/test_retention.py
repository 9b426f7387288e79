"""Lifecycle rules: ours are set and taken away, others' stay, and nothing in force expires by ours."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import pytest
from moto import mock_aws

from depthcast.errors import AccessDenied, BucketMissing, SettingsError
from depthcast.files import BINANCE, depth_key, heartbeat_key
from depthcast.metadata.kinds import PUBLIC, account, commission
from depthcast.store import retention
from depthcast.store.aws import Aws
from depthcast.store.bucket import client_of, ensure_bucket
from depthcast.store.embedded import SeaweedFS
from depthcast.store.retention import RULES, dangers, merged, retain, retention_rules

URL = "s3://books"
ENV = Aws(None, "us-east-1", "k", "s").to_env()


def rule(name: str, prefix: str, days: int = 3, **more: Any) -> dict[str, Any]:
    return {
        "ID": name,
        "Status": "Enabled",
        "Filter": {"Prefix": prefix},
        "Expiration": {"Days": days},
        **more,
    }


UPLOADS = {
    "ID": "unfinished",
    "Status": "Enabled",
    "Filter": {"Prefix": ""},
    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
}


@pytest.fixture
def client() -> Iterator[Any]:
    """A bucket at moto, in this process, and an independent client of it."""
    with mock_aws():
        made = boto3.client("s3", region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s")
        made.create_bucket(Bucket="books")
        yield made


def in_bucket(client: Any) -> list[Any]:
    found: list[Any] = client.get_bucket_lifecycle_configuration(Bucket="books")["Rules"]
    return found


def test_rules_are_set_changed_and_taken_away_and_others_stay(client: Any) -> None:
    assert retention_rules(URL, ENV) == ()
    change = retain(URL, {"history": 400, "accounts": 400}, ENV)
    ours = [
        rule("depthcast-history", "history/", 400),
        rule("depthcast-accounts", "private/history/", 400),
    ]
    assert (list(change.before), list(change.after), in_bucket(client)) == ([], ours, ours)
    others = [rule("logs", "logs/"), UPLOADS]
    client.put_bucket_lifecycle_configuration(
        Bucket="books", LifecycleConfiguration={"Rules": [others[0], *ours, others[1]]}
    )
    retain(URL, {"history": 30, "tape": 7}, ENV)
    assert in_bucket(client) == [
        others[0],
        rule("depthcast-history", "history/", 30),
        ours[1],
        others[1],
        rule("depthcast-tape", "tape/", 7),
    ]
    retain(URL, dict.fromkeys(RULES, 0), ENV)
    assert in_bucket(client) == others


def test_the_last_rule_taken_away_leaves_none(client: Any) -> None:
    retain(URL, {"tape": 7}, ENV)
    assert list(retain(URL, {"tape": 0}, ENV).after) == []
    assert retention_rules(URL, ENV) == ()
    assert list(retain(URL, {"tape": 0}, ENV).after) == []


def test_seaweedfs_keeps_the_rules(seaweedfs: SeaweedFS) -> None:
    there = seaweedfs.aws.to_env()
    ensure_bucket("s3://retained", there)
    for days in (400, 30):
        change = retain("s3://retained/live", {"history": days}, there)
        assert list(change.after) == [rule("depthcast-history/live", "live/history/", days)]
    assert list(retain("s3://retained/live", {"history": 0}, there).after) == []


def test_what_is_so_already_is_not_written(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # As a template may have written it: the prefix in its older place.
    older = {
        "ID": "depthcast-history",
        "Status": "Enabled",
        "Prefix": "history/",
        "Expiration": {"Days": 400},
    }
    assert merged([older], {"history": 400}) == [older]
    retain(URL, {"history": 400}, ENV)
    asked: list[str] = []

    def watched(aws: Aws, timeout_s: float) -> Any:
        made = client_of(aws, timeout_s)
        made.meta.events.register("before-call.s3.*", lambda model, **_: asked.append(model.name))
        return made

    monkeypatch.setattr(retention, "client_of", watched)
    assert len(retain(URL, {"history": 400}, ENV).after) == 1
    assert asked == ["GetBucketLifecycleConfiguration"]


def test_a_prefix_is_written_as_the_other_rules_have_it() -> None:
    older = {"ID": "x", "Status": "Enabled", "Prefix": "x/", "Expiration": {"Days": 3}}
    made = merged([older], {"tape": 7})[1]
    assert (made["Prefix"], "Filter" in made) == ("tape/", False)


def test_a_rule_of_another_name_for_the_same_keys_is_in_the_way() -> None:
    with pytest.raises(SettingsError, match="rule 'mine' expires tape/ already"):
        merged([rule("mine", "tape/")], {"tape": 7})
    # Taking ours away is not hindered by it, and a rule for parts of uploads is none of that kind.
    assert merged([rule("mine", "tape/")], {"tape": 0}) == [rule("mine", "tape/")]
    uploads = UPLOADS | {"Filter": {"Prefix": "tape/"}}
    assert merged([uploads], {"tape": 7}) == [uploads, rule("depthcast-tape", "tape/", 7)]


@pytest.mark.parametrize("days", [-1, 36_501])
def test_days_that_are_none_are_refused(days: int) -> None:
    with pytest.raises(SettingsError, match="no number of days"):
        merged([], {"tape": days})


def test_no_rule_of_ours_is_about_what_is_in_force() -> None:
    kinds = [*PUBLIC, account("a"), commission("a", "X")]
    kept = [depth_key("X", 5), heartbeat_key("a"), "probe/x", "errors/x.json"]
    kept += [key for kind in kinds for key in (kind.key, kind.head_key)] + [PUBLIC[0].cut_key("X")]
    for key in kept:
        assert not key.startswith(tuple(RULES.values()))
        # ... and each is among what others' rules are looked through for.
        assert key.startswith(retention.KEPT)
    for kind in kinds:
        assert kind.history_folder.startswith(tuple(RULES.values()))
    assert depth_key("X", 5).startswith(BINANCE.public_prefixes)


@pytest.mark.parametrize("prefix", ["", "a", "api/v3/", "metadata/", "private/", "fleet/x"])
@pytest.mark.parametrize("store", ["", "live"])
def test_a_rule_that_would_expire_what_is_in_force_is_told(prefix: str, store: str) -> None:
    about = f"{store}/{prefix}" if store and prefix else prefix
    [told] = dangers([rule("rogue", about)], store)
    assert "rule 'rogue' expires or moves what is below" in told
    whole = {"ID": "all", "Status": "Enabled", "Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]}
    assert len(list(dangers([whole], store))) == 1


def test_rules_that_do_no_harm_are_not_told() -> None:
    harmless = [
        UPLOADS,
        rule("off", "api/", Status="Disabled"),
        rule("logs", "logs/"),
        rule("part", "history/exchangeInfo/"),
        *merged([], dict.fromkeys(RULES, 5)),
    ]
    assert list(dangers(harmless)) == []
    assert list(dangers([rule("other store", "api/")], "live")) == []


def test_what_the_store_refuses_is_told_in_its_words(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BucketMissing):
        retain("s3://no-such-bucket", {"tape": 7}, ENV)
    with pytest.raises(SettingsError):
        retention_rules("memory:", ENV)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    nobody: Mapping[str, str] = {"AWS_REGION": "us-east-1"}
    with pytest.raises(AccessDenied):
        retain(URL, {"tape": 7}, nobody)
