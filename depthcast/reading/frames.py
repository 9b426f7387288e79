"""Files as tables, a row a level: records, pandas, polars. Neither library is needed by anything else here.

The columns are :data:`COLUMNS`. ``side`` is ``bid`` or ``ask``, ``level`` counts from 1, the best; prices and
amounts are floats or, where strings are asked for, what the exchange sent. Times are ms since 1970. What is
not known of a file (:class:`depthcast.reading.file.About`) is null.
"""

import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, cast

from depthcast.errors import ExtraMissing

if TYPE_CHECKING:
    import pandas
    import polars

    from depthcast.reading.file import DepthFile

COLUMNS: Final = (
    "symbol",
    "side",
    "level",
    "price",
    "amount",
    "update_id",
    "epoch",
    "event_time_ms",
    "publish_time_ms",
)

_TEXT: Final = ("symbol", "side")
_NUMBERS: Final = ("price", "amount")


def to_records(files: "Iterable[DepthFile]", *, strings: bool = False) -> list[dict[str, Any]]:
    """A dictionary a level, bids before asks, best first. O(levels)."""
    columns = _columns(files, strings)
    return [dict(zip(COLUMNS, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def to_pandas(files: "Iterable[DepthFile]", *, strings: bool = False) -> "pandas.DataFrame":
    """The same as a frame of pandas. What may be null has pandas' own nullable integers."""
    library = _library("pandas", "to_pandas")
    types = dict.fromkeys(COLUMNS, "Int64") | {"level": "int64", "update_id": "int64"}
    types |= dict.fromkeys(_TEXT, "object") | dict.fromkeys(_NUMBERS, "object" if strings else "float64")
    columns = {
        name: library.Series(values, dtype=types[name]) for name, values in _columns(files, strings).items()
    }
    return cast("pandas.DataFrame", library.DataFrame(columns))


def to_polars(files: "Iterable[DepthFile]", *, strings: bool = False) -> "polars.DataFrame":
    """The same as a frame of polars."""
    library = _library("polars", "to_polars")
    types = dict.fromkeys(COLUMNS, library.Int64) | dict.fromkeys(_TEXT, library.String)
    types |= dict.fromkeys(_NUMBERS, library.String if strings else library.Float64)
    return cast("polars.DataFrame", library.DataFrame(_columns(files, strings), schema=types))


def _columns(files: "Iterable[DepthFile]", strings: bool) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for file in files:
        bids, asks = (file.exact_bids, file.exact_asks) if strings else (file.bids, file.asks)
        rows = len(bids) + len(asks)
        columns["side"] += ["bid"] * len(bids) + ["ask"] * len(asks)
        columns["level"] += [*range(1, len(bids) + 1), *range(1, len(asks) + 1)]
        for at, name in enumerate(_NUMBERS):
            columns[name] += [level[at] for level in bids] + [level[at] for level in asks]
        for name in ("symbol", "update_id", "epoch", "event_time_ms", "publish_time_ms"):
            columns[name] += [getattr(file, name)] * rows
    return columns


def _library(name: str, what: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as missing:
        raise ExtraMissing(f"{what}()", "frames", missing.name or name) from None
