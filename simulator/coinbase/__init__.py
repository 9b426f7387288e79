"""Coinbase Exchange on this machine: a matching engine, its *full* channel, its REST books, and the truth.

=================  =====================================================================================
``engine``         orders rest, match, change and end; every step is a numbered message
``journal``        the book by order at every sequence: the oracle
``traders``        who places, modifies and cancels orders: a seeded flow
``products``       what is traded: increments, names, how it is listed
``exchange``       products, engines, journals and who listens
``session``        one websocket connection: subscriptions, channels, authentication
``rest``           ``/products``, ``/products/<id>``, ``/products/<id>/book``, ``/time``
``app``            all of it on a socket
=================  =====================================================================================

It knows nothing of the library's books by order, and so it can judge them.
"""
