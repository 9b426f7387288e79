"""Many live books out of one feed, one REST interface and, where there is one, the store.

=============  =======================================================================
``keeper``     ``Keeper``: which books are kept, what diffs do to them, what breaks them
``live``       ``LiveBook``: one symbol's book as it is kept
``sources``    what snapshots books are built from: published files, and the venue's REST
``finding``    ``Finder``: a snapshot for a book that has to be built
``refilling``  ``Refills``: background snapshots that complete and audit live books
``observer``   ``Observer``: told of what happens to books
``tap``        ``Tap``: shown every diff
=============  =======================================================================

For each symbol it runs the machine in :mod:`depthcast.sync`: diffs go in as they arrive; whenever a book has
to be built, now or after a gap, a task of that symbol alone finds a snapshot for it. The published file is
asked first, because it costs no request weight; the venue's REST interface is the fallback. Books are
completed and audited by a background snapshot before they become too shallow.

Promises: a gap, a bad level or a crossed book in one symbol touches no other; the last good book stays
readable meanwhile; what a callback raises does not stop the stream.

Leaves to others: sockets (:mod:`depthcast.feed`), pacing (:mod:`depthcast.rest`), reading and writing files
(whoever passes ``warm`` and ``on_change``).
"""

from depthcast.keeper.keeper import DiffStream, Keeper
from depthcast.keeper.live import LiveBook
from depthcast.keeper.observer import Observer
from depthcast.keeper.sources import NO_FILE, SnapshotSource, Source, Warm, WarmStart
from depthcast.keeper.tap import Tap

__all__ = [
    "NO_FILE",
    "DiffStream",
    "Keeper",
    "LiveBook",
    "Observer",
    "SnapshotSource",
    "Source",
    "Tap",
    "Warm",
    "WarmStart",
]
