"""Answers made for the moment, in the coding that their client prefers.

A book is encoded once for all its readers (:mod:`server.variants`). Lists of best prices and of symbols are
other bytes each time they are made, so they are encoded when they are asked for: in a thread where that takes
longer than answering others would bear.
"""

from collections.abc import Awaitable

from server.answers import Answer, Header
from server.encodings import ASIDE_BYTES, WORTHWHILE_BYTES, Coding, acceptable, encode, encode_aside


def coding_for(body_bytes: int, accept_encoding: bytes | None) -> Coding:
    """The best coding that the client accepts, for a body of this length."""
    order = acceptable(accept_encoding)
    if body_bytes < WORTHWHILE_BYTES and Coding.IDENTITY in order:
        return Coding.IDENTITY
    return order[0]


def takes_long(body_bytes: int, accept_encoding: bytes | None) -> bool:
    """Whether :func:`encoded` has to be awaited for a body of this length."""
    return body_bytes > ASIDE_BYTES and coding_for(body_bytes, accept_encoding) is not Coding.IDENTITY


def encoded(answer: Answer, accept_encoding: bytes | None) -> Answer | Awaitable[Answer]:
    """``answer`` with its body in the coding that its client prefers; its headers vary by it already.

    To be awaited where :func:`takes_long` says so.
    """
    coding = coding_for(len(answer.body), accept_encoding)
    if coding is Coding.IDENTITY:
        return answer
    if len(answer.body) > ASIDE_BYTES:
        return _aside(answer, coding)
    return _with_body(answer, coding, encode(coding, answer.body))


async def _aside(answer: Answer, coding: Coding) -> Answer:
    return _with_body(answer, coding, await encode_aside(coding, answer.body))


def _with_body(answer: Answer, coding: Coding, body: bytes) -> Answer:
    length: Header = (b"content-length", b"%d" % len(body))
    headers = [length if name == b"content-length" else (name, value) for name, value in answer.headers]
    return answer._replace(headers=(*headers, (b"content-encoding", coding.value)), body=body)
