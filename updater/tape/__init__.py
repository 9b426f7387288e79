"""The recorder of the tape: what this replica keeps of the diffs it takes.

============  =====================================================================================
``packed``    diffs and books as they wait in memory
``reel``      ``Reel``: one symbol's diffs, cut into segments; sans I/O
``clock``     ``ExchangeClock``: the present by the exchange's clock, from what it says
``writing``   ``SegmentWriter``: one segment into the store, merged with what is there, and its indexes
``recorder``  ``Recorder``: the keeper's tap: which symbols, who writes, how much may wait
============  =====================================================================================

The format, and what readers need, is :mod:`depthcast.tape`. Nothing of it runs unless a symbol is taped.
"""
