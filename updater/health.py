"""What a replica answers over HTTP, for people, probes and Prometheus. Nothing here serves books.

============  ======================================================================================
``/healthz``  200 while the process lives and its event loop turns
``/readyz``   200 once each file was as new as its book at least once, 503 before
``/metrics``  Prometheus text (docs/metrics.md)
``/status``   JSON as typed in :mod:`updater.status`
============  ======================================================================================
"""

from collections.abc import Callable

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from depthcast.errors import SettingsError
from depthcast.settings import Address
from updater.status import CrewStatus, Status


class Health:
    """The HTTP side of a replica: :meth:`start`, then :meth:`close`."""

    def __init__(
        self,
        listen: Address,
        *,
        status: Callable[[], Status | CrewStatus],
        ready: Callable[[], bool],
        registry: CollectorRegistry,
    ) -> None:
        self._listen = listen
        self._status = status
        self._ready = ready
        self._registry = registry
        app = web.Application()
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                web.get("/status", self._answer_status),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def start(self) -> Address:
        """Begin to answer, and return where. Raises :class:`~depthcast.errors.SettingsError` for an address
        that cannot be had."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._listen.host, self._listen.port).start()
        except OSError as error:
            await self.close()
            raise SettingsError(
                f"cannot listen on {self._listen}: {error.strerror or error}",
                hint="choose another --listen; port 0 takes any free one",
            ) from None
        host, port = self._runner.addresses[0][:2]
        return Address(host, port)

    async def close(self) -> None:
        """Stop answering."""
        await self._runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        if self._ready():
            return web.Response(text="ready\n")
        return web.Response(text="not every book was published yet\n", status=503)

    async def _metrics(self, _request: web.Request) -> web.Response:
        text = generate_latest(self._registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _answer_status(self, _request: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps(self._status()), content_type="application/json")
