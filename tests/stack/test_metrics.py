"""What the workers count while they hand calls over, as the exporter reads it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from tests.stack.system import NODE, System
from tests.stack.talk import TARGET, Talk
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from collections.abc import Iterator


class Scrape:
    """The metrics at one moment."""

    def __init__(self, system: System) -> None:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(system.folder / "metrics"))  # type: ignore[no-untyped-call]
        self.text = generate_latest(registry)
        families = text_string_to_metric_families(self.text.decode())
        self._samples = [sample for family in families for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        """Sum the samples of this name that bear these labels."""
        return sum(s.value for s in self._samples if s.name == name and labels.items() <= s.labels.items())


@pytest.fixture(scope="module")
def scrape() -> Iterator[Scrape]:
    """Do a transfer of each kind, and let some REFERs be refused; give the metrics afterwards."""
    with Ua("agent") as agent, System(agent.uri) as system:
        with Talk(system, agent) as talk:
            talk.hand_over()
            talk.hang_up_on_target()
            talk.nothing_left()
        with Talk(system, agent) as talk:
            for status in (486, 486, 603):
                invite = talk.refer_accepted()
                agent.expect(491, to=talk.refer())
                talk.target.reply(invite, status)
                talk.target.expect("ACK")
                talk.notified(status, final=True)
            agent.expect(404, to=talk.refer("nobody"))
            system.store.send_command(NODE, {"id": "1", "kind": "transfer", "call": talk.record.id, "target": TARGET})
            talk.target.reply(talk.target.expect("INVITE"), 404)
            talk.target.expect("ACK")
            system.wait_until(lambda: len(talk.record.history) == 4)
            talk.hang_up()
            talk.nothing_left()
        yield Scrape(system)


@pytest.mark.parametrize(("outcome", "count"), [("connected", 1), ("busy", 2), ("rejected", 1), ("not_found", 1)])
def test_each_transfer_is_counted_by_mode_and_outcome(scrape: Scrape, outcome: str, count: int) -> None:
    """Whoever asked for it, agent or person."""
    assert scrape.value("handoff_transfers_total", mode="blind", outcome=outcome) == count


def test_no_other_outcome_is_counted(scrape: Scrape) -> None:
    """Five transfers in all; a REFER that was refused is none."""
    assert scrape.value("handoff_transfers_total") == 5


def test_calls_are_counted_by_pool(scrape: Scrape) -> None:
    """Those that an agent answered."""
    assert scrape.value("handoff_calls_total", pool="agents") == 2


def test_the_stages_of_a_transfer_are_measured(scrape: Scrape) -> None:
    """Each has an INVITE; the one that was answered rang and was bridged, all in less than a second."""
    assert scrape.value("handoff_refer_to_invite_seconds_count") == 5
    assert 0 < scrape.value("handoff_refer_to_invite_seconds_sum") < 5
    assert scrape.value("handoff_ring_seconds_count") == 1
    assert 0 < scrape.value("handoff_ring_seconds_sum") < 2
    assert scrape.value("handoff_answer_to_bridge_seconds_count") == 1
    assert 0 < scrape.value("handoff_answer_to_bridge_seconds_sum") < 1


@pytest.mark.parametrize(("method", "count"), [("INVITE", 2), ("ACK", 2), ("REFER", 8), ("BYE", 3), ("CANCEL", 0)])
def test_sip_requests_are_counted_by_method(scrape: Scrape, method: str, count: int) -> None:
    """Those that came in: two calls with two BYEs and the agent's own; four REFERs were accepted and four not."""
    assert scrape.value("handoff_sip_requests_total", method=method) == count


def test_sip_replies_are_counted_by_class(scrape: Scrape) -> None:
    """Two calls and two BYEs were answered 200 and one target answered; one rang, three refused and one declined."""
    assert scrape.value("handoff_sip_replies_total", **{"class": "2xx"}) == 5
    assert scrape.value("handoff_sip_replies_total", **{"class": "1xx"}) == 1
    assert scrape.value("handoff_sip_replies_total", **{"class": "4xx"}) == 3
    assert scrape.value("handoff_sip_replies_total", **{"class": "6xx"}) == 1


def test_refusals_of_our_own_are_counted_by_status(scrape: Scrape) -> None:
    """The REFER to nobody got 404, and three came while a transfer was under way."""
    assert scrape.value("handoff_sip_answers_total", status="404") == 1
    assert scrape.value("handoff_sip_answers_total", status="491") == 3
    assert scrape.value("handoff_sip_answers_total") == 4


@pytest.mark.parametrize(("command", "least"), [("offer", 8), ("answer", 4), ("delete", 4), ("ping", 1)])
def test_rtpengine_requests_are_measured_by_node_and_command(scrape: Scrape, command: str, least: int) -> None:
    """All of them went well."""
    labels = {"node": "media1", "command": command}
    assert scrape.value("handoff_rtpengine_seconds_count", **labels, outcome="ok") >= least
    assert scrape.value("handoff_rtpengine_seconds_count", **labels) == scrape.value(
        "handoff_rtpengine_seconds_count", **labels, outcome="ok"
    )


@pytest.mark.parametrize(
    ("operation", "least"), [("create", 2), ("lease", 10), ("save", 8), ("target", 6), ("tick", 5)]
)
def test_redis_requests_are_measured_by_operation(scrape: Scrape, operation: str, least: int) -> None:
    """All of them went well."""
    count = scrape.value("handoff_redis_seconds_count", operation=operation, outcome="ok")
    assert count >= least
    assert count == scrape.value("handoff_redis_seconds_count", operation=operation)


def test_promtool_accepts_the_metrics(scrape: Scrape) -> None:
    """Names, units and help are as Prometheus wants them; not one remark."""
    lint = subprocess.run(["promtool", "check", "metrics"], input=scrape.text, capture_output=True, check=False)
    assert (lint.returncode, lint.stdout.decode() + lint.stderr.decode()) == (0, "")
