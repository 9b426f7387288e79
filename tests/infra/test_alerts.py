"""The alerts and the dashboard speak of metrics that exist, and of runbook sections that do."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from depthcast.dispatch import Dispatcher
from depthcast.store import Outcome, PutResult
from depthcast.store.memory import MemoryStore
from server.service import Service
from server.settings import ServerSettings
from tests.infra.conftest import INFRA
from tests.programs import program
from updater.crew import Crew
from updater.replica import Replica
from updater.settings import UpdaterSettings

ROOT = Path(__file__).parents[2]
ALERTS = INFRA / "alerts.yml"
DASHBOARD = json.loads((INFRA / "grafana" / "depthcast.json").read_text("utf-8"))
SCENARIOS = ROOT / "tests" / "infra" / "alerts_test.yml"
RULES = [rule for group in yaml.safe_load(ALERTS.read_text("utf-8"))["groups"] for rule in group["rules"]]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

_METRIC = re.compile(r"\bdepthcast_[a-z_0-9]+")
_SELECTOR = re.compile(r"\b(depthcast_[a-z_0-9]+)\{([^}]*)\}")
_BY_PROMETHEUS = {"job", "instance", "le"}
"""Labels that a scrape or a histogram adds."""


@pytest.fixture(scope="module")
def exported() -> dict[str, set[str]]:
    """The samples that updaters and servers can export, each with its labels."""

    async def prove(_store: object) -> None: ...

    def replica(_venue: str) -> Replica:
        return Replica(UpdaterSettings(symbols=("X",), limits=(5,)), MemoryStore(), prove=prove)

    metrics = replica("binance").metrics
    crew = Crew(("binance",), replica, dispatcher=Dispatcher())
    # What carries labels is known by its samples: let there be one of each.
    metrics.broke("X", "gap")
    metrics.looked("X", 5)
    metrics.wrote("X", 5, PutResult(Outcome.WON, '"e"'), 0.01)
    served = Service(ServerSettings(), MemoryStore()).metrics
    served.answered("/api/v3/depth", 200)
    found: dict[str, set[str]] = {}
    for registry in (metrics.registry, served.registry, crew.registry):
        for family in registry.collect():
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
    return found


def queries() -> Iterator[tuple[str, str]]:
    """Every PromQL expression, by where it stands."""
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"]


def test_every_metric_of_alerts_and_dashboard_exists(exported: dict[str, set[str]]) -> None:
    named = [(where, name) for where, query in queries() for name in _METRIC.findall(query)]
    assert len(named) > 80
    assert [each for each in named if each[1] not in exported] == []


def test_they_choose_by_labels_that_exist_and_never_by_symbol(exported: dict[str, set[str]]) -> None:
    for where, query in queries():
        for name, selectors in _SELECTOR.findall(query):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", selectors))
            assert labels <= exported[name] | _BY_PROMETHEUS, where
        assert "symbol" not in re.findall(r"\b(?:by|on) \(([^)]*)\)", query), where


def test_every_alert_has_a_severity_a_summary_and_a_section_of_the_runbook() -> None:
    page = (ROOT / "docs" / "operating.md").read_text("utf-8")
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert len({rule["alert"] for rule in RULES}) == len(RULES) > 30
    for rule in RULES:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"].endswith((".", ")."))
        where, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert where == "docs/operating.md"
        assert anchor in anchors, rule["alert"]
        assert rule["alert"] in page, f"the runbook does not speak of {rule['alert']}"


def test_the_runbooks_own_links_lead_somewhere() -> None:
    page = (ROOT / "docs" / "operating.md").read_text("utf-8")
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    links = re.findall(r"\]\(#([^)]+)\)", page)
    assert links
    assert set(links) <= anchors
    named = set(re.findall(r"`(Depthcast[A-Z]\w+)`", page))
    assert named <= {rule["alert"] for rule in RULES}


def test_panels_have_a_unit_a_description_and_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
        assert at["x"] + at["w"] <= 24
    for panel in PANELS:
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["description"].endswith("."), panel["title"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_the_dashboard_can_be_narrowed_to_a_job_and_a_replica() -> None:
    names = [variable["name"] for variable in DASHBOARD["templating"]["list"]]
    assert names == ["datasource", "updater_job", "replica", "server_job", "server"]
    for panel in PANELS:
        assert panel["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            assert "$updater_job" in target["expr"] or "$server_job" in target["expr"], panel["title"]


@pytest.fixture(scope="module")
def promtool() -> str:
    return program("promtool")


def test_promtool_accepts_the_rules(promtool: str) -> None:
    done = subprocess.run([promtool, "check", "rules", ALERTS], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"SUCCESS: {len(RULES)} rules found" in done.stdout


def test_alerts_fire_and_rest_as_the_scenarios_have_it(promtool: str) -> None:
    done = subprocess.run([promtool, "test", "rules", SCENARIOS], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    names = {
        test["alertname"]
        for each in yaml.safe_load(SCENARIOS.read_text("utf-8"))["tests"]
        for test in each.get("alert_rule_test", ())
    }
    assert len(names) >= 15
    assert names <= {rule["alert"] for rule in RULES}


def test_promtool_accepts_the_queries_of_the_dashboard(promtool: str, tmp_path: Path) -> None:
    """As recording rules, with Grafana's variables filled in."""
    rules = []
    for number, (_, query) in enumerate(queries()):
        if not query.startswith("label_values"):
            filled = query.replace("$__rate_interval", "1m").replace("$__range", "1h")
            rules.append({"record": f"panel_{number}", "expr": filled})
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run([promtool, "check", "rules", path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
