"""Styles and scripts: whole, small, and from nowhere else."""

import gzip
import re
from pathlib import Path

import httpx
import pytest
import zstandard
from starlette.applications import Starlette
from starlette.routing import Route

from server.encodings import Coding
from server.page import assets
from server.page.assets import FOLDER, TYPES, Assets

MOST_BYTES = 150_000
"""What all of the page may weigh, compressed."""


@pytest.fixture
def served() -> Assets:
    return Assets()


def client(served: Assets) -> httpx.AsyncClient:
    app = Starlette(routes=[Route(assets.PATH, served.endpoint)])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server")


def test_all_of_it_together_is_small(served: Assets) -> None:
    for coding in (Coding.GZIP, Coding.ZSTD):
        assert sum(len(served.body(name, coding)) for name in served.names) < MOST_BYTES / 2


def test_every_file_of_the_folder_can_be_served(served: Assets) -> None:
    assert set(served.names) == {path.name for path in FOLDER.iterdir()}
    assert {path.suffix for path in FOLDER.iterdir()} <= set(TYPES)


def test_scripts_import_each_other_by_names_that_are_there(served: Assets) -> None:
    named = set()
    for name in served.names:
        if name.endswith(".js") and name != "htmx.js":
            named |= set(re.findall(r'from "\./([^"]+)"', served.body(name).decode()))
    assert named
    assert named <= set(served.names)


@pytest.mark.parametrize("name", [path.name for path in sorted(FOLDER.iterdir()) if path.suffix != ".txt"])
def test_nothing_names_another_host(served: Assets, name: str) -> None:
    addresses = set(re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]+[^\s\"')]*", served.body(name).decode()))
    # The names of two vocabularies are addresses that nobody visits.
    assert all("www.w3.org" in address for address in addresses)


@pytest.mark.parametrize(
    ("accepted", "coding"), [("gzip, br", "gzip"), ("gzip, zstd", "zstd"), ("identity", None), ("", None)]
)
async def test_each_is_given_as_the_browser_takes_it_and_kept_for_good(
    served: Assets, accepted: str, coding: str | None
) -> None:
    async with client(served) as asking:
        headers = {"Accept-Encoding": accepted}
        async with asking.stream("GET", served.path("page.css"), headers=headers) as answer:
            raw = b"".join([part async for part in answer.aiter_raw()])
    assert answer.headers.get("content-encoding") == coding
    if coding is not None:
        raw = gzip.decompress(raw) if coding == "gzip" else zstandard.decompress(raw)
    assert raw == (FOLDER / "page.css").read_bytes()
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["vary"] == "accept-encoding"
    assert answer.headers["content-type"] == "text/css; charset=utf-8"


async def test_who_has_it_is_told_so(served: Assets) -> None:
    async with client(served) as asking:
        tag = (await asking.get(served.path("page.css"))).headers["etag"]
        again = await asking.get(served.path("page.css"), headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")


async def test_another_release_is_given_what_there_is_and_keeps_it_not(served: Assets) -> None:
    async with client(served) as asking:
        answer = await asking.get("/assets/0123456789abcdef/page.css")
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        assert answer.content == (FOLDER / "page.css").read_bytes()
        assert (await asking.get(f"/assets/{served.release}/no.css")).status_code == 404
        assert (await asking.get(f"/assets/{served.release}/..%2fassets.py")).status_code == 404
    with pytest.raises(KeyError):
        served.path("no.css")


def test_the_release_is_another_where_a_file_is(tmp_path: Path) -> None:
    releases = []
    for name, text in (("a.js", "1"), ("a.js", "2"), ("b.js", "2")):
        for path in tmp_path.iterdir():
            path.unlink()
        (tmp_path / name).write_text(text)
        releases.append(Assets(tmp_path).release)
    assert len(set(releases)) == 3
