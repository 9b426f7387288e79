"""``Keeping``: SeaweedFS in a thread of its own: started, watched, and started again when it dies.

A thread, because SeaweedFS's start and its checks block, and because the kernel ties a child to the thread
that started it (:mod:`depthcast.cli.up.tether`).
"""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from depthcast.backoff import Backoff
from depthcast.errors import DepthcastError, StoreError, StoreUnavailable
from depthcast.logs import get_logger
from depthcast.settings import Address

if TYPE_CHECKING:
    from depthcast.store.embedded import SeaweedFS

_log: Final = get_logger("store")


class Condition(NamedTuple):
    """Whether the store takes writes, and in words what it does or lacks."""

    healthy: bool
    text: str


class Keeping:
    """:meth:`start` it, and :meth:`stop` it from another thread.

    ``try_write`` writes something small or raises :class:`~depthcast.errors.StoreError`. ``on_end`` is
    called in the thread when it ends, which leaves an :attr:`error` unless it was stopped. A death within
    ``quick_s`` of the start is a quick one; after ``quick_deaths`` of them in a row it gives up.
    """

    def __init__(
        self,
        seaweed: "SeaweedFS",
        *,
        try_write: Callable[[], None],
        on_end: Callable[[], None] = lambda: None,
        write_every_s: float = 15.0,
        check_every_s: float = 0.5,
        quick_s: float = 10.0,
        quick_deaths: int = 3,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seaweed = seaweed
        self._try_write = try_write
        self._on_end = on_end
        self._write_every_s = write_every_s
        self._check_every_s = check_every_s
        self._quick_s = quick_s
        self._quick_deaths = quick_deaths
        self._backoff = backoff or Backoff(0.5, minimum_s=0.25, maximum_s=10.0)
        self._clock = clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="seaweedfs", daemon=True)
        self.condition: Condition = Condition(False, "not started")
        self.restarts: int = 0
        self.error: DepthcastError | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """End SeaweedFS and the thread; a start under way is given up."""
        self._stopping.set()
        deadline = self._clock() + timeout_s
        while self._thread.is_alive() and self._clock() < deadline:
            # Again, because a start that had only just begun takes back the first word.
            self._seaweed.stop()
            self._thread.join(0.2)

    def target(self) -> Address | None:
        """Where SeaweedFS answers S3; ``None`` while it does not."""
        if not self._seaweed.pid:
            return None
        endpoint = urlsplit(self._seaweed.aws.endpoint or "")
        return Address(endpoint.hostname or "", endpoint.port or 0)

    def _run(self) -> None:
        try:
            self._keep()
        except DepthcastError as error:
            self.error = error
        finally:
            self._seaweed.stop()
            self.condition = Condition(False, str(self.error or "stopped"))
            self._on_end()

    def _keep(self) -> None:
        quick = 0
        while not self._stopping.is_set():
            began = self._clock()
            try:
                self.condition = Condition(False, "SeaweedFS starts")
                self._seaweed.start()
                self._say(Condition(True, "the store takes writes"))
                self._watch()
                return
            except StoreUnavailable as died:
                if self._stopping.is_set():
                    return
                quick = quick + 1 if self._clock() - began < self._quick_s else 0
                if not quick:
                    self._backoff.reset()
                if quick >= self._quick_deaths:
                    raise
                self.condition = Condition(False, died.message)
                _log.error("SeaweedFS is started again", why=died.message)
            self.restarts += 1
            self._stopping.wait(self._backoff.next_s())

    def _watch(self) -> None:
        """Until it dies, which raises, or is to stop."""
        write_at = self._clock() + self._write_every_s
        while not self._stopping.wait(self._check_every_s):
            self._seaweed.check()
            try:
                self._seaweed.check_disk()
                if self._clock() < write_at:
                    continue
                write_at = self._clock() + self._write_every_s
                self._try_write()
            except StoreError as error:
                self._say(Condition(False, str(error)))
            else:
                self._say(Condition(True, "the store takes writes"))

    def _say(self, condition: Condition) -> None:
        """Take note, and log what is new."""
        if condition.healthy is not self.condition.healthy:
            (_log.info if condition.healthy else _log.error)(condition.text)
        self.condition = condition
