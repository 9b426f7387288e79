"""The description at ``/openapi.json`` against the server: schemathesis asks whatever it allows, and more."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import jsonschema
import pytest
import pytest_asyncio
import requests
import schemathesis
import schemathesis.specs.openapi.checks as checks
from hypothesis import HealthCheck, Phase, given, settings

from depthcast.store.memory import MemoryStore
from server import heat
from server.openapi import document
from server.service import Service
from server.settings import ServerSettings
from tests.conformance.answers import Row, rows
from tests.conformance.world import Got, World, ask, serving

pytestmark = pytest.mark.xdist_group("openapi")
in_one_loop = pytest.mark.asyncio(loop_scope="module")

EXAMPLES = 50
WAIT_S = 60
EXCLUDED = [checks.positive_data_acceptance]
"""A description cannot tell which symbols exist, or which parameters exclude each other."""

OF_HTTP = {
    "accept-ranges",
    "access-control-expose-headers",
    "connection",
    "content-length",
    "content-type",
    "date",
}
"""Headers that a description leaves out, or that say nothing to a program."""

PATHS: dict[str, Any] = document()["paths"]
ASKED = [
    (path, mode)
    for path, item in PATHS.items()
    for mode in ("positive", "negative")
    # Where there is no parameter nothing can be asked wrongly.
    if mode == "positive" or "parameters" in item["get"]
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port() -> AsyncIterator[int]:
    """The port of a server over all that is published."""
    async with World() as world:
        store = MemoryStore()
        await world.publish(store)
        async with serving(store) as port:
            yield port


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def schema(port: int) -> Any:
    """The description, as that server gives it."""
    url = f"http://127.0.0.1:{port}/openapi.json"
    loaded = await asyncio.to_thread(schemathesis.openapi.from_url, url)
    # The first two events of a stream tell its shape; there may be no more of them for long.
    loaded.config.max_stream_events = 2
    return loaded


@in_one_loop
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("path", "mode"), ASKED)
async def test_the_server_answers_as_it_describes_itself(schema: Any, path: str, mode: str) -> None:
    cases = schema[path]["get"].as_strategy(generation_mode=schemathesis.GenerationMode(mode))

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def asked(case: Any) -> None:
        case.call_and_validate(excluded_checks=EXCLUDED, timeout=WAIT_S)

    await asyncio.to_thread(asked)


def undescribed(row: Row, got: Got, whole: dict[str, Any]) -> list[str]:
    """What of an answer the description does not allow."""
    path = row.request.removeprefix("GET ").partition("?")[0]
    if path not in PATHS:
        return [] if got.status == 404 else [f"status {got.status}"]
    described = PATHS[path]["get"]["responses"].get(str(got.status))
    if described is None:
        return [f"status {got.status}"]
    if "$ref" in described:
        described = whole["components"]["responses"][str(got.status)]
    told = {name.lower() for name in described["headers"]}
    found = sorted({name.lower() for name in got.headers} - told - OF_HTTP)
    validator = jsonschema.Draft202012Validator
    for name in described["headers"]:
        schema = whole["components"]["headers"][name]["schema"]
        if got.headers[name] is not None and not validator(schema).is_valid(got.headers[name]):
            found.append(f"{name}: {got.headers[name]}")
    if "content" in described:
        reference = described["content"]["application/json"]["schema"]["$ref"]
        schema = {"$ref": reference, "components": whole["components"]}
        found += [error.message[:200] for error in validator(schema).iter_errors(json.loads(got.body))]
    return found


@in_one_loop
async def test_every_answer_of_the_table_is_described(port: int) -> None:
    """What a client may be answered, whether schemathesis thinks of asking for it or not."""
    whole = document()
    found = {}
    for row in (row for row in rows() if row.request.startswith("GET ")):
        got = await asyncio.to_thread(ask, port, row.request, row.headers)
        found[str(row)] = undescribed(row, got, whole)
    assert {row: faults for row, faults in found.items() if faults} == {}


def events_of(port: int, target: str, enough: int) -> list[dict[str, str]]:
    """The first events of a stream that have data."""
    found: list[dict[str, str]] = []
    url = f"http://127.0.0.1:{port}{target}"
    with requests.get(url, stream=True, timeout=WAIT_S) as answer:
        event: dict[str, str] = {}
        for line in answer.iter_lines(1):
            name, _, value = line.decode().partition(": ")
            if name:
                event[name] = value
                continue
            found += [event] if "data" in event else []
            event = {}
            if len(found) == enough:
                break
    return found


@in_one_loop
@pytest.mark.parametrize("query", ["symbol=ETHUSDT&limit=7", "symbol=EMPTYUSDT&limit=5"])
async def test_an_event_and_the_json_in_it_are_as_described(port: int, query: str) -> None:
    whole = document()

    def validator(name: str) -> Any:
        reference = {"$ref": f"#/components/schemas/{name}", "components": whole["components"]}
        return jsonschema.Draft202012Validator(reference)

    events = await asyncio.to_thread(events_of, port, f"/stream/depth?{query}", 2)
    assert [event["event"] for event in events] == ["state", "snapshot"]
    described = whole["components"]["schemas"]["StreamEvent"]["oneOf"]
    for event in events:
        validator("StreamEvent").validate(event)
        (properties,) = [
            each["properties"] for each in described if each["properties"]["event"]["const"] == event["event"]
        ]
        name = properties["data"]["contentSchema"]["$ref"].rpartition("/")[2]
        validator(name).validate(json.loads(event["data"]))
    assert not validator("StreamEvent").is_valid({"event": "snapshot", "data": "{}"})


def test_every_path_that_is_answered_is_described_and_no_other() -> None:
    # The heatmap's tiles are files of a format of their own: docs/heatmap.md.
    left_out = {"/openapi.json", heat.PATH}
    answered = Service(ServerSettings(page=False), MemoryStore()).app.paths - left_out
    assert {re.sub(r"{[^}]+}", "{}", path) for path in answered} == {
        re.sub(r"{[^}]+}", "{}", path) for path in PATHS
    }


def test_every_code_of_the_table_is_an_example() -> None:
    shown = set()
    for item in PATHS.values():
        refused = item["get"]["responses"].get("400")
        if refused is not None:
            examples = refused["content"]["application/json"]["examples"].values()
            shown |= {example["value"]["code"] for example in examples}
    assert {
        row.server["code"] for row in rows() if row.server["status"] == 400 and "code" in row.server
    } == shown


def test_the_description_is_openapi_3_1() -> None:
    assert document()["openapi"] == "3.1.0"
    names = [item["get"]["operationId"] for item in PATHS.values()]
    assert len(set(names)) == len(names)
