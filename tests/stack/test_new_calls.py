"""How a call begins: which agent gets it, what becomes of one that fails, and offers that come late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from rtpengine.sdp import endpoint
from tests.stack.rtp import RtpPeer
from tests.stack.sipp import ANSWERER, Sipp, invite, receive, request, scenario
from tests.stack.system import System
from tests.stack.talk import NUMBER
from tests.stack.ua import Ua
from tests.stack.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.message import Message


@dataclass(frozen=True)
class Office:
    """Two agents of one pool, and the stack."""

    agents: tuple[Ua, Ua]
    system: System
    wire: Wire

    def chosen(self, sent: Message) -> tuple[Ua, Ua, Message]:
        """Find which agent gets a call; gives it, the other one, and the INVITE."""
        seen = self.wire.wait_for(
            lambda m: m.is_request and m.call_id == sent.call_id and m.source == self.system.proxy
        )
        one, other = self.agents
        first, second = (one, other) if seen.destination == one.address else (other, one)
        return first, second, first.expect("INVITE")


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    """Give an office in which an agent may ring for a second."""
    with Ua("first") as one, Ua("second") as other:
        agents = [{"uri": one.uri}, {"uri": other.uri}]
        pools = [{"name": "agents", "numbers": ["*"], "agents": agents, "ring_timeout": 1.0}]
        with System(pools=pools) as system, Wire(system.port) as wire:
            yield Office((one, other), system, wire)


@pytest.fixture
def caller(office: Office) -> Iterator[Ua]:
    """Give a caller."""
    with Ua("caller", proxy=office.system.proxy) as caller:
        yield caller


@pytest.fixture
def voice() -> Iterator[RtpPeer]:
    """Give the audio of a caller or an agent that nobody listens to."""
    with RtpPeer() as peer:
        yield peer


def call(caller: Ua, system: System, voice: RtpPeer) -> Message:
    """Call the pool."""
    return caller.invite(f"sip:{NUMBER}@127.0.0.1:{system.port}", sdp=voice.sdp())


def ended(system: System) -> None:
    """Check that nothing is left of any call."""
    system.wait_until(lambda: system.calls() == [] and system.media_calls() == 0)


def hangs_up(caller: Ua, answer: Message, agent: Ua) -> None:
    """Let the caller hang up."""
    bye = caller.request("BYE", caller.dialog(answer))
    agent.reply(agent.expect("BYE"), 200)
    caller.expect(200, to=bye)


@pytest.mark.parametrize("failure", [500, 503, 408, "silent", "rings on"])
def test_the_next_agent_is_called_when_one_fails(
    office: Office, caller: Ua, voice: RtpPeer, failure: int | str
) -> None:
    """After 5xx, 408, no response, or too long a ringing; the caller hears nothing of it."""
    sent = call(caller, office.system, voice)
    first, second, incoming = office.chosen(sent)
    if isinstance(failure, int):
        first.reply(incoming, failure)
        first.expect("ACK")
    elif failure == "rings on":
        first.reply(incoming, 180)
        caller.expect(180, to=sent)
        first.reply(first.expect("CANCEL"), 200)
        first.reply(incoming, 487)
        first.expect("ACK")
    again = second.expect("INVITE")
    assert again.call_id == incoming.call_id
    assert again.body == incoming.body
    second.reply(again, 200, sdp=voice.sdp())
    answer = caller.expect(200, to=sent)
    caller.ack(answer)
    second.expect("ACK")
    hangs_up(caller, answer, second)
    ended(office.system)
    first.expect_nothing(0.0)


@pytest.mark.parametrize("status", [302, 404, 486, 603])
def test_a_refusal_that_another_agent_would_repeat_goes_to_the_caller(
    office: Office, caller: Ua, voice: RtpPeer, status: int
) -> None:
    """3xx, 4xx and 6xx are the agent's own word; nothing is left of the call."""
    sent = call(caller, office.system, voice)
    first, second, incoming = office.chosen(sent)
    first.reply(incoming, status)
    first.expect("ACK")
    caller.ack(caller.expect(status, to=sent))
    ended(office.system)
    second.expect_nothing(0.0)


def test_the_caller_hears_503_when_no_agent_is_left(office: Office, caller: Ua, voice: RtpPeer) -> None:
    """Both fail: one answer, and nothing is left."""
    sent = call(caller, office.system, voice)
    first, second, incoming = office.chosen(sent)
    first.reply(incoming, 503)
    first.expect("ACK")
    second.reply(second.expect("INVITE"), 500)
    second.expect("ACK")
    caller.ack(caller.expect(500, to=sent))
    ended(office.system)


def test_early_media_of_an_agent_that_fails_gives_way_to_the_next(office: Office) -> None:
    """The caller hears the announcement of the first agent, and then the second one, at the same port."""
    system = office.system
    with Ua("caller", proxy=system.proxy) as caller, RtpPeer() as ear, RtpPeer() as tape, RtpPeer() as agent:
        sent = call(caller, system, ear)
        first, second, incoming = office.chosen(sent)
        first.reply(incoming, 183, sdp=tape.sdp())
        early = caller.expect(183, to=sent)
        ear.talk_to(early.body)
        tape.talk_to(incoming.body)
        ear.wait_heard(tape.ssrc)
        first.reply(incoming, 503)
        first.expect("ACK")
        tape.hush()
        again = second.expect("INVITE")
        second.reply(again, 200, sdp=agent.sdp())
        answer = caller.expect(200, to=sent)
        caller.ack(answer)
        second.expect("ACK")
        assert endpoint(answer.body) == endpoint(early.body)
        agent.talk_to(again.body)
        ear.wait_heard(agent.ssrc)
        agent.wait_heard(ear.ssrc)
        hangs_up(caller, answer, second)
        ended(system)


@pytest.mark.parametrize("rings", [True, False])
def test_the_caller_cancels_before_an_agent_answers(office: Office, caller: Ua, voice: RtpPeer, rings: bool) -> None:
    """The agent stops ringing, the caller gets 487, and no other agent is called."""
    sent = call(caller, office.system, voice)
    first, second, incoming = office.chosen(sent)
    if rings:
        first.reply(incoming, 180)
        caller.expect(180, to=sent)
    caller.expect(200, to=caller.cancel(sent, headers={"Reason": 'SIP;cause=200;text="Call completed elsewhere"'}))
    if not rings:
        first.reply(incoming, 180)
    first.reply(first.expect("CANCEL"), 200)
    first.reply(incoming, 487)
    first.expect("ACK")
    caller.allow(180)
    caller.ack(caller.expect(487, to=sent))
    ended(office.system)
    second.expect_nothing(0.1)


def test_an_agent_that_does_not_answer_options_gets_no_calls() -> None:
    """What it answers counts as a sign of life, but for 5xx and 408, which stands for no answer at all."""
    with Ua("agent") as agent, RtpPeer() as voice:
        with System(agent.uri, ping_interval=1) as system, Ua("caller", proxy=system.proxy) as caller:
            for answer, status in ((408, 503), (405, 486)):
                for _ in range(3):
                    agent.reply(agent.expect("OPTIONS"), answer)
                agent.expect("OPTIONS")
                sent = call(caller, system, voice)
                if status == 486:
                    agent.reply(agent.expect("INVITE"), 486)
                    agent.expect("ACK")
                caller.ack(caller.expect(status, to=sent))
        agent.allow("OPTIONS")


def test_an_offer_may_come_in_the_answer(office: Office) -> None:
    """INVITE without SDP, offer in 200, answer in ACK: audio flows, and the call can be handed over."""
    system = office.system
    with (
        Ua("target") as target,
        RtpPeer() as ear,
        RtpPeer() as agent_voice,
        RtpPeer() as target_voice,
        Ua("caller", proxy=system.proxy) as caller,
    ):
        system.add_target("support", target.uri)
        sent = caller.invite(f"sip:{NUMBER}@127.0.0.1:{system.port}")
        agent, _, incoming = office.chosen(sent)
        assert not incoming.body
        agent.reply(incoming, 200, sdp=agent_voice.sdp("PCMU", "PCMA"))
        answer = caller.expect(200, to=sent)
        assert endpoint(answer.body)[1] != agent_voice.address[1]
        caller.ack(answer, sdp=ear.sdp())
        acked = agent.expect("ACK")
        assert endpoint(acked.body)[1] not in {ear.address[1], 0}
        ear.talk_to(answer.body)
        agent_voice.talk_to(acked.body)
        ear.wait_heard(agent_voice.ssrc)
        agent_voice.wait_heard(ear.ssrc)
        headers = {"Refer-To": "<sip:support@127.0.0.1>", "Refer-Sub": "false"}
        agent.expect(202, to=agent.request("REFER", agent.dialog(incoming), headers=headers))
        handed = target.expect("INVITE")
        target.reply(handed, 200, sdp=target_voice.sdp())
        target.expect("ACK")
        target_voice.talk_to(handed.body)
        ear.wait_heard(target_voice.ssrc)
        target_voice.wait_heard(ear.ssrc)
        agent.reply(agent.expect("BYE"), 200)
        hangs_up(caller, answer, target)
        ended(system)


def test_a_call_by_sipp_without_sdp_in_its_invite() -> None:
    """The same by SIPp, ten times, as another reading of the RFC."""
    late = scenario(invite(sdp=False), receive(100, optional=True), receive(180, optional=True), receive(200))
    late = late.replace("</scenario>", f"{request('ACK', sdp=True)}{request('BYE')}{receive(200)}</scenario>")
    with Sipp(ANSWERER, calls=10) as agent, System(agent.uri) as system:
        with Sipp(late, remote=system.proxy, calls=10) as caller:
            caller.wait()
        agent.wait()
        ended(system)


def test_an_agent_is_called_at_its_own_uri_and_one_without_a_user_by_the_number_called(voice: RtpPeer) -> None:
    """Platforms tell by the user, and by the host, whose call it is."""
    with Ua("first") as one, Ua("second") as other:
        bare = f"sip:127.0.0.1:{other.port};x=1"
        agents = [{"uri": f"{one.uri};x=2"}, {"uri": bare}]
        pools = [{"name": "agents", "numbers": ["*"], "agents": agents}]
        with System(pools=pools) as system, Ua("caller", proxy=system.proxy) as caller:
            number = f"sip:{NUMBER}@127.0.0.1:{system.port}"
            with Wire(system.port) as wire:
                sent = caller.invite(number, sdp=voice.sdp())
                for agent in (first := _rung(wire, sent, system, one, other), other if first is one else one):
                    invite = agent.expect("INVITE")
                    assert invite.uri == (f"{one.uri};x=2" if agent is one else bare.replace("sip:", f"sip:{NUMBER}@"))
                    assert invite["To"] == f"<{number}>"
                    agent.reply(invite, 500)
                    agent.expect("ACK")
                caller.expect(500, to=sent)


def _rung(wire: Wire, sent: Message, system: System, one: Ua, other: Ua) -> Ua:
    """Tell which agent is called first."""
    seen = wire.wait_for(lambda m: m.is_request and m.call_id == sent.call_id and m.source == system.proxy)
    return one if seen.destination == one.address else other
