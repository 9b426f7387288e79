"""Books pushed to readers as they change: server-sent events, and the exchange's partial-depth websocket.

Both are made of the files in memory (:mod:`server.hot`), and both give a slow reader the newest version and
never a queue: while a reader's socket takes nothing, nothing is kept for it but what it was given last.

* :mod:`~server.push.history`: the last versions of a file, and the changes between two of them. Pure.
* :mod:`~server.push.hub`: which files are watched, who is told of a change, in slices of the event loop.
* :mod:`~server.push.stream`: one stream of server-sent events, whatever is told.
* :mod:`~server.push.events`: ``GET /stream/depth`` as server-sent events.
* :mod:`~server.push.names`, :mod:`~server.push.control`, :mod:`~server.push.session`: the exchange's stream
  protocol, without I/O; :mod:`~server.push.channels`: what each stream sends and when;
  :mod:`~server.push.websocket`: one connection.
"""
