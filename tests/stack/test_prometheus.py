"""A real Prometheus reads what a real stack counts: alerts fire and clear, and each panel of the dashboard has data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cli.phones import Line, Phones
from cli.ports import free_port
from cli.views import transfer_data
from routing.measured import measure
from routing.targets import Target
from routing.trunks import Learned, Verdict
from routing.users import Contact
from tests.cli.receiver import Received, Receiver
from tests.stack.prometheus import DEPLOY, Prometheus, exporter
from tests.stack.system import NODE, System
from tests.stack.talk import Talk
from tests.stack.tls_peer import Authority
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from collections.abc import Iterator

DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "handoff.json").read_text())
TARGETS = [
    pytest.param(target["expr"], id=f"{panel['title']}-{target['refId']}")
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", [])
]
PATIENCE = 60.0


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """Give who is told of transfers."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Give a target that is probed: a phone with a certificate."""
    authority = Authority(tmp_path_factory.mktemp("ca"))
    certificate, key = authority.certify("phone", "127.0.0.1")
    with Phones() as phones:
        phone = phones.add("secure", tone=900, line=Line(transport="tls", certificate=certificate, key=key))
        fields = {"endpoints": [phone.uri], "ca_file": str(authority.ca_file), "probe_every": 600}
        yield Target.make({"name": "secure", **fields})
        assert phone.calls == []


@pytest.fixture(scope="module")
def scraped(receiver: Receiver, secure: Target) -> Iterator[tuple[System, Prometheus]]:
    """Give a stack and the Prometheus that asks it, after calls and transfers of several kinds."""
    changes: dict[str, Any] = {"hunting": {"failures": 2, "rest": 600}, "webhooks": {"urls": [receiver.url]}}
    with Ua("agent") as agent, System(agent.uri, sidecar=True, **changes) as system:
        served, place = exporter(system)
        prometheus = Prometheus(system.folder / "prometheus", place)
        try:
            served.start(PATIENCE)
            prometheus.start(PATIENCE)
            # Counters are compared with what they were before.
            system.wait_until(lambda: len(prometheus.query("count_over_time(handoff_redis_up[1m]) > 2")), PATIENCE)
            system.store.put_target(secure.name, secure.to_json())
            happen(system, agent)
            yield system, prometheus
        finally:
            prometheus.stop()
            served.stop()


def happen(system: System, agent: Ua) -> None:
    """Let one of everything happen that is counted."""
    phone = Contact(uri="sip:alice@127.0.0.1:5999", expires_at=9e9).model_dump_json().encode()
    system.store.put_user("alice@handoff.local", b"{}")
    system.store.keep_contacts("alice@handoff.local", NODE, {"sip:alice@127.0.0.1:5999": phone}, 600)
    learned = Learned(verdict=Verdict.WORKS, status=202, at=1.0)
    system.store.learn_trunk("loopback", learned.model_dump_json().encode())
    system.store.ask_speech(NODE, [{"text": "A call for you.", "language": "", "voice": ""}])
    with Talk(system, agent) as talk:
        talk.hand_over()
        talk.hang_up_on_target()
        talk.nothing_left()
    with Talk(system, agent) as talk:
        system.add_target("gone", f"sip:gone@127.0.0.1:{free_port()}")
        for _ in range(2):
            agent.expect(202, to=talk.refer("gone"))
            talk.notified(100)
            talk.notified(408, final=True)
        agent.expect(404, to=talk.refer("nobody"))
        talk.hang_up()
        talk.nothing_left()


@pytest.mark.parametrize("expression", TARGETS)
def test_each_panel_shows_something(scraped: tuple[System, Prometheus], expression: str) -> None:
    """Its query, with the variables filled in, gives numbers."""
    system, prometheus = scraped
    for name, value in {"$job": "handoff", "$__rate_interval": "5m", "$__range": "5m"}.items():
        expression = expression.replace(name, value)
    system.wait_until(lambda: prometheus.query(expression), PATIENCE)


def test_the_numbers_are_those_of_what_happened(scraped: tuple[System, Prometheus]) -> None:
    """One transfer reached a person, two did not."""
    system, prometheus = scraped

    def counted() -> dict[str, float]:
        found = prometheus.query("sum by (outcome) (handoff_transfers_total) > 0")
        return {series["metric"]["outcome"]: float(series["value"][1]) for series in found}

    system.wait_until(lambda: counted() == {"connected": 1.0, "unreachable": 2.0}, PATIENCE)


@pytest.mark.parametrize(
    ("metric", "outcome"),
    [
        ("handoff_transfers_total", "unreachable"),
        ("handoff_transfers_total", "connected"),
        ("handoff_ring_seconds_bucket", "connected"),
        ("handoff_answer_to_bridge_seconds_bucket", "connected"),
        ("handoff_changeover_seconds_bucket", "connected"),
    ],
)
def test_from_a_counter_or_a_bucket_a_call_is_found_in_the_log(
    scraped: tuple[System, Prometheus], metric: str, outcome: str
) -> None:
    """By its exemplar, which has the id that `handoff log show` takes; it is within the bucket."""
    system, prometheus = scraped
    last = next(row for row in system.store.finished() if row.transfer.outcome == outcome)
    call_id, transfer = last.call_id, last.transfer

    def found() -> list[dict[str, Any]]:
        exemplars = prometheus.exemplars(metric, transfer.requested_at)
        ended_at = pytest.approx(transfer.ended_at, abs=0.001)
        return [each for each in exemplars if each["labels"] == {"call_id": call_id} and each["timestamp"] == ended_at]

    system.wait_until(found, PATIENCE)
    exemplar = found()[-1]
    if "le" in exemplar["series"]:
        measured = measure(transfer)[metric.removesuffix("_bucket")]
        assert float(exemplar["value"]) == pytest.approx(measured)
        assert measured <= float(exemplar["series"]["le"])
    else:
        assert exemplar["series"]["outcome"] == outcome


def test_each_transfer_is_posted_when_it_is_finished(scraped: tuple[System, Prometheus], receiver: Receiver) -> None:
    """With what the call log has of it."""
    events = ["transfer.connected", "transfer.failed", "transfer.failed"]

    def ends(received: list[Received]) -> list[Any]:
        return [body for body in (json.loads(each.body) for each in received) if body["event"] in events]

    posted = ends(receiver.wait_for(lambda received: len(ends(received)) >= len(events)))
    logged = {row.transfer.id: row for row in scraped[0].store.finished()}
    assert {body["id"] for body in posted} == set(logged)
    assert sorted(body["event"] for body in posted) == events
    for body in posted:
        row = logged[body["id"]]
        assert (body["call"], body["transfer"]) == (row.call_id, transfer_data(row.transfer))


def test_an_alert_fires_while_an_rtpengine_is_away(scraped: tuple[System, Prometheus]) -> None:
    """And is over when it is back; nothing else is wrong but the endpoint that was called in vain."""
    system, prometheus = scraped
    system.wait_until(lambda: prometheus.firing() == {"HandoffEndpointFails"}, PATIENCE)
    with system.rtpengine.away():
        system.wait_until(lambda: "HandoffRtpengineDown" in prometheus.firing(), PATIENCE)
    system.wait_until(lambda: prometheus.firing() == {"HandoffEndpointFails"}, PATIENCE)


def test_an_alert_fires_while_an_endpoint_is_out_of_order(scraped: tuple[System, Prometheus]) -> None:
    """And is over when it has replied."""
    system, prometheus = scraped
    system.wait_until(lambda: "HandoffEndpointFails" in prometheus.firing(), PATIENCE)
    for endpoint in system.store.failing():
        system.store.forgive_endpoint(endpoint)
    system.wait_until(lambda: not prometheus.firing(), PATIENCE)


def test_an_alert_fires_while_the_probe_of_a_target_fails(scraped: tuple[System, Prometheus], secure: Target) -> None:
    """And is over when it is as it was before."""
    system, prometheus = scraped
    nobody = f"sip:nobody@127.0.0.1:{free_port()}"
    closed = Target.make({"name": secure.name, "endpoints": [nobody], "probe_every": 600})
    system.store.put_target(closed.name, closed.to_json())
    system.wait_until(lambda: "HandoffTargetProbeFails" in prometheus.firing(), PATIENCE)
    system.store.put_target(secure.name, secure.to_json())
    system.wait_until(lambda: "HandoffTargetProbeFails" not in prometheus.firing(), PATIENCE)
