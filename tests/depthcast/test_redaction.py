"""What is taken out of a text that people will see, and what stays."""

import pytest

from depthcast.redaction import redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:pw@host/x", "https://…@host/x"),
        ("https://host/a@b", "https://host/a@b"),
        ("AWS_SECRET_ACCESS_KEY=abc/+=, rest", "AWS_SECRET_ACCESS_KEY=…, rest"),
        ("X-Amz-Credential=AKIA/1&X-Amz-Expires=3", "X-Amz-Credential=…&X-Amz-Expires=3"),
        ("token: abc def", "token: … def"),
        ("nothing here", "nothing here"),
    ],
)
def test_redaction_takes_secrets_and_leaves_the_rest(text: str, shown: str) -> None:
    assert redact(text) == shown
