"""HTML from templates, and the headers that it is sent with.

Everything put into a template is escaped. The policy that browsers are told allows nothing but this server:
no script in a page, no style in a tag, no other host.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import Response

from server.page.assets import Assets

FOLDER: Final = Path(__file__).parent / "templates"

POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "object-src 'none'",
    )
)
"""https://www.w3.org/TR/CSP3/"""

HEADERS: Final[Mapping[str, str]] = {
    "cache-control": "no-store",
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Html:
    """Answers made of the templates."""

    def __init__(self, assets: Assets) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals |= {"asset": assets.path, "book_path": book_path}

    def answer(
        self, template: str, status: int = 200, headers: Mapping[str, str] | None = None, **values: object
    ) -> Response:
        """The template with these values."""
        text = self._environment.get_template(template).render(values)
        return Response(
            text,
            status_code=status,
            headers={**HEADERS, **(headers or {})},
            media_type="text/html",
        )


def book_path(address: str) -> str:
    """The page of a symbol, by its address.

    >>> book_path("币安人生USDT"), book_path("binanceusdm/BTCUSDT")
    ('/book/%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT', '/book/binanceusdm/BTCUSDT')
    """
    return "/book/" + quote(address)
