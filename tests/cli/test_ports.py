"""A port that cannot be had is a sentence with the reason and the mend."""

from __future__ import annotations

import os
import socket

import pytest

from cli.ports import find_port_problem, free_port, split_listen


@pytest.mark.parametrize(
    ("text", "parts"),
    [("udp:127.0.0.1:5060", ("udp", "127.0.0.1", 5060)), ("tcp:[::1]:5062", ("tcp", "::1", 5062))],
)
def test_a_place_to_listen_is_taken_apart(text: str, parts: tuple[str, str, int]) -> None:
    assert split_listen(text) == parts


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_free_port_is_no_problem(transport: str) -> None:
    assert find_port_problem("here", transport, "127.0.0.1", free_port(transport)) is None


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_taken_port_is_told_with_the_process_that_has_it(transport: str) -> None:
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if transport == "tcp":
            taken.listen()
        port = taken.getsockname()[1]
        problem = str(find_port_problem("sip.listen[0]", transport, "127.0.0.1", port))
    assert problem.startswith(f"sip.listen[0]: {transport} 127.0.0.1 port {port} is taken by ")
    assert f"(process {os.getpid()}); stop that, or use another port" in problem


def test_of_a_process_that_we_may_not_see_it_is_told_how_root_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.ports._holders", lambda *_: [])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        problem = str(find_port_problem("sip.listen[0]", "udp", "127.0.0.1", port))
    assert "is taken by another program; stop that" in problem
    assert f"`ss -lntup sport = :{port}` names it to root" in problem


def test_an_address_of_another_machine_is_a_problem() -> None:
    problem = find_port_problem("rtpengine.interface", "udp", "192.0.2.1", 0)
    assert str(problem).startswith("rtpengine.interface: 192.0.2.1 is no address of this machine; ")


def test_a_port_that_needs_rights_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("socket.socket.bind", refuse)
    problem = str(find_port_problem("sip.listen[0]", "udp", "127.0.0.1", 506))
    assert "udp 127.0.0.1 port 506 needs rights that this user does not have; use a port above 1023" in problem


def test_a_host_name_that_nobody_knows_is_a_problem() -> None:
    problem = str(find_port_problem("metrics.listen", "tcp", "no-such-host.invalid", 9464))
    assert problem.startswith("metrics.listen: tcp no-such-host.invalid port 9464 cannot be used (")
