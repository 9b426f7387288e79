"""``depthcast settings``: every setting of the services, as the page ``docs/settings.md``."""

import importlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Final, cast

from pydantic import AfterValidator

from depthcast.errors import SettingsError
from depthcast.files import SCHEMES
from depthcast.settings import ENV_PREFIX, Names, Settings, shown_default

SERVICES: Final = {
    "up": "depthcast.cli.up.settings:UpSettings",
    "updater": "updater.settings:UpdaterSettings",
    "server": "server.settings:ServerSettings",
    "fleet": "depthcast.cli.fleet.settings:FleetSettings",
    "store": "depthcast.cli.store.settings:StoreServiceSettings",
}
"""Whose settings the page lists, and where they are declared."""


def _known(name: str) -> str:
    if name not in SCHEMES:
        raise ValueError(f"should be one of {', '.join(SCHEMES)}, not {name!r:.40}")
    return name


def _all_known(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ValueError(f"should be some of {', '.join(SCHEMES)}")
    return tuple(dict.fromkeys(map(_known, names)))


VenueName = Annotated[str, AfterValidator(_known)]
"""The name of a venue whose books are published."""

VenueNames = Annotated[Names, AfterValidator(_all_known)]
"""One or several of them, each once."""

_INTRODUCTION: Final = """\
# Settings

Made by `depthcast settings`; a test holds this page and the code together.

A setting `some_name` is the option `--some-name` on the command line, the variable `DEPTHCAST_SOME_NAME`
in the environment, and the member `some_name` of the TOML file that `--config` or `DEPTHCAST_CONFIG` names.
The command line goes before the environment, the environment before the file. Lists are comma-separated text
or, in the file, arrays. One file may serve several services: members at its top hold for all of them, members
in a table `[up]`, `[updater]`, … for that one alone. Object storage is reached with the usual AWS
variables (`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`,
`AWS_REGION`), which are environment variables only. A secret may instead be in the file that the variable
of its name with `_FILE` behind it names; without a key it is looked for where AWS's own tools look
(`AWS_SHARED_CREDENTIALS_FILE`, `AWS_PROFILE`, roles). `depthcast up` hands its file and its environment on to
the services that it starts.

Where there are several venues, a part of a setting that begins with a venue's name and a colon is that
venue's alone (`symbols = ETHUSDT,bitmex:XBTUSD`), and what has no venue before it is for the venues that have
nothing of their own; `up` and `updater` have the same rule. `venue_key_file`, `by_price` and what is about
accounts go to the venues that have use for them; in an environment and in a file, which several processes
read, they are passed over by the others.
"""


def main(argv: Sequence[str]) -> int:
    """Print the page."""
    if argv:
        raise SettingsError(f"depthcast settings takes no argument, and was given {argv[0]!r:.40}")
    print(page(), end="")
    return 0


def page() -> str:
    """The whole page."""
    return "\n".join((_INTRODUCTION, *(line for name in SERVICES for line in _section(name))))


def service_settings(name: str) -> type[Settings]:
    """The settings class of one of :data:`SERVICES`."""
    module, _, attribute = SERVICES[name].partition(":")
    return cast(type[Settings], getattr(importlib.import_module(module), attribute))


def own_variables(settings: type[Settings], env: Mapping[str, str]) -> dict[str, str]:
    """``env`` without what only other programs of Depthcast read, of which ``settings`` need not warn.

    For a program that starts services and hands its environment on, or that runs beside one in its
    container.
    """
    others = {
        ENV_PREFIX + name.upper()
        for service in SERVICES
        for name in _fields(service)
        if name not in settings.model_fields
    }
    return {name: value for name, value in env.items() if name not in others}


def _fields(service: str) -> Collection[str]:
    """The names of a service's settings: none where what it needs is not installed."""
    try:
        return service_settings(service).model_fields
    except ModuleNotFoundError:
        return ()


def _section(name: str) -> Iterator[str]:
    yield f"## {name}\n"
    for title, fields in service_settings(name).groups():
        yield f"### {title}\n"
        yield "| setting | default | what it is |"
        yield "|---|---|---|"
        for field_name, field in fields.items():
            default = shown_default(field)
            shown = f"`{default}`" if default else "none"
            yield f"| `{field_name}` | {shown} | {field.description} |"
        yield ""
