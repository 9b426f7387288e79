"""Numbers as a screen shows them: short, and of a width that seldom changes. Pure."""

from collections.abc import Iterable
from typing import Final

NONE: Final = "–"
"""What is not known."""


def age(ms: int | None) -> str:
    """How long ago.

    >>> [age(ms) for ms in (None, 80, 12_345, 600_000, 90_000_000)]
    ['–', '0.1 s', '12.3 s', '10 m', '25 h']
    """
    if ms is None:
        return NONE
    if ms < 100_000:
        return f"{ms / 1000:.1f} s"
    return f"{ms // 60_000} m" if ms < 36_000_000 else f"{ms // 3_600_000} h"


def counted(number: int, noun: str) -> str:
    """So many of something.

    >>> counted(1, "book"), counted(2000, "book")
    ('1 book', '2,000 books')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def clock_text(seconds: float) -> str:
    """A duration as on a clock.

    >>> clock_text(59.9), clock_text(3725)
    ('0:00:59', '1:02:05')
    """
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"


def left(ms: int) -> str:
    """How much longer something takes, about; empty for hardly any time.

    >>> left(400), left(12_300), left(125_000)
    ('', 'about 13 s left', 'about 3 min left')
    """
    if ms < 1000:
        return ""
    return f"about {-(-ms // 1000)} s left" if ms <= 90_000 else f"about {-(-ms // 60_000)} min left"


def milliseconds(ms: float | None) -> str:
    """A latency.

    >>> [milliseconds(ms) for ms in (None, 3.14, 250.4)]
    ['–', '3.1 ms', '250 ms']
    """
    if ms is None:
        return NONE
    return f"{ms:.1f} ms" if ms < 99.95 else f"{ms:.0f} ms"


def worst(values: Iterable[float | None]) -> float | None:
    """The largest of those that are known."""
    return max((value for value in values if value is not None), default=None)


def decimals(price: str | None) -> int:
    """How many decimals a price needs.

    >>> decimals("61837.63000000"), decimals("5.00000000"), decimals("12"), decimals(None)
    (2, 0, 0, 0)
    """
    return len((price or "").partition(".")[2].rstrip("0"))


def fixed(price: str | None, places: int) -> str:
    """A price's own digits with so many decimals, of which none but zeros are dropped.

    >>> fixed("61837.60000000", 2), fixed("5", 1), fixed(None, 2)
    ('61837.60', '5.0', '–')
    """
    if price is None:
        return NONE
    whole, _, fraction = price.partition(".")
    return f"{whole}.{fraction[:places].ljust(places, '0')}" if places else whole
