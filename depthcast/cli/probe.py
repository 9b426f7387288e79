"""``depthcast probe``: whether a store honours the conditions that published books rest on."""

import asyncio
import os
from collections.abc import Sequence
from typing import ClassVar, Final

from pydantic import Field
from rich.console import Console
from rich.table import Table

from depthcast.cli.settings import own_variables
from depthcast.settings import StoreSettings
from depthcast.store import Store
from depthcast.store.probe import Report, examine

_ABOUT: Final = (
    "Write a few small objects under probe/ and try what a careless store gets wrong. "
    "Exit status 0: the store can be used; 1: it cannot, and the last line says why."
)


class ProbeSettings(StoreSettings):
    """What ``depthcast probe`` may be told."""

    SECTION: ClassVar[str] = "probe"
    TITLE: ClassVar[str] = "probe"

    create_bucket: bool = Field(False, description="create the bucket where it does not exist")
    timeout_s: float = Field(20.0, gt=0, description="seconds after which the store counts as unusable")


def main(argv: Sequence[str]) -> int:
    """Examine the store and print the steps. Raises :class:`~depthcast.errors.DepthcastError`."""
    env = own_variables(ProbeSettings, os.environ)
    settings = ProbeSettings.load(argv, env, program="depthcast probe", about=_ABOUT)
    if settings.create_bucket and settings.store_url != "memory:":
        from depthcast.store.bucket import ensure_bucket

        ensure_bucket(settings.store_url, os.environ)
    report = asyncio.run(_examine(settings.open_store(), settings.timeout_s))
    Console(highlight=False).print(table(report))
    if report.fault is not None:
        raise report.fault
    print(f"{report.store} can be used")
    return 0


async def _examine(store: Store, timeout_s: float) -> Report:
    try:
        return await examine(store, timeout_s=timeout_s)
    finally:
        await store.close()


def table(report: Report) -> Table:
    """The steps, as people read them."""
    shown = Table(title=report.store, title_justify="left", box=None, pad_edge=False)
    shown.add_column("step")
    shown.add_column("")
    shown.add_column("ms", justify="right")
    for step in report.steps:
        verdict = "[green]ok[/]" if step.passed else "[bold red]failed[/]"
        shown.add_row(step.name, verdict, f"{step.took_ms:.1f}")
    return shown
