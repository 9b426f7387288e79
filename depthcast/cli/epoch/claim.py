"""``depthcast epoch claim``: begin a symbol's next epoch from a fresh snapshot, by an operator's decision.

Updaters claim an epoch by themselves where ids went down (:mod:`updater.publisher`). This is for what they
decline, and it obeys the same rules as they do:

* the stored epoch is read *before* the snapshot is asked for, so the claimed epoch is one in which the
  snapshot's ids may count;
* what is written is that very snapshot, ``If-Match`` on the ETag that was read: whoever writes in between,
  an updater or another claim, wins, and this one is lost;
* the largest file is claimed, since that is the one books start from. An updater that sees the greater epoch
  takes its book anew from the exchange and writes the other limits.

Never written over a file of the same id: the bytes would be the same, and so would the ETag where it is the
MD5 of the body. A writer that has seen the file in the earlier epoch could then put a later one of that epoch
over the claim.

Declined, unless forced: where no file is ahead of the exchange's own id, for then updaters need no help; and
where files move, for then somebody writes them, and a file a moment ahead of a snapshot is nothing strange.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from depthcast.book import Book
from depthcast.cli.epoch.published import PublishedFile, look, published
from depthcast.cli.epoch.settings import EpochSettings, read, symbol_of
from depthcast.errors import DepthcastError, Refused, SettingsError, StoreError
from depthcast.events import Snapshot
from depthcast.files import BINANCE, CONTENT_TYPE, OPERATOR, TRADING, FileInfo, Scheme, Version
from depthcast.orders.messages import AnySnapshot
from depthcast.rest import Rest
from depthcast.store import Outcome, Store
from depthcast.venues import Venue

_ABOUT: Final = (
    "Begin a symbol's next epoch: write its largest published file anew from a fresh snapshot of the "
    "exchange, if nobody writes it meanwhile. For files that stay ahead of the exchange's own ids and that "
    "updaters do not mend by themselves."
)

TakeSnapshot = Callable[[str, int], Awaitable[AnySnapshot]]
"""``(symbol, limit)`` -> the exchange's book of now. Raises :class:`~depthcast.errors.VenueError`."""


class Claim(NamedTuple):
    """What is to be written over ``replaced``, and nothing else."""

    symbol: str
    replaced: PublishedFile
    version: Version
    body: bytes
    info: FileInfo
    forced: bool

    def __str__(self) -> str:
        before = self.replaced.version or "no file of ours"
        levels = f"{self.info.bids} bids, {self.info.asks} asks"
        return (
            f"{self.symbol}: {self.replaced.key} goes from {before} to {self.version}, the exchange's "
            f"book of now ({levels}){', by force' if self.forced else ''}"
        )


def main(argv: Sequence[str]) -> int:
    """Claim it, after asking. Raises :class:`~depthcast.errors.DepthcastError`."""
    words, settings = read(argv, program="depthcast epoch claim SYMBOL", about=_ABOUT)
    if len(words) != 1:
        raise SettingsError("one symbol is needed", hint="depthcast epoch claim ETHUSDT")
    symbol = symbol_of(words[0])
    if not settings.yes and not sys.stdin.isatty():
        raise SettingsError("there is no terminal to ask on", hint="add --yes to claim without asking")
    venue = settings.make_venue()
    store = settings.open_store()
    # Asked outside of the event loop, so that Ctrl-C ends the question.
    with asyncio.Runner() as runner:
        try:
            claim = runner.run(_prepare(store, venue, symbol, settings))
            print(claim)
            if not settings.yes and input("Write it? [y/N] ").strip().lower() not in ("y", "yes"):
                raise DepthcastError("nothing was written")
            print(runner.run(carry_out(store, claim)))
        except EOFError:
            raise DepthcastError("nothing was written") from None
        finally:
            runner.run(store.close())
    return 0


async def _prepare(store: Store, venue: Venue, symbol: str, settings: EpochSettings) -> Claim:
    async with Rest(venue) as rest:
        return await prepare(
            store,
            rest.snapshot,
            symbol,
            scheme=settings.scheme,
            limit=settings.limit,
            still_for_s=settings.still_for_s,
            force=settings.force,
        )


async def prepare(
    store: Store,
    take_snapshot: TakeSnapshot,
    symbol: str,
    *,
    scheme: Scheme = BINANCE,
    limit: int = 0,
    still_for_s: float = 3.0,
    force: bool = False,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> Claim:
    """Read, wait, read again, ask the exchange; then the claim to be made. Nothing is written.

    ``limit``: the file to claim with; 0: the largest published one. Raises
    :class:`~depthcast.errors.DepthcastError` where there is nothing to claim, or the store or the exchange
    does not answer.
    """
    before = await published(store, symbol, scheme=scheme)
    await sleep(still_for_s)
    files = await published(store, symbol, scheme=scheme)
    if not force and (moving := _moved(before, files)):
        raise DepthcastError(
            f"files of {symbol} move (limit {', '.join(map(str, moving))}): an updater writes them",
            hint="nothing has to be mended; --force claims all the same",
        )
    replaced = next((file for file in files if file.limit == limit), None) if limit else files[-1]
    if replaced is None:
        raise DepthcastError(
            f"no file of {symbol} with limit {limit} is published",
            hint=f"there are {', '.join(str(file.limit) for file in files)}",
        )
    try:
        snapshot = await take_snapshot(symbol, replaced.limit)
    except Refused as error:
        raise DepthcastError(
            f"{symbol}: {error.message}",
            hint=f"where it is listed no more, depthcast epoch mark {symbol} DELISTED says so",
        ) from None
    newest = max((file.version for file in files if file.version is not None), default=None)
    if not force and (newest is None or not _ahead(files, newest.epoch, snapshot.update_id)):
        raise DepthcastError(
            f"no file of {symbol} is ahead of the exchange: {newest or 'no file of ours'} is stored, the "
            f"exchange is at {snapshot.update_id}",
            hint="updaters mend that by themselves; --force claims all the same",
        )
    if replaced.version is not None and replaced.version.update_id == snapshot.update_id:
        raise DepthcastError(
            f"the exchange is at the very id of {replaced.key}, {snapshot.update_id}",
            hint="try again when the book has moved",
        )
    return _claim(symbol, replaced, 0 if newest is None else newest.epoch + 1, snapshot, wall_ms(), force)


def _moved(before: Sequence[PublishedFile], after: Sequence[PublishedFile]) -> list[int]:
    """The limits whose files are not what they were."""
    seen = {file.limit: (file.etag, file.version) for file in before}
    return [file.limit for file in after if seen.get(file.limit) != (file.etag, file.version)]


def _ahead(files: Sequence[PublishedFile], epoch: int, update_id: int) -> bool:
    versions = [file.version for file in files if file.version is not None]
    return any(version.epoch == epoch and version.update_id > update_id for version in versions)


def _claim(
    symbol: str, replaced: PublishedFile, epoch: int, snapshot: AnySnapshot, now_ms: int, forced: bool
) -> Claim:
    if not isinstance(snapshot, Snapshot):
        raise DepthcastError(
            f"books of {symbol} are kept by order or by row: its updaters alone claim their epochs",
            hint="restart an updater where its files do not move",
        )
    book = Book.of(snapshot)
    if book.crossed:
        raise DepthcastError(
            f"the exchange's book of {symbol} is crossed", hint="no such book is published; try again"
        )
    certain = book.certainty
    info = FileInfo(
        epoch=epoch,
        bids=certain.bids,
        asks=certain.asks,
        bids_complete=certain.bids_complete,
        asks_complete=certain.asks_complete,
        event_time_ms=snapshot.event_time_ms,
        publish_time_ms=now_ms,
        replica=OPERATOR,
        status=TRADING if replaced.info is None else replaced.info.status,
    )
    version = Version(epoch, snapshot.update_id)
    return Claim(symbol, replaced, version, book.body(replaced.limit), info, forced)


async def carry_out(store: Store, claim: Claim) -> str:
    """Write it, once; returns what was done, in one line.

    Raises :class:`~depthcast.errors.DepthcastError` where it was lost, or nobody knows.
    """
    key = claim.replaced.key
    result = await store.put_if(
        key,
        claim.body,
        match=claim.replaced.etag,
        metadata=claim.info.to_metadata(),
        content_type=CONTENT_TYPE,
        cache_control=claim.replaced.cache_control,
    )
    done = (
        f"{claim.symbol} is at {claim.version}; updaters that see it take their books anew and write the "
        f"other limits in epoch {claim.version.epoch}"
    )
    if result.outcome is Outcome.WON:
        return done
    again = f"see depthcast epoch show {claim.symbol}, and claim again where that is still needed"
    try:
        there = await look(store, key)
    except StoreError as error:
        raise DepthcastError(
            f"whether {claim.symbol} was claimed is not known: {result.reason or result.outcome.value}, then "
            f"{error.message}",
            hint=again,
        ) from None
    now = "there is no file any more" if there is None else f"there is {there.version or 'no file of ours'}"
    if there is not None and there.info is not None and there.info.replica == OPERATOR:
        now += ", claimed by an operator"
    if result.outcome is Outcome.LOST:
        raise DepthcastError(f"the claim of {claim.symbol} was lost: somebody else wrote; {now}", hint=again)
    if there is not None and there.version == claim.version:
        return f"{done} (the store did not say so, but it is there)"
    if result.outcome is Outcome.THROTTLED:
        raise DepthcastError(f"the store asks for a slower pace, and did not write; {now}", hint=again)
    raise DepthcastError(
        f"the store did not say what became of the claim of {claim.symbol}, and it may still arrive; {now}",
        hint=again,
    )
