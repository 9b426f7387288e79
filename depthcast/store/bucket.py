"""Buckets: whether one is there, and, only where that was asked for, its creation. Over ``boto3``.

Objects are :mod:`depthcast.store.s3`'s business. The calls here block; an event loop gives them a thread.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    SSLError,
)

from depthcast.errors import AccessDenied, SettingsError, StoreError
from depthcast.store.aws import Aws, Location, parse_url
from depthcast.store.failure import Cause, Failure

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.literals import BucketLocationConstraintType

_CAUSES: Final = (
    (EndpointConnectionError, Cause.REFUSED),
    (SSLError, Cause.TLS),
    ((ConnectTimeoutError, ReadTimeoutError), Cause.TIMEOUT),
    (ConnectionClosedError, Cause.CUT),
)


def bucket_exists(url: str, env: Mapping[str, str] | None = None, *, timeout_s: float = 5.0) -> bool:
    """Whether the bucket of ``s3://BUCKET[/PREFIX]`` is there and may be listed.

    ``env`` holds the AWS variables (default: this process's). Raises
    :class:`~depthcast.errors.SettingsError` and :class:`~depthcast.errors.StoreError`.
    """
    location, aws = located(url, env)
    return _exists(client_of(aws, timeout_s), location, aws)


def ensure_bucket(url: str, env: Mapping[str, str] | None = None, *, timeout_s: float = 5.0) -> bool:
    """Create the bucket of ``s3://BUCKET[/PREFIX]`` unless it is there; ``True`` if it was created.

    Several processes may do so at once. Raises as :func:`bucket_exists`.
    """
    location, aws = located(url, env)
    client = client_of(aws, timeout_s)
    if _exists(client, location, aws):
        return False
    try:
        if aws.region != "us-east-1":
            # S3: every region but us-east-1 has to be named, and that one must not be.
            region: BucketLocationConstraintType = aws.region  # type: ignore[assignment]
            client.create_bucket(
                Bucket=location.bucket, CreateBucketConfiguration={"LocationConstraint": region}
            )
        else:
            client.create_bucket(Bucket=location.bucket)
    except ClientError as error:
        failure = failure_of(error)
        if failure.code == "BucketAlreadyOwnedByYou":
            return False
        if failure.code == "BucketAlreadyExists":
            # Amazon: somebody else's. Others: ours, created a moment ago by another process.
            if aws.endpoint is not None and _exists(client, location, aws):
                return False
            raise AccessDenied(
                f"the bucket name {location.bucket} is taken by someone else",
                hint="bucket names are shared by all of a store's customers; choose another one",
            ) from None
        raise failure.error(aws.where(location)) from None
    except BotoCoreError as error:
        raise unreached(error, aws.where(location)) from None
    return True


def first_write(url: str, env: Mapping[str, str] | None = None, *, timeout_s: float = 5.0) -> None:
    """Show that the store takes writes by writing one small object, ``probe/first-write``.

    Without a condition: a refused one would show nothing, and nobody reads this object. Raises as
    :func:`bucket_exists`.
    """
    location, aws = located(url, env)
    key = "/".join(filter(None, (location.prefix, "probe/first-write")))
    try:
        client_of(aws, timeout_s).put_object(Bucket=location.bucket, Key=key, Body=b"{}")
    except ClientError as error:
        raise failure_of(error).error(aws.where(location)) from None
    except BotoCoreError as error:
        raise unreached(error, aws.where(location)) from None


def located(url: str, env: Mapping[str, str] | None) -> tuple[Location, Aws]:
    """The bucket of a store's URL, and how it is reached. Raises :class:`~depthcast.errors.SettingsError`."""
    return parse_url(url), Aws.from_env(os.environ if env is None else env)


def client_of(aws: Aws, timeout_s: float) -> "S3Client":
    """A client that asks once. Raises :class:`~depthcast.errors.SettingsError` for an unknown profile."""
    try:
        # Without a key boto3 looks for credentials by itself.
        session = boto3.Session(
            aws_access_key_id=aws.access_key_id,
            aws_secret_access_key=aws.secret_access_key,
            aws_session_token=aws.session_token,
            region_name=aws.region,
            profile_name=None if aws.access_key_id else aws.profile,
        )
    except ProfileNotFound as error:
        raise SettingsError(f"AWS_PROFILE: {error}") from None
    return session.client(
        "s3",
        endpoint_url=aws.endpoint,
        verify=str(aws.ca_bundle) if aws.ca_bundle else None,
        config=Config(
            connect_timeout=timeout_s,
            read_timeout=timeout_s,
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path" if aws.endpoint else "auto"},
        ),
    )


def _exists(client: "S3Client", location: Location, aws: Aws) -> bool:
    try:
        # Not head_bucket: the answer to a HEAD has no body that would say why.
        client.list_objects_v2(Bucket=location.bucket, MaxKeys=1)
    except ClientError as error:
        failure = failure_of(error)
        if failure.code == "NoSuchBucket":
            return False
        raise failure.error(aws.where(location)) from None
    except BotoCoreError as error:
        raise unreached(error, aws.where(location)) from None
    return True


def failure_of(error: ClientError) -> Failure:
    """What the store answered."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    code = error.response.get("Error", {}).get("Code", "")
    return Failure(status, code, Cause.OTHER, str(error))


def unreached(error: BotoCoreError, where: str) -> StoreError:
    """What is to be said where it did not answer."""
    if isinstance(error, NoCredentialsError):
        return AccessDenied(
            "there are no AWS credentials",
            hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
        )
    cause = next((cause for kind, cause in _CAUSES if isinstance(error, kind)), Cause.OTHER)
    if cause is Cause.REFUSED and "resolve" in str(error.kwargs.get("error")):
        cause = Cause.NAME
    return Failure(None, "", cause, str(error)).error(where)
