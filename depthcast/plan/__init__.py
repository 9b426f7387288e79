"""What a fleet asks of its store, and what that costs. Pure arithmetic.

:mod:`.workload` counts the requests of a fleet from its settings, :mod:`.prices` holds what stores charge,
and :mod:`.bill` puts the two together. The formulas are those of ``docs/costs.md``; tests hold them to the
counts of real publishers, heartbeats and servers.
"""

from depthcast.plan.bill import Bill, Item, bill
from depthcast.plan.prices import Prices, load_prices
from depthcast.plan.together import Together
from depthcast.plan.workload import Flow, Kind, Purpose, Workload

__all__ = ["Bill", "Flow", "Item", "Kind", "Prices", "Purpose", "Together", "Workload", "bill", "load_prices"]
