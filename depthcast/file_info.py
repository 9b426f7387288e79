"""What is said of a file beside its body: its version, and what its writer knew. Pure.

It travels as the object's metadata (:class:`FileInfo`); which bytes are a file, and which request they
answer, is :mod:`depthcast.files`'s.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

from depthcast.errors import BadFile

MAX_NUMBER: Final = 2**63 - 1
"""The largest update id, epoch, count or time that a file tells, 64 bits with a sign, as the exchange's own
numbers have; what is larger is damage, and would overflow where times are reckoned or tables are made."""

_MOST_DIGITS: Final = len(str(MAX_NUMBER))

TRADING: Final = "TRADING"
"""The status of a symbol that is traded; any other one means that its book stands still."""

STATUS_NAME: Final = "status"
"""The name of the status among the metadata."""

UPDATE_ID_NAME: Final = "update-id"
"""The name of the update id among the metadata, of files whose first bytes do not tell it."""

DELISTED: Final = "DELISTED"
"""Our own word for a symbol that the venue lists no more."""

OPERATOR: Final = "operator"
"""The ``replica`` of a file that an operator wrote by hand: no process goes on writing it."""

_STATUS = re.compile(r"[A-Z][A-Z0-9_]{0,31}")


class Version(NamedTuple):
    """Which of two files of one key is newer: compared by epoch, then by update id.

    Update ids can go down (relisting, maintenance); then a new epoch begins.

    >>> Version(1, 900) < Version(2, 7) < Version(2, 8)
    True
    """

    epoch: int
    update_id: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.update_id}"


def valid_status(text: str) -> bool:
    """Whether ``text`` is spelled like a symbol's status: up to 32 upper-case letters, digits and ``_``.

    >>> valid_status("CANCEL_ONLY"), valid_status("halt"), valid_status("")
    (True, False, False)
    """
    return _STATUS.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class FileInfo:
    """What a writer knows about a file beside its body; travels as the object's metadata.

    ``bids`` and ``asks`` count the levels that are *certain* on each side: below them the writer's book
    is complete. ``bids_complete``: no bid exists beyond them. Times are milliseconds since 1970;
    ``event_time_ms`` is the venue's clock of the last applied diff (0 where none came yet),
    ``publish_time_ms`` the writer's own. ``status`` is the venue's word for what the symbol does, or
    :data:`DELISTED`; it alone may change while the version stays (:mod:`depthcast.marking`). ``update_id`` is
    the book's, where the first bytes of the body do not tell it.
    """

    epoch: int
    bids: int
    asks: int
    bids_complete: bool
    asks_complete: bool
    event_time_ms: int
    publish_time_ms: int
    replica: str
    status: str = TRADING
    update_id: int | None = None

    def to_metadata(self) -> dict[str, str]:
        """As S3 user metadata: lower-case names, ASCII values.

        >>> info = FileInfo(0, 5000, 812, False, True, 1723161253000, 1723161253021, "host-1")
        >>> info.to_metadata()["certain-asks"]
        '812+'
        >>> FileInfo.from_metadata("k", info.to_metadata()) == info
        True
        """
        told = {} if self.update_id is None else {UPDATE_ID_NAME: str(self.update_id)}
        return {
            **told,
            "epoch": str(self.epoch),
            "certain-bids": f"{self.bids}{'+' * self.bids_complete}",
            "certain-asks": f"{self.asks}{'+' * self.asks_complete}",
            "event-time": str(self.event_time_ms),
            "publish-time": str(self.publish_time_ms),
            "replica": self.replica,
            STATUS_NAME: self.status,
        }

    @classmethod
    def from_metadata(cls, key: str, metadata: Mapping[str, str]) -> Self:
        """The reverse of :meth:`to_metadata`; names in any case. Without a status it is :data:`TRADING`:
        files written before there was one.

        Raises :class:`~depthcast.errors.BadFile` where a member is missing or malformed.
        """
        fields = {name.lower(): value for name, value in metadata.items()}
        try:
            bids, asks = fields["certain-bids"], fields["certain-asks"]
            return cls(
                epoch=_count(fields["epoch"]),
                bids=_count(bids.removesuffix("+")),
                asks=_count(asks.removesuffix("+")),
                bids_complete=bids.endswith("+"),
                asks_complete=asks.endswith("+"),
                event_time_ms=_count(fields["event-time"]),
                publish_time_ms=_count(fields["publish-time"]),
                replica=fields["replica"],
                status=_status(fields.get(STATUS_NAME, TRADING)),
                update_id=_count(fields[UPDATE_ID_NAME]) if UPDATE_ID_NAME in fields else None,
            )
        except KeyError as missing:
            raise BadFile(key, f"its metadata has no {missing.args[0]!r}") from None
        except ValueError as error:
            raise BadFile(key, f"its metadata is malformed: {error}") from None


def _count(text: str) -> int:
    # A text of any length would take long to read, too.
    if not (len(text) <= _MOST_DIGITS and text.isascii() and text.isdecimal() and int(text) <= MAX_NUMBER):
        raise ValueError(f"{text!r:.40} is not a whole number up to {MAX_NUMBER}")
    return int(text)


def _status(text: str) -> str:
    if not valid_status(text):
        raise ValueError(f"{text!r:.40} is not a status")
    return text
