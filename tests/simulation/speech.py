"""The exchanges that a run can be of: how each speaks, and what replicas publish of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from depthcast.scheme import Scheme
from depthcast.venues.binance_files import BINANCE, BINANCE_USDM
from simulator.futures_rest import FuturesRest
from simulator.rest import Rest
from simulator.truth import Times

_TIMES: Final = re.compile(rb'"E":(\d+),"T":(\d+),')


@dataclass(frozen=True)
class Speech:
    """One exchange. ``limits`` are published, at this ``cadence``; ``futures`` is how it counts its ids."""

    scheme: Scheme
    limits: tuple[int, ...]
    cadence: str
    futures: bool
    rest: type[Rest]

    @property
    def venue(self) -> str:
        """Its name."""
        return self.scheme.venue

    def bare(self, body: bytes) -> bytes:
        """A file without its times."""
        return _TIMES.sub(b"", body, count=1) if self.futures else body

    def times_fit(self, body: bytes, told: Times | None) -> bool:
        """Whether a file tells the times of the diff that ended at its id, which has none where none ended.

        A book that is fresh from a snapshot tells when that was put out.
        """
        found = _TIMES.search(body)
        if not self.futures or found is None:
            return not self.futures
        event_ms, transaction_ms = map(int, found.groups())
        return told is None or (transaction_ms == told.transaction_ms and event_ms >= transaction_ms)


SPOT: Final = Speech(BINANCE, (2, 5, 12), "2:0,5:250,12:1000", futures=False, rest=Rest)

USDM: Final = Speech(BINANCE_USDM, (5, 10, 20), "5:0,10:250,20:1000", futures=True, rest=FuturesRest)
"""Diffs tell the id of the one before, for all symbols count together. The smallest limits that there are."""

SPEECHES: Final[Mapping[str, Speech]] = {speech.venue: speech for speech in (SPOT, USDM)}

DEPTHS: Final = tuple(prefix for speech in (SPOT, USDM) for prefix in speech.scheme.depth_prefixes)
"""All keys of files begin with one of them."""
