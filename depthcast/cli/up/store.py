"""Where the files go: a SeaweedFS that is started here, or an S3 of the user's own, shown to be fit."""

import asyncio
import threading
import time
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from depthcast.backoff import Backoff
from depthcast.cli.up.board import STORE, Board
from depthcast.cli.up.folder import DataFolder
from depthcast.cli.up.service import State
from depthcast.cli.up.settings import UpSettings
from depthcast.cli.up.tether import tether
from depthcast.errors import BucketMissing, SettingsError, StoreUnavailable
from depthcast.store import open_store
from depthcast.store.probe import probe

if TYPE_CHECKING:
    from depthcast.store.embedded import SeaweedFS


class OwnStore:
    """An S3 that was there before and stays afterwards."""

    def __init__(self, url: str, *, create_bucket: bool, board: Board, env: Mapping[str, str]) -> None:
        if not url.startswith("s3://"):
            raise SettingsError(
                f"--store-url {url!r:.80} cannot be used by several processes",
                hint="write s3://BUCKET[/PREFIX], or leave it out",
            )
        self.url: str = url.rstrip("/")
        self._create_bucket = create_bucket
        self._board = board
        self._env = env

    async def start(self) -> None:
        """Show that it can be used. Raises :class:`~depthcast.errors.DepthcastError`."""
        store = open_store(self.url, self._env)
        self._board.begin(STORE, f"trying {store.url}")
        try:
            try:
                await probe(store)
            except BucketMissing as missing:
                if not self._create_bucket:
                    raise BucketMissing(
                        missing.message, hint="create it, give another --store-url, or say --create-bucket"
                    ) from None
                # boto3 takes half a second to import: only those who create a bucket wait for it.
                from depthcast.store.bucket import ensure_bucket

                await asyncio.to_thread(ensure_bucket, self.url, self._env)
                self._board.say("info", "the bucket was created", store=store.url)
                await probe(store)
        finally:
            await store.close()
        self._board.store = store.url
        self._board.finish(STORE, f"{store.url} honours conditions")

    def keep_apart(self, name: str, *, instead: bool) -> None:
        """Simulated books are about to be written. Where nobody asked for them (``instead``) they go under a
        prefix of their own: the files of real books are never touched."""
        if instead:
            self.url = f"{self.url}/{name}"

    async def run(self) -> None:
        """It runs by itself."""

    async def stop(self) -> None:
        """It goes on by itself."""

    def child_env(self) -> Mapping[str, str]:
        """The environment of a service that uses it."""
        return self._env

    def leave_env(self) -> None:
        """Who brought the store knows how to reach it."""


class EmbeddedStore:
    """A SeaweedFS, started here and started again when it dies; its services' credentials are its own.

    The kernel ties a child to the *thread* that started it, so the thread of a start stays until the stop.
    """

    name = STORE

    def __init__(
        self,
        folder: DataFolder,
        board: Board,
        env: Mapping[str, str],
        *,
        check_every_s: float = 0.5,
        quick_s: float = 10.0,
        quick_deaths: int = 3,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state: State = "waiting"
        self.restarts: int = 0
        self._folder = folder
        self._board = board
        self._env = {name: value for name, value in env.items() if not name.startswith("AWS_")}
        self._check_every_s = check_every_s
        self._quick_s = quick_s
        self._quick_deaths = quick_deaths
        self._clock = clock
        self._prefix = ""
        self._seaweed: SeaweedFS | None = None
        self._release = threading.Event()
        self._disk_full = False

    @property
    def url(self) -> str:
        """The bucket, and the prefix where there is one."""
        return self._running.store_url + self._prefix

    async def start(self) -> None:
        """Start it and wait until it takes writes. Raises :class:`~depthcast.errors.DepthcastError`."""
        # Takes half a second to import, for boto3's sake.
        from depthcast.store.embedded import SeaweedFS

        loop = asyncio.get_running_loop()

        def on_progress(done: int, total: int, text: str) -> None:
            loop.call_soon_threadsafe(self._show, done, total, text)

        self._board.begin(STORE, "starting SeaweedFS")
        self._seaweed = SeaweedFS(self._folder.store, on_progress=on_progress, preexec_fn=tether())
        await self._start()
        aws = self._seaweed.aws
        self._board.store = f"{self._seaweed.store_url} at {aws.endpoint}"
        self._board.finish(STORE, f"SeaweedFS at {aws.endpoint}")

    def keep_apart(self, name: str, *, instead: bool) -> None:
        """Simulated books go under a prefix of their own: the files of real books are never touched."""
        self._prefix = f"/{name}"

    async def run(self) -> None:
        """Watch it, and start it again when it dies; raises what keeps it from running."""
        endpoint = self._running.aws.endpoint
        backoff = Backoff(0.5, minimum_s=0.25, maximum_s=10.0)
        began, quick = self._clock(), 0
        while True:
            await asyncio.sleep(self._check_every_s)
            try:
                self._running.check()
                self.watch_disk()
                continue
            except StoreUnavailable as died:
                quick = quick + 1 if self._clock() - began < self._quick_s else 0
                if quick >= self._quick_deaths:
                    raise
                self.state = "died"
                self._board.say("error", f"the store is started again: {died.message}")
            await asyncio.sleep(backoff.next_s())
            began = self._clock()
            self.restarts += 1
            await self._start()
            if self._running.aws.endpoint != endpoint:
                raise StoreUnavailable(
                    f"SeaweedFS cannot come back at {endpoint}: another program took its port",
                    hint="start again",
                )

    def watch_disk(self) -> None:
        """Say once that the disk is full, and once that it no longer is.

        Writing stops meanwhile and goes on by itself; the last files stay readable.
        """
        try:
            self._running.check_disk()
        except StoreUnavailable as full:
            if not self._disk_full:
                self._board.say("error", str(full))
            self._disk_full = True
        else:
            if self._disk_full:
                self._board.say("info", "the disk has room again")
            self._disk_full = False

    async def stop(self) -> None:
        """End it; a start under way is given up."""
        if self._seaweed is not None:
            self.state = "stopping"
            await asyncio.to_thread(self._seaweed.stop)
            self._release.set()
        self.state = "stopped"

    def child_env(self) -> Mapping[str, str]:
        """The environment of a service that uses it."""
        return self._env | self._running.aws.to_env()

    def leave_env(self) -> None:
        """Leave in the data folder how other commands reach it."""
        self._folder.write_env(self._running.aws.to_env() | {"DEPTHCAST_STORE_URL": self.url})

    @property
    def _running(self) -> "SeaweedFS":
        if self._seaweed is None:
            raise RuntimeError("the store was not started")
        return self._seaweed

    async def _start(self) -> None:
        self.state = "starting"
        loop = asyncio.get_running_loop()
        started: Future[None] = loop.create_future()
        self._release.set()
        self._release = threading.Event()
        threading.Thread(
            target=_start_and_stay, args=(self._running, self._release, loop, started), daemon=True
        ).start()
        await started
        self.state = "running"

    def _show(self, done: int, total: int, text: str) -> None:
        if self._board.steps[STORE].state == "working":
            self._board.advance(STORE, done, total, text)


def open_part(
    settings: UpSettings, folder: DataFolder, board: Board, env: Mapping[str, str]
) -> OwnStore | EmbeddedStore:
    """The store that the settings mean. Raises :class:`~depthcast.errors.SettingsError`."""
    if settings.store_url:
        return OwnStore(settings.store_url, create_bucket=settings.create_bucket, board=board, env=env)
    if env.get("AWS_ENDPOINT_URL") or env.get("AWS_ENDPOINT_URL_S3"):
        board.say("warning", "AWS_ENDPOINT_URL is set and not used: without --store-url SeaweedFS is started")
    return EmbeddedStore(folder, board, env)


def _start_and_stay(
    seaweed: "SeaweedFS", release: threading.Event, loop: AbstractEventLoop, started: "Future[None]"
) -> None:
    def tell(error: BaseException | None) -> None:
        if started.done():
            return
        if error is None:
            started.set_result(None)
        else:
            started.set_exception(error)

    try:
        seaweed.start()
    except BaseException as error:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(tell, error)
        return
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(tell, None)
    release.wait()
