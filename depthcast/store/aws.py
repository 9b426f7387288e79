"""Where an S3 is and who we are there: the usual AWS variables, read as boto3 reads them.

One value, :class:`Aws`, serves both clients: ``obstore`` for objects (:mod:`depthcast.store.s3`) and
``boto3`` for buckets (:mod:`depthcast.store.bucket`). It never shows a secret.
"""

import os.path
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from depthcast.errors import BadKey, SettingsError
from depthcast.redaction import redact
from depthcast.store.key import check_key

# Amazon's naming rules, without the ones that only keep names apart from each other.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

_TRUE = ("1", "true", "yes", "on")


class Location(NamedTuple):
    """A bucket and the prefix of all keys in it: empty, or without a slash at either end."""

    bucket: str
    prefix: str


def parse_url(url: str) -> Location:
    """The bucket and prefix of ``s3://BUCKET[/PREFIX]``; raises :class:`~depthcast.errors.SettingsError`.

    >>> parse_url("s3://books/binance/")
    Location(bucket='books', prefix='binance')
    """
    scheme, _, rest = url.partition("://")
    if scheme != "s3":
        raise SettingsError(
            f"the store URL {_shown(url)} names no store", hint="write s3://BUCKET[/PREFIX] or memory:"
        )
    bucket, _, prefix = rest.partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise SettingsError(
            f"the store URL {_shown(url)} names no bucket",
            hint="a bucket name has 3 to 63 characters of a-z, 0-9, '-' and '.'; write s3://BUCKET[/PREFIX]",
        )
    prefix = prefix.removesuffix("/")
    try:
        return Location(bucket, prefix and check_key(prefix))
    except BadKey as error:
        raise SettingsError(f"the prefix in the store URL cannot be used: {error}") from None


@dataclass(frozen=True, slots=True)
class Aws:
    """``endpoint`` is ``None`` for Amazon's own S3.

    Without ``access_key_id`` the credentials are looked for where boto3 looks next: profile, shared files,
    container and instance roles (``profile``: ``None`` for the default one).
    """

    endpoint: str | None = None
    region: str = "us-east-1"
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    profile: str | None = None
    ca_bundle: Path | None = None

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """From ``AWS_ENDPOINT_URL_S3`` or ``AWS_ENDPOINT_URL``, ``AWS_REGION`` or ``AWS_DEFAULT_REGION``,
        ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_SESSION_TOKEN``, ``AWS_PROFILE`` and
        ``AWS_CA_BUNDLE``; an empty variable counts as absent. Instead of a key, secret or token a variable of
        its name with ``_FILE`` behind it may name a file that holds it, as secrets are handed to containers.

        Raises :class:`~depthcast.errors.SettingsError` where one cannot be used.
        """

        def value(*names: str) -> str | None:
            return next((env[name] for name in names if env.get(name)), None)

        ignored = (env.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") or "").lower() in _TRUE
        access_key_id = _secret("AWS_ACCESS_KEY_ID", env)
        secret_access_key = _secret("AWS_SECRET_ACCESS_KEY", env)
        if (access_key_id is None) != (secret_access_key is None):
            missing = "AWS_SECRET_ACCESS_KEY" if secret_access_key is None else "AWS_ACCESS_KEY_ID"
            raise SettingsError(f"{missing} is not set", hint="access key id and secret go together")
        ca_bundle = value("AWS_CA_BUNDLE")
        if ca_bundle is not None and not os.path.isfile(ca_bundle):  # unlike Path.is_file() it never raises
            raise SettingsError(f"AWS_CA_BUNDLE names no file: {_shown(ca_bundle)}")
        return cls(
            endpoint=None if ignored else _endpoint(value("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")),
            region=value("AWS_REGION", "AWS_DEFAULT_REGION") or "us-east-1",
            access_key_id=access_key_id,
            secret_access_key=secret_access_key,
            session_token=_secret("AWS_SESSION_TOKEN", env),
            profile=value("AWS_PROFILE", "AWS_DEFAULT_PROFILE"),
            ca_bundle=Path(ca_bundle) if ca_bundle else None,
        )

    def to_env(self) -> dict[str, str]:
        """The reverse of :meth:`from_env`, for the environment of a child process."""
        values = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_SESSION_TOKEN": self.session_token,
            "AWS_PROFILE": self.profile,
            "AWS_CA_BUNDLE": str(self.ca_bundle) if self.ca_bundle else None,
        }
        return {name: value for name, value in values.items() if value is not None}

    def where(self, location: Location) -> str:
        """A bucket's name and place, for people."""
        path = f"s3://{location.bucket}" + (f"/{location.prefix}" if location.prefix else "")
        return f"{path} at {self.endpoint or f'Amazon S3 ({self.region})'}"


def _secret(name: str, env: Mapping[str, str]) -> str | None:
    """The variable, or the one line in the file that the variable with ``_FILE`` behind it names."""
    if env.get(name):
        return env[name]
    path = env.get(f"{name}_FILE")
    if not path:
        return None
    try:
        held = Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise SettingsError(f"{name}_FILE: cannot read {_shown(path)}: {why}") from None
    if not held or not held.isprintable():
        raise SettingsError(
            f"{name}_FILE: {_shown(path)} does not hold one line", hint="put nothing else into it"
        )
    return held


def _endpoint(url: str | None) -> str | None:
    """The endpoint without a slash at its end. The client would *panic* on a malformed one."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or port == 0
        or parts.query
        or parts.fragment
    ):
        raise SettingsError(
            f"AWS_ENDPOINT_URL is not a URL: {_shown(url)}", hint="write http(s)://HOST[:PORT]"
        )
    if parts.username or parts.password:
        raise SettingsError(
            "AWS_ENDPOINT_URL holds credentials", hint="use AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    return url.rstrip("/")


def _shown(url: str) -> str:
    """A URL for people, without the password it may hold."""
    return f"{redact(url)!r:.120}"
