"""What is asked for below ``/private/``: paths and query strings to documents, times and pages of an account.

==================================================  ====================================================
``NAME/api/v3/account``                             the document as it is, or as it was with ``at=``
``NAME/api/v3/account/commission?symbol=S``         likewise
``NAME/history/account``                            its changes: ``from=``, ``to=``, ``limit=``
``NAME/history/commission?symbol=S``                likewise
==================================================  ====================================================

Who asks has shown a token, so what is wrong is told, in the exchange's form. Pure.
"""

from typing import Final, NamedTuple

from depthcast.errors import BadKey
from depthcast.metadata import kinds
from depthcast.metadata.kinds import Kind
from depthcast.venues.binance_rest import SYMBOL_MISSING, parameters, symbol_of, unread
from depthcast.venues.requests import ApiError
from server.past import IN_THE_FUTURE, LogRequest, moment_of, page_of

_SYMBOL: Final = "symbol"
_AT: Final = "at"
_PAGE: Final = ("from", "to", "limit")


class PrivateRequest(NamedTuple):
    """A document (``at_ms``: of a time; ``None``: as it is), or a page of its changes."""

    kind: Kind
    at_ms: int | None = None
    page: LogRequest | None = None


def parse_private(path: str, query: bytes, now_ms: int) -> PrivateRequest | ApiError | None:
    """What is asked for by the path below ``/private/`` and the raw query string; ``None``: nothing there is.

    >>> parse_private("main/api/v3/account", b"", 5).kind.key
    'private/main/api/v3/account'
    >>> parse_private("main/api/v3/account/commission", b"symbol=ETHUSDT&at=3", 5).at_ms
    3
    >>> parse_private("main/history/account", b"to=4", 5).page.to_ms
    4
    """
    name, _, rest = path.partition("/")
    if rest not in ("api/v3/account", "api/v3/account/commission", "history/account", "history/commission"):
        return None
    of_symbol, of_changes = rest.endswith("/commission"), rest.startswith("history/")
    known = ((_SYMBOL,) if of_symbol else ()) + (_PAGE if of_changes else (_AT,))
    sent = parameters(query, known)
    if isinstance(sent, ApiError):
        return sent
    kind = _kind(name, sent, of_symbol)
    if not isinstance(kind, Kind):
        return kind
    if of_changes:
        page = page_of(sent)
        if isinstance(page, ApiError):
            return page
        return unread(sent, known) or PrivateRequest(kind, page=page)
    at_ms = moment_of(sent, _AT, None)
    if isinstance(at_ms, ApiError):
        return at_ms
    if at_ms is not None and at_ms > now_ms:
        return IN_THE_FUTURE
    return unread(sent, known) or PrivateRequest(kind, at_ms)


def _kind(name: str, sent: dict[str, str], of_symbol: bool) -> Kind | ApiError | None:
    symbol = symbol_of(sent) if of_symbol else None
    if isinstance(symbol, ApiError):
        return symbol
    if of_symbol and symbol is None:
        return SYMBOL_MISSING
    try:
        return kinds.account(name) if symbol is None else kinds.commission(name, symbol)
    except BadKey:
        return None
