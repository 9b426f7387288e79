"""Books of rows: what a venue keeps in a table, whose rows are inserted, updated and deleted by their ids.

===================  ==============================================================================
``rows.messages``    rows changed, and a whole table of them, as values
``rows.book``        ``RowBook``: rows by id and by price, and the bodies of any depth
``rows.comparison``  ``Comparison``: whether a book is what a snapshot shows that no number joins to it
===================  ==============================================================================

The words are BitMEX's, whose ``orderBookL2`` this is modelled on. Pure: no I/O, no clock.
"""

from depthcast.rows.book import RowBook
from depthcast.rows.messages import Action, Row, RowsChanged, RowSnapshot

__all__ = ["Action", "Row", "RowBook", "RowSnapshot", "RowsChanged"]
