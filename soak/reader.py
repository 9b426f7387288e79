"""``Reader``: reads every file over and over by plain conditional GETs without credentials, as an edge does.

One request a file at a time, so that two readings of a file have an order. A file is read every
``1 / reads_a_second`` seconds on average, at moments that keep no step with the writes; where the machine or
the store cannot follow, less often, and the rate that was achieved is in the report.
"""

import asyncio
from random import Random
from typing import Final
from urllib.parse import quote

import aiohttp
from yarl import URL

from soak.auditor import Auditor, File

AT_ONCE: Final = 12
"""Requests in flight at most."""

TIMEOUT_S: Final = 2.0

JITTER: Final = 0.4
"""Pauses vary by this share either way."""


class Reader:
    """``base_url`` is the bucket's, without a slash at its end. ``run`` goes on until it is cancelled."""

    def __init__(
        self,
        base_url: str,
        auditor: Auditor,
        *,
        reads_a_second: float = 2.0,
        timeout_s: float = TIMEOUT_S,
        at_once: int = AT_ONCE,
        rng: Random | None = None,
    ) -> None:
        self._urls = {
            file: URL(f"{base_url}/{quote(file.key, safe='/=&')}", encoded=True) for file in auditor.files
        }
        self._auditor = auditor
        self._every_s = 1 / reads_a_second
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._slots = asyncio.Semaphore(at_once)
        self._at_once = at_once
        self._rng = rng or Random()

    async def run(self) -> None:
        """Read until cancelled."""
        connector = aiohttp.TCPConnector(limit=self._at_once)
        async with (
            aiohttp.ClientSession(
                connector=connector, timeout=self._timeout, auto_decompress=False
            ) as session,
            asyncio.TaskGroup() as group,
        ):
            count = len(self._urls)
            for number, file in enumerate(self._urls):
                group.create_task(self._follow(session, file, self._every_s * number / count))

    async def _follow(self, session: aiohttp.ClientSession, file: File, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        due, etag = loop.time() + delay_s, ""
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            pause_s = self._every_s * self._rng.uniform(1 - JITTER, 1 + JITTER)
            due = max(due + pause_s, loop.time())
            async with self._slots:
                etag = await self._read(session, file, etag)

    async def _read(self, session: aiohttp.ClientSession, file: File, etag: str) -> str:
        """One reading; returns the ETag to ask with next time."""
        headers = {"If-None-Match": etag} if etag else {}
        try:
            async with session.get(self._urls[file], headers=headers) as answer:
                body = await answer.read()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            self._auditor.failed(file)
            return etag
        match status:
            case 200:
                self._auditor.saw(file, {name.lower(): text for name, text in answer.headers.items()}, body)
                return answer.headers.get("ETag", "")
            case 304:
                self._auditor.unchanged(file)
            case 404:
                self._auditor.absent(file)
            case _:
                self._auditor.failed(file)
        return etag
