"""What an answer of a Depthcast server says beside its body: how old its book is, and whether it is whole.

The contract is ``docs/freshness.md``. Pure: the clock's readings are arguments.
"""

import re
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import NamedTuple

_SIDE = re.compile(r"(bids|asks)=(\d+)(;complete)?")


class Marks(NamedTuple):
    """``age_ms``: how long ago the book was known to be the exchange's, at most; ``None``: nobody knows.

    ``time_ms`` is the exchange's clock of the book's last change, ms since 1970, or, where the exchange was
    asked by the server just now, that moment. ``complete``: whether nothing exists beyond the bids and the
    asks that the writer was certain of.
    """

    state: str | None
    age_ms: float | None
    time_ms: int | None
    complete: tuple[bool, bool]

    def whole(self, bids: Sequence[object], asks: Sequence[object], limit: int) -> bool:
        """Whether these are the ``limit`` best levels, or all there are."""
        return all(
            len(side) >= limit or complete for side, complete in zip((bids, asks), self.complete, strict=True)
        )


def read_marks(headers: Mapping[str, str], *, now_ms: int, elapsed_ms: float) -> Marks:
    """The marks of an answer that came ``elapsed_ms`` after it was asked for; ``now_ms`` is our own clock.

    Clocks are compared with care: ``Depthcast-Current-Time`` is another machine's, and a book must not look
    young because our clock is slow. Where ours agrees with the answer's ``Date`` it is taken, being finer;
    where not, the age is counted to the latest moment at which the answer can have been made, plus its way.
    """
    named = {name.lower(): value for name, value in headers.items()}
    state = named.get("depthcast-state")
    event_ms = _number(named.get("depthcast-event-time")) or None
    current_ms = _number(named.get("depthcast-current-time")) or event_ms
    age_ms: float | None = None
    if state == "halted" and "depthcast-version" in named:
        # Its last book stands for as long as the server says so; an edge without a server cannot tell.
        age_ms = elapsed_ms
    elif current_ms is not None:
        age_ms = max(0.0, _moment(named, now_ms, elapsed_ms) - current_ms)
    return Marks(
        state, age_ms, event_ms or current_ms, _complete(named.get("depthcast-certain"), state == "proxied")
    )


def _moment(named: Mapping[str, str], now_ms: int, elapsed_ms: float) -> float:
    """When the answer came, in the server's time: never too early."""
    try:
        date_ms = parsedate_to_datetime(named["date"]).timestamp() * 1000
    except (KeyError, ValueError, OverflowError):
        return now_ms
    kept_ms = (_number(named.get("age")) or 0) * 1000
    latest_ms = date_ms + 1000 + kept_ms + elapsed_ms
    return now_ms if date_ms + kept_ms <= now_ms <= latest_ms else latest_ms


def _complete(certain: str | None, proxied: bool) -> tuple[bool, bool]:
    if proxied:
        return True, True
    sides = {match[1] for match in _SIDE.finditer(certain or "") if match[3]}
    return "bids" in sides, "asks" in sides


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() else None
