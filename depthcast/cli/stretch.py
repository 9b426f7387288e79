"""Which stretch of the tape a verb is about: the settings that ``replay`` and ``export`` share, and how they
are understood."""

from typing import ClassVar, NamedTuple

from pydantic import Field

from depthcast.errors import NotOnTape, SettingsError, UnknownSymbol
from depthcast.files import valid_symbol
from depthcast.metadata.moments import moment_text, parse_moment
from depthcast.settings import Names, StoreSettings
from depthcast.tape.reading import VENUE, Tape


class StretchSettings(StoreSettings):
    """Whose diffs, and from when to when."""

    TITLE: ClassVar[str] = "stretch of the tape"

    symbols: Names = Field((), description="whose books: A,B")
    venue: str = Field(
        VENUE, description="the venue that the tape names", pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$"
    )
    from_: str = Field(
        "",
        description="its beginning by the exchange's clock, ISO 8601 (UTC) or milliseconds since 1970; none: "
        "where the tape of all of them begins",
    )
    to: str = Field("", description="its end, not included; none: where the tape of all of them ends")


class Bounds(NamedTuple):
    """From when on to before when, in ms since 1970."""

    from_ms: int
    to_ms: int

    def __str__(self) -> str:
        return f"{moment_text(self.from_ms)} to {moment_text(self.to_ms)}"


def symbols_of(settings: StretchSettings) -> tuple[str, ...]:
    """The symbols, each once.

    Raises :class:`~depthcast.errors.SettingsError` without any, or for a misspelled one.
    """
    if not settings.symbols:
        raise SettingsError("no symbol is named", hint="name some: --symbols ETHUSDT,BTCUSDT")
    for symbol in settings.symbols:
        if not valid_symbol(symbol):
            raise SettingsError(
                f"--symbols: {symbol!r:.80} is not spelled like a symbol",
                hint="name it as the exchange does: ETHUSDT",
            )
    return tuple(dict.fromkeys(settings.symbols))


async def bounds_of(settings: StretchSettings, symbols: tuple[str, ...], tape: Tape) -> Bounds:
    """The stretch that is meant: what was not said is told by the tape of the symbols.

    Raises :class:`~depthcast.errors.SettingsError` for a time that is none or an end before the beginning,
    :class:`~depthcast.errors.UnknownSymbol` for a symbol without a tape and
    :class:`~depthcast.errors.NotOnTape` where nothing of the stretch was recorded.
    """
    from_ms, to_ms = _moment("--from", settings.from_), _moment("--to", settings.to)
    extents = {}
    for symbol in symbols:
        extent = await tape.extent(symbol)
        if extent is None:
            raise UnknownSymbol(symbol, "the tape", hint="record it: the updaters' setting --tape")
        extents[symbol] = extent
    if from_ms is None:
        from_ms = max(extent.from_ms for extent in extents.values())
    if to_ms is None:
        to_ms = min(extent.end_ms for extent in extents.values())
    if to_ms <= from_ms:
        raise SettingsError(
            f"the stretch ends ({moment_text(to_ms)}) before it begins ({moment_text(from_ms)})"
        )
    for symbol, extent in extents.items():
        if extent.to_ms <= from_ms or to_ms <= extent.from_ms:
            there = Bounds(extent.from_ms, extent.to_ms)
            raise NotOnTape(symbol, f"nothing was recorded in it; there is {there}")
    return Bounds(from_ms, to_ms)


def _moment(option: str, text: str) -> int | None:
    if not text:
        return None
    try:
        return parse_moment(text)
    except ValueError as error:
        raise SettingsError(f"{option}: {error}") from None
