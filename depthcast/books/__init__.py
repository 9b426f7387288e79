"""Books in your own process: :class:`Books` keeps them by websocket, :class:`BookView` shows one of them.

::

    async with depthcast.Books("binance", ["ETHUSDT"]) as books:
        await books.wait()
        books["ETHUSDT"].top(5)

==============  ================================================================================
``books``       ``Books``: many live books in one event loop
``view``        ``BookView``, ``Top``: one book as it stands, in the form that is wanted
``changes``     ``Change``, ``Changes``: what changed, for readers of any speed
``snapshots``   how deep a first snapshot may be, so that many books are ready soon
``exchanges``   the exchanges that can be named, and where they are
``connecting``  ``connect``: books that are ready
``thread``      ``BooksThread``: the same for callers without an event loop
==============  ================================================================================

The feed, the REST interface and the keeper are the updater's own (:mod:`depthcast.feed`,
:mod:`depthcast.rest`, :mod:`depthcast.keeper`); here is neither a store nor a fleet.

Promises: what is given out is the exchange's book at the id that it names, both sides of one version, and
never crossed; each call gives lists of its own; where there is no good book, or not as deep as was asked
for, an error says so; how old it may be is told by :attr:`BookView.age_ms`.
"""

from depthcast.books.books import Books
from depthcast.books.changes import Change, Changes
from depthcast.books.connecting import connect
from depthcast.books.thread import BooksThread
from depthcast.books.view import BookView, Top

__all__ = ["BookView", "Books", "BooksThread", "Change", "Changes", "Top", "connect"]
