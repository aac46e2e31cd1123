"""`handoff targets test` against real phones, and against hosts that are out of order in each way."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from cli.phones import Line, Phones, State
from routing.secrets import Secret
from routing.targets import Target
from tests.cli.answering import SipHost, respond
from tests.stack.baresip import Baresip
from tests.stack.pbx import PASSWORD, USER, Pbx
from tests.stack.rtp import RtpPeer
from tests.stack.tls_peer import Authority, TlsPeer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.operator import Operator

CODECS = ("PCMU", "PCMA", "G722")
DEAD = 15.0
"""Seconds in which the test of a dead endpoint has to end."""


@pytest.fixture(scope="module")
def phones() -> Iterator[Phones]:
    with Phones() as phones:
        yield phones


def run_test(operator: Operator, *endpoints: Any, options: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    """Test a target with these endpoints; gives what the command writes, its exit code among it."""
    target = Target.make({"name": "desk", "codecs": CODECS, "endpoints": endpoints, **fields})
    with operator.store() as store:
        store.put_target("desk", target.to_json())
    result = operator.types("targets", "test", "desk", "--json", *options)
    return {**json.loads(result.stdout), "exit": result.exit_code}


def checks(result: dict[str, Any], endpoint: int = 0) -> dict[str, str]:
    return {check["part"]: check["status"] for check in result["endpoints"][endpoint]["checks"]}


def said(result: dict[str, Any], part: str, endpoint: int = 0) -> str:
    (check,) = [each for each in result["endpoints"][endpoint]["checks"] if each["part"] == part]
    return f"{check['what']} -> {check['mend']}"


def test_a_healthy_phone_rings_for_a_moment_and_nothing_is_wrong(operator: Operator, phones: Phones) -> None:
    phone = phones.add("healthy", tone=700)
    result = run_test(operator, phone.uri)
    parts = ["dns", "options", "call", *(f"codec {codec}" for codec in CODECS), "REFER", "Replaces"]
    assert checks(result) == dict.fromkeys(parts, "ok")
    assert (result["exit"], result["ok"]) == (0, True)
    assert "sound (it did not answer" in result["endpoints"][0]["not_tested"][0]
    for call in [phone.incoming() for _ in range(4)]:
        call.wait(State.DISCONNECTED)


def test_with_quiet_nothing_rings(operator: Operator, phones: Phones) -> None:
    phone = phones.add("quiet", tone=710)
    result = run_test(operator, phone.uri, options=("--quiet",))
    assert checks(result) == {"dns": "ok", "options": "ok", "REFER": "ok", "Replaces": "ok"}
    assert phone.calls == []


def test_with_ring_a_phone_that_answers_is_heard_both_ways(operator: Operator, phones: Phones) -> None:
    phone = phones.add("answering", tone=720, answer_after=0.3)
    result = run_test(operator, phone.uri, options=("--ring",))
    assert said(result, "call").startswith("answered, codec PCMU")
    assert {part: checks(result)[part] for part in ("sound from it", "sound to it", "latency")} == {
        "sound from it": "ok",
        "sound to it": "ok",
        "latency": "ok",
    }
    assert result["exit"] == 0
    phone.incoming().wait(State.DISCONNECTED)


def test_a_phone_that_is_busy_is_a_warning(operator: Operator, phones: Phones) -> None:
    phone = phones.add("busy", tone=730, answer_after=0.0, answer_with=486, ring=False)
    result = run_test(operator, phone.uri)
    assert checks(result)["call"] == "warning"
    assert "486" in said(result, "call")
    assert result["exit"] == 0


def test_a_phone_with_other_codecs_is_told_with_those_that_it_refused(operator: Operator, phones: Phones) -> None:
    phone = phones.add("g722", tone=740, codecs=("G722",))
    result = run_test(operator, phone.uri, codecs=("PCMU", "PCMA"))
    assert {checks(result)[part] for part in ("call", "codec PCMU", "codec PCMA")} == {"failed"}
    assert "no common codec (488" in said(result, "call")
    assert "that it has: --codec;" in said(result, "call")
    assert result["exit"] == 1


def test_login_is_judged_by_what_a_real_registrar_says(operator: Operator, phones: Phones) -> None:
    with Pbx("SHA-256") as pbx:
        phones.add("1007", tone=750, line=Line(registrar=f"sip:{pbx.host}"))
        pbx.wait_for("1007")
        uris = [f"sip:1007@{pbx.host}:5060", f"sip:1007@{pbx.host}:5060;x=1", f"sip:1007@{pbx.host}:5060;x=2"]
        right, wrong, none = (
            {"uri": uris[0], "user": USER, "secret": Secret.of(PASSWORD).stored()},
            {"uri": uris[1], "user": USER, "secret": Secret.of("another").stored()},
            uris[2],
        )
        result = run_test(operator, right, codecs=("PCMU",))
        assert (checks(result)["login"], checks(result)["call"]) == ("ok", "ok")
        result = run_test(operator, wrong, none, codecs=("PCMU",))
    assert (checks(result)["login"], result["exit"]) == ("failed", 1)
    assert "refuses the credentials -> check user and secret" in said(result, "login")
    assert "there is none -> give user and secret" in said(result, "login", 1)


@pytest.mark.parametrize("trouble", ["expired", "another name", "unknown authority", "none"])
def test_certificates_are_judged_as_kamailio_would(operator: Operator, tmp_path: Path, trouble: str) -> None:
    authority, other = Authority(tmp_path / "ca"), Authority(tmp_path / "other")
    names = ["elsewhere.test"] if trouble == "another name" else ["127.0.0.1"]
    files = authority.certify("peer", *names, expired=trouble == "expired")
    ca_file = other.ca_file if trouble == "unknown authority" else authority.ca_file
    with TlsPeer(*files) as peer:
        result = run_test(operator, f"sips:desk@127.0.0.1:{peer.port}", ca_file=str(ca_file), options=("--quiet",))
    words = {
        "expired": "certificate has expired; it ended",
        "another name": "is not valid for",
        "unknown authority": "--ca-file",
        "none": "days left, for",
    }[trouble]
    assert words in said(result, "certificate")
    assert checks(result)["certificate"] == ("ok" if trouble == "none" else "failed")
    assert result["exit"] == 1  # the peer is silent even where its certificate is good


def test_a_closed_port_is_told_at_once(operator: Operator) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    result = run_test(operator, f"sip:desk@127.0.0.1:{port}", f"sip:desk@127.0.0.1:{port};transport=tcp")
    assert "connection refused" in said(result, "udp")
    assert "connection refused" in said(result, "tcp", 1)
    assert result["exit"] == 1


def test_a_host_that_swallows_packets_is_given_up_in_time(operator: Operator) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hole, socket.create_server(("127.0.0.1", 0)) as listener:
        hole.bind(("127.0.0.1", 0))
        uris = (hole.getsockname()[1], f"{listener.getsockname()[1]};transport=tcp")
        began = time.monotonic()
        result = run_test(operator, *(f"sip:desk@127.0.0.1:{rest}" for rest in uris))
        assert time.monotonic() - began < DEAD
    for endpoint in range(2):
        assert said(result, "options", endpoint).startswith("no reply in 4 s -> see that it runs")
        assert checks(result, endpoint)["call"] == "failed"


def answering(sdp: str, status: int = 200) -> Any:
    """Make the script of a host that answers each call at once, with this SDP."""

    def script(_: int, request: bytes) -> list[bytes]:
        if request.startswith(b"ACK"):
            return []
        if not request.startswith(b"INVITE"):
            return [respond(200, request)]
        head = respond(status, request).partition(b"Content-Length")[0]
        uri = request.split(b" ")[1]
        more = b"Contact: <" + uri + b">\r\nContent-Type: application/sdp\r\n"
        return [head + more + b"Content-Length: %d\r\n\r\n" % len(sdp) + sdp.encode()]

    return script


def test_a_phone_without_a_microphone_fails(operator: Operator) -> None:
    with Baresip(None, codec="PCMU/8000/1") as phone:
        result = run_test(operator, phone.uri, options=("--ring",), codecs=("PCMU",))
    assert (checks(result)["call"], checks(result)["sound from it"], checks(result)["sound to it"]) == (
        "ok",
        "failed",
        "ok",
    )
    assert "no RTP in" in said(result, "sound from it")
    assert result["exit"] == 1


def test_a_phone_that_is_muted_is_a_warning(operator: Operator, phones: Phones) -> None:
    phone = phones.add("muted", tone=0, answer_after=0.1)
    result = run_test(operator, phone.uri, options=("--ring",), codecs=("PCMU",))
    assert checks(result)["sound from it"] == "warning"
    assert "all of it is silence -> see whether its microphone is muted" in said(result, "sound from it")
    assert result["exit"] == 0
    phone.incoming().wait(State.DISCONNECTED)


def test_a_phone_with_an_expired_certificate_is_not_called(operator: Operator, phones: Phones, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.certify("phone", "127.0.0.1", expired=True)
    phone = phones.add("expired", tone=760, line=Line(transport="tls", certificate=certificate, key=key))
    result = run_test(operator, phone.uri, ca_file=str(authority.ca_file))
    assert checks(result) == {"dns": "ok", "tls": "ok", "certificate": "failed"}
    assert "expired; it ended" in said(result, "certificate")
    assert "renew the certificate of 127.0.0.1" in said(result, "certificate")
    assert result["endpoints"][0]["certificate_days"] < 0
    assert result["exit"] == 1
    assert phone.calls == []


def test_one_that_answers_but_sends_no_sound_fails(operator: Operator) -> None:
    with RtpPeer() as silent, SipHost(answering(silent.sdp())) as host:
        result = run_test(operator, f"sip:desk@127.0.0.1:{host.port};transport=udp", codecs=("PCMU",))
        assert silent.packets()
    assert (checks(result)["call"], checks(result)["sound from it"]) == ("ok", "failed")
    assert "no RTP in" in said(result, "sound from it")
    assert checks(result)["sound to it"] == "warning"
    assert "it does not say what arrived" in said(result, "sound to it")
    assert result["exit"] == 1


@pytest.mark.parametrize("direction", ["sendonly", "recvonly", "inactive"])
def test_one_that_wants_sound_one_way_only_is_taken_at_its_word(operator: Operator, direction: str) -> None:
    with RtpPeer() as peer:
        with SipHost(answering(peer.sdp(direction=direction))) as host:
            result = run_test(operator, f"sip:desk@127.0.0.1:{host.port};transport=udp", codecs=("PCMU",))
        assert bool(peer.packets()) == (direction == "recvonly")
    from_it = "no RTP in" if direction == "sendonly" else f"it says that it sends none (a={direction})"
    to_it = "packets sent" if direction == "recvonly" else f"its answer wants no sound (a={direction})"
    assert from_it in said(result, "sound from it")
    assert to_it in said(result, "sound to it")
    assert result["exit"] == 1


def test_an_answer_without_audio_is_told_as_such(operator: Operator) -> None:
    sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n"
    with SipHost(answering(sdp)) as host:
        result = run_test(operator, f"sip:desk@127.0.0.1:{host.port};transport=udp", codecs=("PCMU",))
    assert "it answers without sound -> see whether it is a phone" in said(result, "sound from it")
    assert result["endpoints"][0]["not_tested"] == []
    assert result["exit"] == 1
