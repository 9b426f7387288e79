"""TCP between the processes of a world, as far as ``asyncio``'s streams and transports need it: bytes come in
order and a little later. Real clients and servers run over it in virtual time, without a socket.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from tests.simulation.world import Loop, Process, World

LATENCY_S: Final = 0.005

Factory = Callable[[], asyncio.BaseProtocol]


class Network:
    """Who listens where. ``wires``: every connection's two ends that are open."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.wires: list[Wire] = []
        self._listening: dict[tuple[str, int], tuple[Process, Factory]] = {}

    def process(self, name: str) -> Process:
        """A process that is on this network."""
        process = Process(self.world, name)
        process.loop = WiredLoop(self, process)  # type: ignore[abstract]
        return process

    def listen(self, process: Process, address: tuple[str, int], factory: Factory) -> None:
        self._listening[address] = (process, factory)

    async def connect(
        self, process: Process, address: tuple[str, int], factory: Factory
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Both ends of a new connection; raises ``ConnectionRefusedError`` where nobody listens."""
        await asyncio.sleep(2 * LATENCY_S)
        if address not in self._listening:
            raise ConnectionRefusedError(f"nobody listens at {address}")
        there, make = self._listening[address]
        near, far = Wire(self, process), Wire(self, there)
        near.peer, far.peer = far, near
        self.wires += [near, far]
        there.deliver(far.begin, make)
        near.begin(factory)
        assert near.protocol is not None
        return near, near.protocol


class Wire(asyncio.Transport):
    """One end of a connection. ``cut``: what is written goes nowhere, and nobody hears of it."""

    def __init__(self, network: Network, process: Process) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.process = process
        self.protocol: Any = None
        self.peer: Wire | None = None
        self.cut = False
        self._network = network
        self._closing = False

    def begin(self, factory: Factory) -> None:
        self.protocol = factory()
        self.protocol.connection_made(self)

    def write(self, data: Any) -> None:
        if not self._closing:
            self._carry(self._arrive, bytes(data))

    def write_eof(self) -> None:
        self._carry(self._end_of_file)

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._end(None)

    def abort(self) -> None:
        self._end(None)

    def pause_reading(self) -> None:
        return None

    def resume_reading(self) -> None:
        return None

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        return None

    def _carry(self, take: Callable[..., None], *what: object) -> None:
        peer = self.peer
        assert peer is not None
        if not self.cut:
            self._network.world.later(LATENCY_S, peer.process.deliver, take, peer, *what)

    @staticmethod
    def _arrive(peer: "Wire", data: bytes) -> None:
        if not peer._closing:
            peer.protocol.data_received(data)

    @staticmethod
    def _end_of_file(peer: "Wire") -> None:
        if not peer._closing:
            peer.protocol.eof_received()

    @staticmethod
    def _gone(peer: "Wire") -> None:
        peer._end(ConnectionResetError("the other end is gone"))

    def _end(self, error: Exception | None) -> None:
        if self._closing:
            return
        self._closing = True
        self._network.wires.remove(self)
        self.process.deliver(self.protocol.connection_lost, error)
        self._carry(self._gone)


class WiredLoop(Loop):
    """A process's loop that can connect and listen on its network."""

    def __init__(self, network: Network, process: Process) -> None:
        super().__init__(process, 0.0)
        self._network = network

    async def create_connection(
        self, protocol_factory: Any, host: Any = None, port: Any = None, **_: Any
    ) -> Any:
        return await self._network.connect(self._process, (host, port), protocol_factory)

    async def create_server(self, protocol_factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:
        self._network.listen(self._process, (host, port), protocol_factory)
        return _Server()


class _Server:
    """What a server asks of what it listens with."""

    sockets: tuple[()] = ()

    def close(self) -> None:
        return None

    def is_serving(self) -> bool:
        return True

    async def wait_closed(self) -> None:
        return None
