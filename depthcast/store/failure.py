"""What went wrong at the border to S3: a client's exception, read once, as a value.

``obstore`` tells a status, S3's own code and the cause of a lost connection in the *text* of its exceptions
only. :meth:`Failure.of` reads that text, here and nowhere else; :meth:`Failure.outcome` says what it means
for a conditional write and :meth:`Failure.error` what to tell people. Pure, and imports no SDK.
"""

import re
from enum import Enum
from typing import Final, NamedTuple, Self

from depthcast.errors import AccessDenied, BucketMissing, StoreError, StoreUnavailable
from depthcast.store import Outcome

_ANSWER = re.compile(
    r" - Server returned non-2xx status code: (?P<status>\d{3})(?P<body>.*?)(?:\n\nDebug source:|\Z)", re.S
)
_CODE = re.compile(r"<Code>\s*([A-Za-z0-9.]+)\s*</Code>")
_DEBUG: Final = "\n\nDebug source:"
_MAX_ERROR_BYTES: Final = 64 * 2**10

# Where a text names no status, the type of the exception still stands for one.
_STATUS_OF_TYPE: Final = {
    "AlreadyExistsError": 412,
    "PreconditionError": 412,
    "NotModifiedError": 304,
    "FileNotFoundError": 404,
    "PermissionDeniedError": 403,
    "UnauthenticatedError": 401,
}


class Cause(Enum):
    """Why there is no answer; the value is what people are told."""

    REFUSED = "nothing listens there"
    NAME = "its host name does not resolve"
    TLS = "the TLS handshake failed"
    TIMEOUT = "it did not answer in time"
    CUT = "the connection broke"
    OTHER = "the request failed"


# Marks in the text, the most particular first: each connection failure also says "kind: Connect".
_CAUSES: Final = (
    ("ConnectionRefused", Cause.REFUSED),
    ("dns error", Cause.NAME),
    ("InvalidCertificate", Cause.TLS),
    ("tls handshake", Cause.TLS),
    ("InvalidContentType", Cause.TLS),
    ("received corrupt message", Cause.TLS),
    ("AlertReceived", Cause.TLS),
    ("kind: Timeout", Cause.TIMEOUT),
    ("TimedOut", Cause.TIMEOUT),
    ("IncompleteMessage", Cause.CUT),
    ("IncompleteBody", Cause.CUT),
    ("ConnectionReset", Cause.CUT),
    ("BrokenPipe", Cause.CUT),
    ("kind: Interrupted", Cause.CUT),
)

_HINTS: Final = {
    Cause.REFUSED: "start the store or correct AWS_ENDPOINT_URL",
    Cause.NAME: "correct AWS_ENDPOINT_URL or the network's name service",
    Cause.TLS: (
        "check http:// against https:// in AWS_ENDPOINT_URL;"
        " AWS_CA_BUNDLE names the certificate of a private authority"
    ),
    Cause.TIMEOUT: "it is tried again; check the network and the store's load if this goes on",
    Cause.CUT: "it is tried again; check the network and the store's log if this goes on",
    Cause.OTHER: "it is tried again",
}

_THROTTLED: Final = frozenset(
    ("SlowDown", "SlowDownRead", "SlowDownWrite", "Throttling", "ThrottlingException", "TooManyRequests",
     "TooManyRequestsException", "RequestLimitExceeded", "RequestThrottled", "BandwidthLimitExceeded")
)  # fmt: skip

_FULL: Final = frozenset(
    ("XMinioStorageFull", "InsufficientStorage", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded")
)

_CREDENTIALS: Final = {
    "InvalidAccessKeyId": ("does not know the access key", "correct AWS_ACCESS_KEY_ID"),
    "SignatureDoesNotMatch": ("says the signature is wrong", "correct AWS_SECRET_ACCESS_KEY"),
    "InvalidToken": ("refuses the session token", "correct AWS_SESSION_TOKEN"),
    "ExpiredToken": ("says the session token has expired", "renew the credentials"),
    "TokenRefreshRequired": ("says the session token has expired", "renew the credentials"),
    "RequestTimeTooSkewed": ("says this machine's clock is wrong", "set the clock; S3 allows 15 minutes"),
    "AuthorizationHeaderMalformed": ("expects another region", "set AWS_REGION to the bucket's region"),
}


class Failure(NamedTuple):
    """``status`` and S3's ``code`` (may be empty) of the answer; without one ``status`` is ``None``.

    ``cause`` tells why no answer came; ``detail`` is the first line of the client's own words.
    """

    status: int | None
    code: str
    cause: Cause
    detail: str

    @classmethod
    def of(cls, error: Exception) -> Self:
        """Read a client's exception."""
        text = str(error)
        answer = _ANSWER.search(text)
        if answer is not None:
            code = _CODE.search(answer["body"])
            return cls(int(answer["status"]), code[1] if code else "", Cause.OTHER, "")
        head, _, debug = text.partition(_DEBUG)
        if "BareRedirect" in debug:  # 301 to another region, without saying where
            return cls(301, "", Cause.OTHER, _line(head))
        for mark, cause in _CAUSES:
            if mark in debug:
                return cls(None, "", cause, _line(head))
        return cls(_STATUS_OF_TYPE.get(type(error).__name__), "", Cause.OTHER, _line(head))

    @classmethod
    def answered(cls, status: int, body: bytes) -> Self:
        """Read an answer other than the one asked for; ``body`` may hold S3's error document."""
        code = _CODE.search(body[:_MAX_ERROR_BYTES].decode("utf-8", "replace"))
        return cls(status, code[1] if code else "", Cause.OTHER, "")

    @classmethod
    def unanswered(cls, cause: Cause, detail: str = "") -> Self:
        """There was no answer."""
        return cls(None, "", cause, _line(detail))

    @property
    def missing(self) -> bool:
        """There is no such object, but there is the bucket."""
        return self.status == 404 and self.code != "NoSuchBucket"

    @property
    def whole(self) -> bool:
        """A range was asked for and the whole object came."""
        return self.status is None and "non-partial" in self.detail

    def outcome(self, *, matching: bool) -> Outcome:
        """What became of the write that met this; ``matching``: its condition was If-Match.

        S3: 412 "At least one of the preconditions you specified did not hold"; 409
        "ConditionalRequestConflict: a conflicting operation occurred during a conditional write"; and
        for If-Match on a key that is gone "Amazon S3 returns a 404 Not Found".
        """
        if self.status in (304, 409, 412) or (matching and self.missing):
            return Outcome.LOST
        if self.status == 429 or self.code in _THROTTLED:
            return Outcome.THROTTLED
        return Outcome.UNKNOWN

    def error(self, where: str) -> StoreError:
        """As an error for people; ``where`` names the store."""
        status, code = self.status, self.code
        said = f"{status} {code}".strip()
        if status is None:
            why = self.cause.value if self.cause is not Cause.OTHER else f"{self.cause.value}: {self.detail}"
            return StoreUnavailable(f"the store {where} cannot be reached: {why}", hint=_HINTS[self.cause])
        if code == "NoSuchBucket":
            return BucketMissing(
                f"the bucket of {where} does not exist", hint="create it, or correct the store URL"
            )
        if code in _CREDENTIALS:
            what, hint = _CREDENTIALS[code]
            return AccessDenied(f"the store {where} {what} ({said})", hint=hint)
        if status in (401, 403):
            return AccessDenied(
                f"the store {where} denies access ({said})",
                hint="check the AWS_… credentials and what the bucket's policy allows them",
            )
        if status in (301, 302, 307, 308):
            return StoreError(
                f"the store {where} sends its callers elsewhere ({said})",
                hint="set AWS_REGION to the bucket's region, or correct AWS_ENDPOINT_URL",
            )
        if status == 507 or code in _FULL:
            return StoreUnavailable(f"the store {where} is full ({said})", hint="give it more space")
        if status == 501:
            return StoreError(
                f"the store {where} does not know this kind of request ({said})",
                hint="conditional writes are needed; `depthcast probe` tells whether the store has them",
            )
        if status == 429 or code in _THROTTLED:
            return StoreUnavailable(
                f"the store {where} asks for fewer requests ({said})", hint="it is tried again after a pause"
            )
        if status >= 500:
            return StoreUnavailable(
                f"the store {where} failed ({said})",
                hint="it is tried again; the store's log says why (a full disk is one reason)",
            )
        return StoreError(f"the store {where} refused the request ({said})", hint="see the store's log")


def _line(text: str) -> str:
    return " ".join(text.split())[:300]
