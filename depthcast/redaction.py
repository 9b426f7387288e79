"""What must never be shown: text without what looks like a secret. Pure."""

import re
from typing import Final

# What may carry a secret: a URL's user part, and the parameters and headers of signed requests.
_SECRETS: Final = (
    (re.compile(r"(?<=://)[^/@\s]+@"), "…@"),
    (
        re.compile(
            r"(?i)\b(X-Amz-(?:Signature|Credential|Security-Token)|aws_(?:secret_access_key|session_token)"
            r"|X-MBX-APIKEY|signature|secret|token|password)(=|: ?)[^\s&,;'\"]+"
        ),
        r"\1\2…",
    ),
)


def redact(text: str) -> str:
    """``text`` without what looks like a secret.

    >>> redact("s3://key:secret@host/b?X-Amz-Signature=abc&x=1")
    's3://…@host/b?X-Amz-Signature=…&x=1'
    """
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text
