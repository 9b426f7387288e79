"""Books by order (L3): every order that rests on a venue's book, in price-time priority.

``messages``    what the venue says, as values: an order opened, matched, changed, done; a snapshot
``book``        ``OrderBook``: the orders, the same by price, and the files of both
``anomalies``   what contradicts a book, and how much of it is borne

A message chains as a diff of one change does (:mod:`depthcast.sync`). All of it is pure.
"""

from depthcast.orders.anomalies import Anomaly, Tolerance
from depthcast.orders.book import LEVELS, OrderBook
from depthcast.orders.messages import (
    MESSAGES,
    Changed,
    Done,
    Matched,
    Message,
    Opened,
    OrderSnapshot,
    Passed,
)

__all__ = [
    "LEVELS",
    "MESSAGES",
    "Anomaly",
    "Changed",
    "Done",
    "Matched",
    "Message",
    "Opened",
    "OrderBook",
    "OrderSnapshot",
    "Passed",
    "Tolerance",
]
