"""Credentials for the S3 client: the fixed ones of the environment, or whatever boto3 finds and renews."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from depthcast.errors import SettingsError
from depthcast.store.aws import Aws

if TYPE_CHECKING:
    from obstore.store import S3Credential

RENEW_AFTER: Final = timedelta(minutes=5)
"""boto3 is asked again so often; it renews what is about to expire 10 to 15 minutes ahead."""

Provider = Callable[[], Coroutine[Any, Any, "S3Credential"]]


def provider(aws: Aws) -> Provider:
    """What the client calls for credentials, first at its first request.

    Given even where they are fixed: left to itself the client would mix in the variables of this process,
    which may belong to another store. Raises :class:`~depthcast.errors.SettingsError` where there are none.
    """
    return _fixed(aws) if aws.access_key_id else _found_by_boto3(aws)


def _fixed(aws: Aws) -> Provider:
    credential: S3Credential = {
        "access_key_id": aws.access_key_id or "",
        "secret_access_key": aws.secret_access_key or "",
        "token": aws.session_token,
        "expires_at": None,
    }

    async def give() -> "S3Credential":
        return credential

    return give


def _found_by_boto3(aws: Aws) -> Provider:
    import boto3  # takes 0.3 s to import
    from botocore.exceptions import BotoCoreError

    try:
        found = boto3.Session(profile_name=aws.profile).get_credentials()
    except BotoCoreError as error:
        raise SettingsError(f"the AWS credentials cannot be read: {error}") from None
    if found is None:
        raise SettingsError(
            "there are no AWS credentials",
            hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
        )

    async def give() -> "S3Credential":
        # In a thread: a renewal asks the network.
        frozen = await asyncio.to_thread(found.get_frozen_credentials)
        return {
            "access_key_id": frozen.access_key or "",
            "secret_access_key": frozen.secret_key or "",
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + RENEW_AFTER,
        }

    return give
