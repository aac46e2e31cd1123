"""Probes on a schedule: nothing rings, one process makes each, and everybody is shown what was found last."""

from __future__ import annotations

import re
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from redis import Redis

from cli.diagnosis.finding import Status, failed, ok, warning
from cli.diagnosis.stored import check_stored
from cli.gauges import StoredGauges
from cli.phones import Line, Phones
from cli.prober import Prober
from cli.target_probes import FINDINGS, LETTERS, PERIODS, EndpointProbe, Found, Probe, read_probes
from cli.trial.endpoint import Report
from routing.settings import make_settings
from routing.store.layout import target_probe_key
from routing.targets import Target
from tests.cli.answering import SipHost, respond
from tests.cli.findings import only, settings
from tests.cli.operator import POOL
from tests.cli.receiver import until
from tests.cli.test_exporter import Exporter, sample, scrape
from tests.stack.tls_peer import Authority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.operator import Operator
    from tests.routing.store_help import RedisServer

DESK = "sip:desk@127.0.0.1:5070"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let them look at the targets again and again."""
    monkeypatch.setattr("cli.prober.LOOK", 0.05)
    monkeypatch.setattr("cli.prober.EVERY", 0.01)


def put(operator: Operator, *endpoints: str, name: str = "desk", **fields: Any) -> None:
    """Keep a target that is probed."""
    target = Target.make({"name": name, "endpoints": endpoints, "probe_every": 600, **fields})
    with operator.store() as store:
        store.put_target(name, target.to_json())


def found(operator: Operator, name: str = "desk") -> Probe | None:
    with operator.store() as store:
        return read_probes(store).get(name)


def wait_for_probe(operator: Operator, name: str = "desk") -> Probe:
    until(lambda: found(operator, name))
    probe = found(operator, name)
    assert probe is not None
    return probe


@contextmanager
def probing(operator: Operator, node: str = "node1", **sections: Any) -> Iterator[list[str]]:
    """Let a prober run; gives what it logs."""
    said: list[str] = []
    stop = threading.Event()
    given = make_settings({"node": {"id": node}, "pools": [POOL], **sections})

    def run() -> None:
        with operator.store() as store:
            Prober(store, given, said.append).run(stop)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield said
    finally:
        stop.set()
        thread.join()


def answering(status: int = 200) -> Callable[[int, bytes], list[bytes]]:
    return lambda _, request: [respond(status, request)]


def test_a_real_phone_is_probed_by_the_exporter_and_does_not_ring(operator: Operator, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.certify("phone", "127.0.0.1")
    with Phones() as phones:
        phone = phones.add("desk", tone=700, line=Line(transport="tls", certificate=certificate, key=key))
        options = ("--probe-every", "600", "--ca-file", str(authority.ca_file))
        operator.reads("targets", "add", "desk", phone.uri, *options)
        operator.reads("targets", "add", "other", DESK)
        listed = operator.types("targets", "list").stdout.splitlines()
        assert (listed[0].split()[-1], listed[1].split()[-2:]) == ("PROBED", ["not", "yet"])
        with Exporter() as exporter:
            wait_for_probe(operator)
            text = scrape(exporter.port)
        assert phone.calls == []
    labels = {"target": "desk", "endpoint": phone.uri}
    assert sample(text, "handoff_target_probe_ok", **labels) == 1.0
    assert sample(text, "handoff_target_certificate_days", **labels) in {824.0, 825.0}
    took, at = sample(text, "handoff_target_options_seconds", **labels), "handoff_target_probed_timestamp_seconds"
    assert took is not None
    assert 0.0 < took < 4.0
    assert sample(text, at, target="desk") == pytest.approx(time.time(), abs=60.0)
    desk, other = operator.reads("targets", "list")
    assert (desk["probe"]["status"], desk["probe"]["node"], other["probe"]) == ("ok", "node1", None)
    assert re.search(r" ok, \d+\.\d s ago\n", operator.types("targets", "list").stdout)
    assert re.search(r"^probed +ok, \d", operator.types("targets", "show", "desk").stdout, re.MULTILINE)
    assert "probed" not in operator.types("targets", "show", "other").stdout


def test_it_sends_options_and_nothing_else(operator: Operator) -> None:
    with SipHost(answering(404)) as host:
        put(operator, f"sip:desk@127.0.0.1:{host.port}")
        with probing(operator):
            probe = wait_for_probe(operator)
        assert {request.split()[0] for request in host.requests} == {b"OPTIONS"}
    assert probe.status is Status.OK  # any reply says that it is there; what it cannot do is not told here
    assert probe.endpoints[0].findings == ()


def test_of_two_nodes_one_probes_each_target_once_in_a_period(operator: Operator) -> None:
    with SipHost(answering()) as host, probing(operator, "a"), probing(operator, "b"):
        for number in range(8):
            put(operator, f"sip:{number}@127.0.0.1:{host.port}", name=f"t{number}")
        put(operator, f"sip:unwanted@127.0.0.1:{host.port}", name="unwanted", probe_every=0)
        with operator.store() as store:
            until(lambda: len(store.target_probes()) == 8)
            asked = [request.split()[1] for request in host.requests]
            assert len(asked) == len(set(asked)) == 8
            store.drop_target_probes(["t3"])  # as if its claim had ended
            until(lambda: len(store.target_probes()) == 8)
        again = [request.split()[1] for request in host.requests[8:]]
        assert again == [f"sip:3@127.0.0.1:{host.port}".encode()]


def test_a_failure_is_shown_everywhere_with_what_to_do(operator: Operator, redis: RedisServer) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        uri = f"sip:desk@127.0.0.1:{free.getsockname()[1]}"
    put(operator, uri)
    with probing(operator):
        wait_for_probe(operator)
        (shown,) = operator.reads("targets", "list")
        (finding,) = shown["probe"]["endpoints"][0]["findings"]
        assert (shown["probe"]["status"], finding["part"], finding["status"]) == ("failed", "udp", "failed")
        assert "see that it runs" in finding["mend"]
        lines = operator.types("targets", "show", "desk").stdout
        assert re.search(rf"^found +{uri}: udp failed, .*connection refused -> see that it runs", lines, re.MULTILINE)
        assert re.search(r" failed, \d+\.\d s ago\n", operator.types("targets", "list").stdout)
        judged = only(check_stored(settings(redis={"url": redis.url})), "target desk")
        assert (judged.status, judged.mend) == (Status.WARNING, "then try `handoff targets test desk`")
        assert "connection refused" in judged.what
        assert operator.reads("status")["probes"] == {"targets": 1, "failed": ["desk"], "unknown": []}
        assert "probes 1 target, failed: desk" in " ".join(operator.types("status").stdout.split())


def test_a_failure_and_its_end_are_logged_once(operator: Operator) -> None:
    silent = threading.Event()
    silent.set()

    def script(_: int, request: bytes) -> list[bytes]:
        return [] if silent.is_set() else [respond(200, request)]

    with SipHost(script) as host:
        uri = f"sip:desk@127.0.0.1:{host.port}"
        put(operator, uri)
        with probing(operator) as said:
            assert wait_for_probe(operator).status is Status.FAILED
            assert probed_again(operator).status is Status.FAILED
            silent.clear()
            until(lambda: probed_again(operator).status is Status.OK)
            assert probed_again(operator).status is Status.OK
        assert said[0].startswith(f"target=desk probe=failed {uri}: options failed, no reply in 4 s -> see that it")
        assert said[1:] == ["target=desk probe=ok, it failed before"]


def probed_again(operator: Operator) -> Probe:
    """Let the claim of the target end, and wait for its next probe."""
    before = wait_for_probe(operator)
    client = Redis.from_url(operator.url)
    client.delete(target_probe_key("desk"))
    client.close()
    until(lambda: wait_for_probe(operator).at > before.at)
    return wait_for_probe(operator)


def test_what_was_found_of_a_target_that_has_changed_meanwhile_is_not_kept(operator: Operator) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def script(_: int, request: bytes) -> list[bytes]:
        asked.set()
        go_on.wait()
        return [respond(200, request)]

    with SipHost(script) as host, operator.store() as store:
        put(operator, f"sip:desk@127.0.0.1:{host.port}")
        put(operator, DESK, name="other", probe_every=0)
        with probing(operator):
            asked.wait()
            assert store.remove_target("desk")
            go_on.set()
            put(operator, f"sip:last@127.0.0.1:{host.port}", name="last")
            wait_for_probe(operator, "last")
            assert list(store.target_probes()) == ["last"]


def test_what_is_kept_of_targets_that_are_gone_or_not_probed_is_dropped(operator: Operator) -> None:
    with operator.store() as store:
        put(operator, DESK, probe_every=0)
        store.put_target("spoilt", b"{}")
        for name in ("gone", "desk", "spoilt"):
            store.keep_target_probe(name, b"{}")
        with probing(operator):
            until(lambda: not store.target_probes())


def test_a_user_whose_phone_has_gone_is_found_out(operator: Operator) -> None:
    put(operator, "sip:alice@handoff.local")
    with operator.store() as store:
        store.put_user("alice@handoff.local", b"{}")
    with probing(operator, users={"domains": ["handoff.local"]}):
        assert "no phone of alice@handoff.local is registered" in wait_for_probe(operator).lines()[0]


def test_while_redis_is_away_it_waits_and_says_so_once(operator: Operator, redis: RedisServer) -> None:
    with SipHost(answering()) as host:
        with probing(operator) as said:
            redis.stop()
            until(lambda: said)
            redis.start()
            until(lambda: len(said) == 2)
            put(operator, f"sip:desk@127.0.0.1:{host.port}")
            wait_for_probe(operator)
        assert said[0].startswith("no targets are probed: Redis")
        assert said[1:] == ["targets are probed again"]


def keep(operator: Operator, **changes: Any) -> None:
    """Keep what a prober has found."""
    endpoint = EndpointProbe(uri=DESK, status=Status.OK)
    values: dict[str, Any] = {"at": time.time(), "every": 600.0, "node": "node1", "endpoints": (endpoint,)}
    with operator.store() as store:
        store.keep_target_probe("desk", Probe(**(values | changes)).model_dump_json().encode())


def test_what_was_found_too_long_ago_or_cannot_be_read_is_not_known(operator: Operator, redis: RedisServer) -> None:
    put(operator, DESK)
    keep(operator)
    given = settings(redis={"url": redis.url})
    assert only(check_stored(given), "probes").what == "1 target, nothing is wrong"
    assert "probes 1 target" in " ".join(operator.types("status").stdout.split())
    keep(operator, at=time.time() - PERIODS * 600.0 - 1.0)
    assert operator.reads("targets", "show", "desk")["probe"] is None
    assert only(check_stored(given), "target desk").what == "no probe of it is known"
    assert operator.reads("status")["probes"] == {"targets": 1, "failed": [], "unknown": ["desk"]}
    assert "not known: desk" in operator.types("status").stdout
    with operator.store() as store:
        for other in (b'{"version": 2}', b'{"at": 9e9, "every": 600, "node": "node1", "endpoints": []}'):
            store.keep_target_probe("desk", other)
            assert found(operator) is None


def test_what_is_kept_is_bounded_and_the_worst_comes_first() -> None:
    checks = [ok("dns", "found"), warning("REFER", "not in its Allow", ""), warning("options", "503", "look")]
    checks += [failed("udp", "x" * 1000, "y" * 1000) for _ in range(FINDINGS)]
    kept = EndpointProbe.make(Report(DESK, checks))
    assert kept.status is Status.FAILED
    cut = Found(part="udp", status=Status.FAILED, what="x" * (LETTERS - 3) + "...", mend="y" * (LETTERS - 3) + "...")
    assert kept.findings == (cut,) * FINDINGS
    assert [each.part for each in EndpointProbe.make(Report(DESK, checks[:3])).findings] == ["options"]


def test_prometheus_is_told_of_what_was_found_at_each_endpoint(operator: Operator) -> None:
    bad = EndpointProbe(uri="sips:pbx", status=Status.FAILED, certificate_days=-3)
    keep(operator, endpoints=(EndpointProbe(uri=DESK, status=Status.WARNING, options_seconds=0.25), bad), at=9e9)
    registry = CollectorRegistry()
    with operator.store() as store:
        registry.register(StoredGauges(store, "node1"))
        lines = set(generate_latest(registry).decode().splitlines())
    assert {
        f'handoff_target_probe_ok{{endpoint="{DESK}",target="desk"}} 1.0',
        'handoff_target_probe_ok{endpoint="sips:pbx",target="desk"} 0.0',
        'handoff_target_certificate_days{endpoint="sips:pbx",target="desk"} -3.0',
        f'handoff_target_options_seconds{{endpoint="{DESK}",target="desk"}} 0.25',
        'handoff_target_probed_timestamp_seconds{target="desk"} 9e+09',
    } <= lines


def test_the_schedule_is_set_and_taken_back_and_with_the_target_goes_what_was_found(operator: Operator) -> None:
    assert operator.reads("targets", "add", "desk", DESK)["probe_every"] == 0
    assert "PROBED" not in operator.types("targets", "list").stdout
    assert "no time between two probes" in operator.fails(2, "targets", "set", "desk", "--probe-every", "5")
    assert operator.reads("targets", "set", "desk", "--probe-every", "60")["probe_every"] == 60
    assert "probe every 60 s" in operator.types("targets", "list").stdout
    for change in (("set", "desk", "--clear", "probe-every"), ("remove", "desk")):
        keep(operator)
        operator.reads("targets", *change)
        with operator.store() as store:
            assert store.target_probes() == {}
