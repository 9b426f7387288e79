"""An exchange on this machine: it speaks Binance's REST and websocket protocol and knows the truth.

It is the oracle of the tests: what it published at any update id can be asked for afterwards, byte for
byte, so it shares no code with the programs it judges. Binance's exchanges are here, Coinbase Exchange is in
:mod:`simulator.coinbase`, BitMEX in :mod:`simulator.bitmex`. What is the same for all of them:

- :mod:`simulator.faults`      what can go wrong, on request or at random, and the record of what did
- :mod:`simulator.connection`  one websocket connection, as far as all protocols have it alike
- :mod:`simulator.delivery`    what faults do to diffs on their way
- :mod:`simulator.answer`      HTTP answers, and what faults do to them
- :mod:`simulator.floor`       an exchange: its clock, its connections, the faults that happen to all of it
- :mod:`simulator.history`     a dictionary at every step: what an oracle keeps
- :mod:`simulator.oracle`      the truth and the faults, for programs beside this one
- :mod:`simulator.hosting`     what every exchange's settings have
- :mod:`simulator.host`        a port, and the task that moves the clock

Binance's, from plain values outwards:

- :mod:`simulator.scale`       prices and quantities as whole numbers, and how they are written
- :mod:`simulator.truth`       the true book of every symbol at every update id
- :mod:`simulator.listing`     what the exchange lists: names, precisions, filters, status
- :mod:`simulator.market`      a seeded synthetic market, one symbol at a time
- :mod:`simulator.capture`     recorded exchange messages, read and played again
- :mod:`simulator.depth`       depth updates as the streams send them: cut, joined, written
- :mod:`simulator.damage`      diffs that were damaged on their way
- :mod:`simulator.weight`      request weight, 429 and 418
- :mod:`simulator.exchange`    all of that together, advanced by its owner's clock
- :mod:`simulator.parameters`  what REST requests may ask, and the refusals of what they may not
- :mod:`simulator.rest`        the REST scheme
- :mod:`simulator.futures_rest`  the REST schemes of USD-M and COIN-M futures
- :mod:`simulator.streams`     the streams a connection can subscribe to
- :mod:`simulator.control`     control messages of a connection
- :mod:`simulator.session`     one websocket connection
- :mod:`simulator.changes`     changes of what the exchange says about itself
- :mod:`simulator.app`         sockets and the clock: :class:`~simulator.app.Simulator`

Sizes, pace and limits are in :mod:`simulator.settings`, time is in :mod:`simulator.clock`. Only ``host``,
each ``app`` and ``__main__`` know asyncio and sockets; ``capture`` reads files; all else is values in, values
out.
"""
