"""``Machine``: everything ``depthcast up`` runs on this machine: started in order, watched, stopped in order.

::

    store ───┐
             ├─▶ updater-1 … updater-N ─▶ server
    exchange ┘

Store and exchange come first and at the same time; the updaters need both. The stop goes the other way
round: the server first, so that nobody reads what is going down, then the updaters, which finish what they
write, then the simulator, and the store last. A service that dies is started again by its
:class:`~depthcast.cli.up.service.Service`; one that cannot be kept running ends everything with its error.
"""

import asyncio
import contextlib
import re
import socket
import sys
import time
from asyncio import TaskGroup
from collections.abc import Mapping, Sequence
from typing import Final

from depthcast.cli.up import exchange
from depthcast.cli.up.board import EXCHANGE, SERVER, STORE, Board
from depthcast.cli.up.exchange import Chosen
from depthcast.cli.up.figures import counted, left
from depthcast.cli.up.folder import DataFolder
from depthcast.cli.up.service import Service
from depthcast.cli.up.settings import UpSettings
from depthcast.cli.up.store import EmbeddedStore, OwnStore, open_part
from depthcast.cli.up.watch import Watch
from depthcast.errors import SettingsError, VenueError
from depthcast.settings import Address

FILES_PATIENCE_S: Final = 15.0
"""How long the server waits for the first updater to have published everything."""

BOOKS_PATIENCE_S: Final = 10.0
"""How long the others are waited for then, until the screen goes on to what there is."""

UPDATER_STOP_WITHIN_S: Final = 10.0
"""An updater that stops hands over first, then finishes its writes: with its defaults it ends in time."""

_SIMULATED: Final = "simulator"
# Log lines, as text or as JSON.
_UPDATER_READY: Final = re.compile(r"(?P<url>http://[^\s\"]+)/status\b")
_SERVER_READY: Final = re.compile(r"^(?=.*\blistening\b).*\burl\"?[=:]\"?(?P<url>http://[^\s\",]+)")
_SIMULATOR_READY: Final = re.compile(r"^simulator ready: rest=(?P<url>\S+)")
_ANY_PORT: Final = "127.0.0.1:0"

# Variables that hold for one process, or that name what is chosen here.
_NOT_INHERITED: Final = ("DEPTHCAST_REPLICA", "DEPTHCAST_LISTEN")


class Machine:
    """One run; :meth:`run` it once. ``env`` is what the services inherit."""

    def __init__(
        self, settings: UpSettings, folder: DataFolder, board: Board, env: Mapping[str, str]
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._board = board
        self._env = {name: value for name, value in env.items() if name not in _NOT_INHERITED}
        self._store: EmbeddedStore | OwnStore = open_part(settings, folder, board, self._env)
        self._simulator: Service | None = None
        self._updaters: list[Service] = []
        self._server: Service | None = None
        self._published = asyncio.Event()
        self._updater_names = [f"updater-{number}" for number in range(1, settings.updaters + 1)]
        board.plan(STORE, EXCHANGE, *self._updater_names, SERVER)
        board.data = str(folder.path)

    async def run(self, stop: asyncio.Event, hurry: asyncio.Event) -> None:
        """Start everything and keep it running until ``stop`` is set; then stop it, at once if ``hurry`` is.

        Raises :class:`~depthcast.errors.DepthcastError` for what cannot be started or kept running, with
        everything stopped.
        """
        check_free(self._settings.listen)
        work = asyncio.create_task(self._work())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._board.phase = "stopping"
            for task in (work, stopping):
                task.cancel()
            await asyncio.wait({work})
            await self._stop(hurry)
        if not work.cancelled():
            work.result()

    async def _work(self) -> None:
        try:
            async with TaskGroup() as group:
                storing = group.create_task(self._start_store(group))
                choosing = group.create_task(self._start_exchange(group))
                await storing
                chosen = await choosing
                self._store.leave_env()
                await self._start_updaters(group, chosen)
                books = group.create_task(self._await_books(chosen))
                await self._await_files()
                await self._start_server(group)
                await asyncio.wait({books}, timeout=BOOKS_PATIENCE_S)
                self._board.phase = "live"
        except BaseExceptionGroup as errors:
            # The first one ended the others.
            raise errors.exceptions[0] from None

    async def _stop(self, hurry: asyncio.Event) -> None:
        if self._server is not None:
            await self._server.stop(hurry)
        await asyncio.gather(*(updater.stop(hurry) for updater in self._updaters))
        if self._simulator is not None:
            await self._simulator.stop(hurry)
        await self._store.stop()

    # The start

    async def _start_store(self, group: TaskGroup) -> None:
        await self._store.start()
        group.create_task(self._store.run())

    async def _start_exchange(self, group: TaskGroup) -> Chosen:
        settings, board = self._settings, self._board
        if settings.exchange == "simulator":
            board.begin(EXCHANGE, "starting the simulator")
            return await self._start_simulator(group, instead=False)
        url = settings.rest_url
        board.begin(EXCHANGE, f"asking {url}")
        why = await exchange.reach(url, settings.reach_timeout_s)
        if not why:
            try:
                chosen = await exchange.choose_symbols(url, settings.ws_url, settings.symbols)
            except VenueError as error:
                why = str(error)
            else:
                board.exchange = f"Binance at {_host(url)}"
                board.finish(EXCHANGE, f"{board.exchange}: {counted(chosen.count, 'symbol')}")
                return chosen
        board.warning = (
            f"BINANCE CANNOT BE REACHED at {_host(url)}: these books are SIMULATED, their prices are made up."
        )
        board.say(
            "warning", "BINANCE CANNOT BE REACHED: going on with the SIMULATOR, prices are made up", why=why
        )
        return await self._start_simulator(group, instead=True)

    async def _start_simulator(self, group: TaskGroup, *, instead: bool) -> Chosen:
        settings, board = self._settings, self._board
        self._store.keep_apart(_SIMULATED, instead=instead)
        listed, kept = exchange.simulated_symbols(settings, instead=instead)
        # Started again, it has to be where the updaters look for it.
        listen = [_ANY_PORT]

        def argv() -> Sequence[str]:
            return (
                *(sys.executable, "-m", "simulator", "--listen", listen[0]),
                *("--seed", str(settings.simulator_seed), "--first-id", str(_next_first_id())),
                *("--symbols", listed),
                *("--depth", str(settings.simulator_depth), "--rate", f"{settings.simulator_rate:g}"),
                *("--faults", f"{settings.simulator_faults:g}"),
            )

        self._simulator = service = Service(
            "simulator",
            argv,
            self._env,
            self._folder.log("simulator"),
            board,
            ready=_SIMULATOR_READY,
            stop_within_s=1.0,
        )
        self._show_services()
        group.create_task(service.run())
        rest_url = await service.ready()
        listen[0] = rest_url.removeprefix("http://")
        chosen = await exchange.choose_symbols(rest_url, rest_url.replace("http", "ws", 1), kept)
        board.exchange = f"the simulator at {_host(rest_url)}"
        board.finish(EXCHANGE, f"{board.exchange}: {counted(chosen.count, 'symbol')}")
        return chosen

    async def _start_updaters(self, group: TaskGroup, chosen: Chosen) -> None:
        settings = self._settings
        argv = (
            *(sys.executable, "-m", "updater", "--listen", _ANY_PORT),
            *("--exchange", "binance"),
            *("--rest-url", chosen.rest_url, "--ws-url", chosen.ws_url),
            # The simulator is all of the exchange; Binance's hosts of market data know no system status.
            *(() if self._simulator is None else ("--api-url", chosen.rest_url)),
            *("--symbols", ",".join(chosen.symbols), "--limits", ",".join(map(str, settings.limits))),
            *self._common_arguments(),
        )
        for name in self._updater_names:
            self._board.begin(name, "starting", total=chosen.count)
            updater = Service(
                name,
                lambda: argv,
                self._store.child_env(),
                self._folder.log(name),
                self._board,
                ready=_UPDATER_READY,
                stop_within_s=UPDATER_STOP_WITHIN_S,
            )
            self._updaters.append(updater)
            group.create_task(updater.run())
        self._show_services()
        group.create_task(Watch(self._updaters, self._board, every_s=settings.poll_ms / 1000).run())

    async def _start_server(self, group: TaskGroup) -> None:
        self._board.begin(SERVER, "starting")
        argv = (
            *(sys.executable, "-m", "server", "--listen", str(self._settings.listen)),
            *self._common_arguments(),
        )
        self._server = server = Service(
            SERVER,
            lambda: argv,
            self._store.child_env(),
            self._folder.log(SERVER),
            self._board,
            ready=_SERVER_READY,
            stop_within_s=3.0,
        )
        self._show_services()
        group.create_task(server.run())
        self._board.server_url = await server.ready()
        self._board.finish(SERVER, f"answers at {self._board.server_url}")

    async def _await_files(self) -> None:
        """The server lists the published symbols at its start, then every few seconds: let there be some."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FILES_PATIENCE_S):
                await self._published.wait()

    async def _await_books(self, chosen: Chosen) -> None:
        """Show how many books there are, until all were published."""
        board = self._board
        waiting = set(self._updater_names)
        while waiting:
            for name in sorted(waiting):
                measured = board.readings.get(name)
                if measured is None:
                    continue
                reading = measured.reading
                total = len(reading.books) or chosen.count
                if reading.ready:
                    self._published.set()
                    board.finish(name, f"{counted(reading.built, 'book')} built and published")
                    waiting.discard(name)
                else:
                    text = f"{reading.built:,} of {counted(total, 'book')} built"
                    if reading.built == total:
                        text += ", publishing"
                    elif wait := left(reading.expected_wait_ms):
                        text += f", {wait}"
                    board.advance(name, reading.built, total, text)
            await asyncio.sleep(0.1)

    def _common_arguments(self) -> Sequence[str]:
        settings = self._settings
        config = ("--config", str(settings.config)) if settings.config is not None else ()
        # Where they answer is one of their lines of level info, so they say no less than that.
        level = "debug" if settings.log_level == "debug" else "info"
        return (
            *("--store-url", self._store.url),
            *("--log-format", settings.log_format, "--log-level", level),
            *config,
        )

    def _show_services(self) -> None:
        store = self._store if isinstance(self._store, EmbeddedStore) else None
        services = (*self._updaters, self._server, self._simulator, store)
        self._board.services = [service for service in services if service is not None]


def check_free(address: Address) -> None:
    """Raises :class:`~depthcast.errors.SettingsError` where somebody listens at ``address`` already: better
    now than after half a minute of starting."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        socket.create_server(address, family=family).close()
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {address}: {str(error.strerror or error).partition(' (')[0]}",
            hint="choose another --listen, or stop the process that listens there",
        ) from None


def _next_first_id() -> int:
    """An update id above all those of earlier runs, so that their files are older and not from the future.

    100,000 ids a second are more than a simulated symbol uses up.
    """
    return time.time_ns() // 10_000


def _host(url: str) -> str:
    return url.partition("://")[2]
