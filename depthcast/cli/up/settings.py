"""What can be set for ``depthcast up``. How settings are read is :mod:`depthcast.settings`'s."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from depthcast.cli.settings import VenueNames
from depthcast.errors import SettingsError
from depthcast.files import LIMITS, MAX_LIMIT
from depthcast.settings import Address, Counts, Listen, LogSettings, Names
from depthcast.venues.prefixes import Parts
from depthcast.venues.registry import VENUES


def _limits(limits: tuple[int, ...]) -> tuple[int, ...]:
    if not limits or not all(1 <= limit <= MAX_LIMIT for limit in limits):
        raise ValueError(f"should be one or more numbers between 1 and {MAX_LIMIT}")
    return limits


def _listed(symbols: str) -> str:
    if (symbols.isdecimal() and not 1 <= int(symbols) <= 3000) or not symbols.replace(",", "").strip():
        raise ValueError("should be a number up to 3000, or names such as BTCUSDT,ETHUSDT")
    return symbols


class UpSettings(LogSettings):
    """The settings of ``depthcast up``; those of the services it starts are read by the services."""

    SECTION: ClassVar[str] = "up"
    TITLE: ClassVar[str] = "up"

    # What is kept

    exchange: Literal["binance", "simulator"] = Field(
        "binance",
        description="where books come from: binance stands for the venue itself; simulator: from an exchange "
        "on this machine in its place",
    )
    venue: VenueNames = Field(
        ("binance",), description="whose books: a venue, or several, each with updaters of its own"
    )
    symbols: Names = Field(
        (),
        description="symbols, globs such as *USDT, or all; VENUE:SYMBOL is that venue's, one without is for "
        "the venues that have none of their own; none: a few lively ones",
    )
    limits: Annotated[Counts, AfterValidator(_limits)] = Field(
        LIMITS,
        description="levels a side, a file for each; not given: those of the venue; of several venues each "
        "has those that it knows",
    )
    tape: Names = Field(
        (),
        description="symbols whose diffs are kept for replay, globs such as *USDT, or all, with or without a "
        "venue as in symbols; none: no tape",
    )
    venue_key_file: Path | None = Field(
        None, description="a file with an account's key, for a venue whose stream wants one, as in [updater]"
    )
    by_price: bool = Field(
        False, description="books by price, without a key, of a venue that has books by order, too"
    )

    # Where

    data: Path = Field(Path("depthcast-data"), description="folder for the store's files and the logs")
    listen: Listen = Field(Address("127.0.0.1", 8080), description="where the server listens, host:port")
    updaters: int = Field(2, ge=1, le=16, description="how many updater replicas are started of a venue")
    rest_url: str = Field(
        "",
        description="base URL of the exchange's REST interface; empty: the venue's own",
        pattern=r"^(https?://[^/\s]+.*)?$",
    )
    ws_url: str = Field(
        "",
        description="base URL of the exchange's websocket; empty: the venue's own",
        pattern=r"^(wss?://[^/\s]+.*)?$",
    )
    reach_timeout_s: float = Field(
        5.0, gt=0, description="how long the exchange may take to answer before the simulator takes its place"
    )
    store_url: str = Field(
        "",
        description="s3://BUCKET[/PREFIX] of an S3 of yours, with the usual AWS_ variables; "
        "empty: SeaweedFS is started here",
    )
    create_bucket: bool = Field(False, description="whether a missing bucket of store_url is created")

    # The simulator

    simulator_seed: int = Field(1, description="settles what the simulated market does")
    simulator_symbols: Annotated[str, AfterValidator(_listed)] = Field(
        "8", description="how many symbols, or their names: A,B"
    )
    simulator_depth: int = Field(6000, ge=2, description="levels a side of a simulated book")
    simulator_rate: float = Field(10.0, gt=0, le=1000, description="diffs a second of a simulated symbol")
    simulator_faults: float = Field(
        0.0, ge=0, description="faults of the simulated exchange: 0 none, 1 now and then, more: more often"
    )

    # How it is shown

    poll_ms: int = Field(1000, ge=100, description="how often the updaters are asked for their state")
    summary_every_s: float = Field(
        10.0, gt=0, description="how often a summary line is written where there is no terminal"
    )

    @model_validator(mode="after")
    def _of_its_venues(self) -> Self:
        if len(self.venue) > 1 and (self.rest_url or self.ws_url):
            raise ValueError("rest_url and ws_url are one venue's: name no other")
        for setting, names in (("symbols", self.symbols), ("tape", self.tape)):
            try:
                Parts.of(names).check(setting, self.venue)
            except SettingsError as error:
                raise ValueError(str(error)) from None
        return self

    def symbols_of(self, venue: str) -> tuple[str, ...]:
        """What is wanted of a venue; none: a few lively ones."""
        return tuple(map(str, Parts.of(self.symbols).for_venue(venue)))

    def tape_of(self, venue: str) -> tuple[str, ...]:
        """What is taped of a venue."""
        return tuple(map(str, Parts.of(self.tape).for_venue(venue)))

    def key_of(self, venue: str, *, made_up: Path | None = None) -> tuple[str, ...]:
        """How the updaters of a venue are told of the key that its stream wants, or to go without one.

        ``made_up``: a file with a key for a simulator, which goes before the account's.
        """
        known, file = VENUES[venue], made_up or self.venue_key_file
        if self.by_price and known.by_price is not None:
            return ("--by-price",)
        if known.keys is None or file is None:
            return ()
        return ("--venue-key-file", str(file))
