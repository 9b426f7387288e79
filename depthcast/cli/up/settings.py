"""What can be set for ``depthcast up``. How settings are read is :mod:`depthcast.settings`'s."""

from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, Field

from depthcast.files import LIMITS, MAX_LIMIT
from depthcast.settings import Address, Counts, Listen, LogSettings, Names, VenueSettings

SYMBOLS: Final = (
    "BTCUSDT",
    "ETHUSDT",
    "BNBUSDT",
    "SOLUSDT",
    "XRPUSDT",
    "DOGEUSDT",
    "ADAUSDT",
    "TRXUSDT",
)
"""What is kept of Binance's symbols where none are named: lively ones, few enough that the snapshots of two
replicas fit into one minute's request weight."""

_BINANCE: Final = VenueSettings()


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
        "binance", description="whose books; the simulator is an exchange on this machine"
    )
    symbols: Names = Field((), description="symbols, globs such as *USDT, or all; none: a few lively ones")
    limits: Annotated[Counts, AfterValidator(_limits)] = Field(
        LIMITS, description="levels a side, a file for each"
    )

    # Where

    data: Path = Field(Path("depthcast-data"), description="folder for the store's files and the logs")
    listen: Listen = Field(Address("127.0.0.1", 8080), description="where the server listens, host:port")
    updaters: int = Field(2, ge=1, le=16, description="how many updater replicas are started")
    rest_url: str = Field(
        _BINANCE.rest_url,
        description="base URL of the exchange's REST interface",
        pattern=r"^https?://[^/\s]+",
    )
    ws_url: str = Field(
        _BINANCE.ws_url,
        description="base URL of the exchange's websocket",
        pattern=r"^wss?://[^/\s]+",
    )
    reach_timeout_s: float = Field(
        5.0, gt=0, description="how long Binance may take to answer before the simulator takes its place"
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
