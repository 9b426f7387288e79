"""SeaweedFS is started again when it dies, given up when it cannot live, and ended when it is to stop."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

from depthcast.backoff import Backoff
from depthcast.cli.store.keeping import Keeping
from depthcast.errors import SettingsError, StoreUnavailable
from depthcast.settings import Address
from depthcast.store.aws import Aws
from depthcast.store.embedded import SeaweedFS


class Scripted:
    """In SeaweedFS's place: what it does at each start, and when it dies."""

    def __init__(self) -> None:
        self.starts = 0
        self.fails: list[Exception] = []
        self.pid: int | None = None
        self.disk_full = False
        self.aws = Aws("http://127.0.0.1:7777")
        self.hangs = False
        self._stopped = threading.Event()

    def start(self) -> None:
        self._stopped.clear()
        self.starts += 1
        if self.hangs and self._stopped.wait(10):
            raise StoreUnavailable("stopped while it started")
        if self.fails:
            raise self.fails.pop(0)
        self.pid = 1000 + self.starts

    def die(self) -> None:
        self.pid = None

    def check(self) -> None:
        if self.pid is None:
            raise StoreUnavailable("SeaweedFS was killed by signal 9")

    def check_disk(self) -> None:
        if self.disk_full:
            raise StoreUnavailable("the disk is full")

    def stop(self) -> None:
        self._stopped.set()
        self.pid = None


def keep(seaweed: Scripted, try_write: Callable[[], None] = lambda: None, quick_s: float = 10.0) -> Keeping:
    return Keeping(
        cast(SeaweedFS, seaweed),
        try_write=try_write,
        write_every_s=0.02,
        check_every_s=0.01,
        quick_s=quick_s,
        backoff=Backoff(0.01, maximum_s=0.02),
    )


def until(done: Callable[[], bool], timeout_s: float = 5.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.005)


def test_it_is_healthy_from_the_first_write_to_the_stop() -> None:
    seaweed = Scripted()
    keeping = keep(seaweed)
    assert keeping.condition == (False, "not started")
    assert keeping.target() is None
    keeping.start()
    until(lambda: keeping.condition.healthy)
    assert keeping.target() == Address("127.0.0.1", 7777)
    keeping.stop()
    assert keeping.condition == (False, "stopped")
    assert keeping.error is None
    assert seaweed.pid is None


def test_one_that_dies_is_started_again() -> None:
    seaweed = Scripted()
    keeping = keep(seaweed, quick_s=0.0)
    keeping.start()
    for number in range(1, 5):
        until(lambda: keeping.condition.healthy)
        seaweed.die()
        until(lambda number=number: seaweed.starts == number + 1)  # type: ignore[misc]
    assert keeping.restarts == 4
    keeping.stop()
    assert keeping.error is None


def test_one_that_dies_at_once_again_and_again_is_given_up() -> None:
    seaweed, ended = Scripted(), threading.Event()
    seaweed.fails = [StoreUnavailable(f"death {number}") for number in range(9)]
    keeping = Keeping(
        cast(SeaweedFS, seaweed),
        try_write=lambda: None,
        on_end=ended.set,
        backoff=Backoff(0.01, maximum_s=0.02),
    )
    keeping.start()
    assert ended.wait(5)
    assert str(keeping.error) == "death 2"
    assert seaweed.starts == 3


def test_what_no_waiting_mends_ends_it() -> None:
    seaweed = Scripted()
    seaweed.fails = [SettingsError("the folder is in use")]
    keeping = keep(seaweed)
    keeping.start()
    until(lambda: keeping.error is not None)
    assert keeping.condition == (False, "the folder is in use")
    assert seaweed.starts == 1


def test_a_write_that_fails_is_told_until_one_succeeds() -> None:
    seaweed, failing = Scripted(), threading.Event()

    def try_write() -> None:
        if failing.is_set():
            raise StoreUnavailable("no answer")

    keeping = keep(seaweed, try_write)
    keeping.start()
    until(lambda: keeping.condition.healthy)
    failing.set()
    until(lambda: keeping.condition == (False, "no answer"))
    failing.clear()
    until(lambda: keeping.condition.healthy)
    assert keeping.restarts == 0
    keeping.stop()


def test_a_full_disk_is_told_until_it_has_room() -> None:
    seaweed = Scripted()
    keeping = keep(seaweed)
    keeping.start()
    until(lambda: keeping.condition.healthy)
    seaweed.disk_full = True
    until(lambda: keeping.condition == (False, "the disk is full"))
    seaweed.disk_full = False
    until(lambda: keeping.condition.healthy)
    keeping.stop()


def test_a_start_under_way_is_given_up_by_the_stop() -> None:
    seaweed = Scripted()
    seaweed.hangs = True
    keeping = keep(seaweed)
    keeping.start()
    until(lambda: seaweed.starts == 1)
    keeping.stop()
    assert keeping.condition == (False, "stopped")
    assert seaweed.starts == 1


def test_stopping_is_harmless_where_nothing_was_started(tmp_path: Path) -> None:
    Keeping(SeaweedFS(tmp_path), try_write=lambda: None).stop()
