"""A headless Chromium, driven over its own protocol (https://chromedevtools.github.io/devtools-protocol/).

Only what the tests of the live page and its pictures need: pages, expressions, keys, the network cut and
back, pictures, and what a page costs.
"""

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from websockets.asyncio.client import ClientConnection, connect

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")
START_S: Final = 60.0
ANSWER_S: Final = 60.0
_TICK: Final = os.sysconf("SC_CLK_TCK")


class BrowserError(RuntimeError):
    """The browser did not do what it was told."""


def executable() -> str | None:
    """The path of a Chromium; ``None`` where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """A Chromium without a window, with a profile of its own that is thrown away.

    >>> async with Browser.started() as browser:                        # doctest: +SKIP
    ...     page = await browser.page("http://127.0.0.1:8080/")
    """

    def __init__(self, process: asyncio.subprocess.Process, socket: ClientConnection) -> None:
        self._process = process
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._pages: dict[str, Page] = {}
        self._reading = asyncio.create_task(self._read())

    @classmethod
    @asynccontextmanager
    async def started(cls) -> AsyncIterator[Self]:
        """One that is ended, with all its processes, when the block is."""
        program = executable()
        if program is None:
            raise BrowserError("there is no Chromium (Debian: apt-get install chromium)")
        profile = tempfile.mkdtemp(prefix="chromium-")
        process = await asyncio.create_subprocess_exec(
            program,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-default-apps",
            "--disable-extensions",
            "--disable-sync",
            "--no-first-run",
            "--no-proxy-server",
            "--hide-scrollbars",
            "--mute-audio",
            "--remote-debugging-port=0",
            f"--user-data-dir={profile}",
            "about:blank",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(START_S):
                url = await _address(process)
            async with connect(url, max_size=2**26, proxy=None) as socket:
                browser = cls(process, socket)
                try:
                    yield browser
                finally:
                    browser._reading.cancel()
                    await asyncio.gather(browser._reading, return_exceptions=True)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            shutil.rmtree(profile, ignore_errors=True)

    async def page(
        self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False, before: str = ""
    ) -> "Page":
        """A page that has been loaded. ``before`` is run in it before its own scripts."""
        target = (await self.send("Target.createTarget", {"url": "about:blank"}))["targetId"]
        session = (await self.send("Target.attachToTarget", {"targetId": target, "flatten": True}))[
            "sessionId"
        ]
        page = self._pages[session] = Page(self, session, target)
        for domain in ("Page", "Runtime", "Network", "Performance", "Log"):
            await page.send(f"{domain}.enable")
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await page.send("Emulation.setEmulatedMedia", {"features": [scheme]})
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        await page.send("Emulation.setDeviceMetricsOverride", metrics)
        if before:
            await page.send("Page.addScriptToEvaluateOnNewDocument", {"source": before})
        await page.go(url)
        return page

    async def send(self, method: str, params: dict[str, Any] | None = None, session: str = "") -> Any:
        """The result of a command."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params or {}}
        if session:
            message["sessionId"] = session
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        await self._socket.send(json.dumps(message))
        async with asyncio.timeout(ANSWER_S):
            return await answer

    def cpu_s(self) -> float:
        """The processor time of all its processes so far."""
        group, ticks = self._process.pid, 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = path.read_text().rpartition(")")[2].split()
                if int(fields[2]) == group:
                    ticks += int(fields[11]) + int(fields[12])
        return ticks / _TICK

    async def _read(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            waiting = self._waiting.pop(message.get("id", 0), None)
            if waiting is None:
                page = self._pages.get(message.get("sessionId", ""))
                if page is not None:
                    page.told(message["method"], message["params"])
            elif waiting.done():
                continue
            elif "error" in message:
                waiting.set_exception(BrowserError(message["error"]["message"]))
            else:
                waiting.set_result(message["result"])


class Page:
    """One tab. ``requests`` are the URLs that it asked for, ``complaints`` what its console and log said."""

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self._browser = browser
        self._session = session
        self._target = target
        self._loaded = asyncio.Event()
        self.requests: list[str] = []
        self.complaints: list[str] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._browser.send("Target.closeTarget", {"targetId": self._target})

    async def send(self, method: str, params: dict[str, Any] | None = None) -> Any:
        """The result of a command for this page."""
        return await self._browser.send(method, params, self._session)

    async def go(self, url: str) -> None:
        """Load another page."""
        self._loaded.clear()
        went = await self.send("Page.navigate", {"url": url})
        if "errorText" in went:
            raise BrowserError(f"{url}: {went['errorText']}")
        async with asyncio.timeout(ANSWER_S):
            await self._loaded.wait()

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression, which may be a promise."""
        asked = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        answer = await self.send("Runtime.evaluate", asked)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserError(str(details.get("exception", {}).get("description", details["text"])))
        return answer["result"].get("value")

    async def until(self, expression: str, within_s: float = 30.0) -> Any:
        """The value of an expression as soon as it is true."""
        try:
            async with asyncio.timeout(within_s):
                while not (value := await self.evaluate(expression)):  # noqa: ASYNC110 (the page is another's)
                    await asyncio.sleep(0.05)
                return value
        except TimeoutError:
            raise AssertionError(f"never true: {expression}; {self.complaints}") from None

    async def press(self, key: str, code: int) -> None:
        """Press a key, by its name and its number on Windows, as the protocol wants it."""
        text = {"text": key} if len(key) == 1 else {}
        for kind in ("keyDown", "keyUp"):
            event = {"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code}
            await self.send("Input.dispatchKeyEvent", {**event, **(text if kind == "keyDown" else {})})

    async def cut(self, *, offline: bool) -> None:
        """Cut the page off from the network, or connect it again."""
        conditions = {"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        await self.send("Network.emulateNetworkConditions", conditions)

    async def picture(self) -> bytes:
        """What is to be seen, as PNG."""
        shot = await self.send("Page.captureScreenshot", {"format": "png"})
        return base64.b64decode(shot["data"])

    async def metrics(self) -> dict[str, float]:
        """``Performance.getMetrics``: seconds of the page's own thread among others."""
        answer = await self.send("Performance.getMetrics")
        return {each["name"]: each["value"] for each in answer["metrics"]}

    def told(self, method: str, params: dict[str, Any]) -> None:
        """An event came."""
        if method == "Page.loadEventFired":
            self._loaded.set()
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(str(details.get("exception", {}).get("description", details["text"])))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")


async def _address(process: asyncio.subprocess.Process) -> str:
    """Where it listens, by its own word."""
    assert process.stderr is not None
    said = ""
    while line := (await process.stderr.readline()).decode(errors="replace"):
        said += line
        if line.startswith("DevTools listening on "):
            # What it says later is thrown away as it comes, or it would wait for somebody to read it.
            asyncio.get_running_loop().create_task(_drain(process.stderr))
            return line.removeprefix("DevTools listening on ").strip()
    raise BrowserError(f"Chromium did not start: {said[-500:]}")


async def _drain(stream: asyncio.StreamReader) -> None:
    with contextlib.suppress(Exception):
        while await stream.read(65536):
            pass
