"""What can be set for ``depthcast fleet``. How settings are read is :mod:`depthcast.settings`'s."""

import warnings
from typing import ClassVar

from pydantic import Field

from depthcast.cli.settings import VenueNames
from depthcast.settings import LogSettings, Names, StoreSettings

with warnings.catch_warnings():
    # pydantic warns that ``json`` hides its long deprecated method of that name, which nobody here calls.
    warnings.filterwarnings("ignore", message='Field name "json"')

    class FleetSettings(StoreSettings, LogSettings):
        """The settings of ``depthcast fleet``."""

        SECTION: ClassVar[str] = "fleet"
        TITLE: ClassVar[str] = "fleet"

        venue: VenueNames = Field(
            ("binance",), description="whose replicas are shown: a venue, or several one after the other"
        )
        symbols: Names = Field((), description="symbols or globs such as *USDT that are shown; none: all")
        every_ms: int = Field(500, ge=100, description="how often the heartbeats are read")
        timeout_s: float = Field(5.0, gt=0, description="how long one reading of all heartbeats may take")
        once: bool = Field(False, description="show it once and end: status 0, or 1 where no replica lives")
        json: bool = Field(  # type: ignore[assignment]
            False, description="JSON for machines: one document with --once, else a line a reading"
        )
