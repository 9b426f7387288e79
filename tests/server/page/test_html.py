"""Templates: whatever is put in is text."""

import re

import pytest
from jinja2 import UndefinedError

from server.page.assets import Assets
from server.page.html import FOLDER, POLICY, Html, book_path


def test_what_is_put_in_is_text_and_nothing_else() -> None:
    answer = Html(Assets()).answer("missing.html", 404, symbol='"><script>alert(1)</script>&#x27;')
    text = bytes(answer.body).decode()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;#x27;" in text
    assert answer.status_code == 404


def test_browsers_are_told_to_take_nothing_from_elsewhere() -> None:
    headers = Html(Assets()).answer("missing.html", symbol="A").headers
    assert headers["content-security-policy"] == POLICY
    assert POLICY.startswith("default-src 'self'; ")
    assert "unsafe" not in POLICY
    assert "http" not in POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_templates_have_no_script_and_no_style_of_their_own() -> None:
    for path in FOLDER.iterdir():
        text = path.read_text("utf-8")
        assert not re.search(r"<script(?![^>]* src=)", text), path.name
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|\|safe", text), path.name


def test_a_value_that_is_forgotten_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        Html(Assets()).answer("missing.html")


def test_an_address_is_parts_of_a_path_and_nothing_else() -> None:
    assert book_path("A/B?C#D") == "/book/A/B%3FC%23D"
