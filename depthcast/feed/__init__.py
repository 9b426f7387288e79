"""The I/O skin around a venue's websocket: diff streams of many symbols over as few connections as is wise.

=====================  ============================================================================
``feed.Feed``          the whole: subscribe, run, who is live
``limits``             every bound and its default, with the reason
``line``               one group of symbols: connect, reconnect, hand over to a successor
``connection``         one websocket: read, acknowledge, probe
``subscriptions``      what one connection was asked for and what it delivered. Pure
``handover``           when a successor has delivered, and when it failed to. Pure
``pace``               at most so many events in a period. Pure
``outlet``             where diffs and errors go
``websocket``          the only module that imports ``websockets``
=====================  ============================================================================

Promises: every diff of a subscribed symbol that arrives is handed on, in the order of its connection; a
connection that is lost, half open or silent is noticed within its bound and replaced; a healthy one is
retired only when its successor has delivered. Leaves to others: whether diffs are unbroken
(:mod:`depthcast.sync`), snapshots (:mod:`depthcast.rest`), what frames mean (:mod:`depthcast.venues`).
"""

from depthcast.feed.feed import Feed
from depthcast.feed.limits import FeedLimits
from depthcast.feed.status import ConnectionStatus, FeedStatus

__all__ = ["ConnectionStatus", "Feed", "FeedLimits", "FeedStatus"]
