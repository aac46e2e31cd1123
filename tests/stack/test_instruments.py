"""The instruments themselves: SIPp, the scripted user agent, the wire capture and the RTP peer, against one another."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.stack.frames import FramePeer, numbers
from tests.stack.message import Message
from tests.stack.rtp import RtpPeer
from tests.stack.sipp import ANSWERER, CALLER, Sipp, SippError, receive, reply, scenario
from tests.stack.system import System
from tests.stack.ua import Ua
from tests.stack.wire import RtpWire, Wire

if TYPE_CHECKING:
    from tests.stack.dialog import Dialog

SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"


def connected(caller: Ua, agent: Ua) -> tuple[Dialog, Dialog]:
    invite = caller.invite(agent.uri, sdp=SDP)
    incoming = agent.expect("INVITE")
    agent.reply(incoming, 200, sdp=SDP)
    answer = caller.expect(200, to=invite)
    caller.ack(answer)
    agent.expect("ACK")
    return caller.dialog(answer), agent.dialog(incoming)


# -- SIPp


def test_two_sipps_call_one_another() -> None:
    with (
        Sipp(ANSWERER, calls=3) as agent,
        Sipp(CALLER, remote=("127.0.0.1", agent.port), calls=3, rate=50) as caller,
    ):
        caller.wait()
        agent.wait()


def test_a_sipp_that_fails_says_what_it_saw() -> None:
    busy = scenario(receive("INVITE"), reply(486, "Busy Here"), receive("ACK"))
    with (
        pytest.raises(SippError, match="486 Busy Here") as failed,
        Sipp(busy) as agent,
        Sipp(CALLER, remote=("127.0.0.1", agent.port)) as caller,
    ):
        caller.wait()
    assert "status 1" in str(failed.value)


def test_a_sipp_that_never_gets_its_call_fails_by_its_deadline() -> None:
    with pytest.raises(SippError, match="status"), Sipp(ANSWERER, seconds=1):
        pass


def test_a_sipp_with_a_bad_scenario_does_not_start() -> None:
    with pytest.raises(SippError, match="does not start"), Sipp("<scenario><nonsense/></scenario>"):
        pass


def test_a_sipp_is_killed_when_the_test_fails_inside() -> None:
    started = time.monotonic()
    with pytest.raises(KeyError), Sipp(ANSWERER, seconds=60):
        raise KeyError
    assert time.monotonic() - started < 2


# -- user agent


def test_the_user_agent_answers_sipp_and_the_wire_sees_each_message_once() -> None:
    with Ua("agent") as agent, Wire(agent.port) as wire, Sipp(CALLER, remote=agent.address) as caller:
        invite = agent.expect("INVITE")
        agent.reply(invite, 180)
        agent.reply(invite, 200, sdp=SDP)
        agent.expect("ACK")
        agent.reply(agent.expect("BYE"), 200)
        caller.wait()
        wire.wait_for(lambda m: m.method == "BYE" and m.status == 200)
        lines = [m.first_line.split(" sip:")[0] for m in wire.messages()]
        assert lines == [
            "INVITE",
            "SIP/2.0 180 Ringing",
            "SIP/2.0 200 OK",
            "ACK",
            "BYE",
            "SIP/2.0 200 OK",
        ]
        assert [m.source[1] for m in wire.messages(to=agent.port)] == [caller.port] * 3
        assert wire.messages(frm=agent.port, status=180)[0].at >= invite.at
        assert wire.messages(requests=True, method="BYE", call_id=invite.call_id, since=invite.at)


def test_the_user_agent_calls_sipp() -> None:
    with Sipp(ANSWERER) as sipp, Ua("caller") as caller:
        invite = caller.invite(sipp.uri, sdp=SDP)
        caller.expect(180, to=invite)
        answer = caller.expect(200, to=invite)
        caller.ack(answer)
        caller.expect(200, to=caller.request("BYE", caller.dialog(answer)))


def test_a_dialog_follows_its_route_set_in_both_directions() -> None:
    with Ua("caller") as caller, Ua("agent") as agent, Ua("near") as near, Ua("far") as far:
        hops = {"Record-Route": f"<sip:{far.address[0]}:{far.port};lr>, <sip:127.0.0.1:{near.port};lr>"}
        invite = caller.invite(agent.uri, sdp=SDP, headers=hops)
        incoming = agent.expect("INVITE")
        agent.reply(incoming, 200, sdp=SDP)
        answer = caller.expect(200, to=invite)
        ack = caller.ack(answer)
        bye = agent.request("BYE", agent.dialog(incoming))
        assert ack.all("Route") == [f"<sip:127.0.0.1:{near.port};lr>", f"<sip:127.0.0.1:{far.port};lr>"]
        assert bye.all("Route") == list(reversed(ack.all("Route")))
        assert (near.expect("ACK").uri, far.expect("BYE").uri) == (agent.uri, caller.uri)


def test_reinvite_renews_the_contact_and_counts_cseq() -> None:
    with Ua("caller") as caller, Ua("agent") as agent, Ua("elsewhere") as elsewhere:
        calling, answering = connected(caller, agent)
        caller.request("INVITE", calling, sdp=SDP, headers={"Contact": f"<{elsewhere.uri}>"})
        reinvite = agent.expect("INVITE")
        assert reinvite.cseq == 2
        assert agent.dialog(reinvite) is answering
        agent.request("BYE", answering)
        assert elsewhere.expect("BYE").cseq == 101


def test_cancel_and_its_487_are_acknowledged_hop_by_hop() -> None:
    with Ua("caller") as caller, Ua("agent") as agent:
        invite = caller.invite(agent.uri, sdp=SDP)
        incoming = agent.expect("INVITE")
        agent.reply(incoming, 100)
        cancel = caller.cancel(invite, headers={"Reason": "SIP;cause=200"})
        received = agent.expect("CANCEL")
        assert received.branch == incoming.branch
        assert received["Reason"] == "SIP;cause=200"
        agent.reply(received, 200)
        agent.reply(incoming, 487)
        caller.expect(200, to=cancel)
        caller.ack(caller.expect(487, to=invite))
        assert agent.expect("ACK").branch == incoming.branch


def test_a_second_200_is_a_repeat_and_two_messages_leave_in_one_instant() -> None:
    with Ua("caller") as caller, Ua("agent") as agent, Wire(caller.port) as wire:
        invite = caller.invite(agent.uri, sdp=SDP)
        incoming = agent.expect("INVITE")
        answer = agent.reply(incoming, 200, sdp=SDP, send=False)
        bye = agent.request("BYE", agent.dialog(incoming), send=False)
        agent.send(answer, answer, bye)
        caller.expect(200, to=invite)
        caller.expect("BYE")
        assert [repeat.status for repeat in caller.repeats] == [200]
        wire.wait_for(lambda m: m.method == "BYE")
        sent = wire.messages(to=caller.port)
        assert len(sent) == 3
        assert sent[2].at - sent[0].at < 0.005


def test_what_nobody_expected_is_an_error_at_the_end_unless_allowed() -> None:
    with Ua("caller") as caller, Ua("agent") as agent:
        agent.allow("INVITE")
        caller.invite(agent.uri)
    with (
        pytest.raises(AssertionError, match=r"agent got what nobody expected: .*INVITE"),
        Ua("caller") as caller,
        Ua("agent") as agent,
    ):
        caller.invite(agent.uri)


def test_what_does_not_come_is_told_with_what_came() -> None:
    with Ua("caller") as caller, Ua("agent") as agent:
        agent.allow("INVITE")
        caller.invite(agent.uri)
        with pytest.raises(AssertionError, match=r"agent expected BYE within 0\.05 s and got .*INVITE"):
            agent.expect("BYE", timeout=0.05)
        caller.expect_nothing(0.02)
        agent.reply(agent.expect("INVITE"), 503)
        with pytest.raises(AssertionError, match=r"expected nothing .* 503"):
            caller.expect_nothing(0.05)
        caller.allow(503)


def test_a_message_is_written_as_it_was_read() -> None:
    text = (
        b"INVITE sip:a@b SIP/2.0\r\nv: SIP/2.0/UDP 1.2.3.4;branch=z9hG4bKx\r\nX-One: 1\r\nX-One: 2\r\n"
        b"f: <sip:c@d>;tag=t\r\ni: id\r\nCSeq: 7 INVITE\r\nl: 3\r\n\r\nabc"
    )
    message = Message.parse(text)
    assert (message.call_id, message.cseq, message.branch, message.from_tag) == ("id", 7, "z9hG4bKx", "t")
    assert message.all("x-one") == ["1", "2"]
    assert Message.parse(bytes(message)) == message.with_headers(
        [*[h for h in message.headers if h[0] != "Content-Length"], ("Content-Length", "3")]
    )


# -- wire and RTP


def test_the_wire_sees_only_its_ports_and_no_garbage() -> None:
    with Ua("caller") as caller, Ua("agent") as agent, Ua("other") as other, Wire(agent.port) as wire:
        other.allow("INVITE")
        agent.allow("INVITE")
        caller.invite(other.uri)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"\r\n\r\n", other.address)
        caller.invite(agent.uri)
        wire.wait_for(lambda m: m.method == "INVITE")
        assert [m.destination for m in wire.messages()] == [agent.address]
        with pytest.raises(AssertionError, match=r"no such message within 0\.05 s; seen:\n.*INVITE"):
            wire.wait_for(lambda m: m.method == "BYE", timeout=0.05)


def test_rtp_peers_hear_one_another_and_the_wire_measures_the_gap() -> None:
    with RtpPeer() as one, RtpPeer("G722", byte=0) as two, RtpWire(two.address[1]) as wire:
        one.talk_to(two.sdp())
        two.talk_to(one.sdp("PCMU", "G722"))
        two.wait_heard(one.ssrc)
        one.wait_heard(two.ssrc)
        one.hush()
        silent_from = time.time()
        one.wait_heard(two.ssrc, since=silent_from)
        one.talk_to(two.sdp())
        resumed = time.time()
        two.wait_heard(one.ssrc, since=resumed)
        one.hush()
        # Each reads in its own time.
        System.wait_until(lambda: len(wire.packets(two.address[1])) == two.heard().total())
        packets = wire.packets(two.address[1])
        assert {packet.ssrc for packet in packets} == {one.ssrc}
        assert {(packet.payload_type, packet.payload[:1]) for packet in packets} == {(0, b"\x55")}
        assert wire.longest_gap(two.address[1]) == pytest.approx(resumed - silent_from, abs=0.2)
        assert 0.015 < wire.longest_gap(two.address[1], until=silent_from) < 0.2


def test_a_frame_is_known_after_its_mu_law_was_decoded_and_written_anew() -> None:
    with FramePeer() as peer, RtpPeer() as ear:
        peer.ssrc = 0x7F7F7F7F
        peer.talk_to(ear.sdp())
        ear.wait_heard(peer.ssrc)
        payloads = [packet.payload for packet in ear.packets() if packet.ssrc == peer.ssrc]
        assert len(numbers([payload.replace(b"\x7f", b"\xff") for payload in payloads], peer.ssrc)) == len(payloads)
