"""What can be set for an updater replica. How settings are read is :mod:`depthcast.settings`'s."""

import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from os import getpid
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from depthcast.errors import BadKey
from depthcast.files import LIMITS, MAX_LIMIT, Scheme, depth_key
from depthcast.metadata import kinds
from depthcast.orders.anomalies import BEARS, WITHIN
from depthcast.settings import (
    Address,
    Counts,
    Given,
    Listen,
    LogSettings,
    Names,
    StoreSettings,
    VenueSettings,
)
from depthcast.tape.keys import LENGTH_S, valid_length
from depthcast.venues import Venue
from depthcast.venues.keeping import Keeping, StreamKey
from depthcast.venues.registry import VENUES, venue_named
from updater.by_venue import by_venue
from updater.cadence import Cadence
from updater.publisher import CACHE_CONTROL


def _some(symbols: tuple[str, ...]) -> tuple[str, ...]:
    if not symbols:
        raise ValueError("should name at least one symbol, or be all")
    return symbols


def _limits(limits: tuple[int, ...]) -> tuple[int, ...]:
    if not limits or not all(0 <= limit <= MAX_LIMIT for limit in limits):
        raise ValueError(f"should be one or more numbers between 1 and {MAX_LIMIT}")
    return limits


def _venue(name: str) -> str:
    if name not in VENUES:
        raise ValueError(f"should be one of {', '.join(VENUES)}")
    return name


def _cadence(value: object) -> object:
    return Cadence.parse(value) if isinstance(value, str) else value


class UpdaterSettings(StoreSettings, VenueSettings, LogSettings):
    """The settings of one replica."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    SECTION: ClassVar[str] = "updater"
    TITLE: ClassVar[str] = "updater"

    # What is published

    venue: Annotated[str, AfterValidator(_venue)] = Field(
        "binance",
        description=f"how the exchange speaks, and what the files are called: {', '.join(VENUES)}; several, "
        "with commas between, are kept by one process",
    )
    symbols: Annotated[Names, AfterValidator(_some)] = Field(
        ("BTCUSDT", "ETHUSDT"),
        description="symbols, globs such as *USDT, or all; VENUE:SYMBOL is of one of several venues",
    )
    symbols_every_s: float = Field(
        60.0,
        ge=0,
        description="how often the exchange is asked, by one replica for all, which symbols there are and "
        "what each does; 0: once",
    )
    limits: Annotated[Counts, AfterValidator(_limits)] = Field(
        LIMITS, description="levels a side, a file for each"
    )
    cache_control: str = Field(
        CACHE_CONTROL, pattern=r"^[\x20-\x7e]*$", description="the Cache-Control of the files"
    )

    # How often

    cadence: Annotated[Cadence, BeforeValidator(_cadence)] = Field(
        Cadence(), description="limit:ms pairs: files up to this limit are written at most this often"
    )
    store_floor_ms: int = Field(
        0, ge=0, description="no file is written more often than this; R2 and GCS want 1000"
    )
    same_levels_ms: int = Field(
        1000, ge=0, description="a file whose levels did not change is written at most this often"
    )

    # Waits and bounds

    writes_at_once: int = Field(
        48, ge=1, le=64, description="requests to the store in flight for files; the client has 64 in all"
    )
    watch_ms: int = Field(
        1000, ge=100, description="how often a file that is ahead of the own book is looked at"
    )
    patrol_s: float = Field(
        300.0, gt=0, description="how often the file of a quiet symbol is looked at, in case it was damaged"
    )
    epoch_after_ms: int = Field(
        60_000, ge=1000, description="a file ahead of a live book, unmoved so long, may begin a new epoch"
    )
    audit_every_s: float = Field(
        3600.0,
        gt=0,
        description="how often each book is compared with a fresh snapshot at least; of BitMEX's 900",
    )
    weight_share: float = Field(
        0.8, gt=0, le=1, description="the share of the exchange's request weight that may be used"
    )
    bears: int = Field(
        BEARS,
        ge=0,
        description="weight of contradictions that a book by order bears before it is built anew; 0: none",
    )
    bears_within: int = Field(
        WITHIN, ge=1, description="messages after which what a book by order bore is forgiven"
    )
    disagree_for_s: float = Field(
        5.0,
        gt=0,
        description="how long a book may differ from a second stream of its best levels, which BitMEX has, "
        "before it is built anew",
    )
    doubt_after_s: float = Field(
        60.0,
        gt=0,
        description="after so long without a change a book of a stream that numbers nothing is compared with "
        "the exchange's, and one that changes while its second stream shows nothing is built anew",
    )
    streams_per_connection: int = Field(200, ge=1, le=1024, description="symbols on one websocket connection")

    # The exchange

    venue_key_file: Path | None = Field(
        None,
        description="a file with the key of an account, where the exchange's stream wants one "
        "(coinbaseexchange: API key, passphrase and secret, a line each); without it COINBASE_API_KEY, "
        "COINBASE_PASSPHRASE and COINBASE_API_SECRET are used",
    )

    by_price: bool = Field(
        False,
        description="books by price from a stream that wants no key (coinbaseexchange: level2_batch, files "
        "of levels 1 and 2), in place of books by order; alike for all replicas of a bucket",
    )

    # What the exchange says about itself

    api_url: str = Field(
        "",
        pattern=r"^(https?://[^/\s]+.*)?$",
        description="base URL of its whole REST interface, such as https://api.binance.com: hosts of market "
        "data alone have neither system status nor accounts; empty: these are not asked for",
    )
    system_status_every_s: float = Field(
        30.0, gt=0, description="how often the exchange is asked whether there is maintenance"
    )
    account: str = Field(
        "",
        pattern=r"^[A-Za-z0-9_-]{0,50}$",
        description="a name for the account whose information is kept below private/; empty: none is",
    )
    account_key_file: Path | None = Field(
        None,
        description="a file with the account's API key on its first line, and below it the HMAC secret or an "
        "Ed25519 private key as PEM; without it BINANCE_API_KEY and BINANCE_API_SECRET are used",
    )
    account_every_s: float = Field(60.0, gt=0, description="how often account and commissions are asked for")
    commission_symbols: Names = Field(
        (), description="symbols whose commission is asked for, 20 request weight each"
    )
    silent_after_s: float = Field(
        10.0,
        ge=0,
        description="a symbol without a diff for so long, and five times its usual pauses, while others go "
        "on, is called SILENT; 0: never",
    )
    recv_window_ms: int = Field(
        5000, ge=1, le=60_000, description="how long after its timestamp a signed request may be carried out"
    )

    # The tape

    tape: Names = Field(
        (), description="symbols whose diffs are kept for replay, globs such as *USDT, or all; none: no tape"
    )
    tape_segment_s: int = Field(
        LENGTH_S, ge=1, description="how long a segment of the tape is; divides a day, alike for all replicas"
    )
    tape_backlog_mb: float = Field(
        256.0, gt=0, description="how much of the tape may wait in memory to be written; beyond it is lost"
    )

    heatmap: bool = Field(True, description="whether the heatmap's tiles are made of what is taped")

    # The fleet

    redundancy: int = Field(
        0,
        ge=0,
        description="how many replicas hold each symbol; 0: all; fewer than there are carry more symbols",
    )
    takeover_after_ms: int = Field(
        500,
        ge=0,
        le=60_000,
        description="a standby writes a file that lags its own book by more than this; 0: all replicas race",
    )
    address: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._:-]{0,100}$",
        description="a name for the IP address by which the exchange knows this replica: those of one name"
        " share request weight and pauses",
    )
    leave_within_s: float = Field(
        5.0, ge=0, le=60, description="how long a replica that stops goes on until others have taken over"
    )

    # The process

    create_bucket: bool = Field(False, description="whether a missing bucket is created at the start")
    listen: Listen = Field(
        Address("127.0.0.1", 0), description="where /healthz, /readyz, /metrics and /status answer"
    )
    replica: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]{0,100}$",
        description="this replica's name, unlike any other's; empty: made of host, process and chance",
    )

    @field_validator("tape_segment_s")
    @classmethod
    def _divides_a_day(cls, length_s: int) -> int:
        if not valid_length(length_s):
            raise ValueError("should divide a day, as 10, 60 and 300 do")
        return length_s

    @model_validator(mode="after")
    def _of_its_venue(self) -> Self:
        """What is not set is the venue's: its urls, its limits."""
        known = VENUES[self.venue]
        if self.by_price and known.by_price is None:
            raise ValueError(f"by_price is not for {self.venue}, whose books are by price anyway")
        shown = self.keeping.limits or known.scheme.limits
        own: dict[str, object] = {
            "limits": shown,
            "cadence": Cadence(self.keeping.steps_ms),
            "audit_every_s": self.keeping.audit_every_s,
        }
        if self.exchange != "simulator":
            own |= {"rest_url": known.rest_url, "ws_url": known.ws_url}
        for name, value in own.items():
            if name not in self.model_fields_set:
                object.__setattr__(self, name, value)
        try:
            for limit in self.limits:
                depth_key("X", limit, known.scheme)
            object.__setattr__(self, "limits", known.scheme.ordered(self.limits))
        except BadKey as error:
            raise ValueError(f"limits has one that {self.venue} does not know: {error}") from None
        if self.keeping.limits is not None and not set(self.limits) <= set(shown):
            raise ValueError(
                f"limits has others than {', '.join(map(str, shown))}, which need books by order"
            )
        if not known.accounts and (self.account or self.api_url):
            raise ValueError(f"api_url and account are not of {self.venue}, whose accounts are not kept")
        return self

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not self.replica:
            host = "".join(letter for letter in socket.gethostname() if letter.isascii() and letter.isalnum())
            # The model is frozen for its users; this is still its making.
            object.__setattr__(self, "replica", f"{host[:40]}-{getpid()}-{secrets.token_hex(3)}")
        return self

    @model_validator(mode="after")
    def _asks_where_it_can(self) -> Self:
        asks = self.exchange == "simulator" and VENUES[self.venue].accounts
        if asks and "api_url" not in self.model_fields_set:
            object.__setattr__(self, "api_url", self.simulator_url)
        if self.account and not self.api_url:
            raise ValueError(
                "account is set and api_url is not: a host of market data alone knows no accounts"
            )
        if not self.account and (self.account_key_file is not None or self.commission_symbols):
            raise ValueError("account_key_file and commission_symbols are an account's: name it with account")
        try:
            if self.account:
                kinds.account(self.account)
            for symbol in self.commission_symbols:
                kinds.commission(self.account, symbol)
        except BadKey as error:
            raise ValueError(str(error)) from None
        return self

    @classmethod
    def load_each(
        cls,
        argv: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        *,
        program: str | None = None,
        about: str = "",
        warn: Callable[[str], None] | None = None,
    ) -> tuple[Self, ...]:
        """As :meth:`load`, for each venue that ``venue`` names (:mod:`updater.by_venue`)."""
        given = cls._given(argv, env, program=program, about=about, warn=warn)
        found: list[Self] = []
        shared = [name for name, each in given.items() if not each.place.startswith("--")]
        for values in by_venue({name: each.value for name, each in given.items()}, shared).values():
            own = {
                name: Given(value, given[name].place if name in given else name)
                for name, value in values.items()
            }
            if found:
                # They are one process, and have its name.
                own["replica"] = Given(found[0].replica, "replica")
            found.append(cls._validated(own))
        return tuple(found)

    @property
    def scheme(self) -> Scheme:
        """What the venue's files are called."""
        return VENUES[self.venue].scheme

    def make_venue(self, *, key: StreamKey | None = None, wall_ms: Callable[[], int] | None = None) -> Venue:
        """The venue, at the urls set; with ``key`` it signs, at the time that ``wall_ms`` tells. Raises
        SettingsError for urls that are none."""
        return venue_named(
            self.venue,
            rest_url=self.rest_url,
            ws_url=self.ws_url,
            key=key,
            wall_ms=wall_ms,
            by_price=self.by_price,
        )

    @property
    def keeping(self) -> Keeping:
        """How the venue's books are kept."""
        known = VENUES[self.venue]
        return known.by_price.keeping if self.by_price and known.by_price else known.keeping

    @property
    def paced(self) -> Cadence:
        """The cadence above the store's floor."""
        return Cadence(self.cadence.steps_ms, self.store_floor_ms)

    @property
    def snapshot_limit(self) -> int:
        """Levels a side asked of the exchange: twice the largest file's where it has as many."""
        wanted = min(2 * self.limits[-1], self.scheme.max_limit)
        return next(limit for limit in self.make_venue().snapshot_limits if limit >= wanted)

    @property
    def refill_below(self) -> int:
        """A book certain of fewer levels is completed anew, before its largest file gets too short."""
        if not self.keeping.refills:
            return 0
        largest, room = self.limits[-1], self.snapshot_limit - self.limits[-1]
        return largest + room // 4 if room else self.refill_urgent_below

    @property
    def refill_urgent_below(self) -> int:
        """A book certain of fewer levels makes its largest file short by a twentieth: completed at once."""
        return self.limits[-1] * 19 // 20 if self.keeping.refills else 0
