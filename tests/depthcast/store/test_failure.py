"""Failure, on texts recorded from obstore 0.12 and on exceptions without any."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from obstore.exceptions import (
    AlreadyExistsError,
    GenericError,
    NotModifiedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from depthcast.errors import AccessDenied, BucketMissing, StoreError, StoreUnavailable
from depthcast.store import Outcome
from depthcast.store.failure import Cause, Failure

ANSWERED = """\
Generic S3 error: Error performing PUT http://127.0.0.1:36181/bkt/k in 199.432µs - Server returned non-2xx \
status code: {status} Some Reason: {body}

Debug source:
Generic {{
    store: "S3",
    source: RetryError(
        RetryErrorImpl {{
            method: PUT,
            retries: 0,
            inner: Status {{
                status: {status},
                body: Some(
                    "…",
                ),
            }},
        }},
    ),
}}"""

UNANSWERED = """\
Generic S3 error: Error performing PUT http://127.0.0.1:1/pub/x in 143.428µs - HTTP error: error sending \
request

Debug source:
Generic {{
    store: "S3",
    source: RetryError(
        RetryErrorImpl {{
            inner: Http(
                HttpError {{
                    {inner}
                }},
            ),
        }},
    ),
}}"""

REFUSED = """kind: Connect,
source: reqwest::Error { kind: Request, source: hyper_util::client::legacy::Error( Connect, ConnectError(
"tcp connect error", 127.0.0.1:1, Os { code: 111, kind: ConnectionRefused, message: "Connection refused" }"""
NAME = """kind: Connect,
source: reqwest::Error { kind: Request, source: hyper_util::client::legacy::Error( Connect, ConnectError(
"dns error", Custom { kind: Uncategorized, error: "failed to lookup address information: Name or"""
CERTIFICATE = """kind: Connect,
source: reqwest::Error { Connect, Custom { kind: Other, error: Custom { kind: InvalidData, error:
InvalidCertificate( Other( OtherError( CaUsedAsEndEntity, ), ), ), }, }, ), }"""
NOT_TLS = """kind: Connect,
source: reqwest::Error { Connect, Custom { kind: Other, error: Custom { kind: InvalidData, error:
InvalidMessage( InvalidContentType, ), }, }, ), }"""
HANDSHAKE = """kind: Connect,
source: reqwest::Error { Connect, Custom { kind: Other, error: Custom { kind: UnexpectedEof, error:
"tls handshake eof", }, }, ), }"""
TIMEOUT = """kind: Timeout,
source: reqwest::Error { kind: Request, source: TimedOut, },"""
CUT = """kind: Request,
source: reqwest::Error { kind: Request, source: hyper_util::client::legacy::Error( SendRequest, hyper::Error(
IncompleteMessage, ), ), },"""

CUT_BODY = """\
Generic S3 error: HTTP error: request or response body error

Debug source:
Generic {
    store: "S3",
    source: HttpError {
        kind: Interrupted,
        source: reqwest::Error { kind: Body, source: hyper::Error( Body, Custom { kind: UnexpectedEof, \
error: IncompleteBody, }, ), },
    },
}"""

NOT_PARTIAL = """\
Generic S3 error: Received non-partial response when range requested

Debug source:
Generic {
    store: "S3",
    source: NotPartial,
}"""

NO_ETAG = """\
Generic S3 error: Unable to extract metadata from headers: ETag Header missing from response

Debug source:
Generic {
    store: "S3",
    source: Metadata {
        source: MissingEtag,
    },
}"""

ALREADY = """\
Object at location k already exists: Request precondition failure for path k: Error performing PUT \
http://127.0.0.1:36181/bkt/k in 209.992µs - Server returned non-2xx status code: 412 Precondition Failed: \
<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>PreconditionFailed</Code><Message>m</Message></Error>

Debug source:
AlreadyExists {
    path: "k",
}"""


def test_status_and_code_are_read_from_the_answer_quoted_in_the_text() -> None:
    failure = Failure.of(AlreadyExistsError(ALREADY))
    assert (failure.status, failure.code) == (412, "PreconditionFailed")
    body = '<?xml version="1.0"?>\n<Error><Code>SlowDown</Code><Message>m</Message></Error>'
    failure = Failure.of(GenericError(ANSWERED.format(status=503, body=body)))
    assert (failure.status, failure.code) == (503, "SlowDown")
    failure = Failure.of(GenericError(ANSWERED.format(status=500, body="")))
    assert (failure.status, failure.code) == (500, "")


def test_an_answer_that_is_not_xml_has_no_code() -> None:
    failure = Failure.of(GenericError(ANSWERED.format(status=502, body="<html>Bad gateway</html>")))
    assert (failure.status, failure.code) == (502, "")


@pytest.mark.parametrize(
    ("inner", "cause"),
    [
        (REFUSED, Cause.REFUSED),
        (NAME, Cause.NAME),
        (CERTIFICATE, Cause.TLS),
        (NOT_TLS, Cause.TLS),
        (HANDSHAKE, Cause.TLS),
        (TIMEOUT, Cause.TIMEOUT),
        (CUT, Cause.CUT),
        ("kind: Unknown", Cause.OTHER),
    ],
)
def test_the_cause_of_a_lost_request_is_read_from_the_text(inner: str, cause: Cause) -> None:
    failure = Failure.of(GenericError(UNANSWERED.format(inner=inner)))
    assert (failure.status, failure.cause) == (None, cause)
    assert failure.outcome(matching=True) is Outcome.UNKNOWN
    line = str(failure.error("s3://b at http://h"))
    assert cause.value in line
    assert "\n" not in line


def test_a_body_cut_short_is_a_broken_connection() -> None:
    assert Failure.of(GenericError(CUT_BODY)).cause is Cause.CUT


def test_a_whole_object_in_answer_to_a_range_is_told_from_a_failure() -> None:
    assert Failure.of(GenericError(NOT_PARTIAL)).whole
    assert not Failure.of(GenericError(NO_ETAG)).whole


def test_what_is_not_understood_is_unknown_and_quoted_on_one_line() -> None:
    failure = Failure.of(GenericError(NO_ETAG))
    assert failure.outcome(matching=False) is Outcome.UNKNOWN
    assert "ETag Header missing from response" in str(failure.error("here"))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (AlreadyExistsError("new words"), 412),
        (PreconditionError("new words"), 412),
        (NotModifiedError("new words"), 304),
        (FileNotFoundError("new words"), 404),
        (PermissionDeniedError("new words"), 403),
        (UnauthenticatedError("new words"), 401),
        (GenericError("new words"), None),
    ],
)
def test_without_a_status_in_the_text_the_type_stands_for_one(error: Exception, status: int | None) -> None:
    assert Failure.of(error).status == status


def test_a_name_in_the_key_is_not_taken_for_the_answer() -> None:
    text = ANSWERED.format(status=500, body="<Error><Code>InternalError</Code></Error>")
    text = text.replace("/bkt/k", "/bkt/status%20code:%20412")
    assert Failure.of(GenericError(text)).status == 500


def test_a_missing_bucket_is_not_a_missing_object() -> None:
    assert Failure(404, "NoSuchKey", Cause.OTHER, "").missing
    assert Failure(404, "", Cause.OTHER, "").missing
    assert not Failure(404, "NoSuchBucket", Cause.OTHER, "").missing
    assert not Failure(403, "", Cause.OTHER, "").missing


def test_a_redirect_that_says_nothing_is_one_to_another_region() -> None:
    text = UNANSWERED.format(inner="BareRedirect").replace("Http(", "Status(")
    assert Failure.of(GenericError(text)).status == 301


def test_an_answer_read_from_the_wire_tells_status_and_code() -> None:
    body = b"<Error><Code>NoSuchBucket</Code></Error>"
    assert Failure.answered(404, body) == Failure(404, "NoSuchBucket", Cause.OTHER, "")
    assert Failure.answered(502, b"\xff<html>") == Failure(502, "", Cause.OTHER, "")
    # What comes late in a long body is not looked for.
    assert Failure.answered(500, b" " * 2**16 + body).code == ""


def test_no_answer_is_told_on_one_line() -> None:
    failure = Failure.unanswered(Cause.CUT, "the peer\nwent  away")
    assert failure == Failure(None, "", Cause.CUT, "the peer went away")
    assert Failure.unanswered(Cause.TIMEOUT).detail == ""


# The status table: what each answer of S3 means. From the pages of Amazon's API reference that are named
# here, and the design's "a writer's outcomes are Won, Lost, Throttled and Unknown".

WON, LOST, THROTTLED, UNKNOWN = Outcome.WON, Outcome.LOST, Outcome.THROTTLED, Outcome.UNKNOWN


class Row(NamedTuple):
    """An answer; what it means for a write under If-Match and for one under If-None-Match; and what a reader
    is told, with a word of what to do."""

    status: int
    code: str
    matching: Outcome
    creating: Outcome
    error: type[StoreError]
    hint: str

    def __str__(self) -> str:
        return f"{self.status} {self.code}".strip()


def table() -> Iterator[Row]:
    # "Conditional requests": 412 where the condition fails, 409 where a write or delete was under way
    # meanwhile; "for If-Match … if the object is deleted, Amazon S3 returns a 404".
    yield Row(412, "PreconditionFailed", LOST, LOST, StoreError, "log")
    yield Row(412, "", LOST, LOST, StoreError, "log")
    yield Row(409, "ConditionalRequestConflict", LOST, LOST, StoreError, "log")
    yield Row(409, "OperationAborted", LOST, LOST, StoreError, "log")
    yield Row(304, "", LOST, LOST, StoreError, "log")
    yield Row(404, "NoSuchKey", LOST, UNKNOWN, StoreError, "log")
    yield Row(404, "", LOST, UNKNOWN, StoreError, "log")
    # "Error responses": the bucket, not the object.
    yield Row(404, "NoSuchBucket", UNKNOWN, UNKNOWN, BucketMissing, "create it")
    # "Error responses": throttling, by several names.
    for code in ("SlowDown", "RequestLimitExceeded", "ThrottlingException", "TooManyRequestsException"):
        yield Row(503, code, THROTTLED, THROTTLED, StoreUnavailable, "after a pause")
    yield Row(400, "Throttling", THROTTLED, THROTTLED, StoreUnavailable, "after a pause")
    yield Row(429, "", THROTTLED, THROTTLED, StoreUnavailable, "after a pause")
    yield Row(429, "TooManyRequests", THROTTLED, THROTTLED, StoreUnavailable, "after a pause")
    # "Error responses": the store itself.
    for status, code in (
        (500, "InternalError"),
        (503, "ServiceUnavailable"),
        (503, ""),
        (502, ""),
        (504, ""),
    ):
        yield Row(status, code, UNKNOWN, UNKNOWN, StoreUnavailable, "log says why")
    yield Row(507, "", UNKNOWN, UNKNOWN, StoreUnavailable, "space")
    yield Row(507, "InsufficientStorage", UNKNOWN, UNKNOWN, StoreUnavailable, "space")
    yield Row(507, "XMinioStorageFull", UNKNOWN, UNKNOWN, StoreUnavailable, "space")
    yield Row(403, "QuotaExceeded", UNKNOWN, UNKNOWN, AccessDenied, "policy")
    yield Row(400, "XMinioAdminBucketQuotaExceeded", UNKNOWN, UNKNOWN, StoreUnavailable, "space")
    yield Row(501, "NotImplemented", UNKNOWN, UNKNOWN, StoreError, "depthcast probe")
    yield Row(501, "", UNKNOWN, UNKNOWN, StoreError, "depthcast probe")
    # "Error responses": who asks.
    yield Row(403, "AccessDenied", UNKNOWN, UNKNOWN, AccessDenied, "policy")
    yield Row(403, "", UNKNOWN, UNKNOWN, AccessDenied, "policy")
    yield Row(401, "", UNKNOWN, UNKNOWN, AccessDenied, "policy")
    yield Row(403, "InvalidAccessKeyId", UNKNOWN, UNKNOWN, AccessDenied, "AWS_ACCESS_KEY_ID")
    yield Row(403, "SignatureDoesNotMatch", UNKNOWN, UNKNOWN, AccessDenied, "AWS_SECRET_ACCESS_KEY")
    yield Row(400, "InvalidToken", UNKNOWN, UNKNOWN, AccessDenied, "AWS_SESSION_TOKEN")
    yield Row(400, "ExpiredToken", UNKNOWN, UNKNOWN, AccessDenied, "renew")
    yield Row(400, "TokenRefreshRequired", UNKNOWN, UNKNOWN, AccessDenied, "renew")
    yield Row(403, "RequestTimeTooSkewed", UNKNOWN, UNKNOWN, AccessDenied, "clock")
    yield Row(400, "AuthorizationHeaderMalformed", UNKNOWN, UNKNOWN, AccessDenied, "AWS_REGION")
    # "Request redirection and the REST API".
    for status, code in ((301, "PermanentRedirect"), (302, ""), (307, "TemporaryRedirect"), (308, "")):
        yield Row(status, code, UNKNOWN, UNKNOWN, StoreError, "AWS_REGION")
    # "Error responses": the request.
    for status, code in ((400, "InvalidRequest"), (400, "RequestTimeout"), (405, "MethodNotAllowed")):
        yield Row(status, code, UNKNOWN, UNKNOWN, StoreError, "log")
    yield Row(400, "EntityTooLarge", UNKNOWN, UNKNOWN, StoreError, "log")
    yield Row(411, "MissingContentLength", UNKNOWN, UNKNOWN, StoreError, "log")


@pytest.mark.parametrize("row", list(table()), ids=str)
def test_each_answer_means_what_the_table_says(row: Row) -> None:
    failure = Failure.answered(row.status, f"<Error><Code>{row.code}</Code></Error>".encode())
    assert (failure.status, failure.code) == (row.status, row.code)
    assert failure.outcome(matching=True) is row.matching
    assert failure.outcome(matching=False) is row.creating
    error = failure.error("s3://b at h")
    assert type(error) is row.error
    assert row.hint in error.hint
    assert str(row.status) in error.message or row.error is BucketMissing
    assert "s3://b at h" in error.message
    assert "\n" not in str(error)


@pytest.mark.parametrize("matching", [True, False])
def test_no_status_whatever_lets_a_writer_believe_that_it_won(matching: bool) -> None:
    codes = sorted({row.code for row in table()} | {"SomethingNew"})
    for status in (*range(100, 600), 999):
        for code in codes:
            failure = Failure(status, code, Cause.OTHER, "")
            outcome = failure.outcome(matching=matching)
            assert outcome is not WON
            if status not in (304, 404, 409, 412):
                assert outcome is not LOST, "only these say that the object stayed as it was"
            assert isinstance(failure.error("here"), StoreError)


@pytest.mark.parametrize("cause", Cause)
def test_without_an_answer_nothing_is_known_and_people_are_told_what_to_do(cause: Cause) -> None:
    failure = Failure.unanswered(cause, "the words of the client")
    assert failure.outcome(matching=True) is failure.outcome(matching=False) is UNKNOWN
    error = failure.error("s3://b")
    assert type(error) is StoreUnavailable
    assert error.message.startswith("the store s3://b cannot be reached: ")
    assert ("the words of the client" in error.message) == (cause is Cause.OTHER)
    assert error.hint
