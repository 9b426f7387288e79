"""The kinds of documents that are kept with history: their keys, and which of their members are no news.

What is where, for one kind::

    api/v3/exchangeInfo                              the current document, as the exchange wrote it
    api/v3/exchangeInfo?symbol=ETHUSDT               the same with one entry (:mod:`depthcast.metadata.cuts`)
    metadata/exchangeInfo                            the head: the newest change, with its document
    history/exchangeInfo/changes/<time>-<n>          each change, the same bytes as the head had
    history/exchangeInfo/symbols/ETHUSDT/<time>-<n>  the part of a change that touches one symbol
    history/exchangeInfo/wide/<time>-<n>             changes that touch very many symbols

All that is private lies below ``private/``, in the same shape. A lifecycle rule may expire what lies below a
history prefix, and nothing else. Pure.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from depthcast.errors import BadKey, MalformedAnswer
from depthcast.files import BINANCE, BOOK_PREFIXES, Scheme, valid_symbol
from depthcast.metadata.document import Json, read_json, write_json
from depthcast.symbol_list import Layout
from depthcast.venues.lists import list_of

METADATA_PREFIX: Final = "metadata/"
"""Where heads are: never expired."""

HISTORY_PREFIX: Final = "history/"
"""Where the changes are; a lifecycle rule may expire them."""

PRIVATE_PREFIX: Final = "private/"
"""What lies below it is never public."""

SYSTEM_STATUS_KEY: Final = "sapi/v1/system/status"
CURRENT_PREFIX: Final = "metadata/current/"
"""Where the current documents are that no venue answers by itself."""

TRADING_STATUS_KEY: Final = f"{CURRENT_PREFIX}tradingStatus"

PUBLIC_PREFIXES: Final = (*BOOK_PREFIXES, "sapi/", CURRENT_PREFIX)
"""Where the files are that anybody may read: books, and current documents. An edge without a server reads
them; heads and changes are a server's to read."""

MAX_DOCUMENT_BYTES: Final = 128 * 2**20
"""A larger document is refused. Binance's list of symbols has 15 MB."""

_SERVER_TIME: Final = re.compile(rb'"serverTime":([0-9]{1,13})(?=[,}])')
_SEARCHED_BYTES: Final = 4096
_ACCOUNT: Final = re.compile(r"[A-Za-z0-9_-]{1,50}")
_RESERVED: Final = frozenset({"history", "metadata"})


class Reading(NamedTuple):
    """What is known of a document at the cost of a hash. ``server_time_ms``: the exchange's, where it tells.

    Two documents with equal fingerprints say the same.
    """

    server_time_ms: int | None
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of document.

    ``name`` is its name in keys (of a private one below the account's), ``key`` the published file,
    ``path`` what the exchange is asked for. ``layout``: it is a list of symbols, which is never empty, and is
    written so.
    """

    name: str
    key: str
    path: str
    private: bool = False
    layout: Layout | None = None

    @property
    def has_symbols(self) -> bool:
        """Whether it is a list of symbols."""
        return self.layout is not None

    @property
    def timed(self) -> bool:
        """Whether it tells ``serverTime``."""
        return self.layout is not None and self.layout.timed

    @property
    def _bare(self) -> bool:
        return self.layout is not None and self.layout.bare

    @property
    def head_key(self) -> str:
        """The key of the newest change."""
        return f"{PRIVATE_PREFIX * self.private}{METADATA_PREFIX}{self.name}"

    @property
    def history_folder(self) -> str:
        """The folder of all changes."""
        return f"{PRIVATE_PREFIX * self.private}{HISTORY_PREFIX}{self.name}/"

    @property
    def changes_folder(self) -> str:
        """The folder of whole changes."""
        return f"{self.history_folder}changes/"

    @property
    def wide_folder(self) -> str:
        """The folder of changes that touch too many symbols to be kept with each."""
        return f"{self.history_folder}wide/"

    def cut_key(self, symbol: str) -> str:
        """The key of the file that has one symbol's entry alone."""
        return f"{self.key}?symbol={symbol}"

    def symbol_folder(self, symbol: str) -> str:
        """The folder of the changes that touch ``symbol``. Raises :class:`~depthcast.errors.BadKey`."""
        folder = f"{self.history_folder}symbols/{symbol}/"
        if not keeps_by_itself(symbol):
            raise BadKey(folder, "the symbol is misspelled")
        return folder

    def read(self, body: bytes) -> Reading:
        """Look at a document without parsing it.

        Raises :class:`~depthcast.errors.MalformedAnswer` for what is no whole JSON object, or list where that
        is to be one: HTML, nothing at all, a body that was cut off.
        """
        if len(body) > MAX_DOCUMENT_BYTES:
            raise MalformedAnswer(self.path, f"it has more than {MAX_DOCUMENT_BYTES} bytes")
        opening, closing, word = (b"[", b"]", "list") if self._bare else (b"{", b"}", "object")
        if not (body.startswith(opening) and body.endswith(closing)):
            what = "empty" if not body else f"no whole JSON {word}: {body[:40]!r}"
            raise MalformedAnswer(self.path, f"it is {what}")
        found = None if self._bare else _SERVER_TIME.search(body, 0, _SEARCHED_BYTES)
        if found is None and self.timed:
            raise MalformedAnswer(self.path, "it tells no serverTime in milliseconds")
        digest = hashlib.sha256(body[: found.start(1)] if found else body)
        if found:
            digest.update(memoryview(body)[found.end(1) :])
        return Reading(int(found[1]) if found else None, digest.hexdigest())

    def parse(self, body: bytes) -> Json:
        """A document's members, but for those that are no news (``serverTime``); as :meth:`members`.

        Raises :class:`~depthcast.errors.MalformedAnswer` for what is no JSON object, and for a list of
        symbols that is empty, or names one twice, or does not tell each one's status.
        """
        self.read(body)
        members = self.members(body)
        if self.layout is not None:
            self._check_symbols(members, self.layout)
        elif not members:
            raise MalformedAnswer(self.path, "it says nothing")
        return {name: value for name, value in members.items() if name != "serverTime"}

    def members(self, body: bytes) -> Json:
        """A document's members. A bare list is the member ``symbols``, as others have it.

        Raises :class:`~depthcast.errors.MalformedAnswer` for what is no JSON.
        """
        try:
            told = read_json(body)
        except ValueError as error:
            raise MalformedAnswer(self.path, f"it is no JSON: {error!s:.100}") from None
        return {"symbols": told} if self._bare else told

    def written(self, members: Json) -> bytes:
        """The reverse of :meth:`members`, compact."""
        return write_json(members["symbols"] if self._bare else members)

    def symbol_of(self, entry: Json) -> str:
        """The name of an entry in a list of symbols."""
        return str(entry[self.layout.name if self.layout else "symbol"])

    def _check_symbols(self, members: Json, layout: Layout) -> None:
        symbols = members.get("symbols")
        if not isinstance(symbols, list) or not symbols:
            raise MalformedAnswer(self.path, "it lists no symbols")
        names = set()
        for each in symbols:
            known = isinstance(each, dict) and isinstance(each.get(layout.status), str)
            if not known or not isinstance(each.get(layout.name), str) or not each[layout.name]:
                raise MalformedAnswer(self.path, f"a symbol has no name or no status: {each!r:.60}")
            names.add(each[layout.name])
        if len(names) < len(symbols):
            raise MalformedAnswer(self.path, "it lists a symbol twice")


def exchange_info(scheme: Scheme) -> Kind:
    """A venue's list of symbols, whatever the venue calls it. What is kept of it beside the current one is in
    the venue's own room.

    >>> from depthcast.files import BINANCE_USDM, COINBASE
    >>> exchange_info(BINANCE_USDM).key, exchange_info(BINANCE_USDM).head_key
    ('fapi/v1/exchangeInfo', 'metadata/binanceusdm/exchangeInfo')
    >>> exchange_info(COINBASE).name, exchange_info(COINBASE).path
    ('coinbaseexchange/products', '/products')
    """
    told = list_of(scheme.venue)
    return Kind(f"{scheme.room}{told.name}", scheme.exchange_info_key, told.path, layout=told.layout)


def trading_status(scheme: Scheme) -> Kind:
    """What each of a venue's symbols does, derived by the updaters.

    >>> trading_status(BINANCE).key
    'metadata/current/tradingStatus'
    """
    key = f"{CURRENT_PREFIX}{scheme.room}tradingStatus"
    return Kind(f"{scheme.room}tradingStatus", key, key, layout=_DERIVED)


_DERIVED: Final = Layout(timed=False)

EXCHANGE_INFO: Final = exchange_info(BINANCE)
"""``GET /api/v3/exchangeInfo``: rate limits, and each symbol's status, sizes and permissions."""

SYSTEM_STATUS: Final = Kind("systemStatus", SYSTEM_STATUS_KEY, f"/{SYSTEM_STATUS_KEY}")
"""``GET /sapi/v1/system/status``: ``{"status":0,"msg":"normal"}``, or 1 while there is maintenance."""

TRADING_STATUS: Final = trading_status(BINANCE)
"""What each symbol does, derived by the updaters from what they are told and what they see."""

PUBLIC: Final = (EXCHANGE_INFO, SYSTEM_STATUS, TRADING_STATUS)
"""The kinds that anybody may read, of the first venue."""


def public(scheme: Scheme) -> tuple[Kind, ...]:
    """The kinds of a venue that anybody may read, its list of symbols first.

    >>> from depthcast.files import COINBASE
    >>> [kind.name for kind in public(COINBASE)]
    ['coinbaseexchange/products', 'coinbaseexchange/tradingStatus']
    """
    return PUBLIC if scheme.venue == BINANCE.venue else (exchange_info(scheme), trading_status(scheme))


def keeps_by_itself(symbol: str) -> bool:
    """Whether a symbol has a folder of its own: it is spelled like one, and no key would be odd with it.

    >>> keeps_by_itself("ETHUSDT"), keeps_by_itself(".."), keeps_by_itself("a/b")
    (True, False, False)
    """
    return valid_symbol(symbol) and symbol not in (".", "..")


def account(name: str) -> Kind:
    """``GET /api/v3/account`` of one account: commissions, permissions, balances.

    ``name`` is ours, not the exchange's. Raises :class:`~depthcast.errors.BadKey` for a misspelled one.

    >>> account("main").key, account("main").head_key
    ('private/main/api/v3/account', 'private/metadata/main/account')
    """
    key = f"{PRIVATE_PREFIX}{name}/api/v3/account"
    return Kind(f"{_checked(name, key)}/account", key, "/api/v3/account", private=True)


def commission(name: str, symbol: str) -> Kind:
    """``GET /api/v3/account/commission?symbol=…`` of one account. Raises as :func:`account`.

    >>> commission("main", "ETHUSDT").history_folder
    'private/history/main/commission/ETHUSDT/'
    """
    key = f"{PRIVATE_PREFIX}{name}/api/v3/account/commission?symbol={symbol}"
    if not keeps_by_itself(symbol):
        raise BadKey(key, "the symbol is misspelled")
    return Kind(f"{_checked(name, key)}/commission/{symbol}", key, "/api/v3/account/commission", private=True)


def _checked(name: str, key: str) -> str:
    if _ACCOUNT.fullmatch(name) is None or name in _RESERVED:
        raise BadKey(
            key, "an account's name is 1 to 50 letters, digits, '_' and '-', not history or metadata"
        )
    return name
