"""``Prices``: what a store charges. The figures, their dates and their sources are in ``prices.toml``."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from depthcast.errors import SettingsError

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""US dollars, or a count; never negative."""


class Prices(BaseModel):
    """One store's. Storage is per GB and month (1 GB = 10⁹ bytes); what is free is so once a month.

    ``upload_per_gb`` and ``retrieval_per_gb`` are charged on the bodies of all requests, ``internet_per_gb``
    on what leaves the store's cloud. ``machine_…``: a cluster of one's own, whose requests are free.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")

    name: str
    region: str
    date: str
    source: str
    caution: str = ""
    """Why this store may not do, for people."""
    # Requests
    put_per_1000: Amount = 0.0
    list_per_1000: Amount = 0.0
    get_per_1000: Amount = 0.0
    free_class_a: Amount = 0.0
    free_class_b: Amount = 0.0
    # Bytes
    storage_per_gb: Amount = 0.0
    free_storage_gb: Amount = 0.0
    upload_per_gb: Amount = 0.0
    retrieval_per_gb: Amount = 0.0
    internet_per_gb: Amount = 0.0
    free_internet_gb: Amount = 0.0
    # Machines
    machine_per_month: Amount = 0.0
    machine_writes_per_s: Annotated[float, Field(gt=0)] = 1e9
    machines_at_least: Annotated[int, Field(ge=0)] = 0
    # Limits
    store_floor_ms: Annotated[int, Field(ge=0)] = 0
    """The store takes a write to one key only this often."""
    prefix_writes_per_s: Annotated[float, Field(gt=0)] = 1e9
    """What it promises to take under one prefix from the start."""


def load_prices(path: Path | None = None) -> dict[str, Prices]:
    """The known prices by the store's short name, those of the file ``path`` before our own.

    Raises :class:`~depthcast.errors.SettingsError` for a file that cannot be used.
    """
    found: dict[str, Any] = tomllib.loads(files("depthcast.plan").joinpath("prices.toml").read_text("utf-8"))
    if path is None:
        return {store: Prices.model_validate(table) for store, table in found.items()}
    for store, table in _read(path).items():
        if not isinstance(table, dict):
            raise SettingsError(
                f"{path}: {store!r:.40} is no table", hint="prices stand in tables such as [s3]"
            )
        own: Mapping[str, str] = {"name": store, "region": "", "date": "", "source": str(path)}
        found[store] = {**own, **found.get(store, {}), "source": str(path), **table}
    return {store: _validated(path, store, table) for store, table in found.items()}


def _validated(path: Path, store: str, table: Mapping[str, Any]) -> Prices:
    try:
        return Prices.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, (store, *first["loc"])))
        raise SettingsError(
            f"{path}: {where}: {first['msg'].replace('Input should', 'should', 1)}",
            hint="members are those of depthcast/plan/prices.toml",
        ) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is no TOML: {error}") from None
