"""The record of one change: its bytes, its keys, and what travels beside the head. Built and parsed here.

The object of a change is two gzip members one after the other, so that ``zcat`` shows it as a line of JSON
and the document below it, byte for byte as the exchange wrote it, and the record alone can be had from the
object's beginning::

    {"kind":"exchangeInfo","sequence":7,"observedMs":…,"validMs":null,"replica":"a","sha256":"…","bytes":…,
     "previous":"…","changes":[{"path":"symbols/ETHUSDT/status","what":"changed","from":"TRADING","to":"HALT"}]}
    {"timezone":"UTC","serverTime":…

Its name is the time turned round and the sequence, ``8276838746999-0000000007``: in the order of names the
newest comes first, so one listing of one object finds what was in force at a time. Pure.
"""

import gzip
import hashlib
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, Self

from depthcast.errors import BadFile
from depthcast.metadata.changes import Change
from depthcast.metadata.document import read_json, write_json
from depthcast.metadata.kinds import MAX_DOCUMENT_BYTES

MAX_TIME_MS: Final = 9_999_999_999_999
"""The latest time that a name can tell: in the year 2286."""

MAX_SEQUENCE: Final = 9_999_999_999

RECORD_PEEK: Final = 8192
"""So many first bytes of a change's object hold the record of most changes."""

CONTENT_TYPE: Final = "application/gzip"

_NAME: Final = re.compile(r"(?P<turned>[0-9]{13})-(?P<sequence>[0-9]{10})")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_GZIP_LEVEL: Final = 6
_WBITS_GZIP: Final = 31


class Name(NamedTuple):
    """The name of a change within its folder, read."""

    observed_ms: int
    sequence: int


def name_of(observed_ms: int, sequence: int) -> str:
    """The name of a change.

    >>> name_of(1_723_161_253_000, 7)
    '8276838746999-0000000007'
    """
    if not 1 <= sequence <= MAX_SEQUENCE:
        raise ValueError(f"{sequence} is no sequence")
    return f"{turned(observed_ms)}-{sequence:010d}"


def turned(observed_ms: int) -> str:
    """A time as names begin with it: names at or after this one are of that time or an earlier one."""
    if not 0 <= observed_ms <= MAX_TIME_MS:
        raise ValueError(f"{observed_ms} is no time in milliseconds since 1970")
    return f"{MAX_TIME_MS - observed_ms:013d}"


def parse_name(key: str) -> Name:
    """The reverse of :func:`name_of`, from a whole key. Raises :class:`~depthcast.errors.BadFile`.

    >>> parse_name("history/exchangeInfo/changes/8276838746999-0000000007")
    Name(observed_ms=1723161253000, sequence=7)
    """
    found = _NAME.fullmatch(key.rpartition("/")[2])
    if found is None:
        raise BadFile(key, "its name is no time and sequence")
    return Name(MAX_TIME_MS - int(found["turned"]), int(found["sequence"]))


@dataclass(frozen=True, slots=True)
class Record:
    """One change of one kind of document.

    ``sequence`` counts from 1 without a gap. ``observed_ms`` is when it was seen, by the exchange's clock
    where the document tells it, and grows with the sequence; ``valid_ms`` is from when on it is valid, where
    the exchange says so. ``sha256`` and ``size`` are the document's, ``previous`` the digest of the one
    before (``None``: the first). ``replica`` saw it.
    """

    kind: str
    sequence: int
    observed_ms: int
    valid_ms: int | None
    replica: str
    sha256: str
    size: int
    previous: str | None
    changes: tuple[Change, ...]

    @property
    def name(self) -> str:
        """Its name within its folders."""
        return name_of(self.observed_ms, self.sequence)

    @property
    def symbols(self) -> frozenset[str]:
        """The symbols that it touches."""
        return frozenset(symbol for change in self.changes for symbol in change.symbols)

    def only(self, symbol: str) -> "Record":
        """The part that touches ``symbol``."""
        return replace(self, changes=tuple(each for each in self.changes if symbol in each.symbols))

    def to_json(self) -> dict[str, Any]:
        """As it stands in objects."""
        return {
            "kind": self.kind,
            "sequence": self.sequence,
            "observedMs": self.observed_ms,
            "validMs": self.valid_ms,
            "replica": self.replica,
            "sha256": self.sha256,
            "bytes": self.size,
            "previous": self.previous,
            "changes": [change.to_json() for change in self.changes],
        }

    def to_bytes(self) -> bytes:
        """A line of JSON without its end."""
        return write_json(self.to_json())

    @classmethod
    def parse(cls, key: str, line: bytes) -> Self:
        """The reverse of :meth:`to_bytes`. Raises :class:`~depthcast.errors.BadFile`."""
        try:
            held = read_json(line)
            record = cls(
                kind=_text(held["kind"]),
                sequence=_number(held["sequence"]),
                observed_ms=_number(held["observedMs"]),
                valid_ms=None if held["validMs"] is None else _number(held["validMs"]),
                replica=_text(held["replica"]),
                sha256=_digest(held["sha256"]),
                size=_number(held["bytes"]),
                previous=None if held["previous"] is None else _digest(held["previous"]),
                changes=tuple(map(Change.from_json, held["changes"])),
            )
            _ = record.name
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise BadFile(key, f"it is no record of a change: {error!r:.100}") from None
        return record


class Recorded(NamedTuple):
    """A change with its document."""

    record: Record
    document: bytes

    def to_bytes(self) -> bytes:
        """The object of the change."""
        line = self.record.to_bytes() + b"\n"
        return gzip.compress(line, _GZIP_LEVEL, mtime=0) + gzip.compress(self.document, _GZIP_LEVEL, mtime=0)

    @classmethod
    def parse(cls, key: str, body: bytes) -> Self:
        """The reverse of :meth:`to_bytes`. Raises :class:`~depthcast.errors.BadFile`."""
        line, rest = _unpacked(key, body)
        if line is None:
            raise BadFile(key, "it was cut off")
        document, behind = _unpacked(key, rest)
        if document is None or behind:
            raise BadFile(key, "it was cut off, or something follows it")
        record = Record.parse(key, line)
        if digest_of(document) != record.sha256:
            raise BadFile(key, "its document is not the one that was recorded")
        return cls(record, document)


def record_within(key: str, beginning: bytes) -> Record | None:
    """The record of an object of which only the beginning was read; ``None`` where that does not hold it.

    Raises :class:`~depthcast.errors.BadFile`.
    """
    line, _ = _unpacked(key, beginning)
    return None if line is None else Record.parse(key, line)


def digest_of(document: bytes) -> str:
    """The digest that records tell."""
    return hashlib.sha256(document).hexdigest()


class HeadInfo(NamedTuple):
    """What is said beside the head and the current file, as metadata: what change they are of.

    ``fingerprint`` is the document's without what is no news (:class:`depthcast.metadata.kinds.Reading`),
    ``server_time_ms`` the ``serverTime`` in it: a static edge finds its digits by it.
    """

    sequence: int
    observed_ms: int
    sha256: str
    fingerprint: str
    replica: str
    server_time_ms: int | None = None

    def to_metadata(self) -> dict[str, str]:
        """As S3 user metadata."""
        told = {} if self.server_time_ms is None else {"server-time": str(self.server_time_ms)}
        return told | {
            "sequence": str(self.sequence),
            "observed-time": str(self.observed_ms),
            "sha256": self.sha256,
            "fingerprint": self.fingerprint,
            "replica": self.replica,
        }

    @classmethod
    def from_metadata(cls, key: str, metadata: Mapping[str, str]) -> Self:
        """The reverse of :meth:`to_metadata`; names in any case. Raises BadFile."""
        fields = {name.lower(): value for name, value in metadata.items()}
        try:
            info = cls(
                _count(fields["sequence"]),
                _count(fields["observed-time"]),
                _digest(fields["sha256"]),
                _digest(fields["fingerprint"]),
                fields["replica"],
                _count(fields["server-time"]) if "server-time" in fields else None,
            )
            name_of(info.observed_ms, info.sequence)
        except (KeyError, ValueError) as error:
            raise BadFile(key, f"its metadata is no change's: {error!r:.100}") from None
        return info


def _unpacked(key: str, packed: bytes) -> tuple[bytes | None, bytes]:
    """The first gzip member and what follows it; ``None`` where it does not end."""
    unpacking = zlib.decompressobj(_WBITS_GZIP)
    try:
        plain = unpacking.decompress(packed, MAX_DOCUMENT_BYTES)
    except zlib.error as error:
        raise BadFile(key, f"it is not compressed as a change is: {error}") from None
    if unpacking.unconsumed_tail:
        raise BadFile(key, f"it holds more than {MAX_DOCUMENT_BYTES} bytes")
    return (plain, unpacking.unused_data) if unpacking.eof else (None, b"")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.40} is no text")
    return value


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r:.40} is no whole number")
    return value


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 13):
        raise ValueError(f"{text!r:.40} is no whole number")
    return int(text)


def _digest(value: Any) -> str:
    if not isinstance(value, str) or _DIGEST.fullmatch(value) is None:
        raise ValueError(f"{value!r:.40} is no digest")
    return value


def newest_first(records: Iterable[Record]) -> list[Record]:
    """By sequence, the newest first, each once."""
    return sorted({record.sequence: record for record in records}.values(), key=lambda each: -each.sequence)
