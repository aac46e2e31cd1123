"""A real Prometheus for tests, with the example configuration and the alerts of deploy/, only faster."""

from __future__ import annotations

import json
import math
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.ports import free_port
from tests.stack.daemon import Daemon

if TYPE_CHECKING:
    from tests.stack.system import System

DEPLOY = Path(__file__).parents[2] / "deploy"


def exporter(system: System) -> tuple[Daemon, str]:
    """Make the exporter of a stack; gives also where it listens."""
    place = f"127.0.0.1:{free_port('tcp')}"
    command = [sys.executable, "-m", "cli.main", "exporter", "--listen", place]
    env = {"HANDOFF_SETTINGS": str(system.folder / "settings.json")}
    env["PROMETHEUS_MULTIPROC_DIR"] = str(system.folder / "metrics")
    return Daemon(command, system.folder / "exporter.log", lambda: _answers(f"http://{place}/metrics"), env), place


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


class Prometheus(Daemon):
    """It asks an exporter, all in a folder of its own."""

    def __init__(self, folder: Path, exporter_at: str) -> None:
        example = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
        assert example.count("10s") == 2
        assert example.count("127.0.0.1:9464") == 1
        config = example.replace("10s", "200ms").replace("127.0.0.1:9464", exporter_at)
        alerts = (DEPLOY / "prometheus" / "alerts.yml").read_text()
        folder.mkdir()
        (folder / "prometheus.yml").write_text(config)
        (folder / "alerts.yml").write_text(
            re.sub(r"^        for: .*$", "        for: 500ms", alerts, flags=re.MULTILINE)
        )
        self._url = f"http://127.0.0.1:{free_port('tcp')}"
        command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        command += [f"--web.listen-address={self._url.removeprefix('http://')}", "--log.level=warn"]
        command.append("--enable-feature=exemplar-storage")
        super().__init__(command, folder / "prometheus.log", lambda: _answers(f"{self._url}/-/ready"), dict(os.environ))

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Give the series that an expression has now, each with `metric` and `value`; those that are NaN left out."""
        found = self._ask("query", query=expression)["result"]
        return [series for series in found if math.isfinite(float(series["value"][1]))]

    def exemplars(self, expression: str, since: float) -> list[dict[str, Any]]:
        """Give the exemplars of the series in an expression, each with `labels`, `value` and the series' labels."""
        series = self._ask("query_exemplars", query=expression, start=since, end=time.time())
        return [{**one, "series": each["seriesLabels"]} for each in series for one in each["exemplars"]]

    def _ask(self, what: str, **parameters: str | float) -> Any:
        try:
            asked = f"{self._url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
            with urllib.request.urlopen(asked, timeout=30) as reply:
                return json.load(reply)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from error

    def firing(self) -> set[str]:
        """Name the alerts that fire now."""
        return {series["metric"]["alertname"] for series in self.query('ALERTS{alertstate="firing"}')}
