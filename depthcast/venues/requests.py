"""What a query string comes to, in whichever venue's place it is answered: a request or a refusal. Pure."""

import json
import re
from typing import Final, Literal, NamedTuple

SymbolStatus = Literal["TRADING", "HALT", "BREAK"]
"""What a request may want of a symbol's status, where a venue lets it."""

_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")


class DepthRequest(NamedTuple):
    """A request for a book. ``limit`` is one that the venue takes; no ``symbol_status``: none was sent."""

    symbol: str
    limit: int
    symbol_status: SymbolStatus | None


class ApiError(NamedTuple):
    """A refusal in a venue's words: ``status`` is the HTTP status, ``code`` the venue's own number.

    The body is Binance's; a venue that writes another one derives from this.
    """

    status: int
    code: int
    msg: str

    def body(self) -> bytes:
        """The JSON body, compact, non-ASCII text as UTF-8.

        >>> ApiError(400, -1121, "Invalid symbol.").body()
        b'{"code":-1121,"msg":"Invalid symbol."}'
        """
        return json.dumps(
            {"code": self.code, "msg": self.msg}, separators=(",", ":"), ensure_ascii=False
        ).encode()


def refuse_nothing(query: bytes) -> ApiError | None:
    """The parser of calls without parameters that pass over whatever is sent.

    >>> refuse_nothing(b"symbol=X") is None
    True
    """
    return None


def decode(raw: bytes) -> str:
    """Form decoding: ``+`` is a space, ``%XX`` a byte, the bytes are UTF-8.

    What does not decode stays (``%zz``) or becomes U+FFFD: no parameter allows either, so it is refused as an
    illegal character and not as a broken request.

    >>> decode(b"BTC%2DUSD"), decode(b"a+b")
    ('BTC-USD', 'a b')
    """
    if b"+" in raw:
        raw = raw.replace(b"+", b" ")
    if b"%" in raw:
        raw = _ESCAPE.sub(lambda escape: bytes((int(escape[1], 16),)), raw)
    return raw.decode("utf-8", errors="replace")
