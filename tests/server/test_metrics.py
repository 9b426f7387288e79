"""What the server counts, and what it asks for when somebody scrapes."""

import math

import pytest
from starlette.requests import Request

from server.listener import Hearing
from server.metrics import Metrics
from server.reads import ReadOutcome
from server.upstream import Asking


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def test_reads_are_counted_by_outcome_and_timed(metrics: Metrics) -> None:
    metrics.read(ReadOutcome.CHANGED, 0.004)
    metrics.read(ReadOutcome.FAILED, 2.0)
    metrics.read(ReadOutcome.FAILED, 2.0)
    value = metrics.registry.get_sample_value
    assert value("depthcast_server_store_reads_total", {"outcome": "changed"}) == 1
    assert value("depthcast_server_store_reads_total", {"outcome": "failed"}) == 2
    assert value("depthcast_server_store_reads_total", {"outcome": "damaged"}) == 0
    assert value("depthcast_server_store_read_seconds_sum") == pytest.approx(4.004)


def test_answers_are_counted_by_endpoint_and_status(metrics: Metrics) -> None:
    for status in (200, 304, 200):
        metrics.answered("/api/v3/depth", status)
    value = metrics.registry.get_sample_value
    labels = {"endpoint": "/api/v3/depth", "status": "200"}
    assert value("depthcast_server_answers_total", labels) == 2
    assert value("depthcast_server_answers_total", labels | {"status": "304"}) == 1


def test_books_are_counted_by_their_state(metrics: Metrics) -> None:
    metrics.marked(b"live", 3)
    metrics.marked(b"stale")
    value = metrics.registry.get_sample_value
    assert value("depthcast_server_books_total", {"state": "live"}) == 3
    assert value("depthcast_server_books_total", {"state": "stale"}) == 1
    assert value("depthcast_server_books_total", {"state": "halted"}) == 0


def test_readings_of_heartbeats_and_requests_to_the_exchange_are_counted(metrics: Metrics) -> None:
    metrics.heard(Hearing.DENIED)
    metrics.asked(Asking.REFUSED, 0.1)
    value = metrics.registry.get_sample_value
    assert value("depthcast_server_heartbeat_reads_total", {"outcome": "denied"}) == 1
    assert value("depthcast_server_heartbeat_reads_total", {"outcome": "done"}) == 0
    assert value("depthcast_server_exchange_requests_total", {"outcome": "refused"}) == 1


def test_listings_are_counted(metrics: Metrics) -> None:
    metrics.listed(done=False)
    assert metrics.registry.get_sample_value("depthcast_server_listings_total", {"outcome": "failed"}) == 1
    assert metrics.registry.get_sample_value("depthcast_server_listings_total", {"outcome": "done"}) == 0


async def test_states_are_asked_for_at_each_scrape(metrics: Metrics) -> None:
    held = [1, 2]
    metrics.watch(
        files=lambda: len(held),
        hot_files=lambda: 1,
        file_bytes=lambda: sum(held),
        symbols=lambda: 7,
        stale_symbols=lambda: 0,
        fleet_age_s=lambda: math.inf,
    )
    request = Request({"type": "http", "method": "GET", "headers": []})
    text = bytes((await metrics.endpoint(request)).body).decode()
    assert "depthcast_server_files 2.0" in text
    assert "depthcast_server_symbols 7.0" in text
    assert "depthcast_server_fleet_age_seconds +Inf" in text
    held.append(5)
    text = bytes((await metrics.endpoint(request)).body).decode()
    assert "depthcast_server_files 3.0" in text
    assert "depthcast_server_file_bytes 8.0" in text
