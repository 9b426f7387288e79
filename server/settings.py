"""What can be set for the server. How settings are read is :mod:`depthcast.settings`'s."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from depthcast.files import BINANCE, SCHEMES
from depthcast.settings import Address, Listen, LogSettings, Names, StoreSettings, VenueSettings
from server.clients import parse_networks
from server.edition import DEFAULT_CACHE_CONTROL
from server.push.hub import DEFAULT_MAX_STREAMS, DEFAULT_MAX_SUBSCRIPTIONS, DEFAULT_SLOW_AFTER_S


def _venues(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in SCHEMES:
            raise ValueError(f"should be some of {', '.join(SCHEMES)}, not {name!r:.40}")
    return tuple(dict.fromkeys((BINANCE.venue, *names)))


class ServerSettings(StoreSettings, VenueSettings, LogSettings):
    """The settings of one server process."""

    SECTION: ClassVar[str] = "server"
    TITLE: ClassVar[str] = "server"
    READS_OFTEN: ClassVar[bool] = True

    venues: Annotated[Names, AfterValidator(_venues)] = Field(
        (BINANCE.venue,),
        description=f"whose books are served, each at its own paths: {', '.join(SCHEMES)}; binance always is",
    )
    listen: Listen = Field(Address("127.0.0.1", 8080), description="where to listen, host:port")
    refresh_ms: int = Field(
        100,
        ge=1,
        description="a change of a file that is asked for is seen within so long: it is read again so often, "
        "or up to a tenth oftener, if it changed",
    )
    hot_for_s: float = Field(30.0, gt=0, description="how long after the last request a file is refreshed")
    keep_for_s: float = Field(
        600.0, gt=0, description="how long after the last request a file stays in memory"
    )
    memory_mb: int = Field(512, ge=1, description="the most memory that files may take, in MiB")
    read_timeout_ms: int = Field(
        2000, ge=1, description="how long a read of the store, and a reader waiting for it, may take"
    )
    max_reads: int = Field(
        64, ge=1, description="reads of the store at once, of each kind: first reads and refreshes"
    )
    symbols_refresh_s: float = Field(
        10.0, gt=0, description="how often the published symbols are listed anew"
    )
    stale_after_ms: int = Field(
        5000,
        ge=1,
        description="a book not known to have been current for so long, or a file the store has not "
        "confirmed, is stale",
    )
    stale_policy: Literal["serve", "unavailable", "proxy"] = Field(
        "serve",
        description="what is answered in place of a stale file: itself, marked; 503; or what the exchange "
        "says itself",
    )
    heartbeats_ms: int = Field(
        1000,
        ge=100,
        description="how often the replicas' heartbeats are read, to know that a book is current",
    )
    proxy_weight_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="with stale_policy proxy: the share of the exchange's request weight limit to keep to",
    )
    answer_cache_control: str = Field(
        DEFAULT_CACHE_CONTROL,
        pattern=r"^[\x20-\x7e]+$",
        description="the Cache-Control header of books; not set: as the venue has it, such as max-age=2 of "
        "Coinbase's level 2",
    )
    ticker_refresh_ms: int = Field(
        1000,
        ge=1,
        description="how often the best prices are read again while somebody asks for lists of them",
    )
    exchange_info_refresh_s: float = Field(
        10.0, gt=0, description="how often the list of symbols is read again while somebody asks for it"
    )
    tape_memory_mb: int = Field(
        64,
        ge=0,
        description="memory for segments of the tape that moments are asked of (depth?at=), in MiB, 2 for "
        "each minute of a lively symbol; 0: no tape is read",
    )
    client_weight_limit: int = Field(
        0,
        ge=0,
        description="request weight a client may use in a minute before it is answered 429; 0: any, and "
        "none is counted",
    )
    trusted_proxies: Names = Field(
        (), description="addresses and networks whose X-Forwarded-For tells who a client is"
    )
    private_token_file: Path | None = Field(
        None,
        description="a file of bearer tokens, one a line: who brings one may read accounts below /private/; "
        "none: that path does not exist",
    )
    max_connections: int = Field(
        16_384, ge=1, description="open connections; above it, requests are answered 503"
    )
    max_streams: int = Field(
        DEFAULT_MAX_STREAMS,
        ge=0,
        description="connections that books are pushed over, streams of events and websockets together; "
        "above it, further ones are answered 503",
    )
    max_streams_per_client: int = Field(
        0, ge=0, description="the same for each client by its address; 0: any number"
    )
    max_subscriptions: int = Field(
        DEFAULT_MAX_SUBSCRIPTIONS,
        ge=0,
        description="streams that websockets may have subscribed to, all of them together",
    )
    stream_memory_mb: int = Field(
        128,
        ge=1,
        description="memory for former versions of files that are pushed, in MiB: readers who are slow or "
        "come back are told what changed since theirs",
    )
    stream_stalled_s: float = Field(
        DEFAULT_SLOW_AFTER_S,
        gt=0,
        description="how long a reader that books are pushed to may take nothing before it is cut off",
    )

    page: bool = Field(
        True,
        description="whether people are shown the live page, at / and /book/SYMBOL; without it both are 404",
    )
    page_fleet: bool = Field(
        True,
        description="whether the live page shows the replicas, by name, where this server may read their "
        "heartbeats",
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        parse_networks(names)
        return names

    @model_validator(mode="after")
    def _hot_is_kept(self) -> Self:
        if self.keep_for_s < self.hot_for_s:
            raise ValueError(
                f"keep_for_s ({self.keep_for_s:g}) is less than hot_for_s ({self.hot_for_s:g}): "
                "a file cannot be refreshed for longer than it is kept"
            )
        return self

    @model_validator(mode="after")
    def _streams_leave_room(self) -> Self:
        if self.max_streams >= self.max_connections:
            raise ValueError(
                f"max_streams ({self.max_streams}) is not less than max_connections "
                f"({self.max_connections}): streams are connections too, and would leave none for requests"
            )
        return self

    @model_validator(mode="after")
    def _reads_keep_up(self) -> Self:
        for name in ("refresh_ms", "heartbeats_ms", "ticker_refresh_ms"):
            every_ms = getattr(self, name)
            if every_ms >= self.stale_after_ms:
                raise ValueError(
                    f"{name} ({every_ms}) is not less than stale_after_ms ({self.stale_after_ms}): "
                    "what is read no oftener would be stale before it is read again"
                )
        return self
