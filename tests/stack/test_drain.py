"""`handoff up` that is to end while calls are alive: with node.drain it lets them end, and takes no new ones."""

from __future__ import annotations

import signal
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from cli.diagnosis.options import send_options
from cli.diagnosis.peers import check_listening
from routing.records import Deadline
from routing.store import open_store
from tests.routing.store_help import a_call
from tests.stack.rtp import RtpPeer
from tests.stack.talk import NUMBER
from tests.stack.ua import Ua
from tests.stack.up import Up

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from routing.store import Store

LONG = {"id": "node1", "workers": 1, "drain": 600.0}


def saved(store: Store) -> str:
    """Put a call of this node into Redis; give its id."""
    call = a_call("00000000000000c0", deadlines={Deadline.CHECK: time.time() + 600.0})
    store.create(call)
    return call.id


@contextmanager
def redis_of(up: Up) -> Iterator[Store]:
    with open_store(f"unix://{up.run}/redis.sock") as store:
        yield store


def test_a_call_goes_on_and_ends_as_usual_while_new_ones_get_503_and_then_everything_ends(tmp_path: Path) -> None:
    with Ua("agent") as agent, RtpPeer() as voice:
        agent.allow("OPTIONS")
        pools = [{"name": "agents", "numbers": ["*"], "agents": [{"uri": agent.uri}]}]
        with Up(tmp_path, node=LONG, pools=pools) as up:
            up.await_ready()
            port = int(up.listen[0].rpartition(":")[2])
            with Ua("caller", proxy=("127.0.0.1", port)) as caller:
                uri = f"sip:{NUMBER}@127.0.0.1:{port}"
                sent = caller.invite(uri, sdp=voice.sdp())
                invite = agent.expect("INVITE")
                agent.reply(invite, 200, sdp=voice.sdp())
                answer = caller.expect(200, to=sent)
                caller.ack(answer)
                agent.expect("ACK")
                up.process.send_signal(signal.SIGTERM)
                up.lines.expect("taking no new calls; 1 call may end within 600 s")
                refused = caller.expect(503, to=caller.invite(uri, sdp=voice.sdp()))
                assert refused["Retry-After"] == "60"
                assert send_options(f"sip:127.0.0.1:{port}", "udp", "127.0.0.1", port) == 503
                assert "it is about to end" in check_listening(up.listen[0])[0].what
                bye = caller.request("BYE", caller.dialog(answer))
                agent.reply(agent.expect("BYE"), 200)
                caller.expect(200, to=bye)
                assert up.status() == 0
    assert [line.partition(" ")[2] for line in up.lines.all[-2:]] == ["handoff   | stopping", "handoff   | stopped"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_another_signal_ends_it_at_once(tmp_path: Path, number: signal.Signals) -> None:
    with Up(tmp_path, node=LONG) as up:
        up.await_ready()
        with redis_of(up) as store:
            saved(store)
        up.process.send_signal(signal.SIGTERM)
        up.lines.expect("SIGTERM again stops at once")
        assert up.end(number) == 0
    up.lines.expect("stopping; 1 call is active and loses its media")


def test_calls_that_do_not_end_in_time_are_not_waited_for(tmp_path: Path) -> None:
    with Up(tmp_path, node=LONG | {"drain": 1.5}) as up:
        up.await_ready()
        with redis_of(up) as store:
            saved(store)
        assert up.end(signal.SIGTERM) == 0
    up.lines.expect("stopping; 1 call is active and loses its media")


def test_ctrl_c_waits_for_no_call(tmp_path: Path) -> None:
    with Up(tmp_path, node=LONG) as up:
        up.await_ready()
        with redis_of(up) as store:
            saved(store)
        assert up.end(signal.SIGINT) == 0
    assert not any("taking no new calls" in line for line in up.lines.all)


def test_systemd_is_told_when_it_is_ready_how_many_calls_are_left_and_that_it_ends(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"{tmp_path}/notify")
        systemd.settimeout(30.0)
        with Up(tmp_path, node=LONG, environ={"NOTIFY_SOCKET": f"{tmp_path}/notify"}) as up:
            assert systemd.recv(100) == b"READY=1"
            with redis_of(up) as store:
                saved(store)
            up.process.send_signal(signal.SIGTERM)
            assert systemd.recv(100) == b"STATUS=taking no new calls, 1 call left"
            assert up.end(signal.SIGTERM) == 0
            told = systemd.recv(100)
            while told.startswith(b"STATUS="):
                told = systemd.recv(100)
            assert told == b"STOPPING=1"


def test_a_systemd_that_does_not_listen_holds_up_nothing(tmp_path: Path) -> None:
    with Up(tmp_path, environ={"NOTIFY_SOCKET": "@nobody-listens-here"}) as up:
        up.await_ready()
        assert up.end(signal.SIGTERM) == 0
