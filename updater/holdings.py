"""``Holdings``: the symbols this replica holds: for each a book that is kept, and a publisher with its rank.

Which symbols those are follows from who lives (:mod:`updater.assignment`) and is looked at anew after each
reading of the fleet. A symbol is taken up at once and let go only when others write it.
"""

import asyncio
from asyncio import Task, TaskGroup
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from types import MappingProxyType

from depthcast.heartbeat import Heartbeat, Role
from depthcast.keeper import Keeper, LiveBook
from depthcast.logs import get_logger
from updater.assignment import Place, is_written, may_let_go, place
from updater.publisher import Publisher

_log = get_logger("updater")

ALONE = Place(0, True, ())


class Holdings:
    """What one replica holds out of what is ``listed``.

    ``make_publisher`` is given a book and its rank; ``begin`` is awaited before a publisher writes.
    """

    def __init__(
        self,
        keeper: Keeper,
        make_publisher: Callable[[LiveBook, int], Publisher],
        begin: Callable[[], Awaitable[object]],
    ) -> None:
        self._keeper = keeper
        self._make_publisher = make_publisher
        self._begin = begin
        self._places: dict[str, Place] = {}
        self._publishing: dict[str, Task[None]] = {}
        self._setup: tuple[object, ...] = ()
        self.listed: set[str] = set()
        """The symbols that the settings mean, held here or not. Changed by :meth:`relist` alone."""
        self._relisted = 0
        self.publishers: dict[str, Publisher] = {}
        self.assigned = False
        """Whether it was decided once which symbols are held."""

    def changed(self, live: LiveBook) -> None:
        """A book changed."""
        publisher = self.publishers.get(live.symbol)
        if publisher is not None:
            publisher.wake()

    def place(self, symbol: str) -> Place:
        """This replica's place for a symbol, as last assigned."""
        return self._places.get(symbol, ALONE)

    def relist(self, symbols: Collection[str]) -> None:
        """These are the symbols that the settings mean now; what is held of others is let go."""
        gone = self.listed.difference(symbols)
        if not gone and len(symbols) == len(self.listed):
            return
        self.listed.difference_update(gone)
        self.listed.update(symbols)
        self._relisted += 1
        for symbol in gone:
            self._places.pop(symbol, None)
        self._let_go([symbol for symbol in gone if symbol in self.publishers])

    # Who holds what

    def assign(
        self,
        living: Mapping[str, Heartbeat],
        own: Heartbeat,
        group: TaskGroup,
        *,
        earlier: Heartbeat,
        missing: Mapping[str, Heartbeat] = MappingProxyType({}),
    ) -> None:
        """Take up what is to be held now, let go what others hold, and tell publishers their ranks.

        ``earlier`` is the own heartbeat before the last one, for comparison with the others'; ``missing``
        are replicas that died a moment ago.
        """
        for symbol in [symbol for symbol, task in self._publishing.items() if task.done()]:
            del self._publishing[symbol]
        self._find_places(living, own, missing)
        new: list[str] = []
        moved: list[str] = []
        for symbol, here in self._places.items():
            publisher = self.publishers.get(symbol)
            if publisher is None:
                # One that was let go and is wanted again first finishes its last writes.
                if here.holder and symbol not in self._publishing:
                    new.append(symbol)
            elif may_let_go(symbol, here, living, own, yielded=publisher.yielded):
                moved.append(symbol)
            else:
                publisher.set_rank(here.rank)
                held = earlier.symbols.get(symbol)
                if publisher.role is Role.ACTING and held and is_written(here, living, symbol, held):
                    publisher.hand_over()
        self._let_go(moved)
        self._take_up(new, group)
        self.assigned = bool(self.listed)

    def _find_places(
        self, living: Mapping[str, Heartbeat], own: Heartbeat, missing: Mapping[str, Heartbeat]
    ) -> None:
        """Places depend on who can hold what, which seldom changes."""
        beats = (frozenset(map(_suits, living.values())), frozenset(map(_suits, missing.values())))
        setup = (own.redundancy, self._relisted, *beats)
        mixed = any(beat.selection != own.selection for beat in (*living.values(), *missing.values()))
        if mixed or setup != self._setup:
            self._setup = setup
            self._places = {symbol: place(symbol, living, own, missing) for symbol in sorted(self.listed)}

    def _take_up(self, symbols: list[str], group: TaskGroup) -> None:
        if not symbols:
            return
        _log.info("taking up symbols", new=len(symbols), symbols=_named(symbols))
        self._keeper.subscribe(symbols)
        for symbol in symbols:
            publisher = self._make_publisher(self._keeper.books[symbol], self._places[symbol].rank)
            self.publishers[symbol] = publisher
            self._publishing[symbol] = group.create_task(self._publish(publisher))

    def _let_go(self, symbols: list[str]) -> None:
        if not symbols:
            return
        _log.info("letting symbols go", gone=len(symbols), symbols=_named(symbols))
        for symbol in symbols:
            self.publishers.pop(symbol).stop()
        self._keeper.unsubscribe(symbols)

    async def _publish(self, publisher: Publisher) -> None:
        await self._begin()
        await publisher.run()

    # The end

    def handed_over(self, living: Mapping[str, Heartbeat], own: Heartbeat) -> bool:
        """Whether others write all that is held here."""
        return all(
            may_let_go(symbol, self.place(symbol), living, own, yielded=publisher.yielded)
            for symbol, publisher in self.publishers.items()
        )

    def give_up(self) -> None:
        """Do not wait for the writes in flight."""
        for task in self._publishing.values():
            task.cancel()

    async def finish(self, within_s: float, *, begun: bool) -> None:
        """Begin nothing any more and wait for the writes in flight, for ``within_s`` at most.

        ``begun``: whether publishers were let to write at all.
        """
        for publisher in self.publishers.values():
            publisher.stop()
        tasks = list(self._publishing.values())
        if not begun:
            self.give_up()
        if not tasks:
            return
        _, unfinished = await asyncio.wait(tasks, timeout=within_s)
        for task in unfinished:
            task.cancel()
        if unfinished:
            _log.warning("writes were given up at the end", symbols=len(unfinished), after_s=within_s)


def _suits(beat: Heartbeat) -> tuple[object, ...]:
    """What a replica's place follows from, where all are set to the same symbols."""
    return beat.replica, beat.state, beat.selection, beat.limits


def _named(symbols: Iterable[str]) -> str:
    names = sorted(symbols)
    return ", ".join(names[:10]) + ", …" * (len(names) > 10)
