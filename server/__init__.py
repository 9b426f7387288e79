"""The service that reads: published files as the exchange's own REST interface.

========================  ===========================================================================
``server.settings``       what can be set
``server.catalogue``      which symbols and limits are published
``server.edition``        one version of one file in memory, and the answers made from it
``server.variants``       a body in each coding, and its answers
``server.encodings``      which coding a client is given; gzip and zstd
``server.encoded``        answers made for the moment, encoded
``server.hot``            the files in memory, refreshed behind the reader;  ``server.reads``: how reads end
``server.parsing``        queries read, and the checks that come first everywhere
``server.depth``          ``GET /api/v3/depth``: a query string to a prepared answer
``server.tickers``        ``GET /api/v3/ticker/bookTicker``: best prices from the files
``server.exchange_info``  ``GET /api/v3/exchangeInfo``: the list of symbols that the updaters publish
``server.travel``         the book as it was at a moment, from the tape
``server.past``           what was in force at a time, and what changed: from the history
``server.private``        ``GET /private/…``: accounts, for who brings a token;
                          ``server.private_requests``: what is asked for there
``server.mirror``         another venue's calls at its own paths, from its files
``server.ping``           ``GET /api/v3/ping`` and ``/api/v3/time``
``server.answers``        what an answer is, and those that are the same for everybody
``server.weights``        request weight, and the limit on each client;  ``server.clients``: who one is
``server.app``            the ASGI application: paths and methods
``server.health``         ``/healthz`` and ``/readyz``
``server.metrics``        ``/metrics``
``server.openapi``        ``/openapi.json``;  ``server.openapi_spot``: Binance's calls in it;
                          ``server.openapi_venues``: the table of the other venues';
                          ``server.openapi_futures``, ``server.openapi_coinbase``,
                          ``server.openapi_bitmex``: theirs;
                          ``server.openapi_streams``: pushed books;
                          ``server.openapi_past``: history; ``server.openapi_travel``: the tape;
                          ``server.openapi_components``: its parts
``server.fast``           answers ready for the wire, by the bytes of their requests
``server.protocol``       HTTP/1.1: those answers, or the library; a bound on what a client may send
``server.unfinished``     connections whose request does not come
``server.service``        all of them wired together, and the work in the background
========================  ===========================================================================

Stateless: everything it knows it has read from the store, and any number of them may run. It holds no
secret but the store's credentials, of the tokens for accounts only digests, and never writes.
"""
