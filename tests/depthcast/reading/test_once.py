"""``depthcast.read`` and its sisters, as a stranger calls them, on a bucket that boto3 wrote."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

import depthcast
from depthcast.errors import SettingsError, UnknownSymbol
from tests.depthcast.reading.conftest import BUCKET, METADATA, body_of

URL = f"s3://{BUCKET}/books"


@pytest.fixture
def written(bucket: Any, moto: Mapping[str, str]) -> Mapping[str, str]:
    """A bucket with two symbols; the environment that leads there."""
    for symbol, update_id in (("ETHUSDT", 7), ("BTCUSDT", 8)):
        for limit in (5, 100, 1000):
            bucket.put_object(
                Bucket=BUCKET,
                Key=f"books/api/v3/depth?symbol={symbol}&limit={limit}",
                Body=body_of(update_id, limit),
                Metadata=METADATA,
                ContentType="application/json",
                ACL="public-read",
            )
    return moto


def test_a_file_is_read_from_a_bucket(written: Mapping[str, str]) -> None:
    file = depthcast.read(URL, "ETHUSDT", 20, env=written)
    true = json.loads(body_of(7, 20))
    assert isinstance(file, depthcast.DepthFile)
    assert [list(level) for level in file.exact_bids] == true["bids"]
    assert [list(level) for level in file.exact_asks] == true["asks"]
    assert (file.update_id, file.epoch, file.replica) == (7, 3, "host-1")
    assert len(depthcast.read(URL, "ETHUSDT", env=written).bids) == 100


def test_many_are_read_at_once(written: Mapping[str, str]) -> None:
    files = depthcast.read_many(URL, ["BTCUSDT", "NOSUCH", "ETHUSDT"], 5, skip_missing=True, env=written)
    assert {symbol: file.update_id for symbol, file in files.items()} == {"BTCUSDT": 8, "ETHUSDT": 7}
    assert files.to_polars().height == 20


def test_the_same_bucket_over_http(written: Mapping[str, str]) -> None:
    url = f"{written['AWS_ENDPOINT_URL']}/{BUCKET}/books"
    assert depthcast.read(url, "BTCUSDT", 7).body == body_of(8, 7)


def test_variables_are_taken_from_the_environment(
    written: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in written.items():
        monkeypatch.setenv(name, value)
    assert depthcast.read(URL, "ETHUSDT", 5).update_id == 7


async def test_where_an_event_loop_runs_both_forms_work(written: Mapping[str, str]) -> None:
    # The loop of a notebook: its cells may call the plain form, too.
    assert depthcast.read(URL, "ETHUSDT", 5, env=written).update_id == 7
    assert (await depthcast.read_async(URL, "ETHUSDT", 5, env=written)).update_id == 7
    files = await depthcast.read_many_async(URL, ["ETHUSDT"], 5, env=written)
    assert list(files) == ["ETHUSDT"]
    async with depthcast.Reader(URL, env=written) as reader:
        both = await asyncio.gather(reader.read("ETHUSDT", 5), reader.read("BTCUSDT", 5))
    assert [file.update_id for file in both] == [7, 8]


def test_errors_come_through(written: Mapping[str, str]) -> None:
    with pytest.raises(UnknownSymbol):
        depthcast.read(URL, "NOSUCH", env=written)
    with pytest.raises(SettingsError):
        depthcast.read("bucket", "ETHUSDT")


@pytest.mark.parametrize("name", ["obstore", "boto3", "httptools"])
def test_without_the_packages_for_buckets_it_says_what_brings_them(name: str) -> None:
    code = (
        f"import sys; sys.modules[{name!r}] = None\n"
        "import depthcast\n"
        "try: depthcast.read('s3://books', 'ETHUSDT', env={})\n"
        "except ImportError as error: print(type(error).__name__, error, sep=': ')"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert said == (
        f"ExtraMissing: an s3:// store needs {name}, which is not installed; "
        "run: pip install 'depthcast[s3]'\n"
    )


def test_public_names_are_there_and_importing_the_package_brings_nothing_else() -> None:
    for name in depthcast.__all__:
        assert name in dir(depthcast)
        assert getattr(depthcast, name) is not None
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = depthcast.nothing_such
    loaded = subprocess.run(
        [sys.executable, "-c", "import depthcast, sys; print(*{name.split('.')[0] for name in sys.modules})"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.split()
    assert not {"aiohttp", "asyncio", "orjson", "websockets", "obstore", "pydantic"} & set(loaded)
