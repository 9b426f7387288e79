"""``DepthFile``: one published book as a value, with what its writer said beside it. Pure.

The body is the exchange's own answer. What else is known of it travels as the object's metadata in a bucket
and as ``Depthcast-…`` headers from a server or an edge; :class:`About` is both. What nobody said is ``None``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from depthcast.errors import BadFile
from depthcast.files import BINANCE, SCHEMES, FileInfo, Scheme, depth_key
from depthcast.reading import frames
from depthcast.side import MAX_DIGITS

if TYPE_CHECKING:
    import pandas
    import polars

_CERTAIN: Final = re.compile(
    r"bids=(?P<bids>[0-9]{1,9})(?P<all_bids>;complete)?, asks=(?P<asks>[0-9]{1,9})(?P<all_asks>;complete)?"
)
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_VERSION: Final = re.compile(r"[0-9]{1,18}:([0-9]{1,18})")
_WITH_EXPONENT: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a file beside its body.

    Times are milliseconds since 1970. ``current_time_ms`` is the latest moment at which the book is known to
    have been the exchange's; ``state`` is a server's judgement (``docs/freshness.md``). ``update_id`` is that
    of the book, where it is not only the body that tells it.
    """

    epoch: int | None = None
    certain_bids: int | None = None
    certain_asks: int | None = None
    bids_complete: bool | None = None
    asks_complete: bool | None = None
    event_time_ms: int | None = None
    publish_time_ms: int | None = None
    current_time_ms: int | None = None
    replica: str | None = None
    status: str | None = None
    state: str | None = None
    update_id: int | None = None

    @classmethod
    def of_metadata(cls, key: str, metadata: Mapping[str, str]) -> Self:
        """From an object's metadata. Raises :class:`~depthcast.errors.BadFile` where it is not a file's.

        A store cannot tell whether anybody still hears the exchange: the book is known to have been current
        at the exchange's time of the last diff in it.
        """
        info = FileInfo.from_metadata(key, metadata)
        return cls(
            epoch=info.epoch,
            certain_bids=info.bids,
            certain_asks=info.asks,
            bids_complete=info.bids_complete,
            asks_complete=info.asks_complete,
            event_time_ms=info.event_time_ms or None,
            publish_time_ms=info.publish_time_ms,
            current_time_ms=info.event_time_ms or None,
            replica=info.replica,
            status=info.status,
            update_id=info.update_id,
        )

    @classmethod
    def of_headers(cls, headers: Mapping[str, str]) -> Self:
        """From an answer's headers, whose names are in lower case. What is missing or odd is not known.

        >>> About.of_headers({"depthcast-epoch": "2", "depthcast-certain": "bids=9;complete, asks=7"})
        ... # doctest: +ELLIPSIS
        About(epoch=2, certain_bids=9, certain_asks=7, bids_complete=True, asks_complete=False, ...)
        """
        certain = _CERTAIN.fullmatch(headers.get("depthcast-certain", ""))
        version = _VERSION.fullmatch(headers.get("depthcast-version", ""))
        return cls(
            epoch=_number(headers.get("depthcast-epoch")),
            certain_bids=int(certain["bids"]) if certain else None,
            certain_asks=int(certain["asks"]) if certain else None,
            bids_complete=bool(certain["all_bids"]) if certain else None,
            asks_complete=bool(certain["all_asks"]) if certain else None,
            event_time_ms=_number(headers.get("depthcast-event-time")) or None,
            publish_time_ms=_number(headers.get("depthcast-publish-time")) or None,
            current_time_ms=_number(headers.get("depthcast-current-time")) or None,
            status=headers.get("depthcast-status") or None,
            state=headers.get("depthcast-state") or None,
            update_id=int(version[1]) if version else None,
        )


@dataclass(frozen=True, slots=True, repr=False)
class DepthFile:
    """The published book of ``symbol``, ``limit`` levels a side or all that are certain and there; of a
    ``venue`` whose limits mean something else, what that asks for.

    ``bids`` and ``asks`` are ``(price, amount)``, best first, as floats; ``exact_bids`` and ``exact_asks``
    the same as the strings that the exchange sent. ``body`` is what the exchange's own call, ``GET
    /api/v3/depth`` or its like, answers. ``about`` is what is known beside it, and its members are also to
    be had here by name. ``update_id`` is 0 where neither the body nor anything beside it tells one.
    """

    symbol: str
    limit: int
    update_id: int
    bids: tuple[tuple[float, float], ...]
    asks: tuple[tuple[float, float], ...]
    exact_bids: tuple[tuple[str, str], ...]
    exact_asks: tuple[tuple[str, str], ...]
    body: bytes
    about: About
    venue: str = BINANCE.venue

    @classmethod
    def of(cls, symbol: str, limit: int, body: bytes, about: About, scheme: Scheme = BINANCE) -> Self:
        """From a body that answers ``limit``, in ``scheme``. Raises :class:`~depthcast.errors.BadFile` for
        what is none. O(levels).

        >>> body = b'{"lastUpdateId":7,"bids":[["2.50","4"]],"asks":[]}'
        >>> file = DepthFile.of("ETHUSDT", 5, body, About(epoch=1, state="live"))
        >>> file.bids, file.exact_bids, file.version
        (((2.5, 4.0),), (('2.50', '4'),), (1, 7))
        >>> file
        DepthFile(ETHUSDT at 7, 1 bids, 0 asks, live)
        """
        key = depth_key(symbol, limit, scheme)
        layout = scheme.layout(limit)
        update_id = layout.check(key, body)
        sides = layout.levels(key, body)
        try:
            bids, asks = _checked(sides[0]), _checked(sides[1])
            return cls(
                symbol=symbol,
                limit=limit,
                update_id=(about.update_id or 0) if update_id is None else update_id,
                bids=tuple((float(price), float(amount)) for price, amount in bids),
                asks=tuple((float(price), float(amount)) for price, amount in asks),
                exact_bids=bids,
                exact_asks=asks,
                body=body,
                about=about,
                venue=scheme.venue,
            )
        except ValueError as error:
            raise BadFile(key, f"its levels cannot be read: {error!s:.100}") from None

    def __repr__(self) -> str:
        levels = f"{len(self.bids)} bids, {len(self.asks)} asks"
        return f"DepthFile({self.symbol} at {self.update_id}, {levels}, {self.state or self.status})"

    @property
    def epoch(self) -> int | None:
        """Update ids of different epochs are not to be compared."""
        return self.about.epoch

    @property
    def version(self) -> tuple[int, int] | None:
        """(epoch, update id): of two files of one symbol the one with the greater version is newer."""
        return None if self.about.epoch is None else (self.about.epoch, self.update_id)

    @property
    def certain_bids(self) -> int | None:
        """How many bids its writer was sure of; ``bids_complete``: no bid exists beyond them."""
        return self.about.certain_bids

    @property
    def certain_asks(self) -> int | None:
        """How many asks its writer was sure of; ``asks_complete``: no ask exists beyond them."""
        return self.about.certain_asks

    @property
    def bids_complete(self) -> bool | None:
        """Whether no bid exists beyond the certain ones."""
        return self.about.bids_complete

    @property
    def asks_complete(self) -> bool | None:
        """Whether no ask exists beyond the certain ones."""
        return self.about.asks_complete

    @property
    def event_time_ms(self) -> int | None:
        """The exchange's time of the last diff in it, in ms since 1970."""
        return self.about.event_time_ms

    @property
    def publish_time_ms(self) -> int | None:
        """When it was written, by its writer's clock, in ms since 1970."""
        return self.about.publish_time_ms

    @property
    def current_time_ms(self) -> int | None:
        """The latest moment at which it is known to have been the exchange's book, in ms since 1970."""
        return self.about.current_time_ms

    @property
    def replica(self) -> str | None:
        """Who wrote it; a server does not tell."""
        return self.about.replica

    @property
    def status(self) -> str | None:
        """The exchange's word for what the symbol does: ``TRADING``, ``HALT`` …, or ``DELISTED``."""
        return self.about.status

    @property
    def state(self) -> str | None:
        """What a server knows of how fresh it is: ``live``, ``stale``, ``halted`` or ``proxied``."""
        return self.about.state

    def rows(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Bids and asks as the exchange's own rows, best first: ``price`` and ``amount`` as sent, and what
        else it tells of each (Coinbase: ``orders``, how many there are, or ``order_id``, which one; BitMEX:
        ``id``, ``time``). One row a level, or an order where orders are told. Raises
        :class:`~depthcast.errors.BadFile`."""
        scheme = SCHEMES[self.venue]
        return scheme.layout(self.limit).rows(depth_key(self.symbol, self.limit, scheme), self.body)

    def to_records(self, *, strings: bool = False, rows: bool = False) -> list[dict[str, Any]]:
        """One dictionary a level, with the members :data:`depthcast.reading.frames.COLUMNS`; ``rows``: one
        for each of :meth:`rows`, and what else that tells behind them."""
        return frames.to_records([self], strings=strings, rows=rows)

    def to_pandas(self, *, strings: bool = False, rows: bool = False) -> "pandas.DataFrame":
        """The same, a row each; ``strings``: prices and amounts as sent. Raises
        :class:`~depthcast.errors.ExtraMissing` without pandas."""
        return frames.to_pandas([self], strings=strings, rows=rows)

    def to_polars(self, *, strings: bool = False, rows: bool = False) -> "polars.DataFrame":
        """The same, a row each; ``strings``: prices and amounts as sent. Raises
        :class:`~depthcast.errors.ExtraMissing` without polars."""
        return frames.to_polars([self], strings=strings, rows=rows)


def _checked(side: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """A side whose texts are numbers. Raises ``ValueError``."""
    levels = tuple(side)
    texts = [text for level in levels for text in level]
    # float() alone would let "nan", "1_0" and " 1" pass.
    if "".join(texts).encode().translate(None, b"0123456789."):
        odd = next((text for text in texts if _WITH_EXPONENT.fullmatch(text) is None), None)
        if odd is not None:
            raise ValueError("a price or an amount is no plain number")
    if max(map(len, texts), default=0) > MAX_DIGITS:
        raise ValueError(f"a price or an amount of more than {MAX_DIGITS} characters")
    return levels


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and _NUMBER.fullmatch(text) else None
