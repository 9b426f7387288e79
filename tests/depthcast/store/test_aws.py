"""Store URLs and AWS variables: what they mean, and what a wrong one is told."""

from pathlib import Path

import pytest

from depthcast.errors import SettingsError
from depthcast.store import open_store
from depthcast.store.aws import Aws, Location, parse_url
from depthcast.store.memory import MemoryStore
from depthcast.store.s3 import S3Store

KEYS = {"AWS_ACCESS_KEY_ID": "AKEY", "AWS_SECRET_ACCESS_KEY": "TOPSECRET"}


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("s3://depthcast", Location("depthcast", "")),
        ("s3://depthcast/", Location("depthcast", "")),
        ("s3://my.books-1/binance/spot", Location("my.books-1", "binance/spot")),
        ("s3://books/币/", Location("books", "币")),
    ],
)
def test_a_url_names_a_bucket_and_perhaps_a_prefix(url: str, location: Location) -> None:
    assert parse_url(url) == location


@pytest.mark.parametrize(
    "url",
    ["", "books", "http://books", "s3:books", "s3://", "s3:///x", "s3://B", "s3://Books", "s3://a_b_c", "s3://ab",
     "s3://books//x", "s3://books/a/../b", "s3://books/a\\b", "s3://key:pass@host/b"],
)  # fmt: skip
def test_a_url_that_names_no_place_is_one_line(url: str) -> None:
    with pytest.raises(SettingsError) as raised:
        parse_url(url)
    assert "\n" not in str(raised.value)
    assert "pass" not in str(raised.value)


def test_the_usual_variables_are_read() -> None:
    env = KEYS | {
        "AWS_ENDPOINT_URL": "https://s3.example:9000/",
        "AWS_REGION": "eu-central-1",
        "AWS_SESSION_TOKEN": "token",
    }
    assert Aws.from_env(env) == Aws("https://s3.example:9000", "eu-central-1", "AKEY", "TOPSECRET", "token")


def test_what_is_absent_or_empty_has_its_default() -> None:
    assert Aws.from_env({}) == Aws(None, "us-east-1", None, None, None)
    assert Aws.from_env(dict.fromkeys(KEYS, "") | {"AWS_ENDPOINT_URL": "", "AWS_REGION": ""}) == Aws()


def test_the_more_particular_variable_goes_first() -> None:
    env = {
        "AWS_ENDPOINT_URL": "http://all:1",
        "AWS_ENDPOINT_URL_S3": "http://s3:1",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-2",
    }
    aws = Aws.from_env(env)
    assert (aws.endpoint, aws.region) == ("http://s3:1", "eu-west-1")
    assert Aws.from_env({"AWS_DEFAULT_REGION": "eu-west-2"}).region == "eu-west-2"
    assert Aws.from_env(env | {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}).endpoint is None


@pytest.mark.parametrize(
    "endpoint",
    [
        "localhost:9000",
        "ftp://h",
        "http://",
        "http://h:99999",
        "http://h:0",
        "http://h:x",
        "h",
        "http://h/?a=b",
    ],
)
def test_an_endpoint_that_is_no_url_is_refused_before_the_client_sees_it(endpoint: str) -> None:
    with pytest.raises(SettingsError, match=r"AWS_ENDPOINT_URL is not a URL.*http\(s\)://HOST"):
        Aws.from_env({"AWS_ENDPOINT_URL": endpoint})


def test_credentials_in_the_endpoint_are_refused_and_not_shown() -> None:
    with pytest.raises(SettingsError, match="holds credentials") as raised:
        Aws.from_env({"AWS_ENDPOINT_URL": "http://user:hunter2@h:1"})
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("missing", KEYS)
def test_half_a_pair_of_credentials_is_refused(missing: str) -> None:
    with pytest.raises(SettingsError, match=f"{missing} is not set"):
        Aws.from_env({name: value for name, value in KEYS.items() if name != missing})


def test_a_secret_may_be_handed_over_in_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("FROM/FILE+=\n")
    env = {"AWS_ACCESS_KEY_ID": "AKEY", "AWS_SECRET_ACCESS_KEY_FILE": str(secret)}
    assert Aws.from_env(env).secret_access_key == "FROM/FILE+="
    # What the variable itself says goes first.
    assert Aws.from_env(env | KEYS).secret_access_key == "TOPSECRET"


@pytest.mark.parametrize(("held", "why"), [(None, "cannot read"), ("", "one line"), ("a\nb", "one line")])
def test_a_file_that_holds_no_secret_is_named_and_not_shown(
    tmp_path: Path, held: str | None, why: str
) -> None:
    path = tmp_path / "secret"
    if held is not None:
        path.write_text(held)
    with pytest.raises(SettingsError, match=f"AWS_SECRET_ACCESS_KEY_FILE: .*{why}") as raised:
        Aws.from_env({"AWS_ACCESS_KEY_ID": "AKEY", "AWS_SECRET_ACCESS_KEY_FILE": str(path)})
    assert "\n" not in str(raised.value)


def test_a_certificate_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="AWS_CA_BUNDLE names no file"):
        Aws.from_env({"AWS_CA_BUNDLE": str(tmp_path / "none.pem")})
    bundle = tmp_path / "ca.pem"
    bundle.write_text("")
    assert Aws.from_env({"AWS_CA_BUNDLE": str(bundle)}).ca_bundle == bundle


def test_an_environment_made_of_it_reads_back() -> None:
    aws = Aws("http://h:1", "eu-west-1", "AKEY", "TOPSECRET", "token", "profile")
    assert Aws.from_env(aws.to_env()) == aws


def test_secrets_are_not_shown() -> None:
    aws = Aws("http://h:1", "r", "AKEY", "TOPSECRET", "TOKEN")
    assert "TOPSECRET" not in repr(aws)
    assert "TOKEN" not in repr(aws)


def test_a_store_is_opened_by_its_url() -> None:
    assert isinstance(open_store("memory:", {}), MemoryStore)
    store = open_store("s3://books/live", KEYS | {"AWS_ENDPOINT_URL": "http://h:1"})
    assert isinstance(store, S3Store)
    assert store.url == "s3://books/live at http://h:1"
    assert (
        open_store("s3://books", KEYS | {"AWS_REGION": "eu-west-1"}).url
        == "s3://books at Amazon S3 (eu-west-1)"
    )


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY_FILE", "AWS_ACCESS_KEY_ID_FILE", "AWS_CA_BUNDLE"])
@pytest.mark.parametrize("value", ["http://user:hunter2@host/", "/nowhere/" + "x" * 5000])
def test_a_path_that_is_none_is_shown_short_and_without_a_password(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Aws.from_env({name: value})
    assert "hunter2" not in str(caught.value)
    assert len(str(caught.value)) < 400
