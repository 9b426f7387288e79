"""Failure, on texts recorded from obstore 0.12 and on exceptions without any."""

import pytest
from obstore.exceptions import (
    AlreadyExistsError,
    GenericError,
    NotModifiedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

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
