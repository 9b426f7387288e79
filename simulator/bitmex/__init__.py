"""BitMEX on this machine: books of rows, its websocket tables, its REST answers, and the truth.

=================  =====================================================================================
``instruments``    what is listed: ticks, lots, how numbers are written
``rows``           a book of rows, and each table's messages as they are written
``market``         one instrument: its seeded flow in batches, its rows at every step, who listens
``exchange``       all instruments, and the faults that happen to all of them
``capture``        recorded messages, read and played again
``session``        one websocket connection: topics, acknowledgements, errors, ``ping`` and ``pong``
``rest``           ``/api/v1/orderBook/L2``, ``/api/v1/instrument``, rate limits
``settings``       what it is made of
``app``            all of it on a socket
=================  =====================================================================================

It knows nothing of the library's books of rows, and so it can judge them.
"""
