"""The error tree. Every error says what happened, carries the data, and hints what to do about it.

::

    DepthcastError
    ├── SettingsError              a setting is unknown, malformed or contradicts another
    ├── ExtraMissing               a package that belongs to one of our extras is not installed
    ├── UnknownSymbol              nobody there has a book of that symbol
    ├── BookError
    │   ├── BadLevel               a level whose price or quantity is not a plain decimal number
    │   ├── BookSpoiled            the venue's messages contradict the book more than is borne
    │   ├── BookNotReady           there is no good book (yet), or it is not kept up to date
    │   ├── NotByOrder             the venue tells of prices, not of every order
    │   └── NotDeepEnough          fewer levels are certain than were asked for, and more may exist
    ├── ContractError
    │   ├── BadKey                 a key or a request that no file answers
    │   ├── FileMissing            no file with so many levels is published
    │   ├── NotOnTape              the tape does not hold that moment: outside its range, or in a hole
    │   └── BadFile                a stored object that is not a file of ours
    ├── VenueError
    │   ├── MalformedFrame         a websocket frame that the venue's documents do not describe
    │   ├── MalformedAnswer        a REST body that the venue's documents do not describe
    │   ├── Refused                the venue answered with one of its error codes
    │   ├── KeyRefused             it does not take an account's key, signature or clock
    │   ├── SubscriptionRefused    it does not take the subscription to one symbol; the others go on
    │   ├── RateLimited            429 or 418: be silent until ``retry_after_ms`` has passed
    │   └── VenueUnavailable       no answer, a time-out or a 5xx
    └── StoreError
        ├── StoreUnavailable       no answer, a time-out or a 5xx
        ├── BucketMissing          the bucket does not exist
        ├── AccessDenied           wrong credentials, or a policy forbids the call
        └── ConditionsIgnored      the store does not honour If-Match / If-None-Match

``str(error)`` is one line, ready for a log or a terminal: the message, then the hint.
"""

from collections.abc import Mapping, Sequence


class DepthcastError(Exception):
    """The root of all errors raised on purpose by this project.

    ``message`` says what happened; ``hint`` (may be empty) says what to do. Others' words in them may hold
    line breaks, or sequences that steer a terminal: both are made printable.

    >>> str(StoreUnavailable("the store does not answer", hint="start it"))
    'the store does not answer; start it'
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        message = _printable(message)
        super().__init__(message)
        self.message = message
        self.hint = _printable(hint)

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class SettingsError(DepthcastError):
    """A setting is unknown, malformed or contradicts another one."""


class ExtraMissing(DepthcastError, ImportError):
    """A package that belongs to one of our extras is not installed.

    ``extra`` names the extra, ``module`` what could not be imported, ``what`` (in the message) what needs it.
    """

    def __init__(self, what: str, extra: str, module: str) -> None:
        super().__init__(
            f"{what} needs {module}, which is not installed", hint=f"run: pip install 'depthcast[{extra}]'"
        )
        self.extra = extra
        self.module = module
        self.name: str | None = module


class UnknownSymbol(DepthcastError):
    """Nobody there has a book of that symbol: the exchange does not list it, or nothing of it is published.

    ``symbol`` is the one asked for.
    """

    def __init__(self, symbol: str, where: str, *, hint: str = "") -> None:
        super().__init__(
            f"{where} has no symbol {symbol!r:.60}",
            hint=hint or "symbols are spelled as the exchange does: ETHUSDT",
        )
        self.symbol = symbol


class BookError(DepthcastError):
    """What was given to a book cannot be part of one, or what was asked of it cannot be given."""


class BadLevel(BookError):
    """A level whose price or quantity is not a plain non-negative decimal number.

    The book it was meant for is unchanged.
    """

    def __init__(self, level: object) -> None:
        super().__init__(
            f"not an order-book level: {level!r:.120}",
            hint="the diff or snapshot is discarded and the symbol taken anew",
        )
        self.level = level


class BookSpoiled(BookError):
    """The venue's messages contradict the book of ``symbol`` by more than is borne.

    ``anomalies`` names what the last one contradicted.
    """

    def __init__(self, symbol: str, anomalies: Sequence[str]) -> None:
        super().__init__(
            f"{symbol}: its messages contradict the book ({', '.join(anomalies)})",
            hint="the symbol is taken anew",
        )
        self.symbol = symbol
        self.anomalies = list(anomalies)


class BookNotReady(BookError):
    """There is no good book of some symbols, or (while it is waited for) none that is kept up to date.

    ``why`` says of each symbol what its book waits for.
    """

    def __init__(self, why: Mapping[str, str]) -> None:
        told = [f"{symbol} ({reason})" for symbol, reason in list(why.items())[:3]]
        more = f" and {len(why) - 3} more" if len(why) > 3 else ""
        super().__init__(
            f"no book that is ready of {', '.join(told)}{more}",
            hint="await wait(), and give it as long as the exchange takes",
        )
        self.why: dict[str, str] = dict(why)

    @property
    def symbols(self) -> list[str]:
        """Whose books are not ready."""
        return list(self.why)


class NotByOrder(BookError):
    """The orders of a book were asked for that is kept by price."""

    def __init__(self, symbol: str) -> None:
        super().__init__(
            f"{symbol}: its exchange does not tell of every order", hint="read its levels: top(), body()"
        )
        self.symbol = symbol


class NotDeepEnough(BookError):
    """Fewer than ``limit`` levels of a side are certain, and more may exist; ``bids`` and ``asks`` are."""

    def __init__(self, symbol: str, limit: int, *, bids: int, asks: int) -> None:
        super().__init__(
            f"{symbol}: {limit} levels were asked for, and {bids} bids and {asks} asks are certain",
            hint="ask for fewer, or keep deeper books; they are completed in the background",
        )
        self.symbol = symbol
        self.limit = limit
        self.bids = bids
        self.asks = asks


class ContractError(DepthcastError):
    """A key, a request or an object outside the contract in ``depthcast.files``."""


class BadKey(ContractError):
    """A key or a request that no file answers."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"{key!r:.200} names no file: {why}")
        self.key = key


class FileMissing(ContractError):
    """No file with so many levels is published. ``key`` is the one that was looked for first."""

    def __init__(self, key: str, why: str, *, hint: str = "") -> None:
        super().__init__(f"{key!r:.200} is not published: {why}", hint=hint)
        self.key = key


class NotOnTape(ContractError):
    """The tape of ``symbol`` does not hold a moment: it is outside of what was recorded, or in a hole."""

    def __init__(self, symbol: str, why: str, *, in_hole: bool = False, hint: str = "") -> None:
        super().__init__(f"the tape of {symbol} does not hold that moment: {why}", hint=hint)
        self.symbol = symbol
        self.why = why
        self.in_hole = in_hole


class BadFile(ContractError):
    """A stored object that is not a file of ours: damaged, or written by someone else."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(
            f"the object {key!r:.200} is not a published file: {why}",
            hint="the next write replaces it",
        )
        self.key = key


class VenueError(DepthcastError):
    """The exchange did or said something that stops us."""


class MalformedFrame(VenueError):
    """A websocket frame that the venue's documents do not describe.

    ``symbol`` is the book it was meant for, ``None`` where the frame does not tell.
    """

    def __init__(self, frame: str | bytes, why: str, *, symbol: str | None = None) -> None:
        super().__init__(f"malformed frame ({why}): {frame[:120]!r}")
        self.frame = frame
        self.symbol = symbol


class MalformedAnswer(VenueError):
    """A REST body that the venue's documents do not describe."""

    def __init__(
        self, url: str, why: str, *, hint: str = "check that the REST url points at the exchange's API"
    ) -> None:
        super().__init__(f"{url} answered something that is not its documented body: {why}", hint=hint)
        self.url = url


class Refused(VenueError):
    """The venue answered a request with one of its error codes.

    ``status`` is the HTTP status, ``code`` the venue's own (Binance: ``-1121``), ``text`` its words.
    """

    def __init__(self, status: int, code: int | None, text: str) -> None:
        super().__init__(f"the exchange refused the request: {status} {code} {text}")
        self.status = status
        self.code = code
        self.text = text


class KeyRefused(VenueError):
    """The venue does not take an account's key, signature or clock. No waiting mends it; somebody has to.

    ``status``, ``code`` and ``text`` as in :class:`Refused`.
    """

    def __init__(self, status: int, code: int | None, text: str, *, hint: str = "") -> None:
        super().__init__(f"the exchange refused the account's request: {status} {code} {text}", hint=hint)
        self.status = status
        self.code = code
        self.text = text


class SubscriptionRefused(VenueError):
    """The venue refused the subscription to ``symbol``, asked for alone. It is asked again, ever more seldom,
    and the others go on. ``code`` and ``text`` are the venue's."""

    def __init__(self, symbol: str, code: int | None, text: str) -> None:
        said = text if code is None else f"{code} {text}"
        super().__init__(
            f"the exchange refused the subscription to {symbol} alone: {said}",
            hint="the others go on; is there such a symbol?",
        )
        self.symbol = symbol
        self.code = code
        self.text = text


class RateLimited(VenueError):
    """HTTP 429, or 418 when ``banned``: be silent until ``retry_after_ms`` has passed."""

    def __init__(self, retry_after_ms: int, *, banned: bool) -> None:
        word = "banned this address" if banned else "asks for fewer requests"
        super().__init__(
            f"the exchange {word} for {retry_after_ms / 1000:.0f} s",
            hint="no REST request is sent until then; book updates go on",
        )
        self.retry_after_ms = retry_after_ms
        self.banned = banned


class VenueUnavailable(VenueError):
    """No answer, a time-out or a 5xx from the exchange."""


class StoreError(DepthcastError):
    """Object storage did or said something that stops us."""


class StoreUnavailable(StoreError):
    """No answer, a time-out or a 5xx from the store."""


class BucketMissing(StoreError):
    """The bucket does not exist."""


class AccessDenied(StoreError):
    """Wrong credentials, or a policy forbids the call."""


class ConditionsIgnored(StoreError):
    """The store does not honour If-Match / If-None-Match, so the write rule cannot hold on it."""


def _printable(text: str) -> str:
    """``text`` on one line, with escapes for what is no character to be shown."""
    if text.isprintable():
        return text
    joined = " ".join(text.split())
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in joined)
