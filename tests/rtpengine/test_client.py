"""The client against a scripted server on loopback."""

from __future__ import annotations

import os
import socket
import time

import pytest

from rtpengine import (
    BadAddress,
    BadReply,
    Client,
    CommandRefused,
    DeadlineExceeded,
    Delete,
    NodeUnreachable,
    Offer,
    Ping,
    Pong,
)
from tests.rtpengine.scripted import ScriptedServer, reply

PATIENT = 5.0


def ask(server: ScriptedServer, *, deadline: float = PATIENT) -> Pong:
    client = Client("media1", server.address, deadline=deadline)
    try:
        return client.request(Ping())
    finally:
        client.close()


def test_a_command_gets_its_reply() -> None:
    with ScriptedServer(lambda _, cookie, __: [reply(cookie, result="pong")]) as server:
        assert ask(server) == Pong()
    assert len(server.received) == 1


def test_a_lost_command_is_sent_again_with_the_same_cookie() -> None:
    with ScriptedServer(lambda n, cookie, _: [reply(cookie, result="pong")] if n else []) as server:
        assert ask(server) == Pong()
    assert len(server.received) == 2
    assert server.received[0] == server.received[1]


def test_foreign_cookies_and_garbage_are_passed_over() -> None:
    noise = [b"", b"\x00\xff", b"garbage", b'0000 {"result":"error"}', b"{}"]
    with ScriptedServer(lambda _, cookie, __: [*noise, reply(cookie, result="pong")]) as server:
        assert ask(server) == Pong()


def test_a_late_reply_does_not_answer_the_next_command() -> None:
    cookies: list[bytes] = []

    def script(number: int, cookie: bytes, _: bytes) -> list[bytes]:
        cookies.append(cookie)
        late = [reply(cookies[0], result="error")]
        return [] if cookie == cookies[0] else [*late, reply(cookie, result="pong")]

    with ScriptedServer(script) as server:
        client = Client("media1", server.address, deadline=0.04)
        with pytest.raises(DeadlineExceeded):
            client.request(Ping())
        client.deadline = PATIENT
        assert client.request(Ping()) == Pong()
        client.close()


def test_a_duplicated_reply_does_not_answer_the_next_command() -> None:
    def script(_: int, cookie: bytes, document: bytes) -> list[bytes]:
        return [reply(cookie, result="pong")] * 2 if b"ping" in document else [reply(cookie, sdp="v=0")]

    with ScriptedServer(script) as server:
        client = Client("media1", server.address, deadline=PATIENT)
        assert client.request(Ping()) == Pong()
        assert client.request(Offer("c1", "caller", "v=0")).sdp == "v=0"
        client.close()


def test_what_is_only_told_is_sent_once_and_its_reply_does_not_answer_the_next_command() -> None:
    def script(_: int, cookie: bytes, document: bytes) -> list[bytes]:
        return [reply(cookie, result="pong" if b"ping" in document else "error")]

    with ScriptedServer(script) as server:
        client = Client("media1", server.address, deadline=PATIENT)
        client.tell(Delete("c1"))
        assert client.request(Ping()) == Pong()
        client.close()
    assert [b"delete" in datagram for datagram in server.received] == [True, False]


def test_a_silent_node_costs_the_deadline_and_no_more() -> None:
    with ScriptedServer(lambda *_: []) as server:
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded, match=r"'media1' did not answer 'ping' within 0.12 s") as silent:
            ask(server, deadline=0.12)
        assert 0.12 <= time.monotonic() - started < PATIENT
    assert (silent.value.node, silent.value.command, silent.value.seconds) == ("media1", "ping", 0.12)
    assert len(set(server.received)) == 1


def test_a_flood_of_foreign_datagrams_does_not_stretch_the_deadline() -> None:
    ticks = iter(range(1000))
    with ScriptedServer(lambda *_: [b"noise"] * 1000) as server:
        client = Client("media1", server.address, deadline=20, clock=lambda: float(next(ticks)))
        with pytest.raises(DeadlineExceeded):
            client.request(Ping())
        client.close()
    assert next(ticks) < 100


def test_a_refusal_is_passed_on() -> None:
    with (
        ScriptedServer(lambda _, cookie, __: [reply(cookie, **{"result": "error", "error-reason": "no"})]) as server,
        pytest.raises(CommandRefused, match="no"),
    ):
        ask(server)


def test_something_else_than_ng_behind_our_cookie_is_a_bad_reply() -> None:
    with ScriptedServer(lambda _, cookie, __: [cookie + b" hello"]) as server, pytest.raises(BadReply, match="hello"):
        ask(server)


def unused_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def test_a_node_that_does_not_run_is_known_at_once() -> None:
    client = Client("media1", unused_address(), deadline=PATIENT)
    started = time.monotonic()
    with pytest.raises(NodeUnreachable, match="Connection refused") as unreachable:
        client.request(Ping())
    assert time.monotonic() - started < PATIENT / 2
    assert unreachable.value.reason == "Connection refused"


def test_the_belated_echo_of_an_earlier_failure_is_forgiven() -> None:
    """Linux reports on the next call that an earlier datagram found nobody; by then the node may be up."""
    with ScriptedServer(lambda _, cookie, __: [reply(cookie, result="pong")]) as server:
        client = Client("media1", server.address, deadline=PATIENT)
        assert client.request(Ping()) == Pong()
        for ask in (client.request, client.tell):
            assert client._socket is not None
            host, port = server.address.split(":")
            client._socket.connect(("127.0.0.1", int(unused_address().split(":")[1])))
            client._socket.send(b"nobody there")
            client._socket.connect((host, int(port)))
            ask(Ping())
        assert client.request(Ping()) == Pong()
        client.close()
    assert len(server.received) == 4


def test_a_host_that_cannot_be_found_is_unreachable() -> None:
    client = Client("media1", "no-such-host.invalid:2223")
    for ask in (client.request, client.tell):
        with pytest.raises(NodeUnreachable, match="media1"):
            ask(Ping())


def test_a_command_too_long_for_a_datagram_is_refused_and_not_sent() -> None:
    with ScriptedServer(lambda *_: []) as server:
        client = Client("media1", server.address)
        with pytest.raises(CommandRefused, match="fit into a datagram"):
            client.request(Offer("c1", "caller", "x" * 70000))
    assert server.received == []


def test_each_process_opens_a_socket_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(lambda _, cookie, __: [reply(cookie, result="pong")]) as server:
        client = Client("media1", server.address, deadline=PATIENT)
        client.request(Ping())
        before = client._socket
        client.request(Ping())
        assert client._socket is before
        parent = os.getpid()
        monkeypatch.setattr(os, "getpid", lambda: parent + 1)
        assert client.request(Ping()) == Pong()
        assert client._socket is not before
        client.close()


def test_closing_twice_or_before_use_is_nothing() -> None:
    client = Client("media1", "127.0.0.1:2223")
    client.close()
    client.close()
    assert client._socket is None


def test_ipv6_is_written_in_brackets() -> None:
    client = Client("media1", "[::1]:2223")
    assert (client._host, client._port) == ("::1", 2223)


@pytest.mark.parametrize(
    "address", ["", "localhost", ":2223", "h:", "h:0", "h:65536", "h:x", "h:²", "::1:2223", "h:-1"]
)
def test_an_address_that_is_none_is_told_as_such(address: str) -> None:
    with pytest.raises(BadAddress, match="is not host:port") as bad:
        Client("media1", address)
    assert (bad.value.node, bad.value.address) == ("media1", address)
