"""`handoff doctor`: each part, well and ill; and once the whole on the real daemons."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry

from cli.diagnosis import machine
from cli.diagnosis.config import check_changed
from cli.diagnosis.finding import failed, ok
from cli.diagnosis.options import NoAnswer, send_options
from cli.diagnosis.peers import check_agent, check_listening, check_media_node, check_metrics
from cli.doctor import check_pool, run_checks, say_once
from cli.effective import START
from cli.exporter import serve
from cli.gauges import StoredGauges
from cli.ports import free_port
from cli.stack import Stack
from routing.store import MemoryStore
from tests.cli.answering import SipHost, respond
from tests.cli.findings import only, settings, statuses
from tests.cli.operator import POOL
from tests.rtpengine.scripted import ScriptedServer, reply

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli.diagnosis.finding import Finding
    from tests.cli.operator import Operator


@contextmanager
def exporting(port: int) -> Iterator[None]:
    registry = CollectorRegistry()
    registry.register(StoredGauges(MemoryStore(), "node1"))
    with serve(registry, "127.0.0.1", port) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield
        server.shutdown()
        thread.join()


# --- the whole


@pytest.fixture
def host() -> Iterator[SipHost]:
    """A SIP host that answers everything with 200."""
    with SipHost(lambda _, request: [respond(200, request)]) as answering:
        yield answering


def test_on_the_real_daemons_nothing_fails_and_stopping_them_is_seen(
    operator: Operator, host: SipHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, agents = free_port(), [f"sip:agent@127.0.0.1:{each}" for each in (free_port(), host.port)]
    given = settings(
        sip={"listen": [f"udp:127.0.0.1:{port}", f"tcp:127.0.0.1:{port}"]},
        node={"id": "node1", "workers": 1},
        rtpengine={"port_min": 23000, "port_max": 23100},
        metrics={"listen": f"127.0.0.1:{free_port('tcp')}"},
        pools=[{**POOL, "agents": [{"uri": uri} for uri in agents]}],
    )
    run = tmp_path / "run"
    monkeypatch.setenv("HANDOFF_RUN_DIR", str(run))
    with Stack(given, run, tmp_path / "state") as stack:
        stack.wait_for("exporter")
        operator.reads("targets", "add", "support", "sip:support@127.0.0.1:5070")
        found = {finding["part"]: finding for finding in operator.reads("doctor")}
        assert {part for part, finding in found.items() if finding["status"] == "failed"} == set()
        assert [found[f"agent {uri}"]["status"] for uri in agents] == ["warning", "ok"]
        assert found[f"sip tcp:127.0.0.1:{port}"]["what"] == "answers OPTIONS"
        assert found["node node1"]["status"] == "ok"
        assert found["trace"]["status"] == "ok"
        assert " come to the sidecar at 127.0.0.1:" in found["trace"]["what"]
        for name in ("rtpengine", "exporter", "sidecar"):
            stack.halt(name)
        result = operator.types("doctor")
    assert result.exit_code == 1
    failures = [line.split("failed")[0].strip() for line in result.stdout.splitlines()[1:-2] if " failed " in line]
    assert failures == ["rtpengine node1", f"metrics {given.metrics.listen}", "trace"]


def test_a_configuration_with_problems_is_failed_with_each_of_them(operator: Operator) -> None:
    (operator.folder / "handoff.toml").write_text("[node]\nworkers = 0\n")
    result = operator.types("doctor", "--config", "handoff.toml")
    assert result.exit_code == 1
    assert "config node.workers" in result.stdout
    assert "config pools" in result.stdout
    assert "kamailio" in result.stdout


def test_without_any_configuration_it_says_what_to_start(operator: Operator) -> None:
    (operator.folder / "settings.json").unlink()
    result = operator.types("doctor")
    assert result.exit_code == 1
    assert "-> copy the example (cp deploy/handoff.toml handoff.toml)" in result.stdout


def test_a_configuration_that_was_changed_after_the_start_is_told_with_what_is_wrong_in_it(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = operator.folder / "handoff.toml"
    file.write_text('[[pools]]\nname = "a"\nnumbers = ["*"]\nagents = [{uri = "sip:a@127.0.0.1"}]\n')
    assert check_changed() == []  # not named: it may be anybody's
    monkeypatch.setenv("HANDOFF_CONFIG", str(file))
    started = (operator.folder / "settings.json").stat().st_mtime
    os.utime(file, (started, started - 1))
    assert check_changed() == []
    os.utime(file, (started, started + 1))
    (changed,) = check_changed()
    assert (changed.part, changed.status) == ("config file", "warning")
    assert "`systemctl restart handoff`" in changed.mend
    assert "config file" in operator.types("doctor").stdout
    file.write_text("[trace]\nmod = 1\n")
    os.utime(file, (started, started + 1))
    found = check_changed()
    assert statuses(found) == {"config trace.mod": "failed", "config pools": "failed"}
    assert all("would not start with it" in finding.what for finding in found)
    (operator.folder / "settings.json").unlink()
    assert check_changed() == []


def test_that_no_up_runs_is_said_once_and_to_whom_one_may_belong(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen = [f"udp:127.0.0.1:{free_port()}", f"tcp:127.0.0.1:{free_port('tcp')}"]
    (operator.folder / "settings.json").unlink()
    monkeypatch.delenv("HANDOFF_RUN_DIR")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(operator.folder))
    monkeypatch.setenv("HANDOFF_SETTINGS", str(operator.folder / "settings.json"))
    (operator.folder / "own.toml").write_text(
        f'sip.listen = {json.dumps(listen)}\nmetrics.listen = "127.0.0.1:{free_port("tcp")}"\n'
        f'[[pools]]\nname = "a"\nnumbers = ["*"]\nagents = [{{uri = "sip:a@127.0.0.1:{free_port()}"}}]\n'
    )
    for user, hint in ((0, False), (1000, True)):
        monkeypatch.setattr("os.getuid", lambda user=user: user)
        lines = operator.types("doctor", "--config", "own.toml").stdout.splitlines()
        assert len([line for line in lines if "`handoff up`" in line]) == 1
        (said,) = (line for line in lines if line.startswith("handoff up"))
        assert f"sip {listen[0]}, sip {listen[1]}, metrics" in said
        assert ("one that root runs is found with sudo" in said) is hint


def test_what_alone_is_away_is_told_by_itself() -> None:
    found = [failed("sip a", "away", START), ok("metrics b", "answers"), failed("node c", "silent", START)]
    assert say_once(found) == found


def test_a_pool_of_which_no_agent_answers_is_failed() -> None:
    uris = [f"sip:{name}@127.0.0.1:{free_port()}" for name in "ab"]
    (pool,) = settings(pools=[{**POOL, "agents": [{"uri": uri} for uri in uris]}]).pools
    found = check_pool(pool)
    assert statuses(found) == {"pool agents": "failed", f"agent {uris[0]}": "warning", f"agent {uris[1]}": "warning"}
    assert found[0].what == "none of its 2 agents answers; its calls are refused with 503"
    assert not any("goes on" in finding.what for finding in found)


def test_a_pool_with_one_agent_left_goes_on_without_the_other(host: SipHost) -> None:
    uris = [f"sip:a@127.0.0.1:{host.port}", f"sip:b@127.0.0.1:{free_port()}"]
    (pool,) = settings(pools=[{**POOL, "agents": [{"uri": uri} for uri in uris]}]).pools
    found = check_pool(pool)
    assert statuses(found) == {f"agent {uris[0]}": "ok", f"agent {uris[1]}": "warning"}
    assert found[1].what.endswith("; pool agents goes on without it")


def test_a_check_that_hangs_is_given_up_and_one_that_breaks_is_told() -> None:
    release = threading.Event()

    def hang() -> list[Finding]:
        release.wait(10.0)
        return []

    def fail() -> list[Finding]:
        raise RuntimeError("oops")

    began = time.monotonic()
    found = run_checks([("hanging", hang), ("broken", fail)], deadline=0.2)
    assert time.monotonic() - began < 5.0
    release.set()
    assert [(finding.part, finding.status) for finding in found] == [("hanging", "failed"), ("broken", "failed")]
    assert "did not end within 0.2 seconds" in found[0].what
    assert "RuntimeError: oops" in found[1].what


# --- rtpengine, SIP hosts, the exporter


def test_an_rtpengine_that_answers_pings_is_ok() -> None:
    with ScriptedServer(lambda _, cookie, __: [reply(cookie, result="pong")]) as server:
        assert check_media_node("media1", server.address)[0].status == "ok"


@pytest.fixture
def no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no name be found, as without a name server."""

    def find_none(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", find_none)


def test_an_rtpengine_that_does_not_answer_is_failed() -> None:
    (finding,) = check_media_node("media1", f"127.0.0.1:{free_port()}")
    assert (finding.status, "media1" in finding.what) == ("failed", True)


@pytest.mark.usefixtures("no_names")
def test_a_host_whose_name_is_not_found_is_told() -> None:
    assert "is not found" in check_agent("sip:a@agent.example.com")[0].what
    assert check_media_node("media1", "media.example.com:2223")[0].status == "failed"
    assert check_metrics(settings(metrics={"listen": "metrics.example.com:9464"}))[0].status == "failed"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_host_that_answers_options_is_ok(transport: str) -> None:
    with SipHost(lambda _, request: [respond(100, request), respond(200, request)]) as host:
        assert check_listening(f"{transport}:127.0.0.1:{host.port}")[0].status == "ok"
        uri = f"sip:agent@127.0.0.1:{host.port};transport={transport}"
        assert check_agent(uri)[0].what == "answers OPTIONS with 200"
    assert [request.split(b" ")[0] for request in host.requests] == [b"OPTIONS", b"OPTIONS"]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_answers_to_others_and_garbage_are_no_answers(transport: str) -> None:
    def script(_: int, request: bytes) -> list[bytes]:
        foreign = b"\r\n".join(b"Call-ID: x" if b"Call-ID" in line else line for line in request.split(b"\r\n"))
        return [b"\r\n\r\n", b"rubbish\r\n\r\n", respond(200, foreign).replace(b"z9hG4bK", b"z9hG4bK-")]

    with SipHost(script) as host, pytest.raises(NoAnswer):
        send_options(f"sip:127.0.0.1:{host.port}", transport, "127.0.0.1", host.port, deadline=0.7)
    assert host.requests


def test_options_over_udp_are_sent_again_when_the_first_is_lost() -> None:
    with SipHost(lambda number, request: [respond(200, request)] if number else []) as host:
        assert send_options(f"sip:127.0.0.1:{host.port}", "udp", "127.0.0.1", host.port) == 200
    assert len(host.requests) == 2
    assert host.requests[0] == host.requests[1]


def test_a_host_that_refuses_or_is_not_there_is_told() -> None:
    with SipHost(lambda _, request: [respond(503, request)]) as host:
        agent = check_agent(f"sip:a@127.0.0.1:{host.port}")[0]
        assert (agent.status, "503" in agent.what) == ("warning", True)
        assert check_listening(f"udp:127.0.0.1:{host.port}")[0].status == "warning"
    closed = free_port()
    for transport in ("udp", "tcp"):
        assert "refused" in check_listening(f"{transport}:127.0.0.1:{closed}")[0].what


def test_the_exporter_is_ok_when_it_answers_and_failed_otherwise() -> None:
    port = free_port("tcp")
    given = settings(metrics={"listen": f"127.0.0.1:{port}"})
    assert check_metrics(given)[0].status == "failed"
    with exporting(port):
        assert check_metrics(given)[0].status == "ok"


def test_an_exporter_that_still_starts_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the last to start, after handoff has said that it is ready."""
    port = free_port("tcp")
    with ExitStack() as later:
        monkeypatch.setattr("cli.diagnosis.peers.time.sleep", lambda _: later.enter_context(exporting(port)))
        (finding,) = check_metrics(settings(metrics={"listen": f"127.0.0.1:{port}"}))
    assert finding.status == "ok"


def test_something_else_at_the_place_of_the_exporter_is_failed() -> None:
    with SipHost(lambda _, __: [b"HTTP/1.0 200 OK\r\n\r\nhello"]) as host:
        (finding,) = check_metrics(settings(metrics={"listen": f"127.0.0.1:{host.port}"}))
    assert "is not our exporter" in finding.what


# --- this machine


def test_the_programs_are_there_with_their_versions() -> None:
    found = statuses(machine.check_programs(None))
    assert [found[name] for name in ("kamailio", "kamailio modules", "rtpengine", "redis-server")] == ["ok"] * 4
    assert "rtpengine" not in statuses(machine.check_programs(settings(rtpengine={"nodes": {"a": "127.0.0.1:2223"}})))


def test_programs_that_are_missing_too_old_or_broken_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    said: dict[str, str | None] = {"kamailio": None, "rtpengine": "Version: 9.4.1", "redis-server": "segfault"}
    monkeypatch.setattr(machine, "run_program", lambda command: said[command[0]])
    found = machine.check_programs(None)
    assert only(found, "kamailio").status == "failed"
    assert only(found, "rtpengine").mend == "install 10.5 or newer"
    assert only(found, "redis-server").status == "warning"


def test_missing_modules_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = {"-v": "version: kamailio 5.6.3", "-I": f"  Default paths to modules: {tmp_path}\n"}
    monkeypatch.setattr(machine, "run_program", lambda command: said[command[1]])
    modules = only(machine.check_kamailio(), "kamailio modules")
    assert modules.status == "failed"
    assert "app_python3.so" in modules.what


def test_a_program_that_hangs_or_is_not_there_is_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "PROGRAM_DEADLINE", 0.1)
    assert machine.run_program(("sleep", "10")) is None
    assert machine.run_program(("no-such-program",)) is None


def test_too_few_file_descriptors_are_a_warning_with_the_number_of_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 4096))
    finding = machine.check_descriptors(None)
    assert (finding.status, "102 calls" in finding.what) == ("warning", True)
    monkeypatch.setattr("resource.getrlimit", lambda _: (-1, -1))
    assert machine.check_descriptors(None).status == "ok"


def test_a_process_that_is_no_kamailio_is_not_taken_for_one() -> None:
    with subprocess.Popen(["sleep", "10"]) as process:
        assert "a daemon started from here" in machine.check_descriptors(process.pid).what
        process.terminate()
