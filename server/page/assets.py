"""Styles and scripts: read once, encoded once, kept by browsers for good.

All of them share one path that has a digest of everything in it, so that scripts may import each other by
plain names and yet never meet one of another release. There is no build step: what is served is what lies in
``static/``.
"""

import gzip
import hashlib
from pathlib import Path
from typing import Final

import zstandard
from starlette.requests import Request
from starlette.responses import Response

from server.encodings import Coding, acceptable

FOLDER: Final = Path(__file__).parent / "static"
PATH: Final = "/assets/{release}/{name}"

TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
"""What may lie in the folder."""

_FOR_GOOD: Final = "public, max-age=31536000, immutable"


class Assets:
    """The files of a folder. ``release`` is a digest of all of them."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._bodies = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if _served(path)}
        self._encoded: dict[tuple[str, Coding], bytes] = {}
        digest = hashlib.blake2b(digest_size=8)
        for name, body in self._bodies.items():
            digest.update(b"%b\0%d\0" % (name.encode(), len(body)))
            digest.update(body)
        self.release: Final = digest.hexdigest()

    @property
    def names(self) -> tuple[str, ...]:
        """The files' names."""
        return tuple(self._bodies)

    def path(self, name: str) -> str:
        """Where a file is. Raises ``KeyError`` for one that is not there."""
        self._bodies[name]
        return PATH.format(release=self.release, name=name)

    def body(self, name: str, coding: Coding = Coding.IDENTITY) -> bytes:
        """A file in this coding: made when it is asked for first, and as small as the coding makes it."""
        if coding is Coding.IDENTITY:
            return self._bodies[name]
        encoded = self._encoded.get((name, coding))
        if encoded is None:
            body = self._bodies[name]
            if coding is Coding.GZIP:
                encoded = gzip.compress(body, 9, mtime=0)
            else:
                encoded = zstandard.ZstdCompressor(level=19).compress(body)
            self._encoded[name, coding] = encoded
        return encoded

    async def endpoint(self, request: Request) -> Response:
        """``GET /assets/…``. A file of another release, of a page that another server has made, is given as
        it is here, and kept by nobody."""
        name, release = request.path_params["name"], request.path_params["release"]
        if name not in self._bodies:
            return Response(status_code=404)
        coding = acceptable(request.headers.get("accept-encoding", "").encode("latin-1") or None)[0]
        ours = release == self.release
        headers = {
            "cache-control": _FOR_GOOD if ours else "no-store",
            "content-type": TYPES[Path(name).suffix],
            "vary": "accept-encoding",
            "x-content-type-options": "nosniff",
        }
        if ours:
            headers["etag"] = tag = f'"{self.release}-{coding.value.decode()}"'
            if request.headers.get("if-none-match") == tag:
                return Response(status_code=304, headers=headers)
        if coding is not Coding.IDENTITY:
            headers["content-encoding"] = coding.value.decode()
        return Response(self.body(name, coding), headers=headers)


def _served(path: Path) -> bool:
    return path.is_file() and path.suffix in TYPES
