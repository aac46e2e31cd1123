"""`handoff up` on the real daemons: it starts them, watches them, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.ports import free_port
from cli.probes import count_calls, http_answers, rtpengine_answers
from cli.speech.sound_file import duration
from cli.stack import Stack, StackError
from routing.records import Deadline
from routing.settings import make_settings
from routing.store import open_store
from routing.transfer_record import Standard
from tests.cli.lines import Lines
from tests.routing.store_help import RedisServer, a_call
from tests.stack.ua import Ua
from tests.stack.up import Up, a_config

FAKE = "#!/bin/sh\necho ' 0(1) ERROR: core: fake kamailio'\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_up_starts_everything_answers_and_ends_on_a_signal_with_nothing_left(
    tmp_path: Path, number: signal.Signals
) -> None:
    with Up(tmp_path) as up:
        up.await_ready()
        assert up.answers
        family = up.family
        names = {Path(f"/proc/{pid}/comm").read_text().strip() for pid in family}
        assert {"kamailio", "rtpengine", "redis-server"} <= names
        assert up.end(number) == 0
        up.assert_nothing_left(family)
    assert not up.run.exists()
    assert [line.partition(" ")[2] for line in up.lines.all[-2:]] == ["handoff   | stopping", "handoff   | stopped"]
    assert up.errors.all == []


def test_each_line_of_the_log_begins_with_the_time_of_day(tmp_path: Path) -> None:
    with Up(tmp_path) as up:
        up.await_ready()
        os.kill(up.leader("rtpengine"), signal.SIGKILL)
        up.lines.expect("starting it again")
        assert up.end() == 0
    log = [line for line in up.lines.all if " | " in line]
    assert len(log) >= 4
    assert [line for line in log if not re.match(r"\d\d:\d\d:\d\d\.\d{3} \w+ +\| ", line)] == []


def test_as_json_each_line_is_an_object_that_says_when_and_who(tmp_path: Path) -> None:
    """Where the parts listen is told the same way; a caller is no trunk here, so that Kamailio logs one, too.

    It is at the address of an agent, so that it is taken for one that calls somebody whom nobody knows.
    """
    with Up(tmp_path, log={"format": "json"}, trunks=[{"name": "carrier", "addresses": ["192.0.2.0/24"]}]) as up:
        up.lines.expect('"message": "ready"')
        host, port = up.listen[0].split(":")[1:]
        with Ua("stranger", proxy=(host, int(port))) as stranger:
            refused = stranger.invite(f"sip:x@{host}:{port}")
            stranger.ack(stranger.expect(404, to=refused))
        line = json.loads(up.lines.expect('"refused"'))
        assert up.end() == 0
    assert (line["program"], line["level"], line["refused"], line["status"]) == ("kamailio", "info", "INVITE", "404")
    assert line["reason"] == "No target x"
    assert line["sip_call_id"] == refused.call_id
    lines = [json.loads(each) for each in up.lines.all]
    assert all({"time", "program"} <= each.keys() for each in lines)
    assert [each["message"] for each in lines[-2:]] == ["stopping", "stopped"]


@pytest.mark.parametrize(
    ("count", "said"), [(1, "1 call is active and loses its"), (2, "2 calls are active and lose their")]
)
def test_the_end_tells_how_many_calls_lose_their_media(tmp_path: Path, count: int, said: str) -> None:
    with Up(tmp_path) as up:
        up.await_ready()
        with open_store(f"unix://{up.run}/redis.sock") as store:
            later = {Deadline.CHECK: time.time() + 600.0}
            for number in range(count):
                store.create(a_call(f"00000000000000a{number}", deadlines=later))
            store.create(a_call("00000000000000b0", node="node2", deadlines=later))
        assert up.end() == 0
    assert f"stopping; {said} media" in "\n".join(up.lines.all)


def test_a_redis_that_is_frozen_does_not_hold_up_the_count(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        with open_store(server.url) as store:
            store.create(a_call())
        assert (count_calls(server.url, "node1"), count_calls(server.url, "node2")) == (1, 0)
        server.freeze()
        began = time.monotonic()
        assert count_calls(server.url, "node1") is None
        assert time.monotonic() - began < 1.0
        server.stop()
        assert count_calls(server.url, "node1") is None


def test_up_says_what_listens_where(tmp_path: Path) -> None:
    with Up(tmp_path) as up:
        up.await_ready()
        port = up.listen[0].rpartition(":")[2]
        metrics = up.config["metrics"]["listen"]
        up.lines.expect(f"sip         udp 127.0.0.1:{port}, tcp 127.0.0.1:{port}")
        up.lines.expect("(ours, media at 127.0.0.1 ports 20000-29999)")
        up.lines.expect(f"redis       {up.run}/redis.sock (ours, data in {up.state})")
        up.lines.expect(f"metrics     http://{metrics}/metrics")
        assert up.end() == 0


def test_the_settings_in_the_run_dir_are_complete_and_for_their_owner_alone(tmp_path: Path) -> None:
    with Up(tmp_path) as up:
        up.await_ready()
        path = up.run / "settings.json"
        settings = json.loads(path.read_text())
        assert settings["redis"]["url"] == f"unix://{up.run}/redis.sock"
        assert rtpengine_answers(settings["rtpengine"]["nodes"]["node1"])
        assert path.stat().st_mode & 0o777 == 0o600
        assert up.end() == 0


def test_when_up_is_killed_its_daemons_go_and_the_next_one_takes_over_what_was_saved(tmp_path: Path) -> None:
    with Up(tmp_path) as up:
        up.await_ready()
        with open_store(f"unix://{up.run}/redis.sock") as store:
            store.put_target("support", b"{}")
        family = up.family
        assert up.end(signal.SIGKILL) == -signal.SIGKILL
        up.assert_nothing_left(family)
    with Up(tmp_path) as after:
        after.await_ready()
        with open_store(f"unix://{after.run}/redis.sock") as store:
            assert store.target("support") == b"{}"
        assert after.end() == 0
    assert not after.run.exists()


@pytest.mark.parametrize("name", ["kamailio", "rtpengine", "redis-server"])
def test_a_daemon_that_is_killed_is_started_again_and_its_workers_do_not_stay(tmp_path: Path, name: str) -> None:
    with Up(tmp_path) as up:
        up.await_ready()
        before = up.family
        os.kill(up.leader(name), signal.SIGKILL)
        up.lines.expect(f"handoff   | {name.removesuffix('-server')} was ended by SIGKILL: starting it again in 0.2 s")
        up.await_answer(name)
        assert up.leader(name) not in before
        family = before | up.family
        assert up.end() == 0
        up.assert_nothing_left(family)


def test_a_second_up_in_the_same_run_dir_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with Up(tmp_path) as up:
        up.await_ready()
        with Up(tmp_path) as second:
            assert second.status() == 1
        assert f"another handoff (process {up.process.pid}) uses this folder" in "\n".join(second.errors.all)
        assert up.answers
        assert up.end() == 0


def test_two_that_share_nothing_but_the_data_are_refused(tmp_path: Path) -> None:
    with Up(tmp_path) as up:
        up.await_ready()
        other = Up(tmp_path, run="other")
        other._command[-1] = str(up.state)
        with other:
            assert other.status() == 1
        assert str(up.state) in "\n".join(other.errors.all)
        assert not other.run.exists()
        assert up.end() == 0


def test_taken_ports_are_told_with_who_has_them_and_nothing_is_started(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with Up(tmp_path, sip={"listen": [f"udp:127.0.0.1:{port}"]}) as up:
            assert up.status() == 1
    text = "\n".join(up.errors.all)
    assert f"sip.listen[0]: udp 127.0.0.1 port {port} is taken by " in text
    assert f"(process {os.getpid()}); stop that, or use another port" in text
    assert up.lines.all == []
    assert not up.run.exists()


def test_redis_and_rtpengine_that_do_not_answer_are_told_together(tmp_path: Path) -> None:
    away = f"unix://{tmp_path}/none.sock"
    with Up(tmp_path, redis={"url": away}, rtpengine={"nodes": {"m1": f"127.0.0.1:{free_port()}"}}) as up:
        assert up.status() == 1
    text = "\n".join(up.errors.all)
    assert "redis.url: Redis at " in text
    assert "rtpengine.nodes.m1: rtpengine does not answer" in text


def test_a_broken_configuration_is_told_whole_with_status_2_and_without_a_traceback(tmp_path: Path) -> None:
    with Up(tmp_path, node={"workers": 0}, sip={"lisen": ["udp:127.0.0.1"]}, pools=[]) as up:
        assert up.status() == 2
    text = "\n".join(up.errors.all)
    assert "run.toml has 3 problems:" in text
    assert {"node.workers", "sip.lisen", "pools"} <= {line.strip().partition(":")[0] for line in up.errors.all}
    assert "Traceback" not in text


def test_without_a_configuration_up_says_how_to_make_one(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "HANDOFF_CONFIG"}
    command = [sys.executable, "-m", "cli.main", "up"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "cp deploy/handoff.toml handoff.toml" in done.stderr


def test_a_kamailio_that_keeps_dying_ends_everything_with_its_last_lines(tmp_path: Path) -> None:
    with Up(tmp_path, environ=fake_kamailio(tmp_path, "exit 9")) as up:
        assert up.status() == 1
    up.errors.expect("kamailio died 5 times within 10 s; the last lines of its log:")
    up.errors.expect("fake kamailio")
    up.lines.expect("handoff   | kamailio ended with status 9: starting it again in 1.6 s")
    assert not up.run.exists()


def test_a_signal_before_it_is_ready_ends_it_as_well(tmp_path: Path) -> None:
    with Up(tmp_path, environ=fake_kamailio(tmp_path, "exec sleep 1000")) as up:
        up.lines.expect("fake kamailio")
        family = up.family
        assert up.end() == 0
        up.assert_nothing_left(family)
    assert up.lines.all[-1].endswith("stopped before it was ready")
    assert not up.run.exists()


def test_up_ends_although_nobody_reads_what_it_says(tmp_path: Path) -> None:
    flood = "while :; do echo ' 0(1) ERROR: core: flood'; done"
    up = Up(tmp_path, environ=fake_kamailio(tmp_path, flood))
    read, write = os.pipe()
    with subprocess.Popen(up._command, stdout=write, env=up._environ) as process:
        os.close(write)
        select.select([read], [], [])
        process.terminate()
        assert process.wait(30.0) == 0
    os.close(read)


def test_a_stack_within_a_program_tells_ports_and_processes_and_restarts_single_daemons(tmp_path: Path) -> None:
    settings = make_settings(a_config())
    with Stack(settings, tmp_path / "run", tmp_path / "state") as stack:
        first = stack.processes
        assert set(first) == {"redis", "rtpengine", "kamailio", "sidecar", "exporter"}
        assert stack.ports["udp"] == stack.ports["tcp"] == int(settings.sip.listen[0].rpartition(":")[2])
        stack.wait_for("exporter")
        assert http_answers(settings.metrics.listen)
        stack.restart("rtpengine")
        assert stack.processes["rtpengine"] != first["rtpengine"]
        assert rtpengine_answers(f"127.0.0.1:{stack.ports['rtpengine']}")
        stack.halt("redis")
        assert "redis" not in stack.processes
        stack.resume("redis")
        assert stack.processes["kamailio"] == first["kamailio"]
    assert stack.processes == {}
    assert not (tmp_path / "run").exists()


def test_a_stack_uses_the_redis_and_the_rtpengine_of_another(tmp_path: Path) -> None:
    with Stack(make_settings(a_config()), tmp_path / "a", tmp_path / "s") as first:
        nodes = {**first.settings.rtpengine.nodes, "away": f"127.0.0.1:{free_port()}"}
        shared = a_config(redis={"url": first.settings.redis.url}, rtpengine={"nodes": nodes})
        lines = Lines()
        with Stack(make_settings(shared), tmp_path / "b", tmp_path / "none", say=lines.say) as second:
            assert set(second.processes) == {"kamailio", "sidecar", "exporter"}
            lines.expect("handoff: warning: rtpengine.nodes.away: rtpengine does not answer")
            assert "rtpengine" not in second.ports
    assert sorted(path.name for path in (tmp_path / "none").iterdir()) == ["sounds"]


def test_when_a_stack_is_ready_the_standard_sounds_are_in_its_state_dir_and_rtpengine_tells_of_keys(
    tmp_path: Path,
) -> None:
    with Stack(make_settings(a_config()), tmp_path / "run", tmp_path / "state") as stack:
        folder = tmp_path / "state" / "sounds"
        assert stack.settings.speech.folder == str(folder)
        assert [name for name in Standard if not duration(folder / f"{name}.aiff")] == []
        told = Path(f"/proc/{stack.processes['rtpengine']}/cmdline").read_bytes().split(b"\0")
        assert f"--dtmf-log-dest={stack.settings.rtpengine.dtmf_listen}".encode() in told


def test_without_a_speech_engine_a_stack_starts_and_says_what_cannot_be_spoken(tmp_path: Path) -> None:
    lines = Lines()
    settings = make_settings(a_config(speech={"command": "no-such-engine {file}"}))
    with Stack(settings, tmp_path / "run", tmp_path / "state", say=lines.say):
        lines.expect("sidecar: speech failed sound=message: the speech engine no-such-engine is not installed")
        assert duration(tmp_path / "state" / "sounds" / "music.aiff") > 20.0


def test_a_folder_of_sounds_that_cannot_be_made_is_told_and_nothing_is_started(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with Up(tmp_path, speech={"folder": str(tmp_path / "file" / "sounds")}) as up:
        assert up.status() == 1
    assert f"speech.folder: the folder {tmp_path}/file/sounds cannot be made (Not a directory)" in up.errors.all[1]
    assert not up.run.exists()


def test_a_stack_that_cannot_start_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in fake_kamailio(tmp_path, "exit 1").items():
        monkeypatch.setenv(name, value)
    stack = Stack(make_settings(a_config()), tmp_path / "run", tmp_path / "state")
    with pytest.raises(StackError, match="kamailio died 5 times"):
        stack.start()
    assert stack.processes == {}
    assert not (tmp_path / "run").exists()


def fake_kamailio(folder: Path, script: str) -> dict[str, str]:
    """Put a shell script in the place of Kamailio; give the environment in which it is found."""
    path = folder / "bin" / "kamailio"
    path.parent.mkdir()
    path.write_text(FAKE + script)
    path.chmod(0o755)
    return {"PATH": f"{path.parent}:{os.environ['PATH']}"}
