"""HTTP's dates (RFC 9110, 5.6.7), from and to milliseconds since 1970."""

from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache


def http_date(time_ms: int) -> bytes:
    """The second that holds ``time_ms``, as an IMF-fixdate.

    >>> http_date(784111777_999)
    b'Sun, 06 Nov 1994 08:49:37 GMT'
    """
    return _of_second(time_ms // 1000)


def parse_http_date(date: bytes) -> int | None:
    """The moment that ``date`` names, in any of HTTP's three forms; ``None`` where it is none.

    >>> parse_http_date(b"Sunday, 06-Nov-94 08:49:37 GMT"), parse_http_date(b"soon")
    (784111777000, None)
    """
    try:
        named = parsedate_to_datetime(date.decode("ascii"))
        # The oldest of the three forms names no zone: all of them mean UTC.
        return round((named if named.tzinfo else named.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=64)
def _of_second(time_s: int) -> bytes:
    # Books that change together are published within the same second.
    return formatdate(time_s, usegmt=True).encode()
