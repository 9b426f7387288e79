"""What each venue's tape holds beside prices and amounts, and how a body is made of it. Pure.

The recorder and the readers of the tape know no venue: a :class:`Taping` says which members a level has
behind its price and its amount, which times a book tells, and how levels become the venue's own body.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

PAIR: Final = '["{0}","{1}"]'
"""A level as Binance writes it."""


class Told(NamedTuple):
    """What a book tells beside its levels. Times are ms since 1970, 0 where the venue does not tell them."""

    update_id: int
    event_time_ms: int
    transaction_time_ms: int = 0


def _binance_body(told: Told, bids: str, asks: str) -> str:
    """``{"lastUpdateId":N,"bids":[…],"asks":[…]}``, of futures with their times before the bids."""
    times = ""
    if told.transaction_time_ms:
        times = f'"E":{told.event_time_ms},"T":{told.transaction_time_ms},'
    return f'{{"lastUpdateId":{told.update_id},{times}"bids":[{bids}],"asks":[{asks}]}}'


@dataclass(frozen=True, slots=True)
class Taping:
    """One venue's. ``level`` is a level of a body, as :meth:`str.format` fills it: 0 the price, 1 the amount.

    ``transaction_times``: a book tells when its last change was made. ``body`` is made of what a book tells
    and of the levels of each side, joined by commas.
    """

    transaction_times: bool = False
    level: str = PAIR
    body: Callable[[Told, str, str], str] = _binance_body


_SPOT: Final = Taping()

TAPINGS: Final[Mapping[str, Taping]] = {
    "binance": _SPOT,
    "binanceus": _SPOT,
    "binanceusdm": Taping(transaction_times=True),
}
"""By the venue's name."""


def taping_of(venue: str) -> Taping:
    """That of a venue; of one that is not known here, that of levels of a price and an amount."""
    return TAPINGS.get(venue, _SPOT)
