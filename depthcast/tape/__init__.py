"""The tape: the diffs that made a symbol's files, kept in Parquet segments of a fixed length of time.

===========  ============================================================================
``keys``     segment and index <-> key
``segment``  ``Segment``: the pieces known of one interval, their holes, and their union
``index``    which segments there are: of a day, and the days
``parquet``  segment <-> Parquet
``columns``  ``Columns``: the rows of a segment as arrays
``moment``   ``Moments``: the book of any moment in a segment, byte for byte
``asked``    a moment as it is named: a time or an update id
``reading``  ``Tape``: segments found in a store, and the book of any moment
``stretch``  many segments as one run of diffs
===========  ============================================================================

A segment begins with a keyframe, the certain book just before its first diff, so it is read alone. It is
*whole* where it holds every diff of its interval; a whole one is final. What is missing of another one is
said in it. Needs the extra ``tape`` (pyarrow) where Parquet is read or written.
"""
