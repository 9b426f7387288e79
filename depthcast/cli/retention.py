"""``depthcast retention``: how long the store keeps the history of metadata, the tape and the heatmap."""

import os
import sys
from collections.abc import Sequence
from typing import ClassVar, Final

from pydantic import Field
from rich.console import Console
from rich.table import Table
from rich.text import Text

from depthcast.cli.settings import own_variables
from depthcast.errors import SettingsError
from depthcast.settings import StoreSettings
from depthcast.store.retention import (
    HEAT,
    HISTORY,
    TAPE,
    Rule,
    dangers,
    days_of,
    expires,
    is_ours,
    prefix_of,
    retain,
    retention_rules,
)

_WIDTH: Final = 200

_ABOUT: Final = (
    "Show the lifecycle rules of the store's bucket, and set those for the history of metadata, the tape and "
    "the heatmap. Other rules stay as they are. Exit status 1: one of them would expire what is in force."
)


class RetentionSettings(StoreSettings):
    """What ``depthcast retention`` may be told."""

    SECTION: ClassVar[str] = "retention"
    TITLE: ClassVar[str] = "retention"

    history_days: int | None = Field(
        None, ge=0, description="keep changes of metadata so many days, accounts' too; 0: for ever"
    )
    tape_days: int | None = Field(None, ge=0, description="keep recorded diffs so many days; 0: for ever")
    heat_days: int | None = Field(
        None, ge=0, description="keep the heatmap's tiles so many days; 0: for ever"
    )


def main(argv: Sequence[str]) -> int:
    """Show the rules, changed where that was asked for. Raises :class:`~depthcast.errors.DepthcastError`."""
    env = own_variables(RetentionSettings, os.environ)
    settings = RetentionSettings.load(argv, env, program="depthcast retention", about=_ABOUT)
    if settings.store_url == "memory:":
        raise SettingsError(
            "memory: keeps nothing, and has no rules", hint="name the bucket: --store-url s3://BUCKET"
        )
    days = {
        name: number
        for names, number in (
            (HISTORY, settings.history_days),
            (TAPE, settings.tape_days),
            (HEAT, settings.heat_days),
        )
        if number is not None
        for name in names
    }
    prefix = settings.store_url.removeprefix("s3://").partition("/")[2].strip("/")
    # Into a file or a pipe whole lines, as wide as they are.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    if days:
        change = retain(settings.store_url, days, os.environ)
        rules = change.after
        if list(change.before) != list(rules):
            console.print(table("before", change.before, prefix))
            console.print()
        console.print(table("now", rules, prefix))
    else:
        rules = retention_rules(settings.store_url, os.environ)
        console.print(table(settings.store_url, rules, prefix))
    warnings = list(dangers(rules, prefix))
    for warning in warnings:
        console.print(Text(warning, style="bold red"), soft_wrap=True)
    return 1 if warnings else 0


def table(title: str, rules: Sequence[Rule], prefix: str) -> Table:
    """The rules, as people read them."""
    shown = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for heading in ("rule", "keys below", "does", ""):
        shown.add_column(heading, overflow="fold")
    if not rules:
        shown.add_row("none: everything is kept for ever", "", "", "")
    for rule in rules:
        shown.add_row(
            Text(str(rule.get("ID", ""))),
            Text(prefix_of(rule) or "all"),
            Text(_does(rule)),
            "ours" if is_ours(rule, prefix) else "",
        )
    return shown


def _does(rule: Rule) -> str:
    if rule.get("Status") != "Enabled":
        return "nothing: it is disabled"
    days = days_of(rule)
    if days is not None:
        return f"expires after {days} days"
    return "expires or moves objects" if expires(rule) else "nothing to whole objects"
