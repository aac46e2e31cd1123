"""Exemplars: which transfer a counter or a bucket names, and that only who asks for them gets them."""

from __future__ import annotations

import http.client
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from cli.exemplars import Exemplified
from cli.exporter import WorkerMetrics
from routing.outcomes import Outcome
from routing.store import MemoryStore, StoreUnavailable, layout
from tests.cli.handed_over import ID, OTHER
from tests.cli.test_exporter import Exporter, run_worker, served
from tests.cli.test_log import NOW, ORIGIN, busy, connected
from tests.routing.store_help import a_call

if TYPE_CHECKING:
    from pathlib import Path

    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import Collector

    from routing.store import Store
    from routing.store.log import Row
    from routing.transfer_record import Transfer
    from tests.cli.operator import Operator
    from tests.routing.store_help import RedisServer

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


def finish(store: Store, *transfers: Transfer, call_id: str = ID) -> None:
    store.create(a_call(call_id))
    with store.lease(call_id) as lease:
        lease.forget(transfers)


def scrape(port: int, accept: str = OPEN_METRICS) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/metrics", headers={"Accept": accept})
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def read(text: str) -> dict[tuple[str, str], tuple[str, float, float]]:
    """Find call, value and time of the exemplars, by the sample and its bound or outcome."""
    return {
        (sample.name, sample.labels.get("le") or sample.labels["outcome"]): (
            sample.exemplar.labels["call_id"],
            sample.exemplar.value,
            float(sample.exemplar.timestamp),
        )
        for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        for sample in family.samples
        if sample.exemplar
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give the files of a worker."""
    run_worker(tmp_path / "metrics")
    return tmp_path / "metrics"


def exemplars(metrics: Exemplified) -> dict[tuple[str, str], tuple[str, float, float]]:
    with served(metrics) as port:
        return read(scrape(port))


def test_the_newest_transfer_is_named_where_it_was_counted(folder: Path) -> None:
    """In the first bucket that its time fits in, and in no other."""
    store = MemoryStore()
    metrics = Exemplified(WorkerMetrics(folder), store, ORIGIN.node)
    assert exemplars(metrics) == {}
    finish(store, busy(f"{ID}-1"), connected(f"{ID}-2", changeover=0.002))
    finish(store, connected(f"{OTHER}-1", ended_at=NOW + 9), call_id=OTHER)
    assert exemplars(metrics) == {
        ("handoff_transfers_total", "busy"): (ID, 1.0, NOW),
        ("handoff_transfers_total", "connected"): (OTHER, 1.0, NOW + 9),
        ("handoff_ring_seconds_bucket", "5.0"): (OTHER, pytest.approx(3.775), NOW + 9),
        ("handoff_answer_to_bridge_seconds_bucket", "0.2"): (ID, 0.125, NOW + 4),
        ("handoff_answer_to_bridge_seconds_bucket", "+Inf"): (OTHER, 5.125, NOW + 9),
        ("handoff_changeover_seconds_bucket", "0.002"): (ID, 0.002, NOW + 4),
        ("handoff_changeover_seconds_bucket", "0.005"): (OTHER, 0.00234, NOW + 9),
    }


@pytest.mark.parametrize(
    "transfer", [connected(origin=None), connected(origin=ORIGIN.model_copy(update={"node": "x"}))]
)
def test_what_another_node_has_counted_is_not_named(folder: Path, transfer: Transfer) -> None:
    """Its own exporter does that; all nodes have one call log."""
    store = MemoryStore()
    metrics = Exemplified(WorkerMetrics(folder), store, ORIGIN.node)
    exemplars(metrics)
    finish(store, transfer)
    assert exemplars(metrics) == {}


def test_what_was_logged_before_the_exporter_began_is_not_named(folder: Path) -> None:
    """The workers that counted it may have ended long ago, and their files with them."""
    store = MemoryStore()
    finish(store, connected())
    metrics = Exemplified(WorkerMetrics(folder), store, ORIGIN.node)
    assert exemplars(metrics) == exemplars(metrics) == {}


@pytest.mark.parametrize("families", [[], [CounterMetricFamily("handoff_transfers", "Some.", labels=("mode",))]])
def test_what_nobody_has_counted_is_not_named(families: list[Metric]) -> None:
    store = MemoryStore()
    metrics = Exemplified(cast("Collector", SimpleNamespace(collect=lambda: families)), store, ORIGIN.node)
    metrics.collect()
    finish(store, connected(outcome=Outcome.BUSY))
    assert [sample for family in metrics.collect() for sample in family.samples] == []


class Flaky(MemoryStore):
    """A store that is away when it is told to be."""

    away = False

    def log_page(self, *args: Any, **options: Any) -> list[Row]:
        if self.away:
            raise StoreUnavailable("redis.url", "away")
        return super().log_page(*args, **options)


def test_while_redis_is_away_the_last_exemplars_are_given_again(folder: Path) -> None:
    store = Flaky()
    store.away = True
    metrics = Exemplified(WorkerMetrics(folder), store, ORIGIN.node)
    assert exemplars(metrics) == {}
    store.away = False
    exemplars(metrics)
    finish(store, connected())
    found = exemplars(metrics)
    assert found[("handoff_transfers_total", "connected")][0] == ID
    store.away = True
    assert exemplars(metrics) == found


def test_only_who_understands_openmetrics_gets_exemplars(operator: Operator, redis: RedisServer) -> None:
    """From the whole exporter; a row that cannot be read is passed over."""
    run_worker(operator.folder / "metrics")
    with Exporter() as exporter, operator.store() as store:
        assert read(scrape(exporter.port)) == {}
        finish(store, connected())
        redis.ask("XADD", layout.LOG, "*", "call", ID, "transfer", b"rubbish")
        assert read(scrape(exporter.port))[("handoff_transfers_total", "connected")][0] == ID
        plain = scrape(exporter.port, "text/plain")
    assert 'handoff_transfers_total{mode="blind",outcome="connected"} 1.0' in plain
    assert ID not in plain
