"""``/healthz``: the process answers. ``/readyz``: it knows which symbols are published.

Ready once, the server stays ready while the store is away: the last good files go on being served, marked,
and taking the server out of service would take them away too.
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from server.catalogue import Catalogue


class Health:
    """The two endpoints of a supervisor or a load balancer."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def alive(self, _request: Request) -> Response:
        """``GET /healthz``: always 200."""
        return JSONResponse({"alive": True})

    async def ready(self, _request: Request) -> Response:
        """``GET /readyz``: 200, or 503 until the store was reached and the symbols were listed."""
        ready = self._catalogue.known
        return JSONResponse(
            {"ready": ready, "symbols": len(self._catalogue)}, status_code=200 if ready else 503
        )
