"""``bill``: a month of a workload at a store's prices. Pure."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from depthcast.plan.prices import Prices
from depthcast.plan.together import Together
from depthcast.plan.workload import MONTH_S, Flow, Kind, Workload

GB: Final = 1e9

_RATE: Final = {Kind.PUT: "put_per_1000", Kind.LIST: "list_per_1000", Kind.GET: "get_per_1000"}


@dataclass(frozen=True, slots=True)
class Item:
    """One line: an amount of ``unit`` a month (requests, GB, machines) and its price in US dollars."""

    what: str
    amount: float
    unit: str
    usd: float


@dataclass(frozen=True, slots=True)
class Bill:
    """A month at one store. ``items`` in the order of the workload's flows, then bytes and machines."""

    store: str
    items: tuple[Item, ...]

    @property
    def usd(self) -> float:
        """The sum."""
        return sum(item.usd for item in self.items)

    def of(self, what: str) -> float:
        """What one line costs, in US dollars; 0 where there is none."""
        return sum(item.usd for item in self.items if item.what == what)


def bill(store: str, prices: Prices, workload: Workload | Together, *, outside: bool = False) -> Bill:
    """``outside``: replicas and servers are not in the store's cloud, so what they read leaves it."""
    flows = list(workload.flows())
    return Bill(
        store,
        (*_requests(prices, flows), *_bytes(prices, workload, flows, outside), *_machines(prices, flows)),
    )


def _requests(prices: Prices, flows: list[Flow]) -> Iterator[Item]:
    # What is free is shared among the lines of a class, each in proportion.
    month = {flow: flow.per_s * MONTH_S for flow in flows}
    part = {}
    for kinds, free in (((Kind.PUT, Kind.LIST), prices.free_class_a), ((Kind.GET,), prices.free_class_b)):
        whole = sum(count for flow, count in month.items() if flow.kind in kinds)
        for kind in kinds:
            part[kind] = max(0.0, 1 - free / whole) if whole else 0.0
    for flow, count in month.items():
        usd = count * part[flow.kind] * getattr(prices, _RATE[flow.kind]) / 1000
        yield Item(flow.purpose.value, count, flow.kind.value, usd)


def _bytes(prices: Prices, workload: Workload | Together, flows: list[Flow], outside: bool) -> Iterator[Item]:
    def month_gb(*kinds: Kind) -> float:
        return sum(flow.bytes_per_s for flow in flows if flow.kind in kinds) * MONTH_S / GB

    read_gb = month_gb(Kind.GET)
    kept = {
        "kept": workload.stored_bytes,
        "tape kept": workload.tape_bytes,
        "heatmap kept": workload.heat_bytes,
    }
    stored_gb = sum(kept.values()) / GB
    # What is free is shared here, too.
    part = max(0.0, 1 - prices.free_storage_gb / stored_gb)
    for what, count in kept.items():
        if count or what == "kept":
            yield Item(what, count / GB, "GB", part * count / GB * prices.storage_per_gb)
    yield Item("written", month_gb(Kind.PUT), "GB", month_gb(Kind.PUT) * prices.upload_per_gb)
    yield Item("read", read_gb, "GB", read_gb * prices.retrieval_per_gb)
    internet_gb = workload.served_bytes_per_s * MONTH_S / GB + (read_gb if outside else 0.0)
    charged_gb = max(0.0, internet_gb - prices.free_internet_gb)
    yield Item("to the internet", internet_gb, "GB", charged_gb * prices.internet_per_gb)


def _machines(prices: Prices, flows: list[Flow]) -> Iterator[Item]:
    if prices.machine_per_month:
        writes_per_s = sum(flow.per_s for flow in flows if flow.kind is Kind.PUT)
        count = max(prices.machines_at_least, math.ceil(writes_per_s / prices.machine_writes_per_s))
        yield Item("machines", count, "machines", count * prices.machine_per_month)
