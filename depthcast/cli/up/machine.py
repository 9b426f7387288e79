"""``Machine``: everything ``depthcast up`` runs on this machine: started in order, watched, stopped in order.

::

    store ────┐
              ├─▶ updater-1 … updater-N ─▶ server
    exchanges ┘

Store and exchanges come first and at the same time; the updaters need both. The stop goes the other way
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
from depthcast.store.secret import write_private
from depthcast.venues.registry import VENUES

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
        self._simulators: list[Service] = []
        self._updaters: list[Service] = []
        self._server: Service | None = None
        self._published = asyncio.Event()
        self._several = len(settings.venue) > 1
        names = [name for venue in settings.venue for name in self._updater_names(venue)]
        board.venue = settings.venue[0]
        board.plan(STORE, EXCHANGE, *names, SERVER)
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
                for each in chosen:
                    await self._start_updaters(group, each)
                books = [group.create_task(self._await_books(each)) for each in chosen]
                await self._await_files()
                await self._start_server(group)
                await asyncio.wait(books, timeout=BOOKS_PATIENCE_S)
                self._board.phase = "live"
        except BaseExceptionGroup as errors:
            # The first one ended the others.
            raise errors.exceptions[0] from None

    async def _stop(self, hurry: asyncio.Event) -> None:
        if self._server is not None:
            await self._server.stop(hurry)
        await asyncio.gather(*(updater.stop(hurry) for updater in self._updaters))
        await asyncio.gather(*(simulator.stop(hurry) for simulator in self._simulators))
        await self._store.stop()

    # The start

    async def _start_store(self, group: TaskGroup) -> None:
        await self._store.start()
        group.create_task(self._store.run())

    async def _start_exchange(self, group: TaskGroup) -> list[Chosen]:
        settings, board = self._settings, self._board
        titles = {venue: VENUES[venue].title for venue in settings.venue}
        if settings.exchange == "simulator":
            board.begin(EXCHANGE, "starting the simulator")
            return await self._simulate(group, instead=False)
        urls = {venue: self._urls(venue) for venue in settings.venue}
        board.begin(EXCHANGE, f"asking {', '.join(rest_url for rest_url, _ in urls.values())}")
        reached = [
            exchange.reach(urls[venue][0], settings.reach_timeout_s, venue) for venue in settings.venue
        ]
        away = {venue: why for venue, why in zip(urls, await asyncio.gather(*reached), strict=True) if why}
        chosen = []
        for venue, (rest_url, ws_url) in urls.items():
            if away:
                break
            try:
                wanted = settings.symbols_of(venue)
                chosen.append(await exchange.choose_symbols(rest_url, ws_url, wanted, venue))
            except VenueError as error:
                away[venue] = str(error)
        if not away:
            board.exchange = " and ".join(f"{titles[venue]} at {_host(urls[venue][0])}" for venue in urls)
            board.finish(EXCHANGE, f"{board.exchange}: {_symbols(chosen)}")
            return chosen
        # All are simulated then: of books in one store either all are real or none.
        who = " and ".join(titles[venue].upper() for venue in away)
        where = ", ".join(_host(urls[venue][0]) for venue in away)
        board.warning = (
            f"{who} CANNOT BE REACHED at {where}: these books are SIMULATED, their prices are made up."
        )
        board.say(
            "warning",
            f"{who} CANNOT BE REACHED: going on with the SIMULATOR, prices are made up",
            why="; ".join(away.values()),
        )
        return await self._simulate(group, instead=True)

    def _urls(self, venue: str) -> tuple[str, str]:
        known, settings = VENUES[venue], self._settings
        return settings.rest_url or known.rest_url, settings.ws_url or known.ws_url

    async def _simulate(self, group: TaskGroup, *, instead: bool) -> list[Chosen]:
        self._store.keep_apart(_SIMULATED, instead=instead)
        starting = [self._start_simulator(group, venue, instead=instead) for venue in self._settings.venue]
        chosen = await asyncio.gather(*starting)
        where = ", ".join(_host(each.rest_url) for each in chosen)
        self._board.exchange = f"the simulator at {where}"
        self._board.finish(EXCHANGE, f"{self._board.exchange}: {_symbols(chosen)}")
        return chosen

    async def _start_simulator(self, group: TaskGroup, venue: str, *, instead: bool) -> Chosen:
        settings, board = self._settings, self._board
        listed, kept = exchange.simulated_symbols(settings, instead=instead, venue=venue)
        # Started again, it has to be where the updaters look for it.
        listen = [_ANY_PORT]

        def argv() -> Sequence[str]:
            return (
                *(sys.executable, "-m", "simulator", "--listen", listen[0], "--venue", venue),
                *("--seed", str(settings.simulator_seed), "--first-id", str(_next_first_id())),
                *("--symbols", listed),
                *("--depth", str(settings.simulator_depth), "--rate", f"{settings.simulator_rate:g}"),
                *("--faults", f"{settings.simulator_faults:g}"),
            )

        name = f"simulator-{venue}" if self._several else "simulator"
        service = Service(
            name,
            argv,
            self._env,
            self._folder.log(name),
            board,
            ready=_SIMULATOR_READY,
            stop_within_s=1.0,
        )
        self._simulators.append(service)
        self._show_services()
        group.create_task(service.run())
        rest_url = await service.ready()
        listen[0] = rest_url.removeprefix("http://")
        return await exchange.choose_symbols(rest_url, rest_url.replace("http", "ws", 1), kept, venue)

    def _updater_names(self, venue: str) -> list[str]:
        base = venue if self._several else "updater"
        return [f"{base}-{number}" for number in range(1, self._settings.updaters + 1)]

    async def _start_updaters(self, group: TaskGroup, chosen: Chosen) -> None:
        settings = self._settings
        argv = (
            *(sys.executable, "-m", "updater", "--listen", _ANY_PORT),
            *("--exchange", "binance", "--venue", chosen.venue),
            *("--rest-url", chosen.rest_url, "--ws-url", chosen.ws_url),
            # A simulator is all of the exchange; hosts of market data know no system status.
            *(("--api-url", chosen.rest_url) if self._simulators and VENUES[chosen.venue].accounts else ()),
            *self._key(chosen.venue),
            *("--symbols", ",".join(chosen.symbols)),
            *self._limits(chosen.venue),
            *(("--tape", ",".join(taped)) if (taped := settings.tape_of(chosen.venue)) else ()),
            *self._common_arguments(),
        )
        started = []
        for name in self._updater_names(chosen.venue):
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
            started.append(updater)
            group.create_task(updater.run())
        self._updaters += started
        self._show_services()
        prefix = f"{chosen.venue}:" if self._several else ""
        watch = Watch(started, self._board, prefix=prefix, every_s=settings.poll_ms / 1000)
        group.create_task(watch.run())

    def _key(self, venue: str) -> Sequence[str]:
        """The key that a venue's stream wants, of which its simulator takes any."""
        keys = VENUES[venue].keys
        if keys is None or not self._simulators:
            return self._settings.key_of(venue)
        made_up = self._folder.path / f"{venue}-simulated.key"
        write_private(made_up, keys.made_up())
        return self._settings.key_of(venue, made_up=made_up)

    def _limits(self, venue: str) -> Sequence[str]:
        """Those that were given; of several venues each has those of them that it knows, else its own."""
        settings, known = self._settings, VENUES[venue]
        if "limits" not in settings.model_fields_set:
            return ()
        given = [
            limit for limit in settings.limits if not self._several or known.scheme.refusal(limit) is None
        ]
        if self._several and settings.by_price and known.by_price is not None:
            shown = known.by_price.keeping.limits
            given = [limit for limit in given if shown is None or limit in shown]
        return ("--limits", ",".join(map(str, given))) if given else ()

    async def _start_server(self, group: TaskGroup) -> None:
        self._board.begin(SERVER, "starting")
        argv = (
            *(sys.executable, "-m", "server", "--listen", str(self._settings.listen)),
            *("--venues", ",".join(self._settings.venue)),
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
        waiting = set(self._updater_names(chosen.venue))
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
        services = (*self._updaters, self._server, *self._simulators, store)
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


def _symbols(chosen: Sequence[Chosen]) -> str:
    return counted(sum(each.count for each in chosen), "symbol")


def _host(url: str) -> str:
    return url.partition("://")[2]
