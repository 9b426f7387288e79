"""What people get wrong: values in the environment, in TOML and on the command line."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from depthcast.errors import DepthcastError
from depthcast.settings import Settings
from depthcast.store.aws import Aws, parse_url
from server.settings import ServerSettings
from tests.fuzzing.answers import one_line
from tests.fuzzing.campaign import Case, Target, Verdict
from tests.fuzzing.mutation import Mutator
from updater.settings import UpdaterSettings

KINDS: Final[tuple[type[Settings], ...]] = (UpdaterSettings, ServerSettings)

VALUES: Final = (
    "",
    " ",
    "0",
    "-1",
    "1",
    "1.5",
    "1e3",
    "1e400",
    "NaN",
    "inf",
    "9" * 30,
    "9" * 5000,
    "true",
    "null",
    "x",
    "a/b",
    "*",
    "[",
    "ETHUSDT,BTCUSDT",
    "5,many",
    "5,5",
    "0,5",
    ",",
    "100:50",
    "100:x",
    "all",
    "s3://bucket",
    "s3:/bucket",
    "https://x",
    "http://user:hunter2@h/",
    "s3://user:hunter2@bucket/p",
    "http://[",
    "127.0.0.1:80",
    "127.0.0.1:99999",
    "[::1]:8080",
    ":",
    "\x1b[2J",
    "币安",
    "\udc80",
    "a\nb",
    "a" * 5000,
    "--",
    "--help-me",
    "=",
)

FILES: Final = (
    b'limits = [5, 100]\n[server]\nrefresh_ms = 100\nlisten = "127.0.0.1:0"\n',
    b'symbols = ["ETHUSDT"]\nstore_url = "s3://bucket"\n[updater]\nredundancy = 2\n[server]\nmemory_mb = 5\n',
    b"[updater]\nlimits = 1979-05-27T07:32:00Z\n",
)
SECRET: Final = "hunter2"


class SettingsTarget(Target):
    """Rubbish from all three places at once: settings, or one line that says what is wrong and holds no
    password."""

    name = "settings"
    rounds = 300

    async def open(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._file = Path(self._folder.name) / "settings.toml"

    async def close(self) -> None:
        self._folder.cleanup()

    def draw(self, mutator: Mutator) -> Case:
        rng = mutator.rng
        kind = rng.randrange(len(KINDS))
        names = sorted(KINDS[kind].model_fields)
        argv: list[str] = []
        for name in rng.sample(names, rng.choice((0, 1, 1, 2))):
            option = "--" + name.replace("_", "-")
            argv += rng.choice(
                ([option, rng.choice(VALUES)], [f"{option}={rng.choice(VALUES)}"], [option[:-1], "1"])
            )
        if rng.random() < 0.2:
            argv.insert(rng.randrange(len(argv) + 1), rng.choice(VALUES))
        env = [
            f"DEPTHCAST_{name.upper()}={rng.choice(VALUES)}"
            for name in rng.sample(names, rng.choice((0, 1, 2)))
        ]
        env += [f"AWS_ENDPOINT_URL={rng.choice(VALUES)}", f"AWS_ACCESS_KEY_ID_FILE={rng.choice(VALUES)}"]
        env.append(f"AWS_CA_BUNDLE={rng.choice(VALUES)}")
        file = mutator.in_bytes(rng.choice(FILES), FILES) if rng.random() < 0.6 else rng.choice(FILES)
        return (
            b"%d" % kind,
            b"file" if rng.random() < 0.5 else b"",
            file,
            *(b"-" + each.encode("utf-8", "surrogateescape") for each in argv),
            *(b"=" + each.encode("utf-8", "surrogateescape") for each in env),
        )

    async def run(self, case: Case) -> Verdict:
        kind = KINDS[int(case[0])]
        given = [piece.decode("utf-8", "surrogateescape") for piece in case[3:]]
        argv = [each[1:] for each in given if each.startswith("-")]
        env = dict(each[1:].split("=", 1) for each in given if each.startswith("="))
        if case[1]:
            self._file.write_bytes(case[2])
            argv += ["--config", str(self._file)]
        accepted = self._load(kind, argv, env)
        accepted |= self._aws(env, argv)
        return Verdict.ACCEPTED if accepted else Verdict.REJECTED

    def _load(self, kind: type[Settings], argv: Sequence[str], env: Mapping[str, str]) -> bool:
        warned: list[str] = []
        try:
            loaded = kind.load(argv, env, program="x", warn=warned.append)
        except DepthcastError as error:
            _told(error)
            return False
        for line in warned:
            assert "\n" not in line
        assert isinstance(loaded, kind)
        return True

    def _aws(self, env: Mapping[str, str], argv: Sequence[str]) -> bool:
        accepted = False
        reads: list[Callable[[], object]] = [partial(Aws.from_env, env)]
        reads += [partial(parse_url, text) for text in argv]
        for read in reads:
            try:
                read()
                accepted = True
            except DepthcastError as error:
                _told(error)
        return accepted


def _told(error: DepthcastError) -> None:
    one_line(error)
    assert SECRET not in str(error), f"a password is shown: {error}"
