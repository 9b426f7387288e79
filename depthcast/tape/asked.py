"""``Asked``: a moment as people and requests name it: a time, or an update id. Pure.

==========================================  ==============================================================
``1723161253000``                           13 digits: a time, milliseconds since 1970 (2001 to 2286)
``2024-08-08T23:54:13Z``, ``2024-08-08``    a time, ISO 8601; UTC where no zone is named
``35346513512``                             any other whole number: an update id
``id:35346513512``                          an update id, of however many digits
``0:35346513512``                           an epoch and an update id, as ``Depthcast-Version`` has them
==========================================  ==============================================================
"""

import re
from typing import Final, NamedTuple

from depthcast.files import MAX_NUMBER
from depthcast.metadata.moments import parse_moment

FORMS: Final = (
    "milliseconds since 1970 (13 digits), ISO 8601 as 2024-08-08T23:54:13Z, an update id, id:ID or EPOCH:ID"
)
"""What may be written, in words."""

_TIME: Final = re.compile(r"[0-9]{13}")
_ID: Final = re.compile(r"(?:id:|(?P<epoch>[0-9]{1,19}):)?(?P<id>[0-9]{1,19})")


class Asked(NamedTuple):
    """Either ``time_ms`` or ``update_id``, the other is ``None``; ``epoch`` where one was named."""

    time_ms: int | None = None
    update_id: int | None = None
    epoch: int | None = None

    def __str__(self) -> str:
        if self.update_id is None:
            return f"the time {self.time_ms}"
        return f"update id {self.update_id if self.epoch is None else f'{self.epoch}:{self.update_id}'}"


def parse_asked(text: str) -> Asked:
    """The moment that ``text`` names. Raises ``ValueError``.

    >>> parse_asked("1723161253000") == parse_asked("2024-08-08T23:54:13Z")
    True
    >>> parse_asked("35346513512").update_id, parse_asked("id:1723161253000").update_id
    (35346513512, 1723161253000)
    >>> parse_asked("2:160")
    Asked(time_ms=None, update_id=160, epoch=2)
    """
    named = None if _TIME.fullmatch(text) else _ID.fullmatch(text)
    if named is None:
        try:
            return Asked(time_ms=parse_moment(text))
        except ValueError:
            raise ValueError(f"{text!r:.40} is none of: {FORMS}") from None
    update_id, epoch = int(named["id"]), None if named["epoch"] is None else int(named["epoch"])
    if max(update_id, epoch or 0) > MAX_NUMBER:
        raise ValueError(f"no update id is as large as {text:.40}")
    return Asked(update_id=update_id, epoch=epoch)
