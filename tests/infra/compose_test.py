"""``make compose-test``: docker-compose.yml as a whole, for real, with a simulated exchange.

It brings everything up under a project name and ports of its own, scales to three updaters, kills two of
them, then SeaweedFS, then the store and the server, and reads the books through the edge all the while. Each
body that comes is compared, byte for byte, with what the simulator says the book was at that update id; ids
never go down; and the age of what is read (by the exchange's clock, which is this machine's) stays bounded.
What it made it takes away again, volumes included, and leaves the images.

Not a part of `make test`: it takes minutes and an engine. Without one it says so and succeeds.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SYMBOLS: Final = ("BTCUSDT", "ETHUSDT")
LIMITS: Final = (5, 100, 5000)
UPDATERS: Final = 3
SERVICES: Final = ("store", "updater", "server", "edge", "simulator")
USER: Final = "10001"

MAX_AGE_S: Final = 5.0
"""While two of three updaters die: 2 × takeover_after_ms, a write, the edge's share (1 to 2 s), and room for
a machine that does all of it on two cores."""
STORE_BACK_S: Final = 60.0
DOWN_TRIES: Final = 3
READ_EVERY_S: Final = 0.1


class Failed(Exception):
    """Something did not come about."""


@dataclass
class Reading:
    """What the auditor has seen of one symbol."""

    version: tuple[int, int] = (0, 0)
    read_at: float = 0.0


@dataclass
class Auditor:
    """Reads the books through the edge, in a thread of its own, and compares each new one with the truth."""

    edge: str
    truth: str
    readings: dict[str, Reading] = field(default_factory=lambda: {symbol: Reading() for symbol in SYMBOLS})
    compared: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)
    ages_s: list[float] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _seen: set[tuple[str, int, str]] = field(default_factory=set)

    def run(self) -> None:
        """Until :meth:`stop`."""
        turn = 0
        while not self._over.wait(READ_EVERY_S):
            turn += 1
            for symbol in SYMBOLS:
                try:
                    self.read(symbol, LIMITS[turn % len(LIMITS)])
                except OSError:
                    self.refused += 1

    def stop(self) -> None:
        """The last turn ends."""
        self._over.set()

    def read(self, symbol: str, limit: int) -> bytes:
        """One book, judged. Raises ``OSError`` where none was given."""
        status, headers, body = get(f"{self.edge}/api/v3/depth?symbol={symbol}&limit={limit}")
        now = time.time()
        if status != 200:
            raise OSError(f"{status} {body[:100]!r}")
        epoch, update_id = map(int, headers["depthcast-version"].split(":"))
        self.ages_s.append(now - int(headers["depthcast-event-time"]) / 1000)
        reading = self.readings[symbol]
        # Each limit is a file of its own and comes at its own pace, so only the same one is compared.
        if limit == LIMITS[0]:
            if (epoch, update_id) < reading.version:
                self.faults.append(f"{symbol} went back from {reading.version} to {(epoch, update_id)}")
            reading.version, reading.read_at = (epoch, update_id), now
        self._compare(symbol, limit, update_id, headers["depthcast-certain"], body)
        return body

    def _compare(self, symbol: str, limit: int, update_id: int, certain: str, body: bytes) -> None:
        key = (symbol, update_id, f"{limit} {certain}")
        if key in self._seen:
            return
        self._seen.add(key)
        status, _, truth = get(f"{self.truth}/sim/truth?symbol={symbol}&id={update_id}&limit={limit}")
        if status != 200:
            self.faults.append(f"{symbol} {update_id}: the exchange never had that id: {truth[:100]!r}")
            return
        book, true = json.loads(body), json.loads(truth)
        # A file may be shorter than the truth where its writer was certain of no more, which a header says.
        levels = {part.split("=")[0].strip(): part.split("=")[1] for part in certain.split(",")}
        for side in ("bids", "asks"):
            if len(book[side]) < len(true[side]):
                if len(book[side]) != int(levels[side].split(";")[0]):
                    self.faults.append(f"{symbol} {update_id} limit {limit}: {side} lack levels in silence")
                true[side] = true[side][: len(book[side])]
        if json.dumps(true, separators=(",", ":")).encode() != body:
            self.faults.append(f"{symbol} {update_id} limit {limit}: not the true book")
        self.compared += 1


class Fleet:
    """The composed services, under a project name of this run's own."""

    def __init__(self) -> None:
        self.project = f"depthcast-test-{os.getpid()}"
        self.edge_port, self.truth_port = free_port(), free_port()
        self._command = compose_command()
        self._env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("DEPTHCAST_")},
            "COMPOSE_PROJECT_NAME": self.project,
            "DEPTHCAST_EXCHANGE": "simulator",
            "DEPTHCAST_SYMBOLS": ",".join(SYMBOLS),
            "DEPTHCAST_EDGE_PORT": f"127.0.0.1:{self.edge_port}",
            "TRUTH_PORT": str(self.truth_port),
            "SIMULATOR_ARGS": f"--symbols {','.join(SYMBOLS)} --uniform",
        }
        # docker-compose 1 gives up on an engine that takes a minute for something, as slow disks make it.
        self._env.setdefault("COMPOSE_HTTP_TIMEOUT", "300")
        if not succeeds(["docker", "buildx", "version"]):
            self._env.setdefault("DOCKER_BUILDKIT", "0")

    def compose(self, *words: str, quiet: bool = True) -> str:
        """Run one command of docker-compose. Raises :class:`Failed` with the end of what it said."""
        files = ("-f", str(ROOT / "docker-compose.yml"), "-f", str(ROOT / "tests/infra/truth.yml"))
        command = [*self._command, *files, "--profile", "simulator", *words]
        done = subprocess.run(command, cwd=ROOT, env=self._env, text=True, capture_output=True, check=False)
        if done.returncode:
            raise Failed(f"docker-compose {' '.join(words)}: {(done.stdout + done.stderr)[-2000:]}")
        return done.stdout

    def containers(self, service: str) -> list[str]:
        """The ids of a service's running containers, oldest first."""
        asked = [
            *("docker", "ps", "--quiet", "--filter", f"label=com.docker.compose.project={self.project}"),
            *("--filter", f"label=com.docker.compose.service={service}"),
        ]
        return output(asked).split()[::-1]

    def said(self, container: str, what: str) -> list[str]:
        """The lines of a container's log that hold ``what``."""
        done = subprocess.run(["docker", "logs", container], text=True, capture_output=True, check=False)
        return [line for line in (done.stdout + done.stderr).splitlines() if what in line]

    def left(self) -> list[str]:
        """What there is of this project: containers, volumes, networks."""
        mine = ("--quiet", "--filter", f"label=com.docker.compose.project={self.project}")
        lists = (("ps", "--all"), ("volume", "ls"), ("network", "ls"))
        return [one for words in lists for one in output(["docker", *words, *mine]).split()]

    def down(self) -> None:
        """Take all of it away. Raises :class:`Failed` where something stays."""
        for _ in range(DOWN_TRIES):
            with suppress(Failed):
                self.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")
            if not self.left():
                return
        raise Failed(f"not taken down: {' '.join(self.left())}")

    def health(self, service: str) -> list[str]:
        """What Docker says of each of a service's containers."""
        form = "{{.State.Health.Status}}"
        return [
            output(["docker", "inspect", "--format", form, one]).strip() for one in self.containers(service)
        ]


def main() -> int:
    """The whole test; returns the exit status."""
    if not shutil.which("docker") or not succeeds(["docker", "info"]) or not compose_command():
        print("skipped: there is no Docker engine with docker-compose here")
        return 0
    fleet = Fleet()
    status = 0
    try:
        say("building the images (minutes, the first time)")
        fleet.compose("build")
        run(fleet)
    except (Failed, KeyboardInterrupt) as failed:
        say(f"FAILED: {failed or 'interrupted'}")
        with suppress(Failed):
            print(fleet.compose("ps"), fleet.compose("logs", "--no-color", "--tail=40"), sep="\n")
        status = 1
    try:
        fleet.down()
    except Failed as failed:
        say(f"FAILED: {failed}")
        return 1
    say("all is taken down again")
    return status


def run(fleet: Fleet) -> None:
    """Up, kill, and look. Raises :class:`Failed`."""
    say(f"DEPTHCAST_EXCHANGE=simulator docker-compose --profile simulator up -d --scale updater={UPDATERS}")
    began = time.monotonic()
    fleet.compose("up", "-d", "--no-build", "--scale", f"updater={UPDATERS}")
    auditor = Auditor(f"http://127.0.0.1:{fleet.edge_port}", f"http://127.0.0.1:{fleet.truth_port}")
    for symbol in SYMBOLS:
        until(f"{symbol} through the edge", lambda s=symbol: answers(auditor, s))  # type: ignore[misc]
    say(f"both books are served through the edge, {time.monotonic() - began:.0f} s after the start")
    for service in SERVICES:
        until(f"{service} healthy", lambda s=service: set(fleet.health(s)) == {"healthy"})  # type: ignore[misc]
    say(f"healthy: store, {len(fleet.containers('updater'))} updaters, server, edge, simulator")

    auditing = threading.Thread(target=auditor.run, daemon=True)
    auditing.start()
    try:
        watch(auditor, "three updaters", 10, MAX_AGE_S)
        show_fleet(fleet)

        doomed = fleet.containers("updater")[:2]
        say(f"docker kill {' '.join(doomed)}        # two of three updaters")
        output(["docker", "kill", *doomed])
        watch(auditor, "one updater left", 20, MAX_AGE_S)
        for line in fleet.said(fleet.containers("updater")[0], "taking over"):
            say(f"its log: {line}")

        kill_seaweedfs(fleet, auditor)

        say(f"docker-compose up -d --scale updater={UPDATERS}        # bring the killed ones back")
        fleet.compose("up", "-d", "--no-build", "--no-recreate", "--scale", f"updater={UPDATERS}")
        until("three updaters again", lambda: len(fleet.containers("updater")) == UPDATERS)
        watch(auditor, "three updaters again", 10, MAX_AGE_S)
        guard(fleet)
    finally:
        auditor.stop()
        auditing.join(30)
    keep(fleet, auditor)
    if auditor.faults:
        raise Failed(f"{len(auditor.faults)} faults, the first: {auditor.faults[0]}")
    say(
        f"{auditor.compared} different books compared with the truth, none differed, none went back; "
        f"{auditor.refused} reads were refused"
    )


def watch(auditor: Auditor, what: str, for_s: float, max_age_s: float) -> None:
    """Look on for a while, and say what was seen. Raises :class:`Failed`."""
    before = {symbol: reading.version for symbol, reading in auditor.readings.items()}
    auditor.ages_s.clear()
    time.sleep(for_s)
    ages = sorted(auditor.ages_s)
    if not ages:
        raise Failed(f"{what}: nothing was served for {for_s:.0f} s")
    median, worst = ages[len(ages) // 2], ages[-1]
    after = {symbol: reading.version for symbol, reading in auditor.readings.items()}
    rose = ", ".join(f"{symbol} +{after[symbol][1] - before[symbol][1]:,} ids" for symbol in SYMBOLS)
    say(f"{what}: {rose} in {for_s:.0f} s; age p50 {median:.2f} s, max {worst:.2f} s")
    if auditor.faults:
        raise Failed(auditor.faults[0])
    if any(after[symbol] <= before[symbol] for symbol in SYMBOLS):
        raise Failed(f"{what}: a book stands still at {after}")
    if worst > max_age_s:
        raise Failed(f"{what}: a book was {worst:.1f} s old, {max_age_s:.0f} allowed")


def show_fleet(fleet: Fleet) -> None:
    """``depthcast fleet`` in an updater's container, as the documents say. Raises :class:`Failed`."""
    say("docker-compose exec updater depthcast fleet --once")
    shown = fleet.compose("exec", "-T", "updater", "depthcast", "fleet", "--once")
    for line in shown.splitlines():
        print(f"          {line.rstrip()}", flush=True)
    if f"{UPDATERS} replicas live" not in shown:
        raise Failed(f"there are not {UPDATERS} replicas")


def guard(fleet: Fleet) -> None:
    """No process has rights, and no secret is where others see it. Raises :class:`Failed`."""
    (store,) = fleet.containers("store")
    files = output(["docker", "exec", store, "sh", "-c", "cat /credentials/*/credentials"])
    secrets = [line.partition(" = ")[2] for line in files.splitlines() if " = " in line]
    if len(secrets) != 4:
        raise Failed("the store has not made a key and a secret for a writer and a reader")
    for service in SERVICES:
        for container in fleet.containers(service):
            # Effective user and capabilities, of the checking shell too, which has what the service has.
            read = "cat /proc/[0-9]*/status 2>/dev/null | grep -E '^(Uid|CapEff)'"
            rights = output(["docker", "exec", container, "sh", "-c", read])
            if {tuple(line.split()[1:]) for line in rights.splitlines()} != {(USER,) * 4, ("0" * 16,)}:
                raise Failed(f"a process of {service} has rights that it does not need: {rights[:200]}")
            logs = subprocess.run(["docker", "logs", container], text=True, capture_output=True, check=False)
            image = output(["docker", "inspect", "--format", "{{.Image}}", container]).strip()
            seen = (
                logs.stdout,
                logs.stderr,
                output(["docker", "inspect", container, image]),
                output(["docker", "history", "--no-trunc", image]),
            )
            if any(secret in text for secret in secrets for text in seen):
                raise Failed(f"a secret of the store is in the log or the description of {service}")
    say(f"every process is user {USER} without capabilities; no secret in logs, docker inspect or history")


def kill_seaweedfs(fleet: Fleet, auditor: Auditor) -> None:
    """SeaweedFS dies, and comes back with nobody's help. Raises :class:`Failed`."""
    say("kill -9 of SeaweedFS, inside the store's container")
    (store,) = fleet.containers("store")
    process = ["docker", "exec", store, "cat", "/data/pid"]
    dead = output(process)
    auditor.ages_s.clear()
    began = time.monotonic()
    output(["docker", "exec", store, "sh", "-c", "kill -9 $(cat /data/pid)"])
    until("SeaweedFS started again", lambda: output(process) != dead, STORE_BACK_S)
    before = {symbol: reading.version for symbol, reading in auditor.readings.items()}

    def moved() -> bool:
        return all(auditor.readings[symbol].version > before[symbol] for symbol in SYMBOLS)

    until("books that move on", moved, STORE_BACK_S)
    took, worst = time.monotonic() - began, max(auditor.ages_s)
    say(f"it is started again by itself: the books move on {took:.1f} s later; age max {worst:.1f} s")


def keep(fleet: Fleet, auditor: Auditor) -> None:
    """What was written last is still there after the store was killed, with nobody left to write it again."""
    say("docker-compose stop updater; docker kill of store and server; docker-compose up -d store server")
    fleet.compose("stop", "updater")
    time.sleep(3.0)  # what the edge and the server hold is as new as the store by now
    last = {symbol: auditor.read(symbol, 5) for symbol in SYMBOLS}
    output(["docker", "kill", *fleet.containers("store"), *fleet.containers("server")])

    def marked() -> bool:
        with suppress(OSError):
            status, headers, _ = get(f"{auditor.edge}/api/v3/depth?symbol={SYMBOLS[0]}&limit=5")
            return status == 200 and headers.get("depthcast-state") == "stale"
        return False

    until("the last books, marked", marked, 20)
    say("with the server away the edge answers 200, Depthcast-State: stale")
    began = time.monotonic()
    fleet.compose("up", "-d", "--no-build", "--no-deps", "store", "server")
    until("the store healthy again", lambda: fleet.health("store") == ["healthy"], STORE_BACK_S)
    for symbol in SYMBOLS:
        until(
            f"{symbol} as it was",
            lambda s=symbol: served(auditor, s) == last[s],  # type: ignore[misc]
            STORE_BACK_S,
        )
    took = time.monotonic() - began
    say(f"the same bytes are served again {took:.0f} s later, by a server that had nothing")


def served(auditor: Auditor, symbol: str) -> bytes | None:
    """A book that the server, not the edge's memory, has answered with: nobody vouches for it any more, so
    both mark it alike."""
    with suppress(OSError):
        status, headers, body = get(f"{auditor.edge}/api/v3/depth?symbol={symbol}&limit=5")
        if status == 200 and headers.get("x-cache") != "STALE":
            return body
    return None


def answers(auditor: Auditor, symbol: str) -> bool:
    """Whether the edge gives this book."""
    with suppress(OSError):
        auditor.read(symbol, 5)
        return True
    return False


def get(url: str) -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers by lower-case name, body. Raises ``OSError`` where nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return (
                answer.status,
                {name.lower(): value for name, value in answer.headers.items()},
                answer.read(),
            )
    except urllib.error.HTTPError as error:
        return error.code, {name.lower(): value for name, value in error.headers.items()}, error.read()


def until(what: str, done: Callable[[], bool], timeout_s: float = 120.0) -> None:
    """Wait for it. Raises :class:`Failed`."""
    deadline = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > deadline:
            raise Failed(f"not within {timeout_s:.0f} s: {what}")
        time.sleep(0.2)


def output(command: list[str]) -> str:
    """What a command prints. Raises :class:`Failed`."""
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(command)}: {done.stderr[-500:]}")
    return done.stdout


def succeeds(command: list[str]) -> bool:
    """Whether a command ends well."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def compose_command() -> list[str]:
    """Compose v2 or docker-compose 1; empty where there is neither."""
    if succeeds(["docker", "compose", "version"]):
        return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else []


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


_BEGAN: Final = time.monotonic()


def say(text: str) -> None:
    """A line of the transcript."""
    print(f"{time.monotonic() - _BEGAN:6.1f} s  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
