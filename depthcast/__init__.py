"""Depthcast: exchange order books as static files.

A map of the package, from the pure core outwards:

=========================  ====================================================================
``depthcast.errors``       the error tree; every error carries a hint what to do
``depthcast.events``       what a venue tells us, as values: ``Diff``, ``Snapshot``
``depthcast.book``         ``Book``: one symbol's two sides; apply, render any limit, certainty
``depthcast.side``         ``Side``: one side of a book, in chunks of rendered levels
``depthcast.orders``       ``OrderBook``: a book by order (L3), what contradicts it, how much is borne
``depthcast.rows``         ``RowBook``: a book of rows by id, as venues keep it that send tables
``depthcast.building``     a book that is made in pieces, between which an event loop may turn
``depthcast.sync``         ``Sync``: snapshot + diffs -> an unbroken book; sans-I/O state machine
``depthcast.unsequenced``  ``StreamSync``: the same of a stream that numbers nothing; versions from time
``depthcast.agreement``    whether a book looks as a second stream shows it
``depthcast.files``        the contract: request <-> key, key -> bytes, version of a file
``depthcast.symbol_list``  the venue's list of symbols as a file, and its parts
``depthcast.metadata``     what a venue says of itself, with history: what was in force at a time
``depthcast.heartbeat``    what a replica says of itself once a second
``depthcast.fleet``        which replicas live, and who comes first for a symbol
``depthcast.venues``       one module an exchange: urls, frames -> events, its REST scheme
``depthcast.store``        get and put_if on object storage; the outcome of a write
``depthcast.roster``       the heartbeats in the store, read into ``fleet.Members``
``depthcast.marking``      what a symbol does, said beside its files, whose books stay as they are
``depthcast.backoff``      retry delays, as values
``depthcast.aside``        where work is done that takes longer than an event loop has
``depthcast.dispatch``     whose turn it is in an event loop that many books share
``depthcast.feed``         the I/O skin around a venue's websocket
``depthcast.http_client``  one HTTP request: the seam between ``rest`` and the network
``depthcast.rest``         the I/O skin around a venue's REST interface, paced by request weight
``depthcast.keeper``       feed + REST + Sync: many live books, one callback
``depthcast.books``        live books for programs: ``depthcast.Books``, ``depthcast.connect``
``depthcast.reading``      published files, read from a bucket or over HTTP: ``depthcast.read``
``depthcast.heat``         the heatmap: tiles of resting quantity by price and time, made from the tape
``depthcast.tape``         the diffs kept in Parquet segments: what a book was at any past moment
``depthcast.settings``     settings: command line > environment > TOML file
``depthcast.redaction``    text without secrets
``depthcast.logs``         log lines, for people or as JSON
``depthcast.garbage``      the collector of garbage, run at times of our choosing
``depthcast.uncollected``  no garbage collection while very many values are made
``depthcast.cli``          the ``depthcast`` command, one module a verb
=========================  ====================================================================

``errors``, ``events``, ``book``, ``side``, ``orders``, ``rows``, ``building``, ``sync``, ``unsequenced``,
``agreement``, ``files``, ``heartbeat``, ``fleet`` and ``venues`` are pure: bytes and values in, values out,
no asyncio, no clock. The services that write (``updater``) and read (``server``) stand beside this package
and import it, never the other way round; only ``depthcast.cli`` names them.

The public names below are imported when they are first used, so that ``import depthcast`` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from depthcast.books import Books, BooksThread, BookView, Change, Changes, Top, connect
    from depthcast.reading import (
        DepthFile,
        DepthFiles,
        Reader,
        read,
        read_async,
        read_many,
        read_many_async,
    )

__version__ = "0.1.0"

__all__ = [
    "BookView",
    "Books",
    "BooksThread",
    "Change",
    "Changes",
    "DepthFile",
    "DepthFiles",
    "Reader",
    "Top",
    "__version__",
    "connect",
    "read",
    "read_async",
    "read_many",
    "read_many_async",
]

_HOMES: Final = {
    "depthcast.books": ("BookView", "Books", "BooksThread", "Change", "Changes", "Top", "connect"),
    "depthcast.reading": (
        "DepthFile",
        "DepthFiles",
        "Reader",
        "read",
        "read_async",
        "read_many",
        "read_many_async",
    ),
}
"""The public names, by the package that has them."""


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            found: object = getattr(importlib.import_module(home), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module 'depthcast' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
