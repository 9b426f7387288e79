"""Documents read from the store for one command, and what is said where there is none."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from depthcast.cli.metadata.settings import MetadataSettings
from depthcast.errors import FileMissing, UnknownSymbol
from depthcast.metadata.history import Found, History
from depthcast.metadata.kinds import Kind
from depthcast.metadata.moments import moment_text

T = TypeVar("T")

_HINTS: Final = {"systemStatus": "updaters ask for it where api_url is set"}


def asked(settings: MetadataSettings, work: Callable[[History], Awaitable[T]]) -> T:
    """What ``work`` finds in the history. Raises :class:`~depthcast.errors.DepthcastError`."""

    async def reading() -> T:
        store = settings.open_store()
        try:
            return await work(History(store, settings.document_kind()))
        finally:
            await store.close()

    return asyncio.run(reading())


async def in_force(history: History, time_ms: int | None) -> Found:
    """What is in force, or was at a time. Raises :class:`~depthcast.errors.FileMissing` for nothing."""
    found = await (history.current() if time_ms is None else history.at(time_ms))
    if found is None:
        when = "yet" if time_ms is None else f"by {moment_text(time_ms)}"
        raise FileMissing(
            history.kind.head_key,
            f"nothing that was recorded {when} is kept",
            hint=_HINTS.get(history.kind.name, "updaters record what the exchange answers them")
            + "; what is kept: depthcast metadata log",
        )
    return found


def parts_of(kind: Kind, members: dict[str, Any], symbols: Sequence[str]) -> dict[str, Any]:
    """The members with only these symbols (none: all). Raises :class:`~depthcast.errors.UnknownSymbol`."""
    if not symbols:
        return members
    by_name = {kind.symbol_of(each): each for each in members.get("symbols", ())}
    for symbol in symbols:
        if symbol not in by_name:
            raise UnknownSymbol(symbol, f"{kind.name} at that time")
    return {**members, "symbols": [by_name[symbol] for symbol in symbols]}
