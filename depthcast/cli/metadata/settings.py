"""What can be set for ``depthcast metadata``, and how its command lines are read."""

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from depthcast.cli.settings import VenueName, own_variables
from depthcast.errors import BadKey, SettingsError
from depthcast.files import SCHEMES, valid_symbol
from depthcast.metadata.history import MAX_PAGE
from depthcast.metadata.kinds import Kind, account, commission, public
from depthcast.metadata.moments import parse_moment
from depthcast.settings import StoreSettings
from depthcast.venues.lists import list_of
from depthcast.venues.shown import Shown, binance_row

with warnings.catch_warnings():
    # pydantic warns that ``json`` hides its long deprecated method of that name, which nobody here calls.
    warnings.filterwarnings("ignore", message='Field name "json"')

    class MetadataSettings(StoreSettings):
        """The settings of all actions, so that one table of a settings file serves them all."""

        SECTION: ClassVar[str] = "metadata"
        TITLE: ClassVar[str] = "metadata"

        json: bool = Field(  # type: ignore[assignment]
            False, description="JSON for machines; of at and show the document itself"
        )
        venue: VenueName = Field("binance", description="whose documents")
        kind: str = Field(
            "list",
            description="which document: the exchange's list of symbols (list, or its own name, as "
            "exchangeInfo or products), tradingStatus, systemStatus",
        )
        account: str = Field("", description="an account by the name that the updaters have for it")
        commission: str = Field(
            "", description="with account: the fees of this symbol, not the account itself"
        )
        since: str = Field("", description="log: changes from this time on")
        until: str = Field("", description="log: changes up to this time")
        limit: int = Field(50, ge=1, le=MAX_PAGE, description="log: so many changes at most")

        def document_kind(self) -> Kind:
            """What is asked for. Raises :class:`~depthcast.errors.SettingsError`."""
            if self.commission and not self.account:
                raise SettingsError("--commission is an account's", hint="name it: --account NAME")
            if self.account:
                try:
                    if self.commission:
                        return commission(self.account, self.commission)
                    return account(self.account)
                except BadKey as error:
                    raise SettingsError(
                        f"{'--commission' if self.commission else '--account'}: {error}"
                    ) from None
            return self._public()

        def row(self, entry: Mapping[str, Any]) -> Shown:
            """An entry of the document that is asked for, if it is a list of symbols."""
            derived = self.kind == "tradingStatus"
            return (binance_row if derived else list_of(self.venue).row)(entry)

        def _public(self) -> Kind:
            scheme = SCHEMES[self.venue]
            kinds = public(scheme)
            named = {"list": kinds[0], **{each.name.removeprefix(scheme.room): each for each in kinds}}
            if self.kind not in named:
                raise SettingsError(
                    f"--kind: {self.venue} has no document {self.kind!r:.60}",
                    hint=f"it has {', '.join(named)}",
                )
            return named[self.kind]


def read(argv: Sequence[str], *, program: str, about: str) -> tuple[list[str], MetadataSettings]:
    """The words before the first option, and the settings.

    Raises :class:`~depthcast.errors.SettingsError`.
    """
    first = next((at for at, word in enumerate(argv) if word.startswith("-")), len(argv))
    env = own_variables(MetadataSettings, os.environ)
    settings = MetadataSettings.load(argv[first:], env, program=program, about=about)
    return list(argv[:first]), settings


def moment_of(word: str) -> int:
    """A time as typed. Raises :class:`~depthcast.errors.SettingsError`."""
    try:
        return parse_moment(word)
    except ValueError as error:
        raise SettingsError(str(error), hint="depthcast metadata at 2026-11-20T14:03:00Z") from None


def symbols_of(words: Sequence[str]) -> list[str]:
    """Symbols as typed, in any case of ASCII letters. Raises :class:`~depthcast.errors.SettingsError`."""
    found = []
    for word in words:
        symbol = "".join(letter.upper() if letter.isascii() else letter for letter in word)
        if not valid_symbol(symbol):
            raise SettingsError(
                f"{word!r:.80} is not spelled like a symbol", hint="name it as the exchange does: ETHUSDT"
            )
        found.append(symbol)
    return list(dict.fromkeys(found))
