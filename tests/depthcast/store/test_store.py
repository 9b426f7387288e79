"""Which store a URL opens, and what is said where it cannot; what no store can be asked for."""

import builtins
import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

import pytest

import depthcast
import server
import updater
from depthcast.errors import ExtraMissing, SettingsError
from depthcast.store import Store, open_store
from depthcast.store.memory import MemoryStore
from depthcast.store.reading import ReadingS3Store
from depthcast.store.s3 import S3Store

AWS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "hidden", "AWS_REGION": "us-east-1"}
AWS |= {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}


async def test_memory_is_a_store_of_this_process_alone() -> None:
    one, other = open_store("memory:", {}), open_store("memory:", {})
    assert isinstance(one, MemoryStore)
    await one.put_if("k", b"x", match=None)
    assert await other.get("k") is None


@pytest.mark.parametrize("url", ["s3://books", "s3://books/live"])
async def test_a_bucket_is_opened_without_a_word_to_it(url: str) -> None:
    store = open_store(url, AWS)
    assert isinstance(store, S3Store)
    assert url in store.url
    assert "hidden" not in store.url
    await store.close()


async def test_who_reads_much_is_given_the_store_for_it_unless_a_proxy_stands_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = open_store("s3://books", AWS, for_readers=True)
    assert isinstance(store, ReadingS3Store)
    await store.close()
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:2")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    store = open_store("s3://books", AWS, for_readers=True)
    assert type(store) is S3Store
    await store.close()


@pytest.mark.parametrize(
    ("url", "env"), [("https://books", AWS), ("s3://", AWS), ("s3://books", AWS | {"AWS_ENDPOINT_URL": "x"})]
)
def test_what_cannot_be_used_is_told_before_anything_is_sent(url: str, env: Mapping[str, str]) -> None:
    with pytest.raises(SettingsError):
        open_store(url, env)


def test_missing_packages_are_named_with_the_extra_that_brings_them(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_obstore(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> object:
        if name.partition(".")[0] == "obstore":
            raise ModuleNotFoundError("No module named 'obstore'", name="obstore")
        return real(name, globals, locals, fromlist, level)

    monkeypatch.delitem(sys.modules, "depthcast.store.s3")
    monkeypatch.setattr(builtins, "__import__", without_obstore)
    with pytest.raises(ExtraMissing, match=r"an s3:// store needs obstore.*depthcast\[s3\]"):
        open_store("s3://books", AWS)


@pytest.mark.parametrize("kind", [S3Store, ReadingS3Store, MemoryStore])
def test_no_store_can_delete_or_write_without_saying_under_which_condition(kind: type[Store]) -> None:
    calls = {name for name in dir(kind) if not name.startswith("_")} - {"check"}
    assert calls == {"close", "get", "get_if_changed", "list", "list_after", "peek", "put_if", "url"}
    condition = inspect.signature(kind.put_if).parameters["match"]
    assert (condition.kind, condition.default) == (condition.KEYWORD_ONLY, condition.empty)


# The methods that the endpoint of accounts refuses: the word, and nothing that is asked of a store.
REFUSED_METHODS = re.compile(r"_METHODS: Final = \(.*\bDELETE\b.*\)")


def test_nothing_asks_the_client_below_to_delete() -> None:
    sources = [path for package in (depthcast, updater, server) for path in sources_of(package)]
    assert len(sources) > 100
    # Action.DELETE is BitMEX's word for a row that leaves its book.
    asking = re.compile(r"\bdelete(_async|_objects?|_bucket)?\(|(?<!\bAction\.)\bDELETE\b(?! = \"delete\"$)")
    found = [
        (path.name, line)
        for path in sources
        for line in path.read_text(encoding="utf-8").splitlines()
        if asking.search(line)
    ]
    assert [name for name, line in found if not REFUSED_METHODS.fullmatch(line)] == []
    assert [name for name, _ in found] == ["private.py"]


def sources_of(package: ModuleType) -> Iterator[Path]:
    return Path(package.__path__[0]).rglob("*.py")
