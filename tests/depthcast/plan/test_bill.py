"""A month of a workload at known prices, reckoned by hand."""

from dataclasses import replace
from typing import Any

import pytest

from depthcast.plan.bill import Bill, bill
from depthcast.plan.prices import Prices
from depthcast.plan.workload import Purpose, Workload

MONTH_S = 2_592_000
ONE = Workload(
    1,
    {100: 1.0},
    updates_per_s=10,
    changes={100: 1.0},
    replicas=2,
    servers=1,
    refresh_s=1.0,
    starts=0,
    symbols_every_s=0,
    changes_per_day=0,
)
"""One file of 6,268 bytes, written once a second and refreshed by one server once a second."""

FILE_BYTES = 48 + 200 * 31.1


def prices(**given: Any) -> Prices:
    return Prices.model_validate({"name": "X", "region": "x", "date": "2026-01-01", "source": "x"} | given)


def month(workload: Workload = ONE, outside: bool = False, **given: Any) -> Bill:
    return bill("x", prices(**given), workload, outside=outside)


def test_writes_cost_what_a_thousand_of_them_cost() -> None:
    assert month(put_per_1000=0.005).of(Purpose.WRITES.value) == pytest.approx(MONTH_S * 0.005 / 1000)
    # and two heartbeats a second beside them
    assert month(put_per_1000=0.005).usd == pytest.approx(3 * MONTH_S * 0.005 / 1000)


def test_listings_have_their_own_price() -> None:
    listed_per_s = 2 * 2 + 1 + 2 / 300 + 1 / 10
    assert month(list_per_1000=0.005).usd == pytest.approx(listed_per_s * MONTH_S * 0.005 / 1000)


def test_reads_are_looks_heartbeats_and_refreshes() -> None:
    # A standby of a file written once a second waits for it, then for half a second and a little.
    looks_per_s = 1 / (1 + 1 + 0.5 + 0.025)
    assert month(get_per_1000=0.0004).usd == pytest.approx(
        (looks_per_s + 2 + 2 + 1 / 0.9 + 1 / 10) * MONTH_S * 0.0004 / 1000
    )


def test_what_is_free_is_taken_off_once() -> None:
    whole, free = (
        month(put_per_1000=1, list_per_1000=1),
        month(put_per_1000=1, list_per_1000=1, free_class_a=10**6),
    )
    assert whole.usd - free.usd == pytest.approx(10**6 / 1000)
    assert month(put_per_1000=1, list_per_1000=1, free_class_a=10**12).usd == 0


def test_bytes_are_charged_where_a_store_does() -> None:
    bodies_gb = FILE_BYTES * MONTH_S / 1e9
    assert month(upload_per_gb=1).usd == pytest.approx(bodies_gb, rel=0.3)
    assert month(upload_per_gb=1).usd > bodies_gb
    assert month(storage_per_gb=1).usd == pytest.approx((FILE_BYTES + 2 * 665) / 1e9)
    assert month(storage_per_gb=1, free_storage_gb=1).usd == 0


def test_what_the_exchange_says_of_itself_costs_its_polls_its_changes_and_its_history() -> None:
    kept = replace(
        ONE,
        symbols_every_s=60,
        system_status_every_s=30,
        changes_per_day=20,
        change_bytes=1e5,
        list_bytes=4e6,
        history_days=100,
    )
    # Two replicas look at the list every five seconds; each poll is compared by two small reads.
    reads_per_s = 2 / 5 + 2 / 60 + 2 / 30
    more = month(kept, get_per_1000=1).usd - month(get_per_1000=1).usd
    assert more == pytest.approx(reads_per_s * MONTH_S / 1000)
    more = month(kept, put_per_1000=1).usd - month(put_per_1000=1).usd
    assert more == pytest.approx(20 * 30 * 5 / 1000)
    # 2,000 changes and the newest once more, and the list.
    more = month(kept, storage_per_gb=1).usd - month(storage_per_gb=1).usd
    assert more == pytest.approx((2001 * 1e5 + 4e6) / 1e9)


def test_only_what_leaves_the_cloud_is_traffic() -> None:
    assert month(internet_per_gb=0.09).usd == 0
    assert month(internet_per_gb=0.09, outside=True).of("to the internet") > FILE_BYTES * MONTH_S / 1e9 * 0.09
    readers = Workload(1, {100: 1.0}, readers=10, reads_per_s=2, read_limit=100)
    served_gb = 20 * FILE_BYTES * MONTH_S / 1e9
    served = month(readers, internet_per_gb=0.09, free_internet_gb=100)
    assert served.usd == pytest.approx((served_gb - 100) * 0.09)


@pytest.mark.parametrize(("writes_per_s", "machines"), [(1000.0, 3), (0.5, 6)])
def test_a_cluster_costs_its_machines(writes_per_s: float, machines: int) -> None:
    month_of = month(machine_per_month=30, machine_writes_per_s=writes_per_s, machines_at_least=3)
    assert month_of.usd == machines * 30
    assert month_of.items[-1].amount == machines
