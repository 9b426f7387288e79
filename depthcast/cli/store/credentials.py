"""Who may write and who may only read, kept as AWS credentials files for those who use the store.

::

    FOLDER/writer/credentials    for updaters
    FOLDER/reader/credentials    for servers: what is published, its history and the heartbeats
    FOLDER/private/credentials   for a server that also gives accounts to who brings a token, where there is
                                 a folder for them

Each is what ``AWS_SHARED_CREDENTIALS_FILE`` names, and lies in a folder of its own, so that a container can
be given one without the other. The files are also where the store itself remembers them: one that is deleted
is made anew at the next start, and what was in it before is worth nothing from then on.
"""

import configparser
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from depthcast.errors import SettingsError
from depthcast.files import BOOK_PREFIXES
from depthcast.heat.keys import HEAT_PREFIX
from depthcast.store.aws import Aws
from depthcast.store.embedded import Identity
from depthcast.store.secret import random_key, write_private
from depthcast.tape.keys import TAPE_PREFIX

_FILE: Final = "credentials"
_PROFILE: Final = "default"


PUBLISHED: Final = (*BOOK_PREFIXES, "sapi/", "metadata/", "history/", "fleet/", TAPE_PREFIX, HEAT_PREFIX)
"""What the public parts of a server read: all but ``private/`` (``docs/accounts.md``)."""


def identities(folder: Path, env: Mapping[str, str]) -> tuple[Identity, ...]:
    """The writer, the reader, and where there is a folder for it the reader of everything.

    Read from ``folder``, made where there is none yet, and written there. The writer's key and secret in
    ``env`` (``AWS_ACCESS_KEY_ID`` and the like) go before the file's. Raises
    :class:`~depthcast.errors.SettingsError`.
    """
    given = Aws.from_env(env)
    writer = _kept("writer", folder, may_write=True)
    if given.access_key_id and given.secret_access_key:
        writer = Identity("writer", given.access_key_id, given.secret_access_key, may_write=True)
    reader = replace(_kept("reader", folder, may_write=False), below=PUBLISHED)
    everybody = [writer, reader]
    if (folder / "private").is_dir():
        everybody.append(_kept("private", folder, may_write=False))
    for each in everybody:
        _write(each, folder)
    return tuple(everybody)


def _kept(name: str, folder: Path, *, may_write: bool) -> Identity:
    path = folder / name / _FILE
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text("utf-8"))
        held = parser[_PROFILE]
        return Identity(name, held["aws_access_key_id"], held["aws_secret_access_key"], may_write=may_write)
    except FileNotFoundError:
        return Identity(name, random_key(20), random_key(40), may_write=may_write)
    except OSError as error:
        raise SettingsError(f"the credentials in {path} cannot be read: {error.strerror}") from None
    except (configparser.Error, UnicodeDecodeError, KeyError):
        # The parser's own words would show a line of the file.
        raise SettingsError(
            f"{path} is no AWS credentials file with a profile {_PROFILE}",
            hint="delete it to have new credentials made",
        ) from None


def _write(identity: Identity, folder: Path) -> None:
    text = (
        f"[{_PROFILE}]\n"
        f"aws_access_key_id = {identity.access_key_id}\n"
        f"aws_secret_access_key = {identity.secret_access_key}\n"
    )
    path = folder / identity.name / _FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, text)
    except OSError as error:
        raise SettingsError(f"the credentials cannot be written to {path}: {error.strerror}") from None
