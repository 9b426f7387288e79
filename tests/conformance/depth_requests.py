"""The table ``depth_requests.json``: what each query of ``GET /api/v3/depth`` asks for, or its refusal.

One table holds all who read such a query: the Python parser, the edge's nginx, and CloudFront's function. A
``key`` is that of the file which answers the request (:mod:`depthcast.files`); whether that file is among
the published ones is for the reader of the table to say.
"""

import json
from pathlib import Path
from typing import NamedTuple

from depthcast.files import DepthKey, parse_key
from depthcast.venues.requests import ApiError

TABLE = Path(__file__).with_name("depth_requests.json")


class Row(NamedTuple):
    """A query string as it is sent, with either what it asks for or the refusal."""

    shows: str
    query: bytes
    key: str | None
    symbol_status: str | None
    error: ApiError | None

    @property
    def asked(self) -> DepthKey:
        """What an accepted request asks for."""
        assert self.key is not None
        return parse_key(self.key)

    def __str__(self) -> str:
        return self.query.decode("utf-8", "backslashreplace")[:60]


def rows() -> list[Row]:
    """The whole table. A byte that is no UTF-8 is written there as Python's ``surrogateescape`` does it."""
    return [
        Row(
            row["shows"],
            row["query"].encode("utf-8", "surrogateescape"),
            row.get("key"),
            row.get("symbolStatus"),
            ApiError(**row["error"]) if "error" in row else None,
        )
        for row in json.loads(TABLE.read_text("utf-8"))
    ]
