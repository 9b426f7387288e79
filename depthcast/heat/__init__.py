"""The heatmap: resting quantity by price and time, as static files made from the tape.

A *tile* is a picture of one symbol over one interval: columns are times, rows are prices, a cell is how much
rested there on average. Tiles of three *zooms* cover a minute, an hour and a day; one that is complete never
changes, so a CDN can serve the past.

=========================  ==================================================================
``heat.zooms``             the three zooms
``heat.keys``              the contract: tile <-> key
``heat.tile``              ``Tile``: its cells, and the file it is
``heat.steps``             how high a row of prices is
``heat.spans``             what the tape tells about a stretch of time, as flat arrays
``heat.painting``          spans -> tile
``heat.gathering``         the tiles of one zoom -> the tile above them
``heat.manifest``          which tiles there are
``heat.album``             the tiles of one symbol in a store, each written when its time has come
=========================  ==================================================================

All but ``heat.album`` are pure. ``heat.zooms``, ``heat.keys`` and ``heat.manifest`` need nothing else, the
others numpy: the extra ``tape``.
"""
