"""One body in every coding that was asked for, and the answers made of it, each made once.

Variants of a body share its headers but not its entity tag: a tag is strong, so each coding has its own
(RFC 9110, 8.8.3.3). A reader who has any variant that it accepts has the book: it is answered 304 with the
tag of the one it has (13.1.2; choosing another variant to send than the one it has is no duty, 12.1). The tag
of a coding that it does not accept now, as a cache may send one for others, does not count.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from server.answers import JSON_TYPE, Answer, Asked, Header
from server.encodings import ASIDE_BYTES, WORTHWHILE_BYTES, Coding, acceptable, encode, encode_aside

if TYPE_CHECKING:
    from server.freshness import Currency


class Variant:
    """A body in one coding. ``encoded`` is ``None`` until it is needed. ``unasked`` counts the versions since
    the one for which somebody asked for this coding; ``None`` where nobody did."""

    __slots__ = ("coding", "coming", "currency", "encoded", "not_modified", "tag", "unasked", "whole")

    def __init__(self, coding: Coding, tag: bytes) -> None:
        self.coding = coding
        self.tag = tag
        self.encoded: bytes | None = None
        self.coming: asyncio.Future[bytes] | None = None
        self.unasked: int | None = None
        self.currency: Currency | None = None
        self.whole = self.not_modified = Answer(500, (), b"")


class Variants:
    """All variants of ``body``, whose headers are ``headers`` and whose entity tag begins with ``stem``.

    ``on_kept`` is told of each encoded body's length when it is kept.
    """

    __slots__ = ("_headers", "_made", "_on_kept", "_stem", "body")

    def __init__(
        self,
        body: bytes,
        stem: bytes,
        headers: Sequence[Header],
        on_kept: Callable[["Variants", int], None] = lambda *_: None,
    ) -> None:
        self.body = body
        self._stem = stem
        self._headers = headers
        self._on_kept = on_kept
        self._made: dict[Coding, Variant] = {}

    def order(self, accept_encoding: bytes | None) -> tuple[Coding, ...]:
        """The codings in which this body may be given, best first."""
        order = acceptable(accept_encoding)
        if len(self.body) < WORTHWHILE_BYTES and order[0] is not _IDENTITY and _IDENTITY in order:
            return _ONLY_IDENTITY
        return order

    def answer(
        self, asked: Asked, currency: "Currency", *, unmodified: bool = False
    ) -> Answer | Awaitable[Answer]:
        """304 to who has the body in a coding it accepts, or if ``unmodified``; else the body: to be awaited
        only where it is long and was not yet asked for in this coding."""
        order = self.order(asked.accept_encoding)
        variant = self.variant(order[0])
        variant.unasked = 0
        if asked.if_none_match is not None:
            has = self._had(asked.if_none_match, order)
            if has is not None:
                return self._marked(has, currency).not_modified
        elif unmodified:
            return self._marked(variant, currency).not_modified
        if variant.encoded is None:
            if len(self.body) > ASIDE_BYTES:
                return _Later(self, variant, currency)
            self._keep(variant, encode(variant.coding, self.body))
        return self._marked(variant, currency).whole

    def variant(self, coding: Coding) -> Variant:
        """The variant in ``coding``, encoded or not."""
        variant = self._made.get(coding)
        if variant is None:
            identity = coding is _IDENTITY
            suffix = b'"' if identity else b'-%b"' % coding.value
            variant = self._made[coding] = Variant(coding, b'"' + self._stem + suffix)
            variant.encoded = self.body if identity else None
        return variant

    def made(self) -> Iterable[Variant]:
        """The variants that somebody asked for, encoded or not."""
        return self._made.values()

    def encoding(self, variant: Variant) -> "asyncio.Future[bytes]":
        """The encoding of a long body, begun if it was not yet: one for all who wait for it."""
        if variant.coming is None:
            variant.coming = encode_aside(variant.coding, self.body)
            variant.coming.add_done_callback(lambda done: self._take(variant, done))
        return variant.coming

    def kept_bytes(self) -> int:
        """The length of all encoded bodies together."""
        return sum(len(each.encoded or b"") for each in self._made.values() if each.coding is not _IDENTITY)

    def _had(self, if_none_match: bytes, order: Sequence[Coding]) -> Variant | None:
        """Which of the variants in ``order`` the reader has (RFC 9110, 13.1.2: weak comparison, or ``*``).

        A tag stands in quotation marks and holds none, so finding it in the list is finding it as a member.
        """
        if self._stem in if_none_match:
            for coding in order:
                variant = self.variant(coding)
                if variant.tag in if_none_match:
                    return variant
        return self.variant(order[0]) if if_none_match.strip() == b"*" else None

    async def encoded(self, variant: Variant, currency: "Currency") -> Answer:
        """The answer once the body is encoded."""
        if variant.encoded is None:
            # Shielded, for others wait for it, too. Who comes in the very turn of the loop in which it ends
            # is here before it is taken.
            encoded = await asyncio.shield(self.encoding(variant))
            if variant.encoded is None:
                self._keep(variant, encoded)
        return self._marked(variant, currency).whole

    def _take(self, variant: Variant, done: "asyncio.Future[bytes]") -> None:
        if not done.cancelled() and done.exception() is None and variant.encoded is None:
            self._keep(variant, done.result())
        variant.coming = None

    def _keep(self, variant: Variant, encoded: bytes) -> None:
        variant.encoded = encoded
        variant.currency = None
        self._on_kept(self, len(encoded))

    def _marked(self, variant: Variant, currency: "Currency") -> Variant:
        """The variant with answers that say how fresh the file is."""
        if variant.currency is not currency:
            headers: tuple[Header, ...] = ((b"etag", variant.tag), *self._headers, *currency.headers())
            state = currency.state.value
            variant.not_modified = Answer(304, headers, b"", state=state)
            if variant.encoded is not None:
                length: Header = (b"content-length", b"%d" % len(variant.encoded))
                if variant.coding is not _IDENTITY:
                    headers = ((b"content-encoding", variant.coding.value), *headers)
                variant.whole = Answer(200, (JSON_TYPE, length, *headers), variant.encoded, state=state)
            variant.currency = currency
        return variant


class _Later:
    """An answer that may be awaited or left alone, which a coroutine may not."""

    def __init__(self, variants: Variants, variant: Variant, currency: "Currency") -> None:
        self._of = (variants, variant, currency)

    def __await__(self) -> Generator[Any, None, Answer]:
        variants, variant, currency = self._of
        return variants.encoded(variant, currency).__await__()


_IDENTITY: Final = Coding.IDENTITY
_ONLY_IDENTITY: Final = (Coding.IDENTITY,)
