"""What can be set for ``depthcast epoch``, and how its command lines are read."""

import os
import warnings
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from depthcast.cli.settings import VenueName, own_variables
from depthcast.errors import SettingsError
from depthcast.files import MAX_LIMIT, SCHEMES, Scheme, valid_symbol
from depthcast.settings import StoreSettings, VenueSettings
from depthcast.venues import Venue
from depthcast.venues.registry import venue_named

with warnings.catch_warnings():
    # pydantic warns that ``json`` hides its long deprecated method of that name, which nobody here calls.
    warnings.filterwarnings("ignore", message='Field name "json"')

    class EpochSettings(StoreSettings, VenueSettings):
        """The settings of all actions, so that one table of a settings file serves them all."""

        SECTION: ClassVar[str] = "epoch"
        TITLE: ClassVar[str] = "epoch"

        venue: VenueName = Field("binance", description="whose files")
        json: bool = Field(  # type: ignore[assignment]
            False, description="show: one JSON document for machines"
        )
        limit: int = Field(
            0,
            ge=0,
            le=MAX_LIMIT,
            description="claim: the largest limit that the updaters publish; 0: the largest there is",
        )
        still_for_s: float = Field(
            3.0, ge=0, le=600, description="claim: how long the files must not have moved"
        )
        force: bool = Field(False, description="claim: even where nothing seems to need it")
        yes: bool = Field(False, description="claim: without asking")

        @property
        def scheme(self) -> Scheme:
            """What the venue's files are called."""
            return SCHEMES[self.venue]

        def make_venue(self) -> Venue:
            """The venue at the urls that were given, else at its own."""
            given = self.model_fields_set
            simulated = self.exchange == "simulator"
            return venue_named(
                self.venue,
                rest_url=self.rest_url if simulated or "rest_url" in given else None,
                ws_url=self.ws_url if simulated or "ws_url" in given else None,
            )


def read(argv: Sequence[str], *, program: str, about: str) -> tuple[list[str], EpochSettings]:
    """The words before the first option, and the settings.

    Raises :class:`~depthcast.errors.SettingsError`.
    """
    first = next((at for at, word in enumerate(argv) if word.startswith("-")), len(argv))
    env = own_variables(EpochSettings, os.environ)
    settings = EpochSettings.load(argv[first:], env, program=program, about=about)
    return list(argv[:first]), settings


def symbol_of(word: str) -> str:
    """A symbol as typed, in any case of ASCII letters. Raises :class:`~depthcast.errors.SettingsError`."""
    symbol = "".join(letter.upper() if letter.isascii() else letter for letter in word)
    if not valid_symbol(symbol):
        raise SettingsError(
            f"{word!r:.80} is not spelled like a symbol", hint="name it as the exchange does: ETHUSDT"
        )
    return symbol
