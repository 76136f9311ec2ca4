"""Dashboards and alerts: every expression is about metrics that there are, and has something to show."""

import json
import math
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from plugins.helm import CHART
from plugins.prometheus import promtool

from reconciler.telemetry import Meter
from reconciler.telemetry.metrics import PREFIX

ALERTS = CHART / "alerts.yaml"
DASHBOARDS = sorted((CHART / "dashboards").glob("*.json"))
VARIABLES = {
    "$instance": ".*",
    "$cluster": "demo",
    "$namespace": "ai",
    "$name": "workspace-phi-3-mini-adapter",
    "$__rate_interval": "5m",
    "$__range": "5m",
}


def alerts() -> dict[str, dict]:
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def panels() -> dict[str, dict]:
    """By the dashboard's and their own title."""
    boards = {path.stem: json.loads(path.read_text()) for path in DASHBOARDS}
    return {f"{name}: {panel['title']}": panel for name, board in boards.items() for panel in board["panels"]}


def asked() -> Iterator[tuple[str, str]]:
    """Where an expression stands, and the expression."""
    for name, rule in alerts().items():
        yield name, rule["expr"]
    for name, panel in panels().items():
        yield from ((name, target["expr"]) for target in panel["targets"])
    for path in DASHBOARDS:
        for variable in json.loads(path.read_text())["templating"]["list"]:
            if variable["type"] == "query":
                yield f"{path.stem}: ${variable['name']}", variable["query"]["query"]


def samples() -> dict[str, set[str]]:
    """Names as a query writes them, with the labels that each has beside the target's own."""
    registry = Meter().metrics.registry
    found = {}
    for collector in registry._collector_to_names:
        for metric in collector.collect():
            labels = set(collector._labelnames)
            if metric.type == "histogram":
                found |= {f"{metric.name}_{part}": labels for part in ("count", "sum")}
                found[f"{metric.name}_bucket"] = labels | {"le"}
            else:
                found[metric.name + ("_total" if metric.type == "counter" else "")] = labels
    return found


@pytest.mark.parametrize(("where", "expression"), list(asked()), ids=lambda text: text[:50])
def test_an_expression_names_metrics_and_labels_that_there_are(where, expression):
    known = samples()
    used = re.findall(rf"({PREFIX}\w+)(?:{{(.*?)}})?", expression)
    assert used
    for name, selector in used:
        assert name in known, where
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector or ""))
        assert labels <= known[name] | {"instance", "job"}, where


def test_the_alerts_are_as_promtool_wants_them():
    assert f"{len(alerts())} rules found" in promtool("check", "rules", ALERTS)


def test_each_alert_fires_when_it_should_and_only_then():
    tested = Path(__file__).with_name("alerts.yaml")
    named = set(re.findall(r"alertname: (\w+)", tested.read_text()))
    assert named == alerts().keys()
    promtool("test", "rules", tested)


# --- beside the running demo -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def scraped(prometheus, tmp_path_factory):
    """A Prometheus that has seen a demo from its start to its end."""
    root = tmp_path_factory.mktemp("demo") / "demo"
    log = root.with_suffix(".log")
    command = [sys.executable, "-m", "reconciler", "demo", "--keep", "--simulated", "--dir", str(root)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        _until(lambda: (root / "reconciler.yaml").exists(), process, log)
        port = yaml.safe_load((root / "reconciler.yaml").read_text())["web"]["port"]
        prometheus.target(f"127.0.0.1:{port}")
        _until(lambda: "to look further" in log.read_text(), process, log)
        time.sleep(1.5)  # two scrapes more
        yield prometheus
    finally:
        process.terminate()
        process.wait(60)


def _until(done, process, log):
    deadline = time.monotonic() + 120
    while not done():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"the demo told no end:\n{log.read_text()}")
        time.sleep(0.1)


def written_out(expression: str) -> str:
    for name in sorted(VARIABLES, key=len, reverse=True):
        expression = expression.replace(name, VARIABLES[name])
    return expression


@pytest.mark.timeout(300)
def test_every_panel_has_data_of_the_demo(scraped):
    empty = {}
    for name, panel in panels().items():
        for target in panel["targets"]:
            values = scraped.query(written_out(target["expr"]))
            if not any(map(math.isfinite, values)):
                empty[name] = target["expr"], values
    assert empty == {}


def test_every_alert_is_evaluated_and_none_fires_while_all_is_well(scraped):
    assert scraped.rules() == dict.fromkeys(alerts(), "ok")
    assert scraped.query('ALERTS{alertstate="firing"}') == []


def test_the_demo_ends_with_what_the_dashboards_say(scraped):
    def shown(name):
        return scraped.query(written_out(panels()[name]["targets"][0]["expr"]))

    assert shown("fleet: Ready") == [2]
    assert shown("fleet: Failed or invalid") == [0]
    assert shown("workspace: Phase") == [1]
    (hourly,) = shown("fleet: $/h")
    assert hourly > 0
    assert shown("workspace: $/h") == [hourly]
