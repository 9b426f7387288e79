"""Workloads of several venues, counted as one."""

import pytest

from depthcast.plan import Prices, Together, Workload, bill, load_prices

SPOT = Workload(symbols=20, every_s={5: 0.0, 100: 0.0})
TAPED = Workload(symbols=3, every_s={1: 0.0, 2: 0.25}, taped=2, readers=5, read_limit=2)


def price(store: str) -> Prices:
    return load_prices(None)[store]


def test_one_alone_is_itself() -> None:
    alone = Together((SPOT,))
    assert list(alone.flows()) == list(SPOT.flows())
    assert bill("s3", price("s3"), alone) == bill("s3", price("s3"), SPOT)


def test_requests_of_one_purpose_are_one_flow_and_bytes_are_added_up() -> None:
    both = Together((SPOT, TAPED))
    flows = list(both.flows())
    assert len({(flow.purpose, flow.kind) for flow in flows}) == len(flows) == len(list(TAPED.flows()))
    for member in ("per_s", "bytes_per_s"):
        each = sum(getattr(flow, member) for part in both.parts for flow in part.flows())
        assert sum(getattr(flow, member) for flow in flows) == pytest.approx(each)
    for name in ("stored_bytes", "tape_bytes", "heat_bytes", "served_bytes_per_s"):
        assert getattr(both, name) == getattr(SPOT, name) + getattr(TAPED, name), name
    assert both.tape_bytes > 0


def test_what_is_free_is_free_once() -> None:
    free = price("r2")
    apart = sum(bill("r2", free, each).usd for each in (SPOT, TAPED))
    assert bill("r2", free, Together((SPOT, TAPED))).usd > apart
    dear = price("s3")
    both = bill("s3", dear, Together((SPOT, TAPED))).of("files written")
    assert both == pytest.approx(sum(bill("s3", dear, each).of("files written") for each in (SPOT, TAPED)))
