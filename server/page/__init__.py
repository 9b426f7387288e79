"""The live page: what people see of the books. ``docs/page.md`` is its description.

Made on the server and complete without a script; the scripts keep it up to date by the streams, and come from
this server alone.

* :mod:`~server.page.assets`: styles and scripts, under names that change when they do.
* :mod:`~server.page.html`: templates, and the headers that keep everything else out.
* :mod:`~server.page.board`: the list of symbols, with what changed since a reader's version. Pure.
* :mod:`~server.page.boards`: the boards that somebody looks at; ``GET /stream/board``.
* :mod:`~server.page.fleet`: the replicas, as the heartbeats tell of them.
* :mod:`~server.page.pages`: the pages themselves, and their parts.
"""
