"""The service that writes: it keeps books from an exchange's streams and publishes them as files.

=============  =====================================================================================
``writing``    ``KeyWriter``: the write rule of one key. Pure
``cadence``    ``Cadence``: how often a file may be written. Pure
``slots``      ``Slots``: how many requests to the store at once
``outage``     ``Outage``: when those who wait for a store that was away go on
``rounds``     ``Rounds``: the requests for one symbol's files
``publisher``  ``Publisher``: when there is a round, and in which epoch;  ``ports``: what it needs around it
``duty``       ``Duty``: whether this replica writes a symbol;  ``claims``: in which epoch. Both pure
``standby``    ``Standby``: looks at a file that another replica writes;  ``watch``: whether it lags. Pure
``marks``      ``Marks``: the symbols' status beside their files
``metadata``   ``Metadata``: what the exchange says about itself: ``polls``, ``listings``, ``documents``
``warm``       ``WarmFiles``: a published file as the snapshot that a book starts from
``replica``    ``Replica``: one process, put together
``metrics``    what it counts;  ``window``: percentiles of the last while
``status``     what ``/status`` answers, as types;  ``report``: read off the parts
``health``     the HTTP side
``settings``   what can be set
=============  =====================================================================================

Run it as ``python -m updater`` or ``depthcast updater``. It imports ``depthcast``; nothing imports it but the
command's lazy import.
"""
