"""THE CONTRACT: which key answers which request, what its bytes are, and which of two files is newer.

A key *is* the request it answers, with canonical parameters in a fixed order::

    api/v3/depth?symbol=ETHUSDT&limit=5
    products/BTC-USD/book?level=2

The body is exactly the venue's own answer, compact, and a pure function of (symbol, update id, limit) and
of how deep the writer's book is certain. Which keys there are and how bodies read is the venue's
:class:`~depthcast.scheme.Scheme`, found here by the key; :mod:`depthcast.venues.schemes` lists them.

Whatever else a reader may want to know travels beside the body, as object metadata
(:class:`~depthcast.file_info.FileInfo`): the update id too, where the first bytes of a body do not tell it.
Keys are built and parsed here and nowhere else. Pure: no I/O, no clock.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from depthcast.errors import BadFile, BadKey
from depthcast.file_info import (
    DELISTED,
    MAX_NUMBER,
    OPERATOR,
    STATUS_NAME,
    TRADING,
    UPDATE_ID_NAME,
    FileInfo,
    Version,
    valid_status,
)
from depthcast.scheme import (
    FLEET_PREFIX,
    PEEK_BYTES,
    DepthKey,
    Layout,
    Scheme,
    covering_limit,
    valid_symbol,
)
from depthcast.venues.binance_files import (
    BINANCE,
    BINANCE_US,
    BINANCE_USDM,
    FUTURES_LIMITS,
    LIMITS,
    MAX_LIMIT,
)
from depthcast.venues.coinbase_files import COINBASE, DETAILS
from depthcast.venues.schemes import SCHEMES

__all__ = [
    "BINANCE",
    "BINANCE_US",
    "BINANCE_USDM",
    "BOOK_PREFIXES",
    "COINBASE",
    "CONTENT_TYPE",
    "DELISTED",
    "DEPTH_PREFIX",
    "DETAILS",
    "EXCHANGE_INFO_KEY",
    "FLEET_PREFIX",
    "FUTURES_LIMITS",
    "LIMITS",
    "MAX_LIMIT",
    "MAX_NUMBER",
    "OPERATOR",
    "PEEK_BYTES",
    "SCHEMES",
    "STATUS_NAME",
    "TRADING",
    "UPDATE_ID_NAME",
    "DepthKey",
    "FileInfo",
    "Layout",
    "Scheme",
    "Version",
    "check_body",
    "check_file",
    "covering_limit",
    "cut",
    "depth_key",
    "heartbeat_key",
    "layout_of",
    "parse_heartbeat_key",
    "parse_key",
    "scheme_of",
    "update_id_of",
    "valid_status",
    "valid_symbol",
    "version_of",
]

CONTENT_TYPE: Final = "application/json"

BOOK_PREFIXES: Final = tuple(
    dict.fromkeys(prefix for scheme in SCHEMES.values() for prefix in scheme.public_prefixes)
)
"""What lies below them is published: books of all venues, and their lists of symbols. Anybody may read it."""

DEPTH_PREFIX: Final = BINANCE.depth_prefixes[0]

EXCHANGE_INFO_KEY: Final = BINANCE.exchange_info_key
"""The key of the venue's list of symbols, as the venue answers it (:mod:`depthcast.symbol_list`)."""

_REPLICA = re.compile(r"[A-Za-z0-9._-]{1,100}")
_HEARTBEAT = re.compile(rf"(?P<prefix>{FLEET_PREFIX}(?:[a-z]+/)?)(?P<replica>{_REPLICA.pattern})\.json")
_SCHEMES: Final = tuple(SCHEMES.values())


def depth_key(symbol: str, limit: int, scheme: Scheme = BINANCE) -> str:
    """The key of the file that answers ``GET /api/v3/depth?symbol=…&limit=…``, or its like in ``scheme``.

    Raises :class:`~depthcast.errors.BadKey` for a misspelled symbol or a limit that the scheme does not
    know.

    >>> depth_key("ETHUSDT", 5), depth_key("BTC-USD", 2, COINBASE)
    ('api/v3/depth?symbol=ETHUSDT&limit=5', 'products/BTC-USD/book?level=2')
    """
    key = scheme.key(symbol, limit)
    if not scheme.valid_symbol(symbol):
        raise BadKey(key, "the symbol is misspelled")
    refusal = scheme.refusal(limit)
    if refusal is not None:
        raise BadKey(key, refusal)
    return key


class _Found(NamedTuple):
    """Whose file a key names, and which."""

    scheme: Scheme
    request: DepthKey
    layout: Layout


@lru_cache(maxsize=8192)
def _find(key: str) -> _Found:
    for scheme in _SCHEMES:
        request = scheme.parse(key) if key.startswith(scheme.depth_prefixes) else None
        if request is not None:
            return _Found(scheme, request, scheme.layout(request.limit))
    raise BadKey(key, "not of the form api/v3/depth?symbol=SYMBOL&limit=LIMIT, nor as other venues have it")


def parse_key(key: str) -> DepthKey:
    """The reverse of :func:`depth_key`, of any scheme; accepts the canonical spelling only.

    >>> parse_key("api/v3/depth?symbol=ETHUSDT&limit=5")
    DepthKey(symbol='ETHUSDT', limit=5)
    """
    return _find(key).request


def scheme_of(key: str) -> Scheme:
    """Whose file a key names. Raises as :func:`parse_key`.

    >>> scheme_of("fapi/v1/depth?symbol=ETHUSDT&limit=5").venue
    'binanceusdm'
    """
    return _find(key).scheme


@lru_cache(maxsize=8192)
def layout_of(key: str) -> Layout:
    """How the file at ``key`` reads. What is no key names a body from elsewhere, which is read as Binance's.

    >>> layout_of("products/BTC-USD/book?level=2").tells_early, layout_of("ETHUSDT").tells_early
    (False, True)
    """
    try:
        return _find(key).layout
    except BadKey:
        return BINANCE.layout(MAX_LIMIT)


def heartbeat_key(replica: str, scheme: Scheme = BINANCE) -> str:
    """The key of a replica's heartbeat. Raises :class:`~depthcast.errors.BadKey` for a misspelled name.

    >>> heartbeat_key("a"), heartbeat_key("a", BINANCE_USDM)
    ('fleet/a.json', 'fleet/binanceusdm/a.json')
    """
    key = f"{scheme.fleet_prefix}{replica}.json"
    if _REPLICA.fullmatch(replica) is None:
        raise BadKey(key, "a replica's name is 1 to 100 letters, digits, '.', '_' and '-'")
    return key


def parse_heartbeat_key(key: str, scheme: Scheme = BINANCE) -> str:
    """The reverse of :func:`heartbeat_key`: of a replica that keeps this venue's books, and no other's.

    >>> parse_heartbeat_key("fleet/a.json")
    'a'
    """
    match = _HEARTBEAT.fullmatch(key)
    if match is None or match["prefix"] != scheme.fleet_prefix:
        raise BadKey(key, f"not of the form {scheme.fleet_prefix}REPLICA.json")
    return match["replica"]


def update_id_of(key: str, body: bytes) -> int:
    """The update id that a body tells: its first :data:`PEEK_BYTES` are enough where its layout
    :attr:`~depthcast.scheme.Layout.tells_early`.

    Raises :class:`~depthcast.errors.BadFile` for bytes that are none of a file, or that tell no id: then the
    metadata do (:func:`version_of`).

    >>> update_id_of("k", b'{"lastUpdateId":160,"bids":[["0.1","2"]],"asks":[]}')
    160
    """
    update_id = layout_of(key).update_id(key, body)
    if update_id is None:
        raise BadFile(key, "its bytes tell no update id")
    return update_id


def check_body(key: str, body: bytes) -> int | None:
    """The update id that a file's whole ``body`` tells, where it tells one.

    Raises :class:`~depthcast.errors.BadFile` unless it begins, divides and ends like a whole file, and so
    tells a foreign or a truncated object from a file (:meth:`depthcast.scheme.Layout.check`).

    >>> check_body("k", b'{"lastUpdateId":160,"bids":[["0.1","2"]],"asks":[]}')
    160
    """
    return layout_of(key).check(key, body)


def cut(body: bytes, limit: int) -> bytes:
    """The file for a smaller ``limit`` (at least 1), out of a larger one's ``body`` of Binance's, without
    parsing it; other venues' are cut by their :func:`layout_of`.

    O(bytes kept). Returns ``body`` itself where nothing is to be cut. Works on bytes that
    :mod:`depthcast.book` wrote: compact, so ``],[`` stands between two levels and nowhere else.

    >>> cut(b'{"lastUpdateId":1,"bids":[["3","1"],["2","1"]],"asks":[["4","1"]]}', 1)
    b'{"lastUpdateId":1,"bids":[["3","1"]],"asks":[["4","1"]]}'
    """
    return BINANCE.layout(limit).cut(body, limit)


def version_of(key: str, head: bytes, metadata: Mapping[str, str]) -> Version:
    """The version of a stored file from its first :data:`PEEK_BYTES`, or all, and its metadata.

    Raises :class:`~depthcast.errors.BadFile` where either is not ours.
    """
    info = FileInfo.from_metadata(key, metadata)
    layout = layout_of(key)
    update_id = layout.update_id(key, head) if layout.tells_early else info.update_id
    if update_id is None:
        raise BadFile(key, f"its metadata has no {UPDATE_ID_NAME!r}")
    return Version(info.epoch, update_id)


def check_file(key: str, body: bytes, metadata: Mapping[str, str]) -> tuple[Version, FileInfo]:
    """The version of a whole file, and what is said beside it.

    Raises :class:`~depthcast.errors.BadFile` as :func:`check_body` does, for metadata that are none of ours,
    and where body and metadata tell different update ids.

    >>> body = b'{"lastUpdateId":160,"bids":[["0.1","2"]],"asks":[]}'
    >>> metadata = FileInfo(3, 1, 0, True, True, 0, 0, "host-1").to_metadata()
    >>> check_file("api/v3/depth?symbol=ETHUSDT&limit=5", body, metadata)[0]
    Version(epoch=3, update_id=160)
    """
    told = check_body(key, body)
    info = FileInfo.from_metadata(key, metadata)
    if info.update_id is None and not layout_of(key).tells_early:
        raise BadFile(key, f"its metadata has no {UPDATE_ID_NAME!r}")
    update_id = info.update_id if told is None else told
    if update_id is None or info.update_id not in (None, update_id):
        raise BadFile(key, "its metadata tells another update id")
    return Version(info.epoch, update_id), info
