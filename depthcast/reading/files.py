"""``DepthFiles``: the files of many symbols, as one mapping and one frame. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from depthcast.reading import frames
from depthcast.reading.file import DepthFile

if TYPE_CHECKING:
    import pandas
    import polars


class DepthFiles(Mapping[str, DepthFile]):
    """Files by symbol, in the order in which they were asked for. It does not change.

    Each file is a book of one version. Different symbols were read one after another: they are of no common
    moment, and each tells its own times.
    """

    def __init__(self, files: Iterable[DepthFile]) -> None:
        self._files = {file.symbol: file for file in files}

    def __getitem__(self, symbol: str) -> DepthFile:
        return self._files[symbol]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __repr__(self) -> str:
        return f"DepthFiles({', '.join(f'{file.symbol}@{file.update_id}' for file in self.values())})"

    def to_records(self, *, strings: bool = False, rows: bool = False) -> list[dict[str, Any]]:
        """One dictionary a level, with the members :data:`depthcast.reading.frames.COLUMNS`; ``rows``: one
        for each of the files' own (:meth:`depthcast.DepthFile.rows`)."""
        return frames.to_records(self.values(), strings=strings, rows=rows)

    def to_pandas(self, *, strings: bool = False, rows: bool = False) -> "pandas.DataFrame":
        """One row a level; ``strings``: prices and amounts as sent. Raises
        :class:`~depthcast.errors.ExtraMissing` without pandas."""
        return frames.to_pandas(self.values(), strings=strings, rows=rows)

    def to_polars(self, *, strings: bool = False, rows: bool = False) -> "polars.DataFrame":
        """One row a level; ``strings``: prices and amounts as sent. Raises
        :class:`~depthcast.errors.ExtraMissing` without polars."""
        return frames.to_polars(self.values(), strings=strings, rows=rows)
