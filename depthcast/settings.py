"""Settings of the services: command line > environment > TOML file > default.

A service subclasses :class:`Settings` (with the mixins it needs) and declares plain pydantic fields, each
with a description. ``Settings.load`` then reads, for a field ``refresh_ms``:

* ``--refresh-ms 100`` on the command line,
* ``DEPTHCAST_REFRESH_MS=100`` in the environment,
* ``refresh_ms = 100`` in the TOML file named by ``--config`` or ``DEPTHCAST_CONFIG``. One file can serve
  several services: members at its top hold for all of them, those in a table named after a service
  (``[updater]``) for that one alone, and the tables of other services are passed over.

Promises: a value that cannot be used is one :class:`~depthcast.errors.SettingsError` line that names the
setting, the place it came from and what is wanted; a misspelled option or member names the nearest one; a
misspelled variable is one line of warning, because services share an environment; no password in a URL is
ever echoed.

The sources are read here rather than by pydantic-settings because its errors span several lines and do not
know which source a value came from.
"""

import argparse
import difflib
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    ClassVar,
    Final,
    Literal,
    NamedTuple,
    NoReturn,
    Self,
    get_args,
    get_origin,
)

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from depthcast.errors import SettingsError
from depthcast.logs import LogFormat, LogLevel, configure
from depthcast.redaction import redact

if TYPE_CHECKING:
    from depthcast.store import Store

ENV_PREFIX: Final = "DEPTHCAST_"

SECTIONS: Final = (
    "updater",
    "server",
    "simulator",
    "up",
    "probe",
    "store",
    "fleet",
    "epoch",
    "plan",
    "replay",
    "export",
)
"""The tables a shared TOML file may hold."""


def _split(value: object) -> object:
    """``"a, b"`` as ``["a", "b"]``; what is not text is left to pydantic."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
"""Comma-separated text or a TOML array of strings."""

Counts = Annotated[tuple[int, ...], BeforeValidator(_split)]
"""Comma-separated text or a TOML array of whole numbers."""


class Address(NamedTuple):
    """Where to listen. Port 0 takes any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


_ADDRESS = re.compile(r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[^:\[\]/\s]+)):(?P<port>[0-9]{1,5})")


def parse_address(value: object) -> object:
    """``host:port`` or ``[ipv6]:port`` as an :class:`Address`; raises ``ValueError``.

    >>> parse_address("127.0.0.1:8080")
    Address(host='127.0.0.1', port=8080)
    """
    if not isinstance(value, str):
        return value
    match = _ADDRESS.fullmatch(value)
    if match is None or int(match["port"]) > 65535:
        raise ValueError("should be host:port, such as 127.0.0.1:8080")
    return Address(match["v6"] or match["host"], int(match["port"]))


Listen = Annotated[Address, BeforeValidator(parse_address)]


class Given(NamedTuple):
    """A value as found: ``place`` is how the user spells the setting there."""

    value: object
    place: str


class Settings(BaseModel):
    """The base of every service's settings; see the module for how they are read.

    A subclass sets ``SECTION``, its table in a TOML file, and may set ``TITLE``, the heading of its own
    fields in ``--help``.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    SECTION: ClassVar[str] = ""
    TITLE: ClassVar[str] = "settings file"

    config: Path | None = Field(None, description="TOML file with settings")

    @classmethod
    def load(
        cls,
        argv: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        *,
        program: str | None = None,
        about: str = "",
        warn: Callable[[str], None] | None = None,
    ) -> Self:
        """Read all sources (default: this process's) and validate.

        ``program`` and ``about`` appear in ``--help``, which prints and raises ``SystemExit(0)``. ``warn``
        takes the line about unknown environment variables (default: standard error). Raises
        :class:`~depthcast.errors.SettingsError`.
        """
        return cls._validated(cls._given(argv, env, program=program, about=about, warn=warn))

    @classmethod
    def _given(
        cls,
        argv: Sequence[str] | None,
        env: Mapping[str, str] | None,
        *,
        program: str | None,
        about: str,
        warn: Callable[[str], None] | None,
    ) -> dict[str, Given]:
        """What the sources say, not validated."""
        argv = sys.argv[1:] if argv is None else argv
        env = os.environ if env is None else env
        on_line = cls._from_command_line(argv, program or cls.SECTION, about)
        in_env, unknown = cls._from_environment(env)
        if unknown:
            (warn or _to_stderr)(unknown)
        chosen = on_line.get("config") or in_env.get("config")
        in_file = cls._from_file(str(chosen.value), chosen.place) if chosen else {}
        return in_file | in_env | on_line

    @classmethod
    def _from_command_line(cls, argv: Sequence[str], program: str, about: str) -> dict[str, Given]:
        parsed, rest = cls._parser(program, about).parse_known_args(argv)
        for word in rest:
            if word.startswith("--"):
                option = _bounded(word.split("=", 1)[0])
                known = [_option(name) for name in cls.model_fields]
                raise SettingsError(f"unknown option {option}", hint=_nearest(option, known, "see --help"))
            raise SettingsError(
                f"unexpected argument {_shown(word)}", hint="options begin with --; see --help"
            )
        return {name: Given(value, _option(name)) for name, value in vars(parsed).items()}

    @classmethod
    def _from_environment(cls, env: Mapping[str, str]) -> tuple[dict[str, Given], str]:
        """The values, and one line about the variables nobody here knows (empty: there are none)."""
        known = {_variable(name): name for name in cls.model_fields}
        given = {
            name: Given(env[variable], variable) for variable, name in known.items() if env.get(variable)
        }
        strange = sorted(name for name in env if name.startswith(ENV_PREFIX) and name not in known)
        if not strange:
            return given, ""
        listed = ", ".join(
            f"{name} ({near})" if (near := _nearest(name, list(known), "")) else name for name in strange
        )
        return given, f"environment variables that are no settings of this program are ignored: {listed}"

    @classmethod
    def _from_file(cls, file: str, place: str) -> dict[str, Given]:
        path = _bounded(file)
        try:
            members = tomllib.loads(Path(file).read_text("utf-8"))
        except OSError as error:
            raise SettingsError(f"{place}: cannot read {path}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path} is not TOML: {_bounded(str(error))}") from None
        own = members.get(cls.SECTION, {})
        if not isinstance(own, dict):
            raise SettingsError(f"{cls.SECTION} in {path} is not a table", hint=f"write [{cls.SECTION}]")
        shared = {name: value for name, value in members.items() if name not in SECTIONS}
        given = {}
        for where, found in (("", shared), (f"[{cls.SECTION}] ", own)):
            for name, value in found.items():
                if name not in cls.model_fields:
                    hint = _nearest(name, list(cls.model_fields), "see --help, with _ for -")
                    raise SettingsError(f"{path} has an unknown member {where}{_bounded(name)}", hint=hint)
                given[name] = Given(value, f"{where}{name} in {path}")
        return given

    @classmethod
    def _validated(cls, given: Mapping[str, Given]) -> Self:
        try:
            return cls.model_validate({name: each.value for name, each in given.items()})
        except ValidationError as error:
            faults = error.errors(include_url=False)
        names = list(dict.fromkeys(str(fault["loc"][0]) for fault in faults if fault["loc"]))
        others = f" (also malformed: {', '.join(names[1:])})" if names[1:] else ""
        what = _wanted(faults[0]["msg"])
        if not names:  # a contradiction between settings, found by a validator of the whole
            raise SettingsError(what)
        name = names[0]
        found = f"{given[name].place} = {_shown(given[name].value)}" if name in given else _option(name)
        raise SettingsError(f"{found}: {what}{others}", hint=cls.model_fields[name].description or "")

    @classmethod
    def _parser(cls, program: str, about: str) -> argparse.ArgumentParser:
        parser = _Parser(
            prog=program,
            description=about,
            allow_abbrev=False,
            argument_default=argparse.SUPPRESS,
            epilog="Each option is also an environment variable, DEPTHCAST_SOME_NAME for --some-name, and a "
            "member of the TOML file, some_name. The command line goes before the environment, the "
            "environment before the file.",
        )
        for title, fields in cls.groups():
            group = parser.add_argument_group(title)
            for name, field in fields.items():
                text = f"{field.description} (default: {shown_default(field) or 'none'})".replace("%", "%%")
                if field.annotation is bool:
                    group.add_argument(
                        _option(name), dest=name, action=argparse.BooleanOptionalAction, help=text
                    )
                else:
                    group.add_argument(_option(name), dest=name, metavar=_metavar(field), help=text)
        return parser

    @classmethod
    def groups(cls) -> Iterator[tuple[str, dict[str, FieldInfo]]]:
        """The fields under their headings, the most particular class first."""
        for owner in cls.__mro__:
            if not issubclass(owner, Settings):
                continue
            inherited: set[str] = set()
            for base in owner.__bases__:
                inherited.update(base.model_fields if issubclass(base, Settings) else ())
            own = {name: field for name, field in owner.model_fields.items() if name not in inherited}
            if own:
                yield owner.TITLE, own


class StoreSettings(Settings):
    """Where files are kept."""

    TITLE: ClassVar[str] = "object storage (with the usual AWS_… variables)"
    READS_OFTEN: ClassVar[bool] = False
    """The service reads a thousand times a second: its store's reads are to cost little."""

    store_url: str = Field(
        "s3://depthcast",
        description="s3://BUCKET[/PREFIX]; AWS_ENDPOINT_URL names any S3 other than Amazon's",
    )

    def open_store(self, env: Mapping[str, str] | None = None) -> "Store":
        """The store at ``store_url``. Raises :class:`~depthcast.errors.SettingsError` for a bad URL."""
        from depthcast.store import open_store

        return open_store(self.store_url, os.environ if env is None else env, for_readers=self.READS_OFTEN)


class VenueSettings(Settings):
    """Which exchange, and where it is reached."""

    TITLE: ClassVar[str] = "exchange"

    exchange: Literal["binance", "simulator"] = Field(
        "binance", description="whose books; simulator: the one at simulator_url, in Binance's place"
    )
    simulator_url: str = Field(
        "http://127.0.0.1:9000",
        description="base URL of a simulator; used where the exchange is simulator",
        pattern=r"^https?://[^/\s]+",
    )
    rest_url: str = Field(
        "https://data-api.binance.vision",
        description="base URL of its REST interface",
        pattern=r"^https?://[^/\s]+",
    )
    ws_url: str = Field(
        "wss://data-stream.binance.vision",
        description="base URL of its websocket",
        pattern=r"^wss?://[^/\s]+",
    )

    @model_validator(mode="after")
    def _simulated(self) -> Self:
        # A simulator speaks Binance's protocol, so only the addresses differ; those given by name stay.
        if self.exchange == "simulator":
            simulated = {
                "rest_url": self.simulator_url,
                "ws_url": self.simulator_url.replace("http", "ws", 1),
            }
            for name, url in simulated.items():
                if name not in self.model_fields_set:
                    # The model is frozen for its users; this is still its making.
                    object.__setattr__(self, name, url)
        return self


class LogSettings(Settings):
    """How the service speaks."""

    TITLE: ClassVar[str] = "log"

    log_format: LogFormat = Field("text", description="text for people, json for machines: a line an event")
    log_level: LogLevel = Field("info", description="the least important level shown")

    def configure_logs(self) -> None:
        """From now on this process's log lines have this form; as JSON they name the service, and the
        replica where it has a name."""
        named = {"service": self.SECTION, "replica": str(getattr(self, "replica", ""))}
        configure(
            self.log_format, self.log_level, always={name: each for name, each in named.items() if each}
        )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingsError(_bounded(message.removeprefix("argument ")), hint="see --help")


def shown_default(field: FieldInfo) -> str:
    """A field's default as a user would type it; empty for none."""
    value = field.default
    if value is None:
        return ""
    if isinstance(value, tuple) and not isinstance(value, Address):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def spelled(name: str) -> str:
    """A field's name as users write it: without the underscore behind a word of Python's own (``from_``)."""
    return name.removesuffix("_")


def _option(name: str) -> str:
    return "--" + spelled(name).replace("_", "-")


def _variable(name: str) -> str:
    return ENV_PREFIX + spelled(name).upper()


def _metavar(field: FieldInfo) -> str:
    kind = field.annotation
    if get_origin(kind) is Literal:
        return "|".join(map(str, get_args(kind)))
    if get_origin(kind) is tuple:
        return "A,B,…"
    names = {int: "N", float: "X", Address: "HOST:PORT"}
    return names.get(kind, "TEXT") if isinstance(kind, type) else "FILE" if kind == Path | None else "TEXT"


def _nearest(word: str, known: Sequence[str], otherwise: str) -> str:
    close = difflib.get_close_matches(word, known, 1)
    return f"did you mean {close[0]}?" if close else otherwise


def _shown(value: object) -> str:
    """A value given by the user, short and without the password a URL may hold."""
    return f"{redact(str(value))!r:.80}" if isinstance(value, str) else f"{value!r:.80}"


def _bounded(text: str) -> str:
    """Words that may repeat what a user gave, short and without the password a URL may hold."""
    return f"{redact(text):.400}"


def _wanted(message: str) -> str:
    """Pydantic's words, as the end of one line of ours."""
    for prefix in ("Value error, ", "Assertion failed, "):
        message = message.removeprefix(prefix)
    return _bounded(message.replace("Input should", "should", 1))


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)
