"""What an exchange says about itself, with history: which rules were in force at a moment.

===============================  =====================================================================
``depthcast.metadata.kinds``     the documents, their keys, and which of their members are no news
``depthcast.metadata.document``  JSON read and written without losing anything
``depthcast.metadata.models``    the documents as typed values
``depthcast.metadata.changes``   two documents to a list of changes
``depthcast.metadata.record``    the record of one change: its bytes, its keys
``depthcast.metadata.recorder``  ``Recorder``: writes the current file and the history, each change once
``depthcast.metadata.cuts``      a file of its own for each published symbol
``depthcast.metadata.history``   ``History``: what was in force at a time, and what changed between two
===============================  =====================================================================

``recorder``, ``cuts`` and ``history`` do I/O through :mod:`depthcast.store` alone; the others are pure.
``docs/metadata.md`` says how the parts play together.
"""
