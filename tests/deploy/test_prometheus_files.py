"""The alerts and the dashboard are well formed, speak of metrics that there are, and each alert is tested."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from cli.exporter import WorkerMetrics
from cli.gauges import StoredGauges
from routing.store import MemoryStore
from tests.cli.test_exporter import run_worker

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
DEPLOY = HERE.parents[1] / "deploy"
RULES = (DEPLOY / "prometheus" / "alerts.yml").read_text()
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "handoff.json").read_text())
ALERT = re.compile(r"^      - alert: (\w+)\n(.*?)(?=^      - alert|^      #|^  - name|\Z)", re.MULTILINE | re.DOTALL)
ALERTS = dict(ALERT.findall(RULES))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
METRIC = re.compile(r"\bhandoff_\w+")
FROM_ELSEWHERE = {"handoff_speech_seconds"}
"""What the sidecar counts."""


def promtool(*words: str | Path, stdin: str | None = None) -> str:
    done = subprocess.run(["promtool", *map(str, words)], input=stdin, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Name the series that the exporter serves."""
    folder = tmp_path_factory.mktemp("metrics")
    run_worker(folder)
    registry = CollectorRegistry()
    registry.register(WorkerMetrics(folder))
    registry.register(StoredGauges(MemoryStore(), "node1"))
    families = re.findall(r"^# TYPE (\w+) (\w+)$", generate_latest(registry).decode(), re.MULTILINE)
    histograms = {*FROM_ELSEWHERE, *(name for name, kind in families if kind == "histogram")}
    parts = {f"{name}_{part}" for name in histograms for part in ("bucket", "count", "sum")}
    return {name for name, kind in families if kind != "histogram"} | parts


def test_promtool_accepts_the_rules_and_the_example() -> None:
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", DEPLOY / "prometheus" / "alerts.yml")
    promtool("check", "config", DEPLOY / "prometheus" / "prometheus.yml")


def test_each_alert_fires_when_it_should_and_only_then() -> None:
    promtool("test", "rules", HERE / "alerts_test.yml")


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_that_never_fires_would_be_found(alert: str, tmp_path: Path) -> None:
    changed = re.sub(r"expr: .*?(?=\n        \w+:)", "expr: vector(0) > 0", ALERTS[alert], count=1, flags=re.DOTALL)
    (tmp_path / "alerts.yml").write_text(RULES.replace(ALERTS[alert], changed))
    tests = (HERE / "alerts_test.yml").read_text().replace("../../deploy/prometheus/alerts.yml", "alerts.yml")
    (tmp_path / "alerts_test.yml").write_text(tests)
    with pytest.raises(AssertionError, match=alert):
        promtool("test", "rules", tmp_path / "alerts_test.yml")


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_says_how_bad_it_is_and_what_to_do(alert: str) -> None:
    text = ALERTS[alert]
    assert re.search(r"severity: (critical|warning)$", text, re.MULTILINE)
    assert re.search(r"summary: .{10}", text)
    assert re.search(r"description: >-\n +\S.{20}", text)


@pytest.mark.parametrize("alert", ALERTS)
def test_alerts_go_by_metrics_that_there_are(alert: str, served: set[str]) -> None:
    names = set(METRIC.findall(ALERTS[alert].split("annotations:", maxsplit=1)[0]))
    assert names <= served
    assert names or alert == "HandoffExporterDown"


def test_the_dashboard_has_what_grafana_wants() -> None:
    assert {"uid", "title", "schemaVersion", "panels", "templating", "time", "refresh"} <= set(DASHBOARD)
    assert "id" not in DASHBOARD  # it is Grafana's own, and an import with one would replace another dashboard
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    assert variables["job"]["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_each_panel_asks_the_chosen_prometheus_for_metrics_that_there_are(
    panel: dict[str, Any], served: set[str]
) -> None:
    assert panel["type"] in {"stat", "table", "timeseries"}
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert {"defaults", "overrides"} <= set(panel["fieldConfig"])
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["datasource"] == panel["datasource"]
        assert 'job="$job"' in target["expr"]
        assert set(METRIC.findall(target["expr"])) <= served
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def places(panels: list[dict[str, Any]]) -> Iterator[tuple[int, int]]:
    for panel in panels:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24
        yield from (
            (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
        )


def test_no_two_panels_lie_on_one_another() -> None:
    taken = list(places(DASHBOARD["panels"]))
    assert len(set(taken)) == len(taken)
