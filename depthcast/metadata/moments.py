"""Times as people and requests write them: milliseconds since 1970, or ISO 8601. Pure."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from depthcast.metadata.record import MAX_TIME_MS

_MILLISECONDS: Final = re.compile(r"[0-9]{1,13}")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9:.,]+(?:Z|[+ -][0-9:]{2,6})?)?", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_OFFSET_AS_BLANK: Final = re.compile(r" (?=[0-9:]{2,6}\Z)")


def parse_moment(text: str) -> int:
    """Milliseconds since 1970. A date without a zone is UTC's; a date without a time is its beginning.

    A blank stands for the plus sign of a zone too, since in a query it does so. Raises ``ValueError``.

    >>> parse_moment("1723161253000"), parse_moment("2024-08-08T23:54:13Z")
    (1723161253000, 1723161253000)
    >>> parse_moment("2024-08-09T01:54:13+02:00") == parse_moment("2024-08-09T01:54:13 02:00")
    True
    """
    if _MILLISECONDS.fullmatch(text):
        return int(text)
    if _DATE.fullmatch(text) is None:
        raise ValueError(
            f"{text!r:.40} is neither milliseconds since 1970 nor a date as 2026-11-20T14:03:00Z"
        )
    if "T" in text:
        text = _OFFSET_AS_BLANK.sub("+", text)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    milliseconds = (moment - _EPOCH) // _MILLISECOND
    if not 0 <= milliseconds <= MAX_TIME_MS:
        raise ValueError(f"{text!r:.40} is not between 1970 and 2286")
    return milliseconds


def moment_text(time_ms: int) -> str:
    """A time for people, in UTC.

    >>> moment_text(1_723_161_253_007)
    '2024-08-08 23:54:13.007'
    """
    seconds, milliseconds = divmod(time_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{milliseconds:03d}"
