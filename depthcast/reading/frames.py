"""Files as tables, a row a level: records, pandas, polars. Neither library is needed by anything else here.

The columns are :data:`COLUMNS`. ``side`` is ``bid`` or ``ask``, ``level`` counts from 1, the best; prices and
amounts are floats or, where strings are asked for, what the exchange sent. Times are ms since 1970. What is
not known of a file (:class:`depthcast.reading.file.About`) is null. Where a row is asked for each of the
exchange's own, what else that tells comes behind these columns, and null where another exchange's does not.
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
_OF_FILE: Final = COLUMNS[5:]


def to_records(
    files: "Iterable[DepthFile]", *, strings: bool = False, rows: bool = False
) -> list[dict[str, Any]]:
    """A dictionary a level, bids before asks, best first. O(levels)."""
    columns = _columns(files, strings, rows)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def to_pandas(
    files: "Iterable[DepthFile]", *, strings: bool = False, rows: bool = False
) -> "pandas.DataFrame":
    """The same as a frame of pandas. What may be null has pandas' own nullable integers."""
    library = _library("pandas", "to_pandas")
    types = dict.fromkeys(COLUMNS, "Int64") | {"level": "int64", "update_id": "int64"}
    types |= dict.fromkeys(_TEXT, "object") | dict.fromkeys(_NUMBERS, "object" if strings else "float64")
    columns = {
        name: library.Series(values, dtype=types.get(name, "Int64" if _counts(values) else "object"))
        for name, values in _columns(files, strings, rows).items()
    }
    return cast("pandas.DataFrame", library.DataFrame(columns))


def to_polars(
    files: "Iterable[DepthFile]", *, strings: bool = False, rows: bool = False
) -> "polars.DataFrame":
    """The same as a frame of polars."""
    library = _library("polars", "to_polars")
    types = dict.fromkeys(COLUMNS, library.Int64) | dict.fromkeys(_TEXT, library.String)
    types |= dict.fromkeys(_NUMBERS, library.String if strings else library.Float64)
    columns = _columns(files, strings, rows)
    for name in columns.keys() - types.keys():
        types[name] = library.Int64 if _counts(columns[name]) else library.String
    return cast(
        "polars.DataFrame", library.DataFrame(columns, schema={name: types[name] for name in columns})
    )


def _columns(files: "Iterable[DepthFile]", strings: bool, rows: bool) -> dict[str, list[Any]]:
    if rows:
        return _columns_of_rows(files, strings)
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for file in files:
        bids, asks = (file.exact_bids, file.exact_asks) if strings else (file.bids, file.asks)
        count = len(bids) + len(asks)
        columns["side"] += ["bid"] * len(bids) + ["ask"] * len(asks)
        columns["level"] += [*range(1, len(bids) + 1), *range(1, len(asks) + 1)]
        for at, name in enumerate(_NUMBERS):
            columns[name] += [level[at] for level in bids] + [level[at] for level in asks]
        for name in ("symbol", *_OF_FILE):
            columns[name] += [getattr(file, name)] * count
    return columns


def _columns_of_rows(files: "Iterable[DepthFile]", strings: bool) -> dict[str, list[Any]]:
    written = []
    more: dict[str, None] = {}
    read = str if strings else float
    for file in files:
        common = {name: getattr(file, name) for name in _OF_FILE}
        for side, rows in zip(("bid", "ask"), file.rows(), strict=True):
            for level, row in enumerate(rows, 1):
                numbers = {name: read(row[name]) for name in _NUMBERS}
                written.append({"symbol": file.symbol, "side": side, "level": level} | common | row | numbers)
                more |= dict.fromkeys(name for name in row if name not in _NUMBERS)
    return {name: [row.get(name) for row in written] for name in (*COLUMNS, *more)}


def _counts(values: list[Any]) -> bool:
    """Whether a column is of whole numbers."""
    return all(type(value) is int for value in values if value is not None)


def _library(name: str, what: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as missing:
        raise ExtraMissing(f"{what}()", "frames", missing.name or name) from None
