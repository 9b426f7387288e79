"""What several packages' tests need: a real store, and an end that does not abort."""

import os
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import hypothesis
import pytest
import structlog

from depthcast.exit import leave
from depthcast.store.embedded import SeaweedFS

# The same examples each time, and none that is judged by how long it takes; or many, and others each time.
hypothesis.settings.register_profile("short", derandomize=True, deadline=None)
hypothesis.settings.register_profile("long", deadline=None, print_blob=True, max_examples=5000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))


@pytest.fixture(scope="session", autouse=True)
def loggers_follow_what_is_configured() -> Iterator[None]:
    """A logger that is kept from its first line on, as in the programs, could not be heard by later tests."""
    configure = structlog.configure

    def configure_anew(**chosen: Any) -> None:
        configure(**chosen | {"cache_logger_on_first_use": False})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structlog, "configure", configure_anew)
        yield


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """A running SeaweedFS: one for each pytest process, started when the first test asks for it."""
    with SeaweedFS(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture
def s3_bucket(seaweedfs: SeaweedFS) -> Mapping[str, str]:
    """An empty place in SeaweedFS: the environment that leads there, ``DEPTHCAST_STORE_URL`` included."""
    return seaweedfs.aws.to_env() | {"DEPTHCAST_STORE_URL": f"{seaweedfs.store_url}/test-{uuid.uuid4().hex}"}


def pytest_report_header() -> str:
    named = os.environ.get("DEPTHCAST_TEST_S3_URL", "none; DEPTHCAST_TEST_S3_URL and AWS_… name one")
    return f"further store for tests/conformance: {named}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "seaweedfs" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.store_process)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    session.config.stash[_STATUS] = int(session.exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    # This process has used obstore, which can abort while the interpreter is taken down (depthcast.exit).
    if not hasattr(config, "workerinput") and _STATUS in config.stash:
        leave(config.stash[_STATUS])


_STATUS = pytest.StashKey[int]()
