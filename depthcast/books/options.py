"""The options of :class:`~depthcast.books.Books`, for what passes them on."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import TypedDict

from depthcast.feed import FeedLimits
from depthcast.orders import Tolerance
from depthcast.venues.keeping import StreamKey


class Options(TypedDict, total=False):
    """All its arguments but the exchange, the symbols and the guard."""

    rest_url: str | None
    ws_url: str | None
    key: StreamKey | str | Path | None
    by_price: bool
    depth: int
    weight_share: float
    feed_limits: FeedLimits | None
    tolerance: Tolerance | None
    rest_proxy: str | None
    ws_proxy: str | None
    heard_every_s: float
    poll_s: float
    audit_every_s: float
    retry_initial_s: float
    retry_maximum_s: float
    suspect_after_s: float
    clock: Callable[[], float]
    wall_ms: Callable[[], int]
    sleep: Callable[[float], Awaitable[None]]
    rng: Random | None
